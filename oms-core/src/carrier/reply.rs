//! What each answer of the carrier means. This is the whole table:
//!
//! | HTTP | body | outcome | why |
//! |---|---|---|---|
//! | 2xx | `RESULT_CD` `S…`, with what was asked for | `Done` | |
//! | 2xx | `RESULT_CD` `S…`, without it | `Unknown` | it says yes, but not to what |
//! | 2xx | another `RESULT_CD`, `ORA-00001` in the detail | `Duplicate` | its key is in the book |
//! | 2xx | another `RESULT_CD` | `Refused` | the same bytes are refused again |
//! | 2xx | no such envelope: cut short, not JSON | `Unknown` | anybody may have written it |
//! | 3xx | any | `Unknown` | not the carrier speaks: who does proves nothing |
//! | 401 | any | `NotProcessed`, token dropped | refused at the gate |
//! | 403 | any | `NotProcessed`, banned | refused at the gate |
//! | 429 | any | `NotProcessed`, rate-limited | refused at the gate |
//! | 400 413 414 415 422 431 | any | `Refused` | the same bytes are refused again |
//! | other 4xx | any | `NotProcessed` | nobody there to act on it |
//! | 5xx | any | `Unknown` | it may have broken before or after the booking |
//!
//! `Unknown` of a call that changes nothing (all but `RegBook` and `CnclBook`) is `NotProcessed`,
//! and its `Duplicate` is `Refused`. See [`crate::call`] for calls that brought no answer at all.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::{Token, Tracking};
use crate::call::{Brake, Outcome, Reading, object, words};

/// `DATA` of an answer; `Null` where it has none.
pub(super) type Data = Value;

/// The text by which the carrier's database refuses a key that it has: Oracle's unique constraint.
const DUPLICATE: &str = "ORA-00001";

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "RESULT_CD")]
    code: String,
    #[serde(rename = "RESULT_DETAIL", default)]
    detail: Option<String>,
    #[serde(rename = "DATA", default)]
    data: Data,
}

/// Reads an answer to a call under `token`; `value_of` finds what was asked for.
pub(super) fn read<T>(
    response: &Response<Bytes>,
    changes: bool,
    token: &Token,
    value_of: impl FnOnce(&Data) -> Option<T>,
) -> Reading<T> {
    let reading = meaning(response, &[token.secret()], value_of);
    match reading.outcome {
        Outcome::Duplicate if !changes => {
            Outcome::Refused { reason: format!("{DUPLICATE}, though nothing was written") }.into()
        }
        outcome => Reading { outcome, brake: reading.brake },
    }
}

/// The table.
pub(super) fn meaning<T>(
    response: &Response<Bytes>,
    secrets: &[&str],
    value_of: impl FnOnce(&Data) -> Option<T>,
) -> Reading<T> {
    let status = response.status();
    match status.as_u16() {
        200..=299 => business(response.body(), secrets, value_of).into(),
        401 => not_processed("401: token rejected").into(),
        403 => Reading::braked(Brake::Banned, "403: banned"),
        429 => Reading::braked(Brake::RateLimited, "429: too many requests"),
        400 | 413 | 414 | 415 | 422 | 431 => {
            Outcome::Refused { reason: said(status, response.body(), secrets) }.into()
        }
        402..=499 => not_processed(said(status, response.body(), secrets)).into(),
        _ => unknown(said(status, response.body(), secrets)).into(),
    }
}

/// Business failures come with HTTP 200.
fn business<T>(
    body: &[u8],
    secrets: &[&str],
    value_of: impl FnOnce(&Data) -> Option<T>,
) -> Outcome<T> {
    let Some(Envelope { code, detail, data }) = object(body) else {
        return unknown(format!("answer of {} bytes is no envelope", body.len()));
    };
    let detail = detail.unwrap_or_default();
    if code.starts_with('S') {
        return value_of(&data).map_or_else(|| unknown("success without its data"), Outcome::Done);
    }
    if code.is_empty() {
        return unknown("answer without RESULT_CD");
    }
    if detail.contains(DUPLICATE) {
        return Outcome::Duplicate;
    }
    Outcome::Refused { reason: words(&format!("{code}: {detail}"), secrets) }
}

fn not_processed<T>(reason: impl Into<String>) -> Outcome<T> {
    Outcome::NotProcessed { reason: reason.into(), wait: None, spent: true }
}

fn unknown<T>(reason: impl Into<String>) -> Outcome<T> {
    Outcome::Unknown { reason: reason.into(), wait: None }
}

/// The status, and the detail where the body has the carrier's envelope.
fn said(status: StatusCode, body: &[u8], secrets: &[&str]) -> String {
    match object(body).and_then(|envelope: Envelope| envelope.detail) {
        Some(detail) => words(&format!("{}: {detail}", status.as_u16()), secrets),
        None => status.as_u16().to_string(),
    }
}

/// Nothing was asked for but that it be done.
pub(super) fn done(_: &Data) -> Option<()> {
    Some(())
}

/// `DATA` of `ReqInvcNo`: a number whose check digit is right.
pub(super) fn invoice(data: &Data) -> Option<String> {
    let number = data.get("INVC_NO")?.as_str()?;
    is_invoice_no(number).then(|| number.to_owned())
}

/// Twelve digits, of which the last is the third to eleventh, read as one number, modulo 7.
///
/// Not published; measured on 19 numbers out of public code and documents.
pub(super) fn is_invoice_no(number: &str) -> bool {
    if number.len() != 12 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let check = number[2..11].parse::<u64>().map(|body| body % 7);
    check.is_ok_and(|check| number[11..] == check.to_string())
}

/// `DATA` of `ReqOneGdsTrc`: the latest scan of `invoice_no`.
pub(super) fn tracking(data: &Data, invoice_no: &str) -> Option<Tracking> {
    if data.is_null() {
        return Some(Tracking::None);
    }
    let mut latest: Option<(&str, &str, &str)> = None;
    for row in data.as_array()? {
        let text = |name: &str| row.get(name).and_then(Value::as_str);
        if text("INVC_NO").is_some_and(|shown| shown != invoice_no) {
            continue;
        }
        let state = text("CRG_ST").filter(|state| !state.is_empty())?;
        let scan = (text("SCAN_YMD").unwrap_or(""), text("SCAN_HOUR").unwrap_or(""), state);
        if latest.is_none_or(|latest| (latest.0, latest.1) <= (scan.0, scan.1)) {
            latest = Some(scan);
        }
    }
    Some(match latest {
        Some((_, _, state)) => Tracking::At { state: state.to_owned() },
        None => Tracking::None,
    })
}

#[cfg(test)]
mod tests;
