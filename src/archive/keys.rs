//! Keys in a statement: how many go into one, and how they are written. Pure.
//!
//! MariaDB, MySQL and SQLite are given the keys of a table in their own order, which is that of the rows on disk,
//! and runs of them as ranges: a range is found once and then read on, where each key of a list is looked up by
//! itself. A range holds no key but those that were read, so no other row is touched.

use crate::db::{Engine, Value};

use super::forest::Key;

/// Most keys or ranges in one statement. MariaDB turns longer lists into a temporary table, and MySQL's
/// range optimizer gives up on very long ones.
pub(super) const KEYS_PER_STATEMENT: usize = 900;

/// The same on SQLite, whose expressions may be 1000 terms deep, and which walks a plan of its own for each range.
const RANGES_ON_SQLITE: usize = 400;

/// Most keys in one statement however few ranges they make, so that none takes long.
const KEYS_IN_RANGES: usize = 20_000;

/// Fewer keys than that in a row are listed.
const SHORTEST_RANGE: usize = 3;

/// Keys next to each other, and the one key of a run of one.
struct Run {
    first: i64,
    last: i64,
}

impl Run {
    fn len(&self) -> usize {
        usize::try_from(self.last - self.first + 1).unwrap_or(usize::MAX)
    }

    /// How many entries it takes in a statement.
    fn entries(&self) -> usize {
        match self.len() {
            short if short < SHORTEST_RANGE => short,
            _ => 1,
        }
    }
}

/// Keys of one integer, if they are written as ranges on this engine.
fn numbers(engine: Engine, keys: &[Key]) -> Option<Vec<i64>> {
    if engine == Engine::Postgres {
        return None;
    }
    let number = |key: &Key| match key.as_slice() {
        [Value::Int(number)] => Some(*number),
        _ => None,
    };
    let mut numbers = keys.iter().map(number).collect::<Option<Vec<_>>>()?;
    numbers.sort_unstable();
    Some(numbers)
}

/// The runs of sorted numbers. A number that is there twice makes two runs, as it is two keys.
fn runs(numbers: &[i64]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some(run) if run.last.checked_add(1) == Some(*number) => run.last = *number,
            _ => runs.push(Run {
                first: *number,
                last: *number,
            }),
        }
    }
    runs
}

/// The keys in pieces for a statement each.
pub(crate) fn pieces(engine: Engine, keys: &[Key]) -> Vec<Vec<Key>> {
    let Some(numbers) = numbers(engine, keys) else {
        return keys
            .chunks(KEYS_PER_STATEMENT)
            .map(<[Key]>::to_vec)
            .collect();
    };
    let most = match engine {
        Engine::Sqlite => RANGES_ON_SQLITE,
        Engine::Mysql | Engine::Postgres => KEYS_PER_STATEMENT,
    };
    let mut pieces: Vec<Vec<Key>> = Vec::new();
    let mut entries = usize::MAX;
    for run in runs(&numbers) {
        let mut from = run.first;
        while from <= run.last {
            let room = pieces
                .last()
                .map_or(0, |p| KEYS_IN_RANGES.saturating_sub(p.len()));
            if entries.saturating_add(run.entries()) > most || room == 0 {
                pieces.push(Vec::new());
                entries = 0;
                continue;
            }
            let to = run.last.min(from.saturating_add(room as i64 - 1));
            if let Some(piece) = pieces.last_mut() {
                piece.extend((from..=to).map(|number| vec![Value::Int(number)]));
            }
            entries += run.entries();
            if to == i64::MAX {
                break;
            }
            from = to + 1;
        }
    }
    pieces
}

/// `alias.id IN (1, 2)`, or the same with row values; no alias if it is empty.
pub(crate) fn key_in(engine: Engine, alias: &str, columns: &[String], keys: &[Key]) -> String {
    let name = |c: &String| {
        if alias.is_empty() {
            engine.quote(c)
        } else {
            engine.column(alias, c)
        }
    };
    let value = |v: &Value| engine.literal(v);
    if let [column] = columns {
        return of_column(engine, &name(column), keys);
    }
    let list: Vec<_> = keys
        .iter()
        .map(|k| format!("({})", k.iter().map(value).collect::<Vec<_>>().join(", ")))
        .collect();
    // SQLite takes a list of row values only as a VALUES clause.
    let values = if engine == Engine::Sqlite {
        "VALUES "
    } else {
        ""
    };
    let names: Vec<_> = columns.iter().map(name).collect();
    format!("({}) IN ({values}{})", names.join(", "), list.join(", "))
}

