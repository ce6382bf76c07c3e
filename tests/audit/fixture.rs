//! A Nova database in small: real table names, so that the Nova profile fits, and few columns.

use sexton::audit::{AuditReport, Checks, Finding, Options, Probe, audit, plan};
use sexton::db::{Access, Engine, Session, Target, introspect};
use sexton::schema::{FamilyGraph, Model, Profile, Schema, ddl};

/// Tables with the columns that the fixture needs; those with a `deleted` get a shadow table.
const TABLES: &[(&str, &[&str], &[&str])] = &[
    (
        "instances",
        &[
            "uuid varchar(36) not null",
            "compute_id bigint",
            "internal_id int",
        ],
        &[],
    ),
    (
        "instance_extra",
        &["instance_uuid varchar(36) not null", "vpmems text"],
        &["instance_uuid -> instances.uuid"],
    ),
    (
        "instance_info_caches",
        &["instance_uuid varchar(36)"],
        &["instance_uuid -> instances.uuid"],
    ),
    (
        "instance_system_metadata",
        &["instance_uuid varchar(36) not null", "value varchar(255)"],
        &["instance_uuid -> instances.uuid"],
    ),
    (
        "block_device_mapping",
        &["instance_uuid varchar(36)"],
        &["instance_uuid -> instances.uuid"],
    ),
    (
        "instance_actions",
        &["instance_uuid varchar(36)"],
        &["instance_uuid -> instances.uuid"],
    ),
    (
        "instance_actions_events",
        &["action_id int", "details text"],
        &["action_id -> instance_actions.id"],
    ),
    (
        "consoles",
        &["instance_uuid varchar(36)"],
        &["instance_uuid -> instances.uuid"],
    ),
    ("instance_id_mappings", &["uuid varchar(36) not null"], &[]),
    ("volume_usage_cache", &["instance_uuid varchar(36)"], &[]),
    ("security_groups", &["name varchar(255)"], &[]),
    (
        "security_group_rules",
        &["parent_group_id int", "group_id int"],
        &[
            "parent_group_id -> security_groups.id",
            "group_id -> security_groups.id",
        ],
    ),
    (
        "security_group_instance_association",
        &["security_group_id int", "instance_uuid varchar(36)"],
        &[
            "security_group_id -> security_groups.id",
            "instance_uuid -> instances.uuid",
        ],
    ),
    ("compute_nodes", &["host varchar(255)"], &[]),
    (
        "pci_devices",
        &["compute_node_id int not null", "instance_uuid varchar(36)"],
        &["compute_node_id -> compute_nodes.id"],
    ),
];

/// Columns that every table with a marker has.
const COMMON: [&str; 5] = [
    "created_at datetime",
    "updated_at datetime",
    "deleted_at datetime",
    "id int not null auto",
    "deleted int",
];

/// The schema as the text of a model.
fn model() -> String {
    let quoted = |list: &[String]| {
        let list: Vec<_> = list.iter().map(|c| format!("{c:?}")).collect();
        format!("[{}]", list.join(", "))
    };
    let mut text = String::from(
        "service = 'nova'\nrelease = '0'\ndatabase = 'main'\nversion = '0'\n\
         [[table]]\nname = 'tags'\nprimary = ['resource_id', 'tag']\n\
         columns = ['resource_id varchar(36) not null', 'tag varchar(80) not null']\n\
         [[table]]\nname = 'share_mapping'\nprimary = ['id']\n\
         columns = ['id bigint not null auto', 'instance_uuid varchar(36) not null']\n\
         references = ['fk_share: instance_uuid -> instances.uuid']\n",
    );
    for (name, columns, references) in TABLES {
        let mut all: Vec<_> = COMMON.iter().map(|c| (*c).to_owned()).collect();
        all.extend(columns.iter().map(|c| (*c).to_owned()));
        let table = |name: &str| {
            format!(
                "[[table]]\nname = '{name}'\nprimary = ['id']\ncolumns = {}\n",
                quoted(&all)
            )
        };
        let keys: Vec<_> = references
            .iter()
            .enumerate()
            .map(|(i, r)| format!("{name}_fk{i}: {r}"))
            .collect();
        text += &format!("{}references = {}\n", table(name), quoted(&keys));
        let indexed = |column: &str| format!("{name}_{column} = ['{column}']");
        let of = |r: &&str| indexed(r.split(" -> ").next().unwrap());
        let indexes: Vec<_> = references.iter().map(of).collect();
        text += &format!("index = {{{}}}\n", indexes.join(", "));
        if *name == "instances" {
            text += "unique = {uniq_instances0uuid = ['uuid']}\n";
        }
        text += &table(&format!("shadow_{name}"));
    }
    text
}

