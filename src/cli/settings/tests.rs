//! Every option of every command, from each place where it may stand.

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, CommandFactory};

use super::definitions::commands;
use super::*;
use crate::cli::Cli;

type Variables = BTreeMap<String, String>;

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn typed(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

/// The command line that comes of it.
fn filled(line: &str, pairs: &[(&str, &str)]) -> String {
    let filled = fill(&Cli::command(), typed(line), &variables(pairs)).unwrap();
    let words: Vec<_> = filled.words.iter().map(|w| w.to_string_lossy()).collect();
    words.join(" ")
}

fn refusal(line: &str, pairs: &[(&str, &str)]) -> String {
    let error = fill(&Cli::command(), typed(line), &variables(pairs)).unwrap_err();
    assert_eq!(error.code, sexton::exit::ExitCode::Usage);
    assert!(error.hint.is_some(), "{error}");
    error.to_string()
}

/// The option with that value, as if it stood somewhere.
fn with_value(arg: &Arg, value: &str) -> Setting {
    match arg.get_action() {
        ArgAction::SetTrue => Setting::switch(arg, true, ""),
        _ => Setting::new(arg, &[value.to_owned()], ""),
    }
}

/// Values of which one is good for any option there is.
const VALUES: [&str; 9] = [
    "1",
    "1s",
    "1d",
    "a=1",
    "residue=1",
    "x.db",
    "nova-34",
    "1%",
    "json=a",
];

/// A value that clap takes for the option.
fn value(command: &Command, path: &[String], arg: &Arg) -> String {
    let possible = arg.get_possible_values();
    if let ArgAction::SetTrue = arg.get_action() {
        return "true".to_owned();
    }
    let names = possible.iter().map(|value| value.get_name().to_owned());
    let candidates: Vec<String> = names.chain(VALUES.map(str::to_owned)).collect();
    let good = |value: &String| {
        let setting = with_value(arg, value);
        let words = ["sexton".to_owned()]
            .into_iter()
            .chain(path.to_vec())
            .chain(setting.words.clone());
        let read = values::read(arg, &setting, false);
        loose(command).try_get_matches_from(words).is_ok() && read.is_ok()
    };
    let found = candidates.into_iter().find(good);
    found.unwrap_or_else(|| panic!("no value for {}: add one to VALUES", name(arg)))
}

/// The options without which clap does not take this one, by what it says of it.
fn needed<'c>(
    command: &Command,
    leaf: &'c Command,
    path: &[String],
    setting: &Setting,
) -> Vec<&'c Arg> {
    let words = ["sexton".to_owned()].into_iter().chain(path.to_vec());
    let words = words.chain(setting.words.clone());
    let Err(error) = relaxed(command).try_get_matches_from(words) else {
        return Vec::new();
    };
    let missing = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(missing)) => missing.clone(),
        other => panic!("{error}: {other:?}"),
    };
    // Of a group one will do: `<--until-complete|--plan <FILE>>`.
    let named = |missing: &String| {
        let is_named = |arg: &&Arg| {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let mut words = missing.split(|c: char| c != '-' && !c.is_alphanumeric());
            long.is_some_and(|long| words.any(|word| word == long))
        };
        options(leaf).find(is_named)
    };
    missing.iter().filter_map(named).collect()
}

