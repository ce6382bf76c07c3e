//! What a repair heals, what it leaves, and that it loses nothing however it is cut.

mod beside;
mod choices;
mod planted;
mod servers;

use std::time::Duration;

use sexton::archive::{self, Observer, Stop};
use sexton::audit;
use sexton::db::{DbErrorKind, Engine, Session, introspect};
use sexton::exit::ExitCode;
use sexton::generate::{Damage, Dataset, create_schema, generate};
use sexton::repair::{Options, RepairOutcome, repair};
use sexton::schema::{Column, FamilyGraph, Profile};

use crate::rough::{How, session as rough, upset};
use crate::support::cloud::{Cloud, contents, uuid};
use crate::support::databases::Database;

/// The checks whose findings it claims to heal.
const CURE: [&str; 4] = [
    "split-family",
    "residue",
    "duplicate-in-shadow",
    "inconsistent-marker",
];

fn apply(checks: &[&str]) -> Options {
    Options {
        apply: true,
        ..plan(checks)
    }
}

fn plan(checks: &[&str]) -> Options {
    Options {
        checks: checks.iter().map(|c| (*c).to_owned()).collect(),
        ..Options::default()
    }
}

fn mend(session: &mut Session, graph: &FamilyGraph, options: &Options) -> RepairOutcome {
    repair(session, graph, None, options, &Stop::default(), &mut ()).unwrap()
}

fn graph_of(session: &mut Session) -> FamilyGraph {
    let schema = introspect(session).unwrap();
    Profile::detect(&schema).families(&schema).unwrap()
}

/// `check table: rows`.
fn healed(outcome: &RepairOutcome) -> Vec<String> {
    let line =
        |h: &sexton::repair::Healed| format!("{} {} {}: {}", h.way, h.check, h.table, h.rows);
    outcome.healed.iter().map(line).collect()
}

/// What these checks find, or whether a row has lost its parent.
fn serious(session: &mut Session, graph: &FamilyGraph) -> Vec<String> {
    let checks = CURE
        .iter()
        .chain(&["orphaned-row", "missing-required-child"]);
    let options = audit::Options {
        checks: checks.map(|c| (*c).to_owned()).collect(),
        ..audit::Options::default()
    };
    let report = audit::audit(session, graph, &options).unwrap();
    assert_eq!(report.not_checked, []);
    let findings = report
        .findings
        .iter()
        .filter(|f| f.severity != audit::Severity::Note);
    findings
        .map(|f| format!("{} {}: {}", f.check, f.table, f.count))
        .collect()
}

/// A Nova with this damage.
fn damaged(engine: Engine, damage: &[(Damage, u32)]) -> (Database, Session, FamilyGraph) {
    let database = Database::fresh(engine);
    let mut session = database.session();
    create_schema(&mut session, "nova-34.0.0").unwrap();
    let schema = introspect(&mut session).unwrap();
    let dataset = Dataset {
        seed: 7,
        families: 3,
        live: 3,
        damage: damage.to_vec(),
    };
    generate(&mut session, &schema, &dataset, &mut |_| {}).unwrap();
    let graph = graph_of(&mut session);
    (database, session, graph)
}

/// The planted damage of each check that claims to heal it, and nothing but that.
#[test]
fn what_it_claims_to_heal_an_audit_does_not_find_again() {
    for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
        let moves = [(Damage::SplitFamily, 4), (Damage::Residue, 3)];
        let (_database, mut session, graph) = damaged(engine, &moves);
        let before = contents(&mut session);
        assert!(!serious(&mut session, &graph).is_empty());

        // First as a plan.
        let planned = mend(&mut session, &graph, &plan(&CURE));
        assert_eq!(planned.exit_code(), ExitCode::Findings);
        assert_eq!(planned.left, [], "{engine}");
        assert!(!planned.archived.is_empty());
        assert_eq!(contents(&mut session), before);
        assert!(!serious(&mut session, &graph).is_empty());

        let done = mend(&mut session, &graph, &apply(&CURE));
        assert_eq!(done.exit_code(), ExitCode::Done, "{engine}: {done:#?}");
        assert_eq!(healed(&done), healed(&planned), "{engine}");
        assert_eq!(
            serious(&mut session, &graph),
            Vec::<String>::new(),
            "{engine}"
        );
        assert_eq!(contents(&mut session), before, "{engine}: nothing is lost");
        // The healthy ones stay where they are.
        assert_eq!(mend(&mut session, &graph, &apply(&CURE)).healed, []);
        let live = session
            .query_count("SELECT COUNT(*) FROM instances")
            .unwrap();
        assert_eq!(live, 3 + 3, "{engine}");
    }
}

