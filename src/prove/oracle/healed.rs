//! *Conserved*, *untouched*, *durable* and *truthful* where damage is healed: rows go both ways, and one of two that are the
//! same goes for good.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::super::healing::{Moves, keys, unhealed_row};
use super::super::state::{Record, Shape, State};
use super::{Breach, Oracle, some};

/// No row is lost, none is new, and none is another one but for a date or a key that was missing in its marker. Of two
/// that are the same one may go. What `before` lacked already, a writer has found gone.
pub(in super::super) fn conserved(
    shape: &Shape,
    start: &State,
    before: Option<&State>,
    found: &State,
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (index, table) in shape.tables.iter().enumerate() {
        let was = count(start, index, |row| row.clone());
        let healed = |row: &Record| unhealed_row(shape, start, index, row);
        let is = count(found, index, healed);
        let names = |rows: Vec<&Record>| -> Vec<String> {
            rows.into_iter().map(|row| table.row_name(row)).collect()
        };
        // Of two that were the same until the writer changed one, the other had gone already.
        let gone_before = |row: &Record| {
            let shadow = before.map(|state| keys(table, &state.tables[index].shadow));
            let there = shadow.is_none_or(|shadow| shadow.contains(&table.row_name(row)));
            !there && start.tables[index].shadow.contains(row)
        };
        let lost = was
            .keys()
            .filter(|row| !is.contains_key(*row) && !gone_before(row));
        let lost = names(lost.collect());
        let gained = is
            .iter()
            .filter(|(row, n)| was.get(*row).is_none_or(|most| *n > most));
        let gained = names(gained.map(|(row, _)| row).collect());
        let what = match (lost.is_empty(), gained.is_empty()) {
            (true, true) => continue,
            (false, true) => format!("lost: {}", some(&lost)),
            (true, false) => format!("there twice, or from nowhere: {}", some(&gained)),
            (false, false) => format!("lost: {}; from nowhere: {}", some(&lost), some(&gained)),
        };
        breaches.push(Breach::new(Oracle::Conserved, &table.name, what));
    }
    breaches
}

fn count(state: &State, table: usize, told: impl Fn(&Record) -> Record) -> BTreeMap<Record, usize> {
    let sides = &state.tables[table];
    let mut counts = BTreeMap::new();
    for row in sides.live.iter().chain(&sides.shadow) {
        *counts.entry(told(row)).or_default() += 1;
    }
    counts
}

/// Rows that lie on another side than at the start, and have no reason to. `before`: what a writer found; where rows lie
/// as they did then is no question to the rows that it left.
pub(in super::super) fn untouched(
    shape: &Shape,
    start: &State,
    moves: &Moves,
    before: Option<&State>,
    found: &State,
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (index, table) in shape.tables.iter().enumerate() {
        let of = |state: &State| {
            let names = |rows: &[Record]| -> BTreeSet<String> {
                rows.iter().map(|row| table.row_name(row)).collect()
            };
            let sides = &state.tables[index];
            (names(&sides.live), names(&sides.shadow))
        };
        let ((live, shadow), (live_now, shadow_now)) = (of(start), of(found));
        let (live_then, shadow_then) = before.map(of).unwrap_or_default();
        let archived = shadow_now.iter().filter(|row| {
            !shadow.contains(*row) && !moves.archived.contains(*row) && !shadow_then.contains(*row)
        });
        let returned = live_now.iter().filter(|row| {
            !live.contains(*row) && !moves.returned.contains(*row) && !live_then.contains(*row)
        });
        let archived: Vec<_> = archived.cloned().collect();
        let returned: Vec<_> = returned.cloned().collect();
        let mut parts = Vec::new();
        if !archived.is_empty() {
            parts.push(format!(
                "archived, though nothing is wrong with their family: {}",
                some(&archived)
            ));
        }
        if !returned.is_empty() {
            parts.push(format!(
                "brought back, though nothing is wrong with their family: {}",
                some(&returned)
            ));
        }
        if !parts.is_empty() {
            breaches.push(Breach::new(
                Oracle::Untouched,
                &table.name,
                parts.join("; "),
            ));
        }
    }
    breaches
}

