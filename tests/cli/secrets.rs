//! Passwords: never in help, in complaints about the command line, or in a report.

use crate::sample::{SECRET, Sample, command, refused, run, session, sexton};

fn url() -> String {
    format!("mysql://nova:{SECRET}@127.0.0.1:1/nova")
}

#[test]
fn help_and_version_do_not_show_the_environment() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["--version"],
        &["help", "audit"],
        &["audit", "--help"],
        &["audit", "-h"],
        &["archive", "--help"],
        &["archive", "-h"],
        &["generate", "--help"],
        &["demo", "--help"],
    ] {
        let mut command = command();
        command.env("SEXTON_DATABASE", url());
        command.env("SEXTON_API_DATABASE", url()).args(arguments);
        let ran = run(command);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(!ran.stdout.contains("127.0.0.1"), "{arguments:?}");
    }
}

/// clap repeats what it cannot read, and so did sexton: `--cell URL` without a name.
#[test]
fn complaints_about_the_command_line() {
    let url = url();
    let equals = format!("--cell={url}");
    let unknown = format!("--databse={url}");
    let typo = format!("--config-file={url}");
    for arguments in [
        &["archive", "--cell", &url][..],
        &["archive", &equals],
        &["audit", &unknown],
        &["audit", "nova.db", &url],
        &["audit", "--samples", &url],
        &["audit", "--fail-on", &url],
        &["audit", "--check", &url, "none.db"],
        &["audit", "--profile", &url, "none.db"],
        &["archive", "--max-rows", &url, "none.db"],
        &["archive", "--before", &url, "none.db"],
        &["archive", "--drop-unshadowed", &url, "none.db"],
        &["archive", "--sleep", &url, "none.db"],
        &["generate", "--damage", &url, "none.db"],
        &["audit", &typo],
        &[&url],
    ] {
        let ran = sexton(arguments);
        assert!(
            matches!(ran.code, 64 | 65 | 69),
            "{arguments:?}: {}",
            ran.code
        );
        assert_eq!(ran.stdout, "", "{arguments:?}");
        assert!(!ran.stderr.is_empty());
    }
    let ran = sexton(&["archive", "--cell", &url]);
    assert!(ran.stderr.contains("'mysql://...'"), "{}", ran.stderr);
}

/// The `=` of a parameter, or of a password, was taken for the one behind a name, and names are shown.
#[test]
fn a_cell_without_a_name_before_its_url() {
    let plain = format!("nova:{SECRET}@127.0.0.1:1/nova?charset=utf8");
    for url in [
        format!("mysql+pymysql://{plain}"),
        format!("mysql://nova:={SECRET}@127.0.0.1:1/nova"),
        format!("mysql://nova@127.0.0.1:1/nova?password={SECRET}"),
        plain,
    ] {
        for command in ["audit", "archive"] {
            let message = refused(64, &[command, "--cell", &url]);
            assert!(message.contains("a --cell without a name"), "{message}");
        }
    }
}

/// A brace in a password makes a template of a connection.
#[test]
fn a_template_in_the_list_of_cells_is_not_quoted() {
    let sample = Sample::new();
    let api = sample.api();
    let connection = format!("mysql://nova:a{{{SECRET}}}b@127.0.0.1:1/nova");
    let set = format!("UPDATE cell_mappings SET database_connection = '{connection}'");
    session(&sample.path("api.db")).execute(&set).unwrap();
    let all = ["archive", &sample.cell(), "--all-cells", "--api", &api];
    let message = refused(65, &all);
    assert!(
        message.contains("something else in braces than"),
        "{message}"
    );
}

#[test]
fn the_environment_names_the_database() {
    let sample = Sample::new();
    let mut audit = command();
    audit.env("SEXTON_DATABASE", sample.cell()).arg("audit");
    audit.env("SEXTON_API_DATABASE", sample.api());
    let ran = run(audit);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains(&sample.cell()));

    let mut unreachable = command();
    unreachable.env("SEXTON_DATABASE", url()).arg("audit");
    let ran = run(unreachable);
    assert_eq!(ran.code, 69);
    assert!(ran.stderr.contains("mysql://nova@127.0.0.1:1/nova"));
}

/// Without its scheme a URL looks like the name of a file, and was printed as one.
#[test]
fn a_url_without_its_scheme() {
    let bare = format!("nova:{SECRET}@127.0.0.1:1/nova");
    let cell = format!("cell1={bare}");
    let sample = Sample::new();
    let file = sample.cell();
    for arguments in [
        &["audit", &bare][..],
        &["archive", &bare],
        &["archive", "--cell", &cell],
        &["archive", &file, "--api", &bare],
        &["archive", &file, "--replica", &bare],
        &["generate", &bare],
        &["schema", "diff", &bare],
    ] {
        let said = refused(64, arguments);
        assert!(!said.contains(SECRET), "{arguments:?}: {said}");
        assert!(said.contains("lacks its scheme"), "{arguments:?}: {said}");
    }
    let configuration = sample.file("nova.conf", &format!("[database]\nconnection = {bare}\n"));
    let ran = sexton(&["audit", "--config-file", &configuration]);
    assert!(!ran.stderr.contains(SECRET), "{}", ran.stderr);
}
