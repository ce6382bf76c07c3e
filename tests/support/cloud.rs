//! A small Nova database to archive, on any engine, and the judgements that hold for every run.

use std::collections::BTreeMap;

use sexton::archive::{self, Options, Outcome, Stop};
use sexton::audit::{self, Finding, Severity};
use sexton::db::{Engine, Session, Value, introspect};
use sexton::schema::{FamilyGraph, Model, Profile, Schema, ddl};

use super::databases::Database;

/// The tables that the tests use; a whole Nova takes seconds to create.
const TABLES: [&str; 25] = [
    "block_device_mapping",
    "compute_nodes",
    "consoles",
    "console_auth_tokens",
    "console_pools",
    "fixed_ips",
    "instance_actions",
    "instance_actions_events",
    "instance_extra",
    "instance_faults",
    "instance_id_mappings",
    "instance_info_caches",
    "instance_metadata",
    "instance_system_metadata",
    "instances",
    "migrations",
    "pci_devices",
    "security_group_instance_association",
    "security_group_rules",
    "security_groups",
    "services",
    "share_mapping",
    "tags",
    "task_log",
    "volume_usage_cache",
];

/// Rows that [`Cloud::instance`] makes.
pub(crate) const ROWS_PER_INSTANCE: u64 = 8;

/// A date at which most of the fixture's rows were deleted.
pub(crate) const DELETED_AT: &str = "2025-06-01 00:00:00";

pub(crate) struct Cloud {
    pub(crate) database: Database,
    pub(crate) session: Session,
}

/// Every row of every table, live and shadow together, by live table and content.
pub(crate) type Contents = BTreeMap<String, Vec<String>>;

impl Cloud {
    /// An empty Nova on a fresh database.
    pub(crate) fn new(engine: Engine) -> Self {
        let database = Database::fresh(engine);
        let mut session = database.session();
        let model = Model::built_in("nova-34.0.0").unwrap().schema().unwrap();
        let used = |name: &str| TABLES.contains(&name.strip_prefix("shadow_").unwrap_or(name));
        let schema: Schema = model
            .tables
            .into_values()
            .filter(|t| used(&t.name))
            .collect();
        for statement in ddl::create_statements(&schema, engine) {
            session.execute(&statement).unwrap();
        }
        Self { database, session }
    }

    /// The Nova that is in a database already.
    pub(crate) fn on(database: Database) -> Self {
        let session = database.session();
        Self { database, session }
    }

    /// The same test on each engine.
    pub(crate) fn on_each_engine(test: impl Fn(Cloud)) {
        for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
            eprintln!("--- {engine}");
            test(Cloud::new(engine));
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        self.database.engine
    }

