//! The book of record: what is booked, what is cancelled, where each parcel is.

use std::collections::BTreeMap;
use std::time::Duration;

use clockwork::Timestamp;

use crate::config::{Config, Duplicates, Step};
use crate::invoice::InvoiceNumber;
use crate::tracking::{self, ParcelState, Scan};
use crate::wire::request::Data;

/// A booking's primary key without `REQ_DV_CD`, which only tells a request from its cancel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParcelKey(String);

impl ParcelKey {
    /// The fields of the key, in the carrier's order.
    pub const FIELDS: [&'static str; 7] =
        ["CUST_ID", "RCPT_YMD", "CUST_USE_NO", "RCPT_DV", "WORK_DV_CD", "MPCK_KEY", "MPCK_SEQ"];

    /// The key of the booking that `data` makes or cancels.
    pub fn of(data: &Data<'_>) -> ParcelKey {
        // A control character that no field holds keeps "1"+"23" apart from "12"+"3".
        ParcelKey(ParcelKey::FIELDS.map(|field| data.text(field)).join("\u{1f}"))
    }
}

/// A parcel that is booked, or was.
#[derive(Debug, Clone)]
pub struct Booking {
    /// Its place in the book, from 1.
    pub id: u64,
    /// What it is known by.
    pub key: ParcelKey,
    /// `CUST_USE_NO`.
    pub cust_use_no: String,
    /// `MPCK_KEY`.
    pub mpck_key: String,
    /// `RCPT_YMD`.
    pub rcpt_ymd: String,
    /// `RCPT_DV`: 01 normal, 02 return.
    pub rcpt_dv: String,
    /// The number on the parcel.
    pub invoice: InvoiceNumber,
    /// When it was booked.
    pub booked_at: Timestamp,
    /// The request that booked it.
    pub request_id: u64,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// The request that cancelled it.
    pub cancel_request_id: Option<u64>,
    by_hand: Vec<Scan>,
    acknowledged: Vec<Scan>,
}

/// What a booking did to the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booked {
    /// A new entry.
    Anew,
    /// Nothing: the entry is there already ([`Duplicates::Replay`]).
    Replayed,
}

/// Why the book takes no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A live booking has this key.
    #[error("ORA-00001: unique constraint (DX.RCPT_PK) violated")]
    Duplicate,
    /// A live booking under another key has this invoice number.
    #[error("ORA-00001: unique constraint (DX.RCPT_INVC_NO_UK) violated")]
    InvoiceInUse,
    /// No room.
    #[error("ORA-01653: unable to extend table DX.RCPT")]
    Full,
}

/// No such booking, several, or one that is past cancelling: the carrier does not tell which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotCancelled;

/// No live booking has this invoice number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownInvoice;

/// A scan of a day's list.
#[derive(Debug, Clone, Copy)]
pub struct DayScan<'a> {
    /// The parcel.
    pub booking: &'a Booking,
    /// The scan.
    pub scan: Scan,
}

/// The book.
#[derive(Debug)]
pub struct Book {
    bookings: Vec<Booking>,
    live_by_key: BTreeMap<ParcelKey, Vec<usize>>,
    live_by_invoice: BTreeMap<InvoiceNumber, Vec<usize>>,
    duplicates: Duplicates,
    bookings_max: usize,
    steps: Vec<Step>,
    visible_after: Duration,
    /// Bookings before this place are not remembered where a booking is repeated.
    remembered: usize,
}

impl Book {
    /// An empty book kept by the rules of `config`.
    pub fn new(config: &Config) -> Book {
        Book {
            bookings: Vec::new(),
            live_by_key: BTreeMap::new(),
            live_by_invoice: BTreeMap::new(),
            duplicates: config.duplicates,
            bookings_max: config.bookings_max,
            steps: config.tracking_steps.clone(),
            visible_after: config.tracking_visible_after,
            remembered: 0,
        }
    }

    /// Books the parcel that `data` describes under `invoice`.
    ///
    /// # Errors
    /// [`Error::Duplicate`] as the book's rule for duplicates has it, [`Error::InvoiceInUse`],
    /// [`Error::Full`].
    pub fn book(
        &mut self,
        data: &Data<'_>,
        invoice: InvoiceNumber,
        request_id: u64,
        now: Timestamp,
    ) -> Result<Booked, Error> {
        let key = ParcelKey::of(data);
        if let Some(replayed) = self.duplicate(&key)? {
            return Ok(replayed);
        }
        let holders = self.live_by_invoice.get(&invoice).into_iter().flatten();
        let mut others = holders.into_iter().filter(|place| self.bookings[**place].key != key);
        if others.any(|place| *place >= self.remembered) {
            return Err(Error::InvoiceInUse);
        }
        if self.bookings.len() >= self.bookings_max {
            return Err(Error::Full);
        }
        let place = self.bookings.len();
        self.live_by_key.entry(key.clone()).or_default().push(place);
        self.live_by_invoice.entry(invoice).or_default().push(place);
        self.bookings.push(Booking {
            id: place as u64 + 1,
            key,
            cust_use_no: data.text("CUST_USE_NO").to_owned(),
            mpck_key: data.text("MPCK_KEY").to_owned(),
            rcpt_ymd: data.text("RCPT_YMD").to_owned(),
            rcpt_dv: data.text("RCPT_DV").to_owned(),
            invoice,
            booked_at: now,
            request_id,
            cancelled_at: None,
            cancel_request_id: None,
            by_hand: Vec::new(),
            acknowledged: Vec::new(),
        });
        Ok(Booked::Anew)
    }

