//! What a claim does to a row that is due, whatever the engine.

use clockwork::Timestamp;

use super::aggregate::Edge;
use super::{Claim, Claimed, Lease, NoticeWork, ParcelWork};
use crate::state::{By, NoticeState, ParcelState};

/// What is said of work whose order cannot be read.
pub(super) const UNREADABLE: &str = "its order cannot be read; mend its content, then retry it";
/// What is said of work whose worker did not come back.
pub(super) const VANISHED: &str = "its worker did not come back";

/// The new lease on a row under the token `token` so far.
pub(super) fn lease(claim: &Claim, token: i64) -> Lease {
    Lease { worker: claim.worker.clone(), token: token + 1, until: claim.until }
}

/// What a claim at `now` would give where `next_due` is the first row's moment, if that is nothing.
pub(super) fn nothing<W>(next_due: Option<Timestamp>, now: Timestamp) -> Option<Claimed<W>> {
    let due = next_due.is_some_and(|due| due <= now);
    (!due).then(|| Claimed { work: Vec::new(), next_due, taken: Vec::new() })
}

/// What became of a parcel that its worker left behind.
pub(super) struct TakenOver {
    /// The edge that it walked, if any.
    pub(super) edge: Option<Edge>,
    /// Whether its row says [`VANISHED`] from now on.
    pub(super) in_doubt: bool,
}

/// `left_at` is when the lease of the vanished worker ended: it may have sent until then.
pub(super) fn take_over(work: &mut ParcelWork, left_at: Timestamp, now: Timestamp) -> TakenOver {
    let edge = match work.state {
        ParcelState::Intended => {
            let (from, to) = (Some(work.state.as_str()), ParcelState::Unknown);
            let key = work.key.to_string();
            work.state = to;
            work.unknown_since = Some(now);
            Some(Edge { entity: "parcel", key, from, to: to.as_str(), by: By::Core })
        }
        ParcelState::Unknown => None,
        _ => return TakenOver { edge: None, in_doubt: false },
    };
    work.sent_until = work.sent_until.max(Some(left_at.min(now)));
    TakenOver { edge, in_doubt: true }
}

/// A notification that is being claimed: its request may be under way from now on. `left_behind`
/// says whether another worker's lease ran out. Gives the edge that it walks, if any.
pub(super) fn begin_sending(
    work: &mut NoticeWork,
    left_behind: bool,
    now: Timestamp,
) -> Option<Edge> {
    let from = work.state;
    work.state = match from {
        NoticeState::Queued => NoticeState::Sending,
        NoticeState::Sending if left_behind => NoticeState::Unknown,
        other => other,
    };
    work.first_sent_at = work.first_sent_at.or(Some(now));
    (work.state != from).then(|| {
        let (key, from) = (work.key.to_string(), Some(from.as_str()));
        Edge { entity: "notice", key, from, to: work.state.as_str(), by: By::Core }
    })
}
