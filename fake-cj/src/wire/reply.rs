//! What the carrier answers.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use axum::http::{HeaderValue, StatusCode, header};

/// The envelope of every answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct Reply<T> {
    /// `S` or a failure's code.
    pub result_cd: Cow<'static, str>,
    /// `Success` or what went wrong.
    pub result_detail: Cow<'static, str>,
    /// What was asked for; absent where there is nothing to say.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub data: Option<T>,
}

/// A call that failed, as the carrier says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status; business failures come with 200.
    pub status: StatusCode,
    /// `RESULT_CD`.
    pub code: Cow<'static, str>,
    /// `RESULT_DETAIL`; never holds personal data or secrets.
    pub detail: Cow<'static, str>,
}

impl Failure {
    /// `RESULT_CD` `E` inside HTTP 200.
    pub fn business(detail: impl Into<Cow<'static, str>>) -> Failure {
        Failure { status: StatusCode::OK, code: Cow::Borrowed("E"), detail: detail.into() }
    }

    /// `RESULT_CD` `E` with another status.
    pub fn with_status(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Failure {
        Failure { status, code: Cow::Borrowed("E"), detail: detail.into() }
    }

    /// HTTP 401: the key is missing, unknown, expired or revoked.
    pub fn unauthenticated() -> Failure {
        Failure::with_status(StatusCode::UNAUTHORIZED, "Authentication failed")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let reply = Reply::<()> { result_cd: self.code, result_detail: self.detail, data: None };
        json(self.status, &reply)
    }
}

/// `S` with what was asked for.
pub fn success<T: Serialize>(data: Option<T>) -> Response {
    let reply =
        Reply { result_cd: Cow::Borrowed("S"), result_detail: Cow::Borrowed("Success"), data };
    json(StatusCode::OK, &reply)
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // Strings, lists and options of strings: nothing here that JSON cannot write.
    let text = serde_json::to_vec(body).unwrap_or_default();
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

/// `DATA` of `ReqOneDayToken`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct TokenData {
    /// The token.
    pub token_num: String,
    /// `YYYYMMDDHHMMSS` in Seoul.
    pub token_exprtn_dtm: String,
    /// Empty.
    pub notice: String,
}

/// `DATA` of `ReqInvcNo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct InvoiceData {
    /// Twelve digits.
    pub invc_no: String,
}

/// `DATA` of `ReqAddrRfnSm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct AddressData {
    /// The terminal's sorting code.
    pub clsfcd: String,
    /// Its subdivision.
    pub subclsfcd: String,
    /// The short address printed on the label.
    pub clsfaddr: String,
    /// The delivering branch.
    pub clldlvbrannm: String,
    /// The courier.
    pub clldlvempnm: String,
    /// The courier's short name.
    pub clldlvempnicknm: String,
    /// The kind of area.
    pub rspsdiv: String,
    /// The point-to-point code.
    pub p2pcd: String,
}

/// A row of `ReqOneGdsTrc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct ScanRow {
    /// The parcel.
    pub invc_no: String,
    /// What the scan made of it.
    pub crg_st: String,
    /// The same in Korean.
    pub crg_st_nm: String,
    /// `YYYYMMDD` in Seoul.
    pub scan_ymd: String,
    /// `HHMMSS` in Seoul.
    pub scan_hour: String,
    /// The branch.
    pub dealt_bran_nm: String,
    /// Its telephone.
    pub dealt_bran_tel: String,
    /// The courier.
    pub dealt_emp_nm: String,
    /// The courier's telephone.
    pub dealt_emp_tel: String,
    /// Who took the parcel.
    pub acptr_nm: String,
}

/// A row of `ReqMssGdsTrc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct DayRow {
    /// The customer.
    pub cust_id: String,
    /// 01 normal, 02 return.
    pub rcpt_dv: String,
    /// The parcel.
    pub invc_no: String,
    /// The customer's own number for it.
    pub cust_use_no: String,
    /// What the scan made of it.
    pub crg_st: String,
    /// The same in Korean.
    pub crg_st_nm: String,
    /// `YYYYMMDD` in Seoul.
    pub scan_ymd: String,
    /// `HHMMSS` in Seoul.
    pub scan_hour: String,
    /// The branch.
    pub dealt_bran_nm: String,
    /// The courier.
    pub dealemp_nm: String,
    /// Who took the parcel.
    pub acptr_nm: String,
    /// Why it was not picked up or delivered.
    pub no_cldv_rsn_cd: Option<String>,
    /// The same in words.
    pub detail_rsn: Option<String>,
}
