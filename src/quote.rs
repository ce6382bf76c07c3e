//! What others wrote, in messages and reports of ours: on one line, and not too much of it.

/// The text with control characters escaped. Messages quote what others wrote: a key of a file, a name
/// in a database. Whatever is in it, they stay one line and cannot speak to the terminal.
pub fn one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line
}

/// The beginning of a text of more than `most` characters, and a sign that there is more.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        assert_eq!(shortened("aéb", 3), "aéb");
        assert_eq!(shortened("aéb", 2), "aé ...");
    }
}
