//! Columns to values and back.

use std::str::FromStr;

use clockwork::Timestamp;
use sqlx::Row;
use sqlx::postgres::{PgRow, Postgres};

use super::failure::{Failure, Result};
use crate::order::Order;
use crate::store::{Intent, aggregate};

/// A row of one table, read by position.
pub(super) struct Columns<'row> {
    row: &'row PgRow,
    table: &'static str,
}

impl<'row> Columns<'row> {
    pub(super) fn new(row: &'row PgRow, table: &'static str) -> Columns<'row> {
        Columns { row, table }
    }

    /// Anything that the engine knows itself.
    pub(super) fn get<T>(&self, column: usize) -> Result<T>
    where
        T: sqlx::Decode<'row, Postgres> + sqlx::Type<Postgres>,
    {
        Ok(self.row.try_get(column)?)
    }

    pub(super) fn text(&self, column: usize) -> Result<String> {
        self.get(column)
    }

    pub(super) fn maybe_text(&self, column: usize) -> Result<Option<String>> {
        self.get(column)
    }

    /// A count, which the engine keeps in a signed number.
    pub(super) fn count(&self, column: usize) -> Result<u32> {
        let count: i64 = self.get(column)?;
        u32::try_from(count).map_err(|_| Failure::corrupt(self.table, format!("count {count}")))
    }

    /// One of the enums of [`crate::state`].
    pub(super) fn state<S: FromStr<Err: std::fmt::Display>>(&self, column: usize) -> Result<S> {
        self.parsed(self.get(column)?)
    }

    pub(super) fn maybe_state<S: FromStr<Err: std::fmt::Display>>(
        &self,
        column: usize,
    ) -> Result<Option<S>> {
        let text: Option<&str> = self.get(column)?;
        text.map(|text| self.parsed(text)).transpose()
    }

    fn parsed<S: FromStr<Err: std::fmt::Display>>(&self, text: &str) -> Result<S> {
        text.parse().map_err(|error: S::Err| Failure::corrupt(self.table, error.to_string()))
    }

    pub(super) fn moment(&self, column: usize) -> Result<Timestamp> {
        Ok(Timestamp::from_micros(self.get(column)?))
    }

    pub(super) fn maybe_moment(&self, column: usize) -> Result<Option<Timestamp>> {
        Ok(self.get::<Option<i64>>(column)?.map(Timestamp::from_micros))
    }

    /// The four columns of a lease, from `at` on.
    pub(super) fn lease(&self, at: usize) -> Result<aggregate::Lease> {
        Ok(aggregate::Lease {
            worker: self.maybe_text(at)?,
            token: self.get(at + 1)?,
            until: self.maybe_moment(at + 2)?,
            settled: self.maybe_text(at + 3)?,
        })
    }

    /// The five columns of an intent, from `at` on.
    pub(super) fn intent(&self, at: usize) -> Result<Option<Intent>> {
        let Some(invoice_no) = self.maybe_text(at)? else { return Ok(None) };
        Ok(Some(Intent {
            invoice_no,
            rcpt_ymd: self.text(at + 1)?,
            cust_use_no: self.text(at + 2)?,
            mpck_key: self.text(at + 3)?,
            request: self.text(at + 4)?,
        }))
    }

    /// An order's JSON; [`None`] when it cannot be read.
    ///
    /// One bad order never blocks the rest: such a row is put aside, and the others are claimed.
    pub(super) fn readable_order(&self, column: usize, key: &str) -> Result<Option<Order>> {
        let text: Option<&str> = self.get(column)?;
        match serde_json::from_str(text.unwrap_or_default()) {
            Ok(order) => Ok(Some(order)),
            Err(error) => {
                // The parser's own words may quote the content, which holds personal data.
                let reason = format!("{:?} at column {}", error.classify(), error.column());
                tracing::error!(key, reason, "put aside: its order cannot be read");
                Ok(None)
            }
        }
    }
}

/// A moment as the database keeps it.
pub(super) fn micros(moment: Option<Timestamp>) -> Option<i64> {
    moment.map(Timestamp::micros)
}

/// A text of the other side's: PostgreSQL keeps every character but one.
pub(super) fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A limit as the engine takes it.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
