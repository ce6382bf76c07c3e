//! Which databases an audit is of, so that findings are not held against those of another one.
//!
//! A copy of a database has its findings, wherever it lies and whatever it is called, and that is what copies are for.
//! So no name proves that two databases are one, and few differences prove that they are not. Those are refused; a
//! place that is another is said.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::compare::Known;
use super::{STRANDED, upgrade};
use crate::db::{Engine, Session, Target, same_place};
use crate::error::{Error, Result};

/// A database that was audited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    /// The cell's name; empty where it has none.
    pub cell: String,
    /// The database, without password.
    pub database: String,
    /// Its engine; of a dump that which wrote it.
    pub engine: String,
}

impl Audited {
    /// What is known of a cell.
    pub fn of(cell: &str, session: &Session) -> Self {
        let origin: Engine = session.origin();
        Self {
            cell: cell.to_owned(),
            database: session.label().to_owned(),
            engine: origin.to_string(),
        }
    }
}

/// What an audit looks at.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The profile that the databases are read with.
    pub profile: &'a str,
    /// The databases.
    pub databases: &'a [Audited],
    /// Their tables as findings name them: with several cells `cell1.instances`.
    pub tables: &'a BTreeSet<String>,
}

/// An earlier audit, from a file.
pub(super) struct Before<'a> {
    pub(super) profile: &'a str,
    /// Empty in files that were written before this was noted.
    pub(super) databases: &'a [Audited],
    pub(super) findings: &'a [Known],
}

impl Before<'_> {
    /// Whether this may be of what is looked at now; what is to be said of it, if anything. `origin` names the file.
    ///
    /// # Errors
    ///
    /// Exit code 64 if it cannot be.
    pub(super) fn fits(&self, origin: &str, now: &Scope<'_>) -> Result<Option<String>> {
        let other = |what: String| {
            Err(Error::usage(format!("{origin} is of another database: {what}")).hint(
                "give the file that was written for this database, or write one anew; where an original and its copy are \
                 audited, name them: --cell NAME=DB, each time",
            ))
        };
        if !self.profile.is_empty() && self.profile != now.profile {
            let (was, is) = (self.profile, now.profile);
            return other(format!("it was read with profile {was}, this is with {is}"));
        }
        let pairs = self.pairs(now);
        if pairs.is_empty() && !self.databases.is_empty() && !now.databases.is_empty() {
            let (was, is) = (names(self.databases), names(now.databases));
            return other(format!("it is of {was}, this of {is}"));
        }
        for (was, is) in &pairs {
            if was.engine != is.engine {
                return other(format!(
                    "{} is {}, {} is {}",
                    was.database, was.engine, is.database, is.engine
                ));
            }
            let named = !is.cell.is_empty() && was.cell == is.cell;
            if !named && are_neighbours(&was.database, &is.database) {
                return other(format!(
                    "{} is beside {} on one server",
                    was.database, is.database
                ));
            }
        }
        if let Some(table) = self.strange_table(now) {
            return other(format!("of its findings no table is here, as {table}"));
        }
        let moved = pairs
            .iter()
            .find(|(was, is)| !same_place(&was.database, &is.database));
        Ok(moved.map(|(was, is)| {
            format!(
                "{origin} was written for {}; {} is taken for the same database, or a copy of it",
                was.database, is.database
            )
        }))
    }

    /// The databases that would be the same: of the same cell; where one has no name of the same place, or the only ones.
    fn pairs<'p>(&'p self, now: &'p Scope<'_>) -> Vec<(&'p Audited, &'p Audited)> {
        if let ([was], [is]) = (self.databases, now.databases)
            && (was.cell.is_empty() || is.cell.is_empty())
        {
            return vec![(was, is)];
        }
        let same = |is: &'p Audited| {
            let by_name = self.databases.iter().find(|was| was.cell == is.cell);
            let by_place = || {
                self.databases.iter().find(|was| {
                    (was.cell.is_empty() || is.cell.is_empty())
                        && same_place(&was.database, &is.database)
                })
            };
            Some((by_name.or_else(by_place)?, is))
        };
        now.databases.iter().filter_map(same).collect()
    }

    /// A table of the findings, where none of their tables is there: one may have gone with an upgrade, not all.
    fn strange_table(&self, now: &Scope<'_>) -> Option<&str> {
        // Their tables are those of the API database too, or none at all.
        let of_cells = |known: &&Known| {
            known.check != STRANDED && upgrade::CHECKS.iter().all(|(id, _)| *id != known.check)
        };
        let mut tables = self
            .findings
            .iter()
            .filter(of_cells)
            .map(|known| known.table.as_str());
        let first = tables.next()?;
        // Whether a table bears the name of its cell depends on how many there are.
        let bare = |table: &str| table.rsplit('.').next().unwrap_or_default().to_owned();
        let here: BTreeSet<_> = now.tables.iter().map(|table| bare(table)).collect();
        let all_are_strange = std::iter::once(first)
            .chain(tables)
            .all(|table| !here.contains(&bare(table)));
        all_are_strange.then_some(first)
    }
}

