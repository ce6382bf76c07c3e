//! The packets of the MySQL client/server protocol, as far as a proxy has to understand them.
//!
//! Pure: functions over bytes that anyone may have sent. None of them panics, whatever the bytes,
//! and none allocates more than the bytes that it was given.
//!
//! A packet longer than [`MAX_FRAGMENT`] comes in fragments, each with a header of its own; the last
//! one is shorter than that, maybe empty.

use crate::prove::gate::Refusal;

/// Bytes of the header of a fragment: three of length, one of sequence.
pub const HEADER: usize = 4;

/// The longest payload of one fragment. A fragment this long is followed by another one.
pub const MAX_FRAGMENT: usize = 0xff_ffff;

/// Length limit of `MESSAGE_TEXT`; a longer one is an error in strict mode.
const MESSAGE_LIMIT: usize = 128;

/// Bits of the capability flags that matter here.
pub mod capability {
    /// The protocol of MySQL 4.1, the only one spoken here.
    pub const PROTOCOL_41: u32 = 1 << 9;
    /// The switch to TLS before logging in.
    pub const SSL: u32 = 1 << 11;
    /// Results end with an OK packet and have no EOF packet behind their columns.
    pub const DEPRECATE_EOF: u32 = 1 << 24;
    /// What hides the statements (TLS, zlib, zstd), changes the form of a query (attributes) or of a
    /// result (optional metadata), or turns the conversation round (LOCAL INFILE).
    pub const UNWANTED: u32 = SSL | 1 << 5 | 1 << 7 | 1 << 25 | 1 << 26 | 1 << 27;
}

/// Bits of the server's status.
pub mod status {
    /// A transaction is open.
    pub const IN_TRANSACTION: u16 = 0x0001;
    /// Another result follows.
    pub const MORE_RESULTS: u16 = 0x0008;
    /// The rows stay on the server until they are fetched.
    pub const CURSOR_EXISTS: u16 = 0x0040;
}

/// Bytes that are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a MySQL {0}")]
pub struct Malformed(pub &'static str);

/// A fragment of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Its number in the exchange.
    pub sequence: u8,
    /// What it holds.
    pub payload: &'a [u8],
}

impl Fragment<'_> {
    /// Whether the packet goes on in another fragment.
    pub fn goes_on(&self) -> bool {
        self.payload.len() == MAX_FRAGMENT
    }
}

/// The first fragment, if all of it is there.
pub fn fragment(bytes: &[u8]) -> Option<Fragment<'_>> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let length = usize::try_from(little(&header[..3])).ok()?;
    Some(Fragment {
        sequence: header[3],
        payload: rest.get(..length)?,
    })
}

/// Where the first packet ends, headers included, if all its fragments are there.
pub fn packet_end(bytes: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        let fragment = fragment(bytes.get(end..)?)?;
        end += HEADER + fragment.payload.len();
        if !fragment.goes_on() {
            return Some(end);
        }
    }
}

/// The fragments of a packet.
pub fn fragments(packet: &[u8]) -> impl Iterator<Item = Fragment<'_>> {
    let mut rest = packet;
    std::iter::from_fn(move || {
        let fragment = fragment(rest)?;
        rest = &rest[HEADER + fragment.payload.len()..];
        Some(fragment)
    })
}

/// A payload as a packet whose first fragment has this number.
pub fn packet(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(payload.len() + HEADER);
    let (mut rest, mut sequence) = (payload, first);
    loop {
        let (part, next) = rest.split_at(rest.len().min(MAX_FRAGMENT));
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes();
        packet.extend_from_slice(&[length[0], length[1], length[2], sequence]);
        packet.extend_from_slice(part);
        if part.len() < MAX_FRAGMENT {
            return packet;
        }
        (rest, sequence) = (next, sequence.wrapping_add(1));
    }
}

/// The packet that has the server run a text.
pub fn query(sql: &str) -> Vec<u8> {
    let mut payload = Vec::with_capacity(sql.len() + 1);
    payload.push(0x03);
    payload.extend_from_slice(sql.as_bytes());
    packet(0, &payload)
}

