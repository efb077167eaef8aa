//! The carrier's API (CJ Logistics' parcel API): invoice numbers, bookings, cancellations, tracking.
//!
//! `carrier/reply.rs` is the table of what each answer means, `carrier/wire.rs` what is written,
//! `carrier/token.rs` how the one-day token is kept. Nothing here retries: that is the flow's work.

mod reply;
mod token;
mod wire;

pub use token::Token;

use std::sync::Arc;

use bytes::Bytes;
use clockwork::{Clock, Timestamp};

use crate::call::{Call, Context, Guard, Line, NotNow, Outcome, Reading};
use crate::config::{self, Config};
use crate::env::{Env, Hands};
use crate::order::Order;
use crate::store::Intent;
use reply::Data;
use token::Tokens;

/// The quota of the carrier's API in the store.
pub const QUOTA: &str = "carrier";

/// Where a parcel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tracking {
    /// The carrier shows nothing of it: never booked, cancelled, or not shown yet.
    None,
    /// Its latest state.
    At {
        /// `CRG_ST`: 01 pick-up ordered, 11 picked up, 12 not picked up, 41 and 42 on the road,
        /// 82 out for delivery, 84 not delivered, 91 delivered.
        state: String,
    },
}

impl Tracking {
    /// Whether the carrier has it in its hands, so that it cannot be cancelled any longer.
    pub fn picked_up(&self) -> bool {
        matches!(self, Tracking::At { state } if state != "01" && state != "12")
    }
}

/// The carrier. Cheap to clone; all clones share token, permits and breaker.
#[derive(Clone)]
pub struct Carrier {
    shared: Arc<Shared>,
}

struct Shared {
    guard: Guard,
    tokens: Tokens,
    clock: Arc<dyn Clock>,
    shop: config::Shop,
    cust_id: String,
}

impl Carrier {
    /// The carrier as `config` has it.
    pub fn new(env: &Env, config: &Config) -> Carrier {
        let calls = &config.carrier.calls;
        let line = Line {
            api: "carrier",
            quota: QUOTA,
            transport: env.carrier.clone(),
            windows: calls.windows.clone(),
        };
        let guard = Guard::new(env, line, calls);
        let shared = Shared {
            tokens: Tokens::new(env, guard.clone(), &config.carrier),
            guard,
            clock: env.clock.clone(),
            shop: config.shop.clone(),
            cust_id: config.carrier.cust_id.clone(),
        };
        Carrier { shared: Arc::new(shared) }
    }

    /// Gives permits back, before the process ends.
    pub async fn hand_back(&self) {
        self.shared.guard.hand_back().await;
        self.shared.tokens.hand_back().await;
    }

    /// The exact request that books parcel `number` of `order` under `invoice_no`.
    ///
    /// It is to be written down before it is sent: it carries today's date, which is a part of the
    /// key by which the carrier knows a booking again.
    pub fn request_of(
        &self,
        order: &Order,
        number: u32,
        invoice_no: &str,
        now: Timestamp,
    ) -> Intent {
        wire::intent(&self.shared.shop, &self.shared.cust_id, order, number, invoice_no, now)
    }

    /// `ReqInvcNo`: a new invoice number. Each call burns one, so a lost reply leaks a number.
    pub async fn allocate_invoice(&self, hands: &Hands, context: &Context) -> Outcome<String> {
        let request = |token: &Token| wire::invoice_request(&self.shared.cust_id, token);
        self.call(hands, context, "ReqInvcNo", false, request, reply::invoice).await
    }

    /// `RegBook`: books a parcel with the very bytes that were written down.
    ///
    /// [`Outcome::Duplicate`] is the carrier's `ORA-00001`: it has a booking of this key.
    pub async fn book(&self, hands: &Hands, context: &Context, intent: &Intent) -> Outcome<()> {
        let request = |token: &Token| wire::booking_request(intent, token);
        self.call(hands, context, "RegBook", true, request, reply::done).await
    }

    /// `CnclBook`: cancels what `intent` booked. Whether a refusal means "picked up" or "no such
    /// booking" is not told.
    pub async fn cancel(&self, hands: &Hands, context: &Context, intent: &Intent) -> Outcome<()> {
        let request = |token: &Token| wire::cancellation_request(intent, token);
        self.call(hands, context, "CnclBook", true, request, reply::done).await
    }

    /// `ReqOneGdsTrc`: where the parcel of `invoice_no` is.
    pub async fn track(
        &self,
        hands: &Hands,
        context: &Context,
        invoice_no: &str,
    ) -> Outcome<Tracking> {
        let request =
            |token: &Token| wire::tracking_request(&self.shared.cust_id, invoice_no, token);
        let read = |data: &Data| reply::tracking(data, invoice_no);
        self.call(hands, context, "ReqOneGdsTrc", false, request, read).await
    }

    /// One call under the day's token. A rejected token is dropped; the call comes back later.
    async fn call<T>(
        &self,
        hands: &Hands,
        context: &Context,
        endpoint: &'static str,
        changes: bool,
        request: impl FnOnce(&Token) -> Result<Bytes, wire::Error>,
        value_of: impl FnOnce(&Data) -> Option<T>,
    ) -> Outcome<T> {
        let shared = &self.shared;
        let token = match shared.tokens.token(hands, context).await {
            Ok(token) => token,
            Err(NotNow { reason, wait }) => {
                return Outcome::NotProcessed { reason, wait, spent: false };
            }
        };
        let body = match request(&token) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(key = context.key, %error, "request cannot be made");
                return Outcome::NotProcessed {
                    reason: error.to_string(),
                    wait: None,
                    spent: true,
                };
            }
        };
        let call = Call {
            endpoint,
            changes,
            for_all: false,
            request: wire::post(endpoint, Some(&token), body),
        };
        let mut rejected = false;
        let read = |response: &http::Response<Bytes>| -> Reading<T> {
            rejected = response.status() == http::StatusCode::UNAUTHORIZED;
            reply::read(response, changes, &token, value_of)
        };
        let outcome = shared.guard.call(hands, context, call, read).await;
        match outcome {
            Outcome::NotProcessed { reason, wait, spent } if rejected => {
                let renewed = shared.tokens.reject(&token, shared.clock.now()).await;
                Outcome::NotProcessed { reason, wait: wait.max(renewed), spent }
            }
            outcome => outcome,
        }
    }
}
