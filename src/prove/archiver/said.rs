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
        let sum: &mut u64 = rows.entry(table).or_default();
        *sum = sum.saturating_add(count);
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
    use proptest::prelude::*;

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

    /// A table as `nova-manage db archive_deleted_rows --verbose` prints it.
    fn table(rows: &[(String, u64)]) -> String {
        let mut text = "+--+--+\n| Table | Number of Rows Archived |\n+--+--+\n".to_owned();
        for (table, count) in rows {
            text += &format!("| {table:<21} | {count:<23} |\n");
        }
        text + "+--+--+\n"
    }

    proptest! {
        #[test]
        fn no_output_makes_it_panic(
            code in -1..300,
            before in ".{0,40}",
            cells in prop::collection::vec(("[a-zA-Z_. |]{0,12}", any::<u64>()), 0..6),
            after in "(?s).{0,40}",
        ) {
            let text = format!("{before}\n{}{after}", table(&cells));
            for output in [&text, &before, &after] {
                let ran = read(Exit::Code(code), output, &after);
                prop_assert_eq!(ran.output, format!("{output}{after}"));
            }
        }

        #[test]
        fn what_a_table_lists_is_read(
            rows in prop::collection::btree_map("[a-z_]{1,12}", any::<u64>(), 0..6),
            records in any::<u64>(),
            complete: bool,
        ) {
            let mut listed: Vec<_> = rows.clone().into_iter().collect();
            listed.push(("API_DB.instance_mappings".into(), records));
            let dots = if complete { "Archiving...complete\n" } else { "" };
            let ran = read(Exit::Code(1), &format!("{dots}{}", table(&listed)), "");
            prop_assert_eq!(ran.rows, Some(rows));
            prop_assert_eq!(ran.ended, if complete { Ended::Done } else { Ended::Stopped });
        }

        #[test]
        fn what_sexton_reports_is_read(
            rows in prop::collection::btree_map("[a-z_]{1,12}", any::<u64>(), 0..6),
            before in "[^{]{0,40}",
        ) {
            let report = serde_json::json!({"version": 1, "rows": rows, "total_rows": 0});
            let ran = read(Exit::Code(0), &format!("{before}{report}\n"), "");
            prop_assert_eq!((ran.ended, ran.rows), (Ended::Done, Some(rows)));
        }
    }

    #[test]
    fn a_table_that_is_listed_twice_counts_twice() {
        let listed = |first, second| {
            let rows = [
                ("cell1.instances".to_owned(), first),
                ("cell2.instances".to_owned(), second),
            ];
            let ran = read(Exit::Code(1), &table(&rows), "");
            ran.rows.unwrap()["instances"]
        };
        assert_eq!(listed(2, 3), 5);
        // A number that nobody archived, but a program may say anything.
        assert_eq!(listed(u64::MAX, 3), u64::MAX);
    }
}
