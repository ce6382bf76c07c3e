//! The privileges that `SECURITY.md` lists: with exactly these each command does its work, and without one of them it is
//! refused, with the name of what is missing.

use sexton::db::{Engine, Session, introspect};

use crate::sample::{SECRET, sexton};
use crate::support::databases::Database;

/// A command, what it needs on MariaDB and MySQL, and what on PostgreSQL.
struct Needs {
    command: &'static [&'static str],
    mysql: &'static [&'static str],
    postgres: &'static [&'static str],
}

/// UPDATE on the sequences of the schema, which PostgreSQL wants apart.
const SEQUENCES: &str = "SEQUENCES";

/// What `SECURITY.md` lists, in its order.
const NEEDS: [Needs; 10] = [
    Needs {
        command: &["audit"],
        mysql: &["SELECT"],
        postgres: &["SELECT"],
    },
    Needs {
        command: &["schema", "diff"],
        mysql: &["SELECT"],
        postgres: &["SELECT"],
    },
    Needs {
        command: &["repair"],
        mysql: &["SELECT"],
        postgres: &["SELECT"],
    },
    Needs {
        command: &["repair", "--apply", "--check", "inconsistent-marker"],
        mysql: &["SELECT", "UPDATE"],
        postgres: &["SELECT", "UPDATE"],
    },
    Needs {
        command: &["generate", "--families", "3", "--live", "0"],
        mysql: &["SELECT", "INSERT"],
        postgres: &["SELECT", "INSERT", SEQUENCES],
    },
    Needs {
        command: &["repair", "--apply", "--check", "residue"],
        mysql: &["SELECT", "INSERT", "DELETE"],
        postgres: &["SELECT", "INSERT", "UPDATE", "DELETE"],
    },
    Needs {
        command: &["archive", "--until-complete", "--dry-run"],
        mysql: &["SELECT"],
        postgres: &["SELECT"],
    },
    Needs {
        command: &[
            "archive",
            "--max-rows",
            "10",
            "--max-lock-waits",
            "9",
            "--max-wait",
            "1s",
        ],
        mysql: &["SELECT", "INSERT", "DELETE"],
        postgres: &["SELECT", "INSERT", "UPDATE", "DELETE"],
    },
    Needs {
        command: &["archive", "--until-complete"],
        mysql: &["SELECT", "INSERT", "DELETE"],
        postgres: &["SELECT", "INSERT", "UPDATE", "DELETE"],
    },
    Needs {
        command: &["purge", "--all"],
        mysql: &["SELECT", "DELETE", "CREATE TEMPORARY TABLES"],
        postgres: &["SELECT", "DELETE", "TEMPORARY"],
    },
];

/// What brings a family back, but for its name.
const RESTORE: Needs = Needs {
    command: &["restore", "--root"],
    mysql: &["SELECT", "INSERT", "DELETE"],
    postgres: &["SELECT", "INSERT", "UPDATE", "DELETE"],
};

/// A purge where there are no shadow tables.
const IN_PLACE: Needs = Needs {
    command: &["purge", "--all", "--profile", "convention"],
    mysql: &["SELECT", "DELETE"],
    postgres: &["SELECT", "UPDATE", "DELETE"],
};

impl Needs {
    fn on(&self, engine: Engine) -> &'static [&'static str] {
        match engine {
            Engine::Mysql => self.mysql,
            _ => self.postgres,
        }
    }
}

/// A user of one database, whose rights come and go.
struct User<'d> {
    database: &'d Database,
    admin: Session,
    name: String,
}

impl<'d> User<'d> {
    fn new(database: &'d Database) -> Self {
        let mut admin = database.session();
        // Names of users are those of the whole server.
        let name = format!("u_{}", database_name(database));
        let create = match database.engine {
            Engine::Mysql => format!("CREATE USER {name}@'%' IDENTIFIED BY '{SECRET}'"),
            _ => format!("CREATE USER {name} PASSWORD '{SECRET}'"),
        };
        admin.execute(&create).unwrap();
        Self {
            database,
            admin,
            name,
        }
    }

