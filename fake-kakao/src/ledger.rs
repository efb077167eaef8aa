//! What truly happened, apart from what the API says: the evidence for judges.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use clockwork::{Entropy, Timestamp};
use faults::{EndpointCounts, RequestRecord};
use serde::{Deserialize, Serialize};

use crate::delivery::{Attempt, Channel};

/// What truly happened, as of one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Every accepted message, in the order of acceptance.
    pub messages: Vec<Message>,
    /// How many messages were accepted for each recipient, `ref` and template.
    pub sends: Vec<Sends>,
    /// Every request that repeated an idempotency key within its time to live.
    pub duplicates: Vec<Duplicate>,
    /// Every request refused with 429.
    pub rate_limited: Vec<RateLimited>,
    /// Every address that was banned.
    pub bans: Vec<Ban>,
    /// Exact counts, also of what the lists no longer hold.
    pub totals: Totals,
    /// Every request with its fate.
    pub requests: Vec<RequestRecord>,
    /// How many requests the list no longer holds.
    pub requests_dropped: u64,
    /// Exact counts of requests by endpoint.
    pub counts: BTreeMap<String, EndpointCounts>,
}

/// Exact counts since the start or the last reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Messages accepted.
    pub accepted: u64,
    /// Destinations refused although their request was not.
    pub destinations_refused: u64,
    /// Requests that repeated a key.
    pub duplicates: u64,
    /// Requests refused with 429.
    pub rate_limited: u64,
    /// Requests made by an address while it was banned.
    pub calls_while_banned: u64,
    /// Messages that the ledger no longer holds.
    pub messages_dropped: u64,
}

/// One accepted message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its key.
    pub msg_key: String,
    /// The request that it came with: the key without its last three characters.
    pub request_id: String,
    /// The number of that request in `requests`.
    pub request: u64,
    /// The recipient's number, masked.
    pub to_masked: String,
    /// Tells recipients apart whose masked numbers are alike; see [`recipient_hash`].
    pub recipient_hash: String,
    /// The recipient's or the request's `ref`.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// The request's idempotency key.
    pub idempotency_key: Option<String>,
    /// When it was accepted.
    pub at: Timestamp,
    /// The text of the first step, as the recipient reads it.
    pub text: String,
    /// The template of the first Alimtalk.
    pub template_code: Option<String>,
    /// The values of that template's variables, as far as the text is the template's.
    pub variables: BTreeMap<String, String>,
    /// What was tried so far, in order.
    pub channels: Vec<ChannelOutcome>,
    /// By what the recipient had it first.
    pub delivered_via: DeliveredVia,
    /// The code that the report carries, once there is one.
    pub report_code: Option<String>,
    /// When the report came.
    pub reported_at: Option<Timestamp>,
}

/// What was tried on one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelOutcome {
    /// Which.
    pub channel: Channel,
    /// What was sent.
    pub text: String,
    /// When.
    pub sent_at: Timestamp,
    /// Its outcome, once known.
    pub code: Option<String>,
    /// When the outcome was known.
    pub reported_at: Option<Timestamp>,
    /// When the recipient had it, if they had.
    pub reached_at: Option<Timestamp>,
}

/// By what a recipient was reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveredVia {
    /// Alimtalk.
    Alimtalk,
    /// A text message, short or long.
    Sms,
    /// Not reached, or not yet.
    None,
}

/// How many messages were accepted for one recipient, `ref` and template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sends {
    /// The recipient.
    pub recipient_hash: String,
    /// The recipient's number, masked.
    pub to_masked: String,
    /// The `ref`, which names the order.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// The template, which names the event.
    pub template_code: Option<String>,
    /// How many.
    pub accepted: u64,
}

/// A request that repeated an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicate {
    /// When.
    pub at: Timestamp,
    /// Its number in `requests`.
    pub request: u64,
    /// The key.
    pub idempotency_key: String,
    /// The request's `ref`.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
}

/// A request refused with 429.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimited {
    /// When.
    pub at: Timestamp,
    /// Its number in `requests`.
    pub request: u64,
    /// The limit: `send/omni`, or `other`, which all other endpoints share.
    pub limit: String,
    /// What it would have cost.
    pub tokens: u32,
}

/// An address that was banned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// The address.
    pub client: IpAddr,
    /// From when.
    pub from: Timestamp,
    /// Until when, this moment no more.
    pub until: Timestamp,
}

/// `number` as it may be shown: the first three and the last four digits, `010****5678`.
pub fn mask(number: &str) -> String {
    let digits: Vec<char> = number.chars().collect();
    if digits.len() < 9 {
        return "*".repeat(digits.len());
    }
    let hidden = digits.len() - 7;
    let shown = |range: &[char]| range.iter().collect::<String>();
    format!("{}{}{}", shown(&digits[..3]), "*".repeat(hidden), shown(&digits[3 + hidden..]))
}

