//! Dumps as mariadb-dump and pg_dump write them: the same schema and the same findings as the database they
//! are of, and an error for whatever is cut off or something else.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

#[path = "../support/mod.rs"]
mod support;

mod memory;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sexton::audit::{self, AuditReport};
use sexton::db::{Engine, Session, introspect, open_dump};
use sexton::exit::ExitCode;
use sexton::generate::{Damage, Dataset, create_schema, generate};
use sexton::schema::{Profile, Schema, Table};

use support::databases::Database;

/// A text that a dump cannot hold as it is.
const ODD: &str = "it's \\ a\ttab, a line\nbreak; (in brackets), \\N";

/// A damaged cloud on a server.
fn damaged(engine: Engine) -> (Database, Session) {
    let database = Database::fresh(engine);
    let mut session = database.session();
    create_schema(&mut session, "nova-34.0.0").unwrap();
    let damage = Damage::ALL
        .into_iter()
        .filter(|d| engine == Engine::Mysql || *d != Damage::NonTransactionalTable);
    let dataset = Dataset {
        seed: 5,
        families: 40,
        live: 20,
        damage: damage.map(|d| (d, 3)).collect(),
    };
    let schema = introspect(&mut session).unwrap();
    generate(&mut session, &schema, &dataset, &mut |_| {}).unwrap();
    // What has to be written with care.
    let tag = ODD.replace('\'', "''");
    let row = format!("INSERT INTO tags (resource_id, tag) VALUES ('nobody', '{tag}')");
    session.execute(&row).unwrap();
    (database, session)
}

/// Runs a program of a server; its output.
fn run(program: &str, arguments: &[&str]) -> Output {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let own = versions.map(|v| v.path().join("bin").join(program));
    let all = own.chain([PathBuf::from(program)]);
    for path in all {
        if let Ok(output) = Command::new(path).args(arguments).output() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{program}: {said}");
            return output;
        }
    }
    panic!("{program} is not to be had: install mariadb-client and postgresql-client");
}

fn mariadb_dump(database: &Database, options: &[&str]) -> Vec<u8> {
    let url: url::Url = database.url.parse().unwrap();
    let (host, port) = (url.host_str().unwrap(), url.port().unwrap().to_string());
    let password = format!("--password={}", url.password().unwrap_or_default());
    let connection = [
        "--no-defaults",
        "-h",
        host,
        "-P",
        &port,
        "-u",
        url.username(),
        &password,
    ];
    let name = url.path().trim_start_matches('/');
    let arguments = [&connection[..], options, &["--single-transaction", name]].concat();
    run("mariadb-dump", &arguments).stdout
}

fn pg_dump(database: &Database, options: &[&str]) -> Vec<u8> {
    let arguments = [options, &["--", database.url.as_str()]].concat();
    run("pg_dump", &arguments).stdout
}

