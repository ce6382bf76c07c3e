//! A run as a value: what the files were before it, and all that was done to them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::OpKind;
use super::power_loss::PowerLossStates;

/// A change of one file, with what it needs to be made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change<'a> {
    Create,
    Write { offset: u64, data: Cow<'a, [u8]> },
    Truncate { size: u64 },
    Sync,
    Delete,
}

impl Change<'_> {
    pub(super) fn kind(&self) -> OpKind {
        match self {
            Self::Create => OpKind::Create,
            Self::Write { .. } => OpKind::Write,
            Self::Truncate { .. } => OpKind::Truncate,
            Self::Sync => OpKind::Sync,
            Self::Delete => OpKind::Delete,
        }
    }

    fn into_owned(self) -> Change<'static> {
        match self {
            Self::Create => Change::Create,
            Self::Write { offset, data } => Change::Write {
                offset,
                data: Cow::Owned(data.into_owned()),
            },
            Self::Truncate { size } => Change::Truncate { size },
            Self::Sync => Change::Sync,
            Self::Delete => Change::Delete,
        }
    }
}

/// One operation that was carried out.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// Its number among all operations of the run.
    pub(super) operation: u64,
    /// Which of the files.
    pub(super) file: usize,
    pub(super) change: Change<'static>,
}

/// A file that the run used.
#[derive(Debug, Clone)]
pub(super) struct RecordedFile {
    pub(super) path: String,
    /// Its content before; `None` if it did not exist.
    pub(super) initial: Option<Vec<u8>>,
}

/// Everything that a run did to its files, made by a [`Vfs`](super::Vfs) that was told to record.
///
/// Only what went through the VFS is in it: a run beside which another connection wrote, or whose
/// recorded files were changed by other means, has no meaningful losses of power. Temporary files
/// are left out; they do not survive their process.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    pub(super) files: Vec<RecordedFile>,
    pub(super) events: Vec<Event>,
    /// After how many operations each marker was set, and what it is called.
    pub(super) marks: Vec<(u64, u64)>,
    operations: u64,
}

impl Recording {
    /// How many operations the run had, those that were not carried out included.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// The markers: after how many operations each was set, and its label.
    pub fn marks(&self) -> impl Iterator<Item = (u64, u64)> {
        self.marks.iter().copied()
    }

    /// The directory of the files, or the one that all their directories are in. Names in a
    /// [`PowerLoss`](super::PowerLoss) are relative to it.
    #[must_use]
    pub fn directory(&self) -> Option<PathBuf> {
        let mut parents = self.files.iter().map(|file| Path::new(&file.path).parent());
        let mut common = parents.next()??;
        for parent in parents.flatten() {
            while !parent.starts_with(common) {
                common = common.parent()?;
            }
        }
        Some(common.to_owned())
    }

    /// What could be on the disk after a loss of power at any moment of the run; see
    /// [`PowerLossStates`].
    #[must_use]
    pub fn power_loss_states(&self) -> PowerLossStates<'_> {
        PowerLossStates::new(self)
    }

    /// Takes note of a file. Whether it was new; only then its content is asked for.
    pub(super) fn meet(&mut self, path: &str, content: impl FnOnce() -> Option<Vec<u8>>) -> bool {
        if self.index(path).is_some() {
            return false;
        }
        self.files.push(RecordedFile {
            path: path.to_owned(),
            initial: content(),
        });
        true
    }

    pub(super) fn record(&mut self, operation: u64, path: &str, change: &Change<'_>) {
        if let Some(file) = self.index(path) {
            self.events.push(Event {
                operation,
                file,
                change: change.clone().into_owned(),
            });
        }
    }

    pub(super) fn mark(&mut self, after_operation: u64, label: u64) {
        self.marks.push((after_operation, label));
    }

    pub(super) fn end(&mut self, operations: u64) {
        self.operations = operations;
    }

    fn index(&self, path: &str) -> Option<usize> {
        self.files.iter().position(|file| file.path == path)
    }
}
