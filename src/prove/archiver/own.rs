//! sexton's own engine, in this process: archive, or purge in worlds without shadow tables, or restore, or repair.

mod heal;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::archive::{self, Api, Cell, Observer, Options, Outcome, RowName, Stop, StopReason};
use crate::db::{Session, introspect, spell_key};
use crate::error::Result;
use crate::schema::FamilyGraph;

use super::{Archiver, Ended, Place, Ran};
use crate::prove::world::Task;

pub(in crate::prove) use heal::repair_once;

/// sexton's own archive engine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Own;

/// Fewer than in production: every attempt is a round of the same statements.
const RETRIES: u32 = 3;

/// With other nodes to turn to: as long as a cluster takes to agree that one is gone.
const RETRIES_ELSEWHERE: u32 = 7;
const BACKOFF_ELSEWHERE: Duration = Duration::from_millis(20);

impl Archiver for Own {
    fn name(&self) -> String {
        "sexton".into()
    }

    fn restores(&self) -> bool {
        true
    }

    fn repairs(&self) -> bool {
        true
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        if place.task == Task::Repair {
            return Ok(heal::run(place).unwrap_or_else(|error| Ran::failed(error.to_string())));
        }
        Ok(match archive_all(place) {
            Ok(outcome) => Ran {
                ended: match outcome.stopped_because {
                    StopReason::Complete if outcome.has_blocked() => Ended::Blocked,
                    StopReason::Complete => Ended::Done,
                    _ => Ended::Stopped,
                },
                rows: Some(outcome.rows),
                output: String::new(),
            },
            Err(error) => Ran::failed(error.to_string()),
        })
    }
}

/// What `sexton archive --until-complete` does, or `sexton purge --all`, with the graph given.
fn archive_all(place: &Place) -> Result<Outcome> {
    let mut session = place.main.open()?;
    let options = options(place);
    let stop = Stop::on(&place.stop);
    match place.task {
        Task::Archive | Task::Repair => {}
        Task::Purge => {
            return archive::purge_in_place(&mut session, &place.graph, &options, &stop, &mut ());
        }
        Task::EmptyShadows => {
            return archive::purge(&mut session, &place.graph, &options, &stop, &mut ());
        }
        Task::Restore => return restore_all(&mut session, place, &options, &stop),
    }
    let mut api = api(place, &options)?;
    let mut watch = Watch(api.as_mut());
    let mut outcome = archive::archive(&mut session, &place.graph, &options, &stop, &mut watch)?;
    if let Some(api) = &mut api
        && !outcome.stopped_because.is_request()
    {
        outcome.api_records = api.sweep()?;
    }
    Ok(outcome)
}

/// How it is run: as in production, but for the time that it waits.
fn options(place: &Place) -> Options {
    let (retries, backoff) = match place.main.others.is_empty() {
        true => (RETRIES, Duration::ZERO),
        false => (RETRIES_ELSEWHERE, BACKOFF_ELSEWHERE),
    };
    Options {
        max_rows: place.options.max_rows,
        before: place.options.before.clone(),
        until_complete: true,
        retries,
        backoff,
        // An error that is injected for good is no lock that somebody will let go.
        lock_patience: Duration::ZERO,
        ..Options::default()
    }
}

/// The API database, where the world has one.
fn api<'a>(place: &'a Place, options: &Options) -> Result<Option<Api<'a>>> {
    let records = place.graph.profile.api.clone();
    let (Some(door), Some(records)) = (&place.api, records) else {
        return Ok(None);
    };
    let mut session = door.open()?;
    let schema = introspect(&mut session)?;
    let cell = Cell {
        name: String::new(),
        session: place.main.open()?,
        graph: &place.graph,
    };
    let api = Api::new(session, &schema, records, vec![cell])?;
    Ok(Some(api.retrying(options.retries, options.backoff)))
}

/// What `sexton restore --root` does, family by family, parents first. Those that wait for each other come back together.
fn restore_all(
    session: &mut Session,
    place: &Place,
    options: &Options,
    stop: &Stop<'_>,
) -> Result<Outcome> {
    let graph = &place.graph;
    let mut total = Outcome::default();
    let mut tried = BTreeSet::new();
    let left = loop {
        let left = archived(session, graph)?;
        let Some(name) = left.iter().find(|name| !tried.contains(*name)).cloned() else {
            break left;
        };
        let names = std::slice::from_ref(&name);
        let outcome = archive::restore(session, graph, names, options, stop, &mut ())?;
        add(&mut total, &outcome, graph);
        tried.insert(name);
    };
    if !left.is_empty() {
        let outcome = archive::restore(session, graph, &left, options, stop, &mut ())?;
        add(&mut total, &outcome, graph);
        total.blocked_families = outcome.blocked_families;
    }
    Ok(total)
}

/// Every row in the shadow tables, parents first.
fn archived(session: &mut Session, graph: &FamilyGraph) -> Result<Vec<RowName>> {
    let engine = session.engine();
    let mut names = Vec::new();
    for member in graph
        .delete_order
        .iter()
        .rev()
        .filter_map(|t| graph.member(t))
    {
        let Some(shadow) = &member.shadow else {
            continue;
        };
        let columns = engine.quote_all(&member.key);
        let keys = format!(
            "SELECT {columns} FROM {} ORDER BY {columns}",
            engine.quote(shadow)
        );
        for key in session.query(&keys)? {
            let name = format!("{shadow}:{}", spell_key(&key));
            names.push(RowName::parse(&name, graph)?);
        }
    }
    Ok(names)
}

/// Adds what came back, by the tables that it came from: there the oracles look for it.
fn add(total: &mut Outcome, outcome: &Outcome, graph: &FamilyGraph) {
    for (table, rows) in &outcome.rows {
        let shadow = graph.member(table).and_then(|m| m.shadow.clone());
        *total.rows.entry(shadow.unwrap_or_default()).or_default() += rows;
    }
    total.total_rows += outcome.total_rows;
    total.stopped_because = outcome.stopped_because;
}

struct Watch<'a, 'c>(Option<&'a mut Api<'c>>);

impl Observer for Watch<'_, '_> {
    fn archived(&mut self, api_keys: &[String]) -> Result<BTreeMap<String, u64>> {
        match &mut self.0 {
            Some(api) => api.remove(api_keys),
            None => Ok(BTreeMap::new()),
        }
    }
}
