//! The page of an audit.

use serde_json::Value as Json;

use super::browser::Browser;
use super::{inspect, numbers, shown};
use crate::sample::{Sample, sexton};

/// A Nova with every kind of damage that a single database can have.
fn damaged() -> Sample {
    let sample = Sample::empty();
    let mut arguments = vec!["--families", "40", "--live", "10"];
    for damage in [
        "split-family=3",
        "residue=4",
        "orphaned-row=2",
        "unarchivable-parent=2",
        "missing-required-child=1",
        "duplicate-in-shadow=2",
        "inconsistent-marker=3",
    ] {
        arguments.extend(["--damage", damage]);
    }
    sample.generate(&arguments);
    sample
}

/// Writes the page; its path.
fn page(sample: &Sample, arguments: &[&str]) -> String {
    let path = sample.name("audit.html");
    let cell = sample.cell();
    let to_file = ["audit", &cell, "--format", "html", "--output", &path];
    let ran = sexton(&[&to_file[..], arguments].concat());
    assert!(ran.code <= 2 && ran.stderr.is_empty(), "{}", ran.stderr);
    path
}

fn json(sample: &Sample) -> Json {
    sexton(&["audit", &sample.cell(), "--census", "--format", "json"]).json()
}

#[test]
fn the_page_of_an_audit_says_what_the_json_says() {
    let sample = damaged();
    let (path, json) = (page(&sample, &[]), json(&sample));
    let mut browser = Browser::new();
    inspect(&mut browser, "audit", &path);

    let mut findings: Vec<_> = json["findings"].as_array().unwrap().iter().collect();
    assert!(findings.len() > 10, "{json}");
    let rank = |f: &Json| {
        ["error", "warning", "note"]
            .iter()
            .position(|s| f["severity"] == **s)
    };
    findings.sort_by_key(|f| rank(f));
    for (field, name) in [
        ("severity", "severity"),
        ("check", "check"),
        ("table", "table"),
        ("count", "count"),
    ] {
        let text = |f: &&Json| f[name].as_str().map_or(f[name].to_string(), str::to_owned);
        let expected: Vec<_> = findings.iter().map(text).collect();
        assert_eq!(shown(&mut browser, field), expected);
    }
    let of = |name: &str| -> Vec<String> {
        let of = findings.iter().filter_map(|f| f[name].as_str());
        of.map(str::to_owned).collect()
    };
    let texts = browser.eval("document.getElementById('list').textContent");
    let bare = |text: &str| text.replace(['`', ' ', '\n'], "");
    let texts = bare(texts.as_str().unwrap());
    assert_eq!(of("message").len(), findings.len());
    assert_eq!(of("remedy").len(), findings.len());
    for text in [of("message"), of("remedy")].concat() {
        // What is to be run stands apart from what is to be read.
        let mut parts = text.split("; or ").flat_map(|part| part.split(": "));
        assert!(parts.all(|part| texts.contains(&bare(part))), "{text}");
    }
    // What is copied is run as it is.
    let copied = "Array.from(document.querySelectorAll('#list .code pre'), pre => pre.textContent)";
    let copied = browser.eval(copied);
    let copied: Vec<_> = copied
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c.as_str().unwrap())
        .collect();
    let (selects, repairs) = (of("select"), of("repair"));
    assert!(selects.len() > 10 && repairs.len() > 3, "{json}");
    for text in selects.iter().chain(&repairs) {
        assert!(copied.contains(&text.as_str()), "{text} in {copied:#?}");
    }
    let statements = [
        "SELECT ",
        "BEGIN; ",
        "DELETE FROM ",
        "UPDATE ",
        "INSERT INTO ",
        "sexton repair ",
    ];
    for text in copied {
        assert!(
            statements.iter().any(|begins| text.starts_with(begins)),
            "{text}"
        );
        assert!(!text.contains("; or "), "{text}");
    }
    let summary = &json["summary"];
    let verdict = browser.eval("document.querySelector('.verdict').textContent");
    let expected = format!(
        "{} errors, {} warnings",
        summary["error"], summary["warning"]
    );
    assert!(
        verdict.as_str().unwrap().contains(&expected),
        "{verdict} {expected}"
    );

    let tables = json["census"]["tables"].as_array().unwrap();
    let mut expected: Vec<_> = tables
        .iter()
        .map(|t| {
            let number = |name: &str| t[name].as_i64().unwrap_or(-1);
            let numbers = ["pending", "rows", "archived"].map(number).to_vec();
            (t["table"].as_str().unwrap().to_owned(), numbers)
        })
        .collect();
    expected.sort_by_key(|(_, numbers)| -numbers[0]);
    assert!(expected[0].1[0] > 0, "{expected:?}");
    assert_eq!(numbers(&mut browser, "#by-table"), expected);
    let ages: Vec<_> = [
        "days_7", "days_30", "days_90", "days_365", "older", "no_date",
    ]
    .iter()
    .map(|age| {
        tables
            .iter()
            .map(|t| t["ages"][age].as_i64().unwrap())
            .sum::<i64>()
    })
    .collect();
    let shown: Vec<_> = numbers(&mut browser, "#by-age")
        .into_iter()
        .map(|(_, n)| n[0])
        .collect();
    assert_eq!(shown, ages);
}

