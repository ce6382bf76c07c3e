//! The packets of the MySQL protocol: whatever a client or a server sends, functions stay within it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sexton::db::DbErrorKind;
use sexton::prove::gate::Refusal;
use sexton::prove::proxy::mysql_packets::{
    HEADER, capability, eof, error, fragment, fragments, length_encoded, long, ok, packet,
    packet_end, refusal, tame_greeting, tame_response,
};

fuzz_target!(|bytes: &[u8]| {
    framing(bytes);
    taming(bytes);
    reading(bytes);
    refusing(bytes);
});

/// Where a packet ends does not depend on what is behind it, and it holds what was put into it.
fn framing(bytes: &[u8]) {
    if let Some(end) = packet_end(bytes) {
        let parts: Vec<_> = fragments(&bytes[..end]).collect();
        let sum: usize = parts.iter().map(|f| HEADER + f.payload.len()).sum();
        assert_eq!(sum, end);
        assert!(parts.last().is_some_and(|f| !f.goes_on()));
        assert_eq!(packet_end(&bytes[..end]), Some(end));
        assert_eq!(packet_end(&bytes[..end - 1]), None);
        assert_eq!(fragment(bytes), parts.first().copied());
    }
    if let Some((first, payload)) = bytes.split_first() {
        let packet = packet(*first, payload);
        assert_eq!(packet_end(&packet), Some(packet.len()));
        let only: Vec<_> = fragments(&packet).collect();
        assert_eq!((only[0].sequence, only[0].payload), (*first, payload));
    }
}

/// Taming takes bits away and nothing else, and has nothing left to take the second time.
fn taming(bytes: &[u8]) {
    for tame in [tame_greeting, tame_response] {
        let mut tamed = bytes.to_vec();
        let Ok(flags) = tame(&mut tamed) else {
            assert_eq!(tamed, bytes, "changed and refused");
            continue;
        };
        assert_eq!(flags & capability::UNWANTED, 0);
        assert_eq!(tamed.len(), bytes.len());
        assert!(tamed.iter().zip(bytes).all(|(new, old)| new & !old == 0));
        assert!(tamed.iter().zip(bytes).filter(|(a, b)| a != b).count() <= 8);
        let once = tamed.clone();
        assert_eq!(tame(&mut tamed), Ok(flags));
        assert_eq!(tamed, once);
    }
}

/// What is read lies within the bytes, and more bytes behind do not change a number.
fn reading(bytes: &[u8]) {
    let longer = [bytes, b"more"].concat();
    if let Some((number, rest)) = length_encoded(bytes) {
        assert!(bytes.ends_with(rest) && rest.len() < bytes.len());
        assert_eq!(length_encoded(&longer).map(|(n, _)| n), Some(number));
    }
    if let Some(read) = ok(bytes) {
        assert_eq!(ok(&longer), Some(read));
    }
    if let Some(status) = eof(bytes) {
        assert_eq!(eof(&longer), Some(status));
    }
    if let Some((code, message)) = error(bytes) {
        assert_eq!(code.to_le_bytes(), bytes[1..3]);
        // A byte that is no UTF-8 becomes a character of three.
        assert!(message.len() <= 3 * bytes.len());
    }
    assert_eq!(long(bytes, 3).is_some(), bytes.len() >= 7);
}

/// No text of a refusal gets out of its statement.
fn refusing(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (code, rest) = text.split_once('\n').unwrap_or(("1213", &text));
    let (sqlstate, message) = rest.split_once('\n').unwrap_or(("40001", rest));
    let sql = refusal(&Refusal {
        code: code.into(),
        sqlstate: sqlstate.into(),
        message: message.into(),
        kind: DbErrorKind::Other,
        rolls_back: false,
    });
    let pieces: Vec<_> = sql.split('\'').collect();
    let [signal, state, number, text, ""] = pieces[..] else {
        panic!("{sql}");
    };
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric());
    assert_eq!(signal, "SIGNAL SQLSTATE ");
    assert!(state.len() == 5 && plain(state) && plain(text), "{sql}");
    let code = number
        .strip_prefix(" SET MYSQL_ERRNO = ")
        .and_then(|rest| rest.split_once(','))
        .and_then(|(code, _)| code.parse::<u16>().ok());
    assert!(code.is_some_and(|code| code > 0), "{sql}");
}
