//! `RegBook` and `CnclBook`.

use super::{Incoming, Outcome, check_customer, invoice};
use crate::booking::{Booked, NotCancelled, ParcelKey};
use crate::carrier::Carrier;
use crate::columns;
use crate::config::Config;
use crate::invoice::InvoiceNumber;
use crate::wire::Endpoint;
use crate::wire::reply::Failure;
use crate::wire::request::Data;

/// Text in a receiver's address that no courier goes to.
pub const UNDELIVERABLE: &str = "배송불가";

/// Books a parcel. The answer carries no invoice number, also where the carrier chose it.
pub(super) fn book(carrier: &mut Carrier, call: &Incoming<'_>, data: &Data<'_>) -> Outcome<()> {
    columns::check(data).map_err(|error| Failure::business(error.to_string()))?;
    check_customer(call, data, Endpoint::Book.customer_field())?;
    check_codes(data, "01")?;
    check_receiver(call.config, data)?;
    // Duplicates first: a repeat must not be told of its invoice number, nor burn another.
    let duplicate = carrier.book.duplicate(&ParcelKey::of(data));
    if duplicate.map_err(|error| Failure::business(error.to_string()))?.is_some() {
        carrier.evidence.totals.replays += 1;
        return Ok(None);
    }
    let number = invoice_of(carrier, data)?;
    let booked = carrier.book.book(data, number, call.request_id, call.now);
    match booked.map_err(|error| Failure::business(error.to_string()))? {
        Booked::Anew => carrier.evidence.totals.bookings += 1,
        Booked::Replayed => carrier.evidence.totals.replays += 1,
    }
    Ok(None)
}

/// Cancels a booking. What stands in the way is not told: picked up and not found look alike.
pub(super) fn cancel(carrier: &mut Carrier, call: &Incoming<'_>, data: &Data<'_>) -> Outcome<()> {
    let bare = |_: NotCancelled| Failure::business("예약 취소가 불가합니다.");
    if data.text("REQ_DV_CD") != "02" {
        return Err(bare(NotCancelled));
    }
    carrier.book.cancel(&ParcelKey::of(data), call.request_id, call.now).map_err(bare)?;
    carrier.evidence.totals.cancels += 1;
    Ok(None)
}

/// The codes whose values are public; `request` is what `REQ_DV_CD` must be.
fn check_codes(data: &Data<'_>, request: &str) -> Result<(), Failure> {
    let rules: [(&str, &[&str]); 6] = [
        ("REQ_DV_CD", &[request]),
        ("RCPT_DV", &["01", "02"]),
        ("WORK_DV_CD", &["01", "02", "03"]),
        ("FRT_DV_CD", &["01", "02", "03"]),
        ("BOX_TYPE_CD", &["01", "02", "03", "04", "05", "06", "07"]),
        ("PRT_ST", &["01", "02", "03"]),
    ];
    for (field, values) in rules {
        if !values.contains(&data.text(field)) {
            return Err(Failure::business(format!("{field} 값이 올바르지 않습니다.")));
        }
    }
    Ok(())
}

fn check_receiver(config: &Config, data: &Data<'_>) -> Result<(), Failure> {
    let zip = data.text("RCVR_ZIP_NO");
    let address = ["RCVR_ADDR", "RCVR_DETAIL_ADDR"].map(|field| data.text(field));
    let refused = config.refuse_zip.iter().any(|refused| refused == zip)
        || address.iter().any(|line| line.contains(UNDELIVERABLE));
    if refused { Err(Failure::business("배송 불가 지역입니다.")) } else { Ok(()) }
}

/// The number the customer assigned; the carrier's own where nothing is printed yet (`PRT_ST` 01).
fn invoice_of(carrier: &mut Carrier, data: &Data<'_>) -> Result<InvoiceNumber, Failure> {
    let text = data.text("INVC_NO");
    if text.is_empty() {
        if data.text("PRT_ST") != "01" {
            let empty = columns::Error::Empty { table: "RCPT", column: "INVC_NO" };
            return Err(Failure::business(empty.to_string()));
        }
        return carrier.invoices.issue().ok_or_else(invoice::exhausted);
    }
    let unknown = || Failure::business("운송장 번호가 유효하지 않습니다.");
    let number: InvoiceNumber = text.parse().map_err(|_| unknown())?;
    if carrier.invoices.is_known(number) { Ok(number) } else { Err(unknown()) }
}
