//! Numbers of things in sentences: one row, two rows.

/// The number and what it counts, `word` being one of them: `1 family`, `2 families`.
pub fn several(number: u64, word: &str) -> String {
    format!("{number} {}", plural(number, word))
}

/// The word for so many: `row`, `rows`.
pub fn plural(number: u64, word: &str) -> String {
    let mut letters = word.chars().rev();
    let (last, before) = (letters.next(), letters.next());
    let hisses = ["s", "x", "ch", "sh"].iter().any(|end| word.ends_with(end));
    match (number, last, before) {
        (1, ..) => word.to_owned(),
        (_, Some('y'), Some(before)) if !"aeiou".contains(before) => {
            format!("{}ies", &word[..word.len() - 1])
        }
        _ if hisses => format!("{word}es"),
        _ => format!("{word}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_of_a_thing_or_there_are_several() {
        for (word, of_two) in [
            ("row", "2 rows"),
            ("family", "2 families"),
            ("retry", "2 retries"),
            ("day", "2 days"),
            ("batch", "2 batches"),
            ("index", "2 indexes"),
        ] {
            assert_eq!(several(1, word), format!("1 {word}"));
            assert_eq!(several(2, word), of_two);
        }
        assert_eq!(several(0, "finding"), "0 findings");
    }
}
