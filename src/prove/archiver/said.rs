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

/// Reads what a program said.
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
    let contract = Contract::of(stdout);
    let (ended, rows) = if let Some(report) = sexton_report(stdout) {
        sexton(code, &report)
    } else if let Some(ended) = contract.meaning(code, stdout) {
        (ended, contract.rows(stdout))
    } else {
        let said = match last() {
            line if line.is_empty() => format!("exit code {code}, without a word"),
            line => format!("exit code {code}: {line}"),
        };
        (Ended::Failed(said), None)
    };
    Ran {
        ended,
        rows,
        output,
    }
}

/// What programs of one kind mean by what they print, beyond the forms that every program may use:
/// the one place that knows the words of a service. `docs/prove-engines.md` has it for people.
struct Contract {
    /// A program is one of these if any of these texts is in its output. It says then how many rows it
    /// moved, be it none; any other program says so only if it lists some.
    known_by: &'static [&'static str],
    /// How the names of tables begin that are of another database than the main one.
    elsewhere: &'static [&'static str],
    /// Exit code, what else is in the output, and what both mean; the first that fits counts, and what
    /// is not here is a failure.
    codes: &'static [(i32, &'static str, Ended)],
}

const NOVA_MANAGE: Contract = Contract {
    known_by: &["Number of Rows Archived", "Nothing was archived."],
    elsewhere: &["API_DB."],
    // 1 is not a failure: rows were archived, and there may be more unless it ran until complete.
    codes: &[
        (0, "", Ended::Done),
        (1, "complete", Ended::Done),
        (1, "", Ended::Stopped),
    ],
};

const ANY_OTHER: Contract = Contract {
    known_by: &[],
    elsewhere: &[],
    codes: &[(0, "", Ended::Done)],
};

impl Contract {
    fn of(stdout: &str) -> &'static Self {
        let known = NOVA_MANAGE.known_by.iter().any(|t| stdout.contains(t));
        if known { &NOVA_MANAGE } else { &ANY_OTHER }
    }

    fn meaning(&self, code: i32, stdout: &str) -> Option<Ended> {
        let fits =
            |(number, text, _): &&(i32, &str, Ended)| *number == code && stdout.contains(text);
        self.codes
            .iter()
            .find(fits)
            .map(|(_, _, ended)| ended.clone())
    }

    /// The rows that a program lists by table; `None` if it says nothing of rows.
    fn rows(&self, stdout: &str) -> Option<BTreeMap<String, u64>> {
        let mut rows = BTreeMap::new();
        let mut says = !self.known_by.is_empty();
        for (table, count) in stdout.lines().filter_map(listed) {
            says = true;
            if self
                .elsewhere
                .iter()
                .any(|prefix| table.starts_with(prefix))
            {
                continue;
            }
            // Before a point stands one of several databases with the same tables.
            let table = table.rsplit('.').next().unwrap_or(table);
            let sum: &mut u64 = rows.entry(table.to_owned()).or_default();
            *sum = sum.saturating_add(count);
        }
        says.then_some(rows)
    }
}

/// A line of a table, `| name | number |`.
fn listed(line: &str) -> Option<(&str, u64)> {
    let cells = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let (name, number) = cells.split_once('|')?;
    Some((name.trim(), number.trim().parse().ok()?))
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
    fn other_programs_speak_by_their_exit_code_and_a_table() {
        let fine = read(Exit::Code(0), "fine", "");
        assert_eq!((fine.ended, fine.rows), (Ended::Done, None));
        assert_eq!(read(Exit::Signal(9), "fine", "").ended, Ended::Killed);
        let table =
            "| root  |  3 |\n| child | 12 |\n| Took | 4 | s |\n| Mode | calm |\nroot | 9 |\n";
        let ran = read(Exit::Code(0), table, "");
        let rows = BTreeMap::from([("root".to_owned(), 3), ("child".to_owned(), 12)]);
        assert_eq!((ran.ended, ran.rows), (Ended::Done, Some(rows)));
        let ran = read(
            Exit::Code(1),
            &format!("complete\n{table}no such table\n"),
            "",
        );
        assert_eq!(
            ran.ended,
            Ended::Failed("exit code 1: no such table".into())
        );
        assert_eq!(ran.rows, None);
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
