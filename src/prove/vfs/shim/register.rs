//! Registering a VFS.

use std::ffi::CString;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::ffi::{self, sqlite3_vfs};

use super::super::state::Shared;
use super::{calls, file};
use crate::error::{Error, Result};

/// How many have been registered, for their names.
static REGISTERED: AtomicU64 = AtomicU64::new(0);

/// What SQLite hands to every call of a VFS.
#[derive(Debug)]
pub(super) struct AppData {
    pub(super) shared: Shared,
    name: CString,
    /// The VFS that does the work.
    pub(super) real: *mut sqlite3_vfs,
}

/// A registered VFS. Dropping it takes the name away.
///
/// The structures behind it are never freed, some hundred bytes each: a connection may outlive its
/// registration, SQLite keeps calling them for as long as it lives, and does not tell when it ends.
#[derive(Debug)]
pub(in super::super) struct Registration {
    vfs: *mut sqlite3_vfs,
    app: &'static AppData,
    name: String,
}

// SAFETY: `vfs` is only given to SQLite, which guards its list of VFSs with a mutex (it is built
// thread-safe); `app` is shared between threads anyway, see below.
unsafe impl Send for Registration {}
// SAFETY: as for `Send`; no method through `&self` uses `vfs`.
unsafe impl Sync for Registration {}
// SAFETY: `shared` is `Sync`, `name` is never changed, and `real` is a VFS that SQLite itself calls
// from all threads.
unsafe impl Sync for AppData {}

impl Registration {
    pub(in super::super) fn new() -> Result<Self> {
        // SAFETY: a null name asks for the default VFS; SQLite initialises itself first.
        let real = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
        // SAFETY: not null, and SQLite never frees its default VFS.
        let Some(default) = (unsafe { real.as_ref() }) else {
            return Err(Error::internal("SQLite has no default VFS"));
        };
        let number = REGISTERED.fetch_add(1, Ordering::Relaxed);
        let name = format!("sexton-{number}");
        let c_name = CString::new(name.as_str())
            .map_err(|error| Error::internal(format!("no name for a VFS: {error}")))?;
        let app: &'static AppData = Box::leak(Box::new(AppData {
            shared: Shared::default(),
            name: c_name,
            real,
        }));
        let vfs: *mut sqlite3_vfs = Box::leak(Box::new(sqlite3_vfs {
            // Without the system calls, which are a matter of the unix VFS.
            iVersion: 2,
            szOsFile: file::size(default.szOsFile),
            mxPathname: default.mxPathname,
            pNext: ptr::null_mut(),
            zName: app.name.as_ptr(),
            pAppData: ptr::from_ref(app).cast_mut().cast(),
            xOpen: Some(calls::open),
            xDelete: Some(calls::delete),
            xAccess: Some(calls::access),
            xFullPathname: Some(calls::full_pathname),
            xDlOpen: Some(calls::dl_open),
            xDlError: Some(calls::dl_error),
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(calls::randomness),
            xSleep: Some(calls::sleep),
            xCurrentTime: Some(calls::current_time),
            xGetLastError: Some(calls::get_last_error),
            xCurrentTimeInt64: Some(calls::current_time_int64),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: `vfs` and all it points to live for ever.
        let code = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
        if code != ffi::SQLITE_OK {
            let message = format!("SQLite does not take a VFS: {}", ffi::code_to_str(code));
            return Err(Error::internal(message));
        }
        Ok(Self { vfs, app, name })
    }

    pub(in super::super) fn name(&self) -> &str {
        &self.name
    }

    pub(in super::super) fn shared(&self) -> &'static Shared {
        &self.app.shared
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: it was registered, and stays valid for connections that still use it.
        unsafe { ffi::sqlite3_vfs_unregister(self.vfs) };
        self.app.shared.disarm();
    }
}
