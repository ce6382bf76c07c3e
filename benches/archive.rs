//! How many rows a second an archive run moves, by engine, size and batch size.
//!
//! Archiving destroys its input: every measured run gets a fresh copy (SQLite) or a database filled
//! again (servers), and neither the copying nor the filling is measured.

mod common;

use std::cell::Cell;

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main,
};
use sexton::db::{Engine, Session};

use common::{OnServer, Template};

const MAX_ROWS: [u64; 2] = [1_000, 10_000];

fn archive(c: &mut Criterion) {
    for families in common::sizes() {
        let template = Template::new(families);
        let name = format!("archive/{}", common::name(Engine::Sqlite));
        let group = &mut common::group(c, &name, template.movable);
        for max_rows in MAX_ROWS {
            let size = (families, template.movable);
            run(group, &name, max_rows, size, || template.copy());
        }
    }
    let families = common::server_size();
    // The data is the same on every engine, and so is what moves.
    let movable = Template::new(families).movable;
    for engine in [Engine::Mysql, Engine::Postgres] {
        let Some(database) = OnServer::new(engine, families) else {
            continue;
        };
        let name = format!("archive/{}", common::name(engine));
        let group = &mut common::group(c, &name, movable);
        for max_rows in MAX_ROWS {
            let size = (families, movable);
            run(group, &name, max_rows, size, || database.refilled());
        }
    }
}

fn run(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    max_rows: u64,
    (families, movable): (u32, u64),
    fresh: impl Fn() -> Session,
) {
    let function = format!("max-rows-{max_rows}");
    let statements = Cell::new(0);
    let id = BenchmarkId::new(&function, families);
    group.bench_function(id, |bencher| {
        let setup = || {
            let mut session = fresh();
            let graph = common::graph(&mut session);
            (session, graph)
        };
        let routine = |(mut session, graph)| {
            let done = common::archive(&mut session, &graph, max_rows);
            assert_eq!(done.total_rows, movable);
            statements.set(done.statements);
            session
        };
        bencher.iter_batched(setup, routine, BatchSize::PerIteration);
    });
    common::say_statements(&format!("{name}/{function}/{families}"), statements.get());
}

criterion_group!(benches, archive);
criterion_main!(benches);
