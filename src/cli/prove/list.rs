//! `sexton prove --list`: what there is to choose from, one table each.

use sexton::db::Engine;
use sexton::error::Result;
use sexton::prove::archiver::Mistake;
use sexton::prove::catalogue;
use sexton::prove::fault::{Code, Mode, Setting};
use sexton::prove::normal::Kind;
use sexton::prove::oracle::Oracle;
use sexton::prove::spec::ENGINE_FORMS;
use sexton::prove::world::World;
use sexton::prove::writer::Action;
use sexton::report::columns;

/// All tables.
pub(super) fn text() -> Result<String> {
    let worlds = catalogue::all()?;
    let real: Result<Vec<_>> = catalogue::REAL
        .iter()
        .map(|w| catalogue::world(w))
        .collect();
    let real = real?;
    let table = |worlds: &[World]| columns(worlds.iter().map(|w| [&w.name, &w.title]));
    let controls = Mistake::ALL.map(|m| [m.name(), m.describe()]);
    let oracles = Oracle::ALL.map(|o| [o.name(), o.meaning()]);
    let writers = Action::ALL.map(|a| [a.name(), meaning(a)]);
    let engines = ENGINE_FORMS.map(|(form, what)| [form, what]);
    let sections = [
        ("Worlds (--world)", table(&worlds)),
        (
            "More worlds, only if they are asked for by name",
            table(&real),
        ),
        ("Fault modes (--faults)", columns(modes())),
        (
            "CODE in error:CODE and error-for-good:CODE",
            columns(codes()),
        ),
        ("Concurrent writers (--no-writers)", columns(writers)),
        ("Oracles (--oracle)", columns(oracles)),
        ("Engines (--engine)", columns(engines)),
        ("NAME in control:NAME", columns(controls)),
    ];
    let sections = sections.map(|(title, table)| format!("{title}\n{table}\n"));
    Ok(sections.join("\n"))
}

const ENGINES: [(&str, Engine); 3] = [
    ("sqlite", Engine::Sqlite),
    ("mariadb", Engine::Mysql),
    ("postgres", Engine::Postgres),
];

/// Name, where, meaning; error codes as one.
fn modes() -> Vec<[String; 3]> {
    let of = |kind| -> Vec<Mode> {
        let setting = |(_, engine)| Setting {
            engine,
            process: true,
        };
        let each = ENGINES.into_iter().map(setting);
        each.flat_map(|s| Mode::at(kind, s)).collect()
    };
    let anywhere = of(Kind::Read);
    let mut rows: Vec<[String; 3]> = Vec::new();
    let more = [Mode::CommitLost, Mode::Delay(500)].into_iter();
    let middle = Mode::of_middle(Engine::Mysql).iter().copied();
    let more = more.chain(middle);
    let more = more.chain(Mode::of_server()).chain(Mode::of_files());
    let more = more.chain(Mode::of_cluster());
    for mode in of(Kind::Commit).into_iter().chain(more) {
        let (name, what) = match mode {
            Mode::Error(code) | Mode::ErrorForGood(code) => {
                let without = |text: String| text.replace(&code.to_string(), "CODE");
                (without(mode.to_string()), without(mode.describe()))
            }
            _ => (mode.to_string(), mode.describe()),
        };
        let place = match mode {
            Mode::CommitLost => "COMMIT, if asked for",
            Mode::Delay(_) => "statement, if asked for",
            _ if mode.is_of_files() => "operation on a file",
            Mode::Conflict => "Galera: write, COMMIT",
            _ if mode.is_of_node() => "Galera: COMMIT",
            Mode::SessionKilled => "copy",
            _ if mode.is_of_middle() => "copy; SQLite: read, write",
            _ if mode.is_of_server() => "write, COMMIT, ROLLBACK",
            _ if anywhere.contains(&mode) => "statement",
            _ => "COMMIT",
        };
        if !rows.iter().any(|row| row[0] == name) {
            rows.push([name, place.into(), what]);
        }
    }
    rows.sort_by_key(|row| match row[1].as_str() {
        "statement" => 0,
        "write, COMMIT, ROLLBACK" => 1,
        "COMMIT" => 2,
        "COMMIT, if asked for" | "statement, if asked for" => 3,
        "operation on a file" => 5,
        _ => 4,
    });
    rows
}

fn codes() -> [[String; 2]; 3] {
    ENGINES.map(|(name, engine)| {
        let codes: Vec<_> = Code::of(engine).map(|code| code.to_string()).collect();
        [name.into(), codes.join(", ")]
    })
}

fn meaning(action: Action) -> &'static str {
    match action {
        Action::AddChild => "adds a child to a family that is being archived",
        Action::SoftDelete => "marks a live root deleted",
        Action::Revive => "marks a soft-deleted root live again",
        Action::UpdateChild => "changes a child of a family that is being archived",
        Action::SecondArchiver => "runs another archiver to its end",
    }
}
