//! The key of a row as reports spell it and as people type it.
//!
//! Between the values of a key of several columns stands a slash. A slash within a value is written `\/`, and a
//! backslash `\\`. The value of a key of one column is written as it is: nothing has to be told apart there.

use super::value::Value;

/// `3`, or `a/b` for a key of several columns.
pub fn spell_key(key: &[Value]) -> String {
    if let [value] = key {
        return value.to_string();
    }
    let parts: Vec<_> = key
        .iter()
        .map(|value| value.to_string().replace('\\', "\\\\").replace('/', "\\/"))
        .collect();
    parts.join("/")
}

/// The values of a key of so many columns as text, or of as many as there are. A backslash before anything but a slash
/// or a backslash stands for itself.
pub fn split_key(text: &str, columns: usize) -> Vec<String> {
    if columns == 1 {
        return vec![text.to_owned()];
    }
    let mut parts = vec![String::new()];
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let c = match c {
            '/' => {
                parts.push(String::new());
                continue;
            }
            '\\' => rest.next_if(|c| matches!(c, '/' | '\\')).unwrap_or(c),
            c => c,
        };
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(parts: &[&str]) -> Vec<Value> {
        parts
            .iter()
            .map(|part| Value::Text((*part).into()))
            .collect()
    }

    #[test]
    fn a_key_is_spelled_so_that_its_values_can_be_told_apart() {
        assert_eq!(spell_key(&text(&["a/b\\c"])), r"a/b\c");
        assert_eq!(spell_key(&text(&["a", "b"])), "a/b");
        assert_eq!(spell_key(&text(&["a/b", "c"])), r"a\/b/c");
        assert_eq!(spell_key(&text(&["a\\", "c"])), r"a\\/c");
        assert_eq!(split_key(r"a/b\c", 1), [r"a/b\c"]);
        assert_eq!(split_key(r"a\b/c\", 2), [r"a\b", r"c\"]);
        assert_eq!(split_key("a/b/c", 2).len(), 3);
    }

    proptest! {
        #[test]
        fn what_is_spelled_reads_back(parts in prop::collection::vec("[a/\\\\é]{0,5}", 1..4)) {
            let key: Vec<_> = parts.iter().cloned().map(Value::Text).collect();
            prop_assert_eq!(split_key(&spell_key(&key), key.len()), parts);
        }
    }
}
