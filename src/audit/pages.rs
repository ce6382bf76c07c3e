//! The pages of the checks, which `docs/checks/` has.

/// The page of a check, in Markdown: what it finds, why that matters, what to do.
pub fn page(check: &str) -> Option<&'static str> {
    PAGES
        .iter()
        .find(|(id, _)| *id == check)
        .map(|(_, page)| *page)
}

macro_rules! pages {
    ($($id:literal),* $(,)?) => {
        [$(($id, include_str!(concat!("../../docs/checks/", $id, ".md")))),*]
    };
}

/// By id. A test of the catalogue asks for each.
const PAGES: [(&str, &str); 15] = pages![
    "backlog",
    "duplicate-in-shadow",
    "inconsistent-marker",
    "migration-behind",
    "missing-required-child",
    "model-drift",
    "non-transactional-table",
    "orphaned-row",
    "pending-data-migration",
    "residue",
    "shadow-drift",
    "split-family",
    "stranded-api-record",
    "unarchivable-parent",
    "unindexed-reference",
];
