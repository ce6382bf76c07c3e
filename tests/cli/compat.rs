//! `--compat nova-manage`: the lines and codes of nova-manage 34.0.0, which were taken from runs of
//! the real one on the same data. (`tests/nova` holds the two side by side.)

use crate::sample::{Ran, SECRET, Sample, sexton};

const NO_API: &str = "Failed to connect to API DB so aborting this archival attempt. Please check \
                      your config file to make sure that [api_database]/connection is set and run \
                      this command again.\n";

/// Runs `archive --compat nova-manage` with a configuration file.
fn archive(configuration: &str, arguments: &[&str]) -> Ran {
    let compat = ["archive", "--compat", "nova-manage", "--config-file"];
    sexton(&[&compat, &[configuration][..], arguments].concat())
}

fn said(ran: &Ran) -> (i32, &str) {
    (ran.code, ran.stdout.as_str())
}

const TABLE: &str = "\
+-------------------------------------+-------------------------+
| Table                               | Number of Rows Archived |
+-------------------------------------+-------------------------+
| API_DB.instance_group_member        | 2                       |
| API_DB.instance_mappings            | 30                      |
| API_DB.request_specs                | 30                      |
| block_device_mapping                | 40                      |
| compute_nodes                       | 1                       |
| instance_actions                    | 60                      |
| instance_actions_events             | 77                      |
| instance_extra                      | 30                      |
| instance_faults                     | 7                       |
| instance_id_mappings                | 15                      |
| instance_info_caches                | 30                      |
| instance_metadata                   | 60                      |
| instance_system_metadata            | 269                     |
| instances                           | 30                      |
| migrations                          | 4                       |
| pci_devices                         | 1                       |
| reservations                        | 6                       |
| security_group_instance_association | 30                      |
| security_groups                     | 1                       |
| services                            | 1                       |
| virtual_interfaces                  | 30                      |
| volume_usage_cache                  | 7                       |
+-------------------------------------+-------------------------+
";

#[test]
fn a_verbose_run_and_another_one() {
    let sample = Sample::new();
    let configuration = sample.configuration();
    let verbose = ["--verbose", "--until-complete"];
    let ran = archive(&configuration, &verbose);
    let (first, rest) = ran.stdout.split_once('\n').unwrap();
    // nova-manage: two dots, one for each batch, and the last.
    let dots = first.strip_prefix("Archiving..").unwrap();
    let dots = dots.strip_suffix(".complete").unwrap();
    assert!(
        !dots.is_empty() && dots.chars().all(|c| c == '.'),
        "{first}"
    );
    assert_eq!((ran.code, rest, ran.stderr.as_str()), (1, TABLE, ""));

    let nothing = "Archiving...complete\nNothing was archived.\n";
    assert_eq!(said(&archive(&configuration, &verbose)), (0, nothing));
    let ran = archive(&configuration, &["--verbose"]);
    assert_eq!(said(&ran), (0, "Nothing was archived.\n"));
    assert_eq!(said(&archive(&configuration, &[])), (0, ""));
    assert_eq!(sample.count("instances WHERE deleted <> 0"), 0);
}

#[test]
fn a_run_that_says_nothing_and_stops_at_its_budget() {
    let sample = Sample::new();
    let configuration = sample.configuration();
    let mut runs = 0;
    // As nova's documentation has it: again and again while the result is 1, until it is 0.
    loop {
        let ran = archive(&configuration, &["--max_rows", "200"]);
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
        if ran.code == 0 {
            break;
        }
        assert_eq!(ran.code, 1);
        runs += 1;
    }
    assert!(runs > 2, "{runs}");
    assert_eq!(sample.count("instances WHERE deleted <> 0"), 0);
    assert_eq!(sample.count("shadow_instances"), 30);
}

#[test]
fn purge_names_each_table() {
    let sample = Sample::new();
    let configuration = sample.configuration();
    let ran = archive(
        &configuration,
        &["--verbose", "--purge", "--max_rows=100000"],
    );
    let table_and_purge = ran.stdout.strip_prefix(TABLE).unwrap();
    let mut lines = table_and_purge.lines();
    assert_eq!(lines.next(), Some("Rows were archived, running purge..."));
    assert_eq!(
        lines.next(),
        Some(
            "DB: Deleted 40 rows from shadow_block_device_mapping based on timestamp column (n/a)"
        )
    );
    // The tables of the report, less its frame, its head and the API database.
    assert_eq!(lines.count() + 1, TABLE.lines().count() - 7);
    assert_eq!(ran.code, 1);
    assert_eq!(sample.count("shadow_instances"), 0);
}