/// Each option is taken from its variable, from its command's table and from the common one, and what is typed
/// outweighs all of them. New ones are covered as soon as clap knows them.
#[test]
fn every_option_of_every_command_may_be_set_elsewhere() {
    let root = Cli::command();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("sexton.toml");
    let mut count = 0;
    for (path, leaf) in commands(&root) {
        for arg in options(leaf) {
            let good = value(&root, &path, arg);
            let mut all = needed(&root, leaf, &path, &with_value(arg, &good));
            all.push(arg);
            let with = |a: &Arg| match a.get_id() == arg.get_id() {
                true => good.clone(),
                false => value(&root, &path, a),
            };
            let toml: String = all
                .iter()
                .map(|a| match a.get_action() {
                    ArgAction::SetTrue => format!("{} = true\n", name(a)),
                    _ => format!("{} = '{}'\n", name(a), with(a)),
                })
                .collect();
            let own: Variables = all
                .iter()
                .map(|a| (variable(&path, &name(a)), with(a)))
                .collect();
            let by_file = variables(&[(CONFIG, &config.display().to_string())]);
            let tables = [format!("[{}]\n", path.join(".")), "[common]\n".to_owned()];
            let mut places = vec![(String::new(), own)];
            places.extend(tables.map(|table| (table + &toml, by_file.clone())));
            for (file, from) in places {
                if file.starts_with("[common]")
                    && path == [FILLS]
                    && ["database", "api"].contains(&name(arg).as_str())
                {
                    continue;
                }
                std::fs::write(&config, &file).unwrap();
                let words = ["sexton".to_owned()]
                    .into_iter()
                    .chain(path.clone())
                    .map(OsString::from);
                let what = format!("{} {} from {file}{from:?}", path.join(" "), name(arg));
                let filled =
                    fill(&root, words.collect(), &from).unwrap_or_else(|e| panic!("{what}: {e}"));
                let matches = relaxed(&root)
                    .try_get_matches_from(filled.words)
                    .unwrap_or_else(|e| panic!("{what}: {e}"));
                let (_, matches) = super::leaf(&matches);
                let source = matches.value_source(arg.get_id().as_str());
                assert_eq!(source, Some(ValueSource::CommandLine), "{what}");
                let raw = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
                let raw: Vec<_> = raw.map(|value| value.to_string_lossy()).collect();
                assert_eq!(raw, [good.as_str()], "{what}");
                count += 1;
            }
        }
    }
    assert!(count > 300, "{count}");
}

/// No option has an action that the above knows nothing of, and none at the top has a value but `--config`.
#[test]
fn no_option_is_of_a_kind_that_cannot_be_set() {
    let root = Cli::command();
    for (path, leaf) in commands(&root) {
        for arg in options(leaf) {
            let action = arg.get_action();
            let known = matches!(
                action,
                ArgAction::Set | ArgAction::SetTrue | ArgAction::Append
            );
            assert!(known, "{path:?} {}: {action:?}", name(arg));
        }
    }
    let top = root
        .get_arguments()
        .filter(|arg| arg.get_action().takes_values());
    let top: Vec<_> = top.map(|arg| arg.get_id().as_str()).collect();
    assert_eq!(top, ["config"]);
}

#[test]
fn more_weight_first() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("sexton.toml").display().to_string();
    let write = |text: &str| std::fs::write(&config, text).unwrap();
    write("[common]\nmax-rows = 1\nquiet = true\n[archive]\nmax_rows = 2\n");
    let file = (CONFIG, config.as_str());
    let variable = ("SEXTON_ARCHIVE_MAX_ROWS", "3");
    let archive =
        |more: &str, pairs: &[(&str, &str)]| filled(&format!("sexton archive{more}"), pairs);
    assert_eq!(
        archive(" --max-rows 4", &[file, variable]),
        "sexton archive --quiet --max-rows 4"
    );
    assert_eq!(
        archive("", &[file, variable]),
        "sexton archive --max-rows=3 --quiet"
    );
    assert_eq!(archive("", &[file]), "sexton archive --max-rows=2 --quiet");
    assert_eq!(
        filled("sexton purge", &[file]),
        "sexton purge --max-rows=1 --quiet"
    );
    // A switch may be off.
    assert_eq!(
        archive("", &[file, ("SEXTON_ARCHIVE_QUIET", "no")]),
        "sexton archive --max-rows=2"
    );
    // Empty is not given.
    assert_eq!(
        archive("", &[file, ("SEXTON_ARCHIVE_MAX_ROWS", "")]),
        "sexton archive --max-rows=2 --quiet"
    );
    let named = format!("sexton --config {config} archive");
    assert_eq!(filled(&named, &[]), format!("{named} --max-rows=2 --quiet"));
    let named = format!("sexton archive --config {config} x.db");
    let expected = format!("sexton archive --max-rows=2 --quiet --config {config} x.db");
    assert_eq!(filled(&named, &[]), expected);
    write("[schema.diff]\nrelease = 'nova-34'\n[archive]\ncell = ['a=a.db', 'b=b.db']\n");
    assert_eq!(
        filled("sexton schema diff", &[file]),
        "sexton schema diff --release=nova-34"
    );
    assert_eq!(
        archive("", &[file]),
        "sexton archive --cell=a=a.db --cell=b=b.db"
    );
    let two = ("SEXTON_ARCHIVE_CELL", "c=c.db d=d.db");
    assert_eq!(
        archive("", &[file, two]),
        "sexton archive --cell=c=c.db --cell=d=d.db"
    );
}