/// What an engine says that it moved against what has moved: rows that came into a shadow table by the live table's name,
/// rows that came back by the shadow table's. One that was in both tables may have been moved, or have gone from one of them;
/// one that came back may have been archived after that, if it is among those that may come back.
pub(in super::super) fn claims(
    shape: &Shape,
    moves: &Moves,
    before: &State,
    after: &State,
    said: &BTreeMap<String, u64>,
) -> Vec<Breach> {
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for (index, table) in shape.tables.iter().enumerate() {
        let of = |state: &State| {
            let sides = &state.tables[index];
            (keys(table, &sides.live), keys(table, &sides.shadow))
        };
        let ((live, shadow), (live_now, shadow_now)) = (of(before), of(after));
        let both: HashSet<_> = live.intersection(&shadow).collect();
        let alone = |here: &HashSet<String>, there: &HashSet<String>| {
            let rows = both
                .iter()
                .filter(|r| here.contains(**r) && !there.contains(**r));
            rows.count() as u64
        };
        let sides = [
            (
                Some(&table.name),
                shadow_now.difference(&shadow).count(),
                alone(&shadow_now, &live_now),
            ),
            (
                table.shadow.as_ref(),
                live_now.difference(&live).count(),
                alone(&live_now, &shadow_now),
            ),
        ];
        let sides = sides.map(|(name, moved, perhaps)| {
            let claimed = name.and_then(|name| said.get(name)).copied().unwrap_or(0);
            (name, claimed, moved as u64, perhaps)
        });
        known.extend(
            sides
                .iter()
                .filter_map(|(name, ..)| name.map(String::as_str)),
        );
        // What came back and went again counts on both sides, and lies where it lay.
        let there = shadow.intersection(&shadow_now);
        let there = there.filter(|row| moves.returned.contains(*row)).count() as u64;
        let more = |side: usize| {
            let (_, claimed, moved, _) = &sides[side];
            claimed.saturating_sub(*moved).min(there)
        };
        let more = [more(1), more(0)];
        for ((name, claimed, moved, perhaps), twice) in sides.into_iter().zip(more) {
            let most = moved + perhaps + twice;
            if let Some(name) = name.filter(|_| !(moved..=most).contains(&claimed)) {
                let what = format!("says {claimed} rows of {name} moved, {moved} did");
                wrong.push(Breach::new(Oracle::Truthful, name, what));
            }
        }
    }
    for (name, claimed) in said
        .iter()
        .filter(|(name, n)| **n > 0 && !known.contains(name.as_str()))
    {
        let what = format!("says {claimed} rows of {name}, which is no table");
        wrong.push(Breach::new(Oracle::Truthful, name, what));
    }
    wrong
}

/// The state without what was in the shadow tables at the start.
pub(in super::super) fn without_shadows_of(start: &State, state: &State) -> State {
    let mut new = state.clone();
    for (sides, start) in new.tables.iter_mut().zip(&start.tables) {
        sides.shadow.retain(|row| !start.shadow.contains(row));
    }
    new
}

/// An engine that said it was done, and had more to do.
pub(in super::super) fn hasty(shape: &Shape, before: &State, after: &State) -> Vec<Breach> {
    let tables = before
        .tables
        .iter()
        .zip(&after.tables)
        .map(|(was, is)| was != is);
    let tables = shape.tables.iter().map(|t| &t.name).zip(tables);
    let records = before.api.iter().zip(&after.api).map(|(was, is)| was != is);
    let records = shape.api.iter().map(|(name, _)| name).zip(records);
    let mut changed = tables.chain(records).filter(|(_, changed)| *changed);
    let breach = |(name, _): (&String, bool)| {
        let what = "said that it was done; the next run changed more";
        Breach::new(Oracle::Truthful, name, what)
    };
    changed.next().map(breach).into_iter().collect()
}
