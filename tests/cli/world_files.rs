//! Worlds in files: what does not fit together is refused before anything is started, in one line that says
//! where.

use serde_json::{Value as Json, json};

use crate::sample::{Sample, refused, sexton};

fn world(name: &str) -> Json {
    sexton(&["prove", "--print-world", name]).json()
}

/// The world in a file that goes with the sample.
fn file_of(world: &Json) -> (Sample, String) {
    let sample = Sample::empty();
    let file = sample.name("world.json");
    std::fs::write(&file, world.to_string()).unwrap();
    (sample, file)
}

/// Another database takes the world, and the engine holds in it.
fn runs(file: &str, mode: &str) {
    let quick = ["--no-pairs", "--no-writers", "--quiet"];
    let ran = sexton(&[&["prove", "--world", file, "--faults", mode], &quick[..]].concat());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

/// Refuses the world with `change` at `pointer`; what is said after the file's name.
fn changed(name: &str, server: &str, pointer: &str, change: Json) -> String {
    let mut world = world(name);
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match world.pointer_mut(parent).unwrap() {
        Json::Array(list) if key == "-" => list.push(change),
        Json::Array(list) => list[key.parse::<usize>().unwrap()] = change,
        Json::Object(map) => drop(map.insert(key.into(), change)),
        other => panic!("{other}"),
    }
    let (_sample, file) = file_of(&world);
    let said = refused(65, &["prove", "--server", server, "--world", &file]);
    let said = said.strip_prefix(&format!("sexton: {file}: "));
    said.unwrap_or_else(|| panic!("no name of the file: {pointer}"))
        .to_owned()
}

fn table(name: &str, columns: &[&str], more: &Json) -> Json {
    let mut table = json!({"name": name, "columns": columns, "primary": ["id"]});
    let more = more.as_object().unwrap().clone();
    table.as_object_mut().unwrap().extend(more);
    table
}

#[test]
fn a_schema_that_does_not_hold_together() {
    let plain = ["id int not null", "a int", "b varchar(8)"];
    let long = "n".repeat(64);
    for (name, columns, more, expected) in [
        (
            "root",
            &plain[..],
            json!({}),
            "main: table root is there twice",
        ),
        ("Root", &plain, json!({}), "main: table Root is there twice"),
        ("", &plain, json!({}), "main: a table has no name"),
        (
            &long,
            &plain,
            json!({}),
            "main: a table has a name of 64 bytes",
        ),
        (
            "t",
            &[],
            json!({"primary": []}),
            "main: table t: it has no columns",
        ),
        (
            "t",
            &["id int", "A int", "a int"],
            json!({}),
            "main: table t: column a is there twice",
        ),
        (
            "t",
            &["id banana"],
            json!({}),
            "main: table t: column id is of type 'banana'",
        ),
        ("t", &["id int", "e enum()"], json!({}), "table t"),
        (
            "t",
            &["id int NOT NULL"],
            json!({}),
            "table t: cannot read 'id int NOT NULL'",
        ),
        (
            "t",
            &plain,
            json!({"primary": ["nope"]}),
            "table t: the primary key names nope",
        ),
        (
            "t",
            &plain,
            json!({"primary": ["a", "a"]}),
            "table t: the primary key names a twice",
        ),
        (
            "t",
            &plain,
            json!({"unique": {"u": ["nope"]}}),
            "table t: unique key u names nope",
        ),
        (
            "t",
            &plain,
            json!({"index": {"i": []}}),
            "table t: index i has no columns",
        ),
        (
            "t",
            &plain,
            json!({"index": {"i": ["a"]}, "unique": {"i": ["a"]}}),
            "i is a unique key and an index",
        ),
        (
            "t",
            &plain,
            json!({"references": ["fk: nope -> root.id"]}),
            "table t: foreign key fk names nope",
        ),
        (
            "t",
            &plain,
            json!({"references": ["fk: a -> nope.id"]}),
            "table t: foreign key fk is to nope",
        ),
        (
            "t",
            &plain,
            json!({"references": ["fk: a -> root.nope"]}),
            "foreign key fk to root names nope",
        ),
        (
            "t",
            &plain,
            json!({"references": ["fk: a -> root.note"]}),
            "neither the primary key nor a unique one",
        ),
        (
            "t",
            &plain,
            json!({"references": ["fk: a,id -> root.id"]}),
            "has 2 columns to 1 of root",
        ),
        (
            "t",
            &plain,
            json!({"references": ["fk: b -> root.id"]}),
            "puts b (varchar(8)) against root.id (int)",
        ),
        (
            "t",
            &plain,
            json!({"index": {"Root": ["a"]}}),
            "table t: index Root has the name of a table",
        ),
        (
            "t",
            &plain,
            json!({"index": {"n234567890123456789012345678901234567890123456789012345678901234": ["a"]}}),
            "table t: an index has a name of 64 bytes",
        ),
        (
            "t",
            &plain,
            json!({"references": ["fk_1: a -> root.id"]}),
            "foreign key fk_1 is there twice",
        ),
    ] {
        let added = table(name, columns, &more);
        let said = changed("chain", "sqlite", "/main/schema/table/-", added);
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

/// What is not read is not meant either.
#[test]
fn a_word_that_no_schema_has() {
    let mut world = world("chain");
    world["main"]["schema"]["table"][0]["foreign_keys"] = json!([]);
    let (_sample, file) = file_of(&world);
    let said = refused(65, &["prove", "--world", &file]);
    assert!(said.contains("unknown field `foreign_keys`"), "{said}");
}

#[test]
fn a_profile_of_other_tables() {
    let reference =
        |child: &str, parent: &str| json!({"child": child, "parent": parent, "kind": "owned"});
    for (pointer, change, expected) in [
        (
            "/profile/reference/-",
            reference("chidl.root_id", "root.id"),
            "profile: reference names chidl, which is no table",
        ),
        (
            "/profile/reference/-",
            reference("child.root_id", "root.ident"),
            "profile: reference names root.ident, which is no column",
        ),
        (
            "/profile/reference/-",
            reference("child", "root.id"),
            "'child' in a profile is not table.column",
        ),
        (
            "/profile/reference/-",
            reference("child.root_id", "root.id"),
            "is there twice",
        ),
        (
            "/profile/unmarked",
            json!(["leef"]),
            "profile: unmarked names leef",
        ),
        (
            "/profile/age",
            json!({"root": "since"}),
            "profile: age names root.since",
        ),
        (
            "/profile/task_log",
            json!("log"),
            "profile: task_log names log",
        ),
    ] {
        let said = changed("chain", "sqlite", pointer, change);
        assert!(said.contains(expected), "{expected}: {said}");
    }
    for (pointer, change, expected) in [
        (
            "/profile/api/root",
            json!("instance"),
            "profile: api names instance, which is no table",
        ),
        (
            "/profile/api/key",
            json!("uid"),
            "profile: api names instances.uid",
        ),
        (
            "/profile/api/mapping_cell",
            json!("cell"),
            "profile: api names instance_mappings.cell",
        ),
        ("/profile/api", Json::Null, "no [api] that says whose"),
    ] {
        let said = changed("nova", "sqlite", pointer, change);
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn rows_that_no_table_takes() {
    let row = |table: &str, values: Json| json!({"table": table, "values": values});
    let with = |more: Json| {
        let mut values = json!({"id": 99, "deleted": 0});
        let more = more.as_object().unwrap().clone();
        values.as_object_mut().unwrap().extend(more);
        row("root", values)
    };
    for (change, expected) in [
        (
            row("roots", json!({"id": 99})),
            "main: a row of table roots",
        ),
        (with(json!({"nope": 1})), "main: a row of root with nope"),
        (
            row("root", json!({"deleted": 0})),
            "row 5 of root: id is missing, and has no default",
        ),
        (
            with(json!({"deleted": null})),
            "row 5 of root: deleted is NULL, and not null",
        ),
        (
            with(json!({"id": 1})),
            "row 5 of root: (id) is (1), as in row 1",
        ),
        (with(json!({"id": "x"})), "id is int, and does not take 'x'"),
        (with(json!({"id": 1.5})), "id is int, and does not take 1.5"),
        (
            with(json!({"id": 3_000_000_000_u64})),
            "id is int, and does not take 3000000000",
        ),
        (
            with(json!({"deleted": true})),
            "deleted is int, and does not take true",
        ),
        (
            with(json!({"note": 7})),
            "note is varchar(40), and does not take 7",
        ),
        (
            with(json!({"note": "n".repeat(41)})),
            "note is varchar(40), and does not take",
        ),
        (with(json!({"note": "a\u{0}b"})), "does not take 'a\\0b'"),
        (
            with(json!({"deleted_at": "yesterday"})),
            "deleted_at is datetime, and does not take 'yesterday'",
        ),
        (
            with(json!({"deleted_at": "2026-02-30 00:00:00"})),
            "does not take '2026-02-30 00:00:00'",
        ),
        (
            with(json!({"deleted_at": "2026-02-03 00:00:00+05:00"})),
            "does not take '2026-02-03 00:00:00+05:00'",
        ),
        (
            with(json!({"deleted_at": "2026-02-03 00:00"})),
            "does not take '2026-02-03 00:00'",
        ),
        (
            with(json!({"deleted_at": "2026-02-03"})),
            "does not take '2026-02-03'",
        ),
    ] {
        let said = changed("chain", "sqlite", "/main/rows/-", change);
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

/// What holds rows back is the shadow table, of which no oracle knows.
#[test]
fn shadow_tables_that_do_not_take_their_rows() {
    let dead = |table: &str, id: u64| json!({"table": table, "values": {"id": id, "deleted": 1}});
    let said = changed("chain", "sqlite", "/main/rows/-", dead("shadow_root", 1));
    assert!(
        said.contains("shadow_root does not take a row of root: key (1) is taken"),
        "{said}"
    );
    let columns = |name: &str| -> usize {
        let world = world("chain");
        let tables = world["main"]["schema"]["table"].as_array().unwrap().clone();
        tables.iter().position(|t| t["name"] == name).unwrap()
    };
    let pointer = format!("/main/schema/table/{}/columns", columns("shadow_child"));
    for (change, expected) in [
        (
            json!([
                "id int not null",
                "deleted int not null",
                "deleted_at datetime",
                "note varchar(40)"
            ]),
            "table child: shadow_child lacks column root_id",
        ),
        (
            json!([
                "id int not null",
                "deleted int not null",
                "deleted_at datetime",
                "note varchar(3)",
                "root_id int"
            ]),
            "shadow_child does not take a row of child: note is varchar(3)",
        ),
        (
            json!([
                "id int not null",
                "deleted int not null",
                "deleted_at datetime",
                "note varchar(40)",
                "root_id int",
                "more int not null"
            ]),
            "table child: shadow_child.more must be given",
        ),
    ] {
        let said = changed("chain", "sqlite", &pointer, change);
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let said = changed(
        "chain",
        "sqlite",
        "/profile/shadow_prefix",
        json!("archived_"),
    );
    assert!(
        said.contains("there is no shadow table (archived_...)"),
        "{said}"
    );
    assert!(said.contains("--purge"), "{said}");
}

#[test]
fn references_that_a_service_does_not_have() {
    let reference =
        |child: &str, parent: &str| json!({"child": child, "parent": parent, "kind": "owned"});
    for (world, child, parent, expected) in [
        (
            "nova",
            "instance_extra.instance_uid",
            "instances.uuid",
            "names instance_extra.instance_uid",
        ),
        (
            "chain",
            "child.note",
            "root.note",
            "root.(note), which is neither the primary key",
        ),
        (
            "chain",
            "child.note",
            "root.id",
            "puts child.note (varchar(40)) against root.id (int)",
        ),
    ] {
        let said = changed(
            world,
            "sqlite",
            "/profile/reference/-",
            reference(child, parent),
        );
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

/// What one database takes for the same, or does not take, another one does.
#[test]
fn rows_that_only_mysql_refuses() {
    let keyed = |id: &str| json!({"table": "t", "values": {"id": id}});
    let mut world = world("chain");
    let added = table("t", &["id varchar(40) not null"], &json!({}));
    world["main"]["schema"]["table"]
        .as_array_mut()
        .unwrap()
        .push(added);
    for (rows, expected) in [
        (["a", "A"], "row 2 of t: (id) is (a), as in row 1"),
        (["a", "a "], "row 2 of t: (id) is (a), as in row 1"),
        (
            ["a", "\u{1f600}"],
            "row 2 of t: id has a character of four bytes",
        ),
    ] {
        let mut world = world.clone();
        let list = world["main"]["rows"].as_array_mut().unwrap();
        list.extend(rows.map(keyed));
        let (_sample, file) = file_of(&world);
        let said = refused(65, &["prove", "--server", "mariadb", "--world", &file]);
        assert!(said.contains(expected), "{expected}: {said}");
        runs(&file, "interrupt");
    }
    let long = table("t", &["id varchar(1025) not null"], &json!({}));
    let said = changed("chain", "mariadb", "/main/schema/table/-", long);
    assert!(
        said.contains("the key (id) of t has 3075 bytes, and MySQL takes 3072"),
        "{said}"
    );
}

/// Values are told apart one by one, not by the text that they make together.
#[test]
fn keys_of_two_columns_that_read_alike() {
    let columns = ["id int not null", "x varchar(9)", "y varchar(9)"];
    let mut world = world("chain");
    let added = table("t", &columns, &json!({"unique": {"u": ["x", "y"]}}));
    world["main"]["schema"]["table"]
        .as_array_mut()
        .unwrap()
        .push(added);
    for (id, x, y) in [(1, "a, b", "c"), (2, "a", "b, c")] {
        let row = json!({"table": "t", "values": {"id": id, "x": x, "y": y}});
        world["main"]["rows"].as_array_mut().unwrap().push(row);
    }
    let (_sample, file) = file_of(&world);
    runs(&file, "interrupt");
}

/// Only MySQL asks for a length, and only there is it missed.
#[test]
fn a_text_in_a_key() {
    let added = table("t", &["id text not null"], &json!({}));
    let said = changed("chain", "mariadb", "/main/schema/table/-", added.clone());
    assert!(said.contains("main: t.id is text, and in a key"), "{said}");
    let mut world = world("chain");
    world["main"]["schema"]["table"]
        .as_array_mut()
        .unwrap()
        .push(added);
    let (_sample, file) = file_of(&world);
    runs(&file, "kill-before");
}

/// A profile from a file of its own has to fit too.
#[test]
fn a_profile_beside_a_world() {
    let sample = Sample::empty();
    let (file, profile) = (sample.name("world.json"), sample.name("p.toml"));
    std::fs::write(&file, world("chain").to_string()).unwrap();
    let text = "name = 'mine'\n[[reference]]\nchild = 'leaf.childid'\nparent = 'child.id'\nkind = 'owned'\n";
    std::fs::write(&profile, text).unwrap();
    let said = refused(65, &["prove", "--world", &file, "--profile", &profile]);
    assert!(
        said.contains("profile: reference names leaf.childid"),
        "{said}"
    );
}
