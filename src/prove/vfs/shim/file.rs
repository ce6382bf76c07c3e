//! An open file of ours, and the real one behind it.
//!
//! In SQLite's memory a file of ours is a [`File`] with the file of the default VFS behind it.

use std::os::raw::c_int;
use std::ptr;

use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods};

use super::super::recording::Change;
use super::super::state::{Disk, Shared};
use super::methods::METHODS;

/// What is in front of the real file.
#[repr(C, align(8))]
struct File {
    base: sqlite3_file,
    shared: &'static Shared,
    /// Empty for a temporary file.
    path: String,
    is_main: bool,
    /// When it was opened.
    epoch: u64,
}

/// The room that SQLite must make for a file, if the real one needs `real` bytes.
pub(super) fn size(real: c_int) -> c_int {
    // Some dozens of bytes.
    real + c_int::try_from(size_of::<File>()).unwrap_or(0)
}

/// Where the real file is.
///
/// # Safety
///
/// `file` must point to as many bytes as [`size`] says.
pub(super) unsafe fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: the caller's promise.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// Closes a real file, if it is open.
///
/// # Safety
///
/// `real` must be a file of the default VFS, open or with null methods.
pub(super) unsafe fn close_real(real: *mut sqlite3_file) -> c_int {
    // SAFETY: the caller's promise; an open file has methods.
    let methods = unsafe { (*real).pMethods.as_ref() };
    match methods.and_then(|methods| methods.xClose) {
        // SAFETY: as above.
        Some(close) => unsafe { close(real) },
        None => ffi::SQLITE_OK,
    }
}

/// Makes a file of ours out of SQLite's memory.
///
/// # Safety
///
/// `file` must point to as many bytes as [`size`] says, with no file of ours in them yet, and the
/// real file must be open.
pub(super) unsafe fn fill_in(
    file: *mut sqlite3_file,
    shared: &'static Shared,
    path: String,
    is_main: bool,
    epoch: u64,
) {
    let filled = File {
        base: sqlite3_file { pMethods: &METHODS },
        shared,
        path,
        is_main,
        epoch,
    };
    // SAFETY: the caller's promise. What was there is memory, not a file to be dropped.
    unsafe { ptr::write(file.cast(), filled) };
}

/// Closes a file of ours and the real one.
///
/// # Safety
///
/// `file` must have been filled in and must not be used after this.
pub(super) unsafe fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let code = close_real(real(file));
        ptr::drop_in_place(file.cast::<File>());
        code
    }
}

/// An open file of ours during one call.
pub(super) struct Open<'a> {
    file: &'a File,
    pub(super) real: *mut sqlite3_file,
}

impl<'a> Open<'a> {
    /// # Safety
    ///
    /// `file` must have been filled in, and not closed, for `'a`; its calls must not overlap, which
    /// SQLite sees to.
    pub(super) unsafe fn of(file: *mut sqlite3_file) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                file: &*file.cast(),
                real: real(file),
            }
        }
    }

    /// The functions of the real file.
    pub(super) fn methods(&self) -> &sqlite3_io_methods {
        // SAFETY: the real file is open for as long as this one, so it has methods.
        unsafe { &*(*self.real).pMethods }
    }

    /// Whether the process that opened it is to be dead. Otherwise the file counts as used.
    pub(super) fn is_dead(&self) -> bool {
        let dead = self.file.shared.is_dead(self.file.epoch);
        if !dead {
            self.touch();
        }
        dead
    }

    pub(super) fn touch(&self) {
        let File { path, is_main, .. } = self.file;
        self.file.shared.touch(path, *is_main, self);
    }

    pub(super) fn operate(&self, change: &Change<'_>) -> c_int {
        if self.file.shared.is_dead(self.file.epoch) {
            return ffi::SQLITE_IOERR;
        }
        self.touch();
        self.file.shared.operate(&self.file.path, change, self)
    }
}

impl Disk for Open<'_> {
    fn apply(&self, change: &Change<'_>) -> c_int {
        match change {
            Change::Write { offset, data } => {
                // They were of these types when SQLite passed them.
                let (Ok(offset), Ok(amount)) =
                    (i64::try_from(*offset), c_int::try_from(data.len()))
                else {
                    return ffi::SQLITE_IOERR_WRITE;
                };
                let data = data.as_ptr().cast();
                // SAFETY: the real file is open, and `data` has `amount` bytes.
                unsafe {
                    call!(
                        self.methods(),
                        xWrite(self.real, data, amount, offset),
                        ffi::SQLITE_IOERR_WRITE
                    )
                }
            }
            Change::Truncate { size } => {
                let Ok(size) = i64::try_from(*size) else {
                    return ffi::SQLITE_IOERR_TRUNCATE;
                };
                // SAFETY: the real file is open.
                unsafe {
                    call!(
                        self.methods(),
                        xTruncate(self.real, size),
                        ffi::SQLITE_IOERR_TRUNCATE
                    )
                }
            }
            // A sync stays here; a file that is open is not made or deleted.
            Change::Sync | Change::Create | Change::Delete => ffi::SQLITE_OK,
        }
    }

    fn size(&self) -> u64 {
        let mut size = 0;
        // SAFETY: the real file is open.
        let code = unsafe {
            call!(
                self.methods(),
                xFileSize(self.real, &raw mut size),
                ffi::SQLITE_IOERR_FSTAT
            )
        };
        match code {
            ffi::SQLITE_OK => u64::try_from(size).unwrap_or(0),
            _ => 0,
        }
    }

    /// Through the file itself and not by its path: opening and closing a database once more would
    /// drop the locks that the process has on it (POSIX).
    fn content(&self) -> Option<Vec<u8>> {
        const PIECE: usize = 1 << 20;
        let mut content = vec![0; usize::try_from(self.size()).ok()?];
        let mut offset = 0;
        for piece in content.chunks_mut(PIECE) {
            let amount = c_int::try_from(piece.len()).ok()?;
            let start = piece.as_mut_ptr().cast();
            // SAFETY: the real file is open, and `start` has room for `amount` bytes.
            let code = unsafe {
                call!(
                    self.methods(),
                    xRead(self.real, start, amount, offset),
                    ffi::SQLITE_IOERR_READ
                )
            };
            if code != ffi::SQLITE_OK {
                return None;
            }
            offset += i64::from(amount);
        }
        Some(content)
    }
}
