//! A database of a service without shadow tables, made from its model, on any engine.

use std::collections::BTreeSet;
use std::path::PathBuf;

use sexton::archive::{self, Before, Options, Outcome, Stop};
use sexton::db::{Engine, Session, introspect};
use sexton::schema::{Column, ColumnType, FamilyGraph, Model, Profile, ddl};

use super::databases::Database;

pub(crate) struct Service {
    pub(crate) database: Database,
    pub(crate) session: Session,
    model: Model,
}

/// Options of a purge of what was deleted before that date.
pub(crate) fn before(date: &str) -> Options {
    Options {
        before: Some(Before::parse(date, jiff::Timestamp::now()).unwrap()),
        until_complete: true,
        ..Options::default()
    }
}

impl Service {
    pub(crate) fn new(model: &str, engine: Engine) -> Self {
        let database = Database::fresh(engine);
        let mut session = database.session();
        let model = Model::built_in(model).unwrap();
        for statement in ddl::create_statements(&model.schema().unwrap(), engine) {
            session.execute(&statement).unwrap();
        }
        Self {
            database,
            session,
            model,
        }
    }

    /// The same test on each engine.
    pub(crate) fn on_each_engine(model: &str, test: impl Fn(Self)) {
        for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
            eprintln!("--- {model} on {engine}");
            test(Self::new(model, engine));
        }
    }

    /// A row with these values, as SQL; what else may not be NULL gets something.
    pub(crate) fn row(&mut self, table: &str, values: &[(&str, &str)]) {
        let engine = self.database.engine;
        let schema = self.model.schema().unwrap();
        let needed = schema.table(table).unwrap().columns.iter();
        let needed = needed.filter(|c| !c.nullable && c.default.is_none() && !c.auto_increment);
        let mut row: Vec<(String, String)> = values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        for column in needed {
            if !row.iter().any(|(name, _)| *name == column.name) {
                row.push((column.name.clone(), something(column, engine)));
            }
        }
        let (names, values): (Vec<_>, Vec<_>) = row.into_iter().unzip();
        let statement = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            engine.quote(table),
            engine.quote_all(&names),
            values.join(", ")
        );
        self.session
            .execute(&statement)
            .unwrap_or_else(|e| panic!("{statement}: {e}"));
    }

    pub(crate) fn graph(&mut self, requested: &[&str]) -> FamilyGraph {
        let schema = introspect(&mut self.session).unwrap();
        let profile = Profile::detect(&schema);
        assert_eq!(profile.name, self.model.service);
        let requested: BTreeSet<String> = requested.iter().map(|t| (*t).to_owned()).collect();
        profile.families(&schema).unwrap().in_place(&requested)
    }

    /// Purges, and judges that a dry run has said what would go and what stays, and that no file was written
    /// that nobody has asked for.
    pub(crate) fn purge_with(&mut self, options: &Options, requested: &[&str]) -> Outcome {
        assert_eq!(options.export, None);
        let graph = self.graph(requested);
        let stop = Stop::default();
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            export_dir: directory.path().to_owned(),
            ..options.clone()
        };
        let session = &mut self.session;
        let dry_run = Options {
            dry_run: true,
            ..options.clone()
        };
        let said = archive::purge_in_place(session, &graph, &dry_run, &stop, &mut ()).unwrap();
        let outcome = archive::purge_in_place(session, &graph, &options, &stop, &mut ()).unwrap();
        assert_eq!(said.rows, outcome.rows);
        assert_eq!(said.blocked_families, outcome.blocked_families);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        outcome
    }

    pub(crate) fn purge(&mut self, date: &str) -> Outcome {
        self.purge_with(&before(date), &[])
    }

    /// The values of a column, in order.
    pub(crate) fn column(&mut self, table: &str, column: &str) -> Vec<String> {
        let engine = self.database.engine;
        let (table, column) = (engine.quote(table), engine.quote(column));
        let rows = self
            .session
            .query(&format!("SELECT {column} FROM {table} ORDER BY {column}"))
            .unwrap();
        rows.iter().map(|r| r[0].to_string()).collect()
    }

    /// A truth value as the engine spells it.
    pub(crate) fn truth(&self, value: bool) -> &'static str {
        self.database.engine.boolean(value)
    }
}

fn something(column: &Column, engine: Engine) -> String {
    match &column.ty {
        ColumnType::Bool => engine.boolean(false).to_owned(),
        ColumnType::DateTime => "'2020-01-01 00:00:00'".into(),
        ColumnType::Enum(labels) => format!("'{}'", labels[0]),
        ty if ty.is_text() => "'x'".into(),
        _ => "0".into(),
    }
}

/// The path of the real service's own program.
pub(crate) fn program(service: &str) -> PathBuf {
    let variable = format!("SEXTON_TEST_{}_MANAGE", service.to_uppercase());
    let path = std::env::var_os(&variable).filter(|p| !p.is_empty());
    path.map_or_else(
        || panic!("{variable} is not set; `cargo xtask test` installs the service and sets it"),
        PathBuf::from,
    )
}
