//! A profile: a file that an administrator writes for a service that sexton does not know.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sexton::schema::{Model, Profile, Schema};

/// Parent and child with shadows, a table that refers to itself, and a table without any key.
const MODEL: &str = r#"
service = "s"
release = "1"
database = "main"
version = "1"

[[table]]
name = "p"
columns = ["id int not null auto", "uuid varchar(36)", "deleted int", "deleted_at datetime"]
primary = ["id"]
unique = { u = ["uuid"] }

[[table]]
name = "c"
columns = ["id int not null auto", "p varchar(36)", "c int", "deleted int default '0'"]
primary = ["id"]
references = ["fk: p -> p.uuid", "self: c -> c.id cascade"]
index = { i = ["p"] }

[[table]]
name = "log"
columns = ["p varchar(36)", "at datetime"]

[[table]]
name = "shadow_p"
columns = ["id int not null", "uuid varchar(36)", "deleted int", "deleted_at datetime"]
primary = ["id"]

[[table]]
name = "shadow_c"
columns = ["id int not null", "p varchar(36)", "c int", "deleted int"]
primary = ["id"]
"#;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let model = Model::parse(MODEL, "fuzz").expect("the model");
    model.schema().expect("its schema")
});

fuzz_target!(|text: &str| {
    let profile = match Profile::parse(text, "fuzz") {
        Ok(profile) => profile,
        Err(error) => return assert!(!error.to_string().contains('\n'), "{error}"),
    };
    let written = toml::to_string(&profile).expect("TOML");
    let again = Profile::parse(&written, "fuzz").unwrap_or_else(|e| panic!("{written}: {e}"));
    assert_eq!(again, profile);

    let graph = match profile.families(&SCHEMA) {
        Ok(graph) => graph,
        Err(error) => return assert!(!error.to_string().contains('\n'), "{error}"),
    };
    // Every live table once.
    let mut ordered = graph.delete_order.clone();
    ordered.sort();
    assert!(ordered.iter().eq(graph.members.keys()));
    for reference in &graph.references {
        assert!(
            graph.member(&reference.child).is_some() && graph.member(&reference.parent).is_some()
        );
        assert_eq!(
            reference.child_columns.len(),
            reference.parent_columns.len()
        );
    }
    let _ = (graph.root_order(), graph.cuts());
    for table in graph.members.keys() {
        let _ = graph.chains_to(table);
    }
});
