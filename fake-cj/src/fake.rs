//! The carrier put together: router, faults, ledger, admin.

use std::borrow::Cow;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use clockwork::{Clock, Entropy, Timestamp};
use faults::admin::Evidence;
use faults::{BODY_LIMIT_BYTES, Call, Injector, Journal};
use serde::{Deserialize, Serialize};

use crate::api::CarrierApi;
use crate::carrier::Carrier;
use crate::config::{self, Config};
use crate::handlers::{self, Incoming, KEY_HEADER};
use crate::invoice::InvoiceNumber;
use crate::ledger::Ledger;
use crate::tracking::ParcelState;
use crate::wire::reply::Failure;

/// The carrier. Clones share one state.
#[derive(Clone)]
pub struct FakeCj {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    clock: Arc<dyn Clock>,
    entropy: Entropy,
    carrier: Mutex<Carrier>,
    injector: Injector,
    journal: Journal,
}

/// What the API accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// `CUST_ID` and `CLNTNUM`.
    pub cust_id: String,
    /// `BIZ_REG_NUM`.
    pub biz_reg_num: String,
}

/// Why a parcel was not scanned by hand.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// No such number can exist.
    #[error("invoice number `{0}`")]
    Number(String, #[source] crate::invoice::Error),
    /// No live booking has it.
    #[error("no live booking has invoice number `{0}`")]
    Unknown(String),
}

impl FakeCj {
    /// A carrier that has just opened. `entropy` makes the tokens and the faults' chance.
    pub fn new(config: Config, clock: Arc<dyn Clock>, entropy: Entropy) -> FakeCj {
        let carrier = Mutex::new(Carrier::new(&config, entropy));
        let injector = Injector::new(Arc::clone(&clock), entropy);
        let journal = Journal::new(Arc::clone(&clock), config.ledger_capacity);
        FakeCj { inner: Arc::new(Inner { config, clock, entropy, carrier, injector, journal }) }
    }

    /// The API, behind its faults.
    pub fn router(&self) -> Router {
        self.disturbed(self.undisturbed())
    }

    fn disturbed(&self, router: Router) -> Router {
        let api = Arc::new(CarrierApi::new(self.clone()));
        faults::disturb(router, api, self.injector(), self.inner.journal.clone())
    }

    /// Routes for the admin address: `POST /scan`, `POST /revoke-token`, `POST /forget`.
    pub fn admin_router(&self) -> Router {
        Router::new()
            .route("/scan", post(scan))
            .route("/revoke-token", post(revoke_token))
            .route("/forget", post(forget))
            .with_state(self.clone())
    }

    /// The faults.
    pub fn injector(&self) -> Injector {
        self.inner.injector.clone()
    }

    /// What truly happened up to now.
    pub fn ledger(&self) -> Ledger {
        let now = self.inner.clock.now();
        let ledger = self.lock().ledger(now);
        let journal = &self.inner.journal;
        Ledger {
            requests: journal.records(),
            requests_dropped: journal.dropped(),
            counts: journal.counts(),
            ..ledger
        }
    }

    /// As it was when it opened; faults stay.
    pub fn reset(&self) {
        *self.lock() = Carrier::new(&self.inner.config, self.inner.entropy);
        self.inner.journal.reset();
    }

