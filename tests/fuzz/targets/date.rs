//! The moment of `--before`: either refused, or one that reads back as it is shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sexton::archive::Before;

/// 2026-11-21 12:00:00 and half a second.
const NOW: (i64, i32) = (1_795_262_400, 500_000_000);

fuzz_target!(|text: &str| {
    let now = jiff::Timestamp::new(NOW.0, NOW.1).expect("a timestamp");
    let before = match Before::parse(text, now) {
        Ok(before) => before,
        Err(error) => return assert!(!error.to_string().contains('\n')),
    };
    let shown = before.to_string();
    // The databases compare it as a text, or as a date of theirs: `2026-01-31 00:00:00`.
    let shape: String = shown
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00 00:00:00", "{shown}");
    let again = Before::parse(&shown, now).unwrap_or_else(|e| panic!("{shown}: {e}"));
    assert_eq!(again, before, "{shown}");
    let text = text.trim();
    assert_eq!(Before::parse(text, now).ok().as_ref(), Some(&before));
    let age = text.strip_suffix(['h', 'd', 'w']);
    if let Some(age) = age.filter(|age| age.bytes().all(|b| b.is_ascii_digit())) {
        let today = Before::parse("0h", now).expect("now").to_string();
        // As many digits everywhere, so texts compare like moments.
        assert!(shown <= today, "{shown} after {today}");
        assert_eq!(shown == today, age.bytes().all(|b| b == b'0'));
    }
});