/// nova-manage empties the shadow tables after any run that archived something, and only then.
#[test]
fn purge_follows_a_run_that_stopped_at_its_budget_and_no_empty_one() {
    let sample = Sample::new();
    let configuration = sample.configuration();
    let ran = archive(&configuration, &["--purge", "--max_rows", "200"]);
    assert_eq!(said(&ran), (1, ""));
    assert!(sample.count("instances WHERE deleted <> 0") > 0);
    assert_eq!(sample.count("shadow_instances"), 0);

    archive(&configuration, &["--until-complete"]);
    let archived = sample.count("shadow_instances");
    let ran = archive(&configuration, &["--purge", "--verbose"]);
    assert_eq!(said(&ran), (0, "Nothing was archived.\n"));
    assert_eq!(sample.count("shadow_instances"), archived);
}

#[test]
fn bad_arguments() {
    let sample = Sample::new();
    let configuration = sample.configuration();
    let before = sample.bytes();
    let negative = "Must supply a positive value for max_rows\n";
    assert_eq!(
        said(&archive(&configuration, &["--max_rows=-1"])),
        (2, negative)
    );
    assert_eq!(
        said(&archive(&configuration, &["--max-rows", "-1"])),
        (2, negative)
    );
    let ran = archive(&configuration, &["--max_rows", "2147483648"]);
    assert_eq!(said(&ran), (2, "max rows must be <= 2147483647\n"));
    let ran = archive(&configuration, &["--max_rows", "abc"]);
    assert_eq!(said(&ran), (2, ""));
    assert!(ran.stderr.contains("abc"), "{}", ran.stderr);
    for date in ["2026-02-30", "30 days ago"] {
        let ran = archive(&configuration, &["--before", date]);
        assert_eq!(ran.code, 4);
        let line = format!("Invalid value for --before: '{date}' is not a date\n");
        assert_eq!(ran.stdout, line);
    }
    assert!(sample.bytes() == before, "a refused run changed a file");
}

/// Zero rows are archived, not all of them a family at a time.
#[test]
fn no_rows() {
    let sample = Sample::new();
    let configuration = sample.configuration();
    let before = sample.bytes();
    assert_eq!(
        said(&archive(&configuration, &["--max_rows", "0"])),
        (0, "")
    );
    let all = ["--max_rows", "0", "--until-complete", "--verbose"];
    let nothing = "Archiving...complete\nNothing was archived.\n";
    assert_eq!(said(&archive(&configuration, &all)), (0, nothing));
    assert!(sample.bytes() == before, "a run of no rows changed a file");
}

#[test]
fn the_api_database_is_not_there() {
    let sample = Sample::new();
    let cell = format!("[database]\nconnection = sqlite:///{}\n", sample.cell());
    let api = "[api_database]\n";
    let refused = format!("{api}connection = mysql://u:{SECRET}@127.0.0.1:1/nova_api\n");
    let none = format!("{api}connection = sqlite:///{}\n", sample.name("none.db"));
    for text in ["", api, &refused, &none] {
        let configuration = sample.file("a.conf", &format!("{cell}{text}"));
        let ran = archive(&configuration, &["--until-complete"]);
        assert_eq!(said(&ran), (3, NO_API), "{text}");
        assert!(
            ran.stderr.starts_with("sexton: API database: "),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(sample.count("shadow_instances"), 0);
}

#[test]
fn other_failures() {
    let sample = Sample::new();
    let none = sample.name("none.db");
    let text = format!(
        "[database]\nconnection = sqlite:///{none}\n[api_database]\nconnection = sqlite:///{}\n",
        sample.api()
    );
    for configuration in [sample.file("a.conf", &text), sample.name("none.conf")] {
        let ran = archive(&configuration, &[]);
        assert_eq!(said(&ran), (255, ""));
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
}

/// nova-manage itself has only `--max_rows` with an underscore; oslo and old scripts have others.
#[test]
fn underscores() {
    let sample = Sample::new();
    let configuration = sample.configuration();
    let arguments = [
        "--max_rows",
        "100",
        "--until_complete",
        "--task_log",
        "--sleep",
        "0",
    ];
    assert_eq!(said(&archive(&configuration, &arguments)), (1, ""));
    assert_eq!(sample.count("instances WHERE deleted <> 0"), 0);
    assert_eq!(sample.count("task_log"), 0);
}
