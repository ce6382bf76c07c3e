//! The HTML pages in a real browser: nothing is fetched, nothing complained of, the numbers are those of the JSON.
//!
//! Each test leaves pictures of its page in the directory for temporary files of the target, `tmp/pages/`: look at
//! them when you change how pages look.

mod audit;
mod browser;
mod runs;

use std::path::Path;

use serde_json::Value as Json;

use self::browser::Browser;

/// A phone and a desk.
const SIZES: [(&str, (u32, u32)); 2] = [("phone", (360, 740)), ("desk", (1280, 900))];

/// Opens the page on phone and desk, in light and dark: it fetches nothing, complains of nothing, is no wider than the
/// screen, and shuts nobody out. Leaves the browser on a desk, in light.
fn inspect(browser: &mut Browser, name: &str, path: &str) {
    for (size, pixels) in SIZES {
        for (colours, dark) in [("dark", true), ("light", false)] {
            let what = format!("{name}, {size}, {colours}");
            browser.view(pixels, dark);
            browser.open(path);
            assert_eq!(browser.requests(), [format!("file://{path}")], "{what}");
            let root = "document.documentElement";
            let beyond = browser.eval(&format!("{root}.scrollWidth - {root}.clientWidth"));
            assert_eq!(beyond, 0, "{what}: the page has to be scrolled sideways");
            let shut_out = browser.eval(include_str!("accessible.js"));
            assert_eq!(shut_out, Json::Array(Vec::new()), "{what}");
            let background = browser.eval("getComputedStyle(document.body).backgroundColor");
            assert_eq!(
                background == "rgb(20, 23, 27)",
                dark,
                "{what}: {background}"
            );
            let picture = format!("{name}-{size}-{colours}.png");
            let pages = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
            browser.shoot(&pages.join(picture));
            assert!(
                browser.complaints().is_empty(),
                "{what}: {:?}",
                browser.complaints()
            );
        }
    }
}

/// The cells of a table's rows that hold numbers, by the text of the row's head.
fn numbers(browser: &mut Browser, table: &str) -> Vec<(String, Vec<i64>)> {
    let rows = browser.eval(&format!(
        "Array.from(document.querySelectorAll('{table} tbody tr'), row => [row.querySelector('th').textContent, \
         Array.from(row.querySelectorAll('[data-value]'), cell => Number(cell.dataset.value))])"
    ));
    serde_json::from_value(rows).unwrap()
}

/// The value of that field of each card that is shown, in the order of the page.
fn shown(browser: &mut Browser, field: &str) -> Vec<String> {
    let values = browser.eval(&format!(
        "Array.from(document.querySelectorAll('.card:not([hidden])'), card => card.dataset.{field})"
    ));
    serde_json::from_value(values).unwrap()
}