    /// What the rule for duplicates makes of another booking under `key`: refused, answered
    /// without an entry, or (`None`) to be entered like any other.
    ///
    /// # Errors
    /// [`Error::Duplicate`].
    pub fn duplicate(&self, key: &ParcelKey) -> Result<Option<Booked>, Error> {
        let live = self.live_by_key.get(key).into_iter().flatten();
        match (live.into_iter().any(|place| *place >= self.remembered), self.duplicates) {
            (false, _) | (true, Duplicates::Accept) => Ok(None),
            (true, Duplicates::Reject) => Err(Error::Duplicate),
            (true, Duplicates::Replay) => Ok(Some(Booked::Replayed)),
        }
    }

    /// No longer knows a repeat of any booking that there is. All else about them stays.
    pub fn forget_repeats(&mut self) {
        self.remembered = self.bookings.len();
    }

    /// Cancels the one live booking under `key`, while it is not yet with the carrier.
    ///
    /// # Errors
    /// [`NotCancelled`]; also where several are live under `key`, as the guide warns of.
    pub fn cancel(
        &mut self,
        key: &ParcelKey,
        request_id: u64,
        now: Timestamp,
    ) -> Result<(), NotCancelled> {
        let live = self.live_by_key.get(key).map_or(&[][..], Vec::as_slice);
        let [place] = *live else { return Err(NotCancelled) };
        if self.scanned_at(&self.bookings[place], now).is_some() {
            return Err(NotCancelled);
        }
        let booking = &mut self.bookings[place];
        booking.cancelled_at = Some(now);
        booking.cancel_request_id = Some(request_id);
        self.live_by_key.remove(key);
        if let Some(holders) = self.live_by_invoice.get_mut(&booking.invoice) {
            holders.retain(|holder| *holder != place);
            if holders.is_empty() {
                self.live_by_invoice.remove(&booking.invoice);
            }
        }
        Ok(())
    }

    /// Scans a parcel by hand.
    ///
    /// # Errors
    /// [`UnknownInvoice`].
    pub fn scan(
        &mut self,
        invoice: InvoiceNumber,
        state: ParcelState,
        now: Timestamp,
    ) -> Result<(), UnknownInvoice> {
        let places = self.live_by_invoice.get(&invoice).ok_or(UnknownInvoice)?;
        for place in places {
            self.bookings[*place].by_hand.push(Scan { at: now, state });
        }
        Ok(())
    }

    /// Every booking ever made, in order.
    pub fn bookings(&self) -> &[Booking] {
        &self.bookings
    }

    /// A booking's scans up to `now`, oldest first.
    pub fn scans(&self, booking: &Booking, now: Timestamp) -> impl Iterator<Item = Scan> {
        tracking::scans(booking.booked_at, &self.steps, &booking.by_hand, now)
    }

    /// When the carrier first had the parcel in its hands; `None`: not by `now`.
    pub fn scanned_at(&self, booking: &Booking, now: Timestamp) -> Option<Timestamp> {
        let upto = booking.cancelled_at.unwrap_or(now).min(now);
        self.scans(booking, upto).find(|scan| scan.state.is_with_carrier()).map(|scan| scan.at)
    }

    /// What tracking shows of one parcel: nothing of a cancelled or a very new booking.
    pub fn track(&self, invoice: InvoiceNumber, now: Timestamp) -> Vec<Scan> {
        let places = self.live_by_invoice.get(&invoice).into_iter().flatten();
        let bookings = places.map(|place| &self.bookings[*place]);
        let shown = bookings.filter(|booking| self.is_visible(booking, now));
        shown.flat_map(|booking| self.scans(booking, now)).collect()
    }

    /// The scans of a day in Seoul that the customer has not acknowledged, at most `rows_max`.
    pub fn unacknowledged(&self, day: &str, rows_max: usize, now: Timestamp) -> Vec<DayScan<'_>> {
        let shown = self.bookings.iter().filter(|booking| self.is_visible(booking, now));
        let scans = shown.flat_map(|booking| {
            self.scans(booking, now).map(move |scan| DayScan { booking, scan })
        });
        let open = scans.filter(|row| !row.booking.acknowledged.contains(&row.scan));
        open.filter(|row| row.scan.at.seoul_date() == day).take(rows_max).collect()
    }

    /// Takes the scans of this parcel that made it `state` off the customer's lists.
    pub fn acknowledge(&mut self, invoice: InvoiceNumber, state: ParcelState, now: Timestamp) {
        let Some(places) = self.live_by_invoice.get(&invoice) else { return };
        for place in places {
            let booking = &mut self.bookings[*place];
            let all = tracking::scans(booking.booked_at, &self.steps, &booking.by_hand, now);
            let known = &booking.acknowledged;
            let new: Vec<Scan> =
                all.filter(|scan| scan.state == state && !known.contains(scan)).collect();
            booking.acknowledged.extend(new);
        }
    }

    fn is_visible(&self, booking: &Booking, now: Timestamp) -> bool {
        booking.cancelled_at.is_none() && now >= booking.booked_at + self.visible_after
    }
}
