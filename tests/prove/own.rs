//! sexton's own engine, under every fault.

use sexton::error::Result;
use sexton::prove::archiver::{Archiver, Own};
use sexton::prove::{Backend, Campaign, Report, catalogue};

fn own() -> Result<Box<dyn Archiver>> {
    Ok(Box::new(Own))
}

/// What a failing test has to show.
pub(crate) fn show(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report).unwrap();
    for failure in report.failures.iter().take(5) {
        text.push_str(&format!("\n{:?}", failure.scenario.case));
    }
    text
}

#[test]
fn no_fault_in_the_chain_does_harm_on_sqlite() {
    let mut campaign = Campaign::new(Backend::Sqlite, vec![catalogue::world("chain").unwrap()]);
    campaign.pairs = false;
    let report = campaign.run(&own, &()).unwrap();
    assert!(report.failures.is_empty(), "{}", show(&report));
    assert_eq!(report.fired, report.cases);
    assert!(report.cases > 1000, "{}", show(&report));
}
