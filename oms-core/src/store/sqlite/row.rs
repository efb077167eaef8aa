//! Columns to values and back.

use std::str::FromStr;

use clockwork::Timestamp;
use rusqlite::Row;

use super::failure::{Failure, Result};
use crate::order::Order;

/// A row of one table, read by position.
pub(super) struct Columns<'row> {
    row: &'row Row<'row>,
    table: &'static str,
}

impl<'row> Columns<'row> {
    pub(super) fn new(row: &'row Row<'row>, table: &'static str) -> Columns<'row> {
        Columns { row, table }
    }

    /// Anything that the engine knows itself.
    pub(super) fn get<T: rusqlite::types::FromSql>(&self, column: usize) -> Result<T> {
        Ok(self.row.get(column)?)
    }

    pub(super) fn text(&self, column: usize) -> Result<String> {
        self.get(column)
    }

    pub(super) fn maybe_text(&self, column: usize) -> Result<Option<String>> {
        self.get(column)
    }

    /// One of the enums of [`crate::state`].
    pub(super) fn state<S: FromStr<Err: std::fmt::Display>>(&self, column: usize) -> Result<S> {
        let text = self.row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?;
        text.parse().map_err(|error: S::Err| Failure::corrupt(self.table, error.to_string()))
    }

    pub(super) fn maybe_state<S: FromStr<Err: std::fmt::Display>>(
        &self,
        column: usize,
    ) -> Result<Option<S>> {
        match self.row.get_ref(column)? {
            rusqlite::types::ValueRef::Null => Ok(None),
            _ => self.state(column).map(Some),
        }
    }

    pub(super) fn moment(&self, column: usize) -> Result<Timestamp> {
        Ok(Timestamp::from_micros(self.get(column)?))
    }

    pub(super) fn maybe_moment(&self, column: usize) -> Result<Option<Timestamp>> {
        Ok(self.get::<Option<i64>>(column)?.map(Timestamp::from_micros))
    }

    /// An order's JSON.
    pub(super) fn order(&self, column: usize) -> Result<Order> {
        let text = self.row.get_ref(column)?.as_str();
        let text =
            text.map_err(|error| Failure::corrupt(self.table, format!("content: {error}")))?;
        // The parser's own words may quote the content, which holds personal data.
        serde_json::from_str(text).map_err(|error| {
            let reason = format!("content: {:?} at column {}", error.classify(), error.column());
            Failure::corrupt(self.table, reason)
        })
    }
}

/// A moment as the database keeps it.
pub(super) fn micros(moment: Option<Timestamp>) -> Option<i64> {
    moment.map(Timestamp::micros)
}
