//! What a send must be to be accepted: first as a whole, then for each destination.

use std::collections::BTreeMap;
use std::time::Duration;

use clockwork::{Entropy, Timestamp};
use serde_json::Value;

use super::Caller;
use crate::codes::{Code, ReportCode};
use crate::config::Config;
use crate::delivery::{Channel, Step, deliver, recipient, template_fault};
use crate::ledger::{Accepted, DeliveredVia, Message, mask, recipient_hash};
use crate::templates::{Template, TemplateState, substitute};
use crate::wire::{Alimtalk, Destination, DestinationResult, FlowStep, SendRequest, TextMessage};

/// The most destinations of one request (Bizgo: 200).
const DESTINATIONS_MAX: usize = 200;
/// The longest idempotency key, in characters (Bizgo: 200).
const KEY_CHARACTERS_MAX: usize = 200;
/// The longest `ref`, in characters (Bizgo: 200).
const REF_CHARACTERS_MAX: usize = 200;
/// The longest time to live of a key, in seconds (Bizgo: a day).
const TTL_SECONDS_MAX: u64 = 86_400;
/// The longest text of an Alimtalk, in characters (Bizgo: 1,300).
const ALIMTALK_CHARACTERS_MAX: usize = 1_300;
/// The longest text of a long text message, in bytes of EUC-KR (Bizgo: 2,000).
const MMS_BYTES_MAX: usize = 2_000;

/// A request that is sound as a whole.
pub(super) struct Order<'a> {
    flow: Vec<Planned<'a>>,
    /// The key and how long it lives.
    pub idempotency: Option<(String, Duration)>,
    reference: Option<&'a str>,
}

/// A sound step, its variables not yet replaced.
struct Planned<'a> {
    channel: Channel,
    text: &'a str,
    template: Option<&'a Template>,
}

/// What is sent to one destination, and what the ledger says of it.
pub(super) struct Prepared<'a> {
    to: &'a str,
    reference: Option<&'a str>,
    steps: Vec<Step>,
    template_code: Option<&'a str>,
    variables: BTreeMap<String, String>,
}

/// The keys of one message.
pub(super) struct Keyed<'a> {
    pub msg_key: String,
    pub request_id: &'a str,
}

/// How many recipients the request has, which is what it costs.
pub(super) fn recipient_count(request: &SendRequest) -> Result<u32, Code> {
    match request.destinations.len() {
        0 => Err(Code::WrongRequest),
        count @ 1..=DESTINATIONS_MAX => Ok(count as u32),
        _ => Err(Code::TooManyDestinations),
    }
}

/// Whether the request is sound as a whole.
pub(super) fn check<'a>(config: &'a Config, request: &'a SendRequest) -> Result<Order<'a>, Code> {
    let idempotency = idempotency(request)?;
    let reference = request.reference.as_deref();
    check_reference(reference)?;
    if request.message_flow.is_empty() {
        return Err(Code::WrongRequest);
    }
    let steps = request.message_flow.iter();
    let flow = steps.map(|step| plan(config, step)).collect::<Result<_, Code>>()?;
    Ok(Order { flow, idempotency, reference })
}

fn idempotency(request: &SendRequest) -> Result<Option<(String, Duration)>, Code> {
    let Some(key) = &request.idempotency_key else { return Ok(None) };
    if key.is_empty() || key.chars().count() > KEY_CHARACTERS_MAX {
        return Err(Code::InvalidIdempotencyKey);
    }
    match request.idempotency_ttl.as_ref().and_then(Value::as_u64) {
        Some(ttl @ 0..=TTL_SECONDS_MAX) => Ok(Some((key.clone(), Duration::from_secs(ttl)))),
        _ => Err(Code::InvalidIdempotencyTtl),
    }
}

fn check_reference(reference: Option<&str>) -> Result<(), Code> {
    match reference {
        Some(text) if text.chars().count() > REF_CHARACTERS_MAX => Err(Code::InvalidRef),
        _ => Ok(()),
    }
}

fn plan<'a>(config: &'a Config, step: &'a FlowStep) -> Result<Planned<'a>, Code> {
    let others = [&step.international, &step.rcs, &step.brandmessage, &step.navertalk];
    let others = others.into_iter().flatten().count();
    match (&step.alimtalk, &step.sms, &step.mms, others) {
        (Some(alimtalk), None, None, 0) => plan_alimtalk(config, alimtalk),
        (None, Some(sms), None, 0) => plan_text(config, Channel::Sms, sms),
        (None, None, Some(mms), 0) => plan_text(config, Channel::Mms, mms),
        (None, None, None, 1) => Err(Code::ChannelNotPermitted),
        _ => Err(Code::WrongRequest),
    }
}

fn plan_alimtalk<'a>(config: &'a Config, step: &'a Alimtalk) -> Result<Planned<'a>, Code> {
    let sender_key = step.sender_key.as_deref().unwrap_or_default();
    if !config.sender_keys.iter().any(|registered| registered == sender_key) {
        return Err(Code::InvalidSenderKey);
    }
    let code = step.template_code.as_deref().unwrap_or_default();
    let registered = config.templates.iter().find(|template| template.code == code);
    let template = registered
        .filter(|template| template.state != TemplateState::Unapproved)
        .ok_or(Code::InvalidTemplateCode)?;
    let text = match step.send_type.as_deref() {
        Some("template") => template.text.as_str(),
        _ if !matches!(step.msg_type.as_deref(), Some("AT" | "AI")) => {
            return Err(Code::InvalidMessageType);
        }
        _ => text_of(step.text.as_deref())?,
    };
    Ok(Planned { channel: Channel::Alimtalk, text, template: Some(template) })
}

