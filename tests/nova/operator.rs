//! What an operator does, with the binary, on a database that the real nova-manage made.

use std::process::{Command, Output};

use crate::support::cloud::uuid;
use crate::support::nova::Nova;

fn sexton(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sexton"))
        .args(arguments)
        .env_remove("SEXTON_DATABASE")
        .env_remove("SEXTON_API_DATABASE")
        .output()
        .unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

#[test]
fn a_real_nova_database_is_audited_and_archived_by_the_binary() {
    let mut nova = Nova::new();
    let (url, api) = (nova.cell.database.url.clone(), nova.api.url.clone());
    let generate = sexton(&[
        "generate",
        &url,
        "--api",
        &api,
        "--families",
        "200",
        "--live",
        "40",
        "--damage",
        "residue=7",
        "--damage",
        "unarchivable-parent=4",
        "--format",
        "json",
    ]);
    assert_eq!(generate.status.code(), Some(0), "{generate:?}");
    nova.cell.live_instance(90_001);
    let configuration = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(configuration.path(), nova.configuration()).unwrap();
    let file = configuration.path().to_str().unwrap();

    let audit = sexton(&["audit", "--config-file", file, "--format", "json"]);
    assert_eq!(audit.status.code(), Some(2), "{audit:?}");
    let report = json(&audit);
    let count = |report: &serde_json::Value, check: &str| -> u64 {
        let findings = report["findings"].as_array().unwrap().iter();
        let serious = findings.filter(|f| f["check"] == check && f["severity"] != "note");
        serious.map(|f| f["count"].as_u64().unwrap()).sum()
    };
    assert_eq!(
        (
            count(&report, "residue"),
            count(&report, "unarchivable-parent")
        ),
        (7, 4)
    );
    assert_eq!(count(&report, "stranded-api-record"), 0);

    let before = nova.cell.contents();
    let plan = sexton(&[
        "archive",
        "--config-file",
        file,
        "--until-complete",
        "--dry-run",
        "--format",
        "json",
    ]);
    let plan = json(&plan);
    assert_eq!(nova.cell.count("shadow_instances"), 0);
    let archive = sexton(&[
        "archive",
        "--config-file",
        file,
        "--until-complete",
        "--format",
        "json",
    ]);
    assert_eq!(
        archive.status.code(),
        Some(1),
        "blocked families remain: {archive:?}"
    );
    let done = json(&archive);
    assert_eq!(plan["rows"], done["rows"]);
    assert_eq!(done["stopped_because"], "complete");
    assert_eq!(nova.cell.contents(), before, "nothing is lost");
    let removed = done["api_records"]["instance_mappings"].as_u64().unwrap();
    assert_eq!(removed, done["rows"]["instances"].as_u64().unwrap());

    let audit = json(&sexton(&[
        "audit",
        "--config-file",
        file,
        "--format",
        "json",
    ]));
    assert_eq!(
        (
            count(&audit, "residue"),
            count(&audit, "unarchivable-parent")
        ),
        (0, 4)
    );
    for check in ["split-family", "orphaned-row", "stranded-api-record"] {
        assert_eq!(count(&audit, check), 0, "{check}: {audit}");
    }
    let again = json(&sexton(&[
        "archive",
        "--config-file",
        file,
        "--until-complete",
        "--format",
        "json",
    ]));
    assert_eq!(again["total_rows"], 0);
}

/// The table, word for word and column for column.
#[test]
fn compat_prints_what_nova_manage_prints() {
    let print = |archive: &dyn Fn(&Nova, &[&str]) -> Output| {
        let mut nova = Nova::new();
        nova.cell.dead_instance(1);
        nova.cell.live_instance(2);
        nova.cell.sql(&format!(
            "INSERT INTO instance_metadata (id, instance_uuid, `key`, deleted) \
             VALUES (1, '{}', 'k', 1)",
            uuid(1)
        ));
        let mut said = Vec::new();
        for arguments in [
            &["--verbose", "--max_rows", "100"][..],
            &["--verbose"],
            &["--verbose", "--until-complete"],
            &["--max_rows=-1"],
            &["--max_rows", "0", "--verbose"],
        ] {
            let output = archive(&nova, arguments);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            said.push((arguments.join(" "), output.status.code(), text));
        }
        said
    };
    let theirs = print(&|nova, arguments| nova.nova_manage_archive(arguments));
    let ours = print(&|nova, arguments| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), nova.configuration()).unwrap();
        let mut all = vec!["archive", "--compat", "nova-manage", "--config-file"];
        all.push(file.path().to_str().unwrap());
        all.extend(arguments);
        sexton(&all)
    });
    assert_eq!(ours, theirs);
}
