//! What becomes of an accepted message: pure, decided once, from what is known of the recipient.

use std::fmt;

use clockwork::{Entropy, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codes::ReportCode;
use crate::config::Config;
use crate::ledger::mask;
use crate::templates::TemplateState;

/// What is known of one recipient.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// The number, as it stands in `to`.
    pub to: String,
    /// Whether Kakao reaches them.
    #[serde(default)]
    pub kakao: Kakao,
    /// Whether a text message reaches them.
    #[serde(default)]
    pub sms: Sms,
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Recipient");
        shown.field("to", &mask(&self.to)).field("kakao", &self.kakao).field("sms", &self.sms);
        shown.finish()
    }
}

/// Whether Kakao reaches a recipient.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kakao {
    /// Yes.
    #[default]
    Ok,
    /// They do not use Kakao: 63019.
    None,
    /// They refuse Alimtalk: 63020.
    Blocked,
    /// Sent, never acknowledged: 63005.
    Unknown,
    /// They have not used Kakao for long: 63018.
    Inactive,
    /// Kakao takes the number for none: 63008.
    BadNumber,
    /// Kakao breaks on them: 63006.
    InternalError,
}

impl Kakao {
    fn report(self) -> ReportCode {
        match self {
            Kakao::Ok => ReportCode::Delivered,
            Kakao::None => ReportCode::NotAUser,
            Kakao::Blocked => ReportCode::Blocked,
            Kakao::Unknown => ReportCode::Unknown,
            Kakao::Inactive => ReportCode::CannotSend,
            Kakao::BadNumber => ReportCode::BadNumber,
            Kakao::InternalError => ReportCode::InternalError,
        }
    }
}

/// Whether a text message reaches a recipient.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Sms {
    /// Yes.
    #[default]
    Ok,
    /// No: 23001.
    Fail,
}

/// Which share of the recipients that the configuration does not name is out of reach.
///
/// Whether one is, depends on the seed and the number alone.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Not on Kakao.
    pub kakao_none: f64,
    /// Refuse Alimtalk.
    pub kakao_blocked: f64,
    /// Never acknowledge.
    pub kakao_unknown: f64,
    /// Have not used Kakao for long.
    pub kakao_inactive: f64,
    /// Have a number that Kakao takes for none.
    pub kakao_bad_number: f64,
    /// Break Kakao.
    pub kakao_internal_error: f64,
    /// Get no text messages.
    pub sms_fail: f64,
}

impl Rates {
    fn of_kakao(&self) -> [(Kakao, f64); 6] {
        [
            (Kakao::None, self.kakao_none),
            (Kakao::Blocked, self.kakao_blocked),
            (Kakao::Unknown, self.kakao_unknown),
            (Kakao::Inactive, self.kakao_inactive),
            (Kakao::BadNumber, self.kakao_bad_number),
            (Kakao::InternalError, self.kakao_internal_error),
        ]
    }

    /// Whether each is a share, and those of Kakao are one together.
    pub fn are_shares(&self) -> bool {
        let share = |rate: f64| (0.0..=1.0).contains(&rate);
        let kakao = self.of_kakao();
        let together: f64 = kakao.iter().map(|(_, rate)| rate).sum();
        // The sum of ten tenths is a hair above one.
        share(self.sms_fail) && kakao.iter().all(|(_, rate)| share(*rate)) && together <= 1.0 + 1e-9
    }
}

/// What is known of the recipient `to`: from the configuration's rows, or drawn by its rates.
pub fn recipient(config: &Config, entropy: Entropy, to: &str) -> Recipient {
    if let Some(row) = config.recipients.iter().find(|row| row.to == to) {
        return row.clone();
    }
    let mut drawn = entropy.fork("kakao", to).unit();
    let kakao = config.rates.of_kakao().into_iter().find(|(_, rate)| {
        drawn -= rate;
        drawn < 0.0
    });
    let fails = entropy.fork("sms", to).chance(config.rates.sms_fail);
    Recipient {
        to: to.to_owned(),
        kakao: kakao.map_or(Kakao::Ok, |(kakao, _)| kakao),
        sms: if fails { Sms::Fail } else { Sms::Ok },
    }
}

