//! Replies of a MySQL server, as any sequence of packets, and as a reply that is known to be sound.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use sexton::prove::proxy::mysql_reply::{Expect, Outcome, ReplyParser};

fuzz_target!(|bytes: &[u8]| {
    let mut given = Unstructured::new(bytes);
    let Ok(form) = u8::arbitrary(&mut given) else {
        return;
    };
    let deprecate_eof = form & 1 == 1;
    if form & 2 == 2 {
        let _ = sound(&mut given, deprecate_eof);
    } else {
        any(&mut given, form >> 2, deprecate_eof);
    }
});

/// Once a reply has ended nothing changes what it said.
fn any(given: &mut Unstructured<'_>, form: u8, deprecate_eof: bool) {
    let forms = [
        Expect::Results,
        Expect::Rows,
        Expect::Prepared,
        Expect::Single,
    ];
    let expect = forms[usize::from(form) % forms.len()];
    let mut parser = ReplyParser::new(expect, deprecate_eof);
    let mut again = ReplyParser::new(expect, deprecate_eof);
    while let Ok(packet) = <&[u8]>::arbitrary(given) {
        let result = parser.feed(packet);
        assert_eq!(again.feed(packet), result, "not the same twice");
        match result {
            Err(_) => return,
            Ok(true) => {
                assert_eq!(parser.feed(&[0, 9, 0, 9, 0]), Ok(true));
                assert_eq!(parser.outcome(), again.outcome());
                return;
            }
            Ok(false) if given.is_empty() => return,
            Ok(false) => {}
        }
    }
}

/// A reply that is sound ends at its last packet and not before, and what it says comes back.
fn sound(given: &mut Unstructured<'_>, deprecate_eof: bool) -> arbitrary::Result<()> {
    let mut packets: Vec<Vec<u8>> = Vec::new();
    let mut said = Outcome::default();
    let end = |status: u16| {
        let [low, high] = status.to_le_bytes();
        match deprecate_eof {
            true => vec![0xfe, 0, 0, low, high, 0, 0],
            false => vec![0xfe, 0, 0, low, high],
        }
    };
    loop {
        // The bits of a cursor and of another result are ours to set.
        let mut status = u16::arbitrary(given)? & !0x48;
        let more = bool::arbitrary(given)?;
        if more {
            status |= 8;
        }
        match given.int_in_range(0..=2)? {
            0 => {
                let affected = u64::from(u16::arbitrary(given)?);
                said.affected += affected;
                let mut packet = vec![0, 0xfd];
                packet.extend_from_slice(&affected.to_le_bytes()[..3]);
                packet.push(0);
                packet.extend_from_slice(&status.to_le_bytes());
                packet.extend_from_slice(<&[u8]>::arbitrary(given)?);
                packets.push(packet);
            }
            1 => {
                packets.push([b"\xff\xbd\x04#40001", <&[u8]>::arbitrary(given)?].concat());
                let message = String::from_utf8_lossy(&packets[packets.len() - 1][9..]);
                said.error = Some((1213, message.into_owned()));
                break;
            }
            _ => {
                let columns = given.int_in_range(1..=5)?;
                packets.push(vec![columns]);
                packets.extend((0..columns).map(|_| b"\x03def\0".to_vec()));
                if !deprecate_eof {
                    packets.push(end(u16::arbitrary(given)? & !0x40));
                }
                for _ in 0..given.int_in_range(0..=4)? {
                    packets.push(row(given)?);
                }
                packets.push(end(status));
            }
        }
        said.status = Some(status);
        if !more {
            break;
        }
    }
    let mut parser = ReplyParser::new(Expect::Results, deprecate_eof);
    for (i, packet) in packets.iter().enumerate() {
        let last = i + 1 == packets.len();
        assert_eq!(parser.feed(packet), Ok(last), "packet {i} of {packets:?}");
    }
    assert_eq!(parser.outcome(), said);
    Ok(())
}

/// A row of text: its first value is NULL or begins with its length.
fn row(given: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let value = <&[u8]>::arbitrary(given)?;
    Ok(match u8::try_from(value.len()) {
        Ok(length @ 0..=0xfa) => [&[length], value].concat(),
        _ => vec![0xfb],
    })
}
