//! Reports on a terminal, which is a pseudo-terminal here, are coloured; anywhere else they are not.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::sample::{Sample, VARIABLES, session};

/// What the binary prints on a terminal, with these variables and none else that says anything of colours.
fn shown(set: &[(&str, &str)], arguments: &[&str]) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let terminal = open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sexton"));
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        command.env_remove(variable);
    }
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command.env("TERM", "xterm").envs(set.iter().copied());
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let mut child = command
        .args(arguments)
        .stdout(Stdio::from(terminal))
        .spawn()
        .unwrap();
    // It holds the other end too, and as long as it does nothing ends.
    drop(command);
    let text = read(master);
    let code = child.wait().unwrap().code();
    assert!(
        code.is_some_and(|c| c <= 2),
        "{arguments:?}: {code:?} {text}"
    );
    text
}

/// All that comes until nobody has the terminal open any more, which Linux calls an error.
fn read(master: OwnedFd) -> String {
    let (mut from, mut all) = (File::from(master), Vec::new());
    let mut part = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut part) {
        all.extend_from_slice(&part[..n]);
    }
    String::from_utf8(all).unwrap()
}

/// A command for each report, on a Nova with something archived, something to archive, and something broken.
fn commands(sample: &Sample) -> [Vec<String>; 6] {
    sample.generate(&["--families", "5", "--damage", "unarchivable-parent=1"]);
    let cell = sample.cell();
    crate::sample::sexton(&["archive", &cell, "--max-rows", "50", "--quiet"]);
    sample.generate(&["--families", "2", "--damage", "split-family=1"]);
    let key = "SELECT id FROM shadow_instances ORDER BY id LIMIT 1";
    let key = session(&sample.path("nova.db")).query_row(key).unwrap();
    let root = format!("instances:{}", key.unwrap()[0]);
    let line = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
    [
        line(&["audit", &cell]),
        line(&["archive", &cell, "--dry-run", "--quiet"]),
        line(&["purge", &cell, "--all", "--dry-run", "--quiet"]),
        line(&["restore", &cell, "--root", &root, "--dry-run", "--quiet"]),
        line(&["repair", &cell, "--quiet"]),
        line(&["prove", "--world", "chain", "--faults", "freeze", "--quiet"]),
    ]
}

#[test]
fn every_report_is_coloured_on_a_terminal_and_nowhere_else() {
    let sample = Sample::empty();
    let file = sample.name("report");
    for command in commands(&sample) {
        let command: Vec<_> = command.iter().map(String::as_str).collect();
        let coloured = |set: &[(&str, &str)]| shown(set, &command).contains('\u{1b}');
        assert!(coloured(&[]), "{command:?}");
        assert!(!coloured(&[("NO_COLOR", "1")]), "{command:?}");
        assert!(!coloured(&[("TERM", "dumb")]), "{command:?}");
        let ran = crate::sample::sexton(&command);
        assert!(!ran.stdout.contains('\u{1b}'), "{command:?}");

        let forced = [("CLICOLOR_FORCE", "1")];
        shown(&forced, &[&command[..], &["--output", &file]].concat());
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.is_empty() && !text.contains('\u{1b}'), "{text}");
        let further = format!("text={file}");
        shown(&forced, &[&command[..], &["--report", &further]].concat());
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.is_empty() && !text.contains('\u{1b}'), "{text}");
    }
}