/// It would have to be taken out of the file for each such run.
#[test]
fn what_does_not_go_with_what_was_typed_steps_back() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("sexton.toml").display().to_string();
    let write = |text: &str| std::fs::write(&config, text).unwrap();
    let file = [(CONFIG, config.as_str())];
    write("[common]\nconfig-file = 'nova.conf'\nbefore = '90d'\n[archive]\nmax-lag = '1s'\n");
    let purge = filled("sexton purge --all x.db", &file);
    assert_eq!(purge, "sexton purge --all x.db");
    let purge = filled("sexton purge", &file);
    assert_eq!(purge, "sexton purge --config-file=nova.conf --before=90d");
    // It waits for what it needs, whoever gives that.
    let archive = filled("sexton archive x.db", &file);
    assert_eq!(archive, "sexton archive --before=90d x.db");
    let archive = filled("sexton archive x.db --replica y", &file);
    assert_eq!(
        archive,
        "sexton archive --max-lag=1s --before=90d x.db --replica y"
    );
    write("[common]\nreplica = 'y'\n");
    let archive = filled("sexton archive x.db --max-lag 1s", &file);
    assert_eq!(archive, "sexton archive --replica=y x.db --max-lag 1s");
    let archive = filled(
        "sexton archive x.db",
        &[file[0], ("SEXTON_ARCHIVE_MAX_LAG", "2s")],
    );
    assert_eq!(archive, "sexton archive --replica=y --max-lag=2s x.db");
    // Two of the same weight cannot both be meant.
    write("[purge]\nall = true\nbefore = '90d'\n");
    let said = refusal("sexton purge", &file);
    assert!(
        said.contains("sexton.toml:") && said.contains("cannot be used with"),
        "{said}"
    );
}

/// The first database that is named is not one of several that are not.
#[test]
fn databases_are_named_in_one_place() {
    let general = ("SEXTON_DATABASE", "e.db");
    for (line, expected) in [
        ("sexton audit", "sexton audit e.db"),
        ("sexton audit x.db", "sexton audit x.db"),
        ("sexton audit --cell a=a.db", "sexton audit --cell a=a.db"),
        (
            "sexton audit --db mysql://h/n",
            "sexton audit --db mysql://h/n",
        ),
        (
            "sexton audit --config-file n.conf",
            "sexton audit --config-file n.conf",
        ),
        ("sexton audit --all-cells", "sexton audit e.db --all-cells"),
        ("sexton generate", "sexton generate e.db"),
        ("sexton prove", "sexton prove"),
    ] {
        assert_eq!(filled(line, &[general]), expected);
    }
    let api = ("SEXTON_API_DATABASE", "api.db");
    assert_eq!(
        filled("sexton purge x.db", &[api]),
        "sexton purge --api=api.db x.db"
    );
    assert_eq!(
        filled("sexton generate x.db", &[api]),
        "sexton generate x.db"
    );
    let own = ("SEXTON_AUDIT_CONFIG_FILE", "n.conf");
    assert_eq!(
        filled("sexton audit", &[general, own]),
        "sexton audit --config-file=n.conf"
    );
}

