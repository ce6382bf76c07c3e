//! The calls that SQLite makes on an open file.

use std::borrow::Cow;
use std::os::raw::{c_int, c_void};
use std::slice;

use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods};

use super::super::recording::Change;
use super::file::{self, Open};

pub(super) static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // Without memory-mapped I/O, which would be writing and reading behind our back.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite passes an open file of ours and does not use it any more after this.
    unsafe { file::close(file) }
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    out: *mut c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: SQLite passes an open file of ours; the rest is passed on.
    unsafe {
        let open = Open::of(file);
        if open.is_dead() {
            return ffi::SQLITE_IOERR_READ;
        }
        call!(
            open.methods(),
            xRead(open.real, out, amount, offset),
            ffi::SQLITE_IOERR_READ
        )
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    data: *const c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    let (Ok(length), Ok(offset)) = (usize::try_from(amount), u64::try_from(offset)) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    // SAFETY: SQLite passes an open file of ours and `amount` bytes.
    let (open, data) = unsafe {
        let data = slice::from_raw_parts(data.cast::<u8>(), length);
        (Open::of(file), data)
    };
    open.operate(&Change::Write {
        offset,
        data: Cow::Borrowed(data),
    })
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    let Ok(size) = u64::try_from(size) else {
        return ffi::SQLITE_IOERR_TRUNCATE;
    };
    // SAFETY: SQLite passes an open file of ours.
    unsafe { Open::of(file) }.operate(&Change::Truncate { size })
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: SQLite passes an open file of ours.
    unsafe { Open::of(file) }.operate(&Change::Sync)
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: SQLite passes an open file of ours; the rest is passed on.
    unsafe {
        let open = Open::of(file);
        if open.is_dead() {
            return ffi::SQLITE_IOERR_FSTAT;
        }
        call!(
            open.methods(),
            xFileSize(open.real, out),
            ffi::SQLITE_IOERR_FSTAT
        )
    }
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite passes an open file of ours; the rest is passed on.
    unsafe {
        let open = Open::of(file);
        if open.is_dead() {
            return ffi::SQLITE_IOERR_LOCK;
        }
        call!(
            open.methods(),
            xLock(open.real, level),
            ffi::SQLITE_IOERR_LOCK
        )
    }
}

/// Also for a dead process: the system frees its locks.
unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite passes an open file of ours; the rest is passed on.
    unsafe {
        let open = Open::of(file);
        call!(
            open.methods(),
            xUnlock(open.real, level),
            ffi::SQLITE_IOERR_UNLOCK
        )
    }
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: SQLite passes an open file of ours; the rest is passed on.
    unsafe {
        let open = Open::of(file);
        if open.is_dead() {
            return ffi::SQLITE_IOERR_CHECKRESERVEDLOCK;
        }
        call!(
            open.methods(),
            xCheckReservedLock(open.real, out),
            ffi::SQLITE_IOERR_CHECKRESERVEDLOCK
        )
    }
}

unsafe extern "C" fn file_control(
    file: *mut sqlite3_file,
    operation: c_int,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: SQLite passes an open file of ours; the rest is passed on.
    unsafe {
        let open = Open::of(file);
        if open.is_dead() {
            return ffi::SQLITE_IOERR;
        }
        match operation {
            // These make the unix VFS grow or map files by itself, uncounted.
            ffi::SQLITE_FCNTL_SIZE_HINT
            | ffi::SQLITE_FCNTL_CHUNK_SIZE
            | ffi::SQLITE_FCNTL_MMAP_SIZE => ffi::SQLITE_NOTFOUND,
            _ => call!(
                open.methods(),
                xFileControl(open.real, operation, argument),
                ffi::SQLITE_NOTFOUND
            ),
        }
    }
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite passes an open file of ours.
    unsafe {
        let open = Open::of(file);
        call!(open.methods(), xSectorSize(open.real), 0)
    }
}

/// Only what the losses of power that are made up keep to, and the same on every file system: that
/// a write leaves the bytes around it alone.
unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite passes an open file of ours.
    unsafe {
        let open = Open::of(file);
        call!(open.methods(), xDeviceCharacteristics(open.real), 0)
            & ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
    }
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: SQLite passes an open file of ours; the rest is passed on.
    unsafe {
        let open = Open::of(file);
        if open.is_dead() {
            return ffi::SQLITE_IOERR_SHMMAP;
        }
        call!(
            open.methods(),
            xShmMap(open.real, region, size, extend, out),
            ffi::SQLITE_IOERR_SHMMAP
        )
    }
}

unsafe extern "C" fn shm_lock(
    file: *mut sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: SQLite passes an open file of ours; the rest is passed on.
    unsafe {
        let open = Open::of(file);
        // The system frees the locks of a dead process.
        if flags & ffi::SQLITE_SHM_UNLOCK == 0 && open.is_dead() {
            return ffi::SQLITE_IOERR_SHMLOCK;
        }
        call!(
            open.methods(),
            xShmLock(open.real, offset, count, flags),
            ffi::SQLITE_IOERR_SHMLOCK
        )
    }
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: SQLite passes an open file of ours.
    unsafe {
        let open = Open::of(file);
        call!(open.methods(), xShmBarrier(open.real), ())
    }
}

/// Also for a dead process, which unmaps but deletes nothing.
unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: SQLite passes an open file of ours; the rest is passed on.
    unsafe {
        let open = Open::of(file);
        let delete = if open.is_dead() { 0 } else { delete };
        call!(
            open.methods(),
            xShmUnmap(open.real, delete),
            ffi::SQLITE_IOERR
        )
    }
}
