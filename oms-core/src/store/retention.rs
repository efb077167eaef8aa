//! What may be forgotten, and what is kept of it.
//!
//! Forgotten are orders that are at their end and have been for long, with all that belongs to
//! them: parcels, notifications, walked edges. Kept are an order's id, its last state and the hash
//! of its content, so that the same order, offered again, is known and not shipped twice. Members
//! and the audit are kept whole.

use clockwork::Timestamp;

use crate::state::OrderState;

/// Which rows to forget. One call works on one page; [`Pruned::next`] says where the next begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prune {
    /// What has not changed since then.
    pub before: Timestamp,
    /// Where to begin.
    pub from: Page,
    /// At most so many rows are looked at.
    pub limit: usize,
    /// Now.
    pub now: Timestamp,
}

/// A place in what is pruned: first all orders, then the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// Orders behind this id.
    Orders(String),
    /// Walked edges behind this number, and reports that nobody waited for.
    Log(i64),
}

impl Default for Page {
    /// The first.
    fn default() -> Page {
        Page::Orders(String::new())
    }
}

/// What became of one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// Orders that are forgotten.
    pub orders: u64,
    /// Walked edges and reports that are forgotten.
    pub entries: u64,
    /// The next page; `None` after the last.
    pub next: Option<Page>,
}

/// The states that no worker leaves any more.
pub(super) fn final_states() -> Vec<&'static str> {
    OrderState::ALL.iter().filter(|state| state.is_final()).map(|state| state.as_str()).collect()
}

/// The order or member that a walked edge belongs to, by the edge's key: `ORD-1`, `ORD-1/1`,
/// `ORD-1:shipped`. A member's are never pruned.
pub(super) fn order_of(key: &str) -> Option<&str> {
    if key.starts_with(super::keys::MEMBER_PREFIX) {
        return None;
    }
    Some(key.split(['/', ':']).next().unwrap_or(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_belongs_to_its_order_and_a_members_to_none() {
        for key in ["ORD-1", "ORD-1/12", "ORD-1:shipped"] {
            assert_eq!(order_of(key), Some("ORD-1"), "{key}");
        }
        assert_eq!(order_of("member:MEM-1:welcome"), None);
    }
}
