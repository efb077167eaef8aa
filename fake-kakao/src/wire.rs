//! What the gateway reads and writes, with the provider's own field names.

use std::collections::BTreeMap;

use clockwork::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::codes::{Code, GatewayCode};
use crate::delivery::Channel;

/// The path that everything stands under.
pub const PREFIX: &str = "/api/comm/v1";

/// The body of `send/omni`. Fields that this fake makes nothing of are read over.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendRequest {
    /// To whom.
    pub destinations: Vec<Destination>,
    /// What, in the order of fallback. Each step is an object of exactly one channel.
    pub message_flow: Vec<FlowStep>,
    /// The caller's own reference, given back in reports.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// What makes a repeat known as one.
    pub idempotency_key: Option<String>,
    /// How long, in seconds. Any JSON is read: what is no number gets its own code.
    pub idempotency_ttl: Option<Value>,
}

/// One recipient of a request.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// The number.
    pub to: Option<String>,
    /// Values for the `#{name}` of the texts.
    #[serde(default)]
    pub replace_words: BTreeMap<String, String>,
    /// Stands in place of the request's `ref`.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
}

/// One step of the flow: exactly one of its channels is there.
#[derive(Clone, Deserialize)]
pub struct FlowStep {
    /// Kakao Alimtalk.
    pub alimtalk: Option<Alimtalk>,
    /// A short text message.
    pub sms: Option<TextMessage>,
    /// A long text message.
    pub mms: Option<TextMessage>,
    /// The real gateway's other channels, which this account may not use.
    pub international: Option<IgnoredAny>,
    /// See `international`.
    pub rcs: Option<IgnoredAny>,
    /// See `international`.
    pub brandmessage: Option<IgnoredAny>,
    /// See `international`.
    pub navertalk: Option<IgnoredAny>,
}

/// The Alimtalk of a step.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alimtalk {
    /// `AT` or `AI`.
    pub msg_type: Option<String>,
    /// The sender profile.
    pub sender_key: Option<String>,
    /// The template.
    pub template_code: Option<String>,
    /// `template`: the gateway writes the text from the template and `replaceWords`.
    pub send_type: Option<String>,
    /// The final text, unless `send_type` is `template`.
    pub text: Option<String>,
}

/// The text message of a step.
#[derive(Clone, Deserialize)]
pub struct TextMessage {
    /// The sender's number.
    pub from: Option<String>,
    /// The text.
    pub text: Option<String>,
}

impl SendRequest {
    /// From a request's body.
    ///
    /// # Errors
    /// A010 when it is no JSON, A011 when it is JSON of another shape.
    pub fn parse(body: &[u8]) -> Result<SendRequest, Code> {
        faults::json::read(body).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Code::UnmappableJson,
            _ => Code::UnreadableJson,
        })
    }
}

/// What every reply is: what the gateway says, then what the service says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The gateway's word.
    pub common: Common,
    /// The service's word; absent when the gateway let nothing through.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub data: Option<Service>,
}

/// What the gateway says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Common {
    /// Its code; numbers mean other things here than in `data.code`.
    pub auth_code: String,
    /// Its text.
    pub auth_result: String,
    /// The provider's id of the request.
    pub infobank_tr_id: String,
}

/// What the service says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its code.
    pub code: String,
    /// Its text.
    pub result: String,
    /// The request's `ref`.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<String>,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub data: Option<Payload>,
}

/// What a successful request gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Payload {
    /// Of a send.
    Sent {
        /// One row a recipient, in the request's order.
        destinations: Vec<DestinationResult>,
    },
    /// Of a poll.
    Polled(Polled),
    /// Of a look at one message's report.
    Reports {
        /// The report; none while the outcome is not known.
        report: Vec<Report>,
    },
    /// Of a look at messages.
    Messages {
        /// One row a message and channel.
        messages: Vec<MessageStatus>,
    },
}

/// What was accepted for one recipient.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DestinationResult {
    /// The number.
    pub to: String,
    /// The message's key; absent when it was not accepted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub msg_key: Option<String>,
    /// `A000` when it was accepted.
    pub code: String,
    /// The code's text.
    pub result: String,
}

impl std::fmt::Debug for DestinationResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("DestinationResult");
        shown.field("to", &crate::ledger::mask(&self.to));
        shown.field("msg_key", &self.msg_key).field("code", &self.code).finish()
    }
}

