//! A model: the schema of a release as text, also inside of every scenario.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sexton::db::Engine;
use sexton::schema::{Model, Profile, ddl};

fuzz_target!(|text: &str| {
    let model = match Model::parse(text, "fuzz") {
        Ok(model) => model,
        Err(error) => return assert!(!error.to_string().contains('\n'), "{error}"),
    };
    let written = model.to_text().expect("TOML");
    assert_eq!(Model::parse(&written, "fuzz").ok().as_ref(), Some(&model));
    let schema = match model.schema() {
        Ok(schema) => schema,
        Err(error) => return assert!(!error.to_string().contains('\n'), "{error}"),
    };
    // What a model says of a schema is all of it.
    let other = Model::new("s", "1", "main", "1", &schema);
    assert_eq!(other.schema().ok().as_ref(), Some(&schema));
    for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
        let statements = ddl::create_statements(&schema, engine);
        assert!(statements.len() >= schema.tables.len());
    }
    let _ = Profile::convention().families(&schema);
});
