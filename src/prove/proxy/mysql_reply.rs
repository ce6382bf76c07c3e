//! Where the reply to a MySQL command ends, and what it says.
//!
//! Pure, like [`super::mysql_packets`]: a machine that is fed the packets of the reply, one by one.

use super::mysql_packets::status;
use super::mysql_packets::{MAX_FRAGMENT, Malformed, eof, error, length_encoded, long, ok, short};

/// The form of the reply that a command has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// OK, an error, or results.
    Results,
    /// Rows without columns before them, or columns alone.
    Rows,
    /// A statement that is prepared.
    Prepared,
    /// One packet, whatever is in it.
    Single,
}

/// What a reply has said so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Code and message of the error it ended with.
    pub error: Option<(u16, String)>,
    /// Affected rows of all its results.
    pub affected: u64,
    /// The last status in it. An error has none.
    pub status: Option<u16>,
    /// The id of the statement that was prepared.
    pub prepared: Option<u32>,
}

/// Reads one reply.
#[derive(Debug)]
pub struct ReplyParser {
    state: State,
    deprecate_eof: bool,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a result.
    First,
    /// So many columns to come before the rows.
    Columns(u64),
    /// At the EOF packet between columns and rows.
    ColumnsEnd,
    Rows,
    Prepared,
    /// So many packets to come, then the end.
    Skip(u32),
    Single,
    Done,
}

impl ReplyParser {
    /// For a reply of this form, on a connection that has or has not agreed on
    /// [`super::mysql_packets::capability::DEPRECATE_EOF`].
    pub fn new(expect: Expect, deprecate_eof: bool) -> Self {
        let state = match expect {
            Expect::Results => State::First,
            Expect::Rows => State::Rows,
            Expect::Prepared => State::Prepared,
            Expect::Single => State::Single,
        };
        Self {
            state,
            deprecate_eof,
            outcome: Outcome::default(),
        }
    }

    /// Takes the first fragment of the next packet of the reply; whether it is the last packet.
    pub fn feed(&mut self, payload: &[u8]) -> Result<bool, Malformed> {
        self.state = match (self.state, payload.first()) {
            (State::Done, _) => State::Done,
            (State::Single, _) => State::Done,
            (_, Some(0xff)) => {
                self.outcome.error = Some(error(payload).ok_or(Malformed("error"))?);
                State::Done
            }
            (State::First, Some(0)) => {
                let (affected, status) = ok(payload).ok_or(Malformed("OK"))?;
                self.outcome.affected = self.outcome.affected.saturating_add(affected);
                self.end_of_result(status)
            }
            (State::First, Some(0xfe)) => {
                let status = self.end_status(payload)?;
                self.end_of_result(status)
            }
            (State::First, _) => {
                let (columns, _) = length_encoded(payload).ok_or(Malformed("result"))?;
                self.columns(columns)
            }
            (State::Columns(left), _) => self.columns(left.saturating_sub(1)),
            (State::ColumnsEnd, _) => {
                let status = eof(payload).ok_or(Malformed("end of columns"))?;
                self.outcome.status = Some(status);
                match status & status::CURSOR_EXISTS {
                    0 => State::Rows,
                    _ => self.end_of_result(status),
                }
            }
            (State::Rows, Some(0xfe)) if payload.len() < self.end_limit() => {
                let status = self.end_status(payload)?;
                self.end_of_result(status)
            }
            (State::Rows, _) => State::Rows,
            (State::Prepared, Some(0)) => self.prepared(payload)?,
            (State::Prepared, _) => return Err(Malformed("prepared statement")),
            (State::Skip(left), _) => skip(left.saturating_sub(1)),
        };
        Ok(self.state == State::Done)
    }

    /// What the reply said.
    pub fn outcome(self) -> Outcome {
        self.outcome
    }

    /// A packet with the head of an end is one if it is shorter than this; else it is a row whose
    /// first value is longer than a fragment.
    fn end_limit(&self) -> usize {
        if self.deprecate_eof { MAX_FRAGMENT } else { 9 }
    }

    fn end_status(&self, payload: &[u8]) -> Result<u16, Malformed> {
        let status = match self.deprecate_eof {
            true => ok(payload).map(|(_, status)| status),
            false => eof(payload),
        };
        status.ok_or(Malformed("end of a result"))
    }

    fn end_of_result(&mut self, status: u16) -> State {
        self.outcome.status = Some(status);
        match status & status::MORE_RESULTS {
            0 => State::Done,
            _ => State::First,
        }
    }

    fn columns(&self, left: u64) -> State {
        match (left, self.deprecate_eof) {
            (0, true) => State::Rows,
            (0, false) => State::ColumnsEnd,
            _ => State::Columns(left),
        }
    }

