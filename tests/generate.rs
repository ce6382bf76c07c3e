//! Generated data, on SQLite: what is in it, that a seed gives it again, and that each damage is
//! as large as was asked for. The counts come from SQL written for each damage by hand, not from
//! the audit, so that the audit can be held against them.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

use std::collections::BTreeMap;
use std::path::Path;

use sexton::db::{Access, Engine, Session, Target, introspect, open};
use sexton::error::Error;
use sexton::exit::ExitCode;
use sexton::generate::{
    Cell, Damage, Dataset, Generated, GeneratedApi, create_schema, generate, generate_api,
};
use sexton::schema::Schema;

/// A database file with the schema of a model, in a directory that goes with it.
struct Database {
    _dir: tempfile::TempDir,
    session: Session,
    schema: Schema,
}

impl Database {
    fn new(model: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut session = empty(&dir.path().join("a.db"));
        create_schema(&mut session, model).unwrap();
        Self {
            _dir: dir,
            schema: introspect(&mut session).unwrap(),
            session,
        }
    }

    fn try_fill(&mut self, dataset: &Dataset) -> Result<Generated, Error> {
        generate(&mut self.session, &self.schema, dataset, &mut |_| {})
    }

    fn fill(&mut self, dataset: &Dataset) -> Generated {
        let generated = self.try_fill(dataset).unwrap();
        for (table, rows) in &generated.rows {
            let count = self.count(&format!("SELECT count(*) FROM {table}"));
            assert_eq!(count, i64::try_from(*rows).unwrap(), "{table}");
        }
        generated
    }

    fn count(&mut self, sql: &str) -> i64 {
        self.session.query_count(sql).unwrap()
    }

    fn broken_keys(&mut self) -> usize {
        self.session
            .query("PRAGMA foreign_key_check")
            .unwrap()
            .len()
    }

    /// Every row of every table, as text.
    fn dump(&mut self) -> BTreeMap<String, Vec<String>> {
        let names: Vec<_> = self.schema.tables.keys().cloned().collect();
        let mut dump = BTreeMap::new();
        for name in names {
            let rows = self.session.query(&format!("SELECT * FROM {name}"));
            let rows = rows.unwrap().iter().map(|row| format!("{row:?}")).collect();
            dump.insert(name, rows);
        }
        dump
    }
}

fn empty(path: &Path) -> Session {
    std::fs::write(path, "").unwrap();
    open(&Target::Sqlite(path.into()), Access::ReadWrite).unwrap()
}

fn dataset(families: u32, live: u32, damage: &[(Damage, u32)]) -> Dataset {
    Dataset {
        seed: 7,
        families,
        live,
        damage: damage.to_vec(),
    }
}

const NOVA: &str = "nova-34.0.0";

