//! PostgreSQL through sqlx, simple query protocol.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgQueryResult, PgRow, PgSslMode, Postgres as Pg};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, Row, TypeInfo, ValueRef};

use super::wire::{Server, Wire};
use super::{Access, ConnectOptions, DbError, DbErrorKind, Driver, TlsMode, Value};

/// The session settings sexton's SQL relies on: see `Engine::Postgres`.
const SETTINGS: &str = "SET standard_conforming_strings = on; SET bytea_output = 'hex'; \
                        SET TIME ZONE 'UTC'; SET client_min_messages = warning";

/// A connection to PostgreSQL.
pub struct PostgresDriver(Wire<Postgres>);

impl PostgresDriver {
    /// Connects; gives up after ten seconds.
    pub fn connect(options: &ConnectOptions, access: Access) -> Result<Self, DbError> {
        let nodes = options.nodes().map(login).collect();
        Wire::connect(Postgres { nodes, access }).map(Self)
    }
}

fn login(options: &ConnectOptions) -> PgConnectOptions {
    let mut server = PgConnectOptions::new_without_pgpass()
        .database(&options.database)
        .host(&options.host)
        .port(options.port)
        .application_name("sexton")
        .ssl_mode(match options.tls.mode {
            TlsMode::Disabled => PgSslMode::Disable,
            TlsMode::Preferred => PgSslMode::Prefer,
            TlsMode::Required => PgSslMode::Require,
            TlsMode::VerifyCa => PgSslMode::VerifyCa,
            TlsMode::VerifyIdentity => PgSslMode::VerifyFull,
        })
        .disable_statement_logging();
    if let Some(socket) = &options.socket {
        server = server.socket(socket);
    }
    if let Some(user) = &options.user {
        server = server.username(user);
    }
    if let Some(password) = &options.password {
        server = server.password(password);
    }
    if let Some(ca) = &options.tls.ca {
        server = server.ssl_root_cert(ca);
    }
    if let (Some(cert), Some(key)) = (&options.tls.cert, &options.tls.key) {
        server = server.ssl_client_cert(cert).ssl_client_key(key);
    }
    server
}

impl Driver for PostgresDriver {
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

struct Postgres {
    nodes: Vec<PgConnectOptions>,
    access: Access,
}

impl Server for Postgres {
    type Database = Pg;

    fn nodes(&self) -> usize {
        self.nodes.len()
    }

    async fn connect(&self, node: usize) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.nodes[node].connect().await?;
        let mut settings = vec![SETTINGS];
        if self.access == Access::ReadOnly {
            settings.push("SET default_transaction_read_only = on");
        }
        for setting in settings {
            sqlx::raw_sql(AssertSqlSafe(setting))
                .execute(&mut connection)
                .await?;
        }
        if self.nodes.len() > 1 && self.access == Access::ReadWrite {
            let standby = "SELECT pg_is_in_recovery()::int";
            let row = sqlx::raw_sql(standby).fetch_one(&mut connection).await?;
            if row.try_get_unchecked::<&str, _>(0)? == "1" {
                return Err(sqlx::Error::Io(std::io::Error::other(
                    "it is a standby, which cannot be written to",
                )));
            }
        }
        Ok(connection)
    }

    fn value(row: &PgRow, column: usize) -> Result<Value, sqlx::Error> {
        let raw = row.try_get_raw(column)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let info = raw.type_info();
        if info.name() == "BYTEA" {
            return row.try_get_unchecked(column).map(Value::Bytes);
        }
        let bytes = raw.as_bytes().map_err(sqlx::Error::Decode)?;
        Ok(match std::str::from_utf8(bytes) {
            Ok(text) => value(info.name(), text),
            // Only a database with encoding SQL_ASCII sends such text.
            Err(_) => Value::Bytes(bytes.into()),
        })
    }

    fn affected(result: &PgQueryResult) -> u64 {
        result.rows_affected()
    }

    fn classify(error: &dyn DatabaseError) -> (DbErrorKind, String) {
        let code = error.code().unwrap_or_default();
        (kind(&code), code.into_owned())
    }
}

fn value(type_name: &str, text: &str) -> Value {
    let as_text = || Value::Text(text.into());
    match type_name {
        "BOOL" => Value::Bool(text == "t"),
        "INT2" | "INT4" | "INT8" | "OID" => text.parse().map_or_else(|_| as_text(), Value::Int),
        "FLOAT4" | "FLOAT8" => text.parse().map_or_else(|_| as_text(), Value::Real),
        _ => as_text(),
    }
}

fn kind(code: &str) -> DbErrorKind {
    match code {
        "40001" | "40P01" | "55P03" => DbErrorKind::Retryable,
        "23505" => DbErrorKind::DuplicateKey,
        // 23001: ON DELETE RESTRICT in PostgreSQL 18.
        "23503" | "23001" => DbErrorKind::ForeignKey,
        // 25006: the transaction is read only.
        "42501" | "25006" => DbErrorKind::Permission,
        "3D000" => DbErrorKind::NotADatabase,
        // 57P05 and 25P03: the session was idle for too long, for this server.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "53300" | "40003" => {
            DbErrorKind::Connection
        }
        _ => match code.get(..2) {
            Some("22" | "23") => DbErrorKind::Constraint,
            Some("28") => DbErrorKind::Permission,
            Some("08") => DbErrorKind::Connection,
            _ => DbErrorKind::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_values() {
        assert_eq!(value("BOOL", "t"), Value::Bool(true));
        assert_eq!(value("INT8", "-5"), Value::Int(-5));
        assert_eq!(value("FLOAT8", "1e+20"), Value::Real(1e20));
        assert_eq!(value("NUMERIC", "1.50"), Value::Text("1.50".into()));
    }

    #[test]
    fn errors_are_sorted() {
        assert_eq!(kind("40P01"), DbErrorKind::Retryable);
        assert_eq!(kind("23502"), DbErrorKind::Constraint);
        assert_eq!(kind("28P01"), DbErrorKind::Permission);
        assert_eq!(kind("XX000"), DbErrorKind::Other);
        assert_eq!(kind(""), DbErrorKind::Other);
    }
}