#[test]
fn of_two_copies_one_goes_and_rows_that_differ_are_left() {
    for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
        let (_database, mut session, graph) = damaged(engine, &[(Damage::DuplicateInShadow, 5)]);
        let mut before = contents(&mut session);
        let done = mend(&mut session, &graph, &apply(&["duplicate-in-shadow"]));
        let all = "drop-shadow-copy duplicate-in-shadow instance_system_metadata: 3";
        assert_eq!(healed(&done), [all], "{engine}");
        assert_eq!(done.exit_code(), ExitCode::Findings);
        assert_eq!(
            (done.left.len(), done.left[0].count),
            (1, 2),
            "{engine}: {:?}",
            done.left
        );
        // Each row is there still, once.
        let mut after = contents(&mut session);
        for rows in before.values_mut().chain(after.values_mut()) {
            rows.dedup();
        }
        assert_eq!(after, before, "{engine}");
    }
}

#[test]
fn a_row_that_is_marked_deleted_says_since_when() {
    for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
        let (_database, mut session, graph) = damaged(engine, &[(Damage::InconsistentMarker, 4)]);
        let child = "SELECT COUNT(*) FROM instance_metadata m JOIN instances i ON i.uuid = m.instance_uuid \
                     WHERE m.deleted <> 0 AND m.deleted_at = i.deleted_at";
        let before = session.query_count(child).unwrap();
        let done = mend(&mut session, &graph, &apply(&["inconsistent-marker"]));
        assert_eq!(done.exit_code(), ExitCode::Done, "{engine}: {done:#?}");
        assert_eq!(
            serious(&mut session, &graph),
            Vec::<String>::new(),
            "{engine}"
        );
        // With their instance.
        assert_eq!(session.query_count(child).unwrap() - before, 2, "{engine}");
    }
}

/// The statement that copies rows to a table of the same columns: on PostgreSQL each has an enum of its own.
fn copy(graph: &FamilyGraph, engine: Engine, from: &str, to: &str, condition: &str) -> String {
    let columns = graph.table(to).unwrap().columns.iter();
    let value = |column: &Column| match &column.native {
        Some(native) => format!("{}::text::{native}", engine.quote(&column.name)),
        None => engine.quote(&column.name),
    };
    let values: Vec<_> = columns.clone().map(value).collect();
    let names = engine.quote_all(columns.map(|c| &c.name));
    let values = values.join(", ");
    format!("INSERT INTO {to} ({names}) SELECT {values} FROM {from} WHERE {condition}")
}

/// What an archiver that was cut has left: each half finds the other.
fn broken() -> Cloud {
    broken_on(Cloud::new(Engine::Sqlite))
}

fn broken_on(mut cloud: Cloud) -> Cloud {
    (1..=4).for_each(|id| cloud.dead_instance(id));
    (8..=9).for_each(|id| cloud.live_instance(id));
    let graph = cloud.graph();
    let engine = cloud.engine();
    let mut go = |table: &str, condition: String, and_delete: bool| {
        let copy = copy(
            &graph,
            engine,
            table,
            &format!("shadow_{table}"),
            &condition,
        );
        let delete = match and_delete {
            true => format!("; DELETE FROM {table} WHERE {condition}"),
            false => String::new(),
        };
        cloud.sql(&format!("{copy}{delete}"));
    };
    // Of a living instance.
    go("instance_extra", "id = 8".into(), true);
    go("instance_actions_events", "id = 8".into(), true);
    go("instance_actions", "id = 8".into(), true);
    // The first half, the second half, and a copy.
    go("instance_info_caches", "id = 1".into(), true);
    for table in [
        "instance_actions_events",
        "instance_actions",
        "instance_extra",
        "instance_info_caches",
    ] {
        go(table, "id = 2".into(), true);
    }
    go("block_device_mapping", "id = 2".into(), false);
    go("instance_system_metadata", "id = 30".into(), false);
    cloud.sql(
        "UPDATE instance_system_metadata SET deleted = 0, deleted_at = NULL WHERE id = 41;
         UPDATE block_device_mapping SET deleted_at = NULL WHERE id = 3",
    );
    cloud
}

