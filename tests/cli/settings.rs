//! Options from the environment and from a configuration file, as the program meets them.

use crate::sample::{SECRET, Sample, command, refused, run, sexton};

#[test]
fn a_file_names_the_databases_and_how_to_archive() {
    let sample = Sample::new();
    let text = format!(
        "[common]\nconfig-file = '{}'\nquiet = true\n\n[archive]\nuntil-complete = true\nformat = 'json'\n",
        sample.configuration()
    );
    let config = sample.file("sexton.toml", &text);
    let ran = sexton(&["archive", "--config", &config]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert_eq!(ran.json()["rows"]["instances"], 30);
    assert_eq!(ran.json()["api_records"]["request_specs"], 30);
    // The variable names the file too, and what is typed outweighs it.
    let mut audit = command();
    audit
        .env("SEXTON_CONFIG", &config)
        .env("SEXTON_AUDIT_FORMAT", "json");
    audit.args(["audit", &sample.cell()]);
    let ran = run(audit);
    assert_eq!(ran.json()["database"], sample.cell());
}

#[test]
fn a_url_that_is_none_is_told_with_its_line() {
    let sample = Sample::empty();
    let text = format!("[common]\nquiet = true\ndatabase = 'mysql://nova:{SECRET}@db:xx/nova'\n");
    let config = sample.file("sexton.toml", &text);
    let ran = sexton(&["archive", "--config", &config]);
    assert_eq!(ran.code, 64, "{}", ran.stderr);
    let said = format!("sexton: {config}:3: the port in the mysql URL");
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
}

/// What is done to a copy does not touch the records of the original.
#[test]
fn an_api_database_steps_back_with_its_databases() {
    let sample = Sample::new();
    let (cell, api) = (sample.cell(), sample.api());
    let copy = sample.name("copy.db");
    std::fs::copy(&cell, &copy).unwrap();
    let text = format!("[common]\ndatabase = '{cell}'\napi = '{api}'\n");
    let config = sample.file("sexton.toml", &text);
    let plan = ["--dry-run", "--format", "json", "--config", &config];
    let archive = |more: &[&str]| sexton(&[&["archive"], more, &plan[..]].concat());
    assert_eq!(archive(&[]).json()["api_records"]["request_specs"], 30);
    // That API database knows another cell.
    let asked = "mapped to a cell that was not given";
    let of_copy = archive(&[&copy]);
    assert_eq!(of_copy.json()["rows"]["instances"], 30);
    assert!(!of_copy.stderr.contains(asked), "{}", of_copy.stderr);
    let with_api = archive(&[&copy, "--api", &api]);
    assert!(with_api.stderr.contains(asked), "{}", with_api.stderr);
    // Beside no database it is for whatever database there is.
    let alone = sample.file("api.toml", &format!("[common]\napi = '{api}'\n"));
    let ran = sexton(&["archive", &copy, "--dry-run", "--config", &alone]);
    assert!(ran.stderr.contains(asked), "{}", ran.stderr);
}

/// Where a value stands is said by whoever complains of it, and its URL is not.
#[test]
fn complaints_say_where_a_value_stands() {
    let sample = Sample::new();
    let config = sample.file("sexton.toml", "[archive]\nbefore = 'yesterday'\n");
    // The whole file is read, whichever command is run.
    for command in ["archive", "audit"] {
        let said = refused(64, &[command, &sample.cell(), "--config", &config]);
        let place = format!("sexton: {config}:2: --before: 'yesterday' is not a date");
        assert!(said.starts_with(&place), "{said}");
    }
    let mut archive = command();
    archive
        .env("SEXTON_ARCHIVE_MAX_ROWS", "many")
        .args(["archive", &sample.cell()]);
    let ran = run(archive);
    assert!(
        ran.stderr
            .contains("--max-rows is from SEXTON_ARCHIVE_MAX_ROWS"),
        "{}",
        ran.stderr
    );
    for text in [
        format!("[archive]\ncell = 'mysql://nova:{SECRET}@127.0.0.1:1/nova'\n"),
        format!("[archive]\njobs = 'mysql://nova:{SECRET}@127.0.0.1:1/nova'\n"),
        format!("[archive]\ndatabase = 'mysql://nova:{SECRET}@127.0.0.1:1/nova'\n"),
        format!("[archive]\ndatabase = mysql://nova:{SECRET}@127.0.0.1:1/nova\n"),
        format!("[archive]\nreplica = 'nova:{SECRET}@127.0.0.1:1/nova'\ndatabase = 'x.db'\n"),
    ] {
        let config = sample.file("sexton.toml", &text);
        let ran = sexton(&["archive", "--config", &config]);
        assert!(matches!(ran.code, 64 | 69), "{text}: {}", ran.stderr);
        assert!(!ran.stderr.is_empty());
    }
}

#[test]
fn a_password_that_everybody_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let sample = Sample::new();
    let text = format!("[audit]\napi = 'mysql://nova:{SECRET}@127.0.0.1:1/nova_api'\n");
    let config = sample.file("sexton.toml", &text);
    let said = |mode: u32| {
        std::fs::set_permissions(sample.path("sexton.toml"), PermissionsExt::from_mode(mode))
            .unwrap();
        sexton(&["archive", &sample.cell(), "--config", &config]).stderr
    };
    let warning =
        format!("sexton: {config} holds a password, and everybody may read it; chmod o-r {config}");
    assert!(said(0o644).contains(&warning));
    assert!(!said(0o600).contains("password"));
}
