//! Data directories that are initialised once per process and then copied.
//!
//! Initialising takes one to two seconds, a copy a tenth of one.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use super::process::Watchdog;
use crate::error::{Error, Result};

/// An initialised data directory that lasts as long as the process. A static has no destructor, so
/// its watchdog is what removes the directory.
pub(super) struct Template {
    made: Mutex<Option<(TempDir, Watchdog)>>,
}

impl Template {
    /// A template that is not made yet.
    pub(super) const fn new() -> Self {
        Self {
            made: Mutex::new(None),
        }
    }

    /// Copies the template to `target`; the first caller has `initialise` make it, in the empty
    /// directory it is given.
    pub(super) fn copy_to(
        &self,
        target: &Path,
        initialise: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let source = match &*made {
            Some((directory, _)) => directory.path(),
            None => {
                let directory = temporary_directory("sexton-template-")?;
                let watchdog = Watchdog::new(directory.path())?;
                initialise(directory.path())?;
                made.insert((directory, watchdog)).0.path()
            }
        };
        copy_tree(source, target).map_err(|e| {
            Error::unavailable(format!("cannot copy a data directory to {target:?}: {e}"))
                .hint("make room there, or name another directory in TMPDIR")
        })
    }
}

/// A new directory in the system's place for temporary files.
pub(super) fn temporary_directory(prefix: &str) -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix(prefix)
        .tempdir()
        .map_err(|e| {
            Error::unavailable(format!("cannot make a temporary directory: {e}"))
                .hint("make room there, or name another directory in TMPDIR")
        })
}

/// Copies directories and files with their modes and owners. Data directories hold nothing else.
fn copy_tree(source: &Path, target: &Path) -> io::Result<()> {
    let metadata = fs::metadata(source)?;
    fs::create_dir_all(target)?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let to = target.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &to)?;
        } else {
            copy_sparse(&entry.path(), &to)?;
        }
    }
    fs::set_permissions(target, metadata.permissions())?;
    chown(target, Some(metadata.uid()), Some(metadata.gid()))
}

/// Copies a file and leaves holes where it has only zeros: logs and tablespaces are mostly that.
fn copy_sparse(source: &Path, target: &Path) -> io::Result<()> {
    const BLOCK: usize = 64 * 1024;
    static ZEROS: [u8; BLOCK] = [0; BLOCK];
    let mut from = File::open(source)?;
    let mut to = File::create_new(target)?;
    let metadata = from.metadata()?;
    let mut block = vec![0; BLOCK];
    loop {
        let length = from.read(&mut block)?;
        if length == 0 {
            break;
        }
        // A slice comparison is one memcmp, in builds without optimisation too.
        if block[..length] == ZEROS[..length] {
            to.seek(SeekFrom::Current(length as i64))?;
        } else {
            to.write_all(&block[..length])?;
        }
    }
    to.set_len(metadata.len())?;
    to.set_permissions(metadata.permissions())?;
    chown(target, Some(metadata.uid()), Some(metadata.gid()))
}
