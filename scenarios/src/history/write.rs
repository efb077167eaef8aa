//! Histories as bytes.

use std::io::{self, Write};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{FORMAT, FinalReads, History, Mode, Record, VERSION};
use crate::plan::Plan;

#[derive(Serialize)]
struct Header<'a> {
    format: &'a str,
    version: u32,
    mode: Mode,
    clock_factor: f64,
    plan: String,
}

#[derive(Serialize)]
struct Last<'a> {
    r#final: &'a FinalReads,
}

/// Writes a history line by line, for runs that are recorded as they go.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
}

impl<W: Write> Writer<W> {
    /// Begins a history with its header.
    ///
    /// # Errors
    /// Whatever `to` fails with.
    pub fn begin(to: W, plan: &Plan, mode: Mode, clock_factor: f64) -> io::Result<Writer<W>> {
        let plan = Plan { replay_hash: None, ..plan.clone() }.to_toml();
        let mut writer = Writer { to };
        writer.line(&Header { format: FORMAT, version: VERSION, mode, clock_factor, plan })?;
        Ok(writer)
    }

    /// Adds what happened.
    ///
    /// # Errors
    /// As [`Writer::begin`].
    pub fn record(&mut self, record: &Record) -> io::Result<()> {
        self.line(record)
    }

    /// Ends the history.
    ///
    /// # Errors
    /// As [`Writer::begin`].
    pub fn finish(mut self, reads: &FinalReads) -> io::Result<W> {
        self.line(&Last { r#final: reads })?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.to, value)?;
        self.to.write_all(b"\n")
    }
}

/// A sink that only hashes.
struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl History {
    /// Writes it whole.
    ///
    /// # Errors
    /// Whatever `to` fails with.
    pub fn write<W: Write>(&self, to: W) -> io::Result<W> {
        let mut writer = Writer::begin(to, &self.plan, self.mode, self.clock_factor)?;
        for record in &self.records {
            writer.record(record)?;
        }
        writer.finish(&self.reads)
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        // A vector takes everything.
        self.write(Vec::new()).expect("a history is plain JSON")
    }

    /// The SHA-256 of its bytes, in hexadecimal.
    pub fn hash(&self) -> String {
        let hashing = self.write(Hashing(Sha256::new())).expect("a history is plain JSON");
        hashing.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