/// A way to the recipient.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// Kakao Alimtalk.
    Alimtalk,
    /// A short text message.
    Sms,
    /// A long text message.
    Mms,
}

/// One step of the `messageFlow`, ready for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Where it goes.
    pub channel: Channel,
    /// What the recipient would read.
    pub text: String,
    /// What the template check says: `Some` only of an Alimtalk that Kakao will not send.
    pub fault: Option<ReportCode>,
}

/// What the template's state and the text make of an Alimtalk at Kakao.
pub fn template_fault(state: TemplateState, matches: bool) -> Option<ReportCode> {
    match state {
        TemplateState::Removed => Some(ReportCode::NoTemplate),
        _ if !matches => Some(ReportCode::TemplateMismatch),
        _ => None,
    }
}

/// What becomes of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When its outcome was known.
    pub reported_at: Timestamp,
    /// Its outcome.
    pub code: ReportCode,
    /// When the recipient had it, if ever.
    pub reached_at: Option<Timestamp>,
}

/// What becomes of `steps`, in order: the next one is tried only when the one before failed.
pub fn deliver(
    config: &Config,
    recipient: &Recipient,
    steps: &[Step],
    accepted_at: Timestamp,
) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    let mut sent_at = accepted_at;
    for step in steps {
        let attempt = attempt(config, recipient, step, sent_at);
        attempts.push(attempt);
        let settled = match attempt.code {
            ReportCode::Delivered => true,
            ReportCode::Unknown => !config.unknown_falls_back,
            _ => false,
        };
        if settled {
            break;
        }
        sent_at = attempt.reported_at;
    }
    attempts
}

