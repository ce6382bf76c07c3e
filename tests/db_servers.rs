//! Sessions, introspection and locks against real servers.
//!
//! The servers are those of `support::databases`; each test makes a database of its own and drops it.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

#[path = "support/mod.rs"]
mod support;

use sexton::db::{Access, AdvisoryLock, DbErrorKind, Engine, Session, Target, Value};
use sexton::schema::{ColumnType, Schema};

use support::databases::server_url;

/// A database of its own on the server, dropped at the end of the test.
struct Scratch {
    admin: Session,
    name: String,
    target: Target,
}

impl Scratch {
    fn new(engine: Engine, name: &str) -> Self {
        let url = server_url(engine);
        let mut target: Target = url.parse().unwrap();
        let mut admin = sexton::db::open(&target, Access::ReadWrite).unwrap();
        let name = format!("sexton_test_{name}_{}", std::process::id());
        admin.execute(&format!("CREATE DATABASE {name}")).unwrap();
        match &mut target {
            Target::Mysql(options) | Target::Postgres(options) => options.database = name.clone(),
            Target::Sqlite(_) => panic!("{url} is not the URL of a server"),
        }
        Self {
            admin,
            name,
            target,
        }
    }

    fn mysql(name: &str) -> Self {
        Self::new(Engine::Mysql, name)
    }

    fn postgres(name: &str) -> Self {
        Self::new(Engine::Postgres, name)
    }

    fn open(&self, access: Access) -> Session {
        sexton::db::open(&self.target, access).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let force = match self.admin.engine() {
            Engine::Postgres => " WITH (FORCE)",
            _ => "",
        };
        let _ = self
            .admin
            .execute(&format!("DROP DATABASE {}{force}", self.name));
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// Every table as lines, to compare in one piece.
fn describe(schema: &Schema) -> String {
    let mut out = String::new();
    for table in schema.tables.values() {
        out += &format!("{} key {}\n", table.name, table.primary_key.join(","));
        for c in &table.columns {
            let mut line = format!("  {} {}", c.name, c.ty);
            for (flag, word) in [
                (!c.nullable, " not null"),
                (c.auto_increment, " auto"),
                (c.generated, " generated"),
            ] {
                line += if flag { word } else { "" };
            }
            if let Some(default) = &c.default {
                line += &format!(" = {default}");
            }
            out += &format!("{line}\n");
        }
        for (word, keys) in [("unique", &table.uniques), ("index", &table.indexes)] {
            for k in keys {
                out += &format!("  {word} {} ({})\n", k.name, k.columns.join(","));
            }
        }
        for k in &table.foreign_keys {
            let cascade = if k.on_delete_cascade { " cascade" } else { "" };
            let (own, other) = (k.columns.join(","), k.parent_columns.join(","));
            out += &format!(
                "  fk {} ({own}) -> {}({other}){cascade}\n",
                k.name, k.parent
            );
        }
    }
    out
}

#[test]
fn mysql_values_errors_and_modes() {
    let scratch = Scratch::mysql("values");
    let mut s = scratch.open(Access::ReadWrite);
    s.execute(
        "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, big BIGINT UNSIGNED, flag BOOLEAN, \
         name VARCHAR(10) COLLATE utf8mb4_bin, bin VARBINARY(4), bits BIT(9), kind ENUM('x','y'), \
         at DATETIME(3), price DECIMAL(8,2), rate DOUBLE, doc JSON, body LONGTEXT)",
    )
    .unwrap();
    let insert = r"INSERT INTO t VALUES (0, 18446744073709551615, TRUE, 'a\n''ü', X'00ff',
                   b'100000001', 'y', '2020-01-02 03:04:05.678', 1.5, 0.1, '{}', NULL)";
    assert_eq!(s.execute(insert).unwrap(), 1);
    let row = s.query_row("SELECT * FROM t").unwrap().unwrap();
    let expected = vec![
        Value::Int(0),
        text("18446744073709551615"),
        Value::Int(1),
        text(r"a\n'ü"),
        Value::Bytes(vec![0, 255]),
        Value::Int(257),
        text("y"),
        text("2020-01-02 03:04:05.678"),
        text("1.50"),
        Value::Real(0.1),
        text("{}"),
        Value::Null,
    ];
    assert_eq!(row, expected);
    s.execute(
        "CREATE TABLE c (id INT PRIMARY KEY, t INT NOT NULL, FOREIGN KEY (t) REFERENCES t (id))",
    )
    .unwrap();
    s.execute("INSERT INTO c VALUES (1, 0)").unwrap();
    errors(&mut s, "1451", "1062", "1048");
    // What is left of an abandoned result does not get into the next one.
    s.execute("INSERT INTO t (id) VALUES (7), (8), (9)")
        .unwrap();
    s.query_each("SELECT id FROM t", |_| false).unwrap();
    assert_eq!(s.query_count("SELECT count(*) FROM t").unwrap(), 4);
    lost_connection(&mut s, "KILL CONNECTION_ID()");
    let mode = s.query_row("SELECT @@sql_mode").unwrap().unwrap();
    assert!(mode[0].to_string().contains("NO_BACKSLASH_ESCAPES"));
    read_only(&scratch);
}

#[test]
fn postgres_values_errors_and_modes() {
    let scratch = Scratch::postgres("values");
    let mut s = scratch.open(Access::ReadWrite);
    s.execute("CREATE TYPE kind AS ENUM ('x', 'y')").unwrap();
    s.execute(
        "CREATE TABLE t (id INT PRIMARY KEY, big BIGINT, flag BOOLEAN, name VARCHAR(10), \
         bin BYTEA, kind kind, at TIMESTAMP, price NUMERIC(8,2), rate FLOAT8, doc JSONB, ip INET)",
    )
    .unwrap();
    let insert = r"INSERT INTO t VALUES (0, 9, TRUE, 'a\n''ü', '\x00ff', 'y',
                   '2020-01-02 03:04:05.678', 1.5, 0.1, '{}', NULL)";
    assert_eq!(s.execute(insert).unwrap(), 1);
    let row = s.query_row("SELECT * FROM t").unwrap().unwrap();
    let expected = vec![
        Value::Int(0),
        Value::Int(9),
        Value::Bool(true),
        text(r"a\n'ü"),
        Value::Bytes(vec![0, 255]),
        text("y"),
        text("2020-01-02 03:04:05.678"),
        text("1.50"),
        Value::Real(0.1),
        text("{}"),
        Value::Null,
    ];
    assert_eq!(row, expected);
    s.execute("CREATE TABLE c (id INT PRIMARY KEY, t INT NOT NULL REFERENCES t (id))")
        .unwrap();
    s.execute("INSERT INTO c VALUES (1, 0)").unwrap();
    errors(&mut s, "23503", "23505", "23502");
    s.execute("INSERT INTO t (id) VALUES (7), (8), (9)")
        .unwrap();
    s.query_each("SELECT id FROM t", |_| false).unwrap();
    assert_eq!(s.query_count("SELECT count(*) FROM t").unwrap(), 4);
    lost_connection(&mut s, "SELECT pg_terminate_backend(pg_backend_pid())");
    read_only(&scratch);
}

