//! `archive --plan` and `--apply`: what is agreed to is done, and nothing is done where it no longer holds.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde_json::Value as Json;
use sexton::db::Engine;

use crate::sample::{Ran, Sample, VARIABLES, refused, refused_by_clap, session, sexton};
use crate::support::databases::Database;

/// A sample with its plan.
struct Planned {
    sample: Sample,
    file: String,
}

impl Planned {
    fn new(options: &[&str]) -> Self {
        let sample = Sample::new();
        let file = sample.name("plan.json");
        let ran = sexton(&[&["archive", &sample.cell(), "--plan", &file], options].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        Self { sample, file }
    }

    fn json(&self) -> Json {
        serde_json::from_str(&std::fs::read_to_string(&self.file).unwrap()).unwrap()
    }

    fn apply(&self, options: &[&str]) -> Ran {
        let cell = self.sample.cell();
        let apply = [
            "archive", &cell, "--apply", &self.file, "--format", "json", "--yes",
        ];
        sexton(&[&apply[..], options].concat())
    }

    /// The complaint of an application that must be refused, and must have changed nothing.
    fn refused(&self) -> String {
        let (before, cell) = (self.sample.bytes(), self.sample.cell());
        let said = refused(65, &["archive", &cell, "--apply", &self.file, "--yes"]);
        assert!(before == self.sample.bytes(), "it changed something");
        said
    }

    fn execute(&self, statement: &str) {
        self.sample.session().execute(statement).unwrap();
    }
}

#[test]
fn a_plan_changes_nothing_and_is_then_done_to_the_end() {
    let sample = Sample::new();
    let cell = std::fs::read(sample.cell()).unwrap();
    let file = sample.name("plan.json");
    // Small batches are no shorter plan.
    let with = ["--max-rows", "20", "--plan", &file, "--format", "json"];
    let ran = sexton(&[&["archive", &sample.cell()], &with[..]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(std::fs::read(sample.cell()).unwrap(), cell);
    let planned = Planned { sample, file };
    let plan = planned.json();
    assert_eq!(plan["rows"], ran.json()["rows"]);
    assert_eq!(plan["families"], 43);
    let schema = plan["schemas"][""]["tables"].as_object().unwrap();
    assert_eq!(schema["instances"].as_str().unwrap().len(), 16);

    let looked = planned.apply(&["--dry-run"]);
    assert_eq!(
        (looked.code, &looked.json()["dry_run"]),
        (0, &Json::Bool(true))
    );
    assert_eq!(std::fs::read(planned.sample.cell()).unwrap(), cell);
    let done = planned.apply(&[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(!done.stderr.contains("plan for"), "{}", done.stderr);
    assert_eq!(done.json()["rows"], plan["rows"]);
    assert_eq!(done.json()["stopped_because"], "complete");
    assert_eq!(planned.sample.count("instances WHERE deleted <> 0"), 0);
    // Those that stay are as they were: it is not they that differ.
    let again = planned.refused();
    assert!(again.contains("the plan was applied already"), "{again}");
    assert!(!again.contains("changed"), "{again}");
}

/// What goes from the API database does not come back: a dry run says what, and a plan has it.
#[test]
fn records_that_would_go_are_told_planned_and_compared() {
    let sample = Sample::new();
    let (cell, api) = (sample.cell(), sample.api());
    let forget = "DELETE FROM request_specs WHERE instance_uuid = (SELECT MIN(instance_uuid) FROM request_specs \
                  WHERE instance_uuid IN (SELECT uuid FROM dead))";
    let dead = sample.name("dead.db");
    std::fs::copy(&cell, &dead).unwrap();
    let before = sample.bytes();
    let dry = sexton(&[
        "archive",
        &cell,
        "--api",
        &api,
        "--dry-run",
        "--until-complete",
    ]);
    assert!(sample.bytes() == before, "it wrote something");
    // The statements can be run as they are shown.
    let statements: Vec<_> = dry
        .stderr
        .lines()
        .filter(|l| l.starts_with("  INSERT INTO "))
        .collect();
    assert!(statements.iter().any(|s| s.len() > 300), "{}", dry.stderr);
    assert!(
        statements.iter().all(|s| s.contains(" WHERE ")),
        "{}",
        dry.stderr
    );
    let title = "API-database records that would be removed for good:\n";
    let (_, told) = dry
        .stdout
        .split_once(title)
        .unwrap_or_else(|| panic!("{}", dry.stdout));
    let told: Vec<_> = told
        .split("\n\n")
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let expected = ["instance_mappings", "30", "request_specs", "30"];
    assert_eq!(told[told.len() - 4..], expected, "{}", dry.stdout);

    let file = sample.name("plan.json");
    let ran = sexton(&[
        "archive", &cell, "--api", &api, "--plan", &file, "--format", "json",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let planned = Planned { sample, file };
    let plan = planned.json();
    assert_eq!(
        (&plan["api"], &plan["api_records"]["request_specs"]),
        (&Json::Bool(true), &30.into())
    );
    assert_eq!(plan["api_records"], ran.json()["api_records"]);
    let said = planned.refused();
    assert!(
        said.contains("written with --api") && said.contains("give the same --api"),
        "{said}"
    );

    let mut records = session(&planned.sample.path("api.db"));
    records
        .execute(&format!("ATTACH '{dead}' AS cell"))
        .unwrap();
    records
        .execute(&forget.replace("dead)", "cell.instances WHERE deleted <> 0)"))
        .unwrap();
    let refused = planned.apply(&["--api", &api]);
    assert_eq!(refused.code, 65);
    assert!(
        refused
            .stderr
            .contains("API records in request_specs: 30 planned, now 29"),
        "{}",
        refused.stderr
    );

    assert_eq!(
        sexton(&["archive", &cell, "--api", &api, "--plan", &planned.file]).code,
        0
    );
    let done = planned.apply(&["--api", &api]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(done.json()["api_records"], planned.json()["api_records"]);
    assert_eq!(done.json()["api_records"]["request_specs"], 29);
    let without = planned_without_api(&planned.sample);
    assert!(without.contains("written without --api"), "{without}");
}

fn planned_without_api(sample: &Sample) -> String {
    let (cell, api, file) = (sample.cell(), sample.api(), sample.name("without.json"));
    assert_eq!(sexton(&["archive", &cell, "--plan", &file]).code, 0);
    refused(
        65,
        &["archive", &cell, "--api", &api, "--apply", &file, "--yes"],
    )
}

/// Of two families one is held back since: fewer rows would move than was agreed to, and more would stay.
#[test]
fn families_that_stay_are_compared_too() {
    let planned = Planned::new(&["--max-drift", "10"]);
    planned.execute(
        "INSERT INTO share_mapping (uuid, instance_uuid, share_id, status, tag, export_location, share_proto) \
         SELECT 'u', uuid, 's', 'active', 't', 'e', 'NFS' FROM instances WHERE id = (SELECT MIN(id) FROM instances \
         WHERE deleted <> 0)",
    );
    let said = planned.refused();
    assert!(
        said.contains("blocked families, no-shadow-table: 0 planned, now 1"),
        "{said}"
    );
}

/// Where a run of a plan was cut less is left than was planned, and the hint says what to do about that.
#[test]
fn the_rest_of_a_plan_is_told_from_a_database_that_changed() {
    let planned = Planned::new(&[]);
    let cell = planned.sample.cell();
    assert_eq!(sexton(&["archive", &cell, "--max-rows", "20"]).code, 75);
    let said = planned.refused();
    assert!(
        said.contains("43 planned, now") && said.contains("write a new plan for it"),
        "{said}"
    );
}

#[test]
fn a_plan_of_another_database_is_told_by_its_name() {
    let planned = Planned::new(&[]);
    let other = planned.sample.name("other.db");
    let apply = |database: &str| {
        let apply = ["archive", database, "--apply", &planned.file, "--yes"];
        sexton(&[&apply[..], &["--format", "json"]].concat())
    };
    let families = ["--families", "3", "--live", "1"];
    assert_eq!(
        sexton(&[&["generate", &other], &families[..]].concat()).code,
        0
    );
    let ran = apply(&other);
    assert_eq!(ran.code, 65);
    let words = format!(
        "written for another database, {}, and does not fit {other}: families: 43",
        planned.sample.cell()
    );
    assert!(ran.stderr.contains(&words), "{}", ran.stderr);

    let server = Database::fresh(Engine::Mysql);
    assert_eq!(
        sexton(&[&["generate", &server.url], &families[..]].concat()).code,
        0
    );
    let ran = apply(&server.url);
    assert_eq!(ran.code, 65);
    assert!(
        ran.stderr.contains("which is SQLite; mysql://") && ran.stderr.contains("is MariaDB/MySQL"),
        "{}",
        ran.stderr
    );

    // A file that was moved is the same database all the same, and that is said.
    std::fs::rename(planned.sample.cell(), &other).unwrap();
    let ran = apply(&other);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("has the same schema and counts, and is taken for it"),
        "{}",
        ran.stderr
    );
}

#[test]
fn counts_that_changed_are_refused_unless_that_was_allowed_for() {
    let delete = "UPDATE instances SET deleted = id, deleted_at = '2026-01-01 00:00:00' \
                  WHERE id = (SELECT MIN(id) FROM instances WHERE deleted = 0 AND uuid NOT IN \
                  (SELECT instance_uuid FROM block_device_mapping WHERE deleted <> 0))";
    let strict = Planned::new(&[]);
    strict.execute(delete);
    let said = strict.refused();
    assert!(said.contains("families: 43 planned, now 44"), "{said}");
    assert!(said.contains("more; nothing was moved"), "{said}");
    assert!(said.contains("--max-drift"), "{said}");

    let loose = Planned::new(&["--max-drift", "50%"]);
    loose.execute(delete);
    let done = loose.apply(&[]);
    assert_eq!((done.code, &done.json()["families"]), (0, &44.into()));

    // One that was deleted after the moment of --before was never meant.
    let dated = Planned::new(&["--before", "2025-12-01"]);
    dated.execute(delete);
    let done = dated.apply(&[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(done.json()["families"], dated.json()["families"]);
    assert_eq!(done.json()["before"], "2025-12-01 00:00:00");
}

#[test]
fn a_schema_that_changed_is_refused_by_the_name_of_its_table() {
    let planned = Planned::new(&["--max-drift", "100"]);
    // An index makes a run faster, and nothing else.
    planned.execute("CREATE INDEX more ON instance_faults (code)");
    assert_eq!(planned.apply(&["--dry-run"]).code, 0);
    planned.execute("ALTER TABLE shadow_instance_faults ADD COLUMN more INTEGER");
    let said = planned.refused();
    assert!(
        said.contains("table shadow_instance_faults is another"),
        "{said}"
    );
}

#[test]
fn a_plan_of_some_cells_is_no_plan_for_others() {
    let planned = Planned::new(&[]);
    let other = planned.sample.name("other.db");
    std::fs::copy(planned.sample.cell(), &other).unwrap();
    let cells = [
        format!("one={}", planned.sample.cell()),
        format!("two={other}"),
    ];
    let cells = ["archive", "--cell", &cells[0], "--cell", &cells[1]];
    let apply = ["--apply", &planned.file, "--yes"];
    let said = refused(65, &[&cells[..], &apply].concat());
    assert!(said.contains("given"), "{said}");
}

#[test]
fn what_is_no_plan_is_refused() {
    let sample = Sample::new();
    let cell = sample.cell();
    let said = refused(
        64,
        &["archive", &cell, "--apply", &sample.name("none"), "--yes"],
    );
    assert!(said.contains("cannot read"), "{said}");
    for (text, why) in [
        ("{}", "version"),
        ("[1]", "no plan"),
        ("{\"version\":9}", "version 9"),
    ] {
        let file = sample.file("other.json", text);
        let said = refused(65, &["archive", &cell, "--apply", &file, "--yes"]);
        assert!(said.contains(why), "{said}");
    }
    // The plan is not written over the database.
    let said = refused(64, &["archive", &cell, "--plan", &cell]);
    assert!(said.contains("what the command works on"), "{said}");
    refused_by_clap(&["archive", &cell, "--max-drift", "5"], "--plan");
    // What is to move was decided when the plan was written.
    for decided in [&["--before", "1d"][..], &["--task-log"]] {
        let with = [&["archive", &cell, "--apply", "x"][..], decided].concat();
        refused_by_clap(&with, decided[0]);
    }
    refused_by_clap(
        &["archive", &cell, "--plan", "x", "--max-drift", "101"],
        "0 to 100",
    );
}

#[test]
fn nobody_is_asked_where_there_is_no_terminal() {
    let planned = Planned::new(&[]);
    let cell = planned.sample.cell();
    let said = refused(64, &["archive", &cell, "--apply", &planned.file]);
    assert!(said.contains("--yes"), "{said}");
    assert_eq!(planned.sample.count("instances WHERE deleted <> 0"), 30);
}

/// What is said to a question at a terminal, which `script` (util-linux) makes; the exit code and all that was shown.
pub(crate) fn at_a_terminal(arguments: &[&str], answer: &str) -> (i32, String) {
    at_a_terminal_after(arguments, answer, || {})
}

/// The same, with something that happens while the question is open.
pub(crate) fn at_a_terminal_after(
    arguments: &[&str],
    answer: &str,
    meanwhile: impl FnOnce(),
) -> (i32, String) {
    let typed = std::iter::once(env!("CARGO_BIN_EXE_sexton")).chain(arguments.iter().copied());
    let typed: Vec<_> = typed.map(|word| format!("'{word}'")).collect();
    let mut command = Command::new("script");
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    let options = ["--quiet", "--return", "--command"];
    let mut child = command
        .args(options)
        .args([&typed.join(" "), "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script, of util-linux");
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    let mut byte = [0];
    while !shown.ends_with(b"[y/N]") && output.read(&mut byte).unwrap() > 0 {
        shown.push(byte[0]);
    }
    meanwhile();
    // One that asked nothing has ended.
    drop(input.write_all(answer.as_bytes()));
    output.read_to_end(&mut shown).unwrap();
    let code = child.wait().unwrap().code().unwrap();
    (code, String::from_utf8_lossy(&shown).into_owned())
}

#[test]
fn what_changes_while_the_question_is_open_is_not_agreed_to() {
    let planned = Planned::new(&[]);
    let cell = planned.sample.cell();
    let apply = ["archive", &cell, "--apply", &planned.file, "--quiet"];
    let forget = "DELETE FROM instance_faults WHERE id = (SELECT MIN(f.id) FROM instance_faults f \
                  JOIN instances i ON i.uuid = f.instance_uuid WHERE i.deleted <> 0)";
    let (code, shown) = at_a_terminal_after(&apply, "y\n", || planned.execute(forget));
    assert_eq!(code, 65, "{shown}");
    assert!(
        shown.contains("instance_faults: 7 planned, now 6"),
        "{shown}"
    );
    assert_eq!(planned.sample.count("instances WHERE deleted <> 0"), 30);
}

#[test]
fn somebody_at_a_terminal_is_asked() {
    let planned = Planned::new(&[]);
    let cell = planned.sample.cell();
    let apply = ["archive", &cell, "--apply", &planned.file, "--quiet"];
    let (code, shown) = at_a_terminal(&apply, "n\n");
    assert_eq!(code, 75, "{shown}");
    assert!(shown.contains("rows of 43 families are to move"), "{shown}");
    assert_eq!(planned.sample.count("instances WHERE deleted <> 0"), 30);
    let (code, shown) = at_a_terminal(&apply, "y\n");
    assert_eq!(code, 0, "{shown}");
    assert_eq!(planned.sample.count("instances WHERE deleted <> 0"), 0);

    let purge = ["purge", &cell, "--all", "--quiet"];
    let (code, shown) = at_a_terminal(&purge, "\n");
    assert_eq!(code, 75, "{shown}");
    assert!(shown.contains("deleted for good"), "{shown}");
    assert_eq!(planned.sample.count("shadow_instances"), 30);
    let (code, _) = at_a_terminal(&[&purge[..], &["--yes"]].concat(), "");
    assert_eq!(code, 0);
    assert_eq!(planned.sample.count("shadow_instances"), 0);

    let other = Sample::new();
    let both = ["archive", &other.cell(), "--until-complete", "--purge"];
    let (code, shown) = at_a_terminal(&both, "no\n");
    assert_eq!(code, 75, "{shown}");
    assert_eq!(
        session(&other.path("nova.db"))
            .query_count("SELECT COUNT(*) FROM instances")
            .unwrap(),
        35
    );
}