fn attempt(config: &Config, recipient: &Recipient, step: &Step, sent_at: Timestamp) -> Attempt {
    let (after, code) = match (step.channel, recipient.sms) {
        (Channel::Alimtalk, _) => {
            let code = step.fault.unwrap_or_else(|| recipient.kakao.report());
            (config.alimtalk_report_after, code)
        }
        (_, Sms::Ok) => (config.sms_report_after, ReportCode::Delivered),
        (_, Sms::Fail) => (config.sms_report_after, ReportCode::NoSubscriber),
    };
    let reported_at = sent_at + after;
    let reached_at = match code {
        ReportCode::Delivered => Some(reported_at),
        ReportCode::Unknown if config.unknown_arrives_late => Some(sent_at + config.late_after),
        _ => None,
    };
    Attempt { sent_at, reported_at, code, reached_at }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_000_000_000);

    fn alimtalk_then_sms() -> Vec<Step> {
        let step = |channel| Step { channel, text: "배송".to_owned(), fault: None };
        vec![step(Channel::Alimtalk), step(Channel::Sms)]
    }

    fn recipient_with(kakao: Kakao, sms: Sms) -> Recipient {
        Recipient { to: "01012345678".to_owned(), kakao, sms }
    }

    fn seconds(count: u64) -> Timestamp {
        START + Duration::from_secs(count)
    }

    #[test]
    fn a_delivered_alimtalk_is_followed_by_nothing() {
        let who = recipient_with(Kakao::Ok, Sms::Ok);
        let attempts = deliver(&Config::default(), &who, &alimtalk_then_sms(), START);
        let delivered = Attempt {
            sent_at: START,
            reported_at: seconds(3),
            code: ReportCode::Delivered,
            reached_at: Some(seconds(3)),
        };
        assert_eq!(attempts, [delivered]);
    }

    #[test]
    fn each_attribute_has_its_code_and_falls_back_to_a_text_message() {
        let codes = [
            (Kakao::None, "63019"),
            (Kakao::Blocked, "63020"),
            (Kakao::Unknown, "63005"),
            (Kakao::Inactive, "63018"),
            (Kakao::BadNumber, "63008"),
            (Kakao::InternalError, "63006"),
        ];
        for (kakao, code) in codes {
            let who = recipient_with(kakao, Sms::Ok);
            let attempts = deliver(&Config::default(), &who, &alimtalk_then_sms(), START);
            assert_eq!(attempts.len(), 2, "{kakao:?}");
            assert_eq!(attempts[0].code.code(), code);
            assert_eq!(attempts[0].reached_at, None);
            assert_eq!(attempts[1].sent_at, seconds(3));
            assert_eq!(attempts[1].reached_at, Some(seconds(5)));
        }
    }

    #[test]
    fn when_both_fail_the_customer_has_nothing() {
        let who = recipient_with(Kakao::None, Sms::Fail);
        let attempts = deliver(&Config::default(), &who, &alimtalk_then_sms(), START);
        assert_eq!(attempts[1].code, ReportCode::NoSubscriber);
        assert!(attempts.iter().all(|attempt| attempt.reached_at.is_none()));
    }

    #[test]
    fn an_unknown_alimtalk_reaches_the_customer_beside_the_sms_only_if_the_knob_says_so() {
        let who = recipient_with(Kakao::Unknown, Sms::Ok);
        let reached = |config: &Config| {
            let attempts = deliver(config, &who, &alimtalk_then_sms(), START);
            attempts.iter().map(|attempt| attempt.reached_at).collect::<Vec<_>>()
        };
        let mut config = Config::default();
        assert_eq!(reached(&config), [None, Some(seconds(5))]);
        config.unknown_arrives_late = true;
        assert_eq!(reached(&config), [Some(seconds(60)), Some(seconds(5))]);
        config.unknown_falls_back = false;
        assert_eq!(reached(&config), [Some(seconds(60))]);
    }

    #[test]
    fn a_text_that_differs_or_a_template_that_is_gone_is_told_by_the_report() {
        let mut steps = alimtalk_then_sms();
        steps[0].fault = template_fault(TemplateState::Approved, false);
        let who = recipient_with(Kakao::Ok, Sms::Ok);
        let attempts = deliver(&Config::default(), &who, &steps, START);
        assert_eq!(attempts[0].code, ReportCode::TemplateMismatch);
        assert_eq!(attempts.len(), 2, "a mismatch falls back like any failure");
        assert_eq!(template_fault(TemplateState::Removed, true), Some(ReportCode::NoTemplate));
        assert_eq!(template_fault(TemplateState::Approved, true), None);
    }

    #[test]
    fn rates_hold_over_many_recipients_and_depend_on_the_number_alone() {
        let config = Config {
            rates: Rates { kakao_none: 0.2, kakao_blocked: 0.1, ..Rates::default() },
            ..Config::default()
        };
        let drawn = |n: u32| recipient(&config, Entropy::new(1), &format!("010{n:08}")).kakao;
        let count = |kakao| (0..10_000).filter(|n| drawn(*n) == kakao).count();
        assert!((1_850..2_150).contains(&count(Kakao::None)), "{}", count(Kakao::None));
        assert!((900..1_100).contains(&count(Kakao::Blocked)), "{}", count(Kakao::Blocked));
        assert_eq!(drawn(7), drawn(7));
    }

    #[test]
    fn a_row_is_stronger_than_a_rate_and_a_number_is_masked_where_it_is_shown() {
        let row = recipient_with(Kakao::Ok, Sms::Fail);
        let rates = Rates { kakao_none: 1.0, ..Rates::default() };
        let config = Config { recipients: vec![row.clone()], rates, ..Config::default() };
        assert_eq!(recipient(&config, Entropy::new(1), &row.to), row);
        let other = recipient(&config, Entropy::new(1), "01087654321");
        assert_eq!(other.kakao, Kakao::None);
        assert!(format!("{row:?}").contains("010****5678"));
    }
}