/// A file with this name and content.
fn file(directory: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A schema in an order of its own: catalogs sort names as their collation does.
fn sorted(mut schema: Schema) -> Vec<Table> {
    for table in schema.tables.values_mut() {
        table.uniques.sort_by(|a, b| a.name.cmp(&b.name));
        table.indexes.sort_by(|a, b| a.name.cmp(&b.name));
        table.foreign_keys.sort_by(|a, b| a.name.cmp(&b.name));
    }
    schema.tables.into_values().collect()
}

fn audited(session: &mut Session, schema: &Schema) -> AuditReport {
    let graph = Profile::detect(schema).families(schema).unwrap();
    let mut report = audit::audit(session, &graph, &audit::Options::default()).unwrap();
    report.database = String::new();
    // The command that heals it names the database; a dump has none to heal.
    for finding in &mut report.findings {
        let repair = finding.repair.take();
        finding.repair = repair.map(|command| command.replace(session.label(), "DB"));
    }
    report
}

/// A dump in this file is the database: schema and findings.
fn is_the_same(path: &Path, schema: &Schema, report: &AuditReport) {
    let mut dump = open_dump(path).unwrap().unwrap();
    let expected = sorted(schema.clone());
    for (found, expected) in sorted(dump.schema.clone()).iter().zip(&expected) {
        assert_eq!(found, expected, "{}", path.display());
    }
    assert_eq!(dump.schema.tables.len(), schema.tables.len());
    let found = audited(&mut dump.session, &dump.schema);
    assert_eq!(found, *report, "{}", path.display());
    let tag = "SELECT tag FROM tags WHERE resource_id = 'nobody'";
    let tag = dump.session.query_row(tag).unwrap().unwrap();
    assert_eq!(tag[0].to_string(), ODD);
    // It can be read, and nothing else.
    dump.session.execute("DELETE FROM tags").unwrap_err();
}

#[test]
fn a_dump_of_mariadb_is_the_database_in_all_its_forms() {
    let (database, mut session) = damaged(Engine::Mysql);
    let schema = introspect(&mut session).unwrap();
    let report = audited(&mut session, &schema);
    assert!(report.summary.error > 5, "{:?}", report.summary);
    let directory = tempfile::tempdir().unwrap();
    let forms: [(&str, &[&str]); 4] = [
        ("plain.sql", &[]),
        ("rows.sql", &["--skip-extended-insert", "--complete-insert"]),
        ("hex.sql", &["--hex-blob", "--skip-dump-date", "--routines"]),
        ("named.sql", &["--databases"]),
    ];
    for (name, options) in forms {
        let dump = mariadb_dump(&database, options);
        is_the_same(&file(directory.path(), name, &dump), &schema, &report);
    }
    let dump = mariadb_dump(&database, &[]);
    is_the_same(
        &file(directory.path(), "a.sql.gz", &gzip(&dump)),
        &schema,
        &report,
    );
    let zst = zstd::stream::encode_all(&dump[..], 1).unwrap();
    is_the_same(&file(directory.path(), "a.sql.zst", &zst), &schema, &report);
}

#[test]
fn a_dump_of_postgresql_is_the_database_in_all_its_forms() {
    let (database, mut session) = damaged(Engine::Postgres);
    let schema = introspect(&mut session).unwrap();
    let report = audited(&mut session, &schema);
    assert!(report.summary.error > 5, "{:?}", report.summary);
    let directory = tempfile::tempdir().unwrap();
    let forms: [(&str, &[&str]); 4] = [
        ("plain.sql", &[]),
        ("inserts.sql", &["--inserts", "--no-owner"]),
        ("columns.sql", &["--column-inserts", "--rows-per-insert=7"]),
        ("custom.dump", &["-Fc"]),
    ];
    for (name, options) in forms {
        let dump = pg_dump(&database, options);
        is_the_same(&file(directory.path(), name, &dump), &schema, &report);
    }
    let dump = gzip(&pg_dump(&database, &[]));
    is_the_same(&file(directory.path(), "a.sql.gz", &dump), &schema, &report);
}

/// What `sexton audit FILE` ends with.
fn refusal(path: &Path) -> String {
    let error = open_dump(path).err();
    let error = error.unwrap_or_else(|| panic!("{} was read", path.display()));
    assert_eq!(error.code, ExitCode::Data, "{error}");
    let said = error.to_string();
    assert!(said.starts_with(&path.display().to_string()), "{said}");
    assert!(!said.contains('\n'), "{said}");
    said
}

/// Wherever a dump is cut, it is never a clean database.
fn cut_anywhere(directory: &Path, dump: &[u8], kind: &str) {
    let text = String::from_utf8_lossy(dump).into_owned();
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let step = (lines.len() / 60).max(1);
    for cut in (20..lines.len() - 2).step_by(step) {
        let part = lines[..cut].concat();
        let said = refusal(&file(directory, &format!("{kind}.sql"), part.as_bytes()));
        assert!(said.contains(": line "), "{cut}: {said}");
        // In the middle of a line.
        let part = &part.as_bytes()[..part.len() - lines[cut - 1].len() / 2 - 1];
        refusal(&file(directory, &format!("{kind}.sql"), part));
    }
    let whole = gzip(dump);
    for share in [2, 3, 10] {
        let part = &whole[..whole.len() - whole.len() / share];
        let said = refusal(&file(directory, &format!("{kind}.sql.gz"), part));
        assert!(said.contains("it is cut off"), "{said}");
    }
}

#[test]
fn a_dump_that_is_cut_off_is_an_error_that_says_where() {
    let directory = tempfile::tempdir().unwrap();
    let (database, _session) = damaged(Engine::Mysql);
    cut_anywhere(directory.path(), &mariadb_dump(&database, &[]), "mariadb");
    let (database, _session) = damaged(Engine::Postgres);
    cut_anywhere(directory.path(), &pg_dump(&database, &[]), "postgresql");
    let custom = pg_dump(&database, &["-Fc"]);
    for share in [2, 3, 10] {
        let part = &custom[..custom.len() - custom.len() / share];
        refusal(&file(directory.path(), "custom.dump", part));
    }
}

#[test]
fn a_file_that_is_something_else_is_an_error_that_says_what_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let said = |name: &str, bytes: &[u8]| refusal(&file(directory.path(), name, bytes));
    let text = said("a.txt", b"\n\nDear database,\nI am not one of yours.\n");
    assert!(
        text.contains("line 3 is none of a dump, and this is no SQLite database"),
        "{text}"
    );
    said("a.json", b"{\"version\": 1}");
    said("a.gz", &gzip(b"nothing of the kind"));
    said(
        "a.sql",
        b"CREATE TABLE t (a int);\nINSERT INTO t VALUES (1);\n",
    );
    said("b.bin", &[0xff; 100]);
    let odd = "-- MariaDB dump 10.19\n\nCREATE TABLE `t` (\n  `a` int(11)\n) ENGINE=InnoDB;\nMERGE INTO t;\n";
    let text = said("c.sql", odd.as_bytes());
    assert!(
        text.contains("line 6: not understood: 'MERGE INTO t;'"),
        "{text}"
    );
    let twice = odd.replace(
        "MERGE INTO t;",
        "CREATE TABLE `t` (\n  `a` int(11)\n) ENGINE=InnoDB;",
    );
    let text = said("d.sql", twice.as_bytes());
    assert!(text.contains("table t is there twice"), "{text}");
    let short = odd.replace("MERGE INTO t;", "INSERT INTO `t` VALUES (1,2);");
    let text = said("e.sql", short.as_bytes());
    assert!(text.contains("line 6: a row of 2 values, not 1"), "{text}");
    // A SQLite file is none of its business.
    assert!(
        open_dump(&file(directory.path(), "a.db", b"SQLite format 3\0"))
            .unwrap()
            .is_none()
    );
    assert!(open_dump(Path::new("/nowhere/a.sql")).unwrap().is_none());
}

