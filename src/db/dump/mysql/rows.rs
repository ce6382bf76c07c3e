//! The rows of an INSERT, value by value, as the server's tools write them.

use rusqlite::types::Value;

use super::ANOTHER;
use crate::quote::shortened;

type Rows = Vec<Vec<Value>>;

/// The rows of a line of an INSERT, and whether it ends here.
pub(super) fn tuples(line: &[u8], columns: usize) -> std::result::Result<(Rows, bool), String> {
    let mut rows = Vec::new();
    let mut at = 0;
    loop {
        while line
            .get(at)
            .is_some_and(|b| b.is_ascii_whitespace() || *b == b',')
        {
            at += 1;
        }
        match line.get(at) {
            None => return Ok((rows, false)),
            Some(b';') if line[at + 1..].trim_ascii().is_empty() => return Ok((rows, true)),
            Some(b';') => return Err(ANOTHER.into()),
            Some(b'(') => at += 1,
            Some(_) => return Err("a row that does not begin with (".into()),
        }
        let mut row = Vec::with_capacity(columns);
        loop {
            let (value, next) = value(line, at)?;
            row.push(value);
            match line.get(next) {
                Some(b',') => at = next + 1,
                Some(b')') => {
                    at = next + 1;
                    break;
                }
                _ => return Err("a row that is cut off".into()),
            }
        }
        if row.len() != columns {
            return Err(format!("a row of {} values, not {columns}", row.len()));
        }
        rows.push(row);
    }
}

/// A value, and where it ends.
fn value(line: &[u8], at: usize) -> std::result::Result<(Value, usize), String> {
    let rest = &line[at..];
    if let Some(rest) = rest.strip_prefix(b"_binary ") {
        let (bytes, length) = string(rest)?;
        return Ok((Value::Blob(bytes), at + 8 + length));
    }
    match rest.first() {
        Some(b'\'') => {
            let (bytes, length) = string(rest)?;
            let value = match String::from_utf8(bytes) {
                Ok(text) => Value::Text(text),
                Err(error) => Value::Blob(error.into_bytes()),
            };
            Ok((value, at + length))
        }
        Some(_) => {
            let end = rest.iter().position(|b| matches!(b, b',' | b')'));
            let word = &rest[..end.ok_or("a row that is cut off")?];
            let word = std::str::from_utf8(word).map_err(|_| "a value that is no text")?;
            Ok((plain(word)?, at + word.len()))
        }
        None => Err("a row that is cut off".into()),
    }
}

/// A value without quotes.
fn plain(word: &str) -> std::result::Result<Value, String> {
    if word == "NULL" {
        return Ok(Value::Null);
    }
    if let Some(digits) = word.strip_prefix("0x") {
        return hex(digits)
            .map(Value::Blob)
            .ok_or_else(|| "a hexadecimal value that is none".into());
    }
    if let Ok(number) = word.parse::<i64>() {
        return Ok(Value::Integer(number));
    }
    match word.parse::<f64>() {
        // More digits than a float has stay what they are.
        Ok(number) if number.is_finite() && word.len() <= 16 => Ok(Value::Real(number)),
        Ok(number) if number.is_finite() => Ok(Value::Text(word.into())),
        _ => Err(format!("a value that is none: {}", shortened(word, 20))),
    }
}

pub(in crate::db::dump) fn hex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    let digit = |b: u8| char::from(b).to_digit(16);
    digits
        .chunks(2)
        .map(|pair| match pair {
            [a, b] => u8::try_from(digit(*a)? * 16 + digit(*b)?).ok(),
            _ => None,
        })
        .collect()
}

/// The bytes of a string in quotes, and how long it was with them.
fn string(text: &[u8]) -> std::result::Result<(Vec<u8>, usize), String> {
    if text.first() != Some(&b'\'') {
        return Err("a string without a quote".into());
    }
    let mut bytes = Vec::new();
    let mut at = 1;
    loop {
        match text.get(at) {
            None => return Err("a string that does not end".into()),
            Some(b'\'') if text.get(at + 1) == Some(&b'\'') => {
                bytes.push(b'\'');
                at += 2;
            }
            Some(b'\'') => return Ok((bytes, at + 1)),
            Some(b'\\') => {
                let escaped = text.get(at + 1).ok_or("a string that does not end")?;
                bytes.push(match escaped {
                    b'0' => 0,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'Z' => 26,
                    other => *other,
                });
                at += 2;
            }
            Some(byte) => {
                bytes.push(*byte);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_the_server_writes_them() {
        let line = br"(1,NULL,'it''s \'a\' \\ \n','x,y)',-2.50,0x6162,_binary 'q\0');";
        let (rows, ended) = tuples(line, 7).unwrap();
        assert!(ended);
        let text = |t: &str| Value::Text(t.into());
        let expected = vec![
            Value::Integer(1),
            Value::Null,
            text("it's 'a' \\ \n"),
            text("x,y)"),
            Value::Real(-2.5),
            Value::Blob(b"ab".to_vec()),
            Value::Blob(b"q\0".to_vec()),
        ];
        assert_eq!(rows, [expected]);
        assert!(!tuples(b"(1),(2),", 1).unwrap().1);
        for broken in [
            &b"(1,'x"[..],
            b"(1",
            b"(1,2",
            b"(1);",
            b"1);",
            b"(a,b);",
            b"(1,'x\\",
        ] {
            assert!(
                tuples(broken, 2).is_err(),
                "{}",
                String::from_utf8_lossy(broken)
            );
        }
    }
}
