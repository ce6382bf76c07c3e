//! Files that people keep, edit and merge (baselines, earlier reports, suppressions, plans) may be anything: each is read,
//! or refused with one line.

use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value as Json;
use sexton::archive::Forecast;
use sexton::audit::{Baseline, Since, Suppressions};
use sexton::error::Result;

use crate::sample::{Sample, sexton};

/// A file of each kind, as the program writes it or people do.
fn good() -> &'static [String; 4] {
    static GOOD: OnceLock<[String; 4]> = OnceLock::new();
    GOOD.get_or_init(|| {
        let sample = Sample::empty();
        sample.generate(&["--families", "2", "--live", "0", "--damage", "residue=1"]);
        let cell = sample.cell();
        let files = ["baseline", "report", "plan"].map(|name| sample.name(name));
        let [baseline, report, plan] = &files;
        let json = format!("json={report}");
        sexton(&["audit", &cell, "--write-baseline", baseline, "--report", &json]);
        sexton(&["archive", &cell, "--plan", plan, "--quiet"]);
        let [baseline, report, plan] = files.map(|file| std::fs::read_to_string(file).unwrap());
        let suppressions = "[[suppress]]\ncheck = \"residue\"\ntable = \"tagß\"\nreason = \"R-1\"\nuntil = 2027-01-31\n";
        [baseline, report, plan, suppressions.to_owned()]
    })
}

#[test]
fn what_is_good_is_read() {
    let [baseline, report, plan, suppressions] = good();
    Baseline::parse(baseline, "kept").unwrap();
    Since::parse(report, "kept").unwrap();
    Forecast::read(plan).unwrap();
    Suppressions::parse(suppressions, "kept").unwrap();
}

/// Reads it as each of them.
fn read(text: &str) {
    fn judge<T>(kind: &str, read: Result<T>) {
        if let Err(error) = read {
            let said = error.to_string();
            assert!(!said.is_empty() && !said.contains('\n'), "{kind}: {said}");
            assert!(said.contains("kept"), "{kind} is not named: {said}");
            assert!(error.hint.is_some(), "{kind}: {said}");
        }
    }
    judge("baseline", Baseline::parse(text, "kept"));
    judge("report", Since::parse(text, "kept"));
    judge("suppressions", Suppressions::parse(text, "kept"));
    // The command says the rest, which has the name of the file.
    if let Err(said) = Forecast::read(text) {
        assert!(!said.is_empty() && !said.contains('\n'), "plan: {said}");
    }
}

fn name() -> impl Strategy<Value = String> {
    let names = [
        "version",
        "database",
        "findings",
        "fingerprint",
        "count",
        "severity",
        "newest",
        "written",
        "suppress",
        "check",
        "table",
        "reference",
        "reason",
        "until",
        "rows",
        "blocked",
        "max_drift_percent",
        "schema",
        "before",
    ];
    let names: Vec<_> = names.map(str::to_owned).into();
    prop_oneof![4 => prop::sample::select(names), 1 => any::<String>()]
}

fn value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (0..3_u32).prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
        Just(Json::from("2026-11-28")),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let object = prop::collection::btree_map(name(), inner.clone(), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Json::from),
            object.prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        read(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_json_and_any_toml_is_read_or_refused(value in value()) {
        read(&value.to_string());
        if let Ok(text) = toml::to_string(&value) {
            read(&text);
        }
    }

    /// Somebody's mistake in a good one.
    #[test]
    fn any_slip_is_read_or_refused(
        which in 0..4_usize, at in any::<Index>(), gone in 0..20_usize, new in any::<String>(),
    ) {
        let good: Vec<char> = good()[which].chars().collect();
        let at = at.index(good.len());
        let before: String = good[..at].iter().collect();
        let after: String = good[good.len().min(at + gone)..].iter().collect();
        read(&format!("{before}{new}{after}"));
    }
}
