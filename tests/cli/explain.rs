//! `sexton explain`: pages of checks and reasons.

use crate::sample::{refused, sexton};

#[test]
fn the_page_of_a_check_and_of_a_reason() {
    for (name, said) in [
        ("split-family", "# split-family\n"),
        ("live-child", "## Remedy"),
        ("backlog", "# backlog\n"),
    ] {
        let ran = sexton(&["explain", name]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{name}");
        assert!(ran.stdout.contains(said), "{}", ran.stdout);
        // As one setting for all commands may have it.
        assert_eq!(sexton(&["explain", name, "--quiet"]).stdout, ran.stdout);
    }
    // One name for what is found before a run, and what a run meets.
    let both = sexton(&["explain", "non-transactional-table"]).stdout;
    assert_eq!(
        both.matches("# non-transactional-table\n").count(),
        2,
        "{both}"
    );
    let list = sexton(&["explain"]);
    assert_eq!(list.code, 0);
    for name in [
        "residue",
        "stranded-api-record",
        "unindexed-reference",
        "no-key",
    ] {
        assert!(
            list.stdout.contains(&format!("  {name} ")),
            "{}",
            list.stdout
        );
    }
}

#[test]
fn an_unknown_name_gets_the_nearest() {
    let message = refused(64, &["explain", "live-chld"]);
    assert!(
        message.contains("'live-chld' is neither a check nor a reason; did you mean live-child"),
        "{message}"
    );
    let message = refused(64, &["explain", "xyzzy"]);
    assert!(message.contains("known are backlog, "), "{message}");
}
