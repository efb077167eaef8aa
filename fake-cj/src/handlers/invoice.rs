//! `ReqInvcNo`.

use super::{Incoming, Outcome, check_customer};
use crate::carrier::Carrier;
use crate::ledger::InvoiceIssued;
use crate::wire::Endpoint;
use crate::wire::reply::{Failure, InvoiceData};
use crate::wire::request::Data;

/// Hands out one number. There is no asking for the same one again.
pub(super) fn issue(
    carrier: &mut Carrier,
    call: &Incoming<'_>,
    data: &Data<'_>,
) -> Outcome<InvoiceData> {
    check_customer(call, data, Endpoint::Invoice.customer_field())?;
    let number = carrier.invoices.issue().ok_or_else(exhausted)?.to_string();
    carrier.evidence.invoice_issued(InvoiceIssued {
        invoice_no: number.clone(),
        at: call.now,
        request_id: call.request_id,
    });
    Ok(Some(InvoiceData { invc_no: number }))
}

/// The series has no number left.
pub(super) fn exhausted() -> Failure {
    Failure::business("운송장 번호 대역이 소진되었습니다.")
}
