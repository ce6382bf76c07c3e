//! Which privilege was missing, where the server's own words do not say it.
//!
//! MariaDB and MySQL name command and table, but for temporary tables; PostgreSQL names the table alone.

use super::{DbError, DbErrorKind, Engine};

/// The error with the missing privilege, if that can be told from the statement.
pub(super) fn with_privilege(mut error: DbError, engine: Engine, sql: &str) -> DbError {
    if error.kind == DbErrorKind::Permission
        && let Some(needed) = needed(&error, engine, sql)
    {
        error.message = format!("{}: the user needs {needed}", error.message);
    }
    error
}

fn needed(error: &DbError, engine: Engine, sql: &str) -> Option<String> {
    match (error.code.as_str(), engine) {
        ("1044", Engine::Mysql) if sql.starts_with("CREATE TEMPORARY TABLE") => {
            let (_, database) = error.message.split_once("to database ")?;
            Some(format!(
                "CREATE TEMPORARY TABLES on {}",
                database.trim_matches('\'')
            ))
        }
        ("42501", Engine::Postgres) if error.message.contains("create temporary tables") => {
            let (_, database) = error.message.split_once("in database ")?;
            Some(format!("TEMPORARY on {}", database.trim_matches('"')))
        }
        ("42501", Engine::Postgres) => {
            let (_, table) = error.message.split_once("permission denied for table ")?;
            let privileges = on_table(engine, sql, table);
            (!privileges.is_empty()).then(|| format!("{} on {table}", privileges.join(", ")))
        }
        _ => None,
    }
}

/// What a statement does with a table, as privileges of PostgreSQL: it wants all of them, and does not say which it
/// has missed.
fn on_table(engine: Engine, sql: &str, table: &str) -> Vec<&'static str> {
    let name = engine.quote(table);
    let writes = [
        ("INSERT INTO", "INSERT"),
        ("DELETE FROM", "DELETE"),
        ("UPDATE", "UPDATE"),
    ];
    let written: Vec<_> = writes
        .into_iter()
        .filter(|(words, _)| sql.contains(&format!("{words} {name}")))
        .map(|(_, privilege)| privilege)
        .collect();
    let locks = written.is_empty() && (sql.contains("FOR UPDATE") || sql.contains("FOR SHARE"));
    let reads = written.is_empty() || sql.contains("WHERE") && written != ["INSERT"];
    let read = reads.then_some("SELECT");
    // To lock a row is to have the right to change it.
    let lock = locks.then_some("UPDATE");
    read.into_iter().chain(lock).chain(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: &str, engine: Engine, message: &str, sql: &str) -> String {
        let error = DbError::new(DbErrorKind::Permission, code, message);
        with_privilege(error, engine, sql).message
    }

    #[test]
    fn what_the_server_does_not_say_is_told_from_the_statement() {
        let denied = "permission denied for table instances";
        for (sql, needed) in [
            (r#"SELECT "id" FROM "instances""#, "SELECT"),
            (
                r#"SELECT "id" FROM "instances" WHERE 1=1 FOR UPDATE"#,
                "SELECT, UPDATE",
            ),
            (
                r#"DELETE FROM "instances" WHERE "id" IN (1)"#,
                "SELECT, DELETE",
            ),
            (r#"INSERT INTO "instances" VALUES (1)"#, "INSERT"),
            (
                r#"INSERT INTO "shadow" SELECT * FROM "instances" WHERE 1=1"#,
                "SELECT",
            ),
            (
                r#"WITH g AS (DELETE FROM "instances" WHERE 1=1 RETURNING *) INSERT INTO "s" SELECT * FROM g"#,
                "SELECT, DELETE",
            ),
        ] {
            let expected = format!("{denied}: the user needs {needed} on instances");
            assert_eq!(said("42501", Engine::Postgres, denied, sql), expected);
        }
        let denied = "Access denied for user 'u'@'h' to database 'nova'";
        let create = "CREATE TEMPORARY TABLE t (id INT)";
        assert_eq!(
            said("1044", Engine::Mysql, denied, create),
            format!("{denied}: the user needs CREATE TEMPORARY TABLES on nova")
        );
        let denied = r#"permission denied to create temporary tables in database "nova""#;
        assert_eq!(
            said("42501", Engine::Postgres, denied, create),
            format!("{denied}: the user needs TEMPORARY on nova")
        );
        // This one says it all itself.
        let whole = "DELETE command denied to user 'u'@'h' for table `nova`.`instances`";
        assert_eq!(
            said("1142", Engine::Mysql, whole, "DELETE FROM `instances`"),
            whole
        );
    }
}
