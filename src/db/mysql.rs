//! MariaDB and MySQL through sqlx, text protocol.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::mysql::{
    MySql, MySqlConnectOptions, MySqlDatabaseError, MySqlQueryResult, MySqlRow, MySqlSslMode,
};
use sqlx::{AssertSqlSafe, ConnectOptions as _, MySqlConnection, Row, Type, TypeInfo, ValueRef};

use super::wire::{Server, Wire};
use super::{Access, ConnectOptions, DbError, DbErrorKind, Driver, TlsMode, Value};

/// The session settings sexton's SQL relies on: see `Engine::Mysql`.
const SETTINGS: &str = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
                         SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,\
                        NO_BACKSLASH_ESCAPES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', \
                        autocommit = 1, foreign_key_checks = 1";

/// A connection to MariaDB or MySQL.
pub struct MysqlDriver(Wire<Mysql>);

impl MysqlDriver {
    /// Connects; gives up after ten seconds.
    pub fn connect(options: &ConnectOptions, access: Access) -> Result<Self, DbError> {
        let nodes = options.nodes().map(login).collect();
        Wire::connect(Mysql { nodes, access }).map(Self)
    }
}

fn login(options: &ConnectOptions) -> MySqlConnectOptions {
    let mut server = MySqlConnectOptions::new()
        .database(&options.database)
        .charset("utf8mb4")
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .ssl_mode(match options.tls.mode {
            TlsMode::Disabled => MySqlSslMode::Disabled,
            TlsMode::Preferred => MySqlSslMode::Preferred,
            TlsMode::Required => MySqlSslMode::Required,
            TlsMode::VerifyCa => MySqlSslMode::VerifyCa,
            TlsMode::VerifyIdentity => MySqlSslMode::VerifyIdentity,
        })
        .disable_statement_logging();
    server = match &options.socket {
        Some(socket) => server.socket(socket),
        None => server.host(&options.host).port(options.port),
    };
    if let Some(user) = &options.user {
        server = server.username(user);
    }
    if let Some(password) = &options.password {
        server = server.password(password);
    }
    if let Some(ca) = &options.tls.ca {
        server = server.ssl_ca(ca);
    }
    if let (Some(cert), Some(key)) = (&options.tls.cert, &options.tls.key) {
        server = server.ssl_client_cert(cert).ssl_client_key(key);
    }
    server
}

impl Driver for MysqlDriver {
    fn execute(&mut self, sql: &str) -> Result<u64, DbError> {
        self.0.execute(sql)
    }

    fn query(
        &mut self,
        sql: &str,
        each: &mut dyn FnMut(Vec<Value>) -> bool,
    ) -> Result<(), DbError> {
        self.0.query(sql, each)
    }

    fn named_row(&mut self, sql: &str) -> Result<Option<Vec<(String, Value)>>, DbError> {
        self.0.named_row(sql)
    }

    fn expect_answers_within(&mut self, patience: Duration) {
        self.0.expect_answers_within(patience);
    }

    fn reconnect(&mut self) -> Result<(), DbError> {
        self.0.reconnect()
    }

    fn passed_over(&self) -> &[(usize, DbError)] {
        self.0.passed_over()
    }
}

struct Mysql {
    nodes: Vec<MySqlConnectOptions>,
    access: Access,
}

impl Server for Mysql {
    type Database = MySql;

    fn nodes(&self) -> usize {
        self.nodes.len()
    }

    async fn connect(&self, node: usize) -> Result<MySqlConnection, sqlx::Error> {
        let mut connection = self.nodes[node].connect().await?;
        let mut settings = vec![SETTINGS];
        if self.access == Access::ReadOnly {
            settings.push("SET SESSION TRANSACTION READ ONLY");
        }
        for setting in settings {
            sqlx::raw_sql(AssertSqlSafe(setting))
                .execute(&mut connection)
                .await?;
        }
        if self.nodes.len() > 1 {
            let writes = self.access == Access::ReadWrite;
            pass_over(&mut connection, writes).await?;
        }
        Ok(connection)
    }

    fn value(row: &MySqlRow, column: usize) -> Result<Value, sqlx::Error> {
        let Some(bytes) = row.try_get_unchecked::<Option<&[u8]>, _>(column)? else {
            return Ok(Value::Null);
        };
        let raw = row.try_get_raw(column)?;
        let info = raw.type_info();
        // The column's collation, not its BINARY flag: `_bin` collations have the flag too.
        let binary = !<str as Type<MySql>>::compatible(&info);
        Ok(value(info.name(), binary, bytes))
    }

    fn affected(result: &MySqlQueryResult) -> u64 {
        result.rows_affected()
    }

    fn classify(error: &dyn DatabaseError) -> (DbErrorKind, String) {
        let error = error.try_downcast_ref::<MySqlDatabaseError>();
        error.map_or((DbErrorKind::Other, String::new()), |e| {
            (kind(e.number(), e.message()), e.number().to_string())
        })
    }
}

