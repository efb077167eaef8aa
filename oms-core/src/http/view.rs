//! What the API shows of orders and members: states by id and by the shop's Korean name, times as RFC 3339.

use serde::Serialize;

use crate::state::{NoticeState, OrderState, ParcelState};
use crate::store::{MemberView, NoticeView, OrderView, ParcelView};

/// An order as the API and `oms list` show it. It holds nothing of the customer.
#[derive(Debug, Serialize)]
pub struct OrderBody {
    id: String,
    state: OrderState,
    state_name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    created_at: String,
    updated_at: String,
    parcels: Vec<ParcelBody>,
    notifications: Vec<NoticeBody>,
}

#[derive(Debug, Serialize)]
struct ParcelBody {
    number: u32,
    state: ParcelState,
    #[serde(skip_serializing_if = "Option::is_none")]
    cust_use_no: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice_no: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown_since: Option<String>,
}

#[derive(Debug, Serialize)]
struct NoticeBody {
    event: String,
    state: NoticeState,
    #[serde(skip_serializing_if = "Option::is_none")]
    msg_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report_channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A member as the API shows it. It holds nothing of the person.
#[derive(Debug, Serialize)]
pub struct MemberBody {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    notifications: Vec<NoticeBody>,
}

impl From<MemberView> for MemberBody {
    fn from(member: MemberView) -> MemberBody {
        MemberBody {
            id: member.id,
            created_at: member.created_at.map(|at| at.to_string()),
            notifications: member.notices.into_iter().map(NoticeBody::from).collect(),
        }
    }
}

impl From<OrderView> for OrderBody {
    fn from(order: OrderView) -> OrderBody {
        OrderBody {
            id: order.id,
            state: order.state,
            state_name: order.state.korean(),
            reason: order.reason,
            created_at: order.created_at.to_string(),
            updated_at: order.updated_at.to_string(),
            parcels: order.parcels.into_iter().map(ParcelBody::from).collect(),
            notifications: order.notices.into_iter().map(NoticeBody::from).collect(),
        }
    }
}

impl From<ParcelView> for ParcelBody {
    fn from(parcel: ParcelView) -> ParcelBody {
        ParcelBody {
            number: parcel.number,
            state: parcel.state,
            cust_use_no: parcel.cust_use_no,
            invoice_no: parcel.invoice_no,
            reason: parcel.reason,
            unknown_since: parcel.unknown_since.map(|since| since.to_string()),
        }
    }
}

impl From<NoticeView> for NoticeBody {
    fn from(notice: NoticeView) -> NoticeBody {
        NoticeBody {
            event: notice.event,
            state: notice.state,
            msg_key: notice.msg_key,
            report_code: notice.report_code,
            report_channel: notice.report_channel,
            reason: notice.reason,
        }
    }
}
