//! How to prove an archive engine of your own: implement `Archiver`, run a campaign, look at the
//! verdict. `cargo run --example prove_your_engine` prints it; in a project of your own the test at
//! the end is all that there is to it.

use std::collections::BTreeMap;

use sexton::db::{Session, Value};
use sexton::error::Result;
use sexton::prove::archiver::{Archiver, Place, Ran};
use sexton::prove::{Backend, Campaign, Report, catalogue};
use sexton::report::{Paint, prove_text};

/// An engine for roots, children and leaves: everything in one transaction.
struct Mine;

impl Archiver for Mine {
    fn name(&self) -> String {
        "mine".into()
    }

    /// One run, all by itself: connect, archive, end. The harness cuts its connections, answers
    /// with errors and kills it; what it says of failure is no failure of the harness, so that `Err`
    /// is not for the engine's own errors.
    fn run(&mut self, place: &Place) -> Result<Ran> {
        // Every statement has to go through sessions of `place.main`: that is where the harness sits.
        let done = place.main.open().and_then(|mut session| {
            let rows = archive(&mut session);
            if rows.is_err() {
                drop(session.rollback());
            }
            rows
        });
        Ok(match done {
            // It says that it is done and what it moved, and is held to both.
            Ok(rows) => Ran::done(rows),
            // To fail is no shame: the harness runs it again, and then it has to get there.
            Err(error) => Ran::failed(error.to_string()),
        })
    }
}

fn archive(session: &mut Session) -> Result<BTreeMap<String, u64>> {
    let end = session.engine().for_update();
    session.begin()?;
    let mut family = Vec::new();
    let mut condition = "deleted <> 0".to_owned();
    for (table, reference_to_it) in [("root", "root_id"), ("child", "child_id"), ("leaf", "")] {
        let keys = session.query(&format!("SELECT id FROM {table} WHERE {condition}{end}"))?;
        let keys: Vec<_> = keys.iter().flatten().map(Value::to_string).collect();
        if keys.is_empty() {
            break;
        }
        condition = format!("{reference_to_it} IN ({})", keys.join(", "));
        family.push((table, keys));
    }
    // In this world a table and its shadow have the same columns in the same order.
    for (table, keys) in &family {
        session.execute(&format!(
            "INSERT INTO shadow_{table} SELECT * FROM {table} WHERE id IN ({})",
            keys.join(", ")
        ))?;
    }
    for (table, keys) in family.iter().rev() {
        let keys = keys.join(", ");
        session.execute(&format!("DELETE FROM {table} WHERE id IN ({keys})"))?;
    }
    session.commit()?;
    let count = |(table, keys): &(&str, Vec<String>)| ((*table).to_owned(), keys.len() as u64);
    Ok(family.iter().map(count).collect())
}

/// Every fault, every concurrent writer and every loss of power, on one world of the catalogue.
/// `World` is a plain value: yours is a model of your schema and a few rows.
fn campaign(backend: Backend) -> Result<Report> {
    let campaign = Campaign::new(backend, vec![catalogue::world("chain")?]);
    let engines = || -> Result<Box<dyn Archiver>> { Ok(Box::new(Mine)) };
    campaign.run(&engines, &())
}

fn main() -> Result<()> {
    print!("{}", prove_text(&campaign(Backend::Sqlite)?, Paint::Plain));
    Ok(())
}

#[cfg(test)]
mod tests {
    use sexton::exit::ExitCode;

    use super::*;

    #[test]
    fn mine_survives() {
        let report = campaign(Backend::Sqlite).unwrap();
        // A failure is none, and so is a fault that never happened, or an engine that does not do the same twice.
        assert_eq!(
            report.exit_code(),
            ExitCode::Done,
            "{}",
            prove_text(&report, Paint::Plain)
        );
    }
}