    /// What the API accepts.
    pub fn credentials(&self) -> Credentials {
        let config = &self.inner.config;
        let (cust_id, biz_reg_num) = (config.cust_id.clone(), config.biz_reg_num.clone());
        Credentials { cust_id, biz_reg_num }
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Scans a parcel now, as a courier does; from then on it moves by hand alone.
    ///
    /// # Errors
    /// [`ScanError`], when no live booking has `invoice_no`.
    pub fn scan(&self, invoice_no: &str, state: ParcelState) -> Result<(), ScanError> {
        let number: InvoiceNumber =
            invoice_no.parse().map_err(|error| ScanError::Number(invoice_no.to_owned(), error))?;
        let mut carrier = self.lock();
        let now = self.inner.clock.now();
        let scanned = carrier.book.scan(number, state, now);
        scanned.map_err(|_| ScanError::Unknown(invoice_no.to_owned()))
    }

    /// Makes the token invalid now.
    pub fn revoke_token(&self) {
        self.lock().tokens.revoke();
    }

    /// Forgets the token, and which bookings there are as far as repeats go: what is booked stays
    /// booked, and another booking of the same parcel is taken for new.
    pub fn forget(&self) {
        let mut carrier = self.lock();
        carrier.tokens.revoke();
        carrier.book.forget_repeats();
    }

    /// Bans an address now, for `length` or as long as the settings say; the ban's end.
    pub fn ban(&self, client: IpAddr, length: Option<std::time::Duration>) -> Timestamp {
        let mut carrier = self.lock();
        let now = self.inner.clock.now();
        let until = carrier.gate.ban(client, now, length.unwrap_or(self.inner.config.ban_for));
        carrier.evidence.banned(client, now, until);
        until
    }

    /// The API without its faults.
    fn undisturbed(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    /// A panic elsewhere leaves the books as they were before that call's next step: go on.
    fn lock(&self) -> MutexGuard<'_, Carrier> {
        self.inner.carrier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, parts: &Parts, body: &[u8]) -> Response {
        let call = parts.extensions.get::<Call>();
        let data = handlers::read(body);
        let header_key = parts.headers.get(KEY_HEADER).and_then(|value| value.to_str().ok());
        let mut carrier = self.lock();
        let incoming = Incoming {
            config: &self.inner.config,
            request_id: call.map_or(0, |call| call.id),
            client: call.map_or_else(|| client_of(parts), |call| call.client),
            now: self.inner.clock.now(),
            method: &parts.method,
            path: parts.uri.path(),
            header_key,
            data: &data,
        };
        handlers::answer(&mut carrier, &incoming)
    }
}

impl Evidence for FakeCj {
    fn ledger(&self) -> serde_json::Value {
        // Strings, numbers, lists and maps with string keys: nothing that JSON cannot write.
        serde_json::to_value(FakeCj::ledger(self)).unwrap_or_default()
    }

    fn reset(&self) {
        FakeCj::reset(self);
    }
}

/// The whole of `fake-cj`, for a binary of its own or within another: runs until told to end.
pub fn main_with_args(args: impl Iterator<Item = OsString>) -> ExitCode {
    let about = "A carrier that speaks CJ Logistics' parcel API and misbehaves on command";
    faults::fake::main("fake-cj", about, args, |setup| {
        let config = Config::from_toml(setup.config_text.as_deref().unwrap_or_default())?;
        let fake = FakeCj::new(config, Arc::clone(&setup.clock), setup.entropy);
        let credentials = fake.credentials();
        Ok::<_, config::Error>(faults::fake::Fake {
            router: fake.disturbed(setup.kept(fake.undisturbed())),
            plain: fake.undisturbed(),
            journal: fake.inner.journal.clone(),
            admin: fake.admin_router(),
            injector: fake.injector(),
            credentials: serde_json::json!({
                "cust_id": credentials.cust_id,
                "biz_reg_num": credentials.biz_reg_num,
            }),
            evidence: Arc::new(fake),
        })
    })
}

fn client_of(parts: &Parts) -> IpAddr {
    let connected = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    connected.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |info| info.0.ip())
}

async fn serve(State(fake): State<FakeCj>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match read_body(body).await {
        Ok(body) => fake.answer(&parts, &body),
        Err(failure) => failure.into_response(),
    }
}

async fn read_body(body: Body) -> Result<axum::body::Bytes, Failure> {
    let too_large =
        |_| Failure::with_status(StatusCode::PAYLOAD_TOO_LARGE, Cow::Borrowed("Payload Too Large"));
    to_bytes(body, BODY_LIMIT_BYTES).await.map_err(too_large)
}

/// The body of `POST /scan`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScanRequest {
    invoice_no: String,
    state: ParcelState,
}

async fn scan(State(fake): State<FakeCj>, body: axum::body::Bytes) -> Response {
    let scanned =
        serde_json::from_slice::<ScanRequest>(&body).map_err(|error| error.to_string()).and_then(
            |scan| fake.scan(&scan.invoice_no, scan.state).map_err(|error| error.to_string()),
        );
    match scanned {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(detail) => problem(detail),
    }
}

async fn revoke_token(State(fake): State<FakeCj>) -> StatusCode {
    fake.revoke_token();
    StatusCode::NO_CONTENT
}

async fn forget(State(fake): State<FakeCj>) -> StatusCode {
    fake.forget();
    StatusCode::NO_CONTENT
}

fn problem(detail: String) -> Response {
    let body = serde_json::json!({
        "type": "about:blank",
        "title": "scan refused",
        "status": 400,
        "detail": detail,
    });
    let kind = [(axum::http::header::CONTENT_TYPE, "application/problem+json")];
    (StatusCode::BAD_REQUEST, kind, body.to_string()).into_response()
}
