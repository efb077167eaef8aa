//! What is written to the carrier: `{"DATA":{…}}`, always `POST`, all values strings.
//!
//! The day's token stands in the header and in `DATA`. It is put in when a request is sent, so
//! that what is written down holds no secret and stays the same when the token changes.

use bytes::Bytes;
use clockwork::Timestamp;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use serde_json::Value;

use super::Token;
use crate::config::Shop;
use crate::order::{Item, Order, phone_parts};
use crate::store::Intent;

/// Oracle takes an empty text for none, and refuses it where one must be.
const FILLER: &str = "-";
/// The header that carries the token.
const TOKEN_HEADER: &str = "cj-gateway-apikey";

/// A request that cannot be made of what was written down.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The text written down is no JSON object.
    #[error("request of `{0}` as written down is no JSON object")]
    NoObject(String),
}

/// `DATA` of `RegBook` without the token. The fields' order is the order on the wire.
#[derive(Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct Booking<'a> {
    cust_id: &'a str,
    rcpt_ymd: &'a str,
    cust_use_no: &'a str,
    rcpt_dv: &'static str,
    work_dv_cd: &'static str,
    req_dv_cd: &'static str,
    mpck_key: &'a str,
    mpck_seq: &'static str,
    cal_dv_cd: &'static str,
    frt_dv_cd: &'static str,
    cntr_item_cd: &'static str,
    box_type_cd: &'static str,
    box_qty: &'static str,
    frt: &'static str,
    cust_mgmt_dlcm_cd: &'a str,
    sendr_nm: &'a str,
    sendr_tel_no1: String,
    sendr_tel_no2: String,
    sendr_tel_no3: String,
    sendr_zip_no: &'a str,
    sendr_addr: &'a str,
    sendr_detail_addr: &'a str,
    rcvr_nm: &'a str,
    rcvr_tel_no1: String,
    rcvr_tel_no2: String,
    rcvr_tel_no3: String,
    rcvr_zip_no: &'a str,
    rcvr_addr: &'a str,
    rcvr_detail_addr: &'a str,
    invc_no: &'a str,
    prt_st: &'static str,
    article_amt: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark_1: Option<&'a str>,
    dlv_dv: &'static str,
    array: Vec<Goods<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct Goods<'a> {
    mpck_seq: String,
    gds_cd: &'a str,
    gds_nm: &'a str,
    gds_qty: String,
    gds_amt: String,
}

/// The exact request that books parcel `number` of `order`.
pub(super) fn intent(
    shop: &Shop,
    cust_id: &str,
    order: &Order,
    number: u32,
    invoice_no: &str,
    now: Timestamp,
) -> Intent {
    let rcpt_ymd = now.seoul_date();
    let cust_use_no = format!("{}-{number}", order.id);
    let mpck_key = format!("{rcpt_ymd}_{cust_id}_{cust_use_no}");
    let [sendr_tel_no1, sendr_tel_no2, sendr_tel_no3] = telephone(&shop.phone);
    let [rcvr_tel_no1, rcvr_tel_no2, rcvr_tel_no3] = telephone(&order.customer.phone);
    let goods = order.items_of(number);
    let amount = goods.fold(0_u64, |sum, item| sum.saturating_add(amount_of(item)));
    let booking = Booking {
        cust_id,
        rcpt_ymd: &rcpt_ymd,
        cust_use_no: &cust_use_no,
        rcpt_dv: "01",    // a normal parcel, not a return
        work_dv_cd: "01", // not an exchange
        req_dv_cd: "01",  // a request, not a cancellation
        mpck_key: &mpck_key,
        mpck_seq: "1",
        cal_dv_cd: "01",
        frt_dv_cd: "03", // freight on account
        cntr_item_cd: "01",
        box_type_cd: "02", // small
        box_qty: "1",
        frt: "0",
        cust_mgmt_dlcm_cd: cust_id,
        sendr_nm: filled(&shop.name),
        sendr_tel_no1,
        sendr_tel_no2,
        sendr_tel_no3,
        sendr_zip_no: filled(&shop.postcode),
        sendr_addr: filled(&shop.line1),
        sendr_detail_addr: filled(&shop.line2),
        rcvr_nm: filled(&order.customer.name),
        rcvr_tel_no1,
        rcvr_tel_no2,
        rcvr_tel_no3,
        rcvr_zip_no: filled(&order.address.postcode),
        rcvr_addr: filled(&order.address.line1),
        rcvr_detail_addr: filled(&order.address.line2),
        invc_no: invoice_no,
        prt_st: "03", // the number was assigned beforehand
        article_amt: amount.to_string(),
        remark_1: order.memo.as_deref().filter(|memo| !memo.is_empty()),
        dlv_dv: "01",
        array: (1..)
            .zip(order.items_of(number))
            .map(|(place, item)| goods_of(place, item))
            .collect(),
    };
    // Texts and a list of texts: nothing that JSON cannot write.
    let request = serde_json::to_string(&booking).expect("texts are always JSON");
    Intent { invoice_no: invoice_no.to_owned(), rcpt_ymd, cust_use_no, mpck_key, request }
}