fn plan_text<'a>(
    config: &Config,
    channel: Channel,
    step: &'a TextMessage,
) -> Result<Planned<'a>, Code> {
    let from = step.from.as_deref().filter(|from| !from.is_empty()).ok_or(Code::InvalidFrom)?;
    if !config.sms_senders.iter().any(|registered| registered == from) {
        return Err(Code::UnregisteredFrom);
    }
    Ok(Planned { channel, text: text_of(step.text.as_deref())?, template: None })
}

fn text_of(text: Option<&str>) -> Result<&str, Code> {
    text.filter(|text| !text.is_empty()).ok_or(Code::InvalidText)
}

/// Whether the destination is sound, and what it would be sent.
pub(super) fn prepare<'a>(
    config: &Config,
    order: &Order<'a>,
    destination: &'a Destination,
) -> Result<Prepared<'a>, Code> {
    let to = destination.to.as_deref().filter(|to| !to.is_empty()).ok_or(Code::MissingTo)?;
    if !is_mobile_number(to) {
        return Err(Code::InvalidTo);
    }
    let own = destination.reference.as_deref();
    check_reference(own)?;
    let mut prepared = Prepared {
        to,
        reference: own.or(order.reference),
        steps: Vec::with_capacity(order.flow.len()),
        template_code: None,
        variables: BTreeMap::new(),
    };
    for planned in &order.flow {
        let text = substitute(planned.text, &destination.replace_words);
        if is_too_long(config, planned.channel, &text) {
            return Err(Code::TextTooLong);
        }
        let fault = planned.template.and_then(|template| prepared.read(template, &text));
        prepared.steps.push(Step { channel: planned.channel, text, fault });
    }
    Ok(prepared)
}

impl<'a> Prepared<'a> {
    /// Reads the template's variables out of `text`; of several templates the first stands in the
    /// ledger.
    fn read(&mut self, template: &'a Template, text: &str) -> Option<ReportCode> {
        let values = template.variables(text);
        let fault = template_fault(template.state, values.is_some());
        if self.template_code.is_none() {
            self.template_code = Some(&template.code);
            self.variables = values.unwrap_or_default();
        }
        fault
    }

    /// The accepted message, with all that becomes of it.
    pub fn deliver(
        self,
        config: &Config,
        entropy: Entropy,
        caller: &Caller,
        keys: Keyed<'_>,
        order: &Order<'_>,
        now: Timestamp,
    ) -> Accepted {
        let recipient = recipient(config, entropy, self.to);
        let attempts = deliver(config, &recipient, &self.steps, now);
        let message = Message {
            msg_key: keys.msg_key,
            request_id: keys.request_id.to_owned(),
            request: caller.request,
            to_masked: mask(self.to),
            recipient_hash: recipient_hash(entropy, self.to),
            reference: self.reference.map(str::to_owned),
            idempotency_key: order.idempotency.as_ref().map(|(key, _)| key.clone()),
            at: now,
            text: self.steps.first().map(|step| step.text.clone()).unwrap_or_default(),
            template_code: self.template_code.map(str::to_owned),
            variables: self.variables,
            channels: Vec::new(),
            delivered_via: DeliveredVia::None,
            report_code: None,
            reported_at: None,
        };
        let steps = self.steps.into_iter().map(|step| (step.channel, step.text));
        let attempts = steps.zip(attempts).map(|((channel, text), made)| (channel, text, made));
        Accepted { to: self.to.to_owned(), message, attempts: attempts.collect() }
    }
}

/// A Korean mobile number: digits alone, 010 or one of the older prefixes, ten or eleven of them.
fn is_mobile_number(to: &str) -> bool {
    let digits = to.bytes().all(|byte| byte.is_ascii_digit());
    let prefix = ["010", "011", "016", "017", "018", "019"].iter().any(|p| to.starts_with(p));
    digits && prefix && (10..=11).contains(&to.len())
}

fn is_too_long(config: &Config, channel: Channel, text: &str) -> bool {
    match channel {
        Channel::Alimtalk => text.chars().count() > ALIMTALK_CHARACTERS_MAX,
        Channel::Sms => euc_kr_bytes(text) > config.sms_text_bytes_max as usize,
        Channel::Mms => euc_kr_bytes(text) > MMS_BYTES_MAX,
    }
}

/// How many bytes `text` takes in EUC-KR: one for ASCII, two for everything else.
fn euc_kr_bytes(text: &str) -> usize {
    text.chars().map(|character| if character.is_ascii() { 1 } else { 2 }).sum()
}

/// Every destination of the request, refused with `code`.
pub(super) fn refuse_all(request: &SendRequest, code: Code) -> Vec<DestinationResult> {
    request.destinations.iter().map(|destination| result_of(destination, Err(code))).collect()
}

/// The row of the reply for one destination: the message's key, or why there is none.
pub(super) fn result_of(
    destination: &Destination,
    outcome: Result<&str, Code>,
) -> DestinationResult {
    let code = outcome.err().unwrap_or(Code::Success);
    DestinationResult {
        to: destination.to.clone().unwrap_or_default(),
        msg_key: outcome.ok().map(str::to_owned),
        code: code.code().to_owned(),
        result: code.result().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mobile_number_is_digits_alone() {
        for good in ["01012345678", "0111234567", "01912345678"] {
            assert!(is_mobile_number(good), "{good}");
        }
        for bad in
            ["", "0101234567a", "010-1234-5678", "0212345678", "010123456789", "821012345678"]
        {
            assert!(!is_mobile_number(bad), "{bad}");
        }
    }

    #[test]
    fn hangul_takes_two_bytes() {
        assert_eq!(euc_kr_bytes("배송 A1"), 7);
    }
}
