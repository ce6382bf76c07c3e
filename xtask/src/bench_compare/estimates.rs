//! What criterion wrote about a run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// Nanoseconds for one run of each benchmark, by its name.
pub(super) type Estimates = BTreeMap<String, f64>;

/// Reads all benchmarks below criterion's directory.
pub(super) fn read(home: &Path) -> Result<Estimates> {
    let mut estimates = Estimates::new();
    walk(home, &mut estimates)?;
    Ok(estimates)
}

fn walk(directory: &Path, estimates: &mut Estimates) -> Result<()> {
    let named = || directory.display().to_string();
    for entry in fs::read_dir(directory).with_context(named)? {
        let path = entry.with_context(named)?.path();
        if !path.is_dir() {
            continue;
        }
        let benchmark = path.join("benchmark.json");
        // Beside `new` there may be `base`, the same benchmark another time.
        if path.ends_with("new") && benchmark.exists() {
            let name = json(&benchmark, name)?;
            let mean = json(&path.join("estimates.json"), mean)?;
            estimates.insert(name, mean);
        } else {
            walk(&path, estimates)?;
        }
    }
    Ok(())
}

fn json<T>(path: &Path, part: impl Fn(&Value) -> Option<T>) -> Result<T> {
    let read = || {
        let value = serde_json::from_slice(&fs::read(path)?)?;
        part(&value).context("criterion writes it in another form than it did")
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

/// The whole name, with group and size.
fn name(benchmark: &Value) -> Option<String> {
    benchmark["full_id"].as_str().map(str::to_owned)
}

/// The mean. In criterion's quick form there are two samples, so the median is the same number.
fn mean(estimates: &Value) -> Option<f64> {
    let mean = estimates["mean"]["point_estimate"].as_f64();
    mean.filter(|mean| *mean > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BENCHMARK: &str = r#"{"group_id":"archive/sqlite","function_id":"max-rows-1000","value_str":"1000",
        "throughput":{"Elements":23006},"full_id":"archive/sqlite/max-rows-1000/1000",
        "directory_name":"archive_sqlite/max-rows-1000/1000","title":"archive/sqlite/max-rows-1000/1000"}"#;
    const ESTIMATES: &str = r#"{"mean":{"confidence_interval":{"confidence_level":0.95,"lower_bound":236890355.0,
        "upper_bound":242000515.0},"point_estimate":239445435.0,"standard_error":1807445.7},"median":
        {"point_estimate":1.0}}"#;

    fn written(benchmark: &str, estimates: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().expect("a directory");
        for kind in ["base", "new"] {
            let directory = home
                .path()
                .join("archive_sqlite/max-rows-1000/1000")
                .join(kind);
            fs::create_dir_all(&directory).expect("a directory");
            fs::write(directory.join("benchmark.json"), benchmark).expect("room");
            fs::write(directory.join("estimates.json"), estimates).expect("room");
            fs::write(directory.join("sample.json"), "{}").expect("room");
        }
        home
    }

    #[test]
    fn what_criterion_wrote_is_read() {
        let home = written(BENCHMARK, ESTIMATES);
        let name = "archive/sqlite/max-rows-1000/1000".to_owned();
        let read = read(home.path()).expect("estimates");
        assert_eq!(read, Estimates::from([(name, 239_445_435.0)]));
    }

    #[test]
    fn nothing_written_is_nothing_measured() {
        let home = tempfile::tempdir().expect("a directory");
        assert_eq!(read(home.path()).expect("none"), Estimates::new());
    }

    #[test]
    fn another_form_is_an_error_that_names_the_file() {
        for estimates in ["{}", "no JSON", r#"{"mean":{"point_estimate":0.0}}"#] {
            let home = written(BENCHMARK, estimates);
            let error = read(home.path()).expect_err("no estimate");
            assert!(format!("{error:#}").contains("estimates.json"), "{error:#}");
        }
    }
}