fn sexton(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sexton"))
        .args(arguments)
        .env_remove("SEXTON_DATABASE")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn audits_diffs_and_diagrams_take_a_dump_and_what_would_change_it_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::fresh(Engine::Mysql);
    let mut session = database.session();
    create_schema(&mut session, "nova-34.0.0").unwrap();
    let dump = mariadb_dump(&database, &[]);
    let path = file(directory.path(), "nova.sql", &dump)
        .display()
        .to_string();
    assert_eq!(sexton(&["audit", &path]).0, 0);
    let (code, said, _) = sexton(&["schema", "diff", &path]);
    assert_eq!(code, 0, "{said}");
    assert!(said.ends_with("In sync.\n"), "{said}");
    assert_eq!(sexton(&["schema", "diagram", &path]).0, 0);
    let (code, said, _) = sexton(&["audit", &path, "--upgrade-to", "nova-34"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("upgrade to nova 34.0.0"), "{said}");
    // In the words of the database that it is of.
    session
        .execute("ALTER TABLE instances DROP COLUMN compute_id")
        .unwrap();
    let dump = mariadb_dump(&database, &[]);
    file(directory.path(), "nova.sql", &dump);
    let (code, said, _) = sexton(&["schema", "diff", &path]);
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("ALTER TABLE `instances` ADD COLUMN `compute_id` BIGINT"),
        "{said}"
    );
    for command in [
        &["archive"][..],
        &["purge", "--all"],
        &["schema", "diff", "--apply", "expand", "--yes"],
    ] {
        let (code, _, said) = sexton(&[command, &[path.as_str()]].concat());
        assert_eq!(code, 65, "{command:?}: {said}");
        assert!(said.contains("is a dump, which can only be read"), "{said}");
    }
    let (code, _, said) = sexton(&["schema", "diff", &path, "--release", "glance-33"]);
    assert_eq!(code, 65, "{said}");
    assert!(
        said.contains("has other tables than glance 33.0.0"),
        "{said}"
    );
    // Nothing of the dumps is left.
    let name =
        |e: std::io::Result<std::fs::DirEntry>| e.unwrap().file_name().into_string().unwrap();
    let left: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(name)
        .collect();
    assert_eq!(left, ["nova.sql"]);
}

