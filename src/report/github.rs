//! Workflow commands, by which a job on GitHub Actions annotates its run.

use std::fmt::Write as _;

/// How an annotation is shown.
#[derive(Clone, Copy)]
pub(super) enum Level {
    Error,
    Warning,
    Notice,
}

/// Adds a line that makes an annotation.
pub(super) fn annotation(out: &mut String, level: Level, title: &str, message: &str) {
    let command = match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Notice => "notice",
    };
    let (title, message) = (property(title), data(message));
    let _ = writeln!(out, "::{command} title={title}::{message}");
}

/// A message. It may have lines; what ends a line would end the command.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property, which a colon or a comma would end too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_command_or_begins_another() {
        let mut out = String::new();
        annotation(&mut out, Level::Error, "a: b, c%", "100%,\r\n::error::d: e");
        assert_eq!(
            out,
            "::error title=a%3A b%2C c%25::100%25,%0D%0A::error::d: e\n"
        );
    }
}
