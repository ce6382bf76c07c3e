//! A `nova.conf`: an administrator's file, in oslo's dialect.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sexton::db::{oslo_connection, oslo_has_connection};

fuzz_target!(|text: &str| {
    for section in ["DEFAULT", "database", "api_database", ""] {
        let read = oslo_connection(text, section);
        let has = oslo_has_connection(text, section);
        match read {
            Ok(url) => {
                assert!(has, "[{section}] is read and not there");
                assert!(!url.contains('\n'));
                assert!(!url.is_empty() || text.contains('$'));
            }
            Err(error) => {
                let message = error.to_string();
                assert!(!message.contains('\n'), "{message:?}");
                // There is one reason for which a value that is there cannot be read.
                assert_eq!(has, message.contains("refers with $"), "{message}");
            }
        }
    }
    last_wins(text);
});

/// Whatever is in the file before, a setting behind it holds; and a URL comes back as written.
fn last_wins(text: &str) {
    let (before, url) = text.split_once("\n\n").unwrap_or((text, "mysql://u@h/d"));
    let quoted = url.starts_with(['"', '\'']);
    // `\$` is another way to write a dollar sign: with a backslash before it, none comes back.
    if url.trim() != url || url.is_empty() || quoted || url.contains(['\n', '\r', '\\']) {
        return;
    }
    let written = url.replace('$', "$$");
    let whole = format!("{before}\n[database]\nconnection = {written}\n");
    assert_eq!(
        oslo_connection(&whole, "database").ok().as_deref(),
        Some(url)
    );
    if let Some((a, b)) = written
        .char_indices()
        .nth(1)
        .map(|(i, _)| written.split_at(i))
        && !a.ends_with(char::is_whitespace)
        && !b.starts_with(char::is_whitespace)
    {
        let folded = format!("{before}\n[database]\nconnection = {a}\n  {b}\n");
        assert_eq!(
            oslo_connection(&folded, "database").ok().as_deref(),
            Some(url)
        );
    }
}