#[test]
fn halves_find_each_other_on_every_engine() {
    Cloud::on_each_engine(|cloud| {
        let mut cloud = broken_on(cloud);
        let before = cloud.contents();
        let graph = cloud.graph();
        let done = mend(&mut cloud.session, &graph, &apply(&CURE));
        assert_eq!(done.exit_code(), ExitCode::Done, "{done:#?}");
        assert_eq!(serious(&mut cloud.session, &graph), Vec::<String>::new());
        assert_eq!(cloud.whereabouts(8), (8, 0));
        assert_eq!(
            (1..=4).map(|id| cloud.is_archived(id)).collect::<Vec<_>>(),
            [true, true, false, true]
        );
        assert_eq!(sum(&cloud.contents()), sum(&before) - 2, "two copies");
    });
}

fn sum(contents: &crate::support::cloud::Contents) -> usize {
    contents.values().map(Vec::len).sum()
}

/// A row whose family is archived goes from the live table.
#[test]
fn a_copy_that_an_archiver_left_in_the_live_table_goes() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.sql(&format!(
            "INSERT INTO instance_id_mappings (id, uuid, deleted) VALUES (5, '{}', 0)",
            uuid(1)
        ));
        cloud.archive_all();
        cloud.sql(
            "INSERT INTO instance_id_mappings (created_at, updated_at, deleted_at, id, uuid, deleted) \
             SELECT created_at, updated_at, deleted_at, id, uuid, deleted FROM shadow_instance_id_mappings",
        );
        let graph = cloud.graph();
        let done = mend(&mut cloud.session, &graph, &apply(&CURE));
        assert_eq!(
            healed(&done),
            ["drop-live-copy duplicate-in-shadow instance_id_mappings: 1"]
        );
        assert_eq!(cloud.count("instance_id_mappings"), 0);
        assert_eq!(cloud.count("shadow_instance_id_mappings"), 1);
    });
}

/// A row of [`contents`] without the value of its `deleted_at`.
fn undated(row: &str) -> String {
    let (before, date) = row.split_once("(\"deleted_at\", ").unwrap();
    let (_, after) = date.split_once("), (\"").unwrap();
    format!("{before}{after}")
}

/// A connection that ends at any statement, for good: the next run does the rest.
#[test]
fn a_repair_that_is_cut_at_any_statement_is_finished_by_the_next() {
    let template = broken();
    let bytes = std::fs::read(&template.database.url).unwrap();
    let fresh = || {
        let database = Database::fresh(Engine::Sqlite);
        std::fs::write(&database.url, &bytes).unwrap();
        Cloud::on(database)
    };
    let mut whole = fresh();
    let graph = whole.graph();
    let options = Options {
        run: archive::Options {
            retries: 0,
            backoff: Duration::ZERO,
            ..archive::Options::default()
        },
        ..apply(&CURE)
    };
    let rows = sum(&whole.contents()) - 2;
    let (mut session, seen) = rough(&whole, &[]);
    let stop = Stop::default();
    let done = repair(&mut session, &graph, None, &options, &stop, &mut ()).unwrap();
    assert_eq!(done.left, []);
    drop(session);
    // But for the moment that a row without a date was given.
    let timeless = |cloud: &mut Cloud| {
        let mut all = cloud.contents();
        let devices = all.get_mut("block_device_mapping").unwrap();
        devices.iter_mut().for_each(|row| *row = undated(row));
        all
    };
    let end = timeless(&mut whole);
    let statements = seen.statements.lock().unwrap().clone();
    let writes = ["BEGIN", "INSERT", "UPDATE", "DELETE", "COMMIT"];
    let writes = |s: &String| writes.iter().any(|w| s.starts_with(w));
    let mut cut = 0;
    for (point, statement) in statements.iter().enumerate() {
        // Of the questions some will do: they change nothing.
        if !writes(statement) && point % 80 != 0 {
            continue;
        }
        let lost = [How::Refused(DbErrorKind::Connection), How::Unheard];
        for how in lost.into_iter().take(1 + usize::from(writes(statement))) {
            let mut cloud = fresh();
            let (mut session, _) = rough(&cloud, &[upset("", point, usize::MAX, how)]);
            let ended = repair(&mut session, &graph, None, &options, &stop, &mut ());
            drop(session);
            // What could not be asked at the end is no success either.
            let code = ended.map_or_else(|error| error.code, |outcome| outcome.exit_code());
            let codes = [ExitCode::Stopped, ExitCode::Unavailable];
            assert!(codes.contains(&code), "{point}: {code:?}");
            let done = mend(&mut cloud.session, &graph, &apply(&CURE));
            assert_eq!(done.left, [], "{point}: {statement}");
            let found = serious(&mut cloud.session, &graph);
            assert_eq!(found, Vec::<String>::new(), "{point}: {statement}");
            assert_eq!(timeless(&mut cloud), end, "{point}: {statement}");
            assert_eq!(sum(&cloud.contents()), rows, "{point}: {statement}");
            cut += 1;
        }
    }
    assert!(cut > 60, "{cut}");
}

