//! The page of an archive run or a purge: what it took, what it left and why, where its time went.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use maud::{Markup, html};

use super::super::archive::{Deed, api_records, closing, dropped};
use super::super::grouped;
use super::page::{Mood, Page, Section, Verdict};
use super::parts::{Choice, counts, filters, number, scroll, seconds, several, to_mend};
use crate::archive::{Blocked, Outcome, StopReason};

/// The page of an archive run or a purge that ended at `at`.
pub fn archive_html(outcome: &Outcome, deed: Deed, at: Timestamp) -> String {
    let (command, verb) = match (deed, outcome.dry_run) {
        (Deed::Archive, false) => ("sexton archive", "moved"),
        (Deed::Archive, true) => ("sexton archive", "would move"),
        (Deed::Purge, false) => ("sexton purge", "deleted"),
        (Deed::Purge, true) => ("sexton purge", "would be deleted"),
    };
    let mut sections = vec![Section {
        id: "rows",
        title: format!("Rows that {verb}"),
        body: rows(outcome),
    }];
    if outcome.has_blocked() || outcome.purge_kept > 0 {
        sections.push(Section {
            id: "blocked",
            title: "Families that stay".into(),
            body: blocked(outcome),
        });
    }
    if !outcome.unreachable.is_empty() {
        sections.push(Section {
            id: "unreachable",
            title: "Cells that were not reached".into(),
            body: unreachable(outcome),
        });
    }
    sections.push(Section {
        id: "time",
        title: "Time".into(),
        body: time(outcome),
    });
    let before = outcome.before.as_ref();
    let page = Page {
        command,
        subject: &outcome.database,
        aside: before.map_or(String::new(), |b| {
            format!("only what was soft-deleted before {b} UTC")
        }),
        verdict: verdict(outcome, closing(outcome, deed)),
        tiles: vec![
            ("Rows", grouped(outcome.total_rows), verb.to_owned()),
            ("Families", grouped(outcome.families), verb.to_owned()),
            (
                "Families that stay",
                grouped(stays(outcome)),
                "blocked".into(),
            ),
            (
                "Time",
                seconds(outcome.elapsed_ms),
                several(outcome.batches, "batch"),
            ),
        ],
        sections,
        at,
    };
    page.text()
}

fn stays(outcome: &Outcome) -> u64 {
    outcome.blocked_families.values().sum()
}

fn verdict(outcome: &Outcome, end: &str) -> Verdict {
    let mood = match outcome.stopped_because {
        StopReason::Failed => Mood::Error,
        _ if !outcome.unreachable.is_empty() => Mood::Error,
        StopReason::Complete if outcome.has_blocked() => Mood::Warning,
        StopReason::Complete => Mood::Good,
        _ => Mood::Note,
    };
    Verdict {
        mood,
        line: end.trim_end().to_owned(),
        more: Vec::new(),
    }
}

fn rows(outcome: &Outcome) -> Markup {
    let parts = [
        ("By table", "table", &outcome.rows),
        (dropped(outcome.dry_run), "table", &outcome.dropped),
        (api_records(outcome.dry_run), "table", &outcome.api_records),
        ("Purged from the shadow tables", "table", &outcome.purged),
        (
            "Rows that stay in tables without shadow (--drop-unshadowed takes them)",
            "table",
            &outcome.left_behind,
        ),
    ];
    let some = |counts: &BTreeMap<String, u64>| counts.values().any(|n| *n > 0);
    html! {
        @if !parts.iter().any(|(.., of)| some(of)) { p { "None." } }
        @for (caption, head, of) in parts {
            @if some(of) { figure { (counts(caption, [head, "rows"], of)) } }
        }
    }
}

fn blocked(outcome: &Outcome) -> Markup {
    let listed = outcome.blocked.len() as u64;
    html! {
        @if outcome.has_blocked() {
            figure { (counts("By reason", ["reason", "families"], &outcome.blocked_families)) }
        }
        @if outcome.purge_kept > 0 {
            p {
                (several(outcome.purge_kept, "family")) " not purged: a part of each is in the live tables \
                 (sexton audit says which)."
            }
        }
        @if listed < stays(outcome) {
            p { "Of each reason the first ones are listed: " (grouped(listed)) " of " (grouped(stays(outcome))) "." }
        }
        @if listed > 0 {
            (blocked_filters(&outcome.blocked))
            p.shown id="shown" role="status" {}
            div id="list" {
                @for (order, family) in outcome.blocked.iter().enumerate() { (card(order, family)) }
            }
        }
    }
}

/// The table of a root: `instances` of `instances:3`.
fn table_of(family: &Blocked) -> &str {
    family
        .root
        .rsplit_once(':')
        .map_or(&family.root, |(table, _)| table)
}

fn blocked_filters(families: &[Blocked]) -> Markup {
    let reasons: BTreeSet<_> = families.iter().map(|f| f.reason.as_str()).collect();
    let tables: BTreeSet<_> = families.iter().map(table_of).collect();
    filters(
        "Filter and sort the families",
        &[],
        &[
            Choice {
                name: "check",
                title: "Reason",
                all: "all reasons",
                values: reasons,
            },
            Choice {
                name: "table",
                title: "Table",
                all: "all tables",
                values: tables,
            },
        ],
        &[
            ("worst", "as listed"),
            ("check", "by reason"),
            ("table", "by table"),
        ],
    )
}

fn card(order: usize, family: &Blocked) -> Markup {
    let (id, title) = (format!("family-{order}"), format!("family-{order}-title"));
    html! {
        article.card.warning id=(id) aria-labelledby=(title) data-check=(family.reason)
            data-table=(table_of(family)) data-order=(order) data-count="1" {
            header { span.badge.is-warning { (family.reason) } }
            h3 id=(title) { code { (family.root) } }
            @if !family.path.is_empty() {
                dl.facts {
                    dt { "path" }
                    dd { ol.path { @for step in &family.path { li { code { (step) } } } } }
                }
            }
            (to_mend(&family.remedy))
        }
    }
}

fn unreachable(outcome: &Outcome) -> Markup {
    let table = html! {
        table {
            thead { tr { th scope="col" { "cell" } th scope="col" { "what was said" } } }
            tbody {
                @for (cell, why) in &outcome.unreachable {
                    tr { th scope="row" { (cell) } td { (why) } }
                }
            }
        }
    };
    scroll("Cells that were not reached", table)
}

fn time(outcome: &Outcome) -> Markup {
    let table = html! {
        table {
            caption { "Work" }
            thead {
                tr {
                    th.number scope="col" { "batches" }
                    th.number scope="col" { "statements" }
                    th.number scope="col" { "retries" }
                    th.number scope="col" { "seconds" }
                }
            }
            tbody {
                tr {
                    (number(outcome.batches))
                    (number(outcome.statements))
                    (number(outcome.retries))
                    td.number { (seconds(outcome.elapsed_ms)) }
                }
            }
        }
    };
    html! {
        figure { (scroll("Work", table)) }
        @if outcome.spent_ms.values().any(|ms| *ms > 0) {
            figure {
                (counts(
                    "Where the time went, in milliseconds by kind of statement; sessions at the same time are added up",
                    ["kind", "ms"],
                    &outcome.spent_ms,
                ))
            }
        }
    }
}
