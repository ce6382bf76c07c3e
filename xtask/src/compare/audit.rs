//! The audit beside hand-written anti-joins, and on SQLite the orphan check beside `PRAGMA foreign_key_check`.

use std::io::{Seek as _, Write as _};
use std::process::Command;

use anyhow::Result;
use sexton::db::{Engine, Target};
use sexton::schema::{FamilyGraph, Profile, Reference};
use xshell::Shell;

use super::ground::{Ground, Kind, Place};
use super::measure::{self, Cost};
use super::script::client;
use super::{Size, median, sexton};
use crate::install;

/// Every check together may take so many times what the anti-joins take.
const BAR: f64 = 1.3;

/// Runs of each in a round.
const RUNS: usize = 3;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    size: Size,
}

/// `cargo xtask compare audit`; whether sexton was fast enough.
pub(super) fn run(sh: &Shell, args: &Args) -> Result<bool> {
    let on = args.size.on;
    if on == Kind::Sqlite {
        install::tools(sh, &[("/usr/bin/sqlite3", "sqlite3")])?;
    }
    let program = sexton(sh)?;
    let mut ground = Ground::new(on, args.size.families)?;
    let place = ground.place("nova")?;
    // Half of the families are in the shadow tables, as somewhere along the way.
    let rows = u64::from(args.size.families) * 23 / 2;
    let mut archive = Command::new(&program);
    archive.args([
        "archive",
        "--quiet",
        "--max-rows",
        &rows.to_string(),
        &place.url,
    ]);
    measure::run("sexton archive", &archive, None, &[75], None)?;
    ground.analyze(&place.url)?;
    let graph = Profile::detect(&place.schema).families(&place.schema)?;
    let joins = anti_joins(&graph, place.session.engine());
    println!(
        "{} families, half of them archived, on {}; {} anti-joins\n",
        args.size.families,
        ground.description(),
        joins.len()
    );
    let target: Target = place.url.parse()?;
    let mut pairs = vec![(
        Contender::Script("anti-joins", joins.join(";\n") + ";\n"),
        Contender::Sexton("sexton audit", vec!["audit"]),
        BAR,
    )];
    let fresh = match on {
        Kind::Sqlite => {
            let fresh = ground.place("fresh")?;
            pairs.push((
                Contender::Script(
                    "PRAGMA foreign_key_check",
                    "PRAGMA foreign_key_check;\n".into(),
                ),
                Contender::Sexton(
                    "sexton audit --check orphaned-row",
                    vec!["audit", "--check", "orphaned-row"],
                ),
                1.0,
            ));
            Some(fresh)
        }
        Kind::Mariadb | Kind::Postgres => None,
    };
    let mut met = true;
    for (number, (peer, own, bar)) in pairs.iter().enumerate() {
        // A shadow table has no foreign key: what SQLite checks is all live.
        let (target, url) = match &fresh {
            Some(Place { url, .. }) if number > 0 => (url.parse()?, url),
            _ => (target.clone(), &place.url),
        };
        println!(
            "| | seconds | its CPU, s | server's CPU, s | its memory, MiB |\n| --- | ---: | ---: | ---: | ---: |"
        );
        let (mut ratios, mut shown) = (Vec::new(), Vec::new());
        for round in 0..args.size.rounds as usize * RUNS {
            let mut costs = Vec::new();
            for contender in [peer, own] {
                costs.push(contender.run(&program, &target, url, ground.process())?);
            }
            ratios.push(costs[1].seconds / costs[0].seconds);
            if round == 0 {
                shown = costs;
            }
        }
        for (contender, cost) in [peer, own].into_iter().zip(&shown) {
            println!(
                "| {} | {:.3} | {:.2} | {:.2} | {:.0} |",
                contender.label(),
                cost.seconds,
                cost.own_cpu,
                cost.server_cpu,
                cost.memory as f64 / 1024.0
            );
        }
        let middle = median(ratios);
        let fast = middle <= *bar;
        met &= fast;
        println!(
            "\n{}: {} takes at most {bar} times as long as {} ({middle:.2} in the middle of {} pairs)\n",
            if fast { "met" } else { "NOT met" },
            own.label(),
            peer.label(),
            args.size.rounds as usize * RUNS
        );
    }
    Ok(met)
}

enum Contender {
    /// Statements for the database's own client.
    Script(&'static str, String),
    Sexton(&'static str, Vec<&'static str>),
}

impl Contender {
    fn label(&self) -> &'static str {
        match self {
            Self::Script(label, _) | Self::Sexton(label, _) => label,
        }
    }

