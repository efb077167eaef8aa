//! What each answer of the gateway means.
//!
//! An answer has up to three layers, and some numbers mean other things in the first one:
//! `common.authCode` (the gate), `data.code` (the service), `destinations[].code` (one recipient).
//! The first that is not A000 decides. This is the whole table:
//!
//! | HTTP | layer | code | outcome | why |
//! |---|---|---|---|---|
//! | 5xx | any | any | `Unknown` | it may have broken before or after accepting |
//! | 429 | any | any | `NotProcessed`, rate-limited | refused at the gate |
//! | other | gate | A401 A403 A001 A002 A100 | `NotProcessed`, a long wait | wrong key |
//! | other | gate | A400 | `Refused` | the same bytes are refused again |
//! | other | gate | A404 A405 | `NotProcessed`, a long wait | wrong address |
//! | other | gate | another | `Unknown` | not documented: it proves nothing |
//! | other | service, recipient | A000 | `Done` | |
//! | other | service, recipient | A301 | `Duplicate` | its key is remembered: accepted before |
//! | other | service, recipient | A020 | `NotProcessed`, rate-limited | |
//! | other | service, recipient | A110 A111 | `NotProcessed`, banned | the account is blocked |
//! | other | service, recipient | A001 A002 A100 A320 | `NotProcessed`, a long wait | key, quota |
//! | other | service, recipient | A01x, other A3xx, A5xx, A8xx | `Refused` | refused again |
//! | other | service, recipient | A9xx, another | `Unknown` | it broke, or is not documented |
//! | 2xx 3xx | no such envelope | | `Unknown` | cut short, or written by somebody else |
//! | 401 | no such envelope | | `NotProcessed`, a long wait | |
//! | 403 | no such envelope | | `NotProcessed`, banned | |
//! | 400 | no such envelope | | `Unknown` | A301 may come with it, and may have been cut off |
//! | 413 414 415 422 431 | no such envelope | | `Refused` | the same bytes are refused again |
//! | other 4xx | no such envelope | | `NotProcessed` | nobody there to act on it |
//!
//! A long wait is for what only an operator can mend: key, address, quota. What is refused again is
//! a wrong number, text, sender or template.
//!
//! `Unknown` of polling and acknowledging, which change nothing, is `NotProcessed`.

use std::time::Duration;

use bytes::Bytes;
use clockwork::Timestamp;
use http::Response;
use serde::Deserialize;

use super::ReportBatch;
use crate::call::{Brake, Outcome, Reading, object, words};
use crate::store::DeliveryReport;

/// Until an operator has mended a setting, nothing is gained by asking more often.
const MEND_WAIT: Duration = Duration::from_secs(60);
/// Everything is well.
const SUCCESS: &str = "A000";

#[derive(Deserialize)]
struct Envelope {
    common: Common,
    data: Option<Service>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Common {
    auth_code: String,
    #[serde(default)]
    auth_result: Option<String>,
}

#[derive(Deserialize)]
struct Service {
    code: String,
    #[serde(default)]
    result: Option<String>,
    #[serde(default)]
    data: Option<Payload>,
}

/// What a successful answer brings: fields of all calls, each optional.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Payload {
    destinations: Option<Vec<Destination>>,
    report_id: Option<String>,
    report: Option<Vec<Report>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Destination {
    code: String,
    #[serde(default)]
    result: Option<String>,
    #[serde(default)]
    msg_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(default)]
    msg_key: String,
    #[serde(default)]
    report_code: String,
    #[serde(default)]
    service_type: String,
    #[serde(default)]
    report_time: Option<String>,
    #[serde(rename = "ref", default)]
    reference: Option<String>,
}

/// Reads the answer to a send to one recipient.
pub(super) fn sent(response: &Response<Bytes>, secrets: &[&str]) -> Reading<Option<String>> {
    let mut recipient = None;
    let reading = meaning(response, secrets, |payload| {
        let [only] = payload.destinations.as_deref()? else { return None };
        let words = words(only.result.as_deref().unwrap_or_default(), secrets);
        recipient = (only.code != SUCCESS).then(|| service(&only.code, &words));
        Some(only.msg_key.clone().filter(|key| !key.is_empty()))
    });
    recipient.unwrap_or(reading)
}