    /// Has it these privileges and no others.
    fn grant(&mut self, privileges: &[&str]) {
        let (name, database) = (self.name.clone(), database_name(self.database));
        let mut statements = Vec::new();
        match self.database.engine {
            Engine::Mysql => {
                statements.push(format!(
                    "REVOKE ALL PRIVILEGES, GRANT OPTION FROM {name}@'%'"
                ));
                for privilege in privileges {
                    statements.push(format!("GRANT {privilege} ON {database}.* TO {name}@'%'"));
                }
            }
            _ => {
                // Everybody may make temporary tables, unless that is taken away.
                statements.push(format!(
                    "REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC, {name}"
                ));
                statements.push(format!(
                    "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {name}"
                ));
                statements.push(format!(
                    "REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {name}"
                ));
                for privilege in privileges {
                    statements.push(match *privilege {
                        "TEMPORARY" => format!("GRANT TEMPORARY ON DATABASE {database} TO {name}"),
                        SEQUENCES => {
                            format!("GRANT UPDATE ON ALL SEQUENCES IN SCHEMA public TO {name}")
                        }
                        _ => format!("GRANT {privilege} ON ALL TABLES IN SCHEMA public TO {name}"),
                    });
                }
            }
        }
        for statement in statements {
            self.admin.execute(&statement).unwrap();
        }
    }

    fn url(&self) -> String {
        let (scheme, rest) = self.database.url.split_once("://").unwrap();
        let (_, place) = rest.rsplit_once('@').unwrap();
        format!("{scheme}://{}:{SECRET}@{place}", self.name)
    }
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        self.grant(&[]);
        let name = &self.name;
        let drop_user = match self.database.engine {
            Engine::Mysql => format!("DROP USER {name}@'%'"),
            _ => format!("DROP USER {name}"),
        };
        drop(self.admin.execute(&drop_user));
    }
}

fn database_name(database: &Database) -> String {
    let path = database.url.rsplit('/').next().unwrap();
    path.split('?').next().unwrap().to_owned()
}

