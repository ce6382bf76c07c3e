//! The pages of archive runs and purges.

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
            assert!(
                cards.as_str().unwrap().contains(text.as_str().unwrap()),
                "{text}"
            );
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
