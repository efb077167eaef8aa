//! Every order whose ingest was acknowledged is in the database, for ever.

use clockwork::Timestamp;
use serde::Serialize;

use super::Finding;
use crate::evidence::Evidence;

/// How it was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Violation {
    /// The caller was told that the order is kept, and there is no row.
    #[error("{order} was acknowledged at {acknowledged_at} and is not in the database")]
    Lost {
        /// The order.
        order: String,
        /// When the caller was told.
        acknowledged_at: Timestamp,
    },
}

/// Judges it.
pub fn check(evidence: &Evidence) -> Finding {
    let acknowledged = evidence.acknowledged().into_iter();
    let lost = acknowledged.filter(|(order, _)| evidence.row(order).is_none());
    let lost = lost.map(|(order, acknowledged_at)| Violation::Lost {
        order: order.to_owned(),
        acknowledged_at,
    });
    lost.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Builder, said};

    #[test]
    fn an_acknowledged_order_without_a_row_is_lost() {
        let evidence = Builder::clean(2).lose("ORD-2").evidence();
        assert_eq!(
            said(&check(&evidence)),
            "ORD-2 was acknowledged at 2026-11-21T10:00:00.010+09:00 and is not in the database"
        );
    }

    #[test]
    fn an_order_that_was_never_acknowledged_may_be_missing() {
        let evidence = Builder::new(1).offered("ORD-1", 0).evidence();
        assert_eq!(check(&evidence), Finding::default());
    }
}