#[test]
fn findings_are_filtered_and_sorted() {
    let sample = damaged();
    let path = page(&sample, &[]);
    let mut browser = Browser::new();
    browser.view((1280, 900), false);
    browser.open(&path);
    let all = shown(&mut browser, "severity");
    let set = |browser: &mut Browser, id: &str, value: &str| {
        browser.eval(&format!(
            "(() => {{ const field = document.getElementById('{id}'); field.value = '{value}'; \
             field.dispatchEvent(new Event('input', {{bubbles: true}})) }})()"
        ));
    };

    browser.eval("document.querySelector('input[value=error]').click()");
    let without: Vec<_> = all.iter().filter(|s| *s != "error").cloned().collect();
    assert!(!without.is_empty() && without.len() < all.len());
    assert_eq!(shown(&mut browser, "severity"), without);
    let count = browser.eval("document.getElementById('shown').textContent");
    assert_eq!(count, format!("{} of {} shown", without.len(), all.len()));
    // A link to a card shows it, whatever is filtered.
    browser.eval("location.hash = '#finding-1'; new Promise(done => setTimeout(done, 300))");
    assert_eq!(shown(&mut browser, "severity"), all);

    set(&mut browser, "check", "split-family");
    let checks = shown(&mut browser, "check");
    assert!(
        !checks.is_empty() && checks.iter().all(|c| c == "split-family"),
        "{checks:?}"
    );
    set(&mut browser, "check", "");
    set(&mut browser, "table", "instances");
    let tables = shown(&mut browser, "table");
    assert!(
        !tables.is_empty() && tables.iter().all(|t| t == "instances"),
        "{tables:?}"
    );
    set(&mut browser, "table", "");
    set(&mut browser, "text", "SHARE_mapping no shadow");
    let texts = shown(&mut browser, "check");
    assert!(!texts.is_empty() && texts.len() < all.len(), "{texts:?}");
    set(&mut browser, "text", "no such thing");
    assert!(shown(&mut browser, "check").is_empty());
    browser.eval("document.querySelector('form button[type=reset]').click(); new Promise(done => setTimeout(done, 100))");

    set(&mut browser, "order", "count");
    let counts = shown(&mut browser, "count");
    let counts: Vec<u64> = counts.iter().map(|n| n.parse().unwrap()).collect();
    assert!(
        counts.len() == all.len() && counts.is_sorted_by(|a, b| a >= b),
        "{counts:?}"
    );
    set(&mut browser, "order", "table");
    assert!(shown(&mut browser, "table").is_sorted());

    let head = "document.querySelectorAll('#by-table thead button')[0]";
    browser.eval(&format!("{head}.click()"));
    let names = |browser: &mut Browser| -> Vec<_> {
        numbers(browser, "#by-table")
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    };
    assert!(names(&mut browser).is_sorted());
    assert_eq!(
        browser.eval(&format!("{head}.closest('th').ariaSort")),
        "ascending"
    );
    browser.eval(&format!("{head}.click()"));
    assert!(names(&mut browser).is_sorted_by(|a, b| a >= b));
    // By their size, not their digits.
    browser.eval("document.querySelectorAll('#by-table thead button')[3].click()");
    let rows: Vec<_> = numbers(&mut browser, "#by-table")
        .into_iter()
        .map(|(_, n)| n[1])
        .collect();
    assert!(rows.is_sorted_by(|a, b| a >= b) && rows[0] > 9, "{rows:?}");
}

/// A mail program runs no scripts, and paper none either.
#[test]
fn a_page_is_whole_without_its_script_and_on_paper() {
    let sample = damaged();
    let path = page(&sample, &[]);
    let mut browser = Browser::new();
    browser.view((1280, 900), false);
    browser.open(&path);
    let visible = |browser: &mut Browser, what: &str| {
        let boxes = format!(
            "Array.from(document.querySelectorAll('{what}')).filter(e => e.checkVisibility()).length"
        );
        browser.eval(&boxes).as_u64().unwrap()
    };
    let all = ["article.card", "pre", "svg.bar", ".families rect"]
        .map(|what| visible(&mut browser, what));
    assert!(all.iter().all(|n| *n > 5), "{all:?}");
    let for_hands =
        |browser: &mut Browser| ["form.filters", ".code button"].map(|what| visible(browser, what));
    assert!(for_hands(&mut browser).iter().all(|n| *n > 0));
    browser.print();
    assert_eq!(for_hands(&mut browser), [0, 0]);
    let printed = ["article.card", "pre", "svg.bar", ".families rect"]
        .map(|what| visible(&mut browser, what));
    assert_eq!(printed, all);
    let cut_off = "Array.from(document.querySelectorAll('.scroll')).filter(e => getComputedStyle(e).overflow !== 'visible').length";
    assert_eq!(browser.eval(cut_off), 0);

    browser.view((1280, 900), false);
    browser.allow_scripts(false);
    browser.open(&path);
    assert_eq!(for_hands(&mut browser), [0, 0]);
    let read = ["article.card", "pre", "svg.bar", ".families rect"]
        .map(|what| visible(&mut browser, what));
    assert_eq!(read, all);
}

