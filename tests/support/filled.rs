//! A generated Nova, the same each time.

use sexton::db::{Session, introspect};
use sexton::generate::{Dataset, create_schema, generate};
use sexton::schema::{FamilyGraph, Profile};

/// Fills an empty database with so many families and living instances; its graph.
pub(crate) fn fill(session: &mut Session, families: u32, live: u32) -> FamilyGraph {
    create_schema(session, "nova-34.0.0").unwrap();
    let schema = introspect(session).unwrap();
    let dataset = Dataset {
        families,
        live,
        ..Dataset::default()
    };
    generate(session, &schema, &dataset, &mut |_| {}).unwrap();
    graph(session)
}

/// The graph of what is there.
pub(crate) fn graph(session: &mut Session) -> FamilyGraph {
    let schema = introspect(session).unwrap();
    Profile::detect(&schema).families(&schema).unwrap()
}