fn errors(s: &mut Session, foreign_key: &str, duplicate: &str, null: &str) {
    for (sql, kind, code) in [
        ("DELETE FROM t", DbErrorKind::ForeignKey, foreign_key),
        (
            "INSERT INTO c VALUES (1, 0)",
            DbErrorKind::DuplicateKey,
            duplicate,
        ),
        (
            "INSERT INTO c VALUES (2, NULL)",
            DbErrorKind::Constraint,
            null,
        ),
    ] {
        let error = s.execute(sql).unwrap_err();
        assert_eq!(
            (error.kind, error.code.as_str()),
            (kind, code),
            "{sql}: {error}"
        );
    }
    assert_eq!(
        s.execute("syntax\nerror").unwrap_err().kind,
        DbErrorKind::Other
    );
}

fn lost_connection(s: &mut Session, kill: &str) {
    assert_eq!(s.execute(kill).unwrap_err().kind, DbErrorKind::Connection);
    assert_eq!(
        s.execute("SELECT 1").unwrap_err().kind,
        DbErrorKind::Connection
    );
    s.reconnect().unwrap();
    assert_eq!(s.query_count("SELECT count(*) FROM c").unwrap(), 1);
}

/// A row in hand does not keep another session, nor its runtime, from working.
fn sessions_nest(scratch: &Scratch) {
    let (mut outer, mut inner) = (
        scratch.open(Access::ReadOnly),
        scratch.open(Access::ReadWrite),
    );
    let mut moved = 0;
    let sql = "SELECT id FROM t WHERE id > 0 ORDER BY id";
    let insert = |row: Vec<Value>| {
        moved += inner
            .execute(&format!("INSERT INTO c VALUES ({}, 0)", row[0]))
            .unwrap();
        true
    };
    outer.query_each(sql, insert).unwrap();
    assert_eq!(moved, 3);
    inner.execute("DELETE FROM c WHERE id > 1").unwrap();
}

