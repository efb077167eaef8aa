//! What carrier, gateway and broker hold.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use clockwork::Timestamp;
use fake_cj::ledger::{Ban, Booking, Violation};
use fake_kakao::ledger::{DeliveredVia, Message};
use faults::{FaultHit, Kind, ReplyFate, RequestRecord};

use super::Builder;
use crate::queue::{Hit, Kept};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Builder {
    /// A message that the broker kept, and handed out in the same moment.
    pub fn kept(mut self, topic: &str, id: &str, ms: u64) -> Builder {
        let published = self.at(ms);
        let (topic, id, delivered) = (topic.to_owned(), id.to_owned(), vec![published]);
        let kept = Kept { topic, id, published, delivered, acked: None, dead: None };
        self.history.reads.queue.get_or_insert_default().messages.push(kept);
        self
    }

    /// The broker handed out again what it keeps.
    pub fn delivered_again(mut self, id: &str, ms: u64) -> Builder {
        let at = self.at(ms);
        let kept = self.history.reads.queue.iter_mut().flat_map(|queue| &mut queue.messages);
        kept.filter(|kept| kept.id == id).for_each(|kept| kept.delivered.push(at));
        self
    }

    /// A fault hit what was done with a message.
    pub fn hit_queue(mut self, kind: Kind, operation: &str, id: &str, ms: u64) -> Builder {
        let by = FaultHit { index: 0, kind, why: "nth 1".to_owned() };
        let (operation, id) = (operation.to_owned(), id.to_owned());
        let hit = Hit { at: self.at(ms), operation, id, by };
        self.history.reads.queue.get_or_insert_default().hits.push(hit);
        self
    }

    pub fn booking(mut self, reference: &str, invoice: &str, ms: u64) -> Builder {
        let booked_at = self.at(ms);
        let bookings = &mut self.history.reads.carrier.bookings;
        let id = bookings.len() as u64 + 1;
        bookings.push(Booking {
            id,
            cust_use_no: reference.to_owned(),
            mpck_key: format!("20261121_30000001_{reference}"),
            invoice_no: invoice.to_owned(),
            rcpt_ymd: "20261121".to_owned(),
            booked_at,
            request_id: id,
            cancelled_at: None,
            cancel_request_id: None,
            scanned_at: None,
            state: fake_cj::tracking::ParcelState::PickupOrdered,
        });
        self
    }

    pub fn cancel_booking(mut self, invoice: &str, ms: u64) -> Builder {
        let at = self.at(ms);
        let mut bookings = self.history.reads.carrier.bookings.iter_mut();
        bookings.find(|booking| booking.invoice_no == invoice).unwrap().cancelled_at = Some(at);
        self
    }

    pub fn carrier_request(
        self,
        endpoint: &str,
        ms: u64,
        status: Option<u16>,
        fault: Option<Kind>,
    ) -> Builder {
        self.carrier_request_for(endpoint, "", ms, status, fault)
    }

    pub fn carrier_request_for(
        mut self,
        endpoint: &str,
        key: &str,
        ms: u64,
        status: Option<u16>,
        fault: Option<Kind>,
    ) -> Builder {
        let at = self.at(ms);
        let requests = &mut self.history.reads.carrier.requests;
        requests.push(request(requests.len(), endpoint, key, at, status, fault));
        self
    }

    pub fn carrier_violation(mut self, request_id: u64, ms: u64) -> Builder {
        let (at, window) = (self.at(ms), "10/1s".to_owned());
        let violation = Violation { at, client: HERE, request_id, window };
        self.history.reads.carrier.violations.push(violation);
        self
    }

    pub fn carrier_ban(mut self, from: u64, until: u64) -> Builder {
        let (from, until) = (self.at(from), self.at(until));
        self.history.reads.carrier.bans.push(Ban { client: HERE, from, until });
        self
    }

    pub fn message(mut self, reference: &str, text: &str, ms: u64) -> Builder {
        let at = self.at(ms);
        let ledger = &mut self.history.reads.messenger;
        let answered = request(ledger.requests.len(), "send/omni", reference, at, Some(200), None);
        ledger.messages.push(Message {
            msg_key: format!("KEY-{}", ledger.messages.len() + 1),
            request_id: String::new(),
            request: answered.id,
            to_masked: "010****5678".to_owned(),
            recipient_hash: "a".repeat(16),
            reference: Some(reference.to_owned()),
            idempotency_key: Some(reference.to_owned()),
            at,
            text: text.to_owned(),
            template_code: Some("ORDER_SHIPPED".to_owned()),
            variables: BTreeMap::new(),
            channels: Vec::new(),
            delivered_via: DeliveredVia::None,
            report_code: None,
            reported_at: None,
        });
        ledger.requests.push(answered);
        self
    }

    pub fn message_unanswered(mut self, reference: &str) -> Builder {
        for request in &mut self.history.reads.messenger.requests {
            if request.key.as_deref() == Some(reference) {
                request.reply = ReplyFate::Reset;
            }
        }
        self
    }

    pub fn messages_dropped(mut self, count: u64) -> Builder {
        self.history.reads.messenger.totals.messages_dropped = count;
        self
    }

    pub fn without_messages(mut self) -> Builder {
        self.history.reads.messenger.messages.clear();
        self
    }

    pub fn messenger_request(mut self, endpoint: &str, ms: u64, status: u16) -> Builder {
        let at = self.at(ms);
        let requests = &mut self.history.reads.messenger.requests;
        requests.push(request(requests.len(), endpoint, "", at, Some(status), None));
        self
    }

    pub fn messenger_fault(mut self, endpoint: &str, ms: u64, kind: Kind) -> Builder {
        let at = self.at(ms);
        let requests = &mut self.history.reads.messenger.requests;
        requests.push(request(requests.len(), endpoint, "", at, None, Some(kind)));
        self
    }
}

/// A request that was processed, and answered 10 ms later if it has a status.
fn request(
    before: usize,
    endpoint: &str,
    key: &str,
    at: Timestamp,
    status: Option<u16>,
    fault: Option<Kind>,
) -> RequestRecord {
    let replied_at = at + Duration::from_millis(10);
    RequestRecord {
        id: before as u64 + 1,
        at,
        client: HERE,
        endpoint: endpoint.to_owned(),
        key: Some(key.to_owned()).filter(|key| !key.is_empty()),
        attempt: 1,
        nth: 1,
        fault: fault.map(|kind| FaultHit { index: 0, kind, why: "always".to_owned() }),
        processed: status != Some(429),
        status,
        reply: if status.is_some() { ReplyFate::Answered } else { ReplyFate::Reset },
        replied_at: Some(replied_at),
    }
}