/// What stands for a recipient's number in a ledger: the same number, the same text, for one seed.
pub fn recipient_hash(entropy: Entropy, to: &str) -> String {
    format!("{:016x}", entropy.fork("recipient", to).seed())
}

/// A message with all that will become of it.
#[derive(Clone)]
pub(crate) struct Accepted {
    /// The recipient's number: for the wire, never for the ledger.
    pub to: String,
    /// The ledger's row, but for what the attempts tell.
    pub message: Message,
    /// What becomes of it; the text of each is that of the message's channel.
    pub attempts: Vec<(Channel, String, Attempt)>,
}

impl Accepted {
    /// When its report comes: after the last attempt.
    pub fn reported_at(&self) -> Timestamp {
        self.attempts.last().map_or(self.message.at, |(_, _, last)| last.reported_at)
    }

    /// The row as of `now`: what is still to come is left out.
    pub fn as_of(&self, now: Timestamp) -> Message {
        let mut message = self.message.clone();
        let past = |moment: Timestamp| (moment <= now).then_some(moment);
        let tried = self.attempts.iter().filter(|(_, _, attempt)| attempt.sent_at <= now);
        message.channels = tried
            .map(|(channel, text, attempt)| {
                let reported_at = past(attempt.reported_at);
                ChannelOutcome {
                    channel: *channel,
                    text: text.clone(),
                    sent_at: attempt.sent_at,
                    code: reported_at.map(|_| attempt.code.code().to_owned()),
                    reported_at,
                    reached_at: attempt.reached_at.and_then(past),
                }
            })
            .collect();
        let reached = message.channels.iter().filter(|outcome| outcome.reached_at.is_some());
        message.delivered_via = match reached.min_by_key(|outcome| outcome.reached_at) {
            Some(ChannelOutcome { channel: Channel::Alimtalk, .. }) => DeliveredVia::Alimtalk,
            Some(_) => DeliveredVia::Sms,
            None => DeliveredVia::None,
        };
        message.reported_at = past(self.reported_at());
        if message.reported_at.is_some() {
            message.report_code = message.channels.last().and_then(|last| last.code.clone());
        }
        message
    }
}

/// How many messages of each (recipient, `ref`, template) there are, in the order of the first.
pub(crate) fn count_sends(messages: &[Message]) -> Vec<Sends> {
    let mut places = BTreeMap::new();
    let mut counted: Vec<Sends> = Vec::new();
    for message in messages {
        let key = (&message.recipient_hash, &message.reference, &message.template_code);
        let place = *places.entry(key).or_insert(counted.len());
        match counted.get_mut(place) {
            Some(row) => row.accepted += 1,
            None => counted.push(Sends {
                recipient_hash: message.recipient_hash.clone(),
                to_masked: message.to_masked.clone(),
                reference: message.reference.clone(),
                template_code: message.template_code.clone(),
                accepted: 1,
            }),
        }
    }
    counted
}

/// A list that keeps its newest rows.
#[derive(Debug, Clone)]
pub(crate) struct Ring<T> {
    rows: VecDeque<T>,
    capacity: usize,
}

impl<T: Clone> Ring<T> {
    /// An empty list of at most `capacity` rows.
    pub fn new(capacity: usize) -> Ring<T> {
        Ring { rows: VecDeque::new(), capacity }
    }

    /// Adds a row; the oldest makes room.
    pub fn push(&mut self, row: T) {
        if self.rows.len() == self.capacity {
            self.rows.pop_front();
        }
        self.rows.push_back(row);
    }

    /// The rows, oldest first.
    pub fn to_vec(&self) -> Vec<T> {
        self.rows.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_masked_whatever_its_length() {
        assert_eq!(mask("01012345678"), "010****5678");
        assert_eq!(mask("0111234567"), "011***4567");
        assert_eq!(mask("12345678"), "********");
        assert_eq!(mask("일이삼사오육칠팔구"), "일이삼**육칠팔구");
        assert_eq!(mask(""), "");
    }

    #[test]
    fn numbers_that_look_alike_masked_are_told_apart_by_their_hash() {
        let entropy = Entropy::new(7);
        assert_eq!(mask("01011115678"), mask("01022225678"));
        let hash = |to| recipient_hash(entropy, to);
        assert_ne!(hash("01011115678"), hash("01022225678"));
        assert_eq!(hash("01011115678"), hash("01011115678"));
        assert_eq!(hash("01011115678").len(), 16);
    }

    #[test]
    fn a_ring_drops_its_oldest() {
        let mut ring = Ring::new(2);
        for n in 1..=3 {
            ring.push(n);
        }
        assert_eq!(ring.to_vec(), [2, 3]);
    }
}
