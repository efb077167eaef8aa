//! What SQLite calls: the only unsafe code.
//!
//! SQLite hands in pointers that it keeps valid for the length of a call, and one `sqlite3_file` of
//! the size asked for, which it gives to one thread at a time. Each function turns these into
//! references once, at its top, and calls safe code.
#![expect(unsafe_code, reason = "SQLite calls a virtual file system through C pointers")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::ptr;
use std::sync::{Arc, Mutex, OnceLock};

use clockwork::Entropy;
use rusqlite::ffi;

use crate::disk::{SharedMedium, find, lock};
use crate::medium::{Medium, NoPower};

/// A file's path is at most so long.
const PATH_BYTES_MAX: c_int = 512;

/// As SQLite's own file system for Unix says it.
const SECTOR_SAID_BYTES: c_int = 4096;

/// 1970-01-01 as SQLite counts: milliseconds since noon in Greenwich, 4714-11-24 before Christ.
const EPOCH_JULIAN_MS: i64 = 210_866_760_000_000;

/// The name of [`crate::VFS`], for C.
const NAME: &CStr = c"lossy-disk";

/// Registers the file system, once in a process; SQLite's code when it does not take it.
pub(crate) fn register() -> Result<(), c_int> {
    static REGISTERED: OnceLock<c_int> = OnceLock::new();
    let code = *REGISTERED.get_or_init(|| {
        let vfs = Box::leak(Box::new(vfs()));
        // SAFETY: the struct and all that it points to live as long as the process.
        unsafe { ffi::sqlite3_vfs_register(vfs, 0) }
    });
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(code) }
}

fn vfs() -> ffi::sqlite3_vfs {
    ffi::sqlite3_vfs {
        iVersion: 2,
        // A few dozen bytes.
        szOsFile: size_of::<OpenFile>() as c_int,
        mxPathname: PATH_BYTES_MAX,
        pNext: ptr::null_mut(),
        zName: NAME.as_ptr(),
        pAppData: ptr::null_mut(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_path_name),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: None,
        xCurrentTimeInt64: Some(current_time_ms),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }
}

/// Version 1: no shared memory, no memory-mapped pages.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock_nothing),
    xUnlock: Some(lock_nothing),
    xCheckReservedLock: Some(nothing_is_locked),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// A `sqlite3_file`, as C inherits: its fields first, then ours.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    /// From `Box::into_raw` in [`open`], back into a box in [`close`].
    handle: *mut Handle,
}

/// An open file.
struct Handle {
    medium: SharedMedium,
    name: String,
    boots: u64,
    takes: bool,
    vanishes: bool,
}

impl Handle {
    /// Opens `path`, or a file without a name that nobody else sees.
    fn open(path: Option<&str>, flags: c_int) -> Result<Handle, c_int> {
        let unnamed = || (Arc::new(Mutex::new(Medium::new(Entropy::new(0)))), "unnamed");
        let (medium, name) = match path {
            Some(path) => find(path).ok_or(ffi::SQLITE_CANTOPEN)?,
            None => unnamed(),
        };
        let takes = flags & ffi::SQLITE_OPEN_MAIN_DB != 0;
        let boots = {
            let mut medium = lock(&medium);
            if !medium.has_power() {
                return Err(ffi::SQLITE_IOERR);
            }
            if !medium.exists(name) && flags & ffi::SQLITE_OPEN_CREATE == 0 {
                return Err(ffi::SQLITE_CANTOPEN);
            }
            // There are no locks, so a second connection would ruin the first one's file.
            if takes && !medium.take(name) {
                return Err(ffi::SQLITE_CANTOPEN);
            }
            medium.create(name);
            medium.boots()
        };
        let vanishes = flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0;
        Ok(Handle { name: name.to_owned(), medium, boots, takes, vanishes })
    }

    /// Does `work` on the disk, or answers `failed` when the power is out or was.
    fn on_medium<T>(
        &self,
        failed: c_int,
        work: impl FnOnce(&mut Medium, &str) -> Result<T, NoPower>,
    ) -> Result<T, c_int> {
        let mut medium = lock(&self.medium);
        if !medium.has_power() || medium.boots() != self.boots {
            return Err(failed);
        }
        work(&mut medium, &self.name).map_err(|NoPower| failed)
    }

    fn close(&self) {
        // What fails here is lost with the power anyhow.
        let _ = self.on_medium(ffi::SQLITE_IOERR_CLOSE, |medium, name| {
            if self.takes {
                medium.give_back(name);
            }
            if self.vanishes { medium.delete(name, false) } else { Ok(()) }
        });
    }

    /// Fills `buffer` from `at`; false when the file ends before, and the rest is zero then.
    fn read(&self, at: usize, buffer: &mut [u8]) -> Result<bool, c_int> {
        self.on_medium(ffi::SQLITE_IOERR_READ, |medium, name| {
            let bytes = medium.read(name).and_then(|file| file.get(at..)).unwrap_or_default();
            let count = bytes.len().min(buffer.len());
            buffer[..count].copy_from_slice(&bytes[..count]);
            buffer[count..].fill(0);
            Ok(count == buffer.len())
        })
    }

    fn length(&self) -> Result<i64, c_int> {
        self.on_medium(ffi::SQLITE_IOERR_FSTAT, |medium, name| {
            Ok(medium.read(name).map_or(0, |bytes| bytes.len() as i64))
        })
    }
}

fn code(result: Result<(), c_int>) -> c_int {
    result.err().unwrap_or(ffi::SQLITE_OK)
}

