//! The message gateway's API (Bizgo Communication API v1): Alimtalk with an SMS to fall back to,
//! and the reports of what became of messages.
//!
//! `messenger/reply.rs` is the table of what each answer means, `messenger/wire.rs` what is
//! written. A message has one key for ever: the gateway refuses a repeat (A301), so sending again
//! asks whether it was sent.

mod reply;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::call::{Call, Context, Guard, Line, Outcome, words};
use crate::config::{self, Config};
use crate::env::{Env, Hands};
use crate::order::Order;
use crate::policy::MessagePolicy;
use crate::store::{About, DeliveryReport, NoticeWork, Window};

/// The quota of sending, in the store: messages, and each send is one.
pub const QUOTA: &str = "messenger";
/// The quota of everything else.
pub const REPORT_QUOTA: &str = "messenger-reports";
/// Bizgo: five requests a second to every endpoint but sending.
const REPORT_WINDOW: Window = Window { calls: 5, per: Duration::from_secs(1) };

/// A batch of delivery reports. It comes again until it is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportBatch {
    /// What it is acknowledged by.
    pub report_id: String,
    /// The reports.
    pub reports: Vec<DeliveryReport>,
}

/// The gateway. Cheap to clone; all clones share permits and breakers.
#[derive(Clone)]
pub struct Messenger {
    shared: Arc<Shared>,
}

struct Shared {
    sends: Guard,
    /// Apart from sending, quota and breaker: reports that fail must not keep messages back.
    reports: Guard,
    policy: Arc<dyn MessagePolicy>,
    shop: config::Shop,
    config: config::Messenger,
}

impl Messenger {
    /// The gateway as `config` has it.
    pub fn new(env: &Env, config: &Config) -> Messenger {
        let calls = &config.messenger.calls;
        let line = |quota, windows| Line {
            api: "messenger",
            quota,
            transport: env.messenger.clone(),
            windows,
        };
        // A gateway without a quota for messages has none at all.
        let report_windows = match calls.windows.is_empty() {
            true => Vec::new(),
            false => vec![REPORT_WINDOW],
        };
        let shared = Shared {
            sends: Guard::new(env, line(QUOTA, calls.windows.clone()), calls),
            reports: Guard::new(env, line(REPORT_QUOTA, report_windows), calls),
            policy: env.policies.messages.clone(),
            shop: config.shop.clone(),
            config: config.messenger.clone(),
        };
        Messenger { shared: Arc::new(shared) }
    }

    /// Gives permits back, before the process ends.
    pub async fn hand_back(&self) {
        self.shared.sends.hand_back().await;
        self.shared.reports.hand_back().await;
    }

    /// Sends a notification under its key; done, it brings the gateway's key of the message.
    ///
    /// [`Outcome::Duplicate`] is the gateway's A301: it accepted a message of this key before.
    pub async fn send(
        &self,
        hands: &Hands,
        context: &Context,
        notice: &NoticeWork,
    ) -> Outcome<Option<String>> {
        let shared = &self.shared;
        let (shop, config) = (&shared.shop.name, &shared.config);
        let (to, template, text) = match &notice.about {
            About::Order { order, invoices } => {
                let text = shipped_text(shop, order, invoices);
                (&order.customer.phone, &config.template_code, text)
            }
            About::Member(member) => {
                let text = welcome_text(shop, &member.name);
                (&member.phone, &config.welcome_template_code, text)
            }
        };
        let key = notice.key.to_string();
        let idempotency_key = shared.policy.idempotency_key(&key);
        let request = wire::send(config, &key, idempotency_key.as_deref(), to, template, &text);
        let call = Call { endpoint: "send/omni", changes: true, for_all: false, request };
        let secrets = [shared.config.api_key.as_str(), to];
        shared.sends.call(hands, context, call, |response| reply::sent(response, &secrets)).await
    }

    /// Polls a batch of delivery reports; `None` when there is none.
    pub async fn poll_reports(
        &self,
        hands: &Hands,
        context: &Context,
    ) -> Outcome<Option<ReportBatch>> {
        let request = wire::poll(&self.shared.config);
        self.report_call(hands, context, "report/polling", request, reply::batch).await
    }

    /// Acknowledges a batch, so that it does not come again.
    pub async fn acknowledge(
        &self,
        hands: &Hands,
        context: &Context,
        report_id: &str,
    ) -> Outcome<()> {
        let Some(request) = wire::acknowledge(&self.shared.config, report_id) else {
            let reason = format!("`{}` is no id of a batch", words(report_id, &[]));
            return Outcome::Refused { reason };
        };
        self.report_call(hands, context, "report/ack", request, |_| Some(())).await
    }

    async fn report_call<T>(
        &self,
        hands: &Hands,
        context: &Context,
        endpoint: &'static str,
        request: http::Request<Bytes>,
        value_of: impl FnOnce(&reply::Payload) -> Option<T>,
    ) -> Outcome<T> {
        let call = Call { endpoint, changes: false, for_all: true, request };
        let secrets = [self.shared.config.api_key.as_str()];
        let read = |response: &http::Response<Bytes>| reply::meaning(response, &secrets, value_of);
        self.shared.reports.call(hands, context, call, read).await
    }
}

/// What the customer reads: the text of the template, filled in.
pub fn shipped_text(shop: &str, order: &Order, invoices: &[String]) -> String {
    let (name, id) = (&order.customer.name, &order.id);
    let numbers = invoices.join(", ");
    format!("[{shop}] {name}님, 주문 {id}의 배송이 접수되었습니다. 운송장번호 {numbers}")
}

/// What a new member reads: the text of the template, filled in.
pub fn welcome_text(shop: &str, name: &str) -> String {
    format!("[{shop}] {name}님, 회원가입을 환영합니다.")
}
