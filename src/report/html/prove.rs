//! The page of a campaign: what held, under which faults, and of each failure what happened, statement by statement.

use std::collections::BTreeSet;

use jiff::Timestamp;
use maud::{Markup, html};

use super::super::grouped;
use super::super::prove::{points, verdict as verdict_text};
use super::page::{Mood, Page, Section, Verdict};
use super::parts::{Choice, bar, code, filters, number, scroll, seconds, several};
use crate::exit::ExitCode;
use crate::prove::Report;
use crate::prove::bundle::{Event, Run, Timeline};
use crate::prove::report::{Failure, Verdict as Judgements};

/// The page of one failure, for its bundle; `None` if nobody has looked what happened in it.
pub fn failure_html(report: &Report, failure: &Failure, at: Timestamp) -> Option<String> {
    let Some(Ok(_)) = &failure.timeline else {
        return None;
    };
    let page = Page {
        command: "sexton prove",
        subject: &failure.fingerprint,
        aside: format!("{} on {}", report.engine, report.database.name()),
        verdict: Verdict {
            mood: Mood::Error,
            line: format!("{}: {}", failure.oracle.name(), failure.what),
            more: vec![failure.oracle.meaning().to_owned()],
        },
        tiles: Vec::new(),
        sections: vec![
            Section {
                id: "failure",
                title: "Failure".into(),
                body: card(0, failure),
            },
            Section {
                id: "again",
                title: "Run it again".into(),
                body: html! {
                    h3 { "With the other files of its bundle" }
                    (code("In the directory of this page", "./repro.sh"))
                },
            },
        ],
        at,
    };
    Some(page.text())
}

/// The page of a campaign that ended at `at`.
pub fn prove_html(report: &Report, at: Timestamp) -> String {
    let mut sections = Vec::new();
    if !report.failures.is_empty() {
        sections.push(Section {
            id: "failures",
            title: "Failures".into(),
            body: failures(report),
        });
    }
    let parts = [
        ("oracles", "Oracles", by_oracle(report)),
        ("faults", "Faults", by_fault(report)),
        ("worlds", "Worlds", by_world(report)),
    ];
    sections.extend(parts.map(|(id, title, body)| Section {
        id,
        title: title.into(),
        body,
    }));
    if !report.writers.is_empty() {
        sections.push(Section {
            id: "writers",
            title: "Concurrent writers".into(),
            body: by_writer(report),
        });
    }
    if !report.not_fired.is_empty() {
        sections.push(Section {
            id: "not-fired",
            title: "Faults that did not fire".into(),
            body: html! { ul { @for case in &report.not_fired { li { (case) } } } },
        });
    }
    let page = Page {
        command: "sexton prove",
        subject: &report.engine,
        aside: format!("on {}", report.database.name()),
        verdict: verdict(report),
        tiles: vec![
            (
                "Points",
                points(report),
                "statements and operations on files".into(),
            ),
            (
                "Cases",
                grouped(report.cases),
                format!("{} fired", grouped(report.fired)),
            ),
            (
                "Failed cases",
                grouped(report.failed),
                several(report.failures.len() as u64, "failure"),
            ),
            (
                "Time",
                seconds(report.elapsed_ms),
                several(report.jobs as u64, "worker"),
            ),
        ],
        sections,
        at,
    };
    page.text()
}

fn verdict(report: &Report) -> Verdict {
    let text = verdict_text(report);
    let mut lines = text.lines().map(str::to_owned);
    let mut more = Vec::new();
    if let Some(found) = &report.undetermined {
        more.push(format!(
            "The engine does not do the same twice: world {}, point {}: first {}, then {}",
            found.world, found.point, found.expected, found.found
        ));
    }
    let line = lines.next().unwrap_or_default();
    more.extend(lines);
    Verdict {
        mood: match report.exit_code() {
            ExitCode::Done => Mood::Good,
            ExitCode::Stopped => Mood::Note,
            ExitCode::Errors | ExitCode::Internal => Mood::Error,
            _ => Mood::Warning,
        },
        line,
        more,
    }
}

fn failures(report: &Report) -> Markup {
    let oracles: BTreeSet<_> = report.failures.iter().map(|f| f.oracle.name()).collect();
    let worlds: BTreeSet<_> = report.failures.iter().map(|f| f.world.as_str()).collect();
    let filters = filters(
        "Filter and sort the failures",
        &[],
        &[
            Choice {
                name: "check",
                title: "Oracle",
                all: "all oracles",
                values: oracles,
            },
            Choice {
                name: "table",
                title: "World",
                all: "all worlds",
                values: worlds,
            },
        ],
        &[
            ("worst", "as found"),
            ("count", "most cases first"),
            ("check", "by oracle"),
            ("table", "by world"),
        ],
    );
    html! {
        (filters)
        p.shown id="shown" role="status" {}
        div id="list" {
            @for (order, failure) in report.failures.iter().enumerate() {
                (card(order, failure))
            }
        }
    }
}

