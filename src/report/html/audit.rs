//! The page of an audit: verdict, findings, the family graph, how much is pending and how old.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::super::audit::{state, worst_first};
use super::super::grouped;
use super::backlog::backlog;
use super::families::families as picture;
use super::page::{Mood, Page, Section, Verdict};
use super::parts::{self, Choice, ago, badge, code, name, number, scroll, several, to_mend};
use crate::audit::{AuditReport, Census, Finding, Severity};
use crate::error::Result;
use crate::schema::FamilyGraph;

/// The families of one of the databases that were audited.
#[derive(Debug, Clone)]
pub struct Families<'a> {
    /// What stands before the names of its tables in findings: `cell1.`, or nothing.
    pub prefix: String,
    /// Its families.
    pub graph: &'a FamilyGraph,
}

/// The page of an audit, of the moment at which it began.
///
/// # Errors
///
/// Exit code 70 if the picture of the families cannot be drawn.
pub fn audit_html(report: &AuditReport, families: &[Families<'_>]) -> Result<String> {
    let at = report.audited_at.unwrap_or_default();
    let mut sections = vec![Section {
        id: "findings",
        title: "Findings".into(),
        body: findings(report),
    }];
    if !report.not_checked.is_empty() {
        sections.push(Section {
            id: "not-checked",
            title: "Could not check".into(),
            body: not_checked(report),
        });
    }
    let aside = state::aside(report);
    if !aside.is_empty() {
        sections.push(Section {
            id: "aside",
            title: "Not findings any more, and suppressions that do nothing".into(),
            body: html! { ul { @for (what, text) in &aside { li { (what) ": " (text) } } } },
        });
    }
    if let Some(body) = picture(report, families)? {
        sections.push(Section {
            id: "families",
            title: "Families".into(),
            body,
        });
    }
    if let Some(census) = &report.census {
        sections.push(Section {
            id: "backlog",
            title: "Backlog".into(),
            body: backlog(census),
        });
    }
    if let Some(upgrade) = &report.upgrade {
        sections.push(Section {
            id: "upgrade",
            title: format!("Upgrade to {}: {}", upgrade.release, upgrade.verdict),
            body: self::upgrade(upgrade),
        });
    }
    let page = Page {
        command: "sexton audit",
        subject: &report.database,
        aside: format!("profile {}", report.profile),
        verdict: verdict(report),
        tiles: report.census.as_ref().map(tiles).unwrap_or_default(),
        sections,
        at,
    };
    Ok(page.text())
}

fn verdict(report: &AuditReport) -> Verdict {
    let gaps = report.not_checked.len() as u64;
    let excused = report.findings.iter().any(Finding::is_excused);
    let open = report.findings.iter().filter(|f| !f.is_excused());
    let worst = open.map(|f| f.severity).max();
    let (mood, word) = match worst {
        Some(Severity::Error) => (Mood::Error, "Damaged"),
        _ if gaps > 0 => (Mood::Warning, "Not known to be sound"),
        Some(Severity::Warning) => (Mood::Warning, "Something will be left behind"),
        Some(Severity::Note) => (Mood::Note, "Sound, with remarks"),
        None if excused => (Mood::Note, "Nothing but what is known or suppressed"),
        None => (Mood::Good, "Sound"),
    };
    let mut more = Vec::new();
    if gaps > 0 {
        more.push("What could not be checked may hide more.".to_owned());
    }
    Verdict {
        mood,
        line: format!("{word}: {}", state::summary(report)),
        more,
    }
}

fn tiles(census: &Census) -> Vec<(&'static str, String, String)> {
    let total = census.total();
    let oldest = match (total.oldest_age_seconds, &total.oldest) {
        (Some(seconds), Some(date)) => (ago(seconds), date.clone()),
        _ => ("none".into(), String::new()),
    };
    let live = total.rows.saturating_sub(total.pending);
    let of_shadow = total.archived.map_or("no shadow tables".into(), grouped);
    let since = total
        .oldest_archived
        .map_or(String::new(), |date| format!("since {date}"));
    vec![
        ("Live rows", grouped(live), "not soft-deleted".into()),
        (
            "Pending rows",
            grouped(total.pending),
            "soft-deleted, still in live tables".into(),
        ),
        ("Oldest pending", oldest.0, oldest.1),
        ("In shadow tables", of_shadow, since),
    ]
}

fn findings(report: &AuditReport) -> Markup {
    let findings: Vec<_> = worst_first(report).collect();
    if findings.is_empty() {
        return html! { p { "Nothing was found." } };
    }
    html! {
        (filters(&findings))
        p.shown id="shown" role="status" {}
        div id="list" {
            @for (number, finding) in (1..).zip(&findings) { (card(number, finding)) }
        }
    }
}

fn filters(findings: &[&Finding]) -> Markup {
    let checks: BTreeSet<_> = findings.iter().map(|f| f.check.as_str()).collect();
    let tables: BTreeSet<_> = findings.iter().map(|f| f.table.as_str()).collect();
    parts::filters(
        "Filter and sort the findings",
        &[Severity::Error, Severity::Warning, Severity::Note],
        &[
            Choice {
                name: "check",
                title: "Check",
                all: "all checks",
                values: checks,
            },
            Choice {
                name: "table",
                title: "Table",
                all: "all tables",
                values: tables,
            },
        ],
        &[
            ("worst", "worst first"),
            ("count", "most rows first"),
            ("oldest", "oldest first"),
            ("table", "by table"),
            ("check", "by check"),
        ],
    )
}

fn card(number: usize, finding: &Finding) -> Markup {
    let severity = finding.severity.as_str();
    let (id, title) = (
        format!("finding-{number}"),
        format!("finding-{number}-title"),
    );
    let mut samples = finding.samples.join(", ");
    if !samples.is_empty() && (finding.samples.len() as u64) < finding.count {
        samples.push_str(", ...");
    }
    let age = state::age(finding);
    let standing = state::of(finding);
    html! {
        article class={ "card " (severity) } id=(id) aria-labelledby=(title) data-severity=(severity)
            data-check=(finding.check) data-table=(finding.table) data-count=(finding.count)
            data-fingerprint=(finding.fingerprint) data-order=(number) data-oldest=(finding.oldest.as_deref().unwrap_or_default()) {
            header {
                (badge(finding.severity))
                code { (finding.check) }
                @if finding.is_known() { span.badge.is-good { "known" } }
                @if finding.suppressed.is_some() { span.badge.is-good { "suppressed" } }
            }
            h3 id=(title) { (finding.message) }
            dl.facts {
                dt { "table" }
                dd { code { (finding.table) } }
                @if let Some(reference) = &finding.reference {
                    dt { "reference" }
                    dd { code { (reference) } }
                }
                @if !finding.path.is_empty() {
                    dt { "path" }
                    dd { ol.path { @for step in &finding.path { li { code { (step) } } } } }
                }
                dt { "count" }
                dd { (grouped(finding.count)) }
                @if !samples.is_empty() {
                    dt { "samples" }
                    dd { code { (samples) } }
                }
                @if !age.is_empty() {
                    dt { "age" }
                    dd { (age) }
                }
                @if !standing.is_empty() {
                    dt { "state" }
                    dd { (standing) }
                }
                dt { "id" }
                dd { code { (finding.fingerprint) } }
            }
            @if let Some(select) = &finding.select { (code("To look", select)) }
            @if let Some(command) = &finding.repair { (code("To mend what needs no choice", command)) }
            (to_mend(&finding.remedy))
        }
    }
}

fn not_checked(report: &AuditReport) -> Markup {
    let table = html! {
        table.sortable {
            thead { tr { th scope="col" { "check" } th scope="col" { "table" } th scope="col" { "why not" } } }
            tbody {
                @for gap in &report.not_checked {
                    tr {
                        th scope="row" { code { (gap.check) } }
                        td { code { (name(gap.table.as_deref().unwrap_or("all"))) } }
                        td { (gap.why) }
                    }
                }
            }
        }
    };
    scroll("What could not be checked", table)
}

fn upgrade(upgrade: &crate::audit::upgrade::Upgrade) -> Markup {
    let pending = html! {
        table.sortable {
            thead {
                tr {
                    th scope="col" { "online data migration" }
                    th scope="col" { "table" }
                    th.number scope="col" { "rows" }
                    th.number scope="col" { "soft-deleted" }
                    th scope="col" { "run it" }
                }
            }
            tbody {
                @for p in &upgrade.pending {
                    tr {
                        th scope="row" { code { (p.migration) } }
                        td { code { (p.table) } }
                        (number(p.rows))
                        (number(p.deleted))
                        td { @if p.due { "before" } @else { "after" } }
                    }
                }
            }
        }
    };
    html! {
        @for at in &upgrade.databases {
            p {
                code { (at.database) } ": version " code { (at.version.as_deref().unwrap_or("none")) }
                ", to version " code { (at.target) }
            }
        }
        @if !upgrade.pending.is_empty() { (scroll("Online data migrations", pending)) }
        @if !upgrade.unseen.is_empty() {
            p { "Not looked at (give the API database with --api): " (upgrade.unseen.join(", ")) "." }
        }
        @if !upgrade.commands.is_empty() {
            h3 { (several(upgrade.commands.len() as u64, "command")) " to run, in this order" }
            ol {
                @for step in &upgrade.commands {
                    li { (code(&step.why, &step.command)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Ages;
    use crate::audit::TableCensus;
    use jiff::Timestamp;

    fn at() -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    fn example() -> AuditReport {
        let mut report = crate::report::judged();
        let mut census = Census::new(at()).unwrap();
        census.tables.push(TableCensus {
            table: "instances".into(),
            rows: 12_000,
            pending: 2_000,
            archived: Some(7),
            oldest: Some("2025-01-01 00:00:00".into()),
            oldest_age_seconds: Some(395 * 86_400),
            oldest_archived: Some("2024-01-01 00:00:00".into()),
            ages: Ages {
                days_30: 1_900,
                older: 99,
                no_date: 1,
                ..Ages::default()
            },
            ..TableCensus::default()
        });
        census.tables.push(TableCensus {
            table: "share_mapping".into(),
            rows: 3,
            ..TableCensus::default()
        });
        report.census = Some(census);
        report
    }

    /// A page without its head, style and script, an element a line.
    fn body(page: &str) -> String {
        let (from, to) = (page.find("<body>").unwrap(), page.find("<script>").unwrap());
        page[from..to].replace("><", ">\n<")
    }

    #[test]
    fn the_page_of_an_audit() {
        let page = audit_html(&example(), &[]).unwrap();
        insta::assert_snapshot!(body(&page));
    }

    #[test]
    fn the_verdict_is_that_of_the_worst() {
        let word = |change: fn(&mut AuditReport)| {
            let mut report = crate::report::example();
            change(&mut report);
            let verdict = verdict(&report);
            (
                verdict.mood,
                verdict.line.split(':').next().unwrap().to_owned(),
            )
        };
        assert_eq!(word(|_| ()), (Mood::Error, "Damaged".into()));
        // What could not be checked is never clean.
        assert_eq!(
            word(|r| r.findings.clear()),
            (Mood::Warning, "Not known to be sound".into())
        );
        assert_eq!(
            word(|r| {
                r.not_checked.clear();
                r.findings.retain(|f| f.severity < Severity::Error)
            }),
            (Mood::Warning, "Something will be left behind".into())
        );
        assert_eq!(
            word(|r| {
                r.not_checked.clear();
                r.findings.retain(|f| f.severity < Severity::Warning)
            }),
            (Mood::Note, "Sound, with remarks".into())
        );
        assert_eq!(
            word(|r| {
                r.not_checked.clear();
                r.findings.clear()
            }),
            (Mood::Good, "Sound".into())
        );
        // What makes no audit fail is no reason to call a database damaged.
        let mut report = crate::report::judged();
        report.not_checked.clear();
        report.findings.retain(Finding::is_excused);
        report.findings[0].severity = Severity::Error;
        let line = verdict(&report).line;
        assert!(
            line.starts_with("Nothing but what is known or suppressed"),
            "{line}"
        );
    }
}
