//! An in-memory disk for SQLite that loses in a power cut what was not synced.
//!
//! A killed process loses nothing that it wrote: the operating system keeps it. A machine that
//! loses power does. A [`Disk`] remembers what was written since the last sync, and at a power cut
//! keeps all of it, some of it, torn at sector borders, or none. Every write, truncation, sync and
//! deletion is an operation with a number, so that the power can go at each of them in turn.
//!
//! SQLite reaches it as a virtual file system (VFS) of the name [`VFS`], registered once in a
//! process. Disks are told apart by the first part of a file's path ([`Disk::path`]); nothing is
//! shared between two of them, so any number can be in use at once.
//!
//! Read in this order: `medium.rs` (what is written, synced and lost, without SQLite), `disk.rs`
//! (the value that a simulation holds), `vfs.rs` (what SQLite calls: the only unsafe code).
//!
//! What it does not have: locks and shared memory. One connection at a time opens a database, and
//! in WAL mode it must be `locking_mode = EXCLUSIVE`, which keeps the WAL's index in its own memory
//! and changes nothing about what is synced. Time stands still and chance comes from the disk's own
//! entropy; only the salts in a WAL's header are SQLite's own, and nothing depends on their value.

mod disk;
mod medium;
mod vfs;

pub use disk::{Disk, Error};

/// The name of the virtual file system, for `Connection::open_with_flags_and_vfs`.
pub const VFS: &str = "lossy-disk";

/// What a disk writes as a whole or not at all, in bytes. Disks of today have 4096 and pretend to
/// have 512; the smaller one tears more.
pub const SECTOR_BYTES: usize = 512;
