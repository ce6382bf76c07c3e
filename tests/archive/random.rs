//! Random family graphs and rows on SQLite: whatever the shape and however a run is cut into
//! batches, nothing is lost, no family is split, and a further run changes nothing.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sexton::archive::{self, Options, Stop};
use sexton::db::{Engine, Session, introspect};
use sexton::schema::{FamilyGraph, Ownership, Profile, ProfileReference};

use crate::support::cloud::contents;
use crate::support::databases::Database;

const TABLES: usize = 5;

/// A reference from any table to any other, or to itself: owned ones may go round in circles.
#[derive(Debug, Clone)]
struct Edge {
    child: usize,
    parent: usize,
    owned: bool,
    declared: bool,
}

/// A row: its table, whether it is marked deleted, and what each reference points at, by position
/// among the parent's rows.
#[derive(Debug, Clone)]
struct Seed {
    table: usize,
    deleted: bool,
    picks: Vec<Option<usize>>,
}

fn edge() -> impl Strategy<Value = Edge> {
    (
        0..TABLES,
        0..TABLES,
        any::<bool>(),
        prop::bool::weighted(0.8),
    )
        .prop_map(|(a, b, owned, declared)| Edge {
            child: a,
            parent: b,
            owned,
            declared,
        })
}

fn seed() -> impl Strategy<Value = Seed> {
    let picks = prop::collection::vec(prop::option::weighted(0.7, 0..100_usize), 6);
    (0..TABLES, prop::bool::weighted(0.6), picks).prop_map(|(table, deleted, picks)| Seed {
        table,
        deleted,
        picks,
    })
}

/// Creates tables with a column for each reference, and a shadow table for all but the last one.
fn create(session: &mut Session, edges: &[Edge], last_without_shadow: bool) {
    for table in 0..TABLES {
        let own: Vec<_> = edges
            .iter()
            .enumerate()
            .filter(|(_, e)| e.child == table)
            .collect();
        let columns: String = own.iter().map(|(i, _)| format!(", r{i} INTEGER")).collect();
        let keys: String = own
            .iter()
            .filter(|(_, e)| e.declared)
            .map(|(i, e)| format!(", FOREIGN KEY (r{i}) REFERENCES t{} (id)", e.parent))
            .collect();
        let body = format!("id INTEGER PRIMARY KEY, deleted INTEGER NOT NULL{columns}");
        session
            .execute(&format!("CREATE TABLE t{table} ({body}{keys})"))
            .unwrap();
        if !(last_without_shadow && table == TABLES - 1) {
            session
                .execute(&format!("CREATE TABLE shadow_t{table} ({body})"))
                .unwrap();
        }
    }
}

fn fill(session: &mut Session, edges: &[Edge], seeds: &[Seed]) {
    let mut ids: Vec<Vec<usize>> = vec![Vec::new(); TABLES];
    for (id, seed) in (1..).zip(seeds) {
        ids[seed.table].push(id);
    }
    session.execute("PRAGMA foreign_keys = OFF").unwrap();
    for (id, seed) in (1..).zip(seeds) {
        let mut names = vec!["id".to_owned(), "deleted".to_owned()];
        let mut values = vec![
            id.to_string(),
            if seed.deleted { id } else { 0 }.to_string(),
        ];
        let own = edges
            .iter()
            .enumerate()
            .filter(|(_, e)| e.child == seed.table);
        for (pick, (number, edge)) in seed.picks.iter().cycle().zip(own) {
            let parents = &ids[edge.parent];
            if let Some(pick) = pick.filter(|_| !parents.is_empty()) {
                names.push(format!("r{number}"));
                values.push(parents[pick % parents.len()].to_string());
            }
        }
        let (table, names, values) = (seed.table, names.join(","), values.join(","));
        session
            .execute(&format!("INSERT INTO t{table} ({names}) VALUES ({values})"))
            .unwrap();
    }
    session.execute("PRAGMA foreign_keys = ON").unwrap();
}

