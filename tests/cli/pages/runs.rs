//! The pages of archive runs, purges and campaigns.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::browser::Browser;
use super::{inspect, numbers, shown};
use crate::sample::{Sample, sexton};

/// The numbers of the only column of a table, by name; zeros are not shown.
fn counts(browser: &mut Browser, section: &str) -> BTreeMap<String, i64> {
    let rows = numbers(browser, &format!("#{section} table"));
    rows.into_iter().map(|(name, n)| (name, n[0])).collect()
}

fn some(counts: &Json) -> BTreeMap<String, i64> {
    let all: BTreeMap<String, i64> = serde_json::from_value(counts.clone()).unwrap();
    all.into_iter().filter(|(_, n)| *n > 0).collect()
}

#[test]
fn the_page_of_an_archive_run_says_what_the_json_says() {
    let sample = Sample::empty();
    sample.generate(&["--families", "20", "--damage", "unarchivable-parent=3"]);
    let cell = sample.cell();
    let run = |more: &[&str]| {
        let ran = sexton(
            &[
                &["archive", &cell, "--until-complete", "--dry-run"][..],
                more,
            ]
            .concat(),
        );
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        ran
    };
    let json = run(&["--format", "json"]).json();
    let path = sample.name("archive.html");
    run(&["--format", "html", "--output", &path]);
    let mut browser = Browser::new();
    inspect(&mut browser, "archive", &path);
    assert_eq!(counts(&mut browser, "rows"), some(&json["rows"]));
    assert_eq!(
        counts(&mut browser, "blocked"),
        some(&json["blocked_families"])
    );
    let blocked = json["blocked"].as_array().unwrap();
    let reasons: Vec<_> = blocked
        .iter()
        .map(|b| b["reason"].as_str().unwrap())
        .collect();
    assert_eq!(shown(&mut browser, "check"), reasons);
    let cards = browser.eval("document.getElementById('list').textContent");
    for part in blocked {
        for text in [&part["root"], &part["remedy"], &part["path"][1]] {
            // Names are code there, and not between backticks.
            let text = text.as_str().unwrap().replace('`', "");
            // A statement stands apart from the words before and behind it.
            let mut parts = text.split("; or ").flat_map(|part| part.split(": "));
            let cards = cards.as_str().unwrap();
            assert!(parts.all(|part| cards.contains(part)), "{text}");
        }
    }
    let verdict = browser.eval("document.querySelector('.verdict').textContent");
    assert!(
        verdict
            .as_str()
            .unwrap()
            .contains("A dry run: nothing was written."),
        "{verdict}"
    );
}

#[test]
fn the_page_of_a_purge_says_what_the_json_says() {
    let sample = Sample::new();
    let cell = sample.cell();
    assert_eq!(sexton(&["archive", &cell, "--until-complete"]).code, 0);
    let run = |more: &[&str]| {
        let ran = sexton(&[&["purge", &cell, "--all", "--dry-run"][..], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran
    };
    let json = run(&["--format", "json"]).json();
    let path = sample.name("purge.html");
    run(&["--format", "html", "--output", &path]);
    let mut browser = Browser::new();
    inspect(&mut browser, "purge", &path);
    assert_eq!(counts(&mut browser, "rows"), some(&json["rows"]));
}

#[test]
fn the_page_of_a_campaign_tells_a_failure_statement_by_statement() {
    let sample = Sample::empty();
    let run = |more: &[&str]| {
        let campaign = [
            "prove",
            "--quiet",
            "--engine",
            "control:commit-per-table",
            "--world",
            "chain",
        ];
        let limits = [
            "--faults",
            "kill-before,kill-after,cut-before",
            "--jobs",
            "1",
        ];
        let ran = sexton(&[&campaign[..], &limits, more].concat());
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        ran
    };
    let json = run(&["--format", "json"]).json();
    let path = sample.name("prove.html");
    run(&["--format", "html", "--output", &path]);
    let mut browser = Browser::new();
    inspect(&mut browser, "prove", &path);

    for (table, field) in [("by-oracle", "verdict"), ("by-fault", "faults")] {
        let expected: BTreeMap<_, _> = json[field]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, of)| {
                (
                    name.clone(),
                    vec![of["held"].as_i64().unwrap(), of["failed"].as_i64().unwrap()],
                )
            })
            .collect();
        assert!(expected.values().any(|n| n[1] > 0), "{expected:?}");
        let shown: BTreeMap<_, _> = numbers(&mut browser, &format!("#{table}"))
            .into_iter()
            .collect();
        assert_eq!(shown, expected, "{table}");
    }
    // One fault a case: together they are all cases.
    let faults = json["faults"].as_object().unwrap();
    let sum = |field: &str| {
        faults
            .values()
            .map(|of| of[field].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(Some(sum("failed")), json["failed"].as_u64());
    assert_eq!(Some(sum("held") + sum("failed")), json["cases"].as_u64());
    let names: Vec<_> = faults.keys().collect();
    assert_eq!(names, ["cut-before", "kill-after", "kill-before", "none"]);
    let failures = json["failures"].as_array().unwrap();
    let oracles: Vec<_> = failures
        .iter()
        .map(|f| f["oracle"].as_str().unwrap())
        .collect();
    assert_eq!(shown(&mut browser, "check"), oracles);

    // The first failure: statements that were committed, one that was hit, and what an oracle saw afterwards.
    let card = "document.querySelector('.card')";
    let kinds = browser.eval(&format!(
        "Array.from({card}.querySelectorAll('.timeline li'), li => li.className)"
    ));
    let kinds: Vec<String> = serde_json::from_value(kinds).unwrap();
    let position = |kind: &str| kinds.iter().position(|k| k == kind);
    assert!(
        position("hit").is_some() && position("skipped").is_some(),
        "{kinds:?}"
    );
    // This engine commits a part of a family, and from then on it is to be seen.
    assert_eq!(
        position("seen"),
        position("committed").map(|n| n + 1),
        "{kinds:?}"
    );
    let hit = browser.eval(&format!(
        "{card}.querySelector('.timeline .hit').textContent"
    ));
    assert!(
        hit.as_str()
            .unwrap()
            .contains("here the connection was lost"),
        "{hit}"
    );
    let sql = browser.eval(&format!(
        "{card}.querySelector('.timeline pre').textContent"
    ));
    assert!(!sql.as_str().unwrap().is_empty());

    // A bundle has a page of its own, of the case as it was shrunk.
    let bundles = sample.name("bundles");
    let json = run(&["--format", "json", "--bundles", &bundles]).json();
    let bundle = json["failures"][0]["bundle"].as_str().unwrap();
    inspect(&mut browser, "failure", &format!("{bundle}/report.html"));
    assert_eq!(
        shown(&mut browser, "check"),
        [failures[0]["oracle"].as_str().unwrap()]
    );
    let seen = browser.eval("document.querySelector('.timeline .seen').textContent");
    let what = json["failures"][0]["what"].as_str().unwrap();
    assert!(
        seen.as_str()
            .unwrap()
            .contains("from here on it is to be seen"),
        "{seen} {what}"
    );
}