/// The statement that fails with a refusal's code and message.
pub fn refusal(refusal: &Refusal) -> String {
    let state = refusal.sqlstate.as_str();
    let sound = state.len() == 5 && state.bytes().all(|b| b.is_ascii_alphanumeric());
    // Classes 00 and 01 are no errors.
    let sound = sound && !state.starts_with("00") && !state.starts_with("01");
    let state = if sound { state } else { "HY000" };
    let code = refusal.code.parse::<u16>().unwrap_or(1105).max(1);
    // In hexadecimal: what a backslash means depends on the mode of the session.
    let hex: String = refusal
        .message
        .chars()
        .take(MESSAGE_LIMIT)
        .flat_map(|c| c.to_string().into_bytes())
        .map(|b| format!("{b:02X}"))
        .collect();
    let message = if hex.is_empty() {
        "''".to_owned()
    } else {
        format!("_utf8mb4 X'{hex}'")
    };
    format!("SIGNAL SQLSTATE '{state}' SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = {message}")
}

/// Takes out of the server's greeting what the proxy could not follow; what is left of the
/// capability flags.
pub fn tame_greeting(payload: &mut [u8]) -> Result<u32, Malformed> {
    const WHAT: Malformed = Malformed("greeting");
    if payload.first() != Some(&10) {
        return Err(WHAT);
    }
    let version = payload.iter().position(|b| *b == 0).ok_or(WHAT)?;
    // Behind the version: connection id, eight bytes of the scramble and a filler.
    let low = version + 1 + 4 + 8 + 1;
    // Behind the lower half of the flags: character set and status.
    let high = low + 2 + 1 + 2;
    // Behind the upper half: length of the scramble and a filler; then MariaDB's own flags.
    let extended = high + 2 + 1 + 6;
    if payload.len() < extended + 4 {
        return Err(WHAT);
    }
    let flags = little(&payload[low..low + 2]) | little(&payload[high..high + 2]) << 16;
    let flags = flags & !capability::UNWANTED;
    let bytes = flags.to_le_bytes();
    payload[low..low + 2].copy_from_slice(&bytes[..2]);
    payload[high..high + 2].copy_from_slice(&bytes[2..]);
    payload[extended..extended + 4].fill(0);
    Ok(flags)
}

/// The same for the client's answer to the greeting.
pub fn tame_response(payload: &mut [u8]) -> Result<u32, Malformed> {
    const WHAT: Malformed = Malformed("handshake response");
    // Flags, packet size, character set, filler, MariaDB's own flags; then at least the user. A
    // request for TLS ends before the user.
    if payload.len() <= 32 {
        return Err(WHAT);
    }
    let flags = little(&payload[..4]);
    if flags & capability::PROTOCOL_41 == 0 {
        return Err(WHAT);
    }
    let flags = flags & !capability::UNWANTED;
    payload[..4].copy_from_slice(&flags.to_le_bytes());
    payload[28..32].fill(0);
    Ok(flags)
}

/// Affected rows and status of an OK packet, also of one that ends a result.
pub fn ok(payload: &[u8]) -> Option<(u64, u16)> {
    let (affected, rest) = length_encoded(payload.get(1..)?)?;
    let (_, rest) = length_encoded(rest)?;
    Some((affected, short(rest)?))
}

/// The status in an EOF packet.
pub fn eof(payload: &[u8]) -> Option<u16> {
    short(payload.get(3..)?)
}

/// Code and message of an error packet.
pub fn error(payload: &[u8]) -> Option<(u16, String)> {
    let code = short(payload.get(1..)?)?;
    let message = payload.get(3..)?;
    // Before the login it has no SQLSTATE.
    let message = match message {
        [b'#', rest @ ..] => rest.get(5..).unwrap_or_default(),
        _ => message,
    };
    Some((code, String::from_utf8_lossy(message).into_owned()))
}

/// A length-encoded number, and what is behind it.
pub fn length_encoded(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let width = match first {
        0..=0xfa => return Some((first.into(), rest)),
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        0xfb | 0xff => return None,
    };
    let (number, rest) = rest.split_at_checked(width)?;
    let number = number
        .iter()
        .rev()
        .fold(0, |n, byte| n << 8 | u64::from(*byte));
    Some((number, rest))
}

/// A 32-bit number at this place.
pub fn long(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.get(..4).map(little)
}

/// A 16-bit number at the beginning.
pub(super) fn short(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes([*bytes.first()?, *bytes.get(1)?]))
}