fn profile(edges: &[Edge]) -> Profile {
    let mut profile = Profile::convention();
    for (number, edge) in edges.iter().enumerate() {
        profile.reference.push(ProfileReference {
            child: format!("t{}.r{number}", edge.child),
            parent: format!("t{}.id", edge.parent),
            kind: if edge.owned {
                Ownership::Owned
            } else {
                Ownership::Shared
            },
            by_convention: !edge.declared,
            required: false,
        });
    }
    profile
}

/// Owned children that are on the other side than their parent without an excuse. A child that is
/// itself marked deleted may lie in the shadow table while its parent lives.
fn splits(session: &mut Session, graph: &FamilyGraph) -> Vec<String> {
    let mut found = Vec::new();
    for reference in graph.references.iter().filter(|r| r.is_owned()) {
        let (child, parent) = (&reference.child, &reference.parent);
        let on = reference.join(Engine::Sqlite, "c", "p");
        let shadow = |table: &str| graph.member(table).and_then(|m| m.shadow.clone());
        if let (Some(_), Some(parents)) = (shadow(child), shadow(parent)) {
            let sql = format!("SELECT COUNT(*) FROM {child} c JOIN {parents} p ON {on}");
            if session.query_count(&sql).unwrap() > 0 {
                found.push(format!("{reference}: child live, parent archived"));
            }
        }
        if let Some(children) = shadow(child) {
            let sql = format!(
                "SELECT COUNT(*) FROM {children} c JOIN {parent} p ON {on} \
                 WHERE c.deleted = 0 OR p.deleted <> 0"
            );
            if session.query_count(&sql).unwrap() > 0 {
                found.push(format!("{reference}: child archived, parent live"));
            }
        }
    }
    found
}

proptest! {
    // The same graphs each time; `sexton prove --random` looks for new ones.
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(3),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_cut_of_a_run_splits_or_loses_anything(
        edges in prop::collection::vec(edge(), 1..7),
        seeds in prop::collection::vec(seed(), 1..40),
        max_rows in 1_u64..12,
        last_without_shadow in prop::bool::weighted(0.2),
    ) {
        let database = Database::fresh(Engine::Sqlite);
        let mut session = database.session();
        create(&mut session, &edges, last_without_shadow);
        fill(&mut session, &edges, &seeds);
        let schema = introspect(&mut session).unwrap();
        let graph = profile(&edges).families(&schema).unwrap();
        let before = contents(&mut session);
        let mut run = |options: &Options| {
            let stop = Stop::default();
            archive::archive(&mut session, &graph, options, &stop, &mut ()).unwrap()
        };
        // One batch after the other, each a run of its own, as if cut there.
        let one = Options { max_rows, ..Options::default() };
        let mut states = Vec::new();
        for _ in 0..seeds.len() + 1 {
            let outcome = run(&one);
            let moved = outcome.total_rows;
            states.push(outcome);
            if moved == 0 {
                break;
            }
        }
        let rest = run(&Options { max_rows, until_complete: true, ..Options::default() });
        prop_assert_eq!(rest.total_rows, 0, "single batches must get everywhere: {:?} {:?} {:?}", states, rest, before);
        prop_assert_eq!(contents(&mut session), before);
        prop_assert_eq!(splits(&mut session, &graph), Vec::<String>::new());
    }

    #[test]
    fn every_batch_leaves_whole_families(
        edges in prop::collection::vec(edge(), 1..7),
        seeds in prop::collection::vec(seed(), 1..40),
        max_rows in 1_u64..12,
    ) {
        let database = Database::fresh(Engine::Sqlite);
        let mut session = database.session();
        create(&mut session, &edges, false);
        fill(&mut session, &edges, &seeds);
        let schema = introspect(&mut session).unwrap();
        let graph = profile(&edges).families(&schema).unwrap();
        let one = Options { max_rows, ..Options::default() };
        loop {
            let stop = Stop::default();
            let done = archive::archive(&mut session, &graph, &one, &stop, &mut ()).unwrap();
            prop_assert_eq!(splits(&mut session, &graph), Vec::<String>::new());
            if done.total_rows == 0 {
                break;
            }
        }
    }
}