/// The schema of the fixture.
pub(crate) fn schema() -> Schema {
    Model::parse(&model(), "fixture").unwrap().schema().unwrap()
}

/// What a check would ask about such a schema on any engine; no server is needed.
pub(crate) fn probes(schema: &Schema, engine: Engine, check: &str) -> Vec<Probe> {
    let graph = Profile::detect(schema).families(schema).unwrap();
    plan(&graph, engine, &Checks::choose(&[check.into()]).unwrap())
}

/// The uuid of an instance.
pub(crate) fn uuid(id: u32) -> String {
    format!("{id:08x}-0000-4000-8000-000000000000")
}

/// Where an instance and what it owns lie, and how they are marked.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum State {
    Live,
    Deleted,
    Archived,
}

/// A database with the fixture's schema.
pub(crate) struct Db {
    pub(crate) session: Session,
    _dir: Option<tempfile::TempDir>,
}

impl Db {
    /// A database with the fixture's tables and nothing in them.
    pub(crate) fn empty() -> Self {
        let mut db = Self::bare();
        db.create(&schema());
        db
    }

    /// A SQLite file without tables. Foreign keys are not enforced, as damage needs it.
    pub(crate) fn bare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nova.db");
        std::fs::write(&path, "").unwrap();
        let target = Target::Sqlite(path);
        let session = sexton::db::open(&target, Access::ReadWrite).unwrap();
        let mut db = Self {
            session,
            _dir: Some(dir),
        };
        db.sql("PRAGMA foreign_keys = OFF");
        // Nothing of it outlives the test.
        db.sql("PRAGMA synchronous = OFF");
        db.sql("PRAGMA journal_mode = MEMORY");
        db
    }

    /// A database on any engine, in an empty one.
    pub(crate) fn on(session: Session) -> Self {
        Self {
            session,
            _dir: None,
        }
    }

    pub(crate) fn create(&mut self, schema: &Schema) {
        for statement in ddl::create_statements(schema, self.session.engine()) {
            self.sql(&statement);
        }
    }

    /// Live, soft-deleted and archived instances with all they own, and everything else that is
    /// fine: among it what looks like damage and is not.
    pub(crate) fn clean() -> Self {
        let mut db = Self::empty();
        db.fill();
        db
    }

    pub(crate) fn fill(&mut self) {
        for (id, state) in [
            (1, State::Live),
            (2, State::Live),
            (3, State::Deleted),
            (4, State::Deleted),
            (5, State::Archived),
            (6, State::Archived),
        ] {
            self.instance(id, state);
        }
        self.sql("INSERT INTO compute_nodes (id, deleted, host) VALUES (1, 0, 'a')");
        self.sql("INSERT INTO pci_devices (id, deleted, compute_node_id) VALUES (1, 0, 1)");
        self.sql("UPDATE instances SET compute_id = 1 WHERE id = 1");
        self.group(1, State::Live);
        self.group(2, State::Deleted);
        // A volume detached, and its mapping archived, while instance 1 lived on.
        self.insert(
            "shadow_block_device_mapping",
            91,
            State::Deleted,
            "instance_uuid",
            &uuid(1),
        );
        // The same, and then instance 3 was deleted.
        self.insert(
            "shadow_block_device_mapping",
            93,
            State::Deleted,
            "instance_uuid",
            &uuid(3),
        );
        self.sql(
            "UPDATE shadow_block_device_mapping SET deleted_at = '2023-01-01 00:00:00' \
             WHERE id IN (91, 93)",
        );
        // The info cache of instance 2 was replaced, and the old one archived.
        self.insert(
            "shadow_instance_info_caches",
            92,
            State::Deleted,
            "instance_uuid",
            &uuid(2),
        );
    }

    /// An instance with all that it owns. Children have ten times the instance's id.
    pub(crate) fn instance(&mut self, id: u32, state: State) {
        let uuid = uuid(id);
        let place = |table: &str| match state {
            State::Archived => format!("shadow_{table}"),
            _ => table.to_owned(),
        };
        self.insert(&place("instances"), id, state, "uuid", &uuid);
        for (table, ..) in TABLES
            .iter()
            .filter(|(t, ..)| t.starts_with("instance_") || *t == "block_device_mapping")
        {
            let column = match *table {
                "instance_id_mappings" => "uuid",
                "instance_actions_events" => "action_id",
                _ => "instance_uuid",
            };
            let value = if column == "action_id" {
                (id * 10).to_string()
            } else {
                uuid.clone()
            };
            // Nova never marks actions.
            let marked = match (state, table.contains("actions")) {
                (State::Live, _) | (_, true) => State::Live,
                _ => State::Deleted,
            };
            self.insert(&place(table), id * 10, marked, column, &value);
        }
    }

    /// A security group, a live one with a rule: nova-manage stumbles over any rule of a deleted
    /// one.
    pub(crate) fn group(&mut self, id: u32, state: State) {
        self.insert("security_groups", id, state, "name", "g");
        if let State::Live = state {
            self.insert(
                "security_group_rules",
                id,
                state,
                "parent_group_id",
                &id.to_string(),
            );
        }
    }

    /// A row with one column of its own.
    pub(crate) fn insert(&mut self, table: &str, id: u32, state: State, column: &str, value: &str) {
        let (deleted, date) = match state {
            State::Live => (0, "NULL"),
            _ => (id, "'2024-03-02 10:00:00'"),
        };
        self.sql(&format!(
            "INSERT INTO {table} (id, created_at, deleted, deleted_at, {column}) \
             VALUES ({id}, '2022-01-01 00:00:00', {deleted}, {date}, '{value}')"
        ));
    }

    pub(crate) fn sql(&mut self, sql: &str) {
        if let Err(error) = self.session.execute(sql) {
            panic!("{error}: {sql}");
        }
    }

    pub(crate) fn graph(&mut self) -> FamilyGraph {
        let schema = introspect(&mut self.session).unwrap();
        Profile::detect(&schema).families(&schema).unwrap()
    }

    /// An audit with all checks.
    pub(crate) fn audit(&mut self) -> AuditReport {
        self.audit_with(&Options::default())
    }

    pub(crate) fn audit_with(&mut self, options: &Options) -> AuditReport {
        let graph = self.graph();
        let report = audit(&mut self.session, &graph, options).unwrap();
        for finding in &report.findings {
            if let Some(select) = &finding.select {
                let rows = self.session.query(select).unwrap();
                assert!(!rows.is_empty(), "the SELECT shows nothing: {finding:#?}");
            }
        }
        report
    }

    /// The findings of one check, nothing being unchecked.
    pub(crate) fn findings(&mut self, check: &str) -> Vec<Finding> {
        let report = self.audit_with(&Options {
            checks: vec![check.into()],
            ..Options::default()
        });
        assert_eq!(report.not_checked, []);
        report.findings
    }

    /// The findings of one check, a line each: severity, table, count, samples.
    pub(crate) fn lines(&mut self, check: &str) -> Vec<String> {
        self.findings(check).iter().map(line).collect()
    }

    /// Runs the remedy of the only finding of a check; then the check finds nothing.
    pub(crate) fn mend(&mut self, check: &str) {
        let findings = self.findings(check);
        let [finding] = findings.as_slice() else {
            panic!("{findings:#?}");
        };
        let statements = sql_of(&finding.remedy);
        statements.iter().for_each(|s| self.sql(s));
        assert_eq!(self.lines(check), [] as [&str; 0], "after {statements:?}");
    }
}

/// The statements in a remedy, without the transaction around them.
pub(crate) fn sql_of(remedy: &str) -> Vec<String> {
    let verbs = ["INSERT ", "UPDATE ", "DELETE ", "ALTER "];
    let Some(start) = verbs.iter().filter_map(|v| remedy.find(v)).min() else {
        return Vec::new();
    };
    let parts = remedy[start..].split("; ");
    let sql = parts.filter(|p| verbs.iter().any(|v| p.starts_with(v)));
    sql.map(str::to_owned).collect()
}

/// A finding as one line.
pub(crate) fn line(finding: &Finding) -> String {
    let reference = finding.reference.as_deref().unwrap_or("-");
    format!(
        "{} {} {} {} [{}]",
        finding.severity.as_str(),
        finding.table,
        reference,
        finding.count,
        finding.samples.join(" ")
    )
}
