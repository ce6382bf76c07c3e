//! `README.md`: the page that tells a failure in words.

use super::super::archiver::{Ended, EngineOptions, Ran};
use super::super::case::{Case, Judged};
use super::super::evidence::Evidence;
use super::super::injector::Passed;
use super::super::oracle::Breach;
use super::super::scenario::Scenario;
use super::super::world::MAIN_URL;
use super::rows;
use super::spot::{How, Spot};
use super::trace::head;
use crate::quote::shortened;

/// How much of a statement is quoted.
const QUOTED: usize = 600;

pub(super) fn text(
    scenario: &Scenario,
    judged: &Judged,
    evidence: &Evidence,
    breach: &Breach,
    spot: Option<&Spot<'_>>,
) -> String {
    let world = &scenario.world;
    let fingerprint = breach.fingerprint();
    let mut page = format!(
        "# {fingerprint}\n\nThe engine `{}` fails on {}, in the world `{}`: {}.\n\n",
        scenario.engine,
        scenario.database.name(),
        world.name,
        world.title
    );
    let fault = match scenario.case == Case::default() {
        true => "none is needed, the undisturbed run does it".into(),
        false => scenario.describe(),
    };
    let facts = [
        (
            "Oracle",
            format!("*{}*: {}", breach.oracle, breach.oracle.meaning()),
        ),
        ("Place", format!("`{}`", breach.place)),
        ("What is wrong", breach.what.clone()),
        ("Fault", fault),
        ("Options", options(&scenario.options)),
    ];
    for (name, fact) in facts {
        page.push_str(&format!("- **{name}:** {fact}\n"));
    }
    if !judged
        .breaches
        .iter()
        .any(|b| b.fingerprint() == fingerprint)
    {
        page.push_str("\nWhen it was run again to write this page, it did not fail like this.\n");
    }
    page.push_str("\n## Where\n\n");
    page.push_str(&place(spot));
    page.push_str("\nAll statements are in `trace.sql`.\n");
    page.push_str("\n## Where the rows lie\n\n");
    page.push_str(&rows::table(scenario, evidence, breach));
    page.push_str("\n## What the engine said\n\n");
    page.push_str(&words(scenario, &judged.ran));
    page.push_str("\n## How to run it again\n\n");
    if let Some(directory) = &scenario.directory {
        page.push_str(&format!(
            "The command line of the engine was given in `{}`: what is relative in it is relative to \
             that. Run it there, or give another one with `--engine`.\n\n",
            directory.display()
        ));
    }
    page.push_str(
        "`./repro.sh` replays `scenario.json` with `sexton prove --replay` and exits with 2 if it \
         still fails.\n\nBy hand: `schema.sql` and `data.sql` make the database as it was before. \
         Run the engine on it, and do to it what `trace.sql` says at its mark (`>>>`).\n",
    );
    if world.api.is_some() {
        page.push_str(&format!(
            "`api-schema.sql` and `api-data.sql` make the API database; put the URL of the first \
             one in the place of `{MAIN_URL}` there.\n"
        ));
    }
    page
}

fn options(options: &EngineOptions) -> String {
    let rows = format!("at most {} rows in one batch", options.max_rows);
    match &options.before {
        Some(before) => format!("{rows}; only what was deleted before {before}"),
        None => rows,
    }
}

/// Between which two statements it happened.
fn place(spot: Option<&Spot<'_>>) -> String {
    let Some(spot) = spot else {
        return "At no one statement: what is wrong shows at the end of a run.\n".into();
    };
    let (first, second) = match spot.how {
        How::Cut => (
            "The last statement that was executed:",
            "The first one that was not:",
        ),
        How::Between => ("It came after this statement:", "And before this one:"),
        How::Seen => (
            "Nothing has to go wrong. From this statement on it is to be seen by everybody:",
            "Whatever ends the run before this one leaves it so:",
        ),
    };
    let mut text = String::new();
    match spot.last {
        Some(last) => text.push_str(&format!("{first}\n\n{}\n", quote(last))),
        None => text.push_str("Before the first statement of the run.\n\n"),
    }
    match spot.next {
        Some(next) => text.push_str(&format!("{second}\n\n{}", quote(next))),
        None => text.push_str("No other statement would have come.\n"),
    }
    text
}

fn quote(passed: &Passed) -> String {
    let sql = shortened(&passed.sql, QUOTED);
    format!("```sql\n{}{sql}\n```\n", head(passed))
}

fn words(scenario: &Scenario, ran: &[Ran]) -> String {
    // After a loss of power only the reruns are left to be asked.
    let first = 1 + usize::from(scenario.case.power_loss.is_some());
    let mut text = String::new();
    for (number, ran) in (first..).zip(ran) {
        let ended = match scenario.case.kills(number) {
            // To an engine in this process its own death is a lost connection.
            true => Ended::Killed.to_string(),
            false => ran.ended.to_string(),
        };
        let rows = ran.rows.iter().flatten().filter(|(_, n)| **n > 0);
        let rows: Vec<_> = rows.map(|(table, n)| format!("{table} {n}")).collect();
        let rows = match (rows.is_empty(), &ran.rows) {
            (false, _) => format!("; rows: {}", rows.join(", ")),
            (true, Some(_)) => "; no rows".into(),
            (true, None) => String::new(),
        };
        text.push_str(&format!("- run {number}: {ended}{rows}\n"));
        let output = ran.output.trim();
        if !output.is_empty() {
            let lines: Vec<_> = output.lines().map(|l| format!("      {l}\n")).collect();
            let from = lines.len().saturating_sub(20);
            text.push_str(&format!("\n{}\n", lines[from..].concat()));
        }
    }
    text
}
