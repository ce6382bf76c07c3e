//! What an upgrade would meet, for people: where the databases are, what is in the way, what to run.

use std::fmt::Write as _;

use super::super::{grouped, right_aligned};
use crate::audit::upgrade::Upgrade;

pub(super) fn upgrade(out: &mut String, upgrade: &Upgrade) {
    let _ = writeln!(out, "\nupgrade to {}: {}", upgrade.release, upgrade.verdict);
    let mut section = |title: &str, head: &[&str], rows: Vec<Vec<String>>, numbers| {
        if !rows.is_empty() {
            let head = head.iter().map(|h| (*h).to_owned()).collect();
            let all = std::iter::once(head).chain(rows).collect();
            let table = right_aligned(all, numbers);
            let _ = write!(out, "\n{title}\n");
            for line in table.lines() {
                let _ = writeln!(out, "    {line}");
            }
        }
    };
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let databases = upgrade.databases.iter().map(|at| {
        let releases = match at.releases.is_empty() {
            true => "not known here".to_owned(),
            false => at.releases.join(", "),
        };
        vec![
            at.database.clone(),
            or_none(&at.version),
            releases,
            at.target.clone(),
        ]
    });
    let head = ["database", "version", "release", "to version"];
    section("where it is", &head, databases.collect(), 0..0);
    let backlog = upgrade.backlog.iter().map(|b| {
        let (deleted, archived) = (grouped(b.deleted), grouped(b.archived));
        let old = [or_none(&b.oldest), or_none(&b.oldest_archived)];
        let [oldest, oldest_archived] = old;
        vec![b.table.clone(), deleted, archived, oldest, oldest_archived]
    });
    let head = [
        "table",
        "soft-deleted",
        "in shadow",
        "oldest",
        "oldest in shadow",
    ];
    section("what nobody needs any more", &head, backlog.collect(), 1..3);
    let pending = upgrade.pending.iter().map(|p| {
        let (rows, deleted) = (grouped(p.rows), grouped(p.deleted));
        let when = if p.due { "before" } else { "after" };
        vec![
            p.migration.clone(),
            p.table.clone(),
            rows,
            deleted,
            when.to_owned(),
        ]
    });
    let head = ["migration", "table", "rows", "soft-deleted", "run it"];
    section("online data migrations", &head, pending.collect(), 2..4);
    if !upgrade.unseen.is_empty() {
        out.push_str("\nnot looked at (give the API database with --api)\n");
        for what in &upgrade.unseen {
            let _ = writeln!(out, "    {what}");
        }
    }
    if !upgrade.commands.is_empty() {
        out.push_str("\nrun, in this order\n");
        for (number, step) in (1..).zip(&upgrade.commands) {
            let _ = writeln!(out, "{number:>3}. {}\n     {}", step.command, step.why);
        }
    }
}
