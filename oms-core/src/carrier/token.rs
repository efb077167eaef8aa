//! The one-day token: asked for by one task at a time, kept until it expires or is rejected.
//!
//! The carrier's rules: it holds for 24 hours; asked again it is the same one with the same end;
//! more than one question a second blocks for a while; after a 401 none is to be asked for during
//! a minute. The last two hold for all workers together, so they are a quota in the store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clockwork::{Clock, Timestamp};
use http::HeaderValue;
use serde_json::Value;

use super::reply::{self, Data};
use super::wire;
use crate::call::{Call, Context, Guard, NotNow, Outcome, Permits};
use crate::config;
use crate::env::{Env, Hands};
use crate::store::Window;

/// The quota of questions for a token, in the store.
const QUOTA: &str = "carrier-token";
/// The carrier's rule: no two questions within a second.
const SPACING: Window = Window { calls: 1, per: Duration::from_secs(1) };
/// What a header cannot carry cannot be a token.
const TOKEN_CHARS_MAX: usize = 200;

/// `TOKEN_NUM`. Printed it shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(****)")
    }
}

impl Token {
    /// The token of this text; `None` when no header could carry it.
    pub(super) fn new(text: &str) -> Option<Token> {
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        let fits = (1..=TOKEN_CHARS_MAX).contains(&text.len());
        (plain && fits).then(|| Token(Arc::from(text)))
    }

    /// For the request alone.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }

    /// The header's value, marked so that nobody prints it.
    pub(super) fn header(&self) -> HeaderValue {
        // `new` lets only visible ASCII pass.
        let mut value = HeaderValue::from_str(&self.0).expect("visible ASCII is a header's value");
        value.set_sensitive(true);
        value
    }
}

/// A token and its end.
#[derive(Debug, Clone)]
struct Kept {
    token: Token,
    expires_at: Timestamp,
}

#[derive(Debug, Default)]
struct Slot {
    kept: Option<Kept>,
    /// No question before.
    not_before: Timestamp,
}

/// Where all calls of a process get the token from.
pub(super) struct Tokens {
    guard: Guard,
    permits: Permits,
    clock: Arc<dyn Clock>,
    cust_id: String,
    biz_reg_num: String,
    wait_after_401: Duration,
    wait_after_failure: Duration,
    permit_wait: Duration,
    deadline: Duration,
    /// Its lock is the single flight: who holds it may ask.
    slot: tokio::sync::Mutex<Slot>,
}

impl Tokens {
    pub(super) fn new(env: &Env, guard: Guard, config: &config::Carrier) -> Tokens {
        let calls = &config.calls;
        Tokens {
            guard,
            permits: Permits::new(env, QUOTA, vec![SPACING], calls.deadline),
            clock: env.clock.clone(),
            cust_id: config.cust_id.clone(),
            biz_reg_num: config.biz_reg_num.clone(),
            wait_after_401: config.token_wait_after_401,
            wait_after_failure: calls.backoff,
            permit_wait: calls.permit_wait,
            deadline: calls.deadline,
            slot: tokio::sync::Mutex::new(Slot::default()),
        }
    }

    /// The day's token.
    ///
    /// # Errors
    /// [`NotNow`] when there is none and none can be had within the lease.
    pub(super) async fn token(&self, hands: &Hands, context: &Context) -> Result<Token, NotNow> {
        let mut slot = tokio::select! {
            biased;
            slot = self.slot.lock() => slot,
            () = context.tenure.over(&*self.clock) => {
                return Err(NotNow::new("another task is asking for the token", None));
            }
        };
        let now = self.clock.now();
        if let Some(kept) = &slot.kept {
            // A call begun shortly before the end would arrive after it. Asking would bring the
            // same token again, so the end is waited for.
            if now + self.deadline < kept.expires_at {
                return Ok(kept.token.clone());
            }
            if now < kept.expires_at {
                let wait = kept.expires_at.since(now);
                return Err(NotNow::new("token is about to expire", Some(wait)));
            }
        }
        if now < slot.not_before {
            let wait = slot.not_before.since(now);
            return Err(NotNow::new("no new token yet", Some(wait)));
        }
        self.renew(&mut slot, hands, context).await
    }

    /// Asks for a token, and keeps it.
    async fn renew(
        &self,
        slot: &mut Slot,
        hands: &Hands,
        context: &Context,
    ) -> Result<Token, NotNow> {
        let permit = self.permits.take(self.clock.now() + self.permit_wait).await?;
        let endpoint = "ReqOneDayToken";
        let body = wire::token_request(&self.cust_id, &self.biz_reg_num);
        let call = Call {
            endpoint,
            changes: false,
            for_all: true,
            request: wire::post(endpoint, None, body),
        };
        let mut rejected = false;
        let read = |response: &http::Response<Bytes>| {
            rejected = response.status() == http::StatusCode::UNAUTHORIZED;
            reply::meaning(response, &[&self.biz_reg_num], kept_of)
        };
        let outcome = self.guard.call_under(hands, Some(permit), context, call, read).await;
        // At once: whoever takes over from a process that dies now needs a token before all else, and
        // would wait for the end of a hold that nobody told.
        self.permits.hand_back().await;
        let now = self.clock.now();
        let (reason, wait) = match outcome {
            Outcome::Done(kept) => {
                let token = kept.token.clone();
                slot.kept = Some(kept);
                return Ok(token);
            }
            Outcome::NotProcessed { reason, wait, .. } | Outcome::Unknown { reason, wait } => {
                (reason, wait)
            }
            Outcome::Refused { reason } => (reason, Some(self.wait_after_401)),
            Outcome::Duplicate => ("refused as a duplicate".to_owned(), None),
        };
        let least = if rejected { self.wait_after_401 } else { self.wait_after_failure };
        let wait = wait.unwrap_or_default().max(least);
        slot.not_before = now + wait;
        tracing::warn!(reason, ?wait, "no token");
        Err(NotNow::new(format!("no token: {reason}"), Some(wait)))
    }

    /// Gives permits back, before the process ends.
    pub(super) async fn hand_back(&self) {
        self.permits.hand_back().await;
    }

    /// Drops `token`, which the carrier has rejected; how long until there can be another.
    ///
    /// Calls that were under way together are all told so: the first one counts.
    pub(super) async fn reject(&self, token: &Token, now: Timestamp) -> Option<Duration> {
        let mut slot = self.slot.lock().await;
        if slot.kept.as_ref().is_some_and(|kept| kept.token == *token) {
            slot.kept = None;
            slot.not_before = now + self.wait_after_401;
            tracing::warn!(until = %slot.not_before, "token rejected, no other until");
            let until = slot.not_before;
            drop(slot);
            self.permits.block(until).await;
            return Some(until.since(now));
        }
        (now < slot.not_before).then(|| slot.not_before.since(now))
    }
}

/// `DATA` of `ReqOneDayToken`.
fn kept_of(data: &Data) -> Option<Kept> {
    let text = |name: &str| data.get(name).and_then(Value::as_str);
    let token = Token::new(text("TOKEN_NUM")?)?;
    let expires_at = Timestamp::parse_seoul_compact(text("TOKEN_EXPRTN_DTM")?).ok()?;
    Some(Kept { token, expires_at })
}
