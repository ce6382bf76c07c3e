//! How many rows a second an audit with every check reads, by engine and size.

mod common;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sexton::audit;
use sexton::db::{Engine, Session};

use common::{OnServer, Template};

fn audit(c: &mut Criterion) {
    for families in common::sizes() {
        let template = Template::new(families);
        run(c, families, template.rows, &mut template.copy());
    }
    let families = common::server_size();
    let rows = Template::new(families).rows;
    for engine in [Engine::Mysql, Engine::Postgres] {
        if let Some(database) = OnServer::new(engine, families) {
            run(c, families, rows, &mut database.refilled());
        }
    }
}

fn run(c: &mut Criterion, families: u32, rows: u64, session: &mut Session) {
    let graph = common::graph(session);
    let mut group = c.benchmark_group(format!("audit/{}", common::name(session.engine())));
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .throughput(Throughput::Elements(rows));
    let options = audit::Options::default();
    group.bench_function(BenchmarkId::new("all-checks", families), |bencher| {
        bencher.iter(|| {
            let report = audit::audit(session, &graph, &options).expect("an audit");
            assert!(report.summary.error == 0 && report.not_checked.is_empty());
            report
        });
    });
}

criterion_group!(benches, audit);
criterion_main!(benches);
