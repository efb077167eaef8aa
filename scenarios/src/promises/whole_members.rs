//! A member has its profile and its consents, or is no member at all.

use serde::Serialize;

use super::Finding;
use crate::evidence::Evidence;

/// How it was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Violation {
    /// Some rows of a member are there, and others are not.
    #[error("{member} is half a member: without {}", .missing.join(" and "))]
    Half {
        /// The member.
        member: String,
        /// What is not there: `its own row`, `profile`, `consents`.
        missing: Vec<&'static str>,
    },
}

/// Judges it.
pub fn check(evidence: &Evidence) -> Finding {
    let half = evidence.rows.members.iter().filter_map(|row| {
        let parts = [
            ("its own row", row.is_registered()),
            ("profile", row.profile),
            ("consents", !row.consents.is_empty()),
        ];
        let missing = parts.into_iter().filter(|(_, there)| !there).map(|(part, _)| part);
        let missing: Vec<&str> = missing.collect();
        let member = row.id.clone();
        (!missing.is_empty()).then_some(Violation::Half { member, missing })
    });
    half.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Builder, said};

    #[test]
    fn each_part_that_is_missing_is_named() {
        let whole = Builder::new(0).signed_up("MEM-1", 10);
        assert_eq!(check(&whole.evidence()), Finding::default());
        let half = |change: fn(&mut oms_core::store::MemberView)| {
            let half = Builder::new(0).signed_up("MEM-1", 10).member("MEM-1", change);
            said(&check(&half.evidence()))
        };
        assert_eq!(half(|row| row.profile = false), "MEM-1 is half a member: without profile");
        assert_eq!(half(|row| row.consents.clear()), "MEM-1 is half a member: without consents");
        assert_eq!(
            half(|row| (row.created_at, row.profile) = (None, false)),
            "MEM-1 is half a member: without its own row and profile"
        );
    }
}