fn read_only(scratch: &Scratch) {
    sessions_nest(scratch);
    let mut reader = scratch.open(Access::ReadOnly);
    for _ in 0..2 {
        assert_eq!(
            reader.execute("DELETE FROM c").unwrap_err().kind,
            DbErrorKind::Permission
        );
        reader.reconnect().unwrap();
    }
    assert_eq!(reader.query_count("SELECT count(*) FROM c").unwrap(), 1);
}

#[test]
fn mysql_schema() {
    let scratch = Scratch::mysql("schema");
    let mut s = scratch.open(Access::ReadWrite);
    for sql in [
        "CREATE TABLE p (x INT NOT NULL, y VARCHAR(36) NOT NULL, PRIMARY KEY (y, x))",
        "CREATE TABLE t (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, up BIGINT UNSIGNED, \
         px INT, py VARCHAR(36), deleted INT DEFAULT 0, flag TINYINT(1) NOT NULL DEFAULT '1', \
         name VARCHAR(9) DEFAULT 'it''s', word VARCHAR(9) DEFAULT 'NULL', empty VARCHAR(9) NOT NULL \
         DEFAULT '', slash VARCHAR(9) DEFAULT 'a\\b', gone DATETIME DEFAULT NULL, \
         kind ENUM('a','b''c') DEFAULT 'a', body LONGTEXT CHECK (JSON_VALID(body)), \
         twice INT AS (px * 2) VIRTUAL, at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, \
         raw VARBINARY(8), rate DOUBLE, cost DECIMAL(8,2), \
         UNIQUE KEY u (name, deleted), KEY i (deleted, px), KEY part (body(10)), \
         CONSTRAINT f_p FOREIGN KEY (py, px) REFERENCES p (y, x), \
         CONSTRAINT f_up FOREIGN KEY (up) REFERENCES t (id) ON DELETE CASCADE)",
        "CREATE VIEW v AS SELECT * FROM t",
    ] {
        s.execute(sql).unwrap();
    }
    let before = s.statements();
    let schema = sexton::db::introspect(&mut s).unwrap();
    assert!(s.statements() - before <= 6);
    let expected = "\
p key y,x
  x int not null
  y varchar(36) not null
t key id
  id bigint not null auto
  up bigint
  px int
  py varchar(36)
  deleted int = 0
  flag bool not null = 1
  name varchar(9) = it's
  word varchar(9) = NULL
  empty varchar(9) not null = 
  slash varchar(9) = a\\b
  gone datetime
  kind enum('a','b''c') = a
  body longtext
  twice int generated
  at datetime not null = current_timestamp()
  raw blob
  rate float
  cost decimal(8,2)
  unique u (name,deleted)
  index f_p (py,px)
  index f_up (up)
  index i (deleted,px)
  index part (body)
  fk f_p (py,px) -> p(y,x)
  fk f_up (up) -> t(id) cascade
";
    assert_eq!(describe(&schema), expected);
    assert_eq!(
        schema.table("t").unwrap().storage.as_deref(),
        Some("InnoDB")
    );
}

