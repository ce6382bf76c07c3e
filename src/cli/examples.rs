//! The files of `examples/` are what they look like, and no `sexton` line in them, or in a page, names what is not there.

use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ErrorKind};
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

/// What is shown as a command: lines of blocks, and words between backticks.
fn shown(page: &str) -> Vec<String> {
    let (mut found, mut fenced) = (Vec::new(), false);
    for line in page.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            // Further words are further down, or what is meant is said behind it.
            let line = line
                .trim_start()
                .trim_start_matches("$ ")
                .trim_end_matches('\\');
            found.push(line.split(" # ").next().unwrap_or(line).to_owned());
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// What is wrong with a command that a page names: not that it is only its beginning, or that a value is in capitals.
fn mistake(words: &[String]) -> Option<clap::Error> {
    // What is behind it is the shell's.
    let mut words: Vec<_> = words.iter().take_while(|word| *word != ">").collect();
    let value = "VALUE".to_owned();
    if words.last().is_some_and(|word| word.starts_with("--"))
        && Cli::try_parse_from(&words).is_err()
    {
        words.push(&value);
    }
    let error = Cli::try_parse_from(&words).err()?;
    let given = error
        .get(ContextKind::InvalidValue)
        .map(ToString::to_string);
    let is_placeholder = given.is_some_and(|v| !v.is_empty() && !v.contains(char::is_lowercase));
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::MissingRequiredArgument => {
            None
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if is_placeholder => None,
        _ => Some(error),
    }
}

#[test]
fn a_command_that_is_not_there_is_a_mistake() {
    for line in [
        "sexton audit --chekc x DB",
        "sexton heal DB",
        "sexton audit --format pdf DB",
    ] {
        assert!(mistake(&commands(line)[0]).is_some(), "{line}");
    }
    for line in [
        "sexton purge --export",
        "sexton generate --families N",
        "sexton audit > FILE",
    ] {
        assert!(mistake(&commands(line)[0]).is_none(), "{line}");
    }
}

#[test]
fn every_command_in_a_page_is_one_of_sexton() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md"), root.join("SECURITY.md")];
    for directory in ["docs", "docs/checks", "docs/reasons"] {
        let entries = std::fs::read_dir(root.join(directory)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        pages.extend(paths.filter(|path| path.extension().is_some_and(|e| e == "md")));
    }
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in &pages {
        let text = std::fs::read_to_string(path).unwrap();
        for words in shown(&text).iter().flat_map(|line| commands(line)) {
            count += 1;
            if let Some(error) = mistake(&words) {
                wrong.push(format!("{}: {}: {error}", path.display(), words.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 150, "{count}");
}
