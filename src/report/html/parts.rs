//! What pages are made of: texts to copy, bars, tables that scroll on their own.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::super::grouped;
use super::super::mend::{OR, Piece, pieces};
pub(super) use super::super::several;
use crate::audit::Severity;

/// A text to copy, under its title. The button comes with the script.
pub(super) fn code(title: &str, text: &str) -> Markup {
    html! {
        div.code {
            div { h4 { (title) } }
            pre { (text) }
        }
    }
}

/// What mends something: the words to read, the statements to copy.
pub(super) fn to_mend(remedy: &str) -> Markup {
    let mut parts = Vec::new();
    for piece in pieces(remedy) {
        match (piece, parts.last_mut()) {
            (Piece::Statement(statement), _) => parts.push((Vec::new(), Some(statement))),
            (piece, Some((words, None))) => words.push(piece),
            (piece, _) => parts.push((vec![piece], None)),
        }
    }
    html! {
        @for (words, statement) in &parts {
            @if let Some(statement) = statement { (code("SQL to mend it", statement)) }
            @else {
                p.mend {
                    @if matches!(words.first(), Some(Piece::Words(first)) if first.starts_with(OR)) { "Or: " }
                    @else { "To mend: " }
                    @for piece in words {
                        @match piece {
                            Piece::Words(words) => { (words.trim_start_matches(OR)) }
                            Piece::Name(name) | Piece::Statement(name) => { code { (name) } }
                        }
                    }
                }
            }
        }
    }
}

/// What is wider than a small screen, and scrolls there instead of the page; with the keyboard too.
pub(super) fn scroll(label: &str, inner: Markup) -> Markup {
    html! {
        div.scroll role="region" aria-label=(label) tabindex="0" { (inner) }
    }
}

/// A bar, its parts side by side, `whole` as wide as the cell. It only repeats numbers that stand beside it.
pub(super) fn bar(parts: &[(u64, &str)], whole: u64) -> Markup {
    /// What is there must be seen, however little it is.
    const LEAST: f64 = 0.5;
    let width = |count: u64| (count as f64 / whole.max(1) as f64 * 100.0).max(LEAST);
    let mut from = 0.0;
    let mut placed = Vec::new();
    for (count, class) in parts.iter().filter(|(count, _)| *count > 0) {
        // Not beyond the end, where many small ones have pushed it.
        placed.push((class, f64::min(from, 100.0 - LEAST), width(*count)));
        from += width(*count);
    }
    html! {
        svg.bar viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            @for (class, from, wide) in placed {
                rect class=(class) x=(rounded(from)) y="0" width=(rounded(wide)) height="8" {}
            }
        }
    }
}

/// A name that may be broken after each of its parts, where there is little room.
pub(super) fn name(name: &str) -> Markup {
    html! { @for part in name.split_inclusive(['_', '.']) { (part) wbr; } }
}

/// A cell with a number, which the script sorts by.
pub(super) fn number(number: u64) -> Markup {
    html! { td.number data-value=(number) { (grouped(number)) } }
}

/// The mark of a severity.
pub(super) fn badge(severity: Severity) -> Markup {
    html! { span class={ "badge is-" (severity.as_str()) } { (severity.as_str()) } }
}

/// Numbers by name, the largest first, each with its bar.
pub(super) fn counts<'a>(
    caption: &str,
    heads: [&str; 2],
    counts: impl IntoIterator<Item = (&'a String, &'a u64)>,
) -> Markup {
    let mut counts: Vec<_> = counts.into_iter().filter(|(_, n)| **n > 0).collect();
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let most = counts.first().map_or(0, |(_, n)| **n);
    let table = html! {
        table.sortable {
            caption { (caption) }
            thead {
                tr {
                    th scope="col" { (heads[0]) }
                    th.fixed scope="col" { span.sr { "as a bar" } }
                    th.number scope="col" { (heads[1]) }
                }
            }
            tbody {
                @for (key, count) in &counts {
                    tr {
                        th scope="row" { (name(key)) }
                        td.chart { (bar(&[(**count, "plain")], most)) }
                        (number(**count))
                    }
                }
            }
        }
    };
    scroll(caption, table)
}

/// Milliseconds as seconds.
pub(super) fn seconds(milliseconds: u64) -> String {
    format!(
        "{}.{:03} s",
        grouped(milliseconds / 1000),
        milliseconds % 1000
    )
}

/// A list to choose one of its values from, or all.
pub(super) struct Choice<'a> {
    /// The field of the cards that it chooses by: `check`, `table`.
    pub(super) name: &'a str,
    pub(super) title: &'a str,
    pub(super) all: &'a str,
    pub(super) values: BTreeSet<&'a str>,
}

/// What filters and sorts the cards of the element `list`. Hidden until the script, which makes it work, shows it.
pub(super) fn filters(
    label: &str,
    severities: &[Severity],
    choices: &[Choice<'_>],
    orders: &[(&str, &str)],
) -> Markup {
    html! {
        form.filters hidden data-list="list" data-shown="shown" aria-label=(label) {
            @if !severities.is_empty() {
                fieldset {
                    legend { "Severity" }
                    div.choices {
                        @for severity in severities {
                            label {
                                input type="checkbox" name="severity" value=(severity.as_str()) checked;
                                (severity.as_str())
                            }
                        }
                    }
                }
            }
            @for choice in choices {
                div {
                    label for=(choice.name) { (choice.title) }
                    select id=(choice.name) name=(choice.name) {
                        option value="" { (choice.all) }
                        @for value in &choice.values { option value=(value) { (value) } }
                    }
                }
            }
            div {
                label for="text" { "Text" }
                input id="text" name="text" type="search" autocomplete="off";
            }
            div {
                label for="order" { "Order" }
                select id="order" name="order" {
                    @for (value, title) in orders { option value=(value) { (title) } }
                }
            }
            div { button type="reset" { "Show all" } }
        }
    }
}

/// A coordinate, to a tenth: what is finer cannot be seen.
pub(super) fn rounded(value: f64) -> String {
    let tenths = (value * 10.0).round() / 10.0;
    // There is a -0.0 too.
    format!("{}", tenths + 0.0)
}

/// How long ago, in the largest unit that fits.
pub(super) fn ago(seconds: u64) -> String {
    const DAY: u64 = 86_400;
    match seconds {
        0..3_600 => several(seconds / 60, "minute"),
        3_600..DAY => several(seconds / 3_600, "hour"),
        _ => several(seconds / DAY, "day"),
    }
}