#[test]
fn what_is_no_option_is_refused_with_the_nearest() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("sexton.toml").display().to_string();
    let file = [(CONFIG, config.as_str())];
    for (text, said) in [
        (
            "\n[archive]\nmax-row = 1\n",
            "sexton.toml:3: 'max-row' is no option of sexton archive; did you mean max-rows",
        ),
        (
            "[common]\ndatabse = 'x'\n",
            "sexton.toml:2: 'databse' is an option of no command; did you mean database",
        ),
        (
            "[arcive]\n",
            "sexton.toml:1: there is no command 'arcive'; did you mean archive",
        ),
        (
            "[schema]\n[schema.dif]\nrelease = 'x'\n",
            "sexton.toml:2: there is no command 'schema dif'; did you mean diff",
        ),
        (
            "quiet = true\n",
            "sexton.toml:1: there is no command 'quiet'; it is an option: write it below [common]",
        ),
        (
            "archive = 1\n",
            "sexton.toml:1: 'archive' is a command; write its options below [archive]",
        ),
        ("[audit]\nquiet\n", "sexton.toml:2: not TOML"),
        (
            "[archive]\nquiet = 1\n",
            "sexton.toml:2: 'quiet' wants true or false",
        ),
        (
            "[archive]\nbefore = ['a']\n",
            "sexton.toml:2: 'before' wants a text or a number",
        ),
        (
            "[archive]\nmax-rows = 1\nmax_rows = 2\n",
            "'max-rows' is set twice",
        ),
        ("[archive]\nconfig = 'x'\n", "'config' is no option"),
        (
            "[archive]\n\nmax-flow-control = 101\n",
            "sexton.toml:3: invalid value '101' for '--max-flow-control",
        ),
        // Whichever command is run.
        (
            "[audit]\nfail-on = 'everything'\n",
            "sexton.toml:2: invalid value 'everything' for '--fail-on",
        ),
        (
            "[purge]\nmax-rows = 5\nmax-lag = 'soon'\n",
            "sexton.toml:3: --max-lag soon",
        ),
        ("[purge]\nbefore = 'yesterday'\n", "sexton.toml:2: --before"),
        ("[purge]\nsleep = -1\n", "sexton.toml:2: --sleep"),
        ("[purge]\nmax-rows = 0\n", "sexton.toml:2: --max-rows 0"),
        ("[prove]\nseed = 'x'\n", "sexton.toml:2: invalid value 'x'"),
        (
            "[common]\nformat = 'pdf'\n",
            "sexton.toml:2: invalid value 'pdf' for '--format",
        ),
    ] {
        std::fs::write(&config, text).unwrap();
        let refused = refusal("sexton archive x.db", &file);
        assert!(refused.contains(said), "{text}: {refused}");
        assert!(!refused.contains('\n'));
    }
    let said = refusal("sexton archive", &[("SEXTON_ARCHIVE_MAXROWS", "1")]);
    assert!(said.contains("SEXTON_ARCHIVE_MAXROWS is no option of sexton archive; did you mean SEXTON_ARCHIVE_MAX_ROWS"), "{said}");
    let said = refusal("sexton archive", &[("SEXTON_ARCHIVE_QUIET", "maybe")]);
    assert!(
        said.starts_with("SEXTON_ARCHIVE_QUIET is neither true nor false"),
        "{said}"
    );
    let said = refusal("sexton archive", &[(CONFIG, "/nonexistent.toml")]);
    assert!(said.starts_with("cannot read /nonexistent.toml"), "{said}");
}

#[test]
fn a_complaint_says_where_its_option_stands() {
    let setting = |shown: &str| Setting {
        id: String::new(),
        shown: shown.to_owned(),
        words: Vec::new(),
        place: "sexton.toml:3".to_owned(),
    };
    let said = |complaint: &str| places_of(complaint, &[setting("--max-rows"), setting("--sleep")]);
    assert_eq!(
        said("--max-rows 0 is not"),
        "; --max-rows is from sexton.toml:3"
    );
    assert_eq!(said("--max-rows-of 0 is not"), "");
    assert_eq!(said("nothing"), "");
}

#[test]
fn a_password_that_everybody_may_read_is_said() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sexton.toml");
    let config = path.display().to_string();
    let warnings = |text: &str, mode: u32| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let file = variables(&[(CONFIG, &config)]);
        fill(&Cli::command(), typed("sexton archive"), &file)
            .unwrap()
            .warnings
    };
    let with = "[common]\ndatabase = 'mysql://nova:s3cr3t@h/nova'\n";
    let said = warnings(with, 0o644);
    assert!(
        said[0].contains("holds a password") && said[0].contains("chmod o-r"),
        "{said:?}"
    );
    assert!(!said[0].contains("s3cr3t"));
    assert_eq!(warnings(with, 0o640), [""; 0]);
    assert_eq!(
        warnings("[common]\ndatabase = 'mysql://nova@h/nova'\n", 0o644),
        [""; 0]
    );
}
