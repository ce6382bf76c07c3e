//! A revision, checked out beside the working tree.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

/// So many digits of a commit name its directory.
const DIGITS: usize = 12;

/// The commit that a revision names.
pub(super) fn commit(sh: &Shell, revision: &str) -> Result<String> {
    let object = format!("{revision}^{{commit}}");
    cmd!(
        sh,
        "git rev-parse --verify --quiet --end-of-options {object}"
    )
    .quiet()
    .ignore_stderr()
    .read()
    .ok()
    .with_context(|| format!("git knows no revision {revision:?}"))
}

/// A commit in one line.
pub(super) fn describe(sh: &Shell, commit: &str) -> Result<String> {
    let line = cmd!(sh, "git show --no-patch --format='%h %s' {commit}");
    Ok(line.quiet().read()?)
}

/// The working tree in one line.
pub(super) fn describe_working_tree(sh: &Shell) -> Result<String> {
    let changes = cmd!(sh, "git status --porcelain").quiet().read()?;
    let suffix = if changes.is_empty() {
        ""
    } else {
        ", with changes"
    };
    Ok(format!("{}{suffix}", describe(sh, "HEAD")?))
}

/// Checks a commit out into a worktree below the directory. One that is there is used again, any other is removed:
/// all are built in the same target directory, and cargo rebuilds what is newer than its last build. So a worktree
/// is either that of the last build or new.
pub(super) fn check_out(sh: &Shell, commit: &str, directory: &Path) -> Result<PathBuf> {
    let path = directory.join(commit.get(..DIGITS).unwrap_or(commit));
    if is_clean(sh, &path, commit) {
        return Ok(path);
    }
    let named = || directory.display().to_string();
    for entry in fs::read_dir(directory).with_context(named)? {
        let path = entry.with_context(named)?.path();
        if is_ours(&path) {
            remove(sh, &path)?;
        }
    }
    // By force: git may remember a worktree there that went with `cargo clean`.
    cmd!(
        sh,
        "git worktree add --quiet --force --detach {path} {commit}"
    )
    .quiet()
    .run()
    .with_context(|| format!("cannot check {commit} out"))?;
    Ok(path)
}

/// Whether the commit is checked out there, unchanged.
fn is_clean(sh: &Shell, path: &Path, commit: &str) -> bool {
    // Without a .git of its own git would answer for the working tree around it.
    path.join(".git").is_file()
        && cmd!(sh, "git -C {path} rev-parse HEAD")
            .quiet()
            .ignore_stderr()
            .read()
            .is_ok_and(|head| head == commit)
        && cmd!(sh, "git -C {path} status --porcelain")
            .quiet()
            .ignore_stderr()
            .read()
            .is_ok_and(|changes| changes.is_empty())
}

/// Whether the path is named like a worktree of this task.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.len() == DIGITS && name.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn remove(sh: &Shell, path: &Path) -> Result<()> {
    // By force, twice: one that was interrupted while it was made is locked.
    let removed = cmd!(sh, "git worktree remove --force --force {path}")
        .quiet()
        .ignore_stderr()
        .run();
    if removed.is_err() {
        fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with two commits, and an empty directory in it.
    fn repository() -> (tempfile::TempDir, Shell, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let sh = Shell::new().expect("a shell");
        sh.change_dir(directory.path());
        cmd!(sh, "git init --quiet").quiet().run().expect("git");
        sh.write_file(".gitignore", "/target\n").expect("room");
        for text in ["first", "second"] {
            sh.write_file("file", text).expect("room");
            cmd!(sh, "git add .").quiet().run().expect("git");
            cmd!(
                sh,
                "git -c user.name=a -c user.email=a@example.org commit --quiet --message {text}"
            )
            .quiet()
            .run()
            .expect("git");
        }
        let below = directory.path().join("target/bench-compare");
        fs::create_dir_all(&below).expect("a directory");
        (directory, sh, below)
    }

    #[test]
    fn a_revision_is_a_commit() {
        let (_directory, sh, _) = repository();
        let first = commit(&sh, "HEAD~1").expect("a commit");
        assert_eq!(first.len(), 40);
        assert!(describe(&sh, &first).expect("a line").ends_with(" first"));
        for unknown in ["HEAD~2", "nothing", "", "HEAD:file"] {
            let error = commit(&sh, unknown).expect_err("no commit");
            assert_eq!(error.chain().count(), 1, "{error:?}");
            assert_eq!(
                error.to_string(),
                format!("git knows no revision {unknown:?}")
            );
        }
    }

    #[test]
    fn the_working_tree_may_have_changes() {
        let (_directory, sh, _) = repository();
        let described = || describe_working_tree(&sh).expect("a line");
        assert!(described().ends_with(" second"));
        sh.write_file("file", "third").expect("room");
        assert!(described().ends_with(" second, with changes"));
    }

    #[test]
    fn a_worktree_is_used_again_while_it_is_the_last_one() {
        let (_directory, sh, below) = repository();
        let [first, second] = ["HEAD~1", "HEAD"].map(|r| commit(&sh, r).expect("a commit"));
        let text = |path: &Path| fs::read_to_string(path.join("file")).expect("a file");
        let written = |path: &Path| fs::metadata(path.join("file")).and_then(|m| m.modified());

        let path = check_out(&sh, &first, &below).expect("a worktree");
        assert_eq!(text(&path), "first");
        let before = written(&path).expect("a time");
        assert_eq!(check_out(&sh, &first, &below).expect("the same"), path);
        assert_eq!(written(&path).expect("a time"), before);

        let other = check_out(&sh, &second, &below).expect("another");
        assert_eq!(text(&other), "second");
        assert!(!path.exists());
        check_out(&sh, &first, &below).expect("the first again");
        assert!(written(&path).expect("a time") > before);
    }

    #[test]
    fn what_is_not_as_it_was_checked_out_is_replaced() {
        let (_directory, sh, below) = repository();
        let first = commit(&sh, "HEAD~1").expect("a commit");
        let path = check_out(&sh, &first, &below).expect("a worktree");
        type Spoil = fn(&Path) -> std::io::Result<()>;
        let spoilt: [Spoil; 4] = [
            |path| fs::write(path.join("file"), "mine"),
            |path| fs::write(path.join("new"), "mine"),
            |path| fs::remove_file(path.join(".git")),
            |path| fs::remove_dir_all(path),
        ];
        for spoil in spoilt {
            spoil(&path).expect("done");
            check_out(&sh, &first, &below).expect("a worktree again");
            assert!(is_clean(&sh, &path, &first));
        }
    }
}
