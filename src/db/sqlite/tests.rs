//! What opens as a SQLite database, what does not, and what a session does with it.

use super::*;
use crate::exit::ExitCode;

fn session(path: &Path) -> Session {
    let driver = SqliteDriver::open(path, SqliteMode::Create).unwrap();
    Session::new(Box::new(driver), Engine::Sqlite, path.display().to_string())
}

#[test]
fn a_statement_stops_in_its_middle() {
    let mut driver = SqliteDriver::open(":memory:", SqliteMode::Create).unwrap();
    let one = "INSERT INTO b SELECT i, n FROM a WHERE i IN (2)";
    let many = "INSERT INTO b SELECT i, n FROM a WHERE i IN (2, 3, 4)";
    let delete = "DELETE FROM a WHERE i IN (2, 3)";
    let read = "SELECT n FROM a";
    let (change, step) = (Midway::FirstChange, Midway::FirstStep);
    for (sql, when) in [
        (one, change),
        (many, change),
        (delete, change),
        (read, step),
    ] {
        driver
            .execute(
                "DROP TABLE IF EXISTS a; DROP TABLE IF EXISTS b; \
                 CREATE TABLE a (i INT NOT NULL, n TEXT, PRIMARY KEY (i)); \
                 CREATE TABLE b (i INT NOT NULL, n TEXT, PRIMARY KEY (i)); \
                 INSERT INTO a VALUES (1, 'x'), (2, 'y'), (3, 'z'), (4, NULL); BEGIN",
            )
            .unwrap();
        driver.stop_midway(Some(when)).unwrap();
        let stopped = driver.execute(sql);
        driver.stop_midway(None).unwrap();
        assert_eq!(stopped.unwrap_err().code, "SQLITE_INTERRUPT", "{sql}");
        // SQLite gives up the whole transaction of a statement that writes.
        assert_eq!(driver.in_transaction(), when == step, "{sql}");
        drop(driver.execute("ROLLBACK"));
        assert!(driver.execute("UPDATE a SET n = 'w'").unwrap() == 4);
    }
}

fn refused(path: &Path) -> DbError {
    let error = SqliteDriver::open(path, SqliteMode::ReadWrite)
        .err()
        .unwrap();
    assert!(!error.message.contains('\n'), "{error}");
    error
}

#[test]
fn only_sqlite_files_open() {
    let dir = tempfile::tempdir().unwrap();
    let missing = refused(&dir.path().join("none.db"));
    assert_eq!(missing.kind, DbErrorKind::NotADatabase);
    assert_eq!(missing.code, "SQLITE_CANTOPEN");
    assert!(!dir.path().join("none.db").exists());
    assert_eq!(refused(dir.path()).kind, DbErrorKind::NotADatabase);
    let text = dir.path().join("notes.txt");
    std::fs::write(&text, "not a database, whatever its name").unwrap();
    let wrong = refused(&text);
    assert_eq!(wrong.code, "SQLITE_NOTADB");
    assert!(wrong.message.contains("notes.txt is not a SQLite database"));
    let mut s = session(&dir.path().join("a.db"));
    let error = attach(&mut s, &text, "x").unwrap_err();
    assert_eq!(error.code, ExitCode::Data);
    assert_eq!(error.message, wrong.message);
    assert_eq!(s.query("PRAGMA database_list").unwrap().len(), 1);
    std::fs::write(&text, "short").unwrap();
    assert_eq!(refused(&text).kind, DbErrorKind::NotADatabase);
    std::fs::write(&text, "").unwrap();
    assert!(SqliteDriver::open(&text, SqliteMode::ReadWrite).is_ok());
}

#[test]
fn a_vfs_is_found_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let open =
        |vfs: &str| SqliteDriver::open_with_vfs(&path, SqliteMode::Create, Some(vfs.to_owned()));
    let error = open("none").err().unwrap();
    assert!(error.message.contains("no such vfs: none"), "{error}");
    assert!(!path.exists());
    let mut driver = open("memdb").unwrap();
    driver.execute("CREATE TABLE t (a)").unwrap();
    driver.reconnect().unwrap();
    assert!(!path.exists(), "it went through the default one");
}

