//! `ReqOneGdsTrc`, `ReqMssGdsTrc` and `RcvMssGdsTrcCnfrm`.

use super::{Incoming, Outcome, check_customer};
use crate::booking::DayScan;
use crate::carrier::Carrier;
use crate::invoice::InvoiceNumber;
use crate::tracking::{ParcelState, Scan};
use crate::wire::Endpoint;
use crate::wire::reply::{DayRow, Failure, ScanRow};
use crate::wire::request::Data;

/// Rows of one answer, and of one acknowledgement.
pub const ROWS_MAX: usize = 500;

/// The scans of one parcel; none for one that is unknown, cancelled, or too new to show.
pub(super) fn one(
    carrier: &mut Carrier,
    call: &Incoming<'_>,
    data: &Data<'_>,
) -> Outcome<Vec<ScanRow>> {
    check_customer(call, data, Endpoint::Track.customer_field())?;
    let number = data.text("INVC_NO").parse::<InvoiceNumber>();
    let scans = number.map_or_else(|_| Vec::new(), |number| carrier.book.track(number, call.now));
    Ok(Some(scans.iter().map(|scan| scan_row(data.text("INVC_NO"), scan)).collect()))
}

/// A day's scans that were not acknowledged; `SND_YN` `Y` takes them as acknowledged at once, so
/// an answer that is lost then loses its rows.
pub(super) fn day(
    carrier: &mut Carrier,
    call: &Incoming<'_>,
    data: &Data<'_>,
) -> Outcome<Vec<DayRow>> {
    check_customer(call, data, Endpoint::TrackDay.customer_field())?;
    let open = carrier.book.unacknowledged(data.text("REQ_DT"), ROWS_MAX, call.now);
    let rows: Vec<DayRow> = open.iter().map(|row| day_row(&call.config.cust_id, row)).collect();
    if data.text("SND_YN") == "Y" {
        let sent: Vec<(InvoiceNumber, ParcelState)> =
            open.iter().map(|row| (row.booking.invoice, row.scan.state)).collect();
        for (number, state) in sent {
            carrier.book.acknowledge(number, state, call.now);
        }
    }
    Ok(Some(rows))
}

/// Takes acknowledged scans off the customer's lists; rows that mean nothing are passed over.
pub(super) fn acknowledge(
    carrier: &mut Carrier,
    call: &Incoming<'_>,
    data: &Data<'_>,
) -> Outcome<()> {
    check_customer(call, data, Endpoint::Acknowledge.customer_field())?;
    if data.rows.len() > ROWS_MAX {
        return Err(Failure::business("최대 500건까지 처리할 수 있습니다."));
    }
    for row in &data.rows {
        let number = row.text("INVC_NO").parse::<InvoiceNumber>().ok();
        if let Some((number, state)) = number.zip(ParcelState::from_code(row.text("CRG_ST"))) {
            carrier.book.acknowledge(number, state, call.now);
        }
    }
    Ok(None)
}

/// The branch and courier that this carrier consists of.
const BRANCH: &str = "서울강남";
const BRANCH_TELEPHONE: &str = "02-000-0000";
const COURIER: &str = "기사";

/// Who took the parcel, once someone did.
fn taken_by(state: ParcelState) -> String {
    if state == ParcelState::Delivered { "본인".to_owned() } else { String::new() }
}

fn scan_row(number: &str, scan: &Scan) -> ScanRow {
    ScanRow {
        invc_no: number.to_owned(),
        crg_st: scan.state.code().to_owned(),
        crg_st_nm: scan.state.name().to_owned(),
        scan_ymd: scan.at.seoul_date(),
        scan_hour: scan.at.seoul_time(),
        dealt_bran_nm: BRANCH.to_owned(),
        dealt_bran_tel: BRANCH_TELEPHONE.to_owned(),
        dealt_emp_nm: COURIER.to_owned(),
        dealt_emp_tel: BRANCH_TELEPHONE.to_owned(),
        acptr_nm: taken_by(scan.state),
    }
}

fn day_row(cust_id: &str, row: &DayScan<'_>) -> DayRow {
    let state = row.scan.state;
    // 02, customer absent or shipper not ready: the commonest of the public list.
    let missed = matches!(state, ParcelState::NotPickedUp | ParcelState::NotDelivered);
    DayRow {
        cust_id: cust_id.to_owned(),
        rcpt_dv: row.booking.rcpt_dv.clone(),
        invc_no: row.booking.invoice.to_string(),
        cust_use_no: row.booking.cust_use_no.clone(),
        crg_st: state.code().to_owned(),
        crg_st_nm: state.name().to_owned(),
        scan_ymd: row.scan.at.seoul_date(),
        scan_hour: row.scan.at.seoul_time(),
        dealt_bran_nm: BRANCH.to_owned(),
        dealemp_nm: COURIER.to_owned(),
        acptr_nm: taken_by(state),
        no_cldv_rsn_cd: missed.then(|| "02".to_owned()),
        detail_rsn: None,
    }
}
