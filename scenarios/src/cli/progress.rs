//! What is under way, on standard error, and only on a terminal.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};

/// One line that is written over and over.
pub(super) struct Progress {
    all: usize,
    ended: usize,
    under_way: BTreeSet<String>,
    shown: bool,
}

impl Progress {
    pub(super) fn new(all: usize) -> Progress {
        let shown = std::io::stderr().is_terminal();
        Progress { all, ended: 0, under_way: BTreeSet::new(), shown }
    }

    pub(super) fn begins(&mut self, name: &str) {
        self.under_way.insert(name.to_owned());
        self.show();
    }

    pub(super) fn ends(&mut self, name: &str) {
        self.under_way.remove(name);
        self.ended += 1;
        self.show();
    }

    fn show(&self) {
        if !self.shown {
            return;
        }
        let names: Vec<&str> = self.under_way.iter().map(String::as_str).collect();
        let line = format!("{}/{} {}", self.ended, self.all, names.join(", "));
        let line: String = line.chars().take(79).collect();
        // A terminal that is gone needs no progress.
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            // What is told next begins on an empty line, also when the runs were cut short.
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// How many of how many are over, on one line that is written over and over.
pub(super) struct Counter {
    what: &'static str,
    shown: bool,
}

/// A terminal is written to only so often.
const COUNTED_EVERY: u64 = 50;

impl Counter {
    pub(super) fn new(what: &'static str) -> Counter {
        Counter { what, shown: std::io::stderr().is_terminal() }
    }

    pub(super) fn show(&self, done: u64, all: u64) {
        if self.shown && done.is_multiple_of(COUNTED_EVERY) {
            // A terminal that is gone needs no progress.
            let _ = write!(std::io::stderr(), "\r\x1b[K{done}/{all} {}", self.what);
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