/// A value in the text protocol. `binary` says that a string column has no character set.
fn value(type_name: &str, binary: bool, bytes: &[u8]) -> Value {
    let text = || match std::str::from_utf8(bytes) {
        Ok(text) => Value::Text(text.into()),
        Err(_) => Value::Bytes(bytes.into()),
    };
    let parsed = std::str::from_utf8(bytes).unwrap_or_default();
    match type_name.split(' ').next().unwrap_or_default() {
        "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" | "YEAR" => {
            parsed.parse().map_or_else(|_| text(), Value::Int)
        }
        "FLOAT" | "DOUBLE" => parsed.parse().map_or_else(|_| text(), Value::Real),
        "BIT" if bytes.len() <= 8 => {
            let number = bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
            i64::try_from(number).map_or_else(|_| Value::Bytes(bytes.into()), Value::Int)
        }
        "BIT" | "GEOMETRY" => Value::Bytes(bytes.into()),
        "CHAR" | "VARCHAR" | "BINARY" | "VARBINARY" | "TINYBLOB" | "BLOB" | "MEDIUMBLOB"
        | "LONGBLOB" | "TINYTEXT" | "TEXT" | "MEDIUMTEXT" | "LONGTEXT"
            if binary =>
        {
            Value::Bytes(bytes.into())
        }
        _ => text(),
    }
}

fn kind(number: u16, message: &str) -> DbErrorKind {
    match number {
        // Lock timeout, deadlock (Galera's certification failure too), too many transactions,
        // NOWAIT, MariaDB's "record has changed".
        1205 | 1213 | 1637 | 3572 | 1020 => DbErrorKind::Retryable,
        // wsrep_max_ws_rows; wsrep_max_ws_size, which is told at COMMIT. The same numbers tell of a full disk.
        1180 | 1105 if names_limit(message) => DbErrorKind::TooLarge,
        // The cache of the binlog.
        1197 => DbErrorKind::TooLarge,
        1022 | 1062 | 1169 | 1586 => DbErrorKind::DuplicateKey,
        1216 | 1217 | 1451 | 1452 | 1557 => DbErrorKind::ForeignKey,
        1048 | 1264 | 1265 | 1292 | 1364 | 1366 | 1406 | 1690 | 3819 | 4025 => {
            DbErrorKind::Constraint
        }
        // 1290 and 1792: the server or the transaction is read only.
        1044 | 1045 | 1130 | 1142 | 1143 | 1227 | 1290 | 1370 | 1698 | 1792 => {
            DbErrorKind::Permission
        }
        1049 => DbErrorKind::NotADatabase,
        // 1047: a Galera node without quorum, as good as gone; another one may be there.
        1040 | 1047 | 1053 | 1158..=1161 | 1203 | 1927 | 2006 | 2013 | 4031 => {
            DbErrorKind::Connection
        }
        _ => DbErrorKind::Other,
    }
}

/// Whether it is the size of a write set that is complained of.
fn names_limit(message: &str) -> bool {
    let message = message.to_lowercase();
    let limits = ["wsrep_max_ws", "writeset size", "message too long"];
    limits.iter().any(|limit| message.contains(limit))
}

/// An error if a run should turn to another node: one that the cluster has parted with, or that takes no writes where
/// there are to be some.
async fn pass_over(connection: &mut MySqlConnection, writes: bool) -> Result<(), sqlx::Error> {
    let parted = "SHOW GLOBAL STATUS WHERE Variable_name = 'wsrep_cluster_status' \
                  AND Value = 'non-Primary'";
    let read_only = "SELECT 1 FROM DUAL WHERE @@global.read_only";
    let unfit = |why: &str| Err(sqlx::Error::Io(std::io::Error::other(why.to_owned())));
    if (sqlx::raw_sql(parted)
        .fetch_optional(&mut *connection)
        .await?)
        .is_some()
    {
        return unfit("the node is parted from its cluster");
    }
    if writes && (sqlx::raw_sql(read_only).fetch_optional(connection).await?).is_some() {
        return unfit("the server is read only");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_values() {
        assert_eq!(value("BIGINT UNSIGNED", true, b"7"), Value::Int(7));
        let huge = "18446744073709551615";
        assert_eq!(
            value("BIGINT UNSIGNED", true, huge.as_bytes()),
            Value::Text(huge.into())
        );
        assert_eq!(value("BIT", true, &[1, 2]), Value::Int(258));
        assert_eq!(value("BIT", true, &[255; 8]), Value::Bytes(vec![255; 8]));
        assert_eq!(value("DOUBLE", true, b"1.5e3"), Value::Real(1500.0));
        assert_eq!(value("DECIMAL", true, b"1.50"), Value::Text("1.50".into()));
        assert_eq!(value("VARBINARY", true, b"a"), Value::Bytes(b"a".into()));
        assert_eq!(value("VARBINARY", false, b"a"), Value::Text("a".into()));
    }

    #[test]
    fn errors_are_sorted() {
        assert_eq!(kind(1213, ""), DbErrorKind::Retryable);
        assert_eq!(kind(1451, ""), DbErrorKind::ForeignKey);
        for limit in [
            "wsrep_max_ws_rows exceeded",
            "Maximum writeset size exceeded by 1",
            "Got error 90 \"Message too long\" during COMMIT",
        ] {
            assert_eq!(kind(1180, limit), DbErrorKind::TooLarge, "{limit}");
            assert_eq!(kind(1105, limit), DbErrorKind::TooLarge, "{limit}");
        }
        let full = "Got error 28 \"No space left on device\" during COMMIT";
        assert_eq!(kind(1180, full), DbErrorKind::Other);
        assert_eq!(kind(1197, ""), DbErrorKind::TooLarge);
    }
}
