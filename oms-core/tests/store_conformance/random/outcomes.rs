//! What may become of a step, by number.

use std::time::Duration;

use clockwork::Timestamp;
use oms_core::state::{NoticeState, ParcelState};
use oms_core::store::{NoticeOutcome, NoticeWork, ParcelOutcome, ParcelWork};

use crate::support::{
    attention, intent, notice_put_back, notice_unknown, put_back, refused, sent, unknown,
};

pub fn parcel_outcome(work: &ParcelWork, how: usize, now: Timestamp) -> ParcelOutcome {
    let later = now + Duration::from_secs(3);
    match (work.state, how) {
        (ParcelState::Planned, 0) => put_back(later),
        (ParcelState::Planned, _) => {
            ParcelOutcome::Intended(work.intent.clone().unwrap_or_else(|| intent(work)))
        }
        (ParcelState::Intended, 0) => put_back(later),
        (ParcelState::Intended, 1) => refused("ORA-01400"),
        (ParcelState::Intended, 2) => unknown(now, later),
        (ParcelState::Intended, _) => ParcelOutcome::Booked,
        (ParcelState::Unknown, 0) => unknown(now, later),
        (ParcelState::Unknown, 1) => attention("nobody can tell"),
        (ParcelState::Unknown, 2) => {
            ParcelOutcome::NotBooked { reason: "asked".to_owned(), retry_at: later }
        }
        (ParcelState::Unknown, _) => ParcelOutcome::Booked,
        (ParcelState::Cancelling, 0) => put_back(later),
        (ParcelState::Cancelling, 1) => attention("nobody can tell"),
        (ParcelState::Cancelling, 2) => ParcelOutcome::PickedUp,
        (ParcelState::Cancelling, _) => ParcelOutcome::Cancelled,
        (resting, _) => panic!("claimed while `{resting}`"),
    }
}

pub fn notice_outcome(work: &NoticeWork, how: usize, now: Timestamp) -> NoticeOutcome {
    let later = now + Duration::from_secs(3);
    let reason = "said so".to_owned();
    match (work.state, how) {
        (_, 0) => notice_put_back(later),
        (_, 1) => notice_unknown(later),
        (NoticeState::Sending, 2) => NoticeOutcome::Refused { reason },
        (NoticeState::Unknown, 2) => NoticeOutcome::GivenUp { reason },
        _ => sent(&format!("M-{}", work.key.order)),
    }
}