/// Cells by name, a single database without one by its place.
fn names(databases: &[Audited]) -> String {
    let name = |audited: &Audited| match audited.cell.as_str() {
        "" => audited.database.clone(),
        cell => format!("cell {cell}"),
    };
    let names: Vec<_> = databases.iter().map(name).collect();
    names.join(", ")
}

/// Whether both are on one server under different names, as cells are. A copy is elsewhere, as a rule.
fn are_neighbours(one: &str, other: &str) -> bool {
    match (one.parse::<Target>(), other.parse::<Target>()) {
        (Ok(one), Ok(other)) => one.is_beside(&other),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Finding, Severity};

    fn audited(cell: &str, database: &str) -> Audited {
        let engine = match database.split(':').next() {
            Some("mysql") => Engine::Mysql,
            Some("postgresql") => Engine::Postgres,
            _ => Engine::Sqlite,
        };
        Audited {
            cell: cell.into(),
            database: database.into(),
            engine: engine.to_string(),
        }
    }

    /// What is said of an earlier audit, with a finding in `table`, where `instances` is there now.
    fn said(
        was: &[(&str, &str)],
        table: &str,
        profile: &str,
        is: &[(&str, &str)],
    ) -> Result<Option<String>, String> {
        let all = |list: &[(&str, &str)]| -> Vec<Audited> {
            list.iter().map(|(cell, at)| audited(cell, at)).collect()
        };
        let (was, is) = (all(was), all(is));
        let known = Known::from(&Finding::new("residue", Severity::Error, table, 1));
        let before = Before {
            profile: "nova",
            databases: &was,
            findings: &[known],
        };
        let now = Scope {
            profile,
            databases: &is,
            tables: &BTreeSet::from(["instances".to_owned()]),
        };
        before.fits("FILE", &now).map_err(|e| e.message)
    }

    const CELL: &str = "mysql://nova@db/nova_cell1";

    #[test]
    fn what_cannot_be_the_same_database_is_refused() {
        let no = |was: &[(&str, &str)], table, profile, is: &[(&str, &str)]| {
            let error = said(was, table, profile, is).unwrap_err();
            error
                .strip_prefix("FILE is of another database: ")
                .unwrap()
                .to_owned()
        };
        let one = [("", CELL)];
        assert_eq!(
            no(&one, "instances", "cinder", &one),
            "it was read with profile nova, this is with cinder"
        );
        assert_eq!(
            no(
                &one,
                "instances",
                "nova",
                &[("", "postgresql://nova@db/nova")]
            ),
            format!("{CELL} is MariaDB/MySQL, postgresql://nova@db/nova is PostgreSQL")
        );
        assert_eq!(
            no(
                &one,
                "instances",
                "nova",
                &[("", "mysql://nova@db/nova_cell2")]
            ),
            format!("{CELL} is beside mysql://nova@db/nova_cell2 on one server")
        );
        assert_eq!(
            no(
                &[("cell1", CELL)],
                "instances",
                "nova",
                &[("cell2", "mysql://x@far/y")]
            ),
            "it is of cell cell1, this of cell cell2"
        );
        assert_eq!(
            no(&one, "volumes", "nova", &one),
            "of its findings no table is here, as volumes"
        );
    }

    #[test]
    fn a_copy_is_taken_for_its_original_and_that_is_said() {
        let one = [("", CELL)];
        assert_eq!(said(&one, "instances", "nova", &one), Ok(None));
        // Whoever logs in, and under its name.
        let again = [("cell1", "mysql://admin@db:3306/nova_cell1")];
        assert_eq!(said(&one, "instances", "nova", &again), Ok(None));
        let of = |was: &str, is: &str| {
            Ok(Some(format!(
                "FILE was written for {was}; {is} is taken for the same database, or a copy of it"
            )))
        };
        let far = "mysql://nova@replica/nova_cell1";
        assert_eq!(said(&one, "instances", "nova", &[("", far)]), of(CELL, far));
        let (monday, tuesday) = ([("", "monday.sql")], [("", "tuesday.sql")]);
        assert_eq!(
            said(&monday, "instances", "nova", &tuesday),
            of("monday.sql", "tuesday.sql")
        );
        // By its name a cell is known wherever it lies.
        let beside = "mysql://nova@db/copy";
        let named = said(
            &[("cell1", CELL)],
            "instances",
            "nova",
            &[("cell1", beside)],
        );
        assert_eq!(named, of(CELL, beside));
        // A file of before.
        assert_eq!(said(&[], "instances", "nova", &one), Ok(None));
    }

    #[test]
    fn of_several_cells_one_may_be_looked_at_alone() {
        let both = [("cell1", CELL), ("cell2", "mysql://nova@db/nova_cell2")];
        assert_eq!(said(&both, "instances", "nova", &both[1..]), Ok(None));
        assert_eq!(said(&both[..1], "instances", "nova", &both), Ok(None));
        // Without its name it is known by its place, and its tables by theirs.
        let alone = [("", both[1].1)];
        assert_eq!(said(&both, "cell1.instances", "nova", &alone), Ok(None));
        assert!(said(&both, "instances", "nova", &[("", "mysql://nova@db/x")]).is_err());
    }
}