/// Between the question and the lock somebody else deletes one row and undeletes another.
#[test]
fn rows_that_go_or_change_before_they_are_locked_are_named() {
    let told = |transaction: usize, sql: &'static str| {
        let mut cloud = broken();
        let graph = cloud.graph();
        let upsets = [upset("BEGIN", transaction, 1, How::After(sql))];
        let (mut session, _) = rough(&cloud, &upsets);
        let (options, stop, mut told) = (apply(&CURE), Stop::default(), Told::default());
        let done = repair(&mut session, &graph, None, &options, &stop, &mut told).unwrap();
        (
            told.0,
            done.left
                .into_iter()
                .map(|left| left.why)
                .collect::<Vec<_>>(),
        )
    };
    let nothing = (Vec::<String>::new(), Vec::<String>::new());
    assert_eq!(told(3, "SELECT 1"), nothing);
    // As the rows of instance 8 come back, and as instance 1 is archived.
    let (gone, left) = told(3, "DELETE FROM shadow_instance_extra WHERE id = 8");
    assert_eq!((gone.len(), left.len()), (1, 0), "{gone:?}");
    assert!(gone[0].starts_with("rough: shadow_instance_extra:8 was left: gone-meanwhile: "));
    let revived = "UPDATE instances SET deleted = 0, deleted_at = NULL WHERE id = 1";
    let (revived, left) = told(5, revived);
    assert_eq!(revived.len(), 1, "{revived:?}");
    // Of what was deleted with it a row is archived that it needs.
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].starts_with("the only such row was deleted itself"));
    assert!(revived[0].starts_with("rough: instances:1 was left: changed-meanwhile: "));
}

#[derive(Default)]
struct Told(Vec<String>);

impl Observer for Told {
    fn notice(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }
}

#[derive(Default)]
struct Shown(Vec<String>);

impl Observer for Shown {
    fn plan(&mut self, _: &str, statements: &[String]) {
        self.0.extend_from_slice(statements);
    }
}

#[test]
fn a_plan_shows_its_statements() {
    let mut cloud = broken();
    let (graph, before) = (cloud.graph(), cloud.contents());
    let mut shown = Shown::default();
    let stop = Stop::default();
    repair(
        &mut cloud.session,
        &graph,
        None,
        &plan(&CURE),
        &stop,
        &mut shown,
    )
    .unwrap();
    assert_eq!(cloud.contents(), before);
    for begins in [
        "INSERT INTO \"instance_extra\"",
        "DELETE FROM \"shadow_instance_extra\"",
        "INSERT INTO \"shadow_instances\"",
        "DELETE FROM \"shadow_instance_system_metadata\"",
        "UPDATE \"block_device_mapping\" SET \"deleted_at\" = COALESCE(",
    ] {
        assert!(
            shown.0.iter().any(|s| s.starts_with(begins)),
            "{begins}: {:#?}",
            shown.0
        );
    }
}
