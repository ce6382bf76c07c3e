//! Databases with the schema of the real nova 34.0.0, and the real nova-manage to run on them.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

use sexton::db::{Engine, Session, Value};

use super::cloud::Cloud;
use super::databases::Database;

/// The path of nova-manage 34.0.0.
pub(crate) fn program() -> PathBuf {
    let path = std::env::var_os("SEXTON_TEST_NOVA_MANAGE").filter(|p| !p.is_empty());
    PathBuf::from(path.expect(
        "SEXTON_TEST_NOVA_MANAGE is not set; `cargo xtask test` installs nova 34.0.0 and sets it",
    ))
}

/// A main and an API database made by the real migrations, on MariaDB.
pub(crate) struct Nova {
    pub(crate) cell: Cloud,
    pub(crate) api: Database,
}

impl Nova {
    pub(crate) fn new() -> Self {
        Self {
            cell: real_cell(),
            api: copy(&schemas().api),
        }
    }

    /// The text of a nova.conf for both databases.
    pub(crate) fn configuration(&self) -> String {
        configuration(&self.cell.database.url, &self.api.url)
    }

    /// Runs `nova-manage db archive_deleted_rows` with these arguments.
    pub(crate) fn nova_manage_archive(&self, arguments: &[&str]) -> Output {
        let mut all = vec!["db", "archive_deleted_rows"];
        all.extend(arguments);
        nova_manage(&self.configuration(), &all)
    }
}

/// A further cell with the real schema.
pub(crate) fn real_cell() -> Cloud {
    Cloud::on(copy(&schemas().main))
}

pub(crate) fn nova_manage(configuration: &str, arguments: &[&str]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), configuration).unwrap();
    Command::new(program())
        .env("OS_NOVA_DISABLE_EVENTLET_PATCHING", "1")
        .arg("--config-file")
        .arg(file.path())
        .args(arguments)
        .output()
        .unwrap()
}

pub(crate) fn configuration(main: &str, api: &str) -> String {
    let url = |url: &str| match url.split_once("://") {
        Some(("mysql", rest)) => format!("mysql+pymysql://{rest}?charset=utf8"),
        Some(("postgres" | "postgresql", rest)) => format!("postgresql+psycopg2://{rest}"),
        _ => format!("sqlite:///{url}"),
    };
    format!(
        "[database]\nconnection = {}\n[api_database]\nconnection = {}\n",
        url(main),
        url(api)
    )
}

/// CREATE TABLE statements as the server shows them after the real migrations.
struct Schemas {
    main: Vec<String>,
    api: Vec<String>,
}

/// Runs the migrations once per process; copies of the tables take a second instead of five.
fn schemas() -> &'static Schemas {
    static SCHEMAS: OnceLock<Schemas> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let (main, api) = (
            Database::fresh(Engine::Mysql),
            Database::fresh(Engine::Mysql),
        );
        sync(&main, &api);
        Schemas {
            main: tables(&mut main.session()),
            api: tables(&mut api.session()),
        }
    })
}

/// Lets the real nova make its schemas in two empty databases.
pub(crate) fn sync(main: &Database, api: &Database) {
    let configuration = configuration(&main.url, &api.url);
    for arguments in [&["api_db", "sync"][..], &["db", "sync", "--local_cell"]] {
        let output = nova_manage(&configuration, arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {text}");
    }
}

fn tables(session: &mut Session) -> Vec<String> {
    let names = session.query("SHOW TABLES").unwrap();
    let mut statements = Vec::new();
    for name in names {
        let row = session
            .query_row(&format!("SHOW CREATE TABLE `{}`", name[0]))
            .unwrap()
            .unwrap();
        statements.push(row[1].to_string());
    }
    statements
}

fn copy(tables: &[String]) -> Database {
    let database = Database::fresh(Engine::Mysql);
    let mut session = database.session();
    session.execute("SET foreign_key_checks = 0").unwrap();
    for statement in tables {
        session.execute(statement).unwrap();
    }
    database
}

/// One number out of a query.
pub(crate) fn number(session: &mut Session, sql: &str) -> i64 {
    let row = session
        .query_row(sql)
        .unwrap_or_else(|e| panic!("{sql}: {e}"));
    row.and_then(|r| r.first().and_then(Value::as_int))
        .unwrap_or(0)
}
