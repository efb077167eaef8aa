//! What travels: `{"DATA":{…}}` in, `{"RESULT_CD":…,"RESULT_DETAIL":…,"DATA":…}` out.
//!
//! Every value travels as a string. Field names are the carrier's own.

pub mod reply;
pub mod request;

/// The carrier's eight calls, all of them `POST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// `ReqOneDayToken`: the day's token.
    Token,
    /// `ReqAddrRfnSm`: an address's sorting code.
    Address,
    /// `ReqInvcNo`: one invoice number.
    Invoice,
    /// `RegBook`: books a parcel.
    Book,
    /// `CnclBook`: cancels a booking.
    Cancel,
    /// `ReqOneGdsTrc`: one parcel's scans.
    Track,
    /// `ReqMssGdsTrc`: a day's scans.
    TrackDay,
    /// `RcvMssGdsTrcCnfrm`: acknowledges scans.
    Acknowledge,
}

impl Endpoint {
    /// Every call.
    pub const ALL: [Endpoint; 8] = [
        Endpoint::Token,
        Endpoint::Address,
        Endpoint::Invoice,
        Endpoint::Book,
        Endpoint::Cancel,
        Endpoint::Track,
        Endpoint::TrackDay,
        Endpoint::Acknowledge,
    ];

    /// The call's name on the wire, its path without the slash.
    pub const fn name(self) -> &'static str {
        match self {
            Endpoint::Token => "ReqOneDayToken",
            Endpoint::Address => "ReqAddrRfnSm",
            Endpoint::Invoice => "ReqInvcNo",
            Endpoint::Book => "RegBook",
            Endpoint::Cancel => "CnclBook",
            Endpoint::Track => "ReqOneGdsTrc",
            Endpoint::TrackDay => "ReqMssGdsTrc",
            Endpoint::Acknowledge => "RcvMssGdsTrcCnfrm",
        }
    }

    /// The call at this path.
    pub fn at(path: &str) -> Option<Endpoint> {
        let name = path.strip_prefix('/')?;
        Endpoint::ALL.into_iter().find(|endpoint| endpoint.name() == name)
    }

    /// The field that says which parcel a call is about; `None` where a call is about none.
    pub const fn key_field(self) -> Option<&'static str> {
        match self {
            Endpoint::Book | Endpoint::Cancel => Some("CUST_USE_NO"),
            Endpoint::Track => Some("INVC_NO"),
            _ => None,
        }
    }

    /// The field that names the customer.
    pub const fn customer_field(self) -> &'static str {
        match self {
            Endpoint::Token | Endpoint::Book | Endpoint::Cancel | Endpoint::TrackDay => "CUST_ID",
            _ => "CLNTNUM",
        }
    }
}
