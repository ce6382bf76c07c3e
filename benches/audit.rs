//! How many rows a second an audit with every check reads, by engine and size.

mod common;

use std::cell::Cell;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sexton::audit;
use sexton::db::{Engine, Session};

use common::{OnServer, Template};

fn audit(c: &mut Criterion) {
    for families in common::sizes() {
        let template = Template::new(families);
        run(c, Engine::Sqlite, families, template.rows, || {
            template.copy()
        });
    }
    let families = common::server_size();
    let rows = Template::new(families).rows;
    for engine in [Engine::Mysql, Engine::Postgres] {
        if let Some(database) = OnServer::new(engine, families) {
            run(c, engine, families, rows, || database.refilled());
        }
    }
}

fn run(c: &mut Criterion, engine: Engine, families: u32, rows: u64, filled: impl Fn() -> Session) {
    let name = format!("audit/{}", common::name(engine));
    let mut group = c.benchmark_group(&name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .throughput(Throughput::Elements(rows));
    let options = audit::Options::default();
    let statements = Cell::new(0);
    // Opened only if this benchmark is asked for.
    let mut opened = None;
    group.bench_function(BenchmarkId::new("all-checks", families), |bencher| {
        let (session, graph) = opened.get_or_insert_with(|| {
            let mut session = filled();
            let graph = common::graph(&mut session);
            (session, graph)
        });
        bencher.iter(|| {
            let before = session.statements();
            let report = audit::audit(session, graph, &options).expect("an audit");
            assert!(report.summary.error == 0 && report.not_checked.is_empty());
            statements.set(session.statements() - before);
            report
        });
    });
    common::say_statements(&format!("{name}/all-checks/{families}"), statements.get());
}

criterion_group!(benches, audit);
criterion_main!(benches);
