//! The messages of the PostgreSQL frontend/backend protocol, as far as a proxy has to understand them.
//!
//! Pure: functions over bytes that anyone may have sent. None of them panics, whatever the bytes,
//! and none allocates more than the bytes that it was given.

use crate::prove::gate::Refusal;
use crate::prove::normal::uncommented;

/// The longest first message that a server takes.
const STARTUP_LIMIT: usize = 10_000;

/// Bytes that are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a PostgreSQL {0}")]
pub struct Malformed(pub &'static str);

/// What a client says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Startup {
    /// It asks for TLS or GSSAPI encryption.
    Encrypt,
    /// It asks to cancel what another connection does.
    Cancel,
    /// It begins a session.
    Session,
}

/// The first message of a connection and its length, if all of it is there.
pub fn startup(bytes: &[u8]) -> Result<Option<(Startup, usize)>, Malformed> {
    const WHAT: Malformed = Malformed("first message");
    let Some(length) = number(bytes) else {
        return Ok(None);
    };
    if !(8..=STARTUP_LIMIT).contains(&length) {
        return Err(WHAT);
    }
    let Some(message) = bytes.get(..length) else {
        return Ok(None);
    };
    let startup = match number(&message[4..]) {
        Some(80_877_103 | 80_877_104) => Startup::Encrypt,
        Some(80_877_102) => Startup::Cancel,
        // Protocol 3, whatever its minor version.
        Some(version) if version >> 16 == 3 => Startup::Session,
        _ => return Err(WHAT),
    };
    Ok(Some((startup, length)))
}

/// The length of the first message, its tag included, if all of it is there.
pub fn message_end(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(length) = bytes.get(1..).and_then(number) else {
        return Ok(None);
    };
    if !(4..i32::MAX as usize).contains(&length) {
        return Err(Malformed("message"));
    }
    Ok(Some(1 + length).filter(|end| *end <= bytes.len()))
}

/// What is behind tag and length of a message.
pub fn body(message: &[u8]) -> &[u8] {
    message.get(5..).unwrap_or_default()
}

/// A string that ends with a zero byte, and what is behind it.
pub fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|b| *b == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// The first two strings of a body: name and text of a Parse, portal and statement of a Bind.
pub fn two_strings(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = string(body)?;
    let (second, _) = string(rest)?;
    Some((first, second))
}

/// Code and message of an ErrorResponse.
pub fn error(body: &[u8]) -> (String, String) {
    let (mut code, mut message) = (String::new(), String::new());
    let mut rest = body;
    while let Some((field, text)) = rest.split_first()
        && let Some((text, next)) = string(text)
    {
        match field {
            b'C' => code = String::from_utf8_lossy(text).into_owned(),
            b'M' => message = String::from_utf8_lossy(text).into_owned(),
            _ => {}
        }
        rest = next;
    }
    (code, message)
}

/// The rows that a CommandComplete says were affected; 0 for a query.
pub fn affected(body: &[u8]) -> u64 {
    let tag = String::from_utf8_lossy(body);
    let mut words = tag.trim_end_matches('\0').split(' ');
    match words.next() {
        Some("INSERT" | "UPDATE" | "DELETE" | "MERGE" | "COPY") => {
            words.next_back().and_then(|n| n.parse().ok()).unwrap_or(0)
        }
        _ => 0,
    }
}

/// A message.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(body.len() + 5);
    message.push(tag);
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(body);
    message
}

/// The message that has the server run a text.
pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &strings(&[sql]))
}

/// The messages that prepare a text under a name of the proxy's own and run it.
pub fn prepared(name: &str, sql: &str) -> Vec<u8> {
    let mut parse = strings(&[name, sql]);
    parse.extend_from_slice(&[0; 2]);
    let mut bind = strings(&[name, name]);
    bind.extend_from_slice(&[0; 6]);
    let mut execute = strings(&[name]);
    execute.extend_from_slice(&[0; 4]);
    [
        message(b'P', &parse),
        message(b'B', &bind),
        message(b'E', &execute),
    ]
    .concat()
}

/// ReadyForQuery with this status.
pub fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

/// The statement that fails with a refusal's code and message.
pub fn refusal(refusal: &Refusal) -> String {
    // What a backslash means in a plain literal depends on the session; here it does not.
    let literal = |text: &str| format!("E'{}'", text.replace('\\', r"\\").replace('\'', "''"));
    let (code, message) = (literal(&refusal.code), literal(&refusal.message));
    let mut tag = "$sexton$".to_owned();
    while code.contains(&tag) || message.contains(&tag) {
        tag.insert(1, '_');
    }
    format!("DO {tag} BEGIN RAISE EXCEPTION USING ERRCODE = {code}, MESSAGE = {message}; END {tag}")
}

/// A refusal as the ErrorResponse of a server that cannot be made to fail itself.
pub fn refusal_response(refusal: &Refusal) -> Vec<u8> {
    let fields = [
        "SERROR",
        "VERROR",
        &format!("C{}", refusal.code),
        &format!("M{}", refusal.message),
        "",
    ];
    message(b'E', &strings(&fields))
}

/// Whether a text is a COMMIT, by whichever name.
pub fn is_commit(sql: &str) -> bool {
    let mut words = uncommented(sql)
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    let second = words.next().unwrap_or_default();
    first.eq_ignore_ascii_case("END")
        || first.eq_ignore_ascii_case("COMMIT") && !second.eq_ignore_ascii_case("PREPARED")
}