#[test]
fn postgres_schema() {
    let scratch = Scratch::postgres("schema");
    let mut s = scratch.open(Access::ReadWrite);
    for sql in [
        "CREATE TYPE kind AS ENUM ('b', 'it''s', 'a')",
        "CREATE TABLE p (x INT NOT NULL, y VARCHAR(36) NOT NULL, PRIMARY KEY (y, x))",
        "CREATE TABLE \"T\" (id SERIAL PRIMARY KEY, n BIGINT GENERATED ALWAYS AS IDENTITY, up INT, \
         px INT, py VARCHAR(36), deleted INT DEFAULT 0, flag BOOLEAN NOT NULL DEFAULT false, \
         name VARCHAR(9) DEFAULT 'it''s', slash TEXT DEFAULT 'a\\b', less INT DEFAULT -1, \
         gone TIMESTAMP DEFAULT NULL, kind kind DEFAULT 'a', ip INET, doc JSONB, \
         twice INT GENERATED ALWAYS AS (px * 2) STORED, at TIMESTAMPTZ NOT NULL DEFAULT now(), \
         raw BYTEA, rate DOUBLE PRECISION, cost NUMERIC(8,2), tags TEXT[], \
         CONSTRAINT f_p FOREIGN KEY (px, py) REFERENCES p (x, y), \
         CONSTRAINT f_up FOREIGN KEY (up) REFERENCES \"T\" (id) ON DELETE CASCADE)",
        "CREATE UNIQUE INDEX u ON \"T\" (name, deleted) INCLUDE (px)",
        "CREATE INDEX i ON \"T\" (deleted, px)",
        "CREATE UNIQUE INDEX part ON \"T\" (name) WHERE deleted = 0",
        "CREATE INDEX expr ON \"T\" (lower(name))",
        "CREATE INDEX gin ON \"T\" USING gin (doc)",
        "ALTER TABLE \"T\" DROP COLUMN tags",
        "CREATE VIEW v AS SELECT * FROM p",
        "CREATE SCHEMA other",
        "CREATE TABLE other.p (id INT PRIMARY KEY)",
        "CREATE TABLE z (id INT REFERENCES other.p (id))",
    ] {
        s.execute(sql).unwrap();
    }
    let before = s.statements();
    let schema = sexton::db::introspect(&mut s).unwrap();
    assert!(s.statements() - before <= 6);
    let expected = "\
T key id
  id int not null auto
  n bigint not null auto
  up int
  px int
  py varchar(36)
  deleted int = 0
  flag bool not null = false
  name varchar(9) = it's
  slash text = a\\b
  less int = -1
  gone datetime
  kind enum('b','it''s','a') = a
  ip inet
  doc json
  twice int generated
  at timestamp with time zone not null = now()
  raw blob
  rate float
  cost decimal(8,2)
  unique u (name,deleted)
  index i (deleted,px)
  fk f_p (px,py) -> p(x,y)
  fk f_up (up) -> T(id) cascade
p key y,x
  x int not null
  y varchar(36) not null
z key 
  id int
  fk z_id_fkey (id) -> other.p(id)
";
    assert_eq!(describe(&schema), expected);
    let kind = &schema.table("T").unwrap().column("kind").unwrap().ty;
    assert!(matches!(kind, ColumnType::Enum(labels) if labels.len() == 3));
}

fn one_holder(scratch: &Scratch) {
    let (mut first, mut second) = (
        scratch.open(Access::ReadWrite),
        scratch.open(Access::ReadOnly),
    );
    let lock = AdvisoryLock::acquire(&mut first).unwrap();
    let error = AdvisoryLock::acquire(&mut second).unwrap_err().to_string();
    assert!(
        error.starts_with("another archiver is at work in "),
        "{error}"
    );
    lock.ensure(&mut first).unwrap().unwrap();
    first.reconnect().unwrap();
    lock.ensure(&mut first).unwrap().unwrap();
    assert!(AdvisoryLock::acquire(&mut second).is_err());
    lock.release(&mut first).unwrap();
    let lock = AdvisoryLock::acquire(&mut second).unwrap();
    assert!(AdvisoryLock::acquire(&mut first).is_err());
    lock.release(&mut second).unwrap();
}

#[test]
fn mysql_lock() {
    one_holder(&Scratch::mysql("lock"));
    one_holder(&Scratch::mysql(
        "lock_with_a_name_too_long_for_get_lock_to_take",
    ));
}

#[test]
fn postgres_lock() {
    one_holder(&Scratch::postgres("lock"));
}

#[test]
fn refusals_name_the_target_without_the_password() {
    for mut scratch in [Scratch::mysql("refusal"), Scratch::postgres("refusal")] {
        let refuse = |database: &str, user: &str| {
            let mut target = scratch.target.clone();
            if let Target::Mysql(o) | Target::Postgres(o) = &mut target {
                (o.database, o.password) = (database.into(), Some("s3cret".into()));
                o.user = Some(user.into());
            }
            let error = sexton::db::open(&target, Access::ReadOnly).err().unwrap();
            assert_eq!(error.code, sexton::exit::ExitCode::Unavailable);
            let message = error.to_string();
            assert!(
                !message.contains("s3cret") && !message.contains('\n'),
                "{message}"
            );
            assert!(message.contains(&target.redacted()), "{message}");
            message
        };
        let name = scratch.name.clone();
        assert!(refuse(&name, "sexton_nobody").contains("check the user"));
        // A user with a password of his own, since the server's may have none.
        let (create, drop) = match scratch.admin.engine() {
            Engine::Mysql => (
                "CREATE USER sexton_some IDENTIFIED BY 's3cret'; GRANT ALL ON *.* TO sexton_some",
                "DROP USER sexton_some",
            ),
            _ => (
                "CREATE USER sexton_some PASSWORD 's3cret'",
                "DROP USER sexton_some",
            ),
        };
        scratch.admin.execute(create).unwrap();
        let message = refuse("sexton_none", "sexton_some");
        scratch.admin.execute(drop).unwrap();
        assert!(
            message.contains("check the name of the database"),
            "{message}"
        );
    }
}