    fn run(
        &self,
        program: &std::path::Path,
        target: &Target,
        url: &str,
        server: Option<u32>,
    ) -> Result<Cost> {
        let (cost, _) = match self {
            Self::Script(label, text) => {
                let mut file = tempfile::NamedTempFile::new()?;
                file.write_all(text.as_bytes())?;
                file.rewind()?;
                measure::run(label, &client(target)?, server, &[0], Some(file.reopen()?))?
            }
            Self::Sexton(label, args) => {
                let mut command = Command::new(program);
                command.args(args).arg(url);
                measure::run(label, &command, server, &[0, 1], None)?
            }
        };
        Ok(cost)
    }
}

/// What somebody would ask by hand who knows the tables: for every reference its orphans, its split families on both
/// sides and what holds a deleted parent, and for every table the rows that are in both places.
fn anti_joins(graph: &FamilyGraph, engine: Engine) -> Vec<String> {
    let mut joins = Vec::new();
    for reference in &graph.references {
        let by_hand = ByHand { engine, reference };
        joins.extend(by_hand.questions(graph).unwrap_or_default());
    }
    for member in graph.members.values().filter(|m| !m.key.is_empty()) {
        if let Some(shadow) = &member.shadow {
            let equal = |c: &String| format!("s.{} = t.{}", engine.quote(c), engine.quote(c));
            let on: Vec<_> = member.key.iter().map(equal).collect();
            joins.push(format!(
                "SELECT COUNT(*) FROM {} t JOIN {} s ON {}",
                engine.quote(&member.table),
                engine.quote(shadow),
                on.join(" AND ")
            ));
        }
    }
    joins
}

struct ByHand<'a> {
    engine: Engine,
    reference: &'a Reference,
}

impl ByHand<'_> {
    /// That a child's parent is in this table. NOT EXISTS is PostgreSQL's; without an index, as shadow tables are, the
    /// others would read the whole table for each row.
    fn among(&self, table: &str, not: &str) -> String {
        let on = self.reference.join(self.engine, "c", "x");
        if self.engine == Engine::Postgres {
            return format!("{not}EXISTS (SELECT 1 FROM {table} x WHERE {on})");
        }
        let list = |alias: &str, columns: &[String]| {
            let columns: Vec<_> = columns
                .iter()
                .map(|c| self.engine.column(alias, c))
                .collect();
            columns.join(", ")
        };
        let set = self.reference.parent_columns.iter();
        let set: Vec<_> = set
            .map(|c| format!("{} IS NOT NULL", self.engine.column("x", c)))
            .collect();
        format!(
            "({}) {not}IN (SELECT {} FROM {table} x WHERE {})",
            list("c", &self.reference.child_columns),
            list("x", &self.reference.parent_columns),
            set.join(" AND ")
        )
    }

    fn questions(&self, graph: &FamilyGraph) -> Option<Vec<String>> {
        let (child, parent) = (
            graph.member(&self.reference.child)?,
            graph.member(&self.reference.parent)?,
        );
        let quoted = |name: &Option<String>| name.as_ref().map(|s| self.engine.quote(s));
        let (live, shadow) = (self.engine.quote(&child.table), quoted(&child.shadow));
        let (owner, archived) = (self.engine.quote(&parent.table), quoted(&parent.shadow));
        let count = |table: &str, terms: &[String]| {
            format!(
                "SELECT COUNT(*) FROM {table} c WHERE {}",
                terms.join(" AND ")
            )
        };
        let set = self.reference.is_set(self.engine, "c");
        let mut joins = Vec::new();
        for table in [Some(&live), shadow.as_ref()].into_iter().flatten() {
            let mut terms = vec![set.clone(), self.among(&owner, "NOT ")];
            terms.extend(archived.as_ref().map(|a| self.among(a, "NOT ")));
            joins.push(count(table, &terms));
        }
        if let Some(archived) = &archived {
            joins.push(count(
                &live,
                &[
                    set.clone(),
                    self.among(archived, ""),
                    self.among(&owner, "NOT "),
                ],
            ));
        }
        if let (Some(shadow), Some(archived)) = (&shadow, &archived) {
            joins.push(count(
                shadow,
                &[set, self.among(&owner, ""), self.among(archived, "NOT ")],
            ));
        }
        let dead = parent
            .marker
            .as_ref()
            .map(|m| m.is_deleted(self.engine, "p"))?;
        let alive = child.marker.as_ref();
        let alive = alive.map_or_else(String::new, |m| {
            format!(" AND NOT {}", m.is_deleted(self.engine, "c"))
        });
        joins.push(format!(
            "SELECT COUNT(*) FROM {live} c JOIN {owner} p ON {} WHERE {dead}{alive}",
            self.reference.join(self.engine, "c", "p")
        ));
        Some(joins)
    }
}