/// SQL to look with is for the server, not for where the dump was read into.
#[test]
fn records_of_an_api_dump_are_shown_in_the_words_of_its_server() {
    let directory = tempfile::tempdir().unwrap();
    let made = |model: &str, rows: &str| {
        let database = Database::fresh(Engine::Mysql);
        let mut session = database.session();
        create_schema(&mut session, model).unwrap();
        session.execute(rows).unwrap();
        let dump = mariadb_dump(&database, &[]);
        file(directory.path(), &format!("{model}.sql"), &dump)
            .display()
            .to_string()
    };
    let cell = made(
        "nova-34.0.0",
        "INSERT INTO shadow_instances (id, uuid, deleted, deleted_at) VALUES (1, 'gone', 1, '2026-01-01')",
    );
    let api = made(
        "nova-34.0.0-api",
        "INSERT INTO request_specs (instance_uuid, spec) VALUES ('gone', '{}')",
    );
    let (code, said, _) = sexton(&["audit", &cell, "--api", &api, "--format", "json"]);
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("FROM `request_specs` WHERE `instance_uuid`"),
        "{said}"
    );
    let (code, _, said) = sexton(&["audit", &cell, "--profile", "cinder"]);
    assert_eq!(code, 65, "{said}");
    assert!(
        said.contains("is not a database of cinder: it has no table volumes"),
        "{said}"
    );
}

/// Read by convention it would be a database in which nothing is wrong.
#[test]
fn a_part_of_a_service_s_database_is_none_of_another() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::fresh(Engine::Mysql);
    create_schema(&mut database.session(), "nova-34.0.0").unwrap();
    let text = String::from_utf8(mariadb_dump(&database, &[])).unwrap();
    let renamed = text.replace("`instance_info_caches`", "`other`");
    let path = file(directory.path(), "part.sql", renamed.as_bytes())
        .display()
        .to_string();
    let (code, _, said) = sexton(&["audit", &path]);
    assert_eq!(code, 65, "{said}");
    assert!(
        said.contains("a database of nova without its table instance_info_caches"),
        "{said}"
    );
    assert_eq!(sexton(&["audit", &path, "--profile", "convention"]).0, 1);
}

/// A dump of these tables, with their rows or without.
fn dump_of(tables: &[(&str, bool)]) -> String {
    let table = |(name, rows): &(&str, bool)| {
        let rows = match rows {
            true => format!(
                "LOCK TABLES `{name}` WRITE;\nINSERT INTO `{name}` VALUES (1);\nUNLOCK TABLES;\n"
            ),
            false => String::new(),
        };
        format!("CREATE TABLE `{name}` (\n  `a` int(11)\n) ENGINE=InnoDB;\n{rows}")
    };
    let tables: String = tables.iter().map(table).collect();
    format!("-- MariaDB dump 10.19\n\n{tables}-- Dump completed\n")
}

