//! The words of a statement: names, strings, signs.

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword or a name without quotes, as it stands.
    Word(String),
    /// A name in quotes, without them.
    Name(String),
    /// A string, without its quotes.
    Text(String),
    /// Any other character.
    Sign(char),
}

impl Token {
    /// Whether it is this keyword.
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    /// The name that it is, in quotes or not.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Word(name) | Self::Name(name) => Some(name),
            Self::Text(_) | Self::Sign(_) => None,
        }
    }
}

/// The words of a text. What is in quotes that do not end goes to its end.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '`' | '"' | '\'' => {
                let mut inner = String::new();
                while let Some(next) = chars.next() {
                    if next == c && chars.next_if_eq(&c).is_none() {
                        break;
                    }
                    inner.push(next);
                }
                tokens.push(match c {
                    '\'' => Token::Text(inner),
                    _ => Token::Name(inner),
                });
            }
            c if c.is_alphanumeric() || c == '_' => {
                let mut word = String::from(c);
                while let Some(next) = chars.next_if(|n| n.is_alphanumeric() || "_$".contains(*n)) {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
            c => tokens.push(Token::Sign(c)),
        }
    }
    tokens
}

/// Walks over the words of a statement.
pub(super) struct Cursor<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(tokens: &'a [Token]) -> Self {
        Self { tokens, at: 0 }
    }

    /// Goes over these keywords, if they are next.
    pub(super) fn skip(&mut self, keywords: &[&str]) -> bool {
        let next = &self.tokens[self.at..];
        let are = keywords.len() <= next.len() && keywords.iter().zip(next).all(|(k, t)| t.is(k));
        if are {
            self.at += keywords.len();
        }
        are
    }

    /// Goes over a sign, if it is next.
    pub(super) fn sign(&mut self, sign: char) -> bool {
        let is = self.tokens.get(self.at) == Some(&Token::Sign(sign));
        self.at += usize::from(is);
        is
    }

    pub(super) fn name(&mut self) -> Option<&'a str> {
        let name = self.tokens.get(self.at)?.name()?;
        self.at += 1;
        Some(name)
    }

    /// A name, with the namespace before it if there is one.
    pub(super) fn qualified(&mut self) -> Option<(Option<&'a str>, &'a str)> {
        let first = self.name()?;
        match self.sign('.') {
            true => Some((Some(first), self.name()?)),
            false => Some((None, first)),
        }
    }

    /// `(a, b(10), c DESC)` as names; `None` if something in it is no column.
    pub(super) fn columns(&mut self) -> Option<Vec<String>> {
        if !self.sign('(') {
            return None;
        }
        let mut columns = Vec::new();
        loop {
            columns.push(self.name()?.to_owned());
            // The length of a prefix; anything else in brackets makes it an expression.
            if self.sign('(') {
                self.name()?.parse::<u32>().ok()?;
                if !self.sign(')') {
                    return None;
                }
            }
            while self.tokens.get(self.at).is_some_and(|t| t.name().is_some()) {
                self.at += 1;
            }
            match (self.sign(','), self.sign(')')) {
                (true, _) => {}
                (false, true) => return Some(columns),
                (false, false) => return None,
            }
        }
    }

    /// Whether this keyword, or these, come later.
    pub(super) fn has(&self, keywords: &[&str]) -> bool {
        let rest = &self.tokens[self.at..];
        rest.windows(keywords.len())
            .any(|window| keywords.iter().zip(window).all(|(k, t)| t.is(k)))
    }

    /// Goes on to this keyword.
    pub(super) fn seek(&mut self, keyword: &str) -> bool {
        while let Some(token) = self.tokens.get(self.at) {
            if token.is(keyword) {
                return true;
            }
            self.at += 1;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_names_and_strings_are_told_apart() {
        let all = tokens("ADD `a``b` \"c\" ('it''s', 7) public.t");
        let word = |w: &str| Token::Word(w.into());
        let expected = [
            word("ADD"),
            Token::Name("a`b".into()),
            Token::Name("c".into()),
            Token::Sign('('),
            Token::Text("it's".into()),
            Token::Sign(','),
            word("7"),
            Token::Sign(')'),
            word("public"),
            Token::Sign('.'),
            word("t"),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn columns_are_read_without_prefix_and_order_and_expressions_are_none() {
        let columns = |text: &str| Cursor::new(&tokens(text)).columns();
        let ab = Some(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(columns("(a, `b`(191) DESC)"), ab);
        assert_eq!(columns("(lower(a))"), None);
        assert_eq!(columns("((a + b))"), None);
        assert_eq!(columns("(a"), None);
    }
}
