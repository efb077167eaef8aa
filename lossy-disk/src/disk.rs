//! The disk as a simulation holds it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use clockwork::Entropy;

use crate::medium::Medium;
use crate::vfs;

/// A disk that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite does not take the virtual file system.
    #[error("registration of the virtual file system: SQLite's code {code}")]
    Register {
        /// SQLite's result code.
        code: i32,
    },
}

/// A disk in memory. Clones are the same disk; it is gone with the last of them and the last file
/// that is open on it.
#[derive(Debug, Clone)]
pub struct Disk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    number: u64,
    medium: SharedMedium,
}

/// What open files hold of their disk.
pub(crate) type SharedMedium = Arc<Mutex<Medium>>;

/// Disks by number. A number is in paths only, which nothing of a run depends on.
static DISKS: Mutex<Disks> = Mutex::new(Disks { made: 0, by_number: BTreeMap::new() });

struct Disks {
    made: u64,
    by_number: BTreeMap<u64, Weak<Mutex<Medium>>>,
}

impl Disk {
    /// An empty disk. `entropy` decides what a power cut leaves of what was not synced.
    ///
    /// # Errors
    /// [`Error::Register`], the first time, when SQLite is out of memory.
    pub fn new(entropy: Entropy) -> Result<Disk, Error> {
        Disk::with(Medium::new(entropy))
    }

    /// A disk with the same files, all of them synced. Its operations count from 1.
    ///
    /// # Errors
    /// As [`Disk::new`].
    pub fn copy(&self, entropy: Entropy) -> Result<Disk, Error> {
        let medium = self.medium().copy(entropy);
        Disk::with(medium)
    }

    fn with(medium: Medium) -> Result<Disk, Error> {
        vfs::register().map_err(|code| Error::Register { code })?;
        let medium = Arc::new(Mutex::new(medium));
        let mut disks = lock(&DISKS);
        disks.made += 1;
        let number = disks.made;
        disks.by_number.insert(number, Arc::downgrade(&medium));
        Ok(Disk { shared: Arc::new(Shared { number, medium }) })
    }

    /// The path of the file `name`, to be opened with the virtual file system [`VFS`](crate::VFS).
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.shared.number)
    }

    /// How many operations there were: writes, truncations, syncs and deletions.
    pub fn operations(&self) -> u64 {
        self.medium().operations()
    }

    /// The power will go at this operation, counted from 1 over all power cuts. Of a write at which
    /// it goes nothing, all or a part is on the medium; a sync at which it goes promises nothing.
    pub fn cut_at(&self, operation: u64) {
        self.medium().cut_at(operation);
    }

    /// The power will go at none of the operations named so far.
    pub fn forget_cuts(&self) {
        self.medium().forget_cuts();
    }

    /// The power goes, now. What was not synced survives, sector by sector, or not; from now on
    /// every operation fails, also of files that were open, for ever.
    pub fn power_cut(&self) {
        self.medium().power_cut();
    }

    /// The power is back: the files are what is on the medium.
    pub fn power_on(&self) {
        self.medium().power_on();
    }

    /// Whether it has power.
    pub fn has_power(&self) -> bool {
        self.medium().has_power()
    }

    /// The operations at which the power went, or after which it was cut, in order.
    pub fn cuts(&self) -> Vec<u64> {
        self.medium().cuts().to_vec()
    }

    /// Takes every file away, as a new disk would.
    pub fn erase(&self) {
        self.medium().erase();
    }

    fn medium(&self) -> MutexGuard<'_, Medium> {
        lock(&self.shared.medium)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        lock(&DISKS).by_number.remove(&self.number);
    }
}

/// The disk and the name of the file that `path` means.
pub(crate) fn find(path: &str) -> Option<(SharedMedium, &str)> {
    let (number, name) = path.split_once('/')?;
    let number = number.parse().ok()?;
    let medium = lock(&DISKS).by_number.get(&number)?.upgrade()?;
    Some((medium, name))
}

/// Nothing panics while one is held but in a test that fails.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_found_by_its_paths_until_it_is_gone() {
        let disk = Disk::new(Entropy::new(1)).unwrap();
        let path = disk.path("oms.db");
        let (_, name) = find(&path).unwrap();
        assert_eq!(name, "oms.db");
        drop(disk);
        assert!(find(&path).is_none());
        assert!(find("oms.db").is_none() && find("x/oms.db").is_none());
    }
}
