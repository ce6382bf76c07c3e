//! Which release a schema is of, or is to become: names as people give them, and versions as migrations leave
//! them.

use super::compare::{Difference, differences};
use super::{Model, Schema};
use crate::db::Engine;
use crate::error::{Error, Result};

impl Model {
    /// The model that `--release` names: `nova-34.0.0`, or the beginning of a name (`nova-34`), of which the
    /// newest counts. Of a service with several databases it is the one that `found` looks most like.
    ///
    /// # Errors
    ///
    /// Exit code 64 if there is none.
    pub fn of_release(name: &str, found: &Schema) -> Result<Self> {
        let names = Self::names().filter(|known| {
            let known = known.strip_suffix("-api").unwrap_or(known);
            let rest = known.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        let mut best: Option<(usize, Self)> = None;
        for name in names {
            let model = Self::built_in(name)?;
            let shared = model.tables_shared_with(found);
            if best.as_ref().is_none_or(|(most, _)| shared > *most) {
                best = Some((shared, model));
            }
        }
        best.map(|(_, model)| model).ok_or_else(|| {
            let known: Vec<_> = Self::names().filter(|n| !n.ends_with("-api")).collect();
            Error::usage(format!("unknown release '{name}'"))
                .hint(format!("known are {}", known.join(", ")))
        })
    }

    /// The built-in models that have this version and at least half of these tables, the newest first.
    ///
    /// # Errors
    ///
    /// Exit code 65 if a built-in model cannot be read.
    pub fn of_version(version: &str, found: &Schema) -> Result<Vec<Self>> {
        let mut models = Vec::new();
        for name in Self::names() {
            let model = Self::built_in(name)?;
            let half = found.tables.len().div_ceil(2);
            if model.version == version && model.tables_shared_with(found) >= half {
                models.push(model);
            }
        }
        Ok(models)
    }

    /// Whether a database has the better part of its tables, or of its own among them.
    ///
    /// # Errors
    ///
    /// Exit code 65 if not: it is of another service.
    pub fn check_tables(&self, database: &str, found: &Schema) -> Result<()> {
        let fewer = found.tables.len().min(self.table_names().count());
        match self.tables_shared_with(found) * 2 < fewer {
            true => Err(
                Error::data(format!("{database} has other tables than {}", self.title()))
                    .hint("check that this is the right database and the right release"),
            ),
            false => Ok(()),
        }
    }

    /// In what a schema differs from it. What the migrations of the release themselves make otherwise on this
    /// engine is no difference.
    ///
    /// # Errors
    ///
    /// Exit code 65 if the model cannot be read.
    pub fn differences_from(&self, found: &Schema, engine: Engine) -> Result<Vec<Difference>> {
        let known = self.drift_on(engine);
        let mut all = differences(&self.schema()?, found, engine);
        all.retain(|d| !known.contains(&format!("{}: {}", d.table, d.kind)));
        Ok(all)
    }

    /// The numbers of its release: 34, 0, 0.
    pub fn numbers(&self) -> Vec<u32> {
        let parts = self.release.split('.');
        parts.map(|n| n.parse().unwrap_or(0)).collect()
    }

    /// `nova 34.0.0`, `nova 34.0.0 (api)`.
    pub fn title(&self) -> String {
        match self.database.as_str() {
            "main" => format!("{} {}", self.service, self.release),
            database => format!("{} {} ({database})", self.service, self.release),
        }
    }

    /// How many of its tables are in this schema.
    pub fn tables_shared_with(&self, found: &Schema) -> usize {
        let names = self.table_names();
        names.filter(|t| found.table(t).is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(model: &str) -> Schema {
        Model::built_in(model).unwrap().schema().unwrap()
    }

    #[test]
    fn a_release_is_named_by_its_beginning_and_the_database_tells_which_of_two_it_is() {
        let of = |name, model| Model::of_release(name, &schema(model)).map(|m| m.title());
        assert_eq!(of("nova-34", "nova-34.0.0").unwrap(), "nova 34.0.0");
        assert_eq!(
            of("nova-34.0.0", "nova-34.0.0-api").unwrap(),
            "nova 34.0.0 (api)"
        );
        assert_eq!(
            of("nova-25", "nova-34.0.0-api").unwrap(),
            "nova 25.0.0 (api)"
        );
        let error = of("nova-3", "nova-34.0.0").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("unknown release 'nova-3'; known are nova-34.0.0")
        );
    }

    #[test]
    fn a_version_tells_the_release_together_with_the_tables() {
        let of = |version, model| {
            let models = Model::of_version(version, &schema(model)).unwrap();
            models.iter().map(Model::title).collect::<Vec<_>>()
        };
        assert_eq!(of("ab450ba04102", "nova-34.0.0"), ["nova 34.0.0"]);
        assert_eq!(of("407", "nova-21.0.0"), ["nova 21.0.0"]);
        // The version of another service's database.
        assert!(of("ab450ba04102", "glance-33.0.0").is_empty());
        assert!(of("nothing", "nova-34.0.0").is_empty());
    }
}