/// What a script of operators' makes: one dump after the other; and a file that was changed.
#[test]
fn what_comes_after_the_end_and_sums_that_are_wrong_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let said = |name: &str, bytes: &[u8]| refusal(&file(directory.path(), name, bytes));
    let one = b"-- MariaDB dump 10.19\n\nCREATE TABLE `t` (\n  `a` int(11)\n) ENGINE=InnoDB;\nLOCK TABLES `t` WRITE;\nINSERT INTO `t` VALUES (1);\nUNLOCK TABLES;\n-- Dump completed\n";
    let twice = [&one[..], &one[..]].concat();
    let text = said("twice.sql", &twice);
    assert!(
        !text.contains("is there twice") && text.contains("more after the line"),
        "{text}"
    );
    said("twice.sql.gz", &[gzip(one), gzip(one)].concat());
    let mut zipped = gzip(one);
    let crc = zipped.len() - 8;
    zipped[crc] ^= 1;
    said("sum.sql.gz", &zipped);
    let whole = gzip(one);
    said("short.sql.gz", &whole[..whole.len() - 8]);
    let before = [&b"INSERT INTO `t` VALUES (2);\n"[..], &one[..]].concat();
    said("before.sql", &before);
    let long = [&b"-- MariaDB dump 10.19\n"[..], &[b'x'; 100]].concat();
    said("long.sql", &long);
    let zeros = gzip(&vec![0; 1 << 20]);
    let text = said("zeros.gz", &zeros);
    assert!(text.contains("a line of more than 65536 bytes"), "{text}");
    let generated = String::from_utf8_lossy(one)
        .replace("`a` int(11)", "`a` int(11) GENERATED ALWAYS AS (1) VIRTUAL");
    let text = said("generated.sql", generated.as_bytes());
    assert!(text.contains("t.a is a generated column"), "{text}");
    let other = dump_of(&[("a", true), ("b", true)])
        .replace("CREATE TABLE `b`", "USE `y`;\nCREATE TABLE `b`");
    let text = said(
        "two.sql",
        other.replacen("CREATE", "USE `x`;\nCREATE", 1).as_bytes(),
    );
    assert!(text.contains("line 10: a second database"), "{text}");
    let text = said("rows.sql", dump_of(&[("a", true), ("b", false)]).as_bytes());
    assert!(text.contains("the rows of table b were left out"), "{text}");
    let refers = dump_of(&[("a", true)]).replace(
        "int(11)\n",
        "int(11),\n  CONSTRAINT `k` FOREIGN KEY (`a`) REFERENCES `c` (`a`)\n",
    );
    let text = said("refers.sql", refers.as_bytes());
    assert!(
        text.contains("table a refers to c, which is not there"),
        "{text}"
    );
    let head = "--\n-- PostgreSQL database dump\n--\n\n";
    let end = "--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict x\n\n";
    let parts =
        format!("{head}CREATE TABLE public.t (\n    a integer\n)\nPARTITION BY RANGE (a);\n{end}");
    let text = said("parts.sql", parts.as_bytes());
    assert!(
        text.contains("parts that are tables of their own"),
        "{text}"
    );
    // What is behind the end of a statement on its line is not passed over.
    let more = "INSERT INTO t VALUES (2);";
    let dump = String::from_utf8_lossy(one);
    for (from, line) in [("LOCK TABLES", 6), ("INSERT INTO", 7), ("UNLOCK TABLES", 8)] {
        let behind = dump.lines().map(|l| match l.starts_with(from) {
            true => format!("{l} {more}\n"),
            false => format!("{l}\n"),
        });
        let text = said("behind.sql", behind.collect::<String>().as_bytes());
        assert!(
            text.contains(&format!("line {line}: another statement")),
            "{text}"
        );
    }
    for (behind, line) in [
        (format!("/* a */ {more}"), 3),
        (format!("/* a\n b */; /* c */ {more}"), 4),
        (format!("SET @a = 'x;y', @b =\n 'z'; {more}"), 4),
    ] {
        let text = dump.replacen("10.19\n", &format!("10.19\n\n{behind}"), 1);
        let text = said("behind.sql", text.as_bytes());
        assert!(
            text.contains(&format!("line {line}: another statement")),
            "{text}"
        );
    }
    let behind = format!("{head}SET a = 'x;y'; {more}\n{end}");
    let text = said("behind.sql", behind.as_bytes());
    assert!(text.contains("line 5: another statement"), "{text}");
    let latin =
        format!("{head}CREATE TABLE public.t (\n    a text\n);\nCOPY public.t (a) FROM stdin;\n");
    let latin = [latin.as_bytes(), b"\xe9\n\\.\n", end.as_bytes()].concat();
    assert!(said("latin.sql", &latin).contains("not UTF-8"));
}

