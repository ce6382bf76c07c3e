//! From a target to a session, with errors that say what to do next.

use super::answers::other_engine;
use super::{
    DbError, DbErrorKind, Driver, Engine, MysqlDriver, PostgresDriver, Session, SqliteDriver,
    SqliteMode, Target,
};
use crate::error::{Error, Result};

/// What a session may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading and writing.
    ReadWrite,
    /// Reading only; the database itself refuses writes.
    ReadOnly,
}

/// Opens a session with a target.
pub fn open(target: &Target, access: Access) -> Result<Session> {
    let driver: Result<Box<dyn Driver>, DbError> = match target {
        Target::Sqlite(path) => {
            let mode = match access {
                Access::ReadWrite => SqliteMode::ReadWrite,
                Access::ReadOnly => SqliteMode::ReadOnly,
            };
            return SqliteDriver::open(path, mode)
                .and_then(|mut driver| {
                    // The first statement is what makes SQLite read the file.
                    driver.query("PRAGMA schema_version", &mut |_| true)?;
                    Ok(Session::new(
                        Box::new(driver),
                        target.engine(),
                        target.redacted(),
                    ))
                })
                .map_err(|e| sqlite_error(target, e));
        }
        Target::Mysql(options) => MysqlDriver::connect(options, access).map(|d| Box::new(d) as _),
        Target::Postgres(options) => {
            PostgresDriver::connect(options, access).map(|d| Box::new(d) as _)
        }
    };
    let driver = driver.map_err(|e| server_error(target, &e))?;
    let nodes: Vec<String> = target.nodes();
    let passed_over = driver.passed_over().iter();
    let passed_over = passed_over
        .map(|(node, why)| format!("{}: {why}", nodes[*node]))
        .collect();
    let session = Session::new(driver, target.engine(), target.redacted());
    Ok(session.having_passed_over(passed_over))
}

fn sqlite_error(target: &Target, error: DbError) -> Error {
    match error.code.as_str() {
        "SQLITE_NOTADB" | "SQLITE_CORRUPT" => {
            // What was found before SQLite was asked names the file itself, and what to do about it.
            if error.message.contains(&target.redacted()) {
                return Error::data(error.message).hint("check that this is the right file");
            }
            let message = format!("{target} is not a sound SQLite database: {}", error.message);
            Error::data(message).hint("check that this is the right file; `PRAGMA integrity_check` says what is wrong with a damaged one")
        }
        "SQLITE_CANTOPEN" | "SQLITE_PERM" if error.message.contains(&target.redacted()) => {
            Error::unavailable(error.message)
                .hint("check its name, and the rights of it and its directory")
        }
        "SQLITE_BUSY" => Error::unavailable(format!("{target} is locked by another process"))
            .hint("wait until it is done, or end it"),
        _ => Error::unavailable(format!("{target} cannot be opened: {}", error.message))
            .hint("check the rights of the file and its directory"),
    }
}

fn server_error(target: &Target, error: &DbError) -> Error {
    // Of a server that has understood us there is nothing to guess.
    let understood = [DbErrorKind::Permission, DbErrorKind::NotADatabase].contains(&error.kind);
    if let Some(engine) = (!understood).then(|| other_engine(target)).flatten() {
        let scheme = match engine {
            Engine::Postgres => "postgresql",
            Engine::Mysql | Engine::Sqlite => "mysql",
        };
        let message = format!("cannot connect to {target}: {engine} answers there");
        return Error::unavailable(message).hint(format!(
            "begin the URL with {scheme}://, or give the port of the other server"
        ));
    }
    let hint = match error.kind {
        DbErrorKind::Connection if error.message.contains("does not support TLS") => {
            "turn encryption on at the server, or leave it out of the URL (SECURITY.md, \"Encryption of connections\")"
        }
        DbErrorKind::Connection => "check that the server runs and that host and port are right",
        // The login is good, and there is nothing that it may do.
        DbErrorKind::Permission if error.code == "1044" => {
            "check the name of the database, and grant the user SELECT on it and what else SECURITY.md lists"
        }
        DbErrorKind::Permission => "check the user, the password and the user's rights",
        DbErrorKind::NotADatabase => "check the name of the database",
        _ => "check the database URL",
    };
    Error::unavailable(format!("cannot connect to {target}: {}", error.message)).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::ExitCode;

    fn refusal(target: &str) -> Error {
        let error = open(&target.parse().unwrap(), Access::ReadOnly)
            .err()
            .unwrap();
        let message = error.to_string();
        assert!(
            !message.contains('\n') && !message.contains("s3cret"),
            "{message}"
        );
        error
    }

    #[test]
    fn a_file_is_opened_or_refused_with_the_right_code() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let name = path.display().to_string();
        assert_eq!(refusal(&name).code, ExitCode::Unavailable);
        std::fs::write(&path, "something else, long enough").unwrap();
        assert_eq!(refusal(&name).code, ExitCode::Data);
        let mut header = b"SQLite format 3\0".to_vec();
        header.resize(4096, 0xff);
        std::fs::write(&path, header).unwrap();
        assert_eq!(refusal(&name).code, ExitCode::Data);
        std::fs::write(&path, "").unwrap();
        let target: Target = name.parse().unwrap();
        let mut session = open(&target, Access::ReadWrite).unwrap();
        session.execute("CREATE TABLE t (a)").unwrap();
        assert_eq!(session.label(), name);
        let mut reader = open(&target, Access::ReadOnly).unwrap();
        let error = reader.execute("DELETE FROM t").unwrap_err();
        assert_eq!(error.kind, DbErrorKind::Permission);
        reader.reconnect().unwrap();
        assert!(reader.execute("DELETE FROM t").is_err());
    }

    #[test]
    fn a_server_that_is_not_there_is_named_without_the_password() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        for scheme in ["mysql", "postgresql"] {
            let error = refusal(&format!("{scheme}://nova:s3cret@127.0.0.1:{port}/nova"));
            assert_eq!(error.code, ExitCode::Unavailable);
            assert!(
                error
                    .message
                    .contains(&format!("{scheme}://nova@127.0.0.1:{port}/nova"))
            );
            assert!(error.hint.is_some());
        }
    }
}