#[test]
fn a_seed_gives_these_rows() {
    let mut database = Database::new(NOVA);
    let mut heard = 0;
    let generated = generate(
        &mut database.session,
        &database.schema,
        &dataset(200, 40, &[]),
        &mut |rows| heard = rows,
    )
    .unwrap();
    assert_eq!(heard, generated.total_rows());
    assert!(generated.damage.is_empty());
    let rows: Vec<_> = generated
        .rows
        .iter()
        .map(|(table, n)| format!("{n} {table}"))
        .collect();
    insta::assert_snapshot!(rows.join("\n"), @r"
    305 block_device_mapping
    4 compute_nodes
    480 instance_actions
    611 instance_actions_events
    240 instance_extra
    24 instance_faults
    118 instance_id_mappings
    240 instance_info_caches
    480 instance_metadata
    2114 instance_system_metadata
    240 instances
    50 migrations
    12 pci_devices
    18 quota_usages
    18 reservations
    240 security_group_instance_association
    24 security_group_rules
    11 security_groups
    6 services
    9 task_log
    240 virtual_interfaces
    47 volume_usage_cache
    ");
    assert_eq!(database.broken_keys(), 0);
    let dead = "SELECT count(*) FROM instances WHERE deleted = id AND deleted_at IS NOT NULL";
    assert_eq!(database.count(dead), 200);
    assert_eq!(
        database.count("SELECT count(*) FROM instances WHERE deleted = 0"),
        40
    );
}

#[test]
fn children_go_with_their_instance() {
    let mut database = Database::new(NOVA);
    database.fill(&dataset(300, 60, &[]));
    for table in [
        "instance_extra",
        "instance_info_caches",
        "instance_system_metadata",
        "instance_metadata",
        "instance_faults",
        "migrations",
        "virtual_interfaces",
        "security_group_instance_association",
    ] {
        let of = format!("FROM {table} c JOIN instances i ON i.uuid = c.instance_uuid WHERE");
        let all = database.count(&format!("SELECT count(*) {of} i.deleted <> 0"));
        let with = "c.deleted = c.id AND julianday(c.deleted_at) - julianday(i.deleted_at) \
                    BETWEEN 0 AND 1.1 / 86400";
        let good = database.count(&format!("SELECT count(*) {of} i.deleted <> 0 AND {with}"));
        assert!(all > 0, "{table}");
        assert_eq!(good, all, "{table}");
        let odd = database.count(&format!(
            "SELECT count(*) {of} i.deleted = 0 AND c.deleted <> 0"
        ));
        assert_eq!(odd, 0, "{table}");
    }
    let detached = "SELECT count(*) FROM block_device_mapping b JOIN instances i \
                    ON i.uuid = b.instance_uuid WHERE i.deleted = 0 AND b.deleted <> 0";
    assert!(database.count(detached) > 5);
    for table in ["instance_actions", "instance_actions_events", "task_log"] {
        let marked = format!("SELECT count(*) FROM {table} WHERE deleted <> 0");
        assert_eq!(database.count(&marked), 0, "{table}");
    }
    let held = "SELECT count(*) FROM pci_devices p JOIN compute_nodes n ON n.id = p.compute_node_id \
                WHERE n.deleted <> 0 AND p.deleted = 0";
    assert_eq!(database.count(held), 0);
    let given = "SELECT count(*) FROM pci_devices p JOIN instances i ON i.uuid = p.instance_uuid \
                 WHERE i.deleted = 0 AND p.status = 'allocated'";
    assert!(database.count(given) > 0);
    let late = "SELECT count(*) FROM instances WHERE deleted_at >= '2026-01-01' \
                OR deleted_at < '2024-01-01'";
    assert_eq!(database.count(late), 0);
}

#[test]
fn a_seed_gives_the_same_again() {
    let damage = Damage::ALL
        .into_iter()
        .filter(|d| *d != Damage::NonTransactionalTable && *d != Damage::ShadowDrift)
        .map(|d| (d, 4))
        .collect::<Vec<_>>();
    let (mut a, mut b) = (Database::new(NOVA), Database::new(NOVA));
    let dataset = dataset(50, 20, &damage);
    let (left, right) = (a.fill(&dataset), b.fill(&dataset));
    assert_eq!(left.rows, right.rows);
    assert_eq!(left.damage, right.damage);
    assert_eq!(a.dump(), b.dump());
    let mut other = Database::new(NOVA);
    other.fill(&Dataset { seed: 8, ..dataset });
    assert_ne!(a.dump(), other.dump());
}

#[test]
fn a_database_can_be_filled_twice() {
    let mut database = Database::new(NOVA);
    let dataset = dataset(30, 10, &[(Damage::StrandedApiRecord, 3)]);
    database.fill(&dataset);
    database
        .session
        .execute("DELETE FROM instance_extra")
        .unwrap();
    // The ids of archived rows are taken too.
    let last = database.count("SELECT max(id) FROM instances");
    let sql = format!(
        "UPDATE shadow_instances SET id = {last} + 1000 WHERE id = (SELECT max(id) FROM shadow_instances)"
    );
    database.session.execute(&sql).unwrap();
    let again = database.try_fill(&dataset).unwrap();
    assert_eq!(again.rows["instances"], 40);
    assert_eq!(database.count("SELECT count(*) FROM instances"), 80);
    let above = format!("SELECT count(*) FROM instances WHERE id > {last} + 1000");
    assert_eq!(database.count(&above), 40);
    assert_eq!(database.broken_keys(), 0);
}

#[test]
fn an_older_release_gets_the_columns_it_has() {
    let mut database = Database::new("nova-21.0.0");
    let generated = database.fill(&dataset(40, 10, &[(Damage::UnarchivableParent, 3)]));
    assert_eq!(database.broken_keys(), 0);
    let groups = &generated.damage[&Damage::UnarchivableParent];
    assert!(
        groups
            .iter()
            .all(|root| root.starts_with("security_groups:"))
    );
}

/// SQL for the cases of each damage, several statements where it comes in several forms.
fn cases(damage: Damage) -> Vec<String> {
    let lost = |table: &str, column: &str| {
        format!(
            "SELECT count(*) FROM {table} c WHERE \
             NOT EXISTS (SELECT 1 FROM instances i WHERE i.uuid = c.{column}) \
             AND NOT EXISTS (SELECT 1 FROM shadow_instances i WHERE i.uuid = c.{column})"
        )
    };
    let of_instance =
        "FROM instance_system_metadata c JOIN instances i ON i.uuid = c.instance_uuid";
    let split = |child: &str, parent: &str, column: &str| {
        format!(
            "SELECT count(DISTINCT i.uuid) FROM {child} c JOIN {parent} i ON i.uuid = c.{column} \
             WHERE i.deleted <> 0 AND c.deleted_at >= i.deleted_at"
        )
    };
    match damage {
        Damage::OrphanedRow => [
            ("instance_id_mappings", "uuid"),
            ("instance_system_metadata", "instance_uuid"),
            ("volume_usage_cache", "instance_uuid"),
            ("instance_faults", "instance_uuid"),
            ("console_auth_tokens", "instance_uuid"),
            ("virtual_interfaces", "instance_uuid"),
            ("tags", "resource_id"),
            ("instance_metadata", "instance_uuid"),
            ("instance_extra", "instance_uuid"),
            ("instance_info_caches", "instance_uuid"),
            ("block_device_mapping", "instance_uuid"),
        ]
        .map(|(table, column)| lost(table, column))
        .to_vec(),
        Damage::SplitFamily => [
            "instance_extra",
            "instance_info_caches",
            "instance_system_metadata",
            "instance_metadata",
            "virtual_interfaces",
            "block_device_mapping",
        ]
        .into_iter()
        .flat_map(|child| {
            [
                split(&format!("shadow_{child}"), "instances", "instance_uuid"),
                split(child, "shadow_instances", "instance_uuid"),
            ]
        })
        .chain([split("instance_id_mappings", "shadow_instances", "uuid")])
        .collect(),
        Damage::UnarchivableParent => vec![
            "SELECT count(DISTINCT g.id) FROM security_groups g JOIN security_group_rules r \
             ON r.group_id = g.id WHERE g.deleted <> 0 AND r.deleted = 0"
                .into(),
            "SELECT count(DISTINCT i.id) FROM instances i JOIN share_mapping s \
             ON s.instance_uuid = i.uuid WHERE i.deleted <> 0"
                .into(),
        ],
        Damage::Residue => vec![format!(
            "SELECT count(*) {of_instance} WHERE i.deleted <> 0 AND c.deleted = 0"
        )],
        Damage::MissingRequiredChild => vec![
            "SELECT count(*) FROM instances i WHERE uuid NOT IN \
             (SELECT instance_uuid FROM instance_extra UNION \
              SELECT instance_uuid FROM shadow_instance_extra)"
                .into(),
        ],
        Damage::DuplicateInShadow => vec![
            "SELECT count(*) FROM instance_system_metadata c \
             JOIN shadow_instance_system_metadata s ON s.id = c.id"
                .into(),
        ],
        Damage::InconsistentMarker => ["instances", "instance_metadata", "instance_extra"]
            .map(|t| {
                format!("SELECT count(*) FROM {t} WHERE (deleted <> 0) <> (deleted_at IS NOT NULL)")
            })
            .to_vec(),
        _ => Vec::new(),
    }
}

#[test]
fn each_damage_is_as_large_as_was_asked_for() {
    let counted = Damage::ALL.into_iter().filter(|d| !cases(*d).is_empty());
    for planted in counted.clone() {
        let mut database = Database::new(NOVA);
        let generated = database.fill(&dataset(60, 20, &[(planted, 9), (planted, 2)]));
        assert_eq!(generated.damage[&planted].len(), 11, "{planted}");
        for damage in counted.clone() {
            let found: i64 = cases(damage).iter().map(|sql| database.count(sql)).sum();
            let expected = if damage == planted { 11 } else { 0 };
            assert_eq!(found, expected, "{damage} where {planted} was planted");
        }
        let keys_hold = !matches!(planted, Damage::OrphanedRow | Damage::SplitFamily);
        assert_eq!(database.broken_keys() == 0, keys_hold, "{planted}");
    }
}

#[test]
fn all_damage_at_once_does_not_mix() {
    let planted: Vec<_> = Damage::ALL
        .into_iter()
        .filter(|d| *d != Damage::NonTransactionalTable)
        .zip(3..)
        .collect();
    let mut database = Database::new(NOVA);
    let generated = database.fill(&dataset(100, 30, &planted));
    for (damage, count) in planted {
        assert_eq!(generated.damage[&damage].len(), count as usize, "{damage}");
        let cases = cases(damage);
        if !cases.is_empty() {
            let found: i64 = cases.iter().map(|sql| database.count(sql)).sum();
            assert_eq!(found, i64::from(count), "{damage}");
        }
    }
}

#[test]
fn the_named_roots_are_the_damaged_ones() {
    let mut database = Database::new(NOVA);
    let generated = database.fill(&dataset(20, 5, &[(Damage::Residue, 3)]));
    let residue = "SELECT count(*) FROM instance_system_metadata c JOIN instances i \
                   ON i.uuid = c.instance_uuid WHERE i.deleted <> 0 AND c.deleted = 0 AND i.id =";
    for root in &generated.damage[&Damage::Residue] {
        let id = root.strip_prefix("instances:").unwrap();
        assert_eq!(database.count(&format!("{residue} {id}")), 1, "{root}");
    }
}

#[test]
fn duplicates_have_the_same_and_other_content() {
    let mut database = Database::new(NOVA);
    database.fill(&dataset(5, 0, &[(Damage::DuplicateInShadow, 5)]));
    let same = "SELECT count(*) FROM instance_system_metadata c \
                JOIN shadow_instance_system_metadata s ON s.id = c.id AND s.value = c.value";
    assert_eq!(database.count(same), 3);
}

#[test]
fn shadow_columns_are_dropped() {
    let mut database = Database::new(NOVA);
    let generated = database.fill(&dataset(5, 0, &[(Damage::ShadowDrift, 20)]));
    let dropped = &generated.damage[&Damage::ShadowDrift];
    assert_eq!(dropped.len(), 20);
    for name in dropped {
        let (table, column) = name.split_once('.').unwrap();
        let sql =
            format!("SELECT count(*) FROM pragma_table_info('{table}') WHERE name = '{column}'");
        assert_eq!(database.count(&sql), 0, "{name}");
        let live = table.strip_prefix("shadow_").unwrap();
        let sql =
            format!("SELECT count(*) FROM pragma_table_info('{live}') WHERE name = '{column}'");
        assert_eq!(database.count(&sql), 1, "{name}");
    }
}

#[test]
fn what_cannot_be_planted_is_refused_before_the_first_row() {
    let mut database = Database::new(NOVA);
    for damage in [
        (Damage::ShadowDrift, 10_000),
        (Damage::NonTransactionalTable, 1),
    ] {
        let error = database.try_fill(&dataset(5, 0, &[damage])).unwrap_err();
        assert_eq!(error.code, ExitCode::Usage);
        assert_eq!(database.count("SELECT count(*) FROM instances"), 0);
    }
    for table in ["instance_extra", "instance_system_metadata"] {
        database.schema.tables.remove(&format!("shadow_{table}"));
    }
    let error = database
        .try_fill(&dataset(5, 0, &[(Damage::SplitFamily, 1)]))
        .unwrap_err();
    assert_eq!(error.code, ExitCode::Data);
    assert_eq!(database.count("SELECT count(*) FROM instances"), 0);
}

#[test]
fn only_an_empty_or_a_nova_database_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut session = empty(&dir.path().join("other.db"));
    session.execute("CREATE TABLE t (a)").unwrap();
    let error = create_schema(&mut session, NOVA).unwrap_err();
    assert_eq!(error.code, ExitCode::Data);
    assert_eq!(
        session
            .query("SELECT name FROM sqlite_master")
            .unwrap()
            .len(),
        1
    );
    let none = Schema::default();
    let error = generate(&mut session, &none, &Dataset::default(), &mut |_| {}).unwrap_err();
    assert_eq!(error.code, ExitCode::Data);
    let error = create_schema(&mut session, "nova-1").unwrap_err();
    assert_eq!(error.code, ExitCode::Usage);
    let mut nova = Database::new(NOVA);
    create_schema(&mut nova.session, NOVA).unwrap();
    let version = nova
        .session
        .query_row("SELECT version_num FROM alembic_version")
        .unwrap();
    assert_eq!(version.unwrap()[0].as_text(), Some("ab450ba04102"));
    assert_eq!(nova.session.engine(), Engine::Sqlite);
}

