//! Markdown as GitHub and GitLab read it: pieces that no text can break out of.

use std::fmt::Write as _;

use super::mend::{Piece, pieces};
use crate::quote::one_line;

/// A text in running text or in a cell of a table.
pub(super) fn text(text: &str) -> String {
    let line = one_line(text.replace(['\r', '\n'], " "));
    let mut out = String::with_capacity(line.len());
    let mut before = ' ';
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        let special = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '&' | '|' | '~' | '#' | '$' | '!' => true,
            // Within a word it says nothing, and table names are full of them.
            '_' => {
                let after = characters.peek().copied().unwrap_or(' ');
                !before.is_alphanumeric() || !after.is_alphanumeric()
            }
            _ => false,
        };
        if special {
            out.push('\\');
        }
        out.push(c);
        before = c;
    }
    out
}

/// A text as code.
pub(super) fn code(text: &str) -> String {
    let line = one_line(text.replace(['\r', '\n'], " "));
    if line.is_empty() {
        return line;
    }
    let fence = "`".repeat(longest_run(&line) + 1);
    let pad = if line.starts_with('`') || line.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{line}{pad}{fence}")
}

/// A remedy: its words as text, its statements, commands and names as code.
pub(super) fn remedy(remedy: &str) -> String {
    let piece = |piece: &Piece<'_>| match piece {
        Piece::Words(words) => text(words),
        Piece::Name(code) | Piece::Statement(code) => self::code(code),
    };
    pieces(remedy).iter().map(piece).collect()
}

/// Lines of code of a language.
pub(super) fn code_block(out: &mut String, language: &str, code: &str) {
    let fence = "`".repeat(longest_run(code).max(2) + 1);
    let _ = write!(out, "{fence}{language}\n{}\n{fence}\n", code.trim_end());
}

/// What can be unfolded: the title, HTML, is escaped here, the content is Markdown.
pub(super) fn folded(out: &mut String, title: &str, content: &str) {
    let title = one_line(title.to_owned())
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let content = content.trim_end();
    let _ = write!(
        out,
        "<details><summary>{title}</summary>\n\n{content}\n\n</details>\n\n"
    );
}

/// A table. A column whose name ends in a colon is set to the right; cells are Markdown.
pub(super) fn table(out: &mut String, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let names: Vec<_> = head.iter().map(|name| name.trim_end_matches(':')).collect();
    let rules = head
        .iter()
        .map(|name| if name.ends_with(':') { "---:" } else { "---" });
    let rules: Vec<_> = rules.collect();
    let _ = writeln!(out, "| {} |\n| {} |", names.join(" | "), rules.join(" | "));
    for row in rows {
        let cells: Vec<_> = row.iter().map(|cell| within_bars(cell)).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    out.push('\n');
}

/// A cell. A bar would end it, in code too.
fn within_bars(cell: &str) -> String {
    let mut out = String::with_capacity(cell.len());
    for c in cell.chars() {
        if c == '|' && !out.ends_with('\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn longest_run(text: &str) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_means_anything_but_itself() {
        assert_eq!(
            text("a_b _c_ <x> | `d`\n# e"),
            r"a_b \_c\_ \<x\> \| \`d\` \# e"
        );
        assert_eq!(text("\u{1b}[2J"), r"\\u{1b}\[2J");
    }

    #[test]
    fn code_ends_where_it_should() {
        assert_eq!(code("a | b"), "`a | b`");
        assert_eq!(code("`a` ``b"), "``` `a` ``b```".replace("b```", "b ```"));
        let mut out = String::new();
        code_block(&mut out, "sql", "SELECT ```");
        assert_eq!(out, "````sql\nSELECT ```\n````\n");
    }

    #[test]
    fn a_remedy_keeps_its_statements_as_they_are() {
        assert_eq!(
            remedy("move *them*: DELETE FROM `a_b` WHERE c = '*'; or `sexton archive` does"),
            "move \\*them\\*: ``DELETE FROM `a_b` WHERE c = '*'``; or `sexton archive` does"
        );
    }

    #[test]
    fn a_bar_ends_no_cell() {
        let mut out = String::new();
        table(&mut out, &["a", "b:"], [vec![code("c | d"), text("e | f")]]);
        let row = r"| `c \| d` | e \| f |";
        assert_eq!(out, format!("| a | b |\n| --- | ---: |\n{row}\n\n"));
    }

    #[test]
    fn a_title_opens_nothing() {
        let mut out = String::new();
        folded(&mut out, "a <b> & c", "d");
        assert_eq!(
            out,
            "<details><summary>a &lt;b&gt; &amp; c</summary>\n\nd\n\n</details>\n\n"
        );
    }
}
