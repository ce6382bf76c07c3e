//! What the documents show is what a reader gets: every `console` block of them is run, in order, and its output
//! compared. `TRYCMD=overwrite cargo test --test docs` writes down what is printed now; look at the difference.
//!
//! `NAME.in` is what the reader has at hand; `NAME.out`, by being there, makes the commands run in a copy of it.

use std::path::Path;

/// The client that a reader makes SQLite files with.
const SQLITE: &str = "/usr/bin/sqlite3";

#[test]
fn documents_show_what_is_printed() {
    assert!(
        Path::new(SQLITE).exists(),
        "{SQLITE} is missing: install sqlite3, as `cargo xtask test` does"
    );
    let cases = trycmd::TestCases::new();
    cases.register_bin("sqlite3", Path::new(SQLITE));
    for variable in ["SEXTON_DATABASE", "SEXTON_API_DATABASE"] {
        assert!(std::env::var_os(variable).is_none(), "unset {variable}");
    }
    cases.case("tests/docs/*.md");
}