/// Everything that a page of an audit may have.
#[test]
fn the_page_of_several_cells_before_an_upgrade() {
    let (one, two) = (damaged(), Sample::new());
    let path = one.name("cells.html");
    let cells = [format!("one={}", one.cell()), format!("two={}", two.cell())];
    let ran = sexton(&[
        "audit",
        "--cell",
        &cells[0],
        "--cell",
        &cells[1],
        "--upgrade-to",
        "nova-34",
        "--format",
        "html",
        "--output",
        &path,
    ]);
    assert_eq!((ran.code, ran.stderr.as_str()), (2, ""));
    let mut browser = Browser::new();
    inspect(&mut browser, "cells", &path);
    let sections =
        browser.eval("Array.from(document.querySelectorAll('main > section'), s => s.id)");
    assert_eq!(
        sections,
        serde_json::json!(["findings", "families", "backlog", "upgrade"])
    );
    let tables = shown(&mut browser, "table");
    assert!(
        tables.iter().any(|t| t.starts_with("one."))
            && tables.iter().any(|t| t.starts_with("two.")),
        "{tables:?}"
    );
    let note = browser.eval("document.getElementById('families').textContent");
    assert!(
        note.as_str()
            .unwrap()
            .contains("All cells are drawn as one.")
    );
    assert!(
        numbers(&mut browser, "#by-table")
            .iter()
            .any(|(name, _)| name == "two.instances")
    );
}

#[test]
fn the_keyboard_reaches_the_content_first() {
    let sample = damaged();
    let path = page(&sample, &[]);
    let mut browser = Browser::new();
    browser.view((1280, 900), false);
    browser.open(&path);
    browser.press("Tab", 9);
    assert_eq!(browser.eval("document.activeElement.className"), "skip");
    let copy = "document.querySelector('.code button')";
    assert_eq!(browser.eval(&format!("{copy}.textContent")), "Copy");
    browser.eval(&format!(
        "{copy}.click(); new Promise(done => setTimeout(done, 300))"
    ));
    let after = browser.eval(&format!("{copy}.textContent"));
    assert!(after == "Copied" || after == "Selected", "{after}");
}

/// Names of tables, and what a database says, are others' texts.
#[test]
fn what_a_database_says_cannot_inject() {
    const EVIL: &str = r#"</script><img src=x onerror="window.hit=1">"'&lt;"#;
    let sample = Sample::new();
    let quoted = EVIL.replace('"', "\"\"");
    let mut session = sample.session();
    for sql in [
        format!(
            "CREATE TABLE \"{quoted}\" (id INTEGER PRIMARY KEY, deleted INT, deleted_at DATETIME, instance_uuid VARCHAR(36) REFERENCES instances (uuid))"
        ),
        format!("INSERT INTO \"{quoted}\" VALUES (1, 1, NULL, NULL)"),
    ] {
        session.execute(&sql).unwrap();
    }
    drop(session);
    let path = page(&sample, &[]);
    let mut browser = Browser::new();
    inspect(&mut browser, "hostile", &path);
    assert!(
        shown(&mut browser, "table")
            .iter()
            .any(|table| table == EVIL)
    );
    let options =
        browser.eval("Array.from(document.getElementById('table').options, o => o.value)");
    assert!(
        options.as_array().unwrap().iter().any(|o| o == EVIL),
        "{options}"
    );
    let foreign =
        "document.querySelectorAll('img, iframe, script:not(body > script), [onerror]').length";
    assert_eq!(browser.eval(foreign), 0);

    // And if something got past the escaping, the policy would stop it.
    browser.eval(
        "document.body.insertAdjacentHTML('beforeend', '<img src=\"https://example.org/x\" onerror=\"window.hit=1\">'); \
         const script = document.createElement('script'); script.textContent = 'window.hit=1'; \
         document.body.append(script); new Promise(done => setTimeout(done, 300))",
    );
    assert_eq!(browser.eval("window.hit === undefined"), true);
    assert_eq!(browser.stopped_by_policy(), ["https://example.org/x"]);
}
