//! Files in memory, each as programs see it and as it is on the medium.

use std::collections::{BTreeMap, BTreeSet};

use clockwork::Entropy;

use crate::SECTOR_BYTES;

/// No answer: the power is out, or the program that asks died with an earlier power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoPower;

/// All files of a disk.
#[derive(Debug)]
pub(crate) struct Medium {
    files: BTreeMap<String, File>,
    /// Deleted, and the directory was not synced: they may be back after a power cut.
    deleted: BTreeMap<String, Vec<u8>>,
    /// Databases that a connection has open.
    in_use: BTreeSet<String>,
    operations: u64,
    cuts: BTreeSet<u64>,
    /// Operations at which the power went.
    cut: Vec<u64>,
    powered: bool,
    boots: u64,
    entropy: Entropy,
}

/// A file as programs see it, and what of it is on the medium.
#[derive(Debug, Default)]
struct File {
    seen: Vec<u8>,
    /// `None` before its directory entry is on the medium, which it is with the next sync.
    synced: Option<Vec<u8>>,
    /// What was done to it since.
    unsynced: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate { length: usize },
}

/// What becomes of writes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// None was carried out.
    Lost,
    /// They were carried out in order, and the power went in the middle of one.
    Prefix,
    /// Each sector was written or not, in any order.
    Torn,
}

impl Medium {
    pub(crate) fn new(entropy: Entropy) -> Medium {
        Medium {
            files: BTreeMap::new(),
            deleted: BTreeMap::new(),
            in_use: BTreeSet::new(),
            operations: 0,
            cuts: BTreeSet::new(),
            cut: Vec::new(),
            powered: true,
            boots: 0,
            entropy,
        }
    }

    /// Which start of the machine this is, from 0. A file opened in an earlier one is dead.
    pub(crate) fn boots(&self) -> u64 {
        self.boots
    }

    pub(crate) fn has_power(&self) -> bool {
        self.powered
    }

    pub(crate) fn operations(&self) -> u64 {
        self.operations
    }

    pub(crate) fn cuts(&self) -> &[u64] {
        &self.cut
    }

    pub(crate) fn cut_at(&mut self, operation: u64) {
        self.cuts.insert(operation);
    }

    pub(crate) fn forget_cuts(&mut self) {
        self.cuts.clear();
    }

    /// Marks `name` as open; false when it already is.
    pub(crate) fn take(&mut self, name: &str) -> bool {
        self.in_use.insert(name.to_owned())
    }

    pub(crate) fn give_back(&mut self, name: &str) {
        self.in_use.remove(name);
    }

    /// Makes `name` exist. Not an operation: it is on the medium after its first sync.
    pub(crate) fn create(&mut self, name: &str) {
        self.files.entry(name.to_owned()).or_default();
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// The bytes as programs see them.
    pub(crate) fn read(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(|file| file.seen.as_slice())
    }

    pub(crate) fn write(&mut self, name: &str, at: usize, bytes: &[u8]) -> Result<(), NoPower> {
        self.change(name, Change::Write { at, bytes: bytes.to_vec() })
    }

    pub(crate) fn truncate(&mut self, name: &str, length: usize) -> Result<(), NoPower> {
        self.change(name, Change::Truncate { length })
    }

    fn change(&mut self, name: &str, change: Change) -> Result<(), NoPower> {
        let power = self.begin()?;
        if let Some(file) = self.files.get_mut(name) {
            change.apply(&mut file.seen);
            file.unsynced.push(change);
        }
        self.end(power)
    }

    /// Waits until everything done to `name` is on the medium.
    pub(crate) fn sync(&mut self, name: &str) -> Result<(), NoPower> {
        let power = self.begin()?;
        if let (Power::Stays, Some(file)) = (power, self.files.get_mut(name)) {
            let synced = file.synced.get_or_insert_default();
            for change in file.unsynced.drain(..) {
                change.apply(synced);
            }
            self.sync_directory();
        }
        self.end(power)
    }

    /// What was created and deleted so far is so on the medium. Journalling file systems write the
    /// journal of their directories in order, with the next sync of any file.
    fn sync_directory(&mut self) {
        self.deleted.clear();
        for file in self.files.values_mut() {
            file.synced.get_or_insert_default();
        }
    }

    /// Deletes `name`, and waits until the directory is on the medium if `synced`.
    pub(crate) fn delete(&mut self, name: &str, synced: bool) -> Result<(), NoPower> {
        let power = self.begin()?;
        if let Some(bytes) = self.files.remove(name).and_then(|file| file.synced) {
            self.deleted.insert(name.to_owned(), bytes);
        }
        if synced && power == Power::Stays {
            self.sync_directory();
        }
        self.end(power)
    }

    /// Counts an operation.
    fn begin(&mut self) -> Result<Power, NoPower> {
        if !self.powered {
            return Err(NoPower);
        }
        self.operations += 1;
        let goes = self.cuts.remove(&self.operations);
        Ok(if goes { Power::Goes } else { Power::Stays })
    }

    fn end(&mut self, power: Power) -> Result<(), NoPower> {
        match power {
            Power::Stays => Ok(()),
            Power::Goes => {
                self.power_cut();
                Err(NoPower)
            }
        }
    }

    /// The power goes, now. From here on every file is what is left of it.
    pub(crate) fn power_cut(&mut self) {
        if !std::mem::replace(&mut self.powered, false) {
            return;
        }
        self.cut.push(self.operations);
        self.in_use.clear();
        let chance = self.entropy.fork("power-cut", (self.operations, self.cut.len()));
        let fate = Fate::draw(chance);
        let mut left = BTreeMap::new();
        for (name, bytes) in std::mem::take(&mut self.deleted) {
            if chance.fork("undeleted", name.as_str()).chance(0.5) {
                left.insert(name, File::on_medium(bytes));
            }
        }
        for (name, file) in std::mem::take(&mut self.files) {
            if let Some(bytes) = file.left(fate, chance.fork("file", name.as_str())) {
                left.insert(name, File::on_medium(bytes));
            }
        }
        self.files = left;
    }

    pub(crate) fn power_on(&mut self) {
        if !std::mem::replace(&mut self.powered, true) {
            self.boots += 1;
        }
    }

    /// Every file that is on the medium as it would be if each were synced now.
    pub(crate) fn copy(&self, entropy: Entropy) -> Medium {
        let whole =
            |(name, file): (&String, &File)| (name.clone(), File::on_medium(file.seen.clone()));
        let files = self.files.iter().map(whole).collect();
        Medium { files, ..Medium::new(entropy) }
    }

    pub(crate) fn erase(&mut self) {
        self.files.clear();
        self.deleted.clear();
        self.in_use.clear();
    }
}

/// What the power does at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Power {
    Stays,
    Goes,
}

