//! At rest, database and gateway agree on every member's welcome message.
//!
//! It may have failed: then the outbox says why. What may not be is that nobody remembers it.

use oms_core::state::NoticeState;
use oms_core::store::{MemberView, NoticeView};
use serde::Serialize;

use super::Finding;
use crate::evidence::Evidence;

/// How it was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Violation {
    /// No message was sent, and no row says why.
    #[error("{member} was never welcomed, and nobody remembers that it should be")]
    Forgotten {
        /// The member.
        member: String,
    },
    /// A message was sent, and no row tells of it.
    #[error("{member} was welcomed with {msg_key}, and the log of it is lost")]
    Unlogged {
        /// The member.
        member: String,
        /// The message.
        msg_key: String,
    },
    /// A row says that a message was sent, and the gateway has none.
    #[error("{member} is written down as welcomed, and the gateway accepted no message")]
    NeverSent {
        /// The member.
        member: String,
    },
    /// A row says that the message was not sent, and the gateway accepted it.
    #[error("{member}'s welcome is written down as {state}, and the gateway accepted it")]
    SentAfterAll {
        /// The member.
        member: String,
        /// What is written down.
        state: NoticeState,
    },
}

/// Judges it.
pub fn check(evidence: &Evidence) -> Finding {
    let members = evidence.rows.members.iter().filter(|row| row.is_registered());
    let finding: Finding = members.filter_map(|row| disagreement(evidence, row)).collect();
    match evidence.messenger.totals.messages_dropped {
        dropped if dropped > 0 && !evidence.rows.members.is_empty() => {
            Finding::doubt(format!("the gateway's ledger has dropped {dropped} messages"))
        }
        _ => finding,
    }
}

fn disagreement(evidence: &Evidence, row: &MemberView) -> Option<Violation> {
    let member = row.id.clone();
    let accepted = evidence.welcomes().find(|(of, _)| *of == row.id).map(|(_, message)| message);
    let state = row.notices.first().map(|NoticeView { state, .. }| *state);
    match (accepted, state) {
        (None, None) => Some(Violation::Forgotten { member }),
        (Some(message), None) => {
            Some(Violation::Unlogged { member, msg_key: message.msg_key.clone() })
        }
        (None, Some(NoticeState::Sent)) => Some(Violation::NeverSent { member }),
        (Some(_), Some(state @ (NoticeState::Refused | NoticeState::Withdrawn))) => {
            Some(Violation::SentAfterAll { member, state })
        }
        // What is still under way is told by `everything-settles`; unknown is written as unknown.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Builder, said};

    fn told(builder: Builder) -> String {
        said(&check(&builder.evidence()))
    }

    fn welcomed() -> Builder {
        Builder::new(0).signed_up("MEM-1", 10)
    }

    fn with_state(state: NoticeState) -> Builder {
        let builder = welcomed();
        builder.member("MEM-1", |row| row.notices[0].state = NoticeState::Queued).member(
            "MEM-1",
            move |row| row.notices[0].state = state,
        )
    }

    #[test]
    fn a_message_that_is_sent_and_logged_agrees() {
        assert_eq!(check(&welcomed().evidence()), Finding::default());
    }

    #[test]
    fn each_way_to_disagree_is_told() {
        let unlogged = welcomed().member("MEM-1", |row| row.notices.clear());
        assert!(told(unlogged).ends_with("and the log of it is lost"));
        let forgotten = welcomed().member("MEM-1", |row| row.notices.clear()).without_messages();
        assert_eq!(
            told(forgotten),
            "MEM-1 was never welcomed, and nobody remembers that it should be"
        );
        assert_eq!(
            told(welcomed().without_messages()),
            "MEM-1 is written down as welcomed, and the gateway accepted no message"
        );
        assert_eq!(
            told(with_state(NoticeState::Refused)),
            "MEM-1's welcome is written down as refused, and the gateway accepted it"
        );
    }

    #[test]
    fn what_failed_and_is_written_down_agrees() {
        let refused = with_state(NoticeState::Refused).without_messages();
        assert_eq!(check(&refused.evidence()), Finding::default());
        let unknown = with_state(NoticeState::Unknown);
        assert_eq!(check(&unknown.evidence()), Finding::default());
    }

    #[test]
    fn a_ledger_that_dropped_messages_proves_nothing() {
        let finding = check(&welcomed().messages_dropped(3).evidence());
        assert_eq!(finding.doubts, ["the gateway's ledger has dropped 3 messages"]);
    }
}
