//! What a [`Vfs`](super::Vfs) knows of its run, and what becomes of each operation. No SQLite
//! pointers here: the files are behind [`Disk`].

use std::os::raw::c_int;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::ffi;

use super::recording::{Change, Recording};
use super::{IoFault, IoMode, OpKind, Operation, Seen};

/// A real file, or the place of one, as far as the decisions need it.
pub(super) trait Disk {
    /// Carries out the change and answers as SQLite expects.
    fn apply(&self, change: &Change<'_>) -> c_int;

    /// How long the file is.
    fn size(&self) -> u64;

    /// All of the file; `None` where there is none.
    fn content(&self) -> Option<Vec<u8>>;
}

/// The state that all connections of one VFS share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The number of the run, or of the time between two, from 1; goes up with each of them.
    epoch: AtomicU64,
    /// The last epoch in which the process was frozen, 0 for none. What was opened up to then is
    /// dead.
    dead: AtomicU64,
    /// Whether the run is recorded. Apart, for reads to pass without the mutex.
    recording: AtomicBool,
    run: Mutex<Run>,
}

#[derive(Debug, Default)]
struct Run {
    armed: bool,
    fault: Option<IoFault>,
    seen: Seen,
    /// The labels of the files that were seen, by path.
    labels: Vec<(String, Arc<str>)>,
    tape: Option<Recording>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            epoch: AtomicU64::new(1),
            dead: AtomicU64::new(0),
            recording: AtomicBool::new(false),
            run: Mutex::default(),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Run> {
        // Nothing is left half done by a panic: a run is counters and lists.
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`Vfs::arm`](super::Vfs::arm).
    pub(super) fn arm(&self, fault: Option<IoFault>, record: bool) {
        let mut run = self.lock();
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.recording.store(record, Ordering::SeqCst);
        run.armed = true;
        run.fault = fault;
        run.seen.operations.clear();
        run.seen.fired = None;
        run.labels.clear();
        run.tape = record.then(Recording::default);
    }

    /// See [`Vfs::disarm`](super::Vfs::disarm).
    pub(super) fn disarm(&self) -> Recording {
        let mut run = self.lock();
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.recording.store(false, Ordering::SeqCst);
        run.armed = false;
        let count = run.seen.count();
        let mut recording = run.tape.take().unwrap_or_default();
        recording.end(count);
        recording
    }

    /// See [`Vfs::seen`](super::Vfs::seen).
    pub(super) fn seen(&self) -> Seen {
        self.lock().seen.clone()
    }

    /// See [`Vfs::mark`](super::Vfs::mark).
    pub(super) fn mark(&self, label: u64) {
        let mut run = self.lock();
        let count = run.seen.count();
        if let Some(tape) = &mut run.tape {
            tape.mark(count, label);
        }
    }

    /// The epoch in which a file is being opened, for [`is_dead`](Self::is_dead).
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Whether what was opened in this epoch belongs to a process that was frozen since. The end of
    /// the run does not revive it: a dead engine that is dropped late must not tidy up its files.
    pub(super) fn is_dead(&self, epoch: u64) -> bool {
        epoch <= self.dead.load(Ordering::SeqCst)
    }

    /// Whether the process is dead now.
    pub(super) fn is_frozen(&self) -> bool {
        self.is_dead(self.epoch())
    }

    /// Notes the content of a file that is used for the first time in a recording, and of the
    /// journals beside a main database: a WAL that is there and is not touched is part of it.
    pub(super) fn touch(&self, path: &str, is_main: bool, disk: &dyn Disk) {
        if path.is_empty() || !self.recording.load(Ordering::SeqCst) {
            return;
        }
        let mut run = self.lock();
        let Some(tape) = &mut run.tape else { return };
        if tape.meet(path, || disk.content()) && is_main {
            for ending in ["-wal", "-journal"] {
                let path = format!("{path}{ending}");
                // Opening and closing a database here would drop the locks that the process has on
                // it (POSIX); these two are never locked.
                if let Ok(content) = std::fs::read(&path) {
                    tape.meet(&path, || Some(content));
                }
            }
        }
    }

    /// Decides about one operation and carries it out, or not.
    ///
    /// The real operation runs under the lock: the order in which operations are counted and
    /// recorded is the order in which they happen, and nothing slips in after a freeze.
    pub(super) fn operate(&self, path: &str, change: &Change<'_>, disk: &dyn Disk) -> c_int {
        let mut run = self.lock();
        if self.is_frozen() {
            return ffi::SQLITE_IOERR;
        }
        if !run.armed {
            return disk.apply(change);
        }
        let kind = change.kind();
        let file = run.label(path);
        run.seen.operations.push(Operation { kind, file });
        let number = run.seen.count();
        // Before the fault: a file is part of the database even if all that is ever tried on it
        // fails.
        if let Some(tape) = &mut run.tape
            && !path.is_empty()
        {
            tape.meet(path, || match kind {
                OpKind::Create => None,
                _ => disk.content(),
            });
        }
        if let Some(mode) = run.strikes(number, change, disk) {
            if mode == IoMode::Freeze {
                self.dead.store(self.epoch(), Ordering::SeqCst);
            }
            return answer(mode, kind);
        }
        let code = disk.apply(change);
        if code == ffi::SQLITE_OK
            && !path.is_empty()
            && let Some(tape) = &mut run.tape
        {
            tape.record(number, path, change);
        }
        code
    }
}

impl Run {
    fn label(&mut self, path: &str) -> Arc<str> {
        if let Some((_, label)) = self.labels.iter().find(|(known, _)| known == path) {
            return Arc::clone(label);
        }
        let label: Arc<str> = label(path).into();
        self.labels.push((path.to_owned(), Arc::clone(&label)));
        label
    }

    fn strikes(&mut self, number: u64, change: &Change<'_>, disk: &dyn Disk) -> Option<IoMode> {
        let fault = self.fault?;
        if number == fault.operation {
            self.seen.fired = Some(number);
            return Some(fault.mode);
        }
        self.seen.fired?;
        let again = match fault.mode {
            IoMode::Error | IoMode::Full => false,
            IoMode::ErrorForGood | IoMode::Freeze => true,
            IoMode::FullForGood => match change {
                Change::Create => true,
                Change::Write { offset, data } => offset + data.len() as u64 > disk.size(),
                Change::Truncate { size } => *size > disk.size(),
                Change::Sync | Change::Delete => false,
            },
        };
        again.then_some(fault.mode)
    }
}

/// What a failed operation answers: what the unix VFS would.
fn answer(mode: IoMode, kind: OpKind) -> c_int {
    match (mode, kind) {
        (IoMode::Freeze, _) => ffi::SQLITE_IOERR,
        (_, OpKind::Create) => ffi::SQLITE_CANTOPEN,
        (IoMode::Full | IoMode::FullForGood, OpKind::Write) => ffi::SQLITE_FULL,
        (_, OpKind::Write) => ffi::SQLITE_IOERR_WRITE,
        (_, OpKind::Truncate) => ffi::SQLITE_IOERR_TRUNCATE,
        (_, OpKind::Sync) => ffi::SQLITE_IOERR_FSYNC,
        (_, OpKind::Delete) => ffi::SQLITE_IOERR_DELETE,
    }
}

/// What an [`Operation`] calls a file.
fn label(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    // `-mj` and nine random hexadecimal digits.
    match name.rsplit_once("-mj") {
        Some((main, random)) if random.len() == 9 => &name[..main.len() + 3],
        _ if name.is_empty() => "(temporary)",
        _ => name,
    }
}
