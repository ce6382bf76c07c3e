//! A configuration file may be anything: it is read, or refused with one line, and never more than that.

use std::path::Path;

use clap::{Command, CommandFactory};
use proptest::prelude::*;
use toml::{Table, Value};

use super::definitions::{commands, name, options};
use super::file::File;
use crate::cli::Cli;
use sexton::exit::ExitCode;

/// What the file is that somebody wrote.
const GOOD: &str = "# é\n[common]\nquiet = true\nconfig-file = \"/etc/nova/nova.conf\"\n\n[archive]\nbefore = '90d'\n\
                    replica = [\"mysql://a:pä@b/c\"]\nmax_rows = 7\n\n[schema.diff]\nrelease = \"nova-34\"\n";

/// Reads it; what is said of one that is refused. A value that is one of its options is looked at too.
fn read(text: &str) -> Option<String> {
    let command = Cli::command();
    let error = match File::parse(Path::new("sexton.toml"), text, &command) {
        Ok(file) => settings(&file, &command)?,
        Err(error) => error,
    };
    assert_eq!(error.code, ExitCode::Usage, "{error}");
    assert!(error.hint.is_some(), "{error}");
    let said = error.to_string();
    assert!(
        !said.contains('\n') && said.contains("sexton.toml:"),
        "{said}"
    );
    Some(said)
}

/// The first complaint about a value.
fn settings(file: &File, command: &Command) -> Option<sexton::error::Error> {
    let mut all = commands(command).into_iter();
    all.find_map(|(words, command)| {
        let table = words.join(" ");
        options(command).find_map(|arg| file.setting(&table, arg).err())
    })
}

/// Names that there are, and others.
fn key() -> impl Strategy<Value = String> {
    let command = Cli::command();
    let mut names = vec!["common".to_owned(), "schema".to_owned(), "diff".to_owned()];
    for (words, command) in commands(&command) {
        names.extend(words);
        names.extend(options(command).map(name));
    }
    prop_oneof![4 => prop::sample::select(names), 1 => any::<String>()]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Float),
        any::<String>().prop_map(Value::String),
        Just(Value::Datetime("2026-11-28T10:00:00Z".parse().unwrap())),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let table = prop::collection::btree_map(key(), inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::Array),
            table.prop_map(|entries| Value::Table(entries.into_iter().collect())),
        ]
    })
}

#[test]
fn the_file_of_the_page_is_read() {
    assert_eq!(read(GOOD), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        read(&String::from_utf8_lossy(&bytes));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        if let Err(error) = File::read(file.path(), &Cli::command()) {
            prop_assert!(!error.to_string().contains('\n') && error.hint.is_some());
        }
    }

    #[test]
    fn any_toml_is_read_or_refused(
        tables in prop::collection::btree_map(key(), value(), 0..5),
    ) {
        let table: Table = tables.into_iter().collect();
        if let Ok(text) = toml::to_string(&table) {
            read(&text);
        }
    }

    /// Somebody's mistake in a good one.
    #[test]
    fn any_slip_is_read_or_refused(at in 0..200_usize, gone in 0..20_usize, new in any::<String>()) {
        let before: String = GOOD.chars().take(at).collect();
        let after: String = GOOD.chars().skip(at + gone).collect();
        read(&format!("{before}{new}{after}"));
    }
}