impl File {
    fn on_medium(bytes: Vec<u8>) -> File {
        File { seen: bytes.clone(), synced: Some(bytes), unsynced: Vec::new() }
    }

    /// What is found of it when the power is back; `None` when it has vanished.
    fn left(self, fate: Fate, chance: Entropy) -> Option<Vec<u8>> {
        let created = fate != Fate::Lost && chance.fork("created", 0).chance(0.5);
        let mut bytes = match self.synced {
            Some(bytes) => bytes,
            None if created => Vec::new(),
            None => return None,
        };
        let count = self.unsynced.len();
        // From none to all of them; the next one is torn.
        let whole = (chance.fork("whole", 0).unit() * (count + 1) as f64) as usize;
        for (place, change) in self.unsynced.into_iter().enumerate() {
            let chance = chance.fork("change", place);
            match fate {
                Fate::Prefix if place < whole => change.apply(&mut bytes),
                Fate::Prefix if place == whole => change.apply_beginning(&mut bytes, chance),
                Fate::Torn => change.apply_pieces(&mut bytes, chance),
                Fate::Lost | Fate::Prefix => break,
            }
        }
        Some(bytes)
    }
}

impl Fate {
    fn draw(chance: Entropy) -> Fate {
        match (chance.fork("fate", 0).unit() * 3.0) as u8 {
            0 => Fate::Lost,
            1 => Fate::Prefix,
            _ => Fate::Torn,
        }
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Change::Write { at, bytes } => write(file, *at, bytes),
            // A file is only made shorter: SQLite makes it longer by writing.
            Change::Truncate { length } => file.truncate(*length),
        }
    }

    /// Some of its sectors, in order.
    fn apply_beginning(&self, file: &mut Vec<u8>, chance: Entropy) {
        if let Change::Write { at, bytes } = self {
            let pieces: Vec<_> = pieces(*at, bytes).collect();
            let count = (chance.unit() * pieces.len() as f64) as usize;
            for (at, piece) in &pieces[..count] {
                write(file, *at, piece);
            }
        }
    }

    /// Any of its sectors.
    fn apply_pieces(&self, file: &mut Vec<u8>, chance: Entropy) {
        match self {
            Change::Write { at, bytes } => {
                for (at, piece) in pieces(*at, bytes) {
                    if chance.fork("sector", at).chance(0.5) {
                        write(file, at, piece);
                    }
                }
            }
            Change::Truncate { .. } if chance.chance(0.5) => self.apply(file),
            Change::Truncate { .. } => {}
        }
    }
}

/// Writes `bytes` into `file`; what lies between its end and `at` is zero.
fn write(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}