/// A batch of reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Polled {
    /// What the batch is acknowledged by; empty when there is none.
    pub report_id: String,
    /// The reports; `null` when there are none.
    pub report: Option<Vec<Report>>,
}

/// What became of one message: of the last channel tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The message.
    pub msg_key: String,
    /// `ALIMTALK`, `SMS` or `MMS`.
    pub service_type: String,
    /// `AT`, `SM` or `LM`.
    pub msg_type: String,
    /// When it was sent, in Seoul.
    pub send_time: String,
    /// When its outcome was known, in Seoul.
    pub report_time: String,
    /// The kind of report; the provider documents no values.
    pub report_type: String,
    /// `10000` when it reached the recipient.
    pub report_code: String,
    /// The code's text.
    pub report_text: String,
    /// The recipient's or the request's `ref`.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<String>,
}

/// Where one message stands on one channel.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageStatus {
    /// The message.
    pub msg_key: String,
    /// `ALIMTALK`, `SMS` or `MMS`.
    pub service_type: String,
    /// `AT`, `SM` or `LM`.
    pub msg_type: String,
    /// The number.
    pub to: String,
    /// `Y` for every channel after the first.
    pub fallback: String,
    /// The code of acceptance.
    pub response_code: String,
    /// Its text.
    pub response_text: String,
    /// When it was asked for, in Seoul.
    pub request_time: String,
    /// When it was sent, in Seoul.
    pub send_time: String,
    /// When its outcome was known, in Seoul.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub report_time: Option<String>,
    /// The kind of report.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub report_type: Option<String>,
    /// Its outcome.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub report_code: Option<String>,
    /// The outcome's text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub report_text: Option<String>,
    /// The recipient's or the request's `ref`.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<String>,
}

impl std::fmt::Debug for MessageStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("MessageStatus");
        shown.field("msg_key", &self.msg_key).field("service_type", &self.service_type);
        shown.field("to", &crate::ledger::mask(&self.to));
        shown.field("report_code", &self.report_code).finish()
    }
}

/// A reply before it is HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// The gateway's word.
    pub gateway: GatewayCode,
    /// The service's word.
    pub service: Option<Service>,
}

impl Reply {
    /// A refusal by the gateway itself.
    pub fn gateway(code: GatewayCode) -> Reply {
        Reply { status: code.row().1, retry_after: None, gateway: code, service: None }
    }

    /// A refusal of the whole request by the service, with the status that `code` has.
    pub fn refused(code: Code) -> Reply {
        Reply::service(code.status(), code.code(), code.result())
    }

    /// The service's word with any status, code and text.
    pub fn service(status: u16, code: &str, result: &str) -> Reply {
        let service = Service {
            code: code.to_owned(),
            result: result.to_owned(),
            reference: None,
            data: None,
        };
        let gateway = GatewayCode::Success;
        Reply { status, retry_after: None, gateway, service: Some(service) }
    }

    /// Success, with what was asked for.
    pub fn success(data: Option<Payload>) -> Reply {
        let mut reply = Reply::refused(Code::Success);
        if let Some(service) = &mut reply.service {
            service.data = data;
        }
        reply
    }

    /// The same with the request's `ref`.
    pub fn with_reference(mut self, reference: Option<String>) -> Reply {
        if let Some(service) = &mut self.service {
            service.reference = reference;
        }
        self
    }

    /// The body; `transaction` is the provider's id of the request.
    pub fn envelope(self, transaction: String) -> Envelope {
        let (code, _, result) = self.gateway.row();
        let common = Common {
            auth_code: code.to_owned(),
            auth_result: result.to_owned(),
            infobank_tr_id: transaction,
        };
        Envelope { common, data: self.service }
    }
}

/// A moment as the gateway writes it: `2026-11-21T23:59:59+09:00`, whole seconds.
pub fn seoul_time(moment: Timestamp) -> String {
    let text = moment.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}+09:00"),
        None => text,
    }
}

/// What a channel is called in `serviceType` and `msgType`.
pub const fn channel_names(channel: Channel) -> (&'static str, &'static str) {
    match channel {
        Channel::Alimtalk => ("ALIMTALK", "AT"),
        Channel::Sms => ("SMS", "SM"),
        Channel::Mms => ("MMS", "LM"),
    }
}
