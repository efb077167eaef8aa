//! At most one send accepted by the gateway per order and event, where its contract makes that
//! possible.
//!
//! A gateway that forgets keys cannot tell a repeat, so there a second send is excused when the
//! first one's answer may not have come; one that was plainly answered needed no repeat.

use std::collections::BTreeMap;

use clockwork::Timestamp;
use fake_kakao::ledger::Message;
use faults::ReplyFate;
use serde::Serialize;

use super::Finding;
use crate::evidence::Evidence;
use crate::history::{Step, What};

/// How it was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Violation {
    /// The gateway accepted the same news twice.
    #[error("{order} was told {event} twice: {first_at} ({first}) and {second_at} ({second})")]
    SentTwice {
        /// The order, or the reference where it names none.
        order: String,
        /// What was told: the template.
        event: String,
        /// The message that was accepted first.
        first: String,
        /// When.
        first_at: Timestamp,
        /// The one that came on top.
        second: String,
        /// When.
        second_at: Timestamp,
    },
}

/// Judges it.
pub fn check(evidence: &Evidence) -> Finding {
    let dropped = evidence.messenger.totals.messages_dropped;
    let mut last: BTreeMap<(&str, &str), &Message> = BTreeMap::new();
    let mut violations = Vec::new();
    for message in &evidence.messenger.messages {
        let reference = message.reference.as_deref().unwrap_or_default();
        let order = evidence.order_of_message(message).unwrap_or(reference);
        let event = message.template_code.as_deref().unwrap_or("a message");
        let Some(first) = last.insert((order, event), message) else { continue };
        if evidence.plan.gateway_forgets() && !was_plainly_answered(evidence, first) {
            continue;
        }
        violations.push(Violation::SentTwice {
            order: order.to_owned(),
            event: event.to_owned(),
            first: first.msg_key.clone(),
            first_at: first.at,
            second: message.msg_key.clone(),
            second_at: message.at,
        });
    }
    let mut finding: Finding = violations.into_iter().collect();
    if dropped > 0 {
        finding.doubts.push(format!("the gateway's ledger has dropped {dropped} messages"));
    }
    finding
}

/// Whether the sender must have known that the message was accepted.
fn was_plainly_answered(evidence: &Evidence, message: &Message) -> bool {
    let died = evidence.records.iter().any(|record| {
        matches!(record.what, What::Drill(Step::NodeCrashed | Step::NodeStalled { .. }))
    });
    let mut requests = evidence.messenger.requests.iter();
    let request = requests.find(|request| request.id == message.request);
    !died && request.is_some_and(|request| {
        request.fault.is_none() && request.reply == ReplyFate::Answered
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Builder, said};

    fn twice() -> Builder {
        Builder::clean(2).message("ORD-2:shipped", "운송장번호 650000000021", 9_000)
    }

    #[test]
    fn a_second_accepted_send_convicts_whatever_its_key() {
        let heard = said(&check(&twice().evidence()));
        assert!(heard.starts_with("ORD-2 was told ORDER_SHIPPED twice"), "{heard}");
        let renamed = Builder::clean(2).message("ORD-2:shipped#2", "", 9_000);
        assert_eq!(check(&renamed.evidence()).violations.len(), 1);
    }

    #[test]
    fn a_gateway_that_forgets_keys_excuses_only_a_repeat_that_was_needed() {
        let forgetful = |builder: Builder| builder.plan(|plan| plan.gateway.forgets_keys = true);
        assert_eq!(check(&forgetful(twice()).evidence()).violations.len(), 1);
        let unheard = forgetful(twice()).message_unanswered("ORD-2:shipped");
        assert_eq!(check(&unheard.evidence()), Finding::default());
        assert_eq!(check(&forgetful(twice()).crash(0, 8_000).evidence()), Finding::default());
    }

    #[test]
    fn a_ledger_that_dropped_messages_proves_nothing() {
        let dropped = Builder::clean(1).messages_dropped(3);
        let finding = check(&dropped.evidence());
        assert_eq!(finding.doubts, ["the gateway's ledger has dropped 3 messages"]);
    }
}
