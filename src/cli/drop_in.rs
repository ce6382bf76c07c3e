//! sexton under the name of another tool: what is typed for that tool, in sexton's words.
//!
//! Scripts and charms call `nova-manage db archive_deleted_rows` and `nova-manage db purge`. A link of that
//! name to the binary takes their place; everything else of the tool is refused.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

/// Where the tool looks for its configuration if none is named.
const CONFIGURATION: &str = "/etc/nova/nova.conf";

/// Archive and purge as nova-manage does, by sexton.
#[derive(Debug, Parser)]
#[command(name = "nova-manage", version)]
struct NovaManage {
    /// The configuration. Of several the last one counts.
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        default_value = CONFIGURATION,
        overrides_with = "config_file"
    )]
    config_file: PathBuf,
    /// Taken, and of no effect.
    #[arg(long, short, global = true)]
    debug: bool,
    #[command(subcommand)]
    category: Category,
}

#[derive(Debug, Subcommand)]
enum Category {
    /// The database.
    Db {
        #[command(subcommand)]
        action: Action,
    },
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Move deleted rows to the shadow tables.
    #[command(name = "archive_deleted_rows")]
    Archive(Archive),
    /// Delete rows from the shadow tables.
    Purge(Purge),
}

#[derive(Debug, Args)]
struct Archive {
    /// Most rows.
    #[arg(long = "max_rows", value_name = "N", allow_hyphen_values = true)]
    max_rows: Option<String>,
    /// Print what was archived.
    #[arg(long)]
    verbose: bool,
    /// Go on until all is archived.
    #[arg(long)]
    until_complete: bool,
    /// Purge the shadow tables afterwards.
    #[arg(long)]
    purge: bool,
    /// Only what was deleted before that.
    #[arg(long, value_name = "DATE")]
    before: Option<String>,
    /// The task log too.
    #[arg(long)]
    task_log: bool,
    /// Seconds between batches.
    #[arg(long, value_name = "SECONDS")]
    sleep: Option<String>,
    /// Every cell that the API database lists.
    #[arg(long)]
    all_cells: bool,
}

#[derive(Debug, Args)]
struct Purge {
    /// Everything.
    #[arg(long)]
    all: bool,
    /// Only what was deleted before that.
    #[arg(long, value_name = "DATE")]
    before: Option<String>,
    /// Print what was deleted.
    #[arg(long)]
    verbose: bool,
    /// Every cell that the API database lists.
    #[arg(long)]
    all_cells: bool,
}

/// Whether the program was called by the name of the other tool.
fn is_nova_manage(program: Option<&OsString>) -> bool {
    let name = program.map(Path::new).and_then(Path::file_name);
    name == Some(OsStr::new("nova-manage"))
}

/// The command line that sexton is to read: the one that was typed, or what that of another tool means.
///
/// # Errors
///
/// clap's own, for that tool: help, or what it does not know.
pub(super) fn arguments(
    typed: impl Iterator<Item = OsString>,
) -> Result<Vec<OsString>, clap::Error> {
    let typed: Vec<_> = typed.collect();
    if !is_nova_manage(typed.first()) {
        return Ok(typed);
    }
    let NovaManage {
        config_file,
        debug: _,
        category: Category::Db { action },
    } = NovaManage::try_parse_from(typed)?;
    let mut words: Vec<OsString> = vec!["sexton".into()];
    let flag = |words: &mut Vec<OsString>, name: &str, given: bool| {
        words.extend(given.then(|| name.into()));
    };
    let value = |words: &mut Vec<OsString>, name: &str, given: Option<String>| {
        // In one word: what begins with a dash is still a value.
        words.extend(given.map(|text| format!("{name}={text}").into()));
    };
    match action {
        Action::Archive(archive) => {
            words.push("archive".into());
            value(&mut words, "--max-rows", archive.max_rows);
            value(&mut words, "--before", archive.before);
            value(&mut words, "--sleep", archive.sleep);
            flag(&mut words, "--verbose", archive.verbose);
            flag(&mut words, "--until-complete", archive.until_complete);
            flag(&mut words, "--purge", archive.purge);
            flag(&mut words, "--task-log", archive.task_log);
            flag(&mut words, "--all-cells", archive.all_cells);
        }
        Action::Purge(purge) => {
            words.push("purge".into());
            value(&mut words, "--before", purge.before.clone());
            // There a date outweighs --all.
            flag(&mut words, "--all", purge.all && purge.before.is_none());
            flag(&mut words, "--verbose", purge.verbose);
            flag(&mut words, "--all-cells", purge.all_cells);
        }
    }
    words.extend([
        "--compat".into(),
        "nova-manage".into(),
        "--config-file".into(),
    ]);
    words.push(config_file.into());
    Ok(words)
}

/// The exit code for what that tool does not know: that of Python's argparse.
pub(super) fn refusal(error: &clap::Error) -> u8 {
    if error.use_stderr() { 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<String, clap::Error> {
        let words = arguments(line.split(' ').map(OsString::from))?;
        let words: Vec<_> = words
            .iter()
            .map(|w| w.to_string_lossy().into_owned())
            .collect();
        Ok(words.join(" "))
    }

    #[test]
    fn what_is_typed_for_nova_manage_is_what_sexton_is_told() {
        let there = "/usr/bin/nova-manage";
        let compat = "--compat nova-manage --config-file";
        for (typed, told) in [
            (
                "db archive_deleted_rows --verbose --max_rows 1000",
                format!("sexton archive --max-rows=1000 --verbose {compat} {CONFIGURATION}"),
            ),
            (
                "--config-file n.conf db archive_deleted_rows --max_rows=-1 --until-complete \
                 --before 2026-01-01 --sleep 1 --task-log --purge",
                format!(
                    "sexton archive --max-rows=-1 --before=2026-01-01 --sleep=1 --until-complete \
                     --purge --task-log {compat} n.conf"
                ),
            ),
            (
                "db purge --all --verbose --config-file n.conf",
                format!("sexton purge --all --verbose {compat} n.conf"),
            ),
            (
                "db archive_deleted_rows --all-cells",
                format!("sexton archive --all-cells {compat} {CONFIGURATION}"),
            ),
            (
                "db purge --all --before 90d --debug --config-file a.conf --config-file b.conf",
                format!("sexton purge --before=90d {compat} b.conf"),
            ),
            (
                "db purge --all --all-cells",
                format!("sexton purge --all --all-cells {compat} {CONFIGURATION}"),
            ),
            (
                "db purge --before 90d",
                format!("sexton purge --before=90d {compat} {CONFIGURATION}"),
            ),
        ] {
            assert_eq!(read(&format!("{there} {typed}")).unwrap(), told);
        }
        assert_eq!(read("sexton db purge").unwrap(), "sexton db purge");
        for unknown in [
            "db sync",
            "cell_v2 list_cells",
            "db purge --older-than 3",
            "db",
        ] {
            assert!(read(&format!("{there} {unknown}")).is_err(), "{unknown}");
        }
    }
}
