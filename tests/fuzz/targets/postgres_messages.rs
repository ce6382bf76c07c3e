//! The messages of the PostgreSQL protocol: whatever a client or a server sends, functions stay
//! within it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sexton::db::DbErrorKind;
use sexton::prove::gate::Refusal;
use sexton::prove::proxy::postgres_messages::{
    affected, body, error, is_commit, message, message_end, prepared, query, refusal,
    refusal_response, startup, string, two_strings,
};

fuzz_target!(|bytes: &[u8]| {
    framing(bytes);
    reading(bytes);
    let text = String::from_utf8_lossy(bytes);
    writing(&text);
    refusing(&text);
});

/// Where a message ends does not depend on what is behind it.
fn framing(bytes: &[u8]) {
    if let Ok(Some((kind, end))) = startup(bytes) {
        assert!((8..=bytes.len()).contains(&end));
        assert_eq!(startup(&bytes[..end]), Ok(Some((kind, end))));
        assert_eq!(startup(&bytes[..end - 1]), Ok(None));
    }
    if let Ok(Some(end)) = message_end(bytes) {
        assert!((5..=bytes.len()).contains(&end));
        assert_eq!(message_end(&bytes[..end]), Ok(Some(end)));
        assert_eq!(message_end(&bytes[..end - 1]), Ok(None));
        assert_eq!(message(bytes[0], body(&bytes[..end])), &bytes[..end]);
    }
}

/// What is read lies within the bytes.
fn reading(bytes: &[u8]) {
    if let Some((text, rest)) = string(bytes) {
        assert!(!text.contains(&0));
        assert_eq!([text, b"\0", rest].concat(), bytes);
        assert_eq!(two_strings(bytes).is_some(), rest.contains(&0));
    }
    let (code, text) = error(bytes);
    assert!(!code.contains('\0') && !text.contains('\0'));
    assert!(code.len().max(text.len()) <= 3 * bytes.len());
    if affected(bytes) > 0 {
        assert_eq!(affected(&[bytes, b"\0"].concat()), affected(bytes));
    }
}

/// What is written reads back, but for zero bytes, which no string can hold.
fn writing(text: &str) {
    let whole = text.replace('\0', "");
    let simple = query(text);
    assert_eq!(string(body(&simple)), Some((whole.as_bytes(), &[][..])));
    let messages = prepared("p", text);
    let end = message_end(&messages).ok().flatten().expect("a Parse");
    let parse = two_strings(body(&messages[..end]));
    assert_eq!(parse, Some((&b"p"[..], whole.as_bytes())));
    let commit = is_commit(text);
    for spelled in [
        format!("  {text}"),
        format!("/* a */ {text}"),
        format!("-- a\n{text}"),
        format!("{text} ;"),
    ] {
        assert_eq!(is_commit(&spelled), commit, "{spelled:?}");
    }
}

/// No text of a refusal gets out of its statement, and the server says it as it was given.
fn refusing(text: &str) {
    let (code, told) = text.split_once('\n').unwrap_or(("40001", text));
    let refused = Refusal {
        code: code.into(),
        sqlstate: String::new(),
        message: told.into(),
        kind: DbErrorKind::Other,
        rolls_back: false,
    };
    let sql = refusal(&refused);
    let rest = sql.strip_prefix("DO ").expect("a DO");
    let (tag, rest) = rest.split_once(' ').expect("a tag");
    let (block, end) = rest.split_once(tag).expect("the tag again");
    assert_eq!(end, "", "{sql}");
    let block = block.strip_prefix("BEGIN RAISE EXCEPTION USING ERRCODE = E'");
    let (read, block) = literal(block.expect("a block"));
    assert_eq!(read, code);
    let block = block.strip_prefix(", MESSAGE = E'");
    let (read, block) = literal(block.expect("a message"));
    assert_eq!((read.as_str(), block), (told, "; END "));

    let response = refusal_response(&refused);
    assert_eq!(message_end(&response), Ok(Some(response.len())));
    let plain = |text: &str| text.replace('\0', "");
    assert_eq!(error(body(&response)), (plain(code), plain(told)));
}

/// The value of an `E'...'` whose opening is past, as PostgreSQL reads it, and what is behind it.
fn literal(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if chars.next_if(|(_, c)| *c == '\'').is_none() => {
                return (value, &text[at + 1..]);
            }
            '\\' => {
                let (_, escaped) = chars.next().expect("something behind a backslash");
                assert_eq!(escaped, '\\', "an escape that nobody meant");
                value.push(escaped);
            }
            c => value.push(c),
        }
    }
    panic!("a literal without end: {text:?}");
}