#[test]
fn values_and_counts_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = session(&dir.path().join("a.db"));
    s.execute("CREATE TABLE t (a, b); CREATE TABLE u (a)")
        .unwrap();
    assert_eq!(
        s.execute("INSERT INTO t VALUES (1, 'x'), (2, 'y')")
            .unwrap(),
        2
    );
    s.begin().unwrap();
    assert_eq!(s.execute("DELETE FROM t WHERE a = 9").unwrap(), 0);
    assert_eq!(s.execute("COMMIT").unwrap(), 0);
    let row = s.query_row("SELECT 1, 2.5, 'it''s', x'00ff', NULL, CAST(x'ff' AS TEXT)");
    let expected = vec![
        Value::Int(1),
        Value::Real(2.5),
        Value::Text("it's".into()),
        Value::Bytes(vec![0, 255]),
        Value::Null,
        Value::Bytes(vec![255]),
    ];
    assert_eq!(row.unwrap().unwrap(), expected);
    let mut seen = 0;
    s.query_each("SELECT a FROM t", |_| {
        seen += 1;
        false
    })
    .unwrap();
    assert_eq!(seen, 1);
    s.reconnect().unwrap();
    assert_eq!(s.query_count("SELECT count(*) FROM t").unwrap(), 2);
}

#[test]
fn errors_are_sorted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let mut s = session(&path);
    s.execute(
        "CREATE TABLE p (id INTEGER PRIMARY KEY, u TEXT UNIQUE, n TEXT NOT NULL DEFAULT '');
         CREATE TABLE c (id INTEGER PRIMARY KEY, p INT REFERENCES p (id));
         CREATE TABLE r (id INTEGER PRIMARY KEY, p INT REFERENCES p (id) ON DELETE RESTRICT);
         INSERT INTO p (id, u) VALUES (1, 'a'), (2, 'b');
         INSERT INTO c VALUES (1, 1); INSERT INTO r VALUES (1, 2)",
    )
    .unwrap();
    let mut kind = |sql: &str| {
        let error = s.execute(sql).unwrap_err();
        assert!(!error.message.contains('\n'));
        (error.kind, error.code)
    };
    use DbErrorKind::*;
    let expected = [
        (
            "DELETE FROM p WHERE id = 1",
            ForeignKey,
            "SQLITE_CONSTRAINT_FOREIGNKEY",
        ),
        (
            "DELETE FROM p WHERE id = 2",
            ForeignKey,
            "SQLITE_CONSTRAINT_TRIGGER",
        ),
        (
            "INSERT INTO c VALUES (2, 99)",
            ForeignKey,
            "SQLITE_CONSTRAINT_FOREIGNKEY",
        ),
        (
            "INSERT INTO p (id) VALUES (1)",
            DuplicateKey,
            "SQLITE_CONSTRAINT_PRIMARYKEY",
        ),
        (
            "INSERT INTO p (u) VALUES ('a')",
            DuplicateKey,
            "SQLITE_CONSTRAINT_UNIQUE",
        ),
        (
            "INSERT INTO p (n) VALUES (NULL)",
            Constraint,
            "SQLITE_CONSTRAINT_NOTNULL",
        ),
        ("SELECT \"nocolumn\" FROM p", Other, "SQLITE_ERROR"),
    ];
    for (sql, k, code) in expected {
        assert_eq!(kind(sql), (k, code.to_owned()), "{sql}");
    }
    let mut reader = SqliteDriver::open(&path, SqliteMode::ReadOnly).unwrap();
    assert_eq!(
        reader.execute("DELETE FROM c").unwrap_err().kind,
        Permission
    );
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut busy = SqliteDriver::open(&path, SqliteMode::ReadWrite).unwrap();
    let connection = busy.connection.as_ref().unwrap();
    connection.busy_timeout(Duration::ZERO).unwrap();
    assert_eq!(busy.execute("DELETE FROM c").unwrap_err().kind, Retryable);
}

#[test]
fn a_wal_file_is_not_attached() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a.db"), dir.path().join("it's b.db"));
    session(&b).execute("CREATE TABLE t (a)").unwrap();
    let mut s = session(&a);
    attach(&mut s, &b, "shadow").unwrap();
    s.execute("INSERT INTO shadow.t VALUES (1)").unwrap();
    s.execute("DETACH shadow").unwrap();
    session(&b).execute("PRAGMA journal_mode=WAL").unwrap();
    let error = attach(&mut s, &b, "shadow").unwrap_err();
    assert!(error.to_string().contains("journal mode wal"), "{error}");
    assert!(s.query("SELECT * FROM shadow.t").is_err());
    session(&b).execute("PRAGMA journal_mode=DELETE").unwrap();
    s.execute("PRAGMA journal_mode=WAL").unwrap();
    assert!(attach(&mut s, &b, "shadow").is_err());
    assert!(attach(&mut s, dir.path(), "x").is_err());
}
