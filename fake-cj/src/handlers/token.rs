//! `ReqOneDayToken`.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::{Incoming, note_refusal, too_many_requests, unknown_customer};
use crate::carrier::Carrier;
use crate::config::TokenBlockedSees;
use crate::ledger::TokenIssued;
use crate::token::{Grant, Token, mask};
use crate::wire::Endpoint;
use crate::wire::reply::{self, Failure, TokenData};
use crate::wire::request::Data;

/// Gives the customer the day's token.
pub(super) fn request(carrier: &mut Carrier, call: &Incoming<'_>, data: &Data<'_>) -> Response {
    let config = call.config;
    let is_known =
        data.text("CUST_ID") == config.cust_id && data.text("BIZ_REG_NUM") == config.biz_reg_num;
    if !is_known {
        return refuse(carrier, call, unknown_customer());
    }
    match carrier.tokens.request(call.now) {
        Grant::Same(token) => granted(token),
        Grant::Issued(token) => {
            carrier.evidence.token_issued(TokenIssued {
                token_masked: mask(&token.number),
                at: call.now,
                request_id: call.request_id,
                expires_at: token.expires_at,
            });
            granted(token)
        }
        Grant::Blocked { until } => {
            carrier.evidence.totals.token_blocks += 1;
            match config.token_blocked_sees {
                TokenBlockedSees::TooManyRequests => too_many_requests(config, call.now, until),
                TokenBlockedSees::Failure => refuse(carrier, call, blocked()),
            }
        }
    }
}

fn blocked() -> Failure {
    Failure::with_status(StatusCode::OK, "토큰 발급 요청이 일시적으로 제한되었습니다.")
}

fn granted(token: Token) -> Response {
    reply::success(Some(TokenData {
        token_exprtn_dtm: token.expires_at.seoul_compact(),
        token_num: token.number,
        notice: String::new(),
    }))
}

fn refuse(carrier: &mut Carrier, call: &Incoming<'_>, failure: Failure) -> Response {
    note_refusal(carrier, call, Endpoint::Token, &failure);
    failure.into_response()
}
