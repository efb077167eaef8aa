//! Where the outside and our database do not say the same: for how long, and what was left behind.

use std::time::Duration;

use clockwork::Timestamp;
use oms_core::state::{NoticeState, ParcelState};

use super::Evidence;

/// What the outside holds at rest and our rows do not know of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftBehind {
    /// Live bookings of which no row says that they are booked, or may be.
    pub bookings: u64,
    /// Messages that were accepted and of which no row says that they were sent, or may have been.
    pub messages: u64,
}

impl Evidence {
    /// For each booking how long the carrier had it and our database did not say so: from the
    /// booking to the row's `booked`, or to the booking's cancellation, or to the end of the run.
    /// Whoever asks our database meanwhile is told what is not true.
    pub fn windows(&self) -> Vec<Duration> {
        let mut windows = Vec::new();
        for parcel in self.booked_parcels() {
            let mut known = self.times_known(&parcel.to_string());
            for booking in self.bookings_of(parcel) {
                // Each booking has a record of its own to wait for.
                let place = known.iter().position(|at| *at >= booking.booked_at);
                let written = place.map(|place| known.remove(place));
                let undone = booking.cancelled_at;
                let until = [written, undone].into_iter().flatten().min().unwrap_or(self.ended_at);
                windows.push(until.since(booking.booked_at));
            }
        }
        let nameless = self.bookings_adrift().map(|(_, booking)| booking).chain(self.orphans());
        let lasting = |booking: &fake_cj::ledger::Booking| {
            booking.cancelled_at.unwrap_or(self.ended_at).since(booking.booked_at)
        };
        windows.extend(nameless.map(lasting));
        windows
    }

    /// When a parcel's row became `booked`.
    fn times_known(&self, parcel: &str) -> Vec<Timestamp> {
        let booked = self.steps_of(parcel).filter(|step| step.to == ParcelState::Booked.as_str());
        booked.map(|step| step.at).collect()
    }

    /// What is at rest outside and not in our rows.
    pub fn left_behind(&self) -> LeftBehind {
        let mut left = LeftBehind::default();
        for parcel in self.booked_parcels() {
            let live = self.bookings_of(parcel).filter(|booking| booking.is_live()).count() as u64;
            let row = self.row(&parcel.order);
            let row = row.and_then(|row| row.parcels.iter().find(|p| p.number == parcel.number));
            let is_known = row.is_some_and(|row| may_be_booked(row.state));
            left.bookings += live.saturating_sub(u64::from(is_known));
        }
        let nameless = self.bookings_adrift().map(|(_, booking)| booking).chain(self.orphans());
        left.bookings += nameless.filter(|booking| booking.is_live()).count() as u64;
        for row in &self.rows.orders {
            let told = self.messages_of(&row.id).count() as u64;
            let known =
                row.notices.iter().filter(|notice| may_be_sent(notice.state)).count() as u64;
            left.messages += told.saturating_sub(known);
        }
        left
    }
}

/// Whether a row says that the carrier has the parcel, or that it may.
fn may_be_booked(state: ParcelState) -> bool {
    use ParcelState::{Attention, Booked, Cancelling, Unknown};
    matches!(state, Booked | Cancelling | Unknown | Attention)
}

/// Whether a row says that the customer was told, or may have been.
fn may_be_sent(state: NoticeState) -> bool {
    matches!(state, NoticeState::Sent | NoticeState::Sending | NoticeState::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Builder;

    #[test]
    fn a_booking_is_hidden_until_its_row_says_so_or_for_ever() {
        let known = Builder::clean(1).evidence();
        let [window] = known.windows()[..] else { panic!("{:?}", known.windows()) };
        assert!(window < Duration::from_secs(1), "{window:?}");
        assert_eq!(known.left_behind(), LeftBehind::default());
        let twice = Builder::clean(1).booking("ORD-1-1", "650000000099", 400).evidence();
        assert_eq!(twice.windows().len(), 2);
        assert!(twice.windows()[1] > Duration::from_mins(50), "{:?}", twice.windows());
        assert_eq!(twice.left_behind(), LeftBehind { bookings: 1, messages: 0 });
    }

    #[test]
    fn a_booking_that_was_undone_was_hidden_until_then_and_is_not_left() {
        let undone = Builder::clean(1)
            .booking("ORD-1-1", "650000000099", 400)
            .cancel_booking("650000000099", 900)
            .evidence();
        assert_eq!(undone.windows()[1], Duration::from_millis(500));
        assert_eq!(undone.left_behind(), LeftBehind::default());
    }

    #[test]
    fn what_our_rows_do_not_know_is_left_behind() {
        let lost = Builder::clean(2).lose("ORD-1").evidence();
        assert_eq!(lost.left_behind().bookings, 1);
        let told = Builder::clean(1).notice("ORD-1", "refused").evidence();
        assert_eq!(told.left_behind(), LeftBehind { bookings: 0, messages: 1 });
    }
}