    /// Runs statements, separated by `;`. Backquotes become the engine's own quotes.
    pub(crate) fn sql(&mut self, statements: &str) {
        let quoted = match self.engine() {
            Engine::Mysql => statements.to_owned(),
            Engine::Sqlite | Engine::Postgres => statements.replace('`', "\""),
        };
        for statement in quoted.split(';').filter(|s| !s.trim().is_empty()) {
            self.session
                .execute(statement)
                .unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
    }

    /// An instance with its usual children (8 rows): `deleted_at` NULL for a live one.
    pub(crate) fn instance_deleted_at(&mut self, id: i64, deleted_at: Option<&str>) {
        let date = deleted_at.map_or("NULL".to_owned(), |d| format!("'{d}'"));
        let mark = |id: i64| if deleted_at.is_some() { id } else { 0 };
        let uuid = uuid(id);
        let (one, two) = (id * 10, id * 10 + 1);
        self.sql(&format!(
            "INSERT INTO instances (id, uuid, deleted, deleted_at, hostname, internal_id) VALUES \
             ({id}, '{uuid}', {d}, {date}, 'it''s \\ host', 7);
             INSERT INTO instance_extra (id, instance_uuid, deleted, deleted_at, vpmems) VALUES \
             ({id}, '{uuid}', {d}, {date}, 'kept');
             INSERT INTO instance_info_caches (id, instance_uuid, deleted, deleted_at) VALUES \
             ({id}, '{uuid}', {d}, {date});
             INSERT INTO instance_system_metadata (id, instance_uuid, `key`, deleted, deleted_at) \
             VALUES ({one}, '{uuid}', 'a', {m1}, {date}), ({two}, '{uuid}', 'b', {m2}, {date});
             INSERT INTO block_device_mapping (id, instance_uuid, deleted, deleted_at) VALUES \
             ({id}, '{uuid}', {d}, {date});
             INSERT INTO instance_actions (id, instance_uuid, created_at, deleted) VALUES \
             ({id}, '{uuid}', '2025-01-01 00:00:00', 0);
             INSERT INTO instance_actions_events (id, action_id, created_at, deleted) VALUES \
             ({id}, {id}, '2025-01-01 00:00:00', 0)",
            d = mark(id),
            m1 = mark(one),
            m2 = mark(two),
        ));
    }

    pub(crate) fn dead_instance(&mut self, id: i64) {
        self.instance_deleted_at(id, Some(DELETED_AT));
    }

    pub(crate) fn live_instance(&mut self, id: i64) {
        self.instance_deleted_at(id, None);
    }

    pub(crate) fn graph(&mut self) -> FamilyGraph {
        let schema = introspect(&mut self.session).unwrap();
        Profile::detect(&schema).families(&schema).unwrap()
    }

    /// The findings of an audit, as `check severity table: count`, notes left out.
    pub(crate) fn audit(&mut self) -> Vec<String> {
        let graph = self.graph();
        let report = audit::audit(&mut self.session, &graph, &audit::Options::default()).unwrap();
        assert_eq!(report.not_checked, []);
        let serious = report
            .findings
            .into_iter()
            .filter(|f| f.severity != Severity::Note);
        let line = |f: Finding| {
            format!(
                "{} {} {}: {}",
                f.check,
                f.severity.as_str(),
                f.table,
                f.count
            )
        };
        let mut lines: Vec<_> = serious.map(line).collect();
        lines.sort();
        lines
    }

    pub(crate) fn archive(&mut self, options: &Options) -> Outcome {
        let graph = self.graph();
        let stop = Stop::default();
        let session = &mut self.session;
        archive::archive(session, &graph, options, &stop, &mut ()).unwrap()
    }

    /// Archives until complete and judges: nothing lost, nothing copied without being deleted.
    pub(crate) fn archive_all(&mut self) -> Outcome {
        let before = self.contents();
        let outcome = self.archive(&Options {
            until_complete: true,
            ..Options::default()
        });
        assert_eq!(self.contents(), before, "live + shadow must stay the same");
        outcome
    }

    pub(crate) fn count(&mut self, from_where: &str) -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {from_where}");
        self.session
            .query_count(&sql)
            .unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// Live and shadow rows together; what a run must never change.
    pub(crate) fn contents(&mut self) -> Contents {
        contents(&mut self.session)
    }

    /// In which tables rows about this instance lie: `(live, shadow)` per table.
    pub(crate) fn whereabouts(&mut self, id: i64) -> (i64, i64) {
        let uuid = uuid(id);
        let mut live = 0;
        let mut shadow = 0;
        for (table, condition) in [
            ("instances", format!("uuid = '{uuid}'")),
            ("instance_extra", format!("instance_uuid = '{uuid}'")),
            ("instance_info_caches", format!("instance_uuid = '{uuid}'")),
            (
                "instance_system_metadata",
                format!("instance_uuid = '{uuid}'"),
            ),
            ("block_device_mapping", format!("instance_uuid = '{uuid}'")),
            ("instance_actions", format!("instance_uuid = '{uuid}'")),
            ("instance_actions_events", format!("action_id = {id}")),
        ] {
            live += self.count(&format!("{table} WHERE {condition}"));
            shadow += self.count(&format!("shadow_{table} WHERE {condition}"));
        }
        (live, shadow)
    }

    /// Whether the instance with all its rows is archived; panics if it is split.
    pub(crate) fn is_archived(&mut self, id: i64) -> bool {
        match self.whereabouts(id) {
            (0, shadow) if shadow > 0 => true,
            (live, 0) if live > 0 => false,
            split => panic!("instance {id} is split: {split:?} rows live and in shadow"),
        }
    }
}

/// The uuid of an instance of the fixture.
pub(crate) fn uuid(id: i64) -> String {
    format!("{id:08}-1111-2222-3333-444444444444")
}

/// Every row of every table with its shadow's, as text, sorted.
pub(crate) fn contents(session: &mut Session) -> Contents {
    let schema = introspect(session).unwrap();
    let engine = session.engine();
    let mut contents = Contents::new();
    for table in schema.tables.values() {
        let live = table.name.strip_prefix("shadow_").unwrap_or(&table.name);
        // By name, because the order of columns differs between a table and its shadow.
        let mut columns: Vec<_> = table.columns.iter().map(|c| &c.name).collect();
        columns.sort();
        let list = engine.quote_all(columns.iter().copied());
        let sql = format!("SELECT {list} FROM {}", engine.quote(&table.name));
        let rows = session.query(&sql).unwrap();
        let text = |row: Vec<Value>| format!("{:?}", columns.iter().zip(row).collect::<Vec<_>>());
        contents
            .entry(live.to_owned())
            .or_default()
            .extend(rows.into_iter().map(text));
    }
    contents.values_mut().for_each(|rows| rows.sort());
    contents
}
