//! The name under which a finding is known from run to run, and from format to format.

use sha2::{Digest, Sha256};

use super::Finding;

/// How a finding is told from all others: sixteen hexadecimal digits of a hash of its check, table (with the
/// cell before it, where there are several), reference, path and kind. Nothing in it changes with the rows or the
/// place of the database: no count, no sample, no age, no host.
pub(super) fn fingerprint(finding: &Finding) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        // With its length before it: "ab" and "c" are not "a" and "bc".
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    part("sexton finding 1");
    part(&finding.check);
    part(&finding.table);
    part(finding.reference.as_deref().unwrap_or_default());
    part(finding.kind.as_deref().unwrap_or_default());
    finding.path.iter().for_each(|step| part(step));
    let digits = hash.finalize();
    digits.iter().take(8).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    #[test]
    fn it_is_of_what_and_where_and_of_nothing_that_changes_with_the_rows() {
        let mut finding = Finding::new("residue", Severity::Warning, "tags", 3);
        let first = fingerprint(&finding);
        // It stands in files that people keep.
        assert_eq!(first, "d9c6cc6c78a97816");
        finding.count = 4;
        finding.samples = vec!["1".into()];
        (finding.oldest, finding.newest) = (Some("2024".into()), Some("2025".into()));
        (finding.message, finding.remedy) = ("m".into(), "r".into());
        finding.select = Some("SELECT 1 FROM host".into());
        finding.severity = Severity::Error;
        assert_eq!(fingerprint(&finding), first);

        let other = |change: fn(&mut Finding)| {
            let mut other = finding.clone();
            change(&mut other);
            assert_ne!(fingerprint(&other), first, "{other:?}");
        };
        other(|f| f.check = "orphaned-row".into());
        other(|f| f.table = "cell1.tags".into());
        other(|f| f.reference = Some("tags.resource_id -> instances.uuid".into()));
        other(|f| f.path = vec!["instances".into()]);
        other(|f| f.kind = Some("deleted-parent".into()));
        other(|f| (f.check, f.table) = ("residuet".into(), "ags".into()));
    }
}