/// A Nova with dead families, some of them archived already.
fn nova(engine: Engine) -> Database {
    let database = Database::fresh(engine);
    let with = ["--families", "12", "--live", "2"];
    let ran = sexton(&[&["generate", &database.url], &with[..]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = sexton(&["archive", &database.url, "--max-rows", "60"]);
    assert_eq!(ran.code, 75, "{}", ran.stderr);
    database
}

/// Runs a command without each of these in turn, and then with all of them.
fn try_out(user: &mut User<'_>, command: &[&str], privileges: &[&str]) {
    let url = user.url();
    let run = || sexton(&[command, &[&url]].concat());
    let tables = introspect(&mut user.database.session()).unwrap().tables;
    let database = user.database;
    let counts = || -> Vec<i64> {
        let mut session = database.session();
        let count = |table: &String| {
            let sql = format!("SELECT COUNT(*) FROM {table}");
            session.query_count(&sql).unwrap()
        };
        tables.keys().map(count).collect()
    };
    let before = counts();
    for missing in privileges {
        let others: Vec<_> = privileges
            .iter()
            .copied()
            .filter(|p| p != missing)
            .collect();
        user.grant(&others);
        let what = format!("{command:?} without {missing}");
        let ran = run();
        let said = ran.stderr + &ran.stdout;
        assert_eq!(ran.code, 69, "{what}: {said}");
        let named = || tables.keys().any(|table| demands(&said, missing, table));
        assert!(
            demands(&said, missing, &database_name(database)) || named(),
            "{what}: {said}"
        );
        // What `--purge` alone needs is missed when all has moved, which is no loss.
        if is_whole(command, missing) {
            assert_eq!(counts(), before, "{what}");
        }
    }
    user.grant(privileges);
    let ran = run();
    let said = ran.stdout + &ran.stderr;
    // 2: there is something to find. 75: a batch alone was asked for.
    assert!(matches!(ran.code, 0 | 1 | 2 | 75), "{command:?}: {said}");
}

/// Whether it is refused for want of this privilege on this table, or database, in the server's words or in ours.
fn demands(said: &str, privilege: &str, place: &str) -> bool {
    let denied = said.lines().filter(|line| {
        let table = ["'", "`", "\""].map(|quote| format!("{quote}{place}{quote}"));
        let table = table.iter().any(|table| line.contains(table));
        match privilege {
            SEQUENCES => line.contains(&format!("permission denied for sequence {place}_")),
            _ => table && line.contains(&format!("{privilege} command denied to user")),
        }
    });
    let needed = said.split("the user needs ").skip(1).filter(|rest| {
        let needed = rest.split_once(" on ");
        needed.is_some_and(|(privileges, rest)| {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
            privileges.split(", ").any(|p| p == privilege) && &rest[..end] == place
        })
    });
    // Who has no right at all does not come as far as a table.
    let nothing = format!("to database '{place}'");
    let nothing = privilege == "SELECT"
        && said.contains(&nothing)
        && said.contains("grant the user SELECT on it");
    denied.count() + needed.count() > 0 || nothing
}

/// Whether a command that is refused for want of this privilege has changed nothing. `SECURITY.md` names those that are
/// done in parts, of which an earlier one is done.
fn is_whole(command: &[&str], missing: &str) -> bool {
    let purges = command.contains(&"--purge");
    let last = ["TEMPORARY", "CREATE TEMPORARY TABLES"].contains(&missing);
    let heals_all = command == ALL_REPAIRS.command;
    !(purges && last || heals_all && missing != "SELECT" || missing == SEQUENCES)
}

/// Takes the date of one deleted instance, and marks a child of another one live; their keys.
fn damage(admin: &mut Session) -> [i64; 2] {
    let key = |admin: &mut Session, which: &str| {
        let sql = format!("SELECT {which}(id) FROM instances WHERE deleted <> 0");
        admin.query_count(&sql).unwrap()
    };
    let (marked, left) = (key(admin, "MIN"), key(admin, "MAX"));
    assert_ne!(marked, left);
    for statement in [
        format!("UPDATE instances SET deleted_at = NULL WHERE id = {marked}"),
        format!(
            "UPDATE instance_extra SET deleted = 0, deleted_at = NULL WHERE instance_uuid = \
             (SELECT uuid FROM instances WHERE id = {left})"
        ),
    ] {
        assert_eq!(admin.execute(&statement).unwrap(), 1);
    }
    [marked, left]
}

fn exactly_these(engine: Engine) {
    let database = nova(engine);
    let mut user = User::new(&database);
    let mut admin = database.session();
    let [marked, left] = damage(&mut admin);
    for needs in NEEDS {
        try_out(&mut user, needs.command, needs.on(engine));
        if needs.command.ends_with(&["inconsistent-marker"]) {
            let dated = format!("id = {marked} AND deleted_at IS NOT NULL");
            let dated = format!("SELECT COUNT(*) FROM instances WHERE {dated}");
            assert_eq!(admin.query_count(&dated).unwrap(), 1);
        }
        if needs.command == ["archive", "--until-complete"] {
            let root = format!("instances:{left}");
            let restore = [RESTORE.command, &[&root]].concat();
            try_out(&mut user, &restore, RESTORE.on(engine));
            let back = format!("SELECT COUNT(*) FROM instances WHERE id = {left}");
            assert_eq!(admin.query_count(&back).unwrap(), 1);
            // What is purged afterwards is all in the shadow tables.
            let again = sexton(&["archive", "--until-complete", &database.url]);
            assert_eq!(again.code, 0, "{}", again.stderr);
        }
    }
    let archived = "SELECT COUNT(*) FROM shadow_instances";
    assert_eq!(admin.query_count(archived).unwrap(), 0);
    // A purge in place is one without shadow tables.
    for table in introspect(&mut admin).unwrap().tables.keys() {
        if table.starts_with("shadow_") {
            admin.execute(&format!("DROP TABLE {table}")).unwrap();
        }
    }
    admin
        .execute("UPDATE block_device_mapping SET deleted = id, deleted_at = '2020-01-01 00:00:00'")
        .unwrap();
    try_out(&mut user, IN_PLACE.command, IN_PLACE.on(engine));
    assert_eq!(
        admin
            .query_count("SELECT COUNT(*) FROM block_device_mapping")
            .unwrap(),
        0
    );
}

/// Rows that refer to each other, or to themselves, have their references cut before they go, which is an UPDATE.
const RING: Needs = Needs {
    command: &["archive", "--until-complete", "--profile", "convention"],
    mysql: &["SELECT", "INSERT", "UPDATE", "DELETE"],
    postgres: &["SELECT", "INSERT", "UPDATE", "DELETE"],
};

fn a_ring(engine: Engine) {
    let database = Database::fresh(engine);
    let mut admin = database.session();
    let columns =
        "id INTEGER PRIMARY KEY, next_id INTEGER, deleted INTEGER, deleted_at TIMESTAMP NULL";
    for statement in [
        format!("CREATE TABLE links ({columns}, FOREIGN KEY (next_id) REFERENCES links (id))"),
        format!("CREATE TABLE shadow_links ({columns})"),
        "INSERT INTO links VALUES (1, NULL, 1, '2024-01-01 00:00:00')".into(),
        "INSERT INTO links VALUES (2, 1, 2, '2024-01-01 00:00:00')".into(),
        "UPDATE links SET next_id = 2 WHERE id = 1".into(),
    ] {
        admin.execute(&statement).unwrap();
    }
    let mut user = User::new(&database);
    try_out(&mut user, RING.command, RING.on(engine));
    let rows = "SELECT COUNT(*) FROM shadow_links WHERE next_id = 3 - id";
    assert_eq!(admin.query_count(rows).unwrap(), 2);
    let restore = ["restore", "--profile", "convention", "--root", "links:1"];
    try_out(&mut user, &restore, RING.on(engine));
    assert_eq!(admin.query_count(&rows.replace("shadow_", "")).unwrap(), 2);
}

/// Of a row that is in both tables, the same, one goes; nothing moves.
const COPIES: Needs = Needs {
    command: &["repair", "--apply", "--check", "duplicate-in-shadow"],
    mysql: &["SELECT", "DELETE"],
    postgres: &["SELECT", "UPDATE", "DELETE"],
};

fn copies(engine: Engine) {
    let database = Database::fresh(engine);
    let with = ["--families", "3", "--damage", "duplicate-in-shadow=2"];
    let ran = sexton(&[&["generate", &database.url], &with[..]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let mut admin = database.session();
    let mut copies = || {
        let rows = "SELECT COUNT(*) FROM shadow_instance_system_metadata";
        admin.query_count(rows).unwrap()
    };
    // One of the two differs, and is left.
    assert_eq!(copies(), 2);
    let mut user = User::new(&database);
    try_out(&mut user, COPIES.command, COPIES.on(engine));
    assert_eq!(copies(), 1);
}

/// Every kind of damage of one database at once. A run without UPDATE has moved by then what wants the
/// others: it is the last to be missed.
const ALL_REPAIRS: Needs = Needs {
    command: &["repair", "--apply"],
    mysql: &["SELECT", "INSERT", "DELETE", "UPDATE"],
    postgres: &["SELECT", "INSERT", "DELETE", "UPDATE"],
};

/// A purge of what was moved.
const WITH_PURGE: Needs = Needs {
    command: &["archive", "--until-complete", "--purge"],
    mysql: &["SELECT", "INSERT", "DELETE", "CREATE TEMPORARY TABLES"],
    postgres: &["SELECT", "INSERT", "UPDATE", "DELETE", "TEMPORARY"],
};

/// A plan is written and then done, and all of it purged; after a repair of all that can be repaired.
fn in_one_run(engine: Engine) {
    let database = Database::fresh(engine);
    let damage = [
        "residue=1",
        "inconsistent-marker=3",
        "duplicate-in-shadow=2",
    ];
    let damage = damage.iter().flat_map(|damage| ["--damage", *damage]);
    let with: Vec<_> = ["generate", &database.url, "--families", "3", "--live", "2"]
        .into_iter()
        .chain(damage)
        .collect();
    let ran = sexton(&with);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let mut user = User::new(&database);
    try_out(&mut user, ALL_REPAIRS.command, ALL_REPAIRS.on(engine));

    let directory = tempfile::tempdir().unwrap();
    let plan = directory.path().join("plan.json").display().to_string();
    try_out(&mut user, &["archive", "--plan", &plan], &["SELECT"]);
    let archive = NEEDS
        .iter()
        .find(|n| n.command == ["archive", "--until-complete"]);
    let apply = ["archive", "--apply", &plan, "--yes"];
    try_out(&mut user, &apply, archive.unwrap().on(engine));
    let mut admin = database.session();
    let mut archived = || {
        admin
            .query_count("SELECT COUNT(*) FROM shadow_instances")
            .unwrap()
    };
    assert!(archived() > 0);

    let more = ["--families", "3", "--live", "0", "--seed", "2"];
    let ran = sexton(&[&["generate", &database.url], &more[..]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    try_out(&mut user, WITH_PURGE.command, WITH_PURGE.on(engine));
    assert_eq!(archived(), 0);
}

/// PostgreSQL lets the owner of a table alone alter it, which no GRANT changes.
fn schema_changes() {
    let database = nova(Engine::Mysql);
    let mut admin = database.session();
    admin
        .execute("ALTER TABLE instances DROP COLUMN launch_index")
        .unwrap();
    let mut user = User::new(&database);
    let diff = [
        "schema",
        "diff",
        "--release",
        "nova-34",
        "--apply",
        "expand",
        "--yes",
    ];
    try_out(&mut user, &diff, &["SELECT", "ALTER"]);
    let columns = introspect(&mut admin).unwrap();
    assert!(columns.tables["instances"].column("launch_index").is_some());
}

/// The records about archived instances go from another database, where the user may have other rights.
fn on_the_api_database(engine: Engine) {
    let (cell, api) = (Database::fresh(engine), Database::fresh(engine));
    let stranded = ["--families", "3", "--damage", "stranded-api-record=2"];
    let ran = sexton(&[&["generate", &cell.url, "--api", &api.url], &stranded[..]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("plan.json").display().to_string();
    let plan = ["archive", "--plan", &file, &cell.url, "--api"];
    let mut user = User::new(&api);
    for only_read in [
        &["audit", &cell.url, "--api"][..],
        &["repair", &cell.url, "--api"],
        &plan,
        &[
            "archive",
            "--until-complete",
            "--dry-run",
            &cell.url,
            "--api",
        ],
    ] {
        try_out(&mut user, only_read, &["SELECT"]);
    }
    let left = || {
        let records = "SELECT COUNT(*) FROM request_specs";
        api.session().query_count(records).unwrap()
    };
    let before = left();
    let check = ["--check", "stranded-api-record"];
    let sweep = [&["repair", "--apply", &cell.url][..], &check, &["--api"]].concat();
    try_out(&mut user, &sweep, &["SELECT", "DELETE"]);
    assert_eq!(before - left(), 1);
    let command = ["archive", "--until-complete", &cell.url, "--api"];
    try_out(&mut user, &command, &["SELECT", "DELETE"]);
    assert_eq!(left(), 100);
}

#[test]
fn with_exactly_these_on_mariadb() {
    exactly_these(Engine::Mysql);
}

#[test]
fn with_exactly_these_on_postgresql() {
    exactly_these(Engine::Postgres);
}

#[test]
fn the_api_database_on_mariadb() {
    on_the_api_database(Engine::Mysql);
}

#[test]
fn the_api_database_on_postgresql() {
    on_the_api_database(Engine::Postgres);
}

#[test]
fn rows_that_refer_to_each_other_on_mariadb() {
    a_ring(Engine::Mysql);
}

#[test]
fn rows_that_refer_to_each_other_on_postgresql() {
    a_ring(Engine::Postgres);
}

#[test]
fn the_schema_on_mariadb() {
    schema_changes();
}

#[test]
fn all_in_one_run_on_mariadb() {
    in_one_run(Engine::Mysql);
}

#[test]
fn all_in_one_run_on_postgresql() {
    in_one_run(Engine::Postgres);
}

#[test]
fn copies_on_mariadb() {
    copies(Engine::Mysql);
}

#[test]
fn copies_on_postgresql() {
    copies(Engine::Postgres);
}
