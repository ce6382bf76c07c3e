//! What else takes time with the size of a database: emptying shadow tables, making data, reading a dump; and planning alone.

mod common;

use std::cell::Cell;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use sexton::archive::{self, Options, Stop};
use sexton::audit::{self, Checks};
use sexton::db::{Engine, SqliteDriver, SqliteMode, open_dump};
use sexton::schema::{Model, Profile};

use common::{Template, group};

/// `purge --all` of what was archived before; rows deleted per second.
fn purge(c: &mut Criterion) {
    for families in common::sizes() {
        let template = Template::archived(families);
        let options = Options {
            max_rows: 10_000,
            task_log: true,
            ..Options::default()
        };
        let statements = Cell::new(0);
        let mut group = group(c, "purge/sqlite", template.movable);
        group.bench_function(BenchmarkId::new("all", families), |bencher| {
            let setup = || {
                let mut session = template.copy();
                let graph = common::graph(&mut session);
                (session, graph)
            };
            let routine = |(mut session, graph)| {
                let stop = Stop::default();
                let done = archive::purge(&mut session, &graph, &options, &stop, &mut ());
                let done = done.expect("a purge");
                assert_eq!(done.total_rows, template.movable);
                statements.set(done.statements);
                session
            };
            bencher.iter_batched(setup, routine, BatchSize::PerIteration);
        });
        common::say_statements(&format!("purge/sqlite/all/{families}"), statements.get());
    }
}

/// Rows written per second, the making of the schema included.
fn generate(c: &mut Criterion) {
    for families in common::sizes() {
        let directory = tempfile::tempdir().expect("a directory");
        let rows = Template::new(families).rows;
        let statements = Cell::new(0);
        let mut group = group(c, "generate/sqlite", rows);
        group.bench_function(BenchmarkId::new("nova-34.0.0", families), |bencher| {
            let path = directory.path().join("made.db");
            let setup = || {
                drop(std::fs::remove_file(&path));
                SqliteDriver::open(&path, SqliteMode::Create).expect("a file");
                common::session(&path)
            };
            let routine = |mut session| {
                assert_eq!(common::fill(&mut session, families), rows);
                statements.set(session.statements());
            };
            bencher.iter_batched(setup, routine, BatchSize::PerIteration);
        });
        let benchmark = format!("generate/sqlite/nova-34.0.0/{families}");
        common::say_statements(&benchmark, statements.get());
    }
}

/// A dump as mysqldump writes it, of two tables; rows read per second, the indexes made.
fn dump(c: &mut Criterion) {
    for families in common::sizes() {
        let directory = tempfile::tempdir().expect("a directory");
        let rows = u64::from(families) * 23;
        let path = dump_of(directory.path(), rows);
        let mut group = group(c, "dump/mysqldump", rows);
        group.bench_function(BenchmarkId::new("load", families), |bencher| {
            bencher.iter(|| open_dump(&path).expect("a dump").expect("no SQLite file"));
        });
    }
}

fn dump_of(directory: &Path, rows: u64) -> PathBuf {
    let path = directory.join("large.sql");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
    let mut write = |text: &str| file.write_all(text.as_bytes()).expect("room");
    write("-- MariaDB dump 10.19\n\n");
    for table in ["notes", "shadow_notes"] {
        write(&format!(
            "CREATE TABLE `{table}` (\n  `id` int(11) NOT NULL,\n  `deleted` int(11) DEFAULT NULL,\n  `text` \
             varchar(255) DEFAULT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB;\nLOCK TABLES `{table}` WRITE;\n"
        ));
        for first in (0..rows / 2).step_by(500) {
            let row = |id| {
                format!(
                    "({id},{},'a note that is as long as most values are')",
                    id % 2
                )
            };
            let line: Vec<_> = (first..(first + 500).min(rows / 2)).map(row).collect();
            write(&format!(
                "INSERT INTO `{table}` VALUES {};\n",
                line.join(",")
            ));
        }
        write("UNLOCK TABLES;\n");
    }
    write("-- Dump completed\n");
    file.flush().expect("room");
    path
}

/// The graph of Nova's tables and every statement of an audit, without a database.
fn plan(c: &mut Criterion) {
    let schema = Model::built_in("nova-34.0.0")
        .and_then(|m| m.schema())
        .expect("a model");
    let checks = Checks::choose(&[]).expect("all checks");
    let mut group = group(c, "plan", 1);
    group.bench_function("families", |bencher| {
        bencher.iter(|| Profile::detect(&schema).families(&schema).expect("a graph"));
    });
    let graph = Profile::detect(&schema).families(&schema).expect("a graph");
    group.bench_function("audit", |bencher| {
        bencher.iter(|| audit::plan(&graph, Engine::Sqlite, &checks).len());
    });
}

criterion_group!(benches, purge, generate, dump, plan);
criterion_main!(benches);
