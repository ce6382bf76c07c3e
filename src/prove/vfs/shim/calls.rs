//! The calls that SQLite makes on a VFS as a whole: open, delete, access, and what is only passed on.

use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

use rusqlite::ffi::{self, sqlite3_file, sqlite3_filename, sqlite3_vfs};

use super::super::recording::Change;
use super::super::state::Disk;
use super::file::{self, Open};
use super::register::AppData;

/// What belongs to a VFS of ours.
///
/// # Safety
///
/// `vfs` must be one that `Registration::new` made.
unsafe fn app(vfs: *mut sqlite3_vfs) -> &'static AppData {
    // SAFETY: the caller's promise; both structs were leaked.
    unsafe { &*(*vfs).pAppData.cast::<AppData>() }
}

/// A path as SQLite gives it; empty for none.
///
/// # Safety
///
/// `name` must be null or a C string.
unsafe fn path_of(name: *const c_char) -> String {
    if name.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(name) }
        .to_string_lossy()
        .into_owned()
}

/// A file about to be opened.
struct Opening {
    vfs: *mut sqlite3_vfs,
    name: sqlite3_filename,
    real: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
}

impl Disk for Opening {
    fn apply(&self, _: &Change<'_>) -> c_int {
        let Self {
            name,
            real,
            flags,
            out_flags,
            ..
        } = *self;
        // SAFETY: `open` got these from SQLite, and made room for the real file; the name is passed
        // on as the same pointer, as the default VFS finds URI parameters behind it.
        unsafe {
            let code = call!(
                self.vfs,
                xOpen(self.vfs, name, real, flags, out_flags),
                ffi::SQLITE_CANTOPEN
            );
            if code != ffi::SQLITE_OK {
                file::close_real(real);
            }
            code
        }
    }

    fn size(&self) -> u64 {
        0
    }

    fn content(&self) -> Option<Vec<u8>> {
        None
    }
}

pub(super) unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes our VFS, `szOsFile` bytes for the file, and a path or null.
    let (app, path, real) = unsafe {
        // Without methods SQLite does not close a file that did not open.
        (*file).pMethods = ptr::null();
        (app(vfs), path_of(name), file::real(file))
    };
    // SAFETY: the room for the real file is ours to write to.
    unsafe { (*real).pMethods = ptr::null() };
    let shared = &app.shared;
    let opening = Opening {
        vfs: app.real,
        name,
        real,
        flags,
        out_flags,
    };
    let epoch = shared.epoch();
    // Not through xAccess, to which an empty file does not exist.
    let creates =
        flags & ffi::SQLITE_OPEN_CREATE != 0 && Path::new(&path).symlink_metadata().is_err();
    // A named file that goes away on closing is as temporary as one without name.
    let path = match flags & ffi::SQLITE_OPEN_DELETEONCLOSE {
        0 => path,
        _ => String::new(),
    };
    let code = if creates {
        shared.operate(&path, &Change::Create, &opening)
    } else if shared.is_frozen() {
        ffi::SQLITE_IOERR
    } else {
        opening.apply(&Change::Create)
    };
    if code != ffi::SQLITE_OK {
        return code;
    }
    let is_main = flags & ffi::SQLITE_OPEN_MAIN_DB != 0;
    // SAFETY: the memory is SQLite's for a file of ours, holds none yet, and the real file is open.
    let opened = unsafe {
        file::fill_in(file, shared, path, is_main, epoch);
        Open::of(file)
    };
    opened.touch();
    code
}

/// A file about to be deleted.
struct Doomed<'a> {
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    path: &'a str,
}

impl Disk for Doomed<'_> {
    fn apply(&self, _: &Change<'_>) -> c_int {
        // SAFETY: the name is the one that SQLite passed. Without the sync of the directory, as syncs
        // are not passed on.
        unsafe {
            call!(
                self.vfs,
                xDelete(self.vfs, self.name, 0),
                ffi::SQLITE_IOERR_DELETE
            )
        }
    }

    fn size(&self) -> u64 {
        0
    }

    fn content(&self) -> Option<Vec<u8>> {
        // SQLite deletes journals, which have no locks that closing could drop.
        std::fs::read(self.path).ok()
    }
}

pub(super) unsafe extern "C" fn delete(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    _sync: c_int,
) -> c_int {
    // SAFETY: SQLite passes our VFS and a path.
    let (app, path) = unsafe { (app(vfs), path_of(name)) };
    let doomed = Doomed {
        vfs: app.real,
        name,
        path: &path,
    };
    app.shared.operate(&path, &Change::Delete, &doomed)
}

pub(super) unsafe extern "C" fn access(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes our VFS; the rest is passed on.
    unsafe {
        let app = app(vfs);
        if app.shared.is_frozen() {
            return ffi::SQLITE_IOERR_ACCESS;
        }
        call!(
            app.real,
            xAccess(app.real, name, flags, out),
            ffi::SQLITE_IOERR_ACCESS
        )
    }
}

pub(super) unsafe extern "C" fn full_pathname(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    size: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite passes our VFS; the rest is passed on.
    unsafe {
        let real = app(vfs).real;
        call!(
            real,
            xFullPathname(real, name, size, out),
            ffi::SQLITE_CANTOPEN
        )
    }
}

/// No extension is loaded through a VFS of ours.
pub(super) unsafe extern "C" fn dl_open(_: *mut sqlite3_vfs, _: *const c_char) -> *mut c_void {
    ptr::null_mut()
}

pub(super) unsafe extern "C" fn dl_error(_: *mut sqlite3_vfs, size: c_int, out: *mut c_char) {
    if size > 0 && !out.is_null() {
        // SAFETY: `out` has room for `size` bytes, of which there is one.
        unsafe { *out = 0 };
    }
}

pub(super) unsafe extern "C" fn randomness(
    vfs: *mut sqlite3_vfs,
    size: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite passes our VFS; the rest is passed on.
    unsafe {
        let real = app(vfs).real;
        call!(real, xRandomness(real, size, out), 0)
    }
}

pub(super) unsafe extern "C" fn sleep(vfs: *mut sqlite3_vfs, microseconds: c_int) -> c_int {
    // SAFETY: SQLite passes our VFS; the rest is passed on.
    unsafe {
        let real = app(vfs).real;
        call!(real, xSleep(real, microseconds), 0)
    }
}

pub(super) unsafe extern "C" fn current_time(vfs: *mut sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: SQLite passes our VFS; the rest is passed on.
    unsafe {
        let real = app(vfs).real;
        call!(real, xCurrentTime(real, out), ffi::SQLITE_ERROR)
    }
}

pub(super) unsafe extern "C" fn current_time_int64(vfs: *mut sqlite3_vfs, out: *mut i64) -> c_int {
    // SAFETY: SQLite passes our VFS; the rest is passed on.
    unsafe {
        let real = app(vfs).real;
        call!(real, xCurrentTimeInt64(real, out), ffi::SQLITE_ERROR)
    }
}

pub(super) unsafe extern "C" fn get_last_error(
    vfs: *mut sqlite3_vfs,
    size: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite passes our VFS; the rest is passed on.
    unsafe {
        let real = app(vfs).real;
        call!(real, xGetLastError(real, size, out), 0)
    }
}