fn goods_of(place: u32, item: &Item) -> Goods<'_> {
    Goods {
        mpck_seq: place.to_string(),
        gds_cd: filled(&item.sku),
        gds_nm: filled(&item.name),
        gds_qty: item.quantity.to_string(),
        gds_amt: amount_of(item).to_string(),
    }
}

fn amount_of(item: &Item) -> u64 {
    item.unit_price.saturating_mul(u64::from(item.quantity))
}

fn filled(text: &str) -> &str {
    if text.is_empty() { FILLER } else { text }
}

/// The three parts; fillers for what is no telephone number, which validation lets nowhere pass.
fn telephone(number: &str) -> [String; 3] {
    phone_parts(number).unwrap_or_else(|| [FILLER; 3].map(str::to_owned))
}

/// The body of `ReqOneDayToken`.
pub(super) fn token_request(cust_id: &str, biz_reg_num: &str) -> Bytes {
    enveloped(serde_json::json!({ "CUST_ID": cust_id, "BIZ_REG_NUM": biz_reg_num }))
}

/// The body of `ReqInvcNo`.
pub(super) fn invoice_request(cust_id: &str, token: &Token) -> Result<Bytes, Error> {
    Ok(enveloped(serde_json::json!({ "TOKEN_NUM": token.secret(), "CLNTNUM": cust_id })))
}

/// The body of `ReqOneGdsTrc`.
pub(super) fn tracking_request(
    cust_id: &str,
    invoice_no: &str,
    token: &Token,
) -> Result<Bytes, Error> {
    let data = serde_json::json!({
        "TOKEN_NUM": token.secret(), "CLNTNUM": cust_id, "INVC_NO": invoice_no
    });
    Ok(enveloped(data))
}

/// The body of `RegBook`: the very bytes that were written down, with the token before them.
pub(super) fn booking_request(intent: &Intent, token: &Token) -> Result<Bytes, Error> {
    let inside = |rest: &&str| rest.len() > 1 && rest.ends_with('}');
    let written = intent.request.strip_prefix('{').filter(inside);
    let written = written.ok_or_else(|| Error::NoObject(intent.cust_use_no.clone()))?;
    let token = Value::from(token.secret());
    Ok(Bytes::from(format!(r#"{{"DATA":{{"TOKEN_NUM":{token},{written}}}"#)))
}

/// The body of `CnclBook`: the same fields and key, as a cancellation.
pub(super) fn cancellation_request(intent: &Intent, token: &Token) -> Result<Bytes, Error> {
    let no_object = || Error::NoObject(intent.cust_use_no.clone());
    let mut data: Value = serde_json::from_str(&intent.request).map_err(|_| no_object())?;
    let fields = data.as_object_mut().ok_or_else(no_object)?;
    fields.insert("REQ_DV_CD".to_owned(), Value::from("02"));
    fields.insert("TOKEN_NUM".to_owned(), Value::from(token.secret()));
    Ok(enveloped(data))
}

fn enveloped(data: Value) -> Bytes {
    Bytes::from(serde_json::json!({ "DATA": data }).to_string())
}

/// The request to `endpoint`; without a token only where one is asked for.
pub(super) fn post(endpoint: &str, token: Option<&Token>, body: Bytes) -> http::Request<Bytes> {
    let json = HeaderValue::from_static("application/json");
    let mut request = http::Request::new(body);
    *request.method_mut() = http::Method::POST;
    // Endpoints are names of letters alone.
    *request.uri_mut() = format!("/{endpoint}").parse().expect("a name makes a path");
    request.headers_mut().insert(CONTENT_TYPE, json.clone());
    request.headers_mut().insert(ACCEPT, json);
    if let Some(token) = token {
        request.headers_mut().insert(TOKEN_HEADER, token.header());
    }
    request
}

#[cfg(test)]
mod tests;