fn card(order: usize, failure: &Failure) -> Markup {
    let (id, title) = (format!("failure-{order}"), format!("failure-{order}-title"));
    html! {
        article.card.error id=(id) aria-labelledby=(title) data-check=(failure.oracle.name())
            data-table=(failure.world) data-count=(failure.count) data-order=(order) {
            header { span.badge.is-error { (failure.oracle.name()) } code { (failure.fingerprint) } }
            h3 id=(title) { (failure.what) }
            dl.facts {
                dt { "world" } dd { (failure.world) }
                dt { "fault" }
                dd {
                    @if failure.undisturbed { "none is needed, the undisturbed run fails too; here " }
                    (failure.fault)
                }
                @if !failure.said.is_empty() { dt { "engine" } dd { (failure.said) } }
                dt { "cases" } dd { (grouped(failure.count)) }
                @if let Some(bundle) = &failure.bundle { dt { "bundle" } dd { code { (bundle) } } }
                @if let Some(why) = &failure.not_shrunk { dt { "not shrunk" } dd { (why) } }
            }
            @match &failure.timeline {
                Some(Ok(timeline)) => (self::timeline(timeline)),
                Some(Err(why)) => p { "No timeline: " (why) },
                None => {}
            }
        }
    }
}

fn timeline(timeline: &Timeline) -> Markup {
    html! {
        h4 { "What happened, statement by statement" }
        @for (number, run) in (1..).zip(&timeline.runs) {
            // A rerun is seldom where it went wrong, and is long.
            details open[number == 1] {
                summary {
                    "Run " (number) ", " (run.title)
                    @if !run.ended.is_empty() { ": " (run.ended) }
                }
                (events(run))
            }
        }
    }
}

fn events(run: &Run) -> Markup {
    html! {
        ol.timeline {
            @for event in &run.events {
                @match event {
                    Event::Statement { number, database, sql, outcome, executed } => {
                        li.skipped[!executed] {
                            p.said {
                                @match number {
                                    Some(number) => (number),
                                    None => "set-up",
                                }
                                " \u{b7} " (database) " \u{b7} "
                                @if !executed { "not executed: " }
                                (outcome)
                            }
                            pre { (sql) }
                        }
                    }
                    Event::Hit(what) => { li.hit { span aria-hidden="true" { "\u{26a1} " } (what) } }
                    Event::Committed(what) => {
                        li.committed { p.said { "committed \u{b7} " (what) } }
                    }
                    Event::Seen(what) => { li.seen { span aria-hidden="true" { "\u{25b2} " } (what) } }
                }
            }
        }
    }
}

/// The heads of what [`judgements`] makes.
fn judgement_heads() -> Markup {
    html! {
        th.fixed scope="col" { span.sr { "as a bar" } }
        th.number scope="col" { "held" }
        th.number scope="col" { "failed" }
    }
}

/// How long the longest of their bars is.
fn longest<'v>(all: impl Iterator<Item = &'v Judgements>) -> u64 {
    all.map(|v| v.held + v.failed).max().unwrap_or(0)
}

/// Cells for how often something held and failed, with a bar of both.
fn judgements(of: Judgements, most: u64) -> Markup {
    html! {
        td.chart { (bar(&[(of.failed, "failed"), (of.held, "plain")], most)) }
        (number(of.held))
        (number(of.failed))
    }
}

fn by_oracle(report: &Report) -> Markup {
    let most = longest(report.verdict.values());
    let table = html! {
        table.sortable id="by-oracle" {
            thead {
                tr {
                    th scope="col" { "oracle" }
                    (judgement_heads())
                    th scope="col" { "meaning" }
                }
            }
            tbody {
                @for (oracle, of) in &report.verdict {
                    tr {
                        th scope="row" { (oracle.name()) }
                        (judgements(*of, most))
                        td { (oracle.meaning()) }
                    }
                }
            }
        }
    };
    scroll("By oracle", table)
}

fn by_fault(report: &Report) -> Markup {
    let most = longest(report.faults.values());
    let table = html! {
        table.sortable id="by-fault" {
            caption { "Cases by what was done to the run; one with two faults counts for both" }
            thead {
                tr {
                    th scope="col" { "fault" }
                    (judgement_heads())
                }
            }
            tbody {
                @for (fault, of) in &report.faults {
                    tr { th scope="row" { (fault) } (judgements(*of, most)) }
                }
            }
        }
    };
    scroll("By fault", table)
}

fn by_world(report: &Report) -> Markup {
    let table = html! {
        table.sortable id="by-world" {
            thead {
                tr {
                    th scope="col" { "world" }
                    @for head in ["statements", "file operations", "power losses", "modes", "cases", "fired", "failures"] {
                        th.number scope="col" { (head) }
                    }
                }
            }
            tbody {
                @for world in &report.worlds {
                    @let failures = report.failures.iter().filter(|f| f.world == world.name).count();
                    tr {
                        th scope="row" { (world.name) }
                        (number(world.statements))
                        (number(world.operations))
                        (number(world.power_losses))
                        (number(world.modes.len() as u64))
                        (number(world.cases))
                        (number(world.fired))
                        (number(failures as u64))
                    }
                }
            }
        }
    };
    html! {
        (scroll("By world", table))
        @if !report.unreached.is_empty() { p { "Not begun: " (report.unreached.join(", ")) "." } }
    }
}

fn by_writer(report: &Report) -> Markup {
    let table = html! {
        table.sortable {
            thead {
                tr {
                    th scope="col" { "writer" }
                    th.number scope="col" { "turns" }
                    th.number scope="col" { "changed a row" }
                }
            }
            tbody {
                @for (writer, turns) in &report.writers {
                    tr { th scope="row" { (writer) } (number(turns.turns)) (number(turns.changed)) }
                }
            }
        }
    };
    scroll("By writer", table)
}