/// Up to four bytes as a number.
fn little(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |n, byte| n << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::db::DbErrorKind;

    /// The greeting of a MariaDB 10.11.
    fn greeting() -> Vec<u8> {
        let mut payload = b"\x0a5.5.5-10.11.19-MariaDB\0".to_vec();
        payload.extend_from_slice(&[7, 0, 0, 0]);
        payload.extend_from_slice(b"12345678\0");
        payload.extend_from_slice(&[0xfe, 0xff, 45, 2, 0, 0xff, 0xff, 21]);
        payload.extend_from_slice(&[0; 6]);
        payload.extend_from_slice(&[0x1d, 0, 0, 0]);
        payload.extend_from_slice(b"123456789012\0mysql_native_password\0");
        payload
    }

    #[test]
    fn a_greeting_loses_only_flags() {
        let mut tamed = greeting();
        let flags = tame_greeting(&mut tamed).unwrap();
        assert_eq!(flags, 0xffff_fffe & !capability::UNWANTED);
        let changed = tamed.iter().zip(greeting()).filter(|(a, b)| **a != *b);
        // Two bytes of the lower half, one of the upper, one of MariaDB's own.
        assert_eq!(changed.count(), 4);
        assert_eq!(tamed.len(), greeting().len());
        assert!(tame_greeting(&mut greeting()[..50]).is_err());
    }

    #[test]
    fn a_response_loses_only_flags() {
        let mut payload = vec![0xff; 32];
        assert!(tame_response(&mut payload).is_err(), "a request for TLS");
        payload.extend_from_slice(b"root\0");
        let flags = tame_response(&mut payload).unwrap();
        assert_eq!(flags, !capability::UNWANTED);
        assert_eq!(&payload[28..], b"\0\0\0\0root\0");
    }

    #[test]
    fn ends_of_results_are_read() {
        assert_eq!(ok(&[0, 0xfc, 1, 1, 0, 3, 0, 0, 0]), Some((257, 3)));
        assert_eq!(ok(&[0, 0xfc, 1]), None);
        assert_eq!(eof(&[0xfe, 0, 0, 2, 1]), Some(0x0102));
        let text = b"\xff\xbd\x04#40001Deadlock";
        assert_eq!(error(text), Some((1213, "Deadlock".into())));
        assert_eq!(error(b"\xff\x10\x04#4"), Some((1040, String::new())));
        assert_eq!(
            error(b"\xff\x10\x04Too many"),
            Some((1040, "Too many".into()))
        );
    }

    #[test]
    fn a_refusal_cannot_leave_its_statement() {
        let mut given = Refusal {
            code: "1213".into(),
            sqlstate: "40001".into(),
            message: "a'\\".into(),
            kind: DbErrorKind::Retryable,
            rolls_back: true,
        };
        assert_eq!(
            refusal(&given),
            "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = _utf8mb4 X'61275C'"
        );
        given.message = "é".repeat(200);
        given.sqlstate = "0'000".into();
        given.code = "0; DROP".into();
        let sql = refusal(&given);
        assert!(sql.starts_with("SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1105"));
        assert_eq!(sql.matches("C3A9").count(), 128);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let end = packet_end(&bytes);
            prop_assert!(end.is_none_or(|end| end <= bytes.len()));
            prop_assert!(fragments(&bytes).map(|f| f.payload.len()).sum::<usize>() <= bytes.len());
            let _ = (ok(&bytes), eof(&bytes), error(&bytes), length_encoded(&bytes));
            let _ = long(&bytes, 3);
            let mut changed = bytes.clone();
            let _ = tame_response(&mut changed);
            changed = bytes;
            let _ = tame_greeting(&mut changed);
            if let Some(first) = changed.first_mut() {
                *first = 10;
            }
            let _ = tame_greeting(&mut changed);
        }

        #[test]
        fn packets_come_back(
            first: u8,
            payload in prop::collection::vec(any::<u8>(), 0..300),
            rest in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut bytes = packet(first, &payload);
            let end = bytes.len();
            prop_assert_eq!(packet_end(&bytes[..end - 1]), None);
            bytes.extend_from_slice(&rest);
            prop_assert_eq!(packet_end(&bytes), Some(end));
            let only: Vec<_> = fragments(&bytes[..end]).collect();
            prop_assert_eq!(only, [Fragment { sequence: first, payload: &payload }]);
        }
    }

    #[test]
    fn long_packets_come_in_fragments() {
        for (length, count) in [
            (MAX_FRAGMENT - 1, 1),
            (MAX_FRAGMENT, 2),
            (MAX_FRAGMENT + 1, 2),
            (2 * MAX_FRAGMENT, 3),
        ] {
            let packet = packet(255, &vec![7; length]);
            assert_eq!(packet_end(&packet), Some(packet.len()));
            assert_eq!(packet_end(&packet[..packet.len() - 1]), None);
            let sequences: Vec<_> = fragments(&packet).map(|f| f.sequence).collect();
            assert_eq!(sequences, [255, 0, 1][..count]);
            let sum: usize = fragments(&packet).map(|f| f.payload.len()).sum();
            assert_eq!(sum, length);
        }
    }
}