    fn prepared(&mut self, payload: &[u8]) -> Result<State, Malformed> {
        const WHAT: Malformed = Malformed("prepared statement");
        self.outcome.prepared = Some(long(payload, 1).ok_or(WHAT)?);
        let (columns, parameters) = payload
            .get(5..)
            .and_then(|counts| Some((short(counts)?, short(counts.get(2..)?)?)))
            .ok_or(WHAT)?;
        let part = |count: u16| match count {
            0 => 0,
            _ => u32::from(count) + u32::from(!self.deprecate_eof),
        };
        Ok(skip(part(columns) + part(parameters)))
    }
}

fn skip(left: u32) -> State {
    match left {
        0 => State::Done,
        _ => State::Skip(left),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OK: &[u8] = &[0, 2, 0, 1, 0, 0, 0];
    const OK_MORE: &[u8] = &[0, 3, 0, 9, 0, 0, 0];
    const EOF: &[u8] = &[0xfe, 0, 0, 2, 0];
    const EOF_MORE: &[u8] = &[0xfe, 0, 0, 0x0b, 0];
    const END: &[u8] = &[0xfe, 0, 0, 3, 0, 0, 0];
    const ERROR: &[u8] = b"\xff\xb5\x04#HY000Lock wait";
    const COLUMN: &[u8] = b"\x03def\0";

    /// Feeds all of it; the end must be at the last packet and not before.
    fn read(expect: Expect, deprecate_eof: bool, packets: &[&[u8]]) -> Outcome {
        let mut parser = ReplyParser::new(expect, deprecate_eof);
        for (i, packet) in packets.iter().enumerate() {
            let end = parser.feed(packet).unwrap();
            assert_eq!(end, i + 1 == packets.len(), "packet {i} of {packets:?}");
        }
        parser.outcome()
    }

    #[test]
    fn results_end_where_they_end() {
        let results = |deprecate_eof, packets: &[&[u8]]| {
            let outcome = read(Expect::Results, deprecate_eof, packets);
            (outcome.affected, outcome.status)
        };
        assert_eq!(results(true, &[OK]), (2, Some(1)));
        assert_eq!(results(false, &[OK_MORE, OK_MORE, OK]), (8, Some(1)));
        let rows: [&[u8]; 3] = [b"\x01a", b"\xfb", b"\0"];
        let [a, null, empty] = rows;
        let old = [&[1u8] as &[u8], COLUMN, EOF, a, null, empty, EOF_MORE, OK];
        assert_eq!(results(false, &old), (2, Some(1)));
        let new = [&[2u8] as &[u8], COLUMN, COLUMN, a, empty, null, END];
        assert_eq!(results(true, &new), (0, Some(3)));
        let cursor: [&[u8]; 3] = [&[1], COLUMN, &[0xfe, 0, 0, 0x40, 0]];
        assert_eq!(results(false, &cursor), (0, Some(0x40)));
        let fetched = read(Expect::Rows, false, &[empty, empty, EOF]);
        assert_eq!(fetched.status, Some(2));
    }

    #[test]
    fn an_error_ends_a_reply_anywhere() {
        let outcome = read(Expect::Results, false, &[OK_MORE, ERROR]);
        assert_eq!(outcome.error, Some((1205, "Lock wait".into())));
        assert_eq!(outcome.affected, 3);
        read(Expect::Results, true, &[&[1], COLUMN, b"\x01a", ERROR]);
        read(Expect::Prepared, true, &[ERROR]);
    }

    #[test]
    fn a_long_first_value_is_no_end() {
        let mut long = vec![b'x'; MAX_FRAGMENT];
        long[0] = 0xfe;
        read(Expect::Results, true, &[&[1], COLUMN, &long, END]);
        read(Expect::Results, false, &[&[1], COLUMN, EOF, &long, EOF]);
    }

    #[test]
    fn prepared_statements_end_behind_their_columns() {
        let prepared =
            |columns: u8, parameters: u8| vec![0, 7, 0, 0, 0, columns, 0, parameters, 0, 0, 0, 0];
        assert_eq!(
            read(Expect::Prepared, true, &[&prepared(0, 0)]).prepared,
            Some(7)
        );
        read(Expect::Prepared, true, &[&prepared(1, 1), COLUMN, COLUMN]);
        let old: [&[u8]; 5] = [&prepared(1, 1), COLUMN, EOF, COLUMN, EOF];
        read(Expect::Prepared, false, &old);
    }

    proptest! {
        #[test]
        fn no_packets_make_it_panic(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..30),
            deprecate_eof: bool,
            form in 0..4,
        ) {
            let expect = [Expect::Results, Expect::Rows, Expect::Prepared, Expect::Single];
            let mut parser = ReplyParser::new(expect[form as usize], deprecate_eof);
            for packet in packets {
                if parser.feed(&packet).is_err() {
                    break;
                }
            }
        }
    }
}
