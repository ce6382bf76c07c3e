//! `sexton explain`: the page of a check, or of a reason for which a family stays.

use sexton::archive::REASONS;
use sexton::audit;
use sexton::error::{Error, Result};
use sexton::exit::ExitCode;
use sexton::nearest::meant;

use super::output::OutputFile;

/// Explain a check, or the reason for which a family stays, and what to do about it.
///
/// The names are those of reports: split-family, residue, live-child ... Without a name all of them are listed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The name of a check, or of a reason.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// No progress on stderr, of which there is none: so that one setting fits all commands.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    output: OutputFile,
}

/// Names and texts of the files `docs/reasons/<name>.md`; those of checks are `audit::page`.
macro_rules! pages {
    ($($name:literal),* $(,)?) => {
        &[$((
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reasons/", $name, ".md")),
        )),*]
    };
}

const OF_REASONS: &[(&str, &str)] = pages!(
    "changed-meanwhile",
    "gone-meanwhile",
    "live-child",
    "live-column-missing",
    "live-key-taken",
    "living-owner",
    "no-date",
    "no-key",
    "no-shadow-table",
    "non-transactional-table",
    "parent-archived",
    "parent-missing",
    "partly-live",
    "refused",
    "shadow-column-missing",
    "shadow-column-required",
    "shadow-column-type",
    "shadow-key-taken",
    "soft-deleted-child-stays",
    "too-large",
    "younger-relative",
);

/// Runs the command; the exit code.
pub(crate) fn run(args: &Args) -> Result<u8> {
    args.output.check([])?;
    let text = match &args.name {
        Some(name) => explain(name)?,
        None => list(),
    };
    args.output.write(&text)?;
    Ok(ExitCode::Done as u8)
}

/// The page; of a name that is both, that of the check and then that of the reason.
fn explain(name: &str) -> Result<String> {
    let of_reason = OF_REASONS.iter().find(|(known, _)| *known == name);
    let of_reason = of_reason.map(|(_, text)| *text);
    let texts = audit::page(name).into_iter().chain(of_reason);
    let texts: Vec<_> = texts.map(with_plain_links).collect();
    match texts.is_empty() {
        false => Ok(texts.join("\n")),
        true => {
            let mut checks: Vec<_> = audit::catalogue().into_iter().map(|(id, _)| id).collect();
            checks.sort_unstable();
            let reasons = OF_REASONS.iter().map(|(known, _)| *known);
            let known = checks.into_iter().chain(reasons);
            Err(
                Error::usage(format!("'{name}' is neither a check nor a reason"))
                    .hint(meant(name, known)),
            )
        }
    }
}

fn list() -> String {
    let lines = |list: &[(&str, &str)]| -> String {
        let line = |(name, summary): &(&str, &str)| format!("  {name:24} {summary}\n");
        list.iter().map(line).collect()
    };
    format!(
        "Checks of sexton audit:\n{}\nReasons for which a family stays, of sexton archive, purge and restore:\n{}",
        lines(&audit::catalogue()),
        lines(&REASONS)
    )
}

/// The text with links to other pages as the commands that print them.
fn with_plain_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let link = before.rsplit_once('[').zip(after.split_once(".md)"));
        match link {
            Some(((before, words), (page, after))) if !page.contains(['/', ' ', '\n']) => {
                plain += before;
                if words != page {
                    plain += &format!("{words}: ");
                }
                plain += &format!("`sexton explain {page}`");
                rest = after;
            }
            _ => {
                plain += before;
                plain += "](";
                rest = after;
            }
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_and_every_reason_has_a_page() {
        for (check, _) in audit::catalogue() {
            assert!(audit::page(check).is_some(), "no page of {check}");
        }
        for (reason, sentence) in REASONS {
            if OF_REASONS.iter().any(|(known, _)| *known == reason) {
                let (first, rest) = sentence.split_at(1);
                let head = format!("# {reason}\n\n{}{rest}.\n\n", first.to_uppercase());
                assert!(explain(reason).unwrap().contains(&head), "{reason}");
            } else {
                assert!(audit::page(reason).is_some(), "no page of {reason}");
            }
        }
    }

    #[test]
    fn every_page_is_known() {
        let is_known = |directory: &str, name: &str| match directory {
            "checks" => audit::page(name).is_some(),
            _ => OF_REASONS.iter().any(|(known, _)| *known == name),
        };
        for directory in ["checks", "reasons"] {
            let path = format!("{}/docs/{directory}", env!("CARGO_MANIFEST_DIR"));
            for file in std::fs::read_dir(path).unwrap() {
                let name = file.unwrap().file_name().into_string().unwrap();
                let name = name.trim_end_matches(".md");
                assert!(is_known(directory, name), "{name}");
                assert!(
                    list().contains(&format!("  {name} ")),
                    "{name} is not listed"
                );
            }
        }
    }

    #[test]
    fn links_become_commands() {
        let plain =
            with_plain_links("see [a](a.md), [this one](b.md), [out](https://x.md) and [c]");
        let expected =
            "see `sexton explain a`, this one: `sexton explain b`, [out](https://x.md) and [c]";
        assert_eq!(plain, expected);
    }
}
