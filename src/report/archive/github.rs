//! A run as annotations of a GitHub Actions run: blocked families, by reason, and cells that were not reached.

use super::super::github::{Level, annotation};
use super::super::{grouped, several};
use super::{Deed, SHOWN};
use crate::archive::Outcome;

/// The outcome as workflow commands.
pub fn archive_github(outcome: &Outcome, deed: Deed) -> String {
    let mut out = String::new();
    let name = format!("sexton {}", deed.name());
    for (cell, why) in &outcome.unreachable {
        let message = format!("cell {cell}: {why}");
        annotation(&mut out, Level::Error, "not reached", &message);
    }
    for (reason, count) in &outcome.blocked_families {
        let mut lines = vec![format!("{} {}: {reason}", grouped(*count), deed.blocked())];
        let listed = outcome.blocked.iter().filter(|b| b.reason == *reason);
        for blocked in listed.take(SHOWN) {
            lines.push(blocked.path.join("  <-  "));
            let remedy = format!("remedy: {}", blocked.remedy);
            if !lines.contains(&remedy) {
                lines.push(remedy);
            }
        }
        annotation(
            &mut out,
            Level::Warning,
            &format!("{name}: {reason}"),
            &lines.join("\n"),
        );
    }
    let done = format!(
        "{} of {} {}. {}",
        several(outcome.total_rows, "row"),
        several(outcome.families, "family"),
        deed.verb(outcome.dry_run),
        super::closing(outcome, deed).trim_end()
    );
    annotation(&mut out, Level::Notice, &name, &done);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_a_warning() {
        insta::assert_snapshot!(archive_github(&super::super::example(), Deed::Archive));
    }
}