fn strings(texts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in texts {
        // A zero byte would end the string before its end.
        bytes.extend(text.bytes().filter(|b| *b != 0));
        bytes.push(0);
    }
    bytes
}

/// The number at the beginning, in network order.
fn number(bytes: &[u8]) -> Option<usize> {
    let bytes = bytes.first_chunk::<4>()?;
    usize::try_from(u32::from_be_bytes(*bytes)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::db::DbErrorKind;

    fn refused(code: &str, message: &str) -> Refusal {
        Refusal {
            code: code.into(),
            sqlstate: String::new(),
            message: message.into(),
            kind: DbErrorKind::Retryable,
            rolls_back: false,
        }
    }

    #[test]
    fn first_messages_are_told_apart() {
        let first = |code: u32, more: &[u8]| {
            let length = u32::try_from(8 + more.len()).unwrap();
            [&length.to_be_bytes(), &code.to_be_bytes(), more].concat()
        };
        let kind = |bytes: &[u8]| startup(bytes).unwrap().unwrap();
        assert_eq!(kind(&first(80_877_103, b"")), (Startup::Encrypt, 8));
        assert_eq!(kind(&first(80_877_102, b"12345678")), (Startup::Cancel, 16));
        assert_eq!(
            kind(&first(3 << 16, b"user\0a\0\0")),
            (Startup::Session, 16)
        );
        assert_eq!(startup(&first(3 << 16, b"user")[..9]), Ok(None));
        assert!(startup(&first(2 << 16, b"")).is_err());
        assert!(startup(b"\x16\x03\x01\x02").is_err(), "TLS without asking");
    }

    #[test]
    fn errors_and_tags_are_read() {
        let body = b"SERROR\0VERROR\0C40001\0Mcould not\0Fx.c\0\0";
        assert_eq!(error(body), ("40001".into(), "could not".into()));
        assert_eq!(error(b"C40001"), (String::new(), String::new()));
        for (tag, rows) in [
            ("INSERT 0 3", 3),
            ("UPDATE 2", 2),
            ("COPY 7", 7),
            ("SELECT 9", 0),
            ("BEGIN", 0),
            ("DELETE", 0),
        ] {
            assert_eq!(affected(&strings(&[tag])), rows, "{tag}");
        }
    }

    #[test]
    fn a_refusal_cannot_leave_its_statement() {
        assert_eq!(
            refusal(&refused("40001", r"a'\")),
            r"DO $sexton$ BEGIN RAISE EXCEPTION USING ERRCODE = E'40001', MESSAGE = E'a''\\'; END $sexton$"
        );
        let sql = refusal(&refused("40001", "$sexton$"));
        assert!(sql.starts_with("DO $_sexton$ ") && sql.ends_with(" $_sexton$"));
        let response = refusal_response(&refused("40001", "a"));
        assert_eq!(message_end(&response), Ok(Some(response.len())));
        assert_eq!(error(body(&response)), ("40001".into(), "a".into()));
    }

    #[test]
    fn commits_are_recognised() {
        for sql in [
            "COMMIT",
            " commit;",
            "END",
            "/* x */ -- y\nCommit work",
            "end\ttransaction",
        ] {
            assert!(is_commit(sql), "{sql}");
        }
        for sql in [
            "COMMIT PREPARED 'x'",
            "ROLLBACK",
            "ENDLESS",
            "",
            "-- COMMIT",
            "/* COMMIT",
        ] {
            assert!(!is_commit(sql), "{sql}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Some((_, end))) = startup(&bytes) {
                prop_assert!(end <= bytes.len());
            }
            if let Ok(Some(end)) = message_end(&bytes) {
                prop_assert!(end <= bytes.len());
            }
            let _ = (body(&bytes), two_strings(&bytes), error(&bytes), affected(&bytes));
            let text = String::from_utf8_lossy(&bytes);
            let _ = (is_commit(&text), refusal(&refused(&text, &text)));
        }

        #[test]
        fn messages_come_back(
            tag: u8,
            given in prop::collection::vec(any::<u8>(), 0..300),
            rest in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut bytes = message(tag, &given);
            let end = bytes.len();
            prop_assert_eq!(message_end(&bytes[..end - 1]), Ok(None));
            bytes.extend_from_slice(&rest);
            prop_assert_eq!(message_end(&bytes), Ok(Some(end)));
            prop_assert_eq!(body(&bytes[..end]), given);
        }

        #[test]
        fn prepared_texts_come_back(name in "[a-z0-9_]{0,10}", sql in "[^\0]{0,100}") {
            let mut bytes = &prepared(&name, &sql)[..];
            let mut bodies = Vec::new();
            while let Some(end) = message_end(bytes).unwrap() {
                bodies.push(body(&bytes[..end]));
                bytes = &bytes[end..];
            }
            prop_assert_eq!(bytes.len(), 0);
            prop_assert_eq!(two_strings(bodies[0]), Some((name.as_bytes(), sql.as_bytes())));
            prop_assert_eq!(two_strings(bodies[1]), Some((name.as_bytes(), name.as_bytes())));
            prop_assert_eq!(string(bodies[2]).map(|s| s.0), Some(name.as_bytes()));
            let simple = query(&sql);
            prop_assert_eq!(string(body(&simple)), Some((sql.as_bytes(), &[] as &[u8])));
        }
    }
}
