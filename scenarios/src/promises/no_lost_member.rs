//! Every member whose sign-up was confirmed is in the database, for ever; and nobody is turned away
//! because of a message.

use std::collections::BTreeMap;

use clockwork::Timestamp;
use oms_core::store::MemberView;
use serde::Serialize;

use super::Finding;
use crate::evidence::Evidence;
use crate::history::{Step, What};

/// How it was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Violation {
    /// The caller was told that the member is kept, and there is no row.
    #[error("{member} was confirmed at {confirmed_at} and is not in the database")]
    Lost {
        /// The member.
        member: String,
        /// When the caller was told.
        confirmed_at: Timestamp,
    },
    /// The sign-up failed although nothing was wrong with it or with the database.
    #[error("{member} was turned away at {at} ({why}), and nothing was wrong with the database")]
    TurnedAway {
        /// The member.
        member: String,
        /// When.
        at: Timestamp,
        /// What the caller was told.
        why: String,
    },
    /// Somebody was welcomed who is no member.
    #[error("{member} was welcomed at {at} and is not in the database")]
    WelcomedStranger {
        /// The member that the message names.
        member: String,
        /// When the gateway accepted the message.
        at: Timestamp,
    },
}

/// Judges it.
pub fn check(evidence: &Evidence) -> Finding {
    let is_kept = |member: &str| evidence.member(member).is_some_and(MemberView::is_registered);
    let mut asked = BTreeMap::new();
    let mut confirmed = BTreeMap::new();
    let mut violations = Vec::new();
    for record in &evidence.records {
        let at = record.at;
        match &record.what {
            What::Drill(Step::SignUpAsked { member }) => {
                asked.entry(member.as_str()).or_insert(at);
            }
            What::Drill(Step::SignUpConfirmed { member }) => {
                confirmed.entry(member.as_str()).or_insert(at);
            }
            What::Drill(Step::SignUpFailed { member, why }) if !is_kept(member) => {
                let since = asked.get(member.as_str()).copied().unwrap_or(at);
                if !evidence.database_was_disturbed(since, at) {
                    let (member, why) = (member.clone(), why.clone());
                    violations.push(Violation::TurnedAway { member, at, why });
                }
            }
            _ => {}
        }
    }
    let lost = confirmed.into_iter().filter(|(member, _)| !is_kept(member));
    violations.extend(lost.map(|(member, confirmed_at)| Violation::Lost {
        member: member.to_owned(),
        confirmed_at,
    }));
    let welcomes = evidence.welcomes().filter(|(member, _)| !is_kept(member));
    violations.extend(welcomes.map(|(member, message)| Violation::WelcomedStranger {
        member: member.to_owned(),
        at: message.at,
    }));
    violations.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Builder, said};

    #[test]
    fn a_member_that_was_confirmed_and_has_no_row_is_lost() {
        let evidence = Builder::new(0).signed_up("MEM-1", 10).forget_members().evidence();
        assert_eq!(
            said(&check(&evidence)),
            "MEM-1 was confirmed at 2026-11-21T10:00:00.010+09:00 and is not in the database"
        );
        let kept = Builder::new(0).signed_up("MEM-1", 10).evidence();
        assert_eq!(check(&kept), Finding::default());
    }

    #[test]
    fn who_is_turned_away_while_the_database_is_well_is_lost_too() {
        let failed = || {
            let asked = Step::SignUpAsked { member: "MEM-1".to_owned() };
            let failed =
                Step::SignUpFailed { member: "MEM-1".to_owned(), why: "HTTP 500".to_owned() };
            Builder::new(0).drill(5, asked).drill(20, failed)
        };
        assert_eq!(
            said(&check(&failed().evidence())),
            "MEM-1 was turned away at 2026-11-21T10:00:00.020+09:00 (HTTP 500), \
             and nothing was wrong with the database"
        );
        let excused = failed().plan(|plan| {
            plan.faults = vec![faults::Fault::new(faults::Kind::CommitFails)];
        });
        assert_eq!(check(&excused.store_fault(15).evidence()), Finding::default());
        let kept = failed().signed_up("MEM-1", 30).evidence();
        assert_eq!(check(&kept), Finding::default(), "the next try went well");
    }

    #[test]
    fn a_welcome_to_somebody_who_is_no_member_convicts() {
        let evidence = Builder::new(0).message("member:MEM-9:welcome", "", 50).evidence();
        assert_eq!(
            said(&check(&evidence)),
            "MEM-9 was welcomed at 2026-11-21T10:00:00.050+09:00 and is not in the database"
        );
    }
}
