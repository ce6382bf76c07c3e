//! JUnit XML as every reader takes it.

use quick_junit::Report;

use crate::error::{Error, Result};

/// The report as XML that is valid by the schema of Jenkins, the strictest there is: it knows a count of skipped
/// tests for each suite, and none for all of them together.
pub(super) fn xml(report: &Report) -> Result<String> {
    let xml = report
        .to_string()
        .map_err(|e| Error::internal(format!("a report cannot be written as JUnit: {e}")))?;
    let Some((before, root)) = xml.split_once("<testsuites ") else {
        return Ok(xml);
    };
    let (root, rest) = root.split_once('>').unwrap_or((root, ""));
    // No value of an attribute holds a quotation mark, so that this is one.
    let skipped = root.split_once(" skipped=\"");
    let without =
        skipped.and_then(|(head, tail)| Some(format!("{head}{}", tail.split_once('"')?.1)));
    let root = without.unwrap_or_else(|| root.to_owned());
    Ok(format!("{before}<testsuites {root}>{rest}"))
}

#[cfg(test)]
mod tests {
    use quick_junit::{TestCase, TestCaseStatus, TestSuite};

    use super::*;

    #[test]
    fn only_suites_count_their_skipped_tests() {
        let mut suite = TestSuite::new("suite");
        suite.add_test_case(TestCase::new("case", TestCaseStatus::skipped()));
        let mut report = Report::new("a > b skipped=\"3\"");
        report.add_test_suite(suite);
        let text = xml(&report).unwrap();
        assert!(
            text.contains(
                "<testsuites name=\"a &gt; b skipped=&quot;3&quot;\" tests=\"1\" failures=\"0\""
            ),
            "{text}"
        );
        assert!(
            text.contains("<testsuite name=\"suite\" tests=\"1\" skipped=\"1\""),
            "{text}"
        );
    }
}
