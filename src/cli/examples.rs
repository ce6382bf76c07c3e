//! The files of `examples/`: they are what they look like, and no `sexton` line in them names what is not there.

use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use yaml_rust2::{Yaml, YamlLoader};

use super::Cli;
use super::settings::check_file;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The files below `examples/` that end so.
fn files(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The commands of a shell line that run sexton, as words.
fn commands(line: &str) -> Vec<Vec<String>> {
    let parts = line.split(['&', ';', '|', '\n']);
    let words = parts.filter_map(|part| shell_words::split(part).ok());
    words.filter(|words| is_sexton(words)).collect()
}

fn is_sexton(words: &[String]) -> bool {
    let program = words.first().and_then(|program| program.rsplit('/').next());
    // The name alone is that of a secret, a user, a package.
    program == Some("sexton") && words.len() > 1
}

/// Every text in it, and every list of texts as a line.
fn texts(yaml: &Yaml, found: &mut Vec<String>) {
    match yaml {
        Yaml::String(text) => found.push(text.clone()),
        Yaml::Array(list) => {
            let words: Option<Vec<&str>> = list.iter().map(Yaml::as_str).collect();
            found.extend(words.map(shell_words::join));
            list.iter().for_each(|entry| texts(entry, found));
        }
        Yaml::Hash(entries) => entries.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

fn check(path: &Path, commands: Vec<Vec<String>>) -> usize {
    for words in &commands {
        if let Err(error) = Cli::try_parse_from(words) {
            panic!("{}: {}: {error}", path.display(), words.join(" "));
        }
    }
    commands.len()
}

#[test]
fn every_command_in_a_pipeline_is_one_of_sexton() {
    let files: Vec<_> = [files("yml"), files("yaml")].concat();
    assert!(files.len() >= 4, "{files:?}");
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let documents = YamlLoader::load_from_str(&text);
        let documents = documents.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(documents.len(), 1, "{}", path.display());
        let mut found = Vec::new();
        texts(&documents[0], &mut found);
        let commands: Vec<_> = found.iter().flat_map(|text| commands(text)).collect();
        assert!(
            check(&path, commands) > 0,
            "no command in {}",
            path.display()
        );
    }
}

#[test]
fn the_service_runs_a_command_of_sexton_and_the_timer_starts_it() {
    let service = directory().join("systemd/sexton-archive.service");
    let text = std::fs::read_to_string(&service).unwrap();
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("ExecStart="));
    let lines: Vec<_> = lines.flat_map(commands).collect();
    assert_eq!(check(&service, lines), 1);
    let timer = std::fs::read_to_string(directory().join("systemd/sexton-archive.timer")).unwrap();
    assert!(timer.contains("OnCalendar=") && timer.contains("WantedBy=timers.target"));
    for unit in [text, timer] {
        for line in unit
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let section = line.starts_with('[') && line.ends_with(']');
            assert!(section || line.contains('='), "{line}");
        }
    }
}

#[test]
fn the_configuration_files_name_what_there_is() {
    let files = files("toml");
    assert!(!files.is_empty());
    for path in files {
        check_file(&path, &Cli::command()).unwrap();
    }
}
