//! SQLite on a disk whose power goes at every operation, one after the other.

use clockwork::Entropy;
use lossy_disk::{Disk, VFS};
use rusqlite::{Connection, OpenFlags};

/// Each is one transaction.
const ROWS: i64 = 12;

/// How a database is opened.
#[derive(Clone, Copy)]
struct Mode {
    journal: &'static str,
    synchronous: &'static str,
}

fn open(disk: &Disk, mode: Mode) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let db = Connection::open_with_flags_and_vfs(disk.path("test.db"), flags, VFS)?;
    // Before the first look at the file: in WAL mode there is no shared memory for its index.
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    db.pragma_update(None, "journal_mode", mode.journal)?;
    db.pragma_update(None, "synchronous", mode.synchronous)?;
    // Often, so that power cuts meet checkpoints too.
    db.pragma_update(None, "wal_autocheckpoint", 8)?;
    Ok(db)
}

/// Writes rows, large enough for several pages; the ids of those whose commit was answered.
fn work(disk: &Disk, mode: Mode) -> (Vec<i64>, rusqlite::Result<()>) {
    let mut acknowledged = Vec::new();
    let mut work = || {
        let db = open(disk, mode)?;
        db.execute_batch("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")?;
        for id in 0..ROWS {
            let text = "x".repeat(3000);
            db.execute("INSERT INTO rows VALUES (?1, ?2)", (id, text))?;
            acknowledged.push(id);
        }
        Ok(())
    };
    let end = work();
    (acknowledged, end)
}

/// The ids that are there after a power cut; none when the database is broken.
fn recovered(disk: &Disk, mode: Mode) -> rusqlite::Result<Option<Vec<i64>>> {
    disk.power_on();
    let db = open(disk, mode)?;
    let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if sound != "ok" {
        return Ok(None);
    }
    let exists = "SELECT count(*) FROM sqlite_schema";
    if db.query_row(exists, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(Some(Vec::new()));
    }
    let mut statement = db.prepare("SELECT id FROM rows ORDER BY id")?;
    statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>().map(Some)
}

/// What became of cutting the power at each operation in turn.
#[derive(Debug, PartialEq, Eq)]
struct Sweep {
    operations: u64,
    /// After so many of the cuts an acknowledged row was missing.
    lost: u64,
    /// After so many the database was no longer sound.
    broken: u64,
}

fn sweep(journal: &'static str, synchronous: &'static str, seed: u64) -> Sweep {
    let mode = Mode { journal, synchronous };
    let undisturbed = Disk::new(Entropy::new(seed)).expect("a disk");
    let (acknowledged, end) = work(&undisturbed, mode);
    assert_eq!((acknowledged.len() as i64, end), (ROWS, Ok(())));
    let operations = undisturbed.operations();
    let mut sweep = Sweep { operations, lost: 0, broken: 0 };
    for operation in 1..=operations {
        let disk = Disk::new(Entropy::new(seed)).expect("a disk");
        disk.cut_at(operation);
        let (acknowledged, _) = work(&disk, mode);
        assert_eq!((disk.has_power(), disk.cuts()), (false, vec![operation]));
        match recovered(&disk, mode) {
            Ok(Some(kept)) => {
                sweep.lost += u64::from(acknowledged.iter().any(|id| !kept.contains(id)));
            }
            Ok(None) | Err(_) => sweep.broken += 1,
        }
    }
    sweep
}

#[test]
fn with_full_no_power_cut_loses_what_was_acknowledged() {
    for journal in ["WAL", "TRUNCATE"] {
        for seed in 0..2 {
            let sweep = sweep(journal, "FULL", seed);
            assert!(sweep.operations > 100, "{journal}: {sweep:?}");
            assert_eq!((sweep.lost, sweep.broken), (0, 0), "{journal}, seed {seed}");
        }
    }
}

#[test]
fn with_normal_power_cuts_lose_what_was_acknowledged_and_break_nothing() {
    let sweep = sweep("WAL", "NORMAL", 1);
    assert!(sweep.lost * 4 > sweep.operations && sweep.broken == 0, "{sweep:?}");
}

#[test]
fn without_syncs_power_cuts_lose_what_was_acknowledged_and_break_the_database() {
    let sweep = sweep("WAL", "OFF", 1);
    assert!(sweep.lost * 2 > sweep.operations && sweep.broken > 0, "{sweep:?}");
}

#[test]
fn a_killed_process_loses_nothing_even_without_syncs() {
    let mode = Mode { journal: "WAL", synchronous: "OFF" };
    let disk = Disk::new(Entropy::new(1)).unwrap();
    let (acknowledged, _) = work(&disk, mode);
    assert_eq!(recovered(&disk, mode).unwrap().unwrap(), acknowledged);
}

#[test]
fn a_connection_that_outlived_a_power_cut_is_dead_for_ever() {
    let mode = Mode { journal: "WAL", synchronous: "FULL" };
    let disk = Disk::new(Entropy::new(1)).unwrap();
    let db = open(&disk, mode).unwrap();
    db.execute_batch("CREATE TABLE rows (id INTEGER PRIMARY KEY)").unwrap();
    disk.power_cut();
    assert!(db.execute_batch("INSERT INTO rows VALUES (1)").is_err());
    disk.power_on();
    assert!(db.execute_batch("INSERT INTO rows VALUES (1)").is_err());
    drop(db);
    assert!(recovered(&disk, mode).unwrap().unwrap().is_empty());
}

#[test]
fn a_copy_has_the_same_files_and_goes_its_own_way() {
    let mode = Mode { journal: "WAL", synchronous: "FULL" };
    let disk = Disk::new(Entropy::new(1)).unwrap();
    let (acknowledged, _) = work(&disk, mode);
    let copy = disk.copy(Entropy::new(2)).unwrap();
    assert_eq!(copy.operations(), 0);
    open(&copy, mode).unwrap().execute_batch("DELETE FROM rows").unwrap();
    assert_eq!(recovered(&disk, mode).unwrap().unwrap(), acknowledged);
    assert_eq!(recovered(&copy, mode).unwrap().unwrap(), Vec::<i64>::new());
    copy.erase();
    assert!(work(&copy, mode).1.is_ok(), "an empty disk");
}

#[test]
fn a_database_has_one_connection_at_a_time() {
    let mode = Mode { journal: "WAL", synchronous: "FULL" };
    let disk = Disk::new(Entropy::new(1)).unwrap();
    let first = open(&disk, mode).unwrap();
    assert!(open(&disk, mode).is_err());
    drop(first);
    assert!(open(&disk, mode).is_ok());
}

#[test]
fn disks_in_several_threads_have_nothing_in_common() {
    let alone = sweep("WAL", "NORMAL", 7);
    std::thread::scope(|scope| {
        let sweep = || sweep("WAL", "NORMAL", 7);
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(sweep)).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), alone);
        }
    });
}
