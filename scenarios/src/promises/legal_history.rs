//! Every order walks only along edges of the state machine: its parcels and notifications too.
//!
//! The log of transitions is judged, and that it leads without a gap from a birth to the row.

use std::collections::BTreeMap;

use clockwork::Timestamp;
use oms_core::state::{By, NoticeState, OrderState, ParcelState};
use oms_core::store::Transition;
use serde::Serialize;

use super::Finding;
use crate::evidence::Evidence;

/// How it was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Violation {
    /// An edge that the state machine does not have.
    #[error("{entity} {key} went from {} to {to} at {at}, which no edge allows", born(.from))]
    NoEdge {
        /// `order`, `parcel` or `notice`.
        entity: String,
        /// Which one.
        key: String,
        /// From; `None` at its birth.
        from: Option<String>,
        /// To.
        to: String,
        /// When.
        at: Timestamp,
    },
    /// A step that does not begin where the last one ended.
    #[error("{entity} {key} was {was} and went from {} at {at}", born(.from))]
    Gap {
        /// `order`, `parcel` or `notice`.
        entity: String,
        /// Which one.
        key: String,
        /// Where the last step ended.
        was: String,
        /// Where this one claims to begin.
        from: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// The row says otherwise than the last step.
    #[error("{entity} {key} is {row} in its row and {} in its history", born(.history))]
    RowDisagrees {
        /// `order`, `parcel` or `notice`.
        entity: String,
        /// Which one.
        key: String,
        /// The row's state.
        row: String,
        /// Where its history ends; `None` when it has none.
        history: Option<String>,
    },
}

fn born(state: &Option<String>) -> &str {
    state.as_deref().unwrap_or("nothing")
}

/// Judges it.
pub fn check(evidence: &Evidence) -> Finding {
    let mut violations = Vec::new();
    let mut states: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for step in &evidence.rows.transitions {
        let Transition { entity, key, from, to, at, .. } = step;
        let was = states.insert((entity, key), to);
        if was.is_some() && was != from.as_deref() {
            violations.push(Violation::Gap {
                entity: entity.clone(),
                key: key.clone(),
                was: was.unwrap_or_default().to_owned(),
                from: from.clone(),
                at: *at,
            });
        }
        if !has_edge(step) {
            violations.push(Violation::NoEdge {
                entity: entity.clone(),
                key: key.clone(),
                from: from.clone(),
                to: to.clone(),
                at: *at,
            });
        }
    }
    for (entity, key, row) in rows(evidence) {
        let history = states.get(&(entity, key.as_str())).copied();
        if history != Some(row) {
            let history = history.map(str::to_owned);
            let (entity, row) = (entity.to_owned(), row.to_owned());
            violations.push(Violation::RowDisagrees { entity, key, row, history });
        }
    }
    violations.into_iter().collect()
}

/// Every row with a state: entity, key, state.
fn rows(evidence: &Evidence) -> Vec<(&'static str, String, &'static str)> {
    let mut rows = Vec::new();
    for order in &evidence.rows.orders {
        let id = &order.id;
        rows.push(("order", id.clone(), order.state.as_str()));
        for parcel in &order.parcels {
            rows.push(("parcel", format!("{id}/{}", parcel.number), parcel.state.as_str()));
        }
        for notice in &order.notices {
            rows.push(("notice", format!("{id}:{}", notice.event), notice.state.as_str()));
        }
    }
    rows
}

fn has_edge(step: &Transition) -> bool {
    match step.entity.as_str() {
        "order" => walks(step, OrderState::may_become, OrderState::Received),
        "parcel" => walks(step, ParcelState::may_become, ParcelState::Planned),
        "notice" => walks(step, NoticeState::may_become, NoticeState::Queued),
        _ => false,
    }
}

fn walks<S: std::str::FromStr + PartialEq>(
    step: &Transition,
    may_become: fn(S, S, By) -> bool,
    birth: S,
) -> bool {
    let Ok(to) = step.to.parse() else { return false };
    match &step.from {
        None => to == birth,
        Some(from) => from.parse().is_ok_and(|from| may_become(from, to, step.by)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Builder, said};

    #[test]
    fn a_leap_convicts() {
        let leap = Builder::clean(1).walk("order", "ORD-1", &[("accepted", 9_000)]);
        let heard = said(&check(&leap.evidence()));
        assert!(heard.contains("order ORD-1 went from completed to accepted"), "{heard}");
        let nonsense = Builder::clean(1).walk("parcel", "ORD-1/1", &[("lost", 9_000)]);
        assert!(said(&check(&nonsense.evidence())).contains("from booked to lost"));
    }

    #[test]
    fn an_edge_that_only_an_operator_may_walk_convicts_the_core() {
        let shipped = || {
            Builder::clean(1)
                .notice("ORD-1", "refused")
                .order("ORD-1", "shipped")
                .rewalk("notice", "ORD-1:shipped", &["queued", "sending", "refused"])
                .rewalk("order", "ORD-1", &["received", "accepted", "shipped", "notify-failed"])
        };
        let by_core = shipped().walk("order", "ORD-1", &[("shipped", 9_000)]);
        let heard = said(&check(&by_core.evidence()));
        assert!(heard.contains("from notify-failed to shipped"), "{heard}");
        let by_operator = shipped().walk_by_operator("order", "ORD-1", "shipped", 9_000);
        assert_eq!(check(&by_operator.evidence()), Finding::default());
    }

    #[test]
    fn a_gap_in_the_chain_convicts() {
        let gap = Builder::clean(1).step("order", "ORD-1", Some("shipped"), "completed", 9_000);
        let heard = said(&check(&gap.evidence()));
        assert_eq!(
            heard,
            "order ORD-1 was completed and went from shipped at 2026-11-21T10:00:09.000+09:00"
        );
        let reborn = Builder::clean(1).step("order", "ORD-1", None, "received", 9_000);
        assert!(said(&check(&reborn.evidence())).contains("was completed and went from nothing"));
    }

    #[test]
    fn a_strange_birth_convicts() {
        let born = Builder::new(1).step("notice", "ORD-1:shipped", None, "sent", 0);
        assert!(said(&check(&born.evidence())).contains("went from nothing to sent"));
    }

    #[test]
    fn a_row_without_its_history_convicts() {
        let silent = Builder::clean(1).order("ORD-1", "cancelled");
        assert_eq!(
            said(&check(&silent.evidence())),
            "order ORD-1 is cancelled in its row and completed in its history"
        );
        let unheard = Builder::new(1).order("ORD-1", "received");
        let heard = said(&check(&unheard.evidence()));
        assert_eq!(heard, "order ORD-1 is received in its row and nothing in its history");
    }
}
