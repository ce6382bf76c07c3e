//! A scenario: a file that a bug report may bring, and that is replayed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sexton::prove::Scenario;

fuzz_target!(|text: &str| {
    let scenario = match Scenario::parse(text, "fuzz") {
        Ok(scenario) => scenario,
        Err(error) => return assert!(!error.to_string().contains('\n'), "{error}"),
    };
    let written = scenario.to_text().expect("JSON");
    let again = Scenario::parse(&written, "fuzz").unwrap_or_else(|e| panic!("{written}: {e}"));
    assert_eq!(again, scenario);
    assert!(!scenario.describe().is_empty());

    let engine = scenario.database.engine();
    if let Ok(graph) = scenario.world.graph(engine) {
        assert_eq!(graph.delete_order.len(), graph.members.len());
        let _ = (graph.root_order(), graph.cuts());
    }
    for (_, content) in scenario.world.databases() {
        let _ = content.create(engine);
        assert!(content.fill(engine, "URL").len() >= 2);
    }
});