/// A server that replicates has its transaction ids in the dump, over several lines.
#[test]
fn statements_over_several_lines_and_comments_behind_them_are_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let ids = "SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'a:1-5,\nb:1-7';\n/*!50001 CREATE\n VIEW v AS \
               SELECT 1 */;\n";
    let dump = format!(
        "-- MySQL dump 10.13\n{ids}CREATE TABLE `t` (\n  `a` int\n) ENGINE=InnoDB;\nLOCK TABLES `t` WRITE; /* x */\n\
         INSERT INTO `t` VALUES (1);\nUNLOCK TABLES; -- y\n-- Dump completed\n"
    );
    let path = file(directory.path(), "ids.sql", dump.as_bytes());
    let mut dump = open_dump(&path).unwrap().unwrap();
    assert_eq!(
        dump.session.query_count("SELECT COUNT(*) FROM t").unwrap(),
        1
    );
}

/// The tools can leave out the rows of a table.
#[test]
fn a_dump_without_the_rows_of_a_table_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::fresh(Engine::Postgres);
    let mut session = database.session();
    for table in ["empty", "filled"] {
        session
            .execute(&format!("CREATE TABLE {table} (id INT, deleted INT)"))
            .unwrap();
    }
    session.execute("INSERT INTO filled VALUES (1, 0)").unwrap();
    for form in ["--format=plain", "--inserts"] {
        let whole = file(directory.path(), "whole.sql", &pg_dump(&database, &[form]));
        open_dump(&whole).unwrap().unwrap();
        let part = pg_dump(&database, &[form, "--exclude-table-data=filled"]);
        let text = refusal(&file(directory.path(), "part.sql", &part));
        assert!(
            text.contains("the rows of table filled were left out"),
            "{text}"
        );
    }
}

#[test]
fn a_dump_of_the_schema_alone_is_no_clean_audit() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::fresh(Engine::Mysql);
    let mut session = database.session();
    create_schema(&mut session, "nova-34.0.0").unwrap();
    let dump = mariadb_dump(&database, &["--no-data"]);
    let path = file(directory.path(), "nova.sql", &dump)
        .display()
        .to_string();
    let (code, _, said) = sexton(&["audit", &path]);
    assert_eq!(code, 65, "{said}");
    assert!(said.contains("is a dump without rows"), "{said}");
    let cell = directory.path().join("cell.db").display().to_string();
    assert_eq!(sexton(&["generate", &cell, "--families", "1"]).0, 0);
    let api = Database::fresh(Engine::Mysql);
    create_schema(&mut api.session(), "nova-34.0.0-api").unwrap();
    let dump = mariadb_dump(&api, &["--no-data"]);
    let api = file(directory.path(), "api.sql", &dump)
        .display()
        .to_string();
    let (code, _, said) = sexton(&["audit", &cell, "--api", &api]);
    assert_eq!(code, 65, "{said}");
    assert!(
        said.contains("API database: ") && said.contains("is a dump without rows"),
        "{said}"
    );
    assert_eq!(
        sexton(&["schema", "diff", &path, "--release", "nova-34"]).0,
        0
    );
}