/// `id IN (1, 2)`, or with ranges `(id BETWEEN 1 AND 9 OR id IN (11, 12))`, for a key of one column.
fn of_column(engine: Engine, column: &str, keys: &[Key]) -> String {
    let list = |values: Vec<String>| format!("{column} IN ({})", values.join(", "));
    let Some(numbers) = numbers(engine, keys) else {
        let values = keys.iter().flatten().map(|v| engine.literal(v));
        return list(values.collect());
    };
    let (mut terms, mut single) = (Vec::new(), Vec::new());
    for run in runs(&numbers) {
        match run.len() {
            short if short < SHORTEST_RANGE => {
                single.extend((run.first..=run.last).map(|n| n.to_string()));
            }
            _ => terms.push(format!("{column} BETWEEN {} AND {}", run.first, run.last)),
        }
    }
    if !single.is_empty() || terms.is_empty() {
        terms.push(list(single));
    }
    match terms.as_slice() {
        [one] => one.clone(),
        many => format!("({})", many.join(" OR ")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(numbers: &[i64]) -> Vec<Key> {
        numbers.iter().map(|n| vec![Value::Int(*n)]).collect()
    }

    fn mysql(numbers: &[i64]) -> String {
        of_column(Engine::Mysql, "id", &keys(numbers))
    }

    #[test]
    fn runs_are_ranges_where_rows_lie_in_key_order() {
        assert_eq!(mysql(&[3, 1, 2]), "id BETWEEN 1 AND 3");
        assert_eq!(mysql(&[7, 9, 8, 1]), "(id BETWEEN 7 AND 9 OR id IN (1))");
        assert_eq!(mysql(&[5, 6]), "id IN (5, 6)");
        assert_eq!(mysql(&[]), "id IN ()");
        let sqlite = of_column(Engine::Sqlite, "id", &keys(&[3, 1, 2]));
        assert_eq!(sqlite, "id BETWEEN 1 AND 3");
        let postgres = of_column(Engine::Postgres, "id", &keys(&[3, 1, 2]));
        assert_eq!(postgres, "id IN (3, 1, 2)");
        let text = vec![vec![Value::Text("a'b".into())]];
        assert_eq!(of_column(Engine::Mysql, "id", &text), "id IN ('a''b')");
        assert_eq!(
            mysql(&[i64::MAX, i64::MAX - 1, i64::MAX - 2])
                .matches("BETWEEN")
                .count(),
            1
        );
    }

    #[test]
    fn a_long_run_is_cut_and_many_short_ones_are_spread() {
        let all: Vec<i64> = (1..=45_000).collect();
        let sizes: Vec<_> = pieces(Engine::Mysql, &keys(&all))
            .iter()
            .map(Vec::len)
            .collect();
        assert_eq!(sizes, [20_000, 20_000, 5_000]);
        let odd: Vec<i64> = (0..2_000).map(|n| 2 * n).collect();
        let sizes: Vec<_> = pieces(Engine::Mysql, &keys(&odd))
            .iter()
            .map(Vec::len)
            .collect();
        assert_eq!(sizes, [900, 900, 200]);
        let sizes = pieces(Engine::Sqlite, &keys(&odd));
        assert!(sizes.len() == 5 && sizes.iter().all(|piece| piece.len() == 400));
        let sizes: Vec<_> = pieces(Engine::Postgres, &keys(&all))
            .iter()
            .map(Vec::len)
            .collect();
        assert_eq!(sizes, [vec![900; 50]].concat());
        assert!(pieces(Engine::Mysql, &[]).is_empty());
    }

    proptest! {
        #[test]
        fn no_key_is_lost_doubled_or_added(numbers in prop::collection::btree_set(-50_i64..200, 0..120)) {
            let numbers: Vec<i64> = numbers.into_iter().collect();
            let pieces = pieces(Engine::Mysql, &keys(&numbers));
            prop_assert_eq!(pieces.concat(), keys(&numbers));
            let text = mysql(&numbers);
            let is_in = |n: i64| {
                let range = text.split("BETWEEN ").skip(1).any(|rest| {
                    let mut ends = rest.split(" AND ");
                    let first: i64 = ends.next().unwrap().parse().unwrap();
                    let last = ends.next().unwrap();
                    let last: i64 = last.split([' ', ')']).next().unwrap().parse().unwrap();
                    (first..=last).contains(&n)
                });
                let list = text.split("IN (").nth(1).unwrap_or_default();
                range || list.trim_end_matches(')').split(", ").any(|one| one == n.to_string())
            };
            for n in -51..201 {
                prop_assert_eq!(is_in(n), numbers.contains(&n), "{} in {}", n, text);
            }
        }
    }
}