/// The table. `value_of` finds what was asked for in a successful answer.
pub(super) fn meaning<T>(
    response: &Response<Bytes>,
    secrets: &[&str],
    value_of: impl FnOnce(&Payload) -> Option<T>,
) -> Reading<T> {
    let status = response.status().as_u16();
    match status {
        500.. => return unknown(status.to_string()).into(),
        429 => return Reading::braked(Brake::RateLimited, "429: too many requests"),
        _ => {}
    }
    let Some(Envelope { common, data }) = object(response.body()) else {
        return bare(status, response.body().len());
    };
    if common.auth_code != SUCCESS {
        return gate(&common.auth_code, &said(common.auth_result, secrets)).into();
    }
    let Some(Service { code, result, data }) = data else {
        return unknown("answer without data").into();
    };
    if code != SUCCESS {
        return service(&code, &said(result, secrets));
    }
    match value_of(&data.unwrap_or_default()) {
        Some(value) => Outcome::Done(value).into(),
        None => unknown("success without its data").into(),
    }
}

/// An answer without the envelope.
fn bare<T>(status: u16, length: usize) -> Reading<T> {
    let reason = format!("{status}: answer of {length} bytes is no envelope");
    match status {
        401 => mend(reason).into(),
        403 => Reading::braked(Brake::Banned, "403: banned"),
        413 | 414 | 415 | 422 | 431 => Outcome::Refused { reason }.into(),
        402..=499 => Outcome::NotProcessed { reason, wait: None, spent: true }.into(),
        _ => unknown(reason).into(),
    }
}

/// `common.authCode`.
fn gate<T>(code: &str, result: &str) -> Outcome<T> {
    let reason = format!("gate {code}: {result}");
    match code {
        "A401" | "A403" | "A001" | "A002" | "A100" | "A404" | "A405" => mend(reason),
        "A400" => Outcome::Refused { reason },
        _ => unknown(reason),
    }
}

/// `data.code` and `destinations[].code`.
fn service<T>(code: &str, result: &str) -> Reading<T> {
    let reason = format!("{code}: {result}");
    match code.as_bytes() {
        b"A301" => Outcome::Duplicate.into(),
        b"A020" => Reading::braked(Brake::RateLimited, reason),
        b"A110" | b"A111" => Reading::braked(Brake::Banned, reason),
        b"A001" | b"A002" | b"A100" | b"A320" => mend(reason).into(),
        [b'A', b'0', b'1', _] | [b'A', b'3' | b'5' | b'8', _, _] => {
            Outcome::Refused { reason }.into()
        }
        _ => unknown(reason).into(),
    }
}

fn mend<T>(reason: String) -> Outcome<T> {
    Outcome::NotProcessed { reason, wait: Some(MEND_WAIT), spent: true }
}

fn unknown<T>(reason: impl Into<String>) -> Outcome<T> {
    Outcome::Unknown { reason: reason.into(), wait: None }
}

fn said(result: Option<String>, secrets: &[&str]) -> String {
    words(&result.unwrap_or_default(), secrets)
}

/// A polled batch: `None` when there is none.
pub(super) fn batch(payload: &Payload) -> Option<Option<ReportBatch>> {
    let report_id = payload.report_id.as_deref().unwrap_or_default();
    let reports = payload.report.as_deref().unwrap_or_default();
    if report_id.is_empty() {
        // Reports that cannot be acknowledged are no answer to rely on.
        return reports.is_empty().then_some(None);
    }
    let reports = reports.iter().filter_map(delivery).collect();
    Some(Some(ReportBatch { report_id: report_id.to_owned(), reports }))
}

/// One report; `None` (and a word in the log) when it does not say about what.
fn delivery(report: &Report) -> Option<DeliveryReport> {
    if report.msg_key.is_empty() || report.report_code.is_empty() {
        tracing::warn!("delivery report without key or code");
        return None;
    }
    let reported_at = report.report_time.as_deref().and_then(|text| {
        Timestamp::parse(text).or_else(|_| Timestamp::parse_seoul_compact(text)).ok()
    });
    Some(DeliveryReport {
        msg_key: report.msg_key.clone(),
        reference: report.reference.clone().unwrap_or_default(),
        code: report.report_code.clone(),
        channel: report.service_type.to_ascii_lowercase(),
        reported_at,
    })
}

#[cfg(test)]
mod tests;
