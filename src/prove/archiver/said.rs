//! What a program said of its run: exit code and output, read in the forms that are known.

use std::collections::BTreeMap;

use super::{Ended, Ran};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
}

/// Reads what a program said. Known are nova-manage's table and sexton's own JSON; of any other program
/// only the exit code counts, and 0 means done.
pub(super) fn read(exit: Exit, stdout: &str, stderr: &str) -> Ran {
    let output = format!("{stdout}{stderr}");
    let last = || {
        let line = output.lines().rev().find(|l| !l.trim().is_empty());
        line.unwrap_or_default().trim().to_owned()
    };
    let code = match exit {
        Exit::Signal(_) => {
            return Ran {
                ended: Ended::Killed,
                rows: None,
                output,
            };
        }
        Exit::Code(code) => code,
    };
    let (ended, rows) = if let Some(report) = sexton_report(stdout) {
        sexton(code, &report)
    } else if let Some(rows) = nova_table(stdout) {
        // 0: nothing archived; 1: archived, and there may be more unless it ran until complete.
        match code {
            0 => (Ended::Done, Some(rows)),
            1 if stdout.contains("complete") => (Ended::Done, Some(rows)),
            1 => (Ended::Stopped, Some(rows)),
            _ => (Ended::Failed(format!("exit code {code}: {}", last())), None),
        }
    } else if code == 0 {
        (Ended::Done, None)
    } else {
        (Ended::Failed(format!("exit code {code}: {}", last())), None)
    };
    Ran {
        ended,
        rows,
        output,
    }
}

/// The rows that `nova-manage db archive_deleted_rows --verbose` lists; `None` if it says nothing of
/// rows.
fn nova_table(stdout: &str) -> Option<BTreeMap<String, u64>> {
    if stdout.contains("Nothing was archived.") {
        return Some(BTreeMap::new());
    }
    if !stdout.contains("Number of Rows Archived") {
        return None;
    }
    let row = |line: &str| -> Option<(String, u64)> {
        let mut cells = line.trim().strip_prefix('|')?.split('|').map(str::trim);
        let (table, rows) = (cells.next()?, cells.next()?);
        // API records are no rows of the main database.
        if table.starts_with("API_DB.") {
            return None;
        }
        let table = table.rsplit('.').next()?;
        Some((table.to_owned(), rows.parse().ok()?))
    };
    let mut rows = BTreeMap::new();
    for (table, count) in stdout.lines().filter_map(row) {
        *rows.entry(table).or_default() += count;
    }
    Some(rows)
}

fn sexton_report(stdout: &str) -> Option<serde_json::Value> {
    let start = stdout.find('{')?;
    let report: serde_json::Value = serde_json::from_str(&stdout[start..]).ok()?;
    report.get("total_rows").is_some().then_some(report)
}

fn sexton(code: i32, report: &serde_json::Value) -> (Ended, Option<BTreeMap<String, u64>>) {
    let rows = report.get("rows").and_then(serde_json::Value::as_object);
    let rows = rows.map(|rows| {
        rows.iter()
            .filter_map(|(table, count)| Some((table.clone(), count.as_u64()?)))
            .collect()
    });
    let ended = match code {
        0 => Ended::Done,
        1 => Ended::Blocked,
        75 => Ended::Stopped,
        _ => Ended::Failed(format!("exit code {code}")),
    };
    (ended, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nova_manage_prints_is_read() {
        let text = "Archiving......complete\n\
                    +-----------------------+-------------------------+\n\
                    | Table                 | Number of Rows Archived |\n\
                    +-----------------------+-------------------------+\n\
                    | API_DB.request_specs  | 1                       |\n\
                    | instances             | 2                       |\n\
                    | instance_extra        | 3                       |\n\
                    +-----------------------+-------------------------+\n";
        let ran = read(Exit::Code(1), text, "");
        assert_eq!(ran.ended, Ended::Done);
        let rows = BTreeMap::from([
            ("instances".to_owned(), 2),
            ("instance_extra".to_owned(), 3),
        ]);
        assert_eq!(ran.rows, Some(rows));
        let nothing = read(Exit::Code(0), "Nothing was archived.\n", "");
        assert_eq!(
            (nothing.ended, nothing.rows),
            (Ended::Done, Some(BTreeMap::new()))
        );
        let broken = read(
            Exit::Code(255),
            "An error has occurred:\nTraceback\nBoom\n",
            "",
        );
        assert_eq!(broken.ended, Ended::Failed("exit code 255: Boom".into()));
        assert_eq!(broken.rows, None);
    }

    #[test]
    fn other_programs_speak_by_their_exit_code() {
        assert_eq!(read(Exit::Code(0), "fine", "").ended, Ended::Done);
        assert_eq!(read(Exit::Signal(9), "fine", "").ended, Ended::Killed);
        let own = r#"{"version":1,"rows":{"a":2},"total_rows":2}"#;
        let ran = read(Exit::Code(1), own, "");
        assert_eq!(ran.ended, Ended::Blocked);
        assert_eq!(ran.rows, Some(BTreeMap::from([("a".to_owned(), 2)])));
    }
}
