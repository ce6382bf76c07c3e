//! The database URL in a `nova.conf`, read the way oslo.config reads it.
//!
//! Done by hand because oslo's dialect is its own: continuation lines, `$` substitution, repeated
//! sections, the last value wins.

use crate::error::{Error, Result};

/// The key that holds a database URL.
const KEY: &str = "connection";

/// The value of `connection` in `[section]` of a configuration file's text.
///
/// A value that goes on over several lines is joined without white space: it is a URL.
pub fn oslo_connection(text: &str, section: &str) -> Result<String> {
    let settings = parse(text);
    let found = settings
        .iter()
        .rfind(|s| s.section == section && s.key == KEY);
    match found {
        Some(setting) if !setting.value.is_empty() => {
            substitute(&setting.value, &settings, section)
        }
        Some(_) => Err(Error::data(format!("{KEY} in [{section}] is empty"))
            .hint("set it to the database's URL")),
        None => Err(missing(text, &settings, section)),
    }
}

/// Whether `[section]` sets `connection` to anything, readable or not.
pub fn oslo_has_connection(text: &str, section: &str) -> bool {
    let settings = parse(text);
    let last = settings
        .iter()
        .rfind(|s| s.section == section && s.key == KEY);
    last.is_some_and(|s| !s.value.is_empty())
}

struct Setting {
    section: String,
    key: String,
    value: String,
}

fn parse(text: &str) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    let mut section = "DEFAULT".to_owned();
    // Whether a line that begins with white space continues the last setting.
    let mut open = false;
    for line in text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim_end)
    {
        if line.starts_with([' ', '\t']) {
            if let Some(setting) = settings.last_mut().filter(|_| open) {
                setting.value += line.trim_start();
            }
            continue;
        }
        open = false;
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some((key, value)) = line.split_once(['=', ':']) {
            open = true;
            settings.push(Setting {
                section: section.clone(),
                key: key.trim().to_owned(),
                value: unquote(value.trim()).to_owned(),
            });
        }
    }
    settings
}

fn unquote(value: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|&q| value.strip_prefix(q)?.strip_suffix(q))
        .unwrap_or(value)
}

/// Replaces `$$` and `\$` by a dollar sign, `$name` and `${name}` by another setting of the
/// section or of `[DEFAULT]`. A dollar sign before anything else stays.
fn substitute(value: &str, settings: &[Setting], section: &str) -> Result<String> {
    let mut out = String::new();
    let value = value.replace("\\$", "$$");
    let mut rest = value.as_str();
    while let Some((before, after)) = rest.split_once('$') {
        out += before;
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let braced = after.strip_prefix('{').and_then(|a| a.split_once('}'));
        let (name, next) = braced.unwrap_or_else(|| {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            after.split_at(after.find(|c| !word(c)).unwrap_or(after.len()))
        });
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            out.push('$');
            rest = after;
            continue;
        }
        let named = |s: &str| settings.iter().rfind(|o| o.section == s && o.key == name);
        match named(section).or_else(|| named("DEFAULT")) {
            Some(setting) => out += &setting.value,
            // The name is not shown: it may be a piece of a password.
            None => {
                let message = format!("{KEY} in [{section}] refers with $ to an option not set");
                return Err(Error::data(message).hint("write $$ for a plain dollar sign"));
            }
        }
        rest = next;
    }
    out += rest;
    Ok(out)
}

fn missing(text: &str, settings: &[Setting], section: &str) -> Error {
    // In the text, because a section may be there and hold nothing but comments.
    let heading = format!("[{section}]");
    let known = text.lines().any(|l| l.trim_end() == heading);
    let message = match known {
        true => format!("[{section}] has no {KEY}"),
        false => format!("there is no section [{section}]"),
    };
    let mut others: Vec<_> = settings.iter().filter(|s| s.key == KEY).collect();
    others.dedup_by(|a, b| a.section == b.section);
    let others: Vec<_> = others.iter().map(|s| format!("[{}]", s.section)).collect();
    Error::data(message).hint(match others.is_empty() {
        true => format!("no section has a {KEY}; is this the service's own configuration file?"),
        false => format!("set it; there is a {KEY} in {}", others.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = "\u{feff}[DEFAULT]\nhost_name = db.example\ndebug: true\n\n\
        [database]\n# connection = mysql://commented\n; connection = mysql://also\n\
        connection = sqlite:///old.db\nConnection = mysql://case\n\
        connection = mysql+pymysql://nova:a$$b\\$c$1@$host_name/${name}\n\
        name = nova\nmax_retries = -1\n\n\
        [api_database]\n  connection = not a setting\n\
        connection:mysql://api\n\t?charset=utf8\n\n  stray\n\
        [quoted]\nconnection = 'mysql://q=1:2'\n[empty]\nconnection =\n\
        [dollar]\nconnection = mysql://u:pa$sword@h/d\n\
        [below]\nconnection =\n  mysql://u@h/d\n[bare]\nkey = 1\n";

    #[test]
    fn values_are_read_as_oslo_reads_them() {
        for (section, url) in [
            ("database", "mysql+pymysql://nova:a$b$c$1@db.example/nova"),
            ("api_database", "mysql://api?charset=utf8"),
            ("quoted", "mysql://q=1:2"),
            ("below", "mysql://u@h/d"),
        ] {
            assert_eq!(oslo_connection(CONF, section).unwrap(), url);
        }
        let crlf = CONF.replace('\n', "\r\n");
        assert_eq!(oslo_connection(&crlf, "quoted").unwrap(), "mysql://q=1:2");
    }

    #[test]
    fn what_is_missing_is_said_with_a_hint() {
        let message = |section: &str| oslo_connection(CONF, section).unwrap_err().to_string();
        assert!(
            message("cell")
                .contains("no section [cell]; set it; there is a connection in [database], ")
        );
        assert!(message("bare").starts_with("[bare] has no connection; "));
        assert!(message("empty").contains("is empty"));
        assert!(message("dollar").contains("$$") && !message("dollar").contains("sword"));
        let error = oslo_connection("", "database").unwrap_err();
        assert_eq!(error.code, crate::exit::ExitCode::Data);
        assert!(error.to_string().contains("no section has a connection"));
    }
}