/// `bytes` at `at`, cut at the borders of sectors.
fn pieces(at: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let first = (SECTOR_BYTES - at % SECTOR_BYTES).min(bytes.len());
    let (head, tail) = bytes.split_at(first);
    let head = (!head.is_empty()).then_some((at, head));
    let tail = tail.chunks(SECTOR_BYTES).enumerate();
    head.into_iter().chain(tail.map(move |(n, piece)| (at + first + n * SECTOR_BYTES, piece)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: u8 = 1;
    const NEW: u8 = 2;

    /// What a power cut leaves of a file of four sectors of `OLD` that are synced, when `NEW` was
    /// written over them.
    fn cut(seed: u64) -> Vec<u8> {
        let mut medium = Medium::new(Entropy::new(seed));
        medium.create("f");
        medium.write("f", 0, &[OLD; 4 * SECTOR_BYTES]).unwrap();
        medium.sync("f").unwrap();
        medium.write("f", 0, &[NEW; 4 * SECTOR_BYTES]).unwrap();
        medium.power_cut();
        medium.power_on();
        medium.read("f").unwrap().to_vec()
    }

    #[test]
    fn what_was_synced_survives_every_power_cut() {
        for seed in 0..100 {
            let mut medium = Medium::new(Entropy::new(seed));
            medium.create("f");
            medium.write("f", 3, b"synced").unwrap();
            medium.sync("f").unwrap();
            medium.write("f", 20, b"not").unwrap();
            medium.power_cut();
            assert_eq!(medium.write("f", 0, b"x"), Err(NoPower), "the power is out");
            medium.power_on();
            assert_eq!(&medium.read("f").unwrap()[..9], b"\0\0\0synced");
        }
    }

    #[test]
    fn what_was_not_synced_is_lost_kept_or_torn_at_the_borders_of_sectors() {
        let (mut lost, mut kept, mut torn) = (0, 0, 0);
        for seed in 0..300 {
            let bytes = cut(seed);
            let sectors: Vec<u8> = bytes.chunks(SECTOR_BYTES).map(|sector| sector[0]).collect();
            for sector in bytes.chunks(SECTOR_BYTES) {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "torn within a sector");
            }
            match sectors.iter().filter(|sector| **sector == NEW).count() {
                0 => lost += 1,
                4 => kept += 1,
                _ => torn += 1,
            }
        }
        assert!(lost > 100 && kept > 30 && torn > 50, "{lost} {kept} {torn}");
    }

    #[test]
    fn the_same_seed_loses_the_same() {
        for seed in 0..50 {
            assert_eq!(cut(seed), cut(seed));
        }
        assert!((0..50).any(|seed| cut(seed) != cut(seed + 50)));
    }

    #[test]
    fn a_file_that_was_never_synced_may_vanish() {
        let exists = |seed| {
            let mut medium = Medium::new(Entropy::new(seed));
            medium.create("f");
            medium.write("f", 0, b"x").unwrap();
            medium.power_cut();
            medium.exists("f")
        };
        let count = (0..100).filter(|seed| exists(*seed)).count();
        assert!((10..60).contains(&count), "{count}");
    }

    #[test]
    fn a_deleted_journal_may_be_back_until_its_directory_was_synced() {
        let back = |seed, synced, after| {
            let mut medium = Medium::new(Entropy::new(seed));
            medium.create("journal");
            medium.write("journal", 0, b"x").unwrap();
            medium.sync("journal").unwrap();
            medium.delete("journal", synced).unwrap();
            assert!(!medium.exists("journal"));
            if after {
                medium.create("another");
                medium.sync("another").unwrap();
            }
            medium.power_cut();
            medium.exists("journal")
        };
        let count = (0..100).filter(|seed| back(*seed, false, false)).count();
        assert!((30..70).contains(&count), "{count}");
        assert_eq!((0..100).filter(|seed| back(*seed, true, false)).count(), 0);
        assert_eq!((0..100).filter(|seed| back(*seed, false, true)).count(), 0);
    }

    #[test]
    fn the_power_goes_at_exactly_the_named_operation() {
        let mut medium = Medium::new(Entropy::new(1));
        medium.create("f");
        medium.cut_at(3);
        assert_eq!(medium.write("f", 0, b"a"), Ok(()));
        assert_eq!(medium.sync("f"), Ok(()));
        assert!(medium.has_power());
        assert_eq!(medium.write("f", 1, b"b"), Err(NoPower));
        assert!(!medium.has_power());
        assert_eq!(medium.sync("f"), Err(NoPower));
        assert_eq!((medium.operations(), medium.cuts()), (3, &[3][..]));
        medium.power_on();
        assert_eq!(medium.boots(), 1);
        assert_eq!(medium.sync("f"), Ok(()), "it goes once");
        assert_eq!(medium.operations(), 4, "numbers go on");
    }

    #[test]
    fn a_sync_at_which_the_power_goes_promises_nothing() {
        let kept = |seed| {
            let mut medium = Medium::new(Entropy::new(seed));
            medium.create("f");
            medium.sync("f").unwrap();
            medium.write("f", 0, b"x").unwrap();
            medium.cut_at(3);
            assert_eq!(medium.sync("f"), Err(NoPower));
            medium.read("f").unwrap() == b"x"
        };
        let count = (0..100).filter(|seed| kept(*seed)).count();
        assert!((10..90).contains(&count), "{count}");
    }

    #[test]
    fn pieces_are_the_whole_and_end_at_sectors() {
        for (at, length) in [(0, 0), (0, 512), (5, 3), (500, 24), (500, 4096), (1024, 1025)] {
            let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let pieces: Vec<_> = pieces(at, &bytes).collect();
            let whole: Vec<u8> = pieces.iter().flat_map(|(_, piece)| piece.to_vec()).collect();
            assert_eq!(whole, bytes);
            for (at, piece) in pieces {
                assert_eq!(at / SECTOR_BYTES, (at + piece.len() - 1) / SECTOR_BYTES);
            }
        }
    }
}
