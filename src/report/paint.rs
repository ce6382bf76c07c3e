//! What a terminal shows in colour, and the one palette of all reports: bold red for what is wrong or was lost, bold
//! yellow for what wants a look, bold cyan for a note, bold for what is read first, faint for labels.
//!
//! Colours add nothing: without them a report says the same.

use anstyle::{AnsiColor, Effects, Style};

use crate::audit::Severity;

/// What is read first: titles, the line of totals.
pub(super) const STRONG: Style = Style::new().effects(Effects::BOLD);
/// Labels, heads of tables, and what is excused.
pub(super) const FAINT: Style = Style::new().effects(Effects::DIMMED);
/// What is wrong, or failed.
pub(super) const ERROR: Style = loud(AnsiColor::Red);
/// What wants a look: what stays, what stopped early.
pub(super) const WARNING: Style = loud(AnsiColor::Yellow);
const NOTE: Style = loud(AnsiColor::Cyan);

const fn loud(colour: AnsiColor) -> Style {
    colour.on_default().effects(Effects::BOLD)
}

/// Whether a text is for somebody who sees colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Nothing but the text.
    Plain,
    /// With the escape sequences of a terminal.
    Colour,
}

impl Paint {
    pub(super) fn with(self, style: Style, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("{style}{text}{style:#}"),
        }
    }

    /// A table with its first line as its head.
    pub(super) fn headed(self, table: &str) -> String {
        match table.split_once('\n') {
            Some((head, rows)) => format!("{}\n{rows}", self.with(FAINT, head)),
            None => self.with(FAINT, table),
        }
    }

    /// A line that ends a report, with its line break.
    pub(super) fn closing(self, style: Style, line: &str) -> String {
        format!("{}\n", self.with(style, line.trim_end_matches('\n')))
    }
}

/// The style of findings that are as bad as this.
pub(super) fn of(severity: Severity) -> Style {
    match severity {
        Severity::Error => ERROR,
        Severity::Warning => WARNING,
        Severity::Note => NOTE,
    }
}
