//! The message gateway, faked: it speaks Bizgo Communication API v1 and misbehaves on command.
//!
//! Kakao Alimtalk with fallback to text messages, idempotency keys, limits, reports that are
//! polled and acknowledged; beside the API a [`Ledger`] of what truly happened. In reading order:
//!
//! - [`Config`]: what can be set;
//! - [`wire`] and [`codes`]: what goes over the wire;
//! - [`limits`], [`idempotency`], [`templates`], [`delivery`], [`reports`]: the rules, each pure;
//! - `gateway`: every decision, made under one lock; `handlers`: HTTP around it;
//! - [`Ledger`]: the evidence.
//!
//! The fake shares nothing with the order system that calls it: the contract is written twice.

mod api;
mod cli;
pub mod codes;
pub mod config;
pub mod delivery;
mod gateway;
mod handlers;
pub mod idempotency;
pub mod ledger;
pub mod limits;
pub mod reports;
pub mod templates;
pub mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use clockwork::{Clock, Entropy, Timestamp};
use faults::{Injector, Journal};
use serde::{Deserialize, Serialize};

pub use cli::main_with_args;
pub use config::{Config, Secret};
pub use ledger::Ledger;

use gateway::Gateway;

/// The gateway. Clones share it.
#[derive(Clone)]
pub struct FakeKakao {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    entropy: Entropy,
    credentials: Credentials,
    gateway: Mutex<Gateway>,
    injector: Injector,
    journal: Journal,
}

/// What a caller needs to be let in and to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The value of `Authorization`, with no scheme before it.
    pub api_key: Secret,
    /// A registered sender profile.
    pub sender_key: String,
    /// A registered sender number for text messages.
    pub sms_from: String,
}

impl FakeKakao {
    /// A gateway at which nothing has happened. What `config` leaves open is made from `entropy`.
    pub fn new(mut config: Config, clock: Arc<dyn Clock>, entropy: Entropy) -> FakeKakao {
        if config.sender_keys.is_empty() {
            config.sender_keys.push(token(entropy, "sender-key"));
        }
        let api_key =
            config.api_key.clone().unwrap_or_else(|| Secret::new(token(entropy, "api-key")));
        let credentials = Credentials {
            api_key: api_key.clone(),
            sender_key: config.sender_keys[0].clone(),
            sms_from: config.sms_senders.first().cloned().unwrap_or_default(),
        };
        let journal = Journal::new(Arc::clone(&clock), config.ledger_capacity);
        let injector = Injector::new(Arc::clone(&clock), entropy);
        let gateway = Gateway::new(Arc::new(config), api_key, entropy);
        let gateway = Mutex::new(gateway);
        let shared = Shared { clock, entropy, credentials, gateway, injector, journal };
        FakeKakao { shared: Arc::new(shared) }
    }

    /// The API with its faults.
    pub fn router(&self) -> Router {
        self.disturbed(handlers::router(self.clone()))
    }

    fn disturbed(&self, router: Router) -> Router {
        let api = Arc::new(self.clone());
        let Shared { injector, journal, .. } = &*self.shared;
        faults::disturb(router, api, injector.clone(), journal.clone())
    }

    /// Forgets the idempotency keys; messages, reports and limits stay.
    pub fn forget(&self) {
        self.lock().forget_keys();
    }

    /// Through which faults are installed.
    pub fn injector(&self) -> Injector {
        self.shared.injector.clone()
    }

    /// What truly happened until now.
    pub fn ledger(&self) -> Ledger {
        let now = self.shared.clock.now();
        let evidence = self.lock().evidence(now);
        let journal = &self.shared.journal;
        Ledger {
            messages: evidence.messages,
            sends: evidence.sends,
            duplicates: evidence.duplicates,
            rate_limited: evidence.rate_limited,
            bans: evidence.bans,
            totals: evidence.totals,
            requests: journal.records(),
            requests_dropped: journal.dropped(),
            counts: journal.counts(),
        }
    }

    /// What stands in the ledger for the recipient `to`.
    pub fn recipient_hash(&self, to: &str) -> String {
        ledger::recipient_hash(self.shared.entropy, to)
    }

    /// Forgets everything that happened: messages, keys, reports, limits, bans and requests. The
    /// faults stay.
    pub fn reset(&self) {
        self.lock().reset();
        self.shared.journal.reset();
    }

    /// What a caller needs.
    pub fn credentials(&self) -> Credentials {
        self.shared.credentials.clone()
    }

    /// Decides and changes state in one go. The time is read under the lock, so that it never
    /// runs backwards between two decisions.
    pub(crate) fn decide<T>(&self, decision: impl FnOnce(&mut Gateway, Timestamp) -> T) -> T {
        let mut gateway = self.lock();
        let now = self.shared.clock.now();
        decision(&mut gateway, now)
    }

    /// The provider's id of a request.
    pub(crate) fn transaction(&self, request: u64) -> String {
        let high = self.shared.entropy.fork("transaction", request).seed();
        let low = self.shared.entropy.fork("transaction-low", request).seed();
        let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
        let (d, e) = ((low >> 48) & 0x3fff | 0x8000, low & 0xffff_ffff_ffff);
        format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}")
    }

    fn lock(&self) -> MutexGuard<'_, Gateway> {
        self.shared.gateway.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forty characters that the seed gives.
fn token(entropy: Entropy, name: &str) -> String {
    let word = |place: u32| format!("{:016x}", entropy.fork(name, place).seed());
    let mut text: String = (0..3).map(word).collect();
    text.truncate(40);
    text
}