fn fill_api(api: &mut Database, generated: &Generated, name: &str) -> GeneratedApi {
    let cell = Cell {
        name,
        connection: "mysql+pymysql://nova:x@192.0.2.30/nova_cell1",
        cell0_connection: "mysql+pymysql://nova:x@192.0.2.30/nova_cell0",
    };
    generate_api(&mut api.session, &api.schema, generated, &cell, &mut |_| {}).unwrap()
}

#[test]
fn the_api_database_knows_every_instance() {
    let damage = [(Damage::StrandedApiRecord, 7), (Damage::SplitFamily, 4)];
    let mut cell = Database::new(NOVA);
    let mut api = Database::new("nova-34.0.0-api");
    let generated = cell.fill(&dataset(40, 10, &damage));
    let records = fill_api(&mut api, &generated, "cell1");
    let stranded = &records.damage[&Damage::StrandedApiRecord];
    assert_eq!(stranded.len(), 7);
    assert_eq!(generated.damage[&Damage::StrandedApiRecord].len(), 7);
    assert_eq!(records.rows["cell_mappings"], 2);
    // 50 plain instances, the two split ones that are still live, and the stranded records.
    assert_eq!(records.rows["instance_mappings"], 52 + 3);
    assert_eq!(records.rows["request_specs"], 52 + 2);
    assert_eq!(api.broken_keys(), 0);
    let queued = "SELECT count(*) FROM instance_mappings WHERE queued_for_delete AND cell_id = 2";
    assert_eq!(api.count(queued), 42 + 3);
    for name in stranded {
        let (table, uuid) = name.split_once(':').unwrap();
        let one = format!("SELECT count(*) FROM {table} WHERE instance_uuid = '{uuid}'");
        assert_eq!(api.count(&one), 1, "{name}");
        let archived = format!("SELECT count(*) FROM shadow_instances WHERE uuid = '{uuid}'");
        assert_eq!(cell.count(&archived), 1, "{name}");
    }
    let more = cell.try_fill(&dataset(10, 0, &[])).unwrap();
    let records = fill_api(&mut api, &more, "cell1");
    assert!(!records.rows.contains_key("cell_mappings"));
    let records = fill_api(
        &mut api,
        &Database::new(NOVA).fill(&Dataset {
            seed: 9,
            ..dataset(3, 0, &[])
        }),
        "cell2",
    );
    assert_eq!(records.rows["cell_mappings"], 1);
    assert_eq!(api.count("SELECT count(*) FROM cell_mappings"), 3);
    assert_eq!(api.broken_keys(), 0);
}