/// An offset or a length; SQLite hands in none below zero.
fn place(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

/// The handle of a file that SQLite has open.
///
/// # Safety
/// `file` comes from [`open`], was opened successfully, and is not closed yet.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a Handle {
    // SAFETY: `open` wrote an `OpenFile` there, whose handle lives until `close`.
    unsafe { &*(*file.cast::<OpenFile>()).handle }
}

/// A path that SQLite hands in, which is UTF-8 as ours are.
///
/// # Safety
/// `path` is null or ends with a zero byte, and lives as long as it is used.
unsafe fn text<'a>(path: *const c_char) -> Option<&'a str> {
    if path.is_null() {
        return None;
    }
    // SAFETY: by this function's own contract.
    unsafe { CStr::from_ptr(path) }.to_str().ok()
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite's path is null or a C string.
    let opened = Handle::open(unsafe { text(path) }, flags);
    let (methods, handle, code) = match opened {
        Ok(handle) => (&raw const METHODS, Box::into_raw(Box::new(handle)), ffi::SQLITE_OK),
        // Without methods SQLite does not close it.
        Err(code) => (ptr::null(), ptr::null_mut(), code),
    };
    let base = ffi::sqlite3_file { pMethods: methods };
    // SAFETY: `file` has room for `szOsFile` bytes, which is an `OpenFile`.
    unsafe { file.cast::<OpenFile>().write(OpenFile { base, handle }) };
    if !flags_out.is_null() {
        // SAFETY: not null, so it is SQLite's own variable.
        unsafe { *flags_out = flags };
    }
    code
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: the handle comes from `Box::into_raw` in `open`, and SQLite closes a file once.
    let handle = unsafe { Box::from_raw((*file.cast::<OpenFile>()).handle) };
    handle.close();
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    buffer: *mut c_void,
    count: c_int,
    at: i64,
) -> c_int {
    // SAFETY: the file is open, and the buffer is SQLite's and `count` bytes long.
    let (handle, buffer) = unsafe {
        let count = place(i64::from(count));
        (handle(file), std::slice::from_raw_parts_mut(buffer.cast::<u8>(), count))
    };
    match handle.read(place(at), buffer) {
        Ok(true) => ffi::SQLITE_OK,
        Ok(false) => ffi::SQLITE_IOERR_SHORT_READ,
        Err(code) => code,
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    buffer: *const c_void,
    count: c_int,
    at: i64,
) -> c_int {
    // SAFETY: the file is open, and the buffer is SQLite's and `count` bytes long.
    let (handle, bytes) = unsafe {
        let count = place(i64::from(count));
        (handle(file), std::slice::from_raw_parts(buffer.cast::<u8>(), count))
    };
    code(
        handle.on_medium(ffi::SQLITE_IOERR_WRITE, |medium, name| {
            medium.write(name, place(at), bytes)
        }),
    )
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    code(
        handle.on_medium(ffi::SQLITE_IOERR_TRUNCATE, |medium, name| {
            medium.truncate(name, place(length))
        }),
    )
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    code(handle.on_medium(ffi::SQLITE_IOERR_FSYNC, |medium, name| medium.sync(name)))
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, length: *mut i64) -> c_int {
    // SAFETY: the file is open.
    match unsafe { handle(file) }.length() {
        Ok(bytes) => {
            // SAFETY: SQLite's own variable.
            unsafe { *length = bytes };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn lock_nothing(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn nothing_is_locked(_: *mut ffi::sqlite3_file, locked: *mut c_int) -> c_int {
    // SAFETY: SQLite's own variable.
    unsafe { *locked = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    SECTOR_SAID_BYTES
}

/// As SQLite's own file system for Unix says it: bytes beside those written stay as they are.
unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn delete(
    _: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    sync_directory: c_int,
) -> c_int {
    // SAFETY: SQLite's path is a C string.
    let Some((medium, name)) = unsafe { text(path) }.and_then(find) else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    let mut medium = lock(&medium);
    if !medium.exists(name) {
        return ffi::SQLITE_IOERR_DELETE_NOENT;
    }
    let deleted = medium.delete(name, sync_directory != 0);
    code(deleted.map_err(|NoPower| ffi::SQLITE_IOERR_DELETE))
}

unsafe extern "C" fn access(
    _: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    _: c_int,
    answer: *mut c_int,
) -> c_int {
    // SAFETY: SQLite's path is a C string.
    let found = unsafe { text(path) }.and_then(find);
    let exists = found.is_some_and(|(medium, name)| lock(&medium).exists(name));
    // SAFETY: SQLite's own variable.
    unsafe { *answer = c_int::from(exists) };
    ffi::SQLITE_OK
}

/// Paths are whole as they are.
unsafe extern "C" fn full_path_name(
    _: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    room: c_int,
    whole: *mut c_char,
) -> c_int {
    // SAFETY: SQLite's path is a C string.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes_with_nul();
    if bytes.len() > place(i64::from(room)) {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: there is room for so many bytes, and the two do not overlap.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().cast(), whole, bytes.len()) };
    ffi::SQLITE_OK
}

/// Only a default file system is asked for chance, and this is none.
unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, count: c_int, out: *mut c_char) -> c_int {
    // SAFETY: there is room for `count` bytes.
    unsafe { ptr::write_bytes(out, 0, place(i64::from(count))) };
    count
}

/// Nobody sleeps in virtual time by stopping the thread.
unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, days: *mut f64) -> c_int {
    // SAFETY: SQLite's own variable.
    unsafe { *days = EPOCH_JULIAN_MS as f64 / 86_400_000.0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time_ms(_: *mut ffi::sqlite3_vfs, ms: *mut i64) -> c_int {
    // SAFETY: SQLite's own variable.
    unsafe { *ms = EPOCH_JULIAN_MS };
    ffi::SQLITE_OK
}
