//! Why a family may stay, as reports and scripts spell it.

/// Every reason with its sentence, in the order in which `sexton explain` lists them. Each has a page: in
/// `docs/reasons/`, or in `docs/checks/` where a check of that name finds the same before a run.
pub const REASONS: [(&str, &str); 22] = [
    (
        "live-child",
        "a row that is not deleted refers to a row of the family",
    ),
    (
        "soft-deleted-child-stays",
        "a soft-deleted row that refers to the family stays itself",
    ),
    (
        "no-shadow-table",
        "a row of the family lies in a table that has no shadow table",
    ),
    (
        "shadow-column-missing",
        "the shadow table lacks a column of the live table",
    ),
    (
        "shadow-column-type",
        "a column of the shadow table is of another kind than that of the live table",
    ),
    (
        "shadow-column-required",
        "the shadow table wants a column that the live table does not have",
    ),
    (
        "non-transactional-table",
        "the live or the shadow table is on a storage engine that cannot roll back",
    ),
    (
        "no-key",
        "the table has no key by which its rows could be told apart",
    ),
    (
        "shadow-key-taken",
        "the shadow table already has a row under the key of a row of the family",
    ),
    (
        "living-owner",
        "a row of the family is not deleted and has another owner, which lives",
    ),
    (
        "younger-relative",
        "a row that belongs to the family is too young for the age that was asked for",
    ),
    (
        "no-date",
        "the root is marked deleted and bears no date, and an age was asked for",
    ),
    (
        "changed-meanwhile",
        "a row that belongs to the family was undeleted while it was read",
    ),
    (
        "gone-meanwhile",
        "a row that was named has gone from where it was before it could be locked",
    ),
    (
        "too-large",
        "the family alone is more than one transaction may be",
    ),
    (
        "refused",
        "the database refused this family, and this family alone",
    ),
    (
        "partly-live",
        "a part of the archived family is in the live tables",
    ),
    (
        "duplicate-in-shadow",
        "a row is in its shadow table twice, and nothing tells the two apart",
    ),
    (
        "live-key-taken",
        "a live row already has a key of an archived row that is to come back",
    ),
    (
        "live-column-missing",
        "an archived row has something in a column that the live table does not have",
    ),
    (
        "parent-archived",
        "an archived row refers to one that is archived too and does not come back with it",
    ),
    (
        "parent-missing",
        "an archived row refers to one that is neither live nor archived",
    ),
];

/// Whether a report may give that reason.
pub(super) fn is_known(reason: &str) -> bool {
    REASONS.iter().any(|(known, _)| *known == reason)
}
