//! Completions and man pages: made from the parser's own definitions, and read by the programs that they are for.

use std::path::Path;
use std::process::Command;

use crate::sample::{Sample, refused, sexton};

/// Runs a program on a file; what it complains of.
fn reads(program: &str, arguments: &[&str], file: &Path) {
    let output = Command::new(program).args(arguments).arg(file).output();
    let output = output.unwrap_or_else(|e| {
        panic!("{program}: {e}; `cargo xtask test` installs what reads completions and man pages")
    });
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {}: {said}",
        file.display()
    );
}

fn made() -> Sample {
    let sample = Sample::empty();
    let ran = sexton(&["assets", &sample.name("")]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    sample
}

#[test]
fn shells_read_their_completions() {
    let sample = made();
    let file = |name: &str| sample.path(&format!("completions/{name}"));
    reads("bash", &["-n"], &file("sexton.bash"));
    reads("zsh", &["-n"], &file("_sexton"));
    reads("fish", &["--no-execute"], &file("sexton.fish"));
    for (shell, name) in [("elvish", "sexton.elv"), ("powershell", "_sexton.ps1")] {
        let text = std::fs::read_to_string(file(name)).unwrap();
        assert!(text.contains("--until-complete"), "{shell}");
    }
}

#[test]
fn bash_completes_commands_and_options() {
    let sample = made();
    let completed = |words: &str, at: usize| {
        let script = sample.path("completions/sexton.bash").display().to_string();
        let last = words.split(' ').next_back().unwrap();
        let line = format!(
            "source {script}; COMP_WORDS=({words}); COMP_CWORD={at}; _sexton sexton '{last}' ''; \
             printf '%s ' \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["-c", &line]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(completed("sexton arch", 1), "archive ");
    assert_eq!(
        completed("sexton archive --until-c", 2),
        "--until-complete "
    );
}

/// The names of the pages of a command and of all below it, as its help lists them.
fn commands(name: &str, path: &[&str]) -> Vec<String> {
    let ran = sexton(&[path, &["--help"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let list = ran.stdout.split("Commands:\n").nth(1).unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.is_empty());
    let listed = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let below = listed.filter_map(|line| line.split_whitespace().next());
    let below = below
        .filter(|command| *command != "help")
        .flat_map(|command| commands(&format!("{name}-{command}"), &[path, &[command]].concat()));
    [name.to_owned()].into_iter().chain(below).collect()
}

#[test]
fn there_is_a_man_page_of_every_command() {
    let sample = made();
    let names = commands("sexton", &[]);
    for known in ["sexton-repair", "sexton-restore", "sexton-schema-diff"] {
        assert!(names.iter().any(|name| name == known), "{names:?}");
    }
    for name in names {
        let page = sample.path(&format!("man/{name}.1"));
        reads("mandoc", &["-T", "lint", "-W", "error"], &page);
    }
    // Of nobody's interest but a packager's.
    assert!(!sample.path("man/sexton-assets.1").exists());
    let page = std::fs::read_to_string(sample.path("man/sexton-archive.1")).unwrap();
    assert!(page.contains(r"\-\-until\-complete"), "{page}");
}

#[test]
fn a_directory_that_cannot_be_made() {
    let message = refused(64, &["assets", "/dev/null/assets"]);
    assert!(
        message.contains("cannot write below /dev/null/assets"),
        "{message}"
    );
}
