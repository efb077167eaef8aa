//! What a trace is about: an order or a member, since when, and whether it is at its end.

use std::collections::{BTreeMap, VecDeque};

use clockwork::{Clock, Timestamp};

use super::Piece;
use crate::state::{NoticeState, OrderState};
use crate::store::{MemberView, OrderView, Patience, Result, Store, member_of, patiently};

/// Of so many it is kept since when they are known, so that not every step has to ask.
const KNOWN_MAX: usize = 10_000;

/// An order or a member as its trace needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    /// When it was taken in.
    pub(super) taken_in: Timestamp,
    /// When it came to its end, and to which.
    pub(super) end: Option<End>,
}

/// An end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// When.
    pub(super) at: Timestamp,
    /// The final state.
    pub(super) state: &'static str,
    /// Whether it went as it should.
    pub(super) well: bool,
}

/// The subjects of late.
#[derive(Debug, Default)]
pub(super) struct Known {
    subjects: BTreeMap<String, Told>,
    in_turn: VecDeque<String>,
}

/// What has been told of a subject.
#[derive(Debug)]
struct Told {
    taken_in: Timestamp,
    /// The end that its root has: it is told once, unless the order is opened again.
    end: Option<Timestamp>,
}

impl Known {
    /// What `piece` is about; `None` when there is no such order or member. An end is told once, for
    /// when the steps of an order are looked at, it may have come to its end long ago.
    ///
    /// The database is asked, unless the step changed nothing and since when is known.
    pub(super) async fn subject(
        &mut self,
        store: &dyn Store,
        clock: &dyn Clock,
        piece: &Piece,
    ) -> Result<Option<Subject>> {
        let changed = !matches!(piece.came_to, "put-back" | "lost" | "refused");
        if let Some(told) = self.subjects.get(&piece.about).filter(|_| !changed) {
            return Ok(Some(Subject { taken_in: told.taken_in, end: None }));
        }
        let mut subject = match member_of(&piece.about) {
            None => {
                let ask = || store.order(&piece.about);
                patiently(clock, Patience::Short, ask).await?.map(of_order)
            }
            Some(id) => {
                let member = patiently(clock, Patience::Short, || store.member(id)).await?;
                member.and_then(|member| of_member(&member, piece.ended))
            }
        };
        if let Some(subject) = &mut subject {
            if piece.came_to == "refused" {
                // Whoever brought it to its end tells that.
                subject.end = None;
            }
            self.keep(&piece.about, subject);
        }
        Ok(subject)
    }

    /// Remembers `subject`, and takes an end away that was told before.
    fn keep(&mut self, about: &str, subject: &mut Subject) {
        let end = subject.end.as_ref().map(|end| end.at);
        let told = Told { taken_in: subject.taken_in, end };
        match self.subjects.insert(about.to_owned(), told) {
            Some(before) if before.end == end => subject.end = None,
            Some(_) => {}
            None => self.in_turn.push_back(about.to_owned()),
        }
        if self.in_turn.len() > KNOWN_MAX {
            self.in_turn.pop_front().and_then(|oldest| self.subjects.remove(&oldest));
        }
    }
}

fn of_order(order: OrderView) -> Subject {
    let end = order.state.is_final().then(|| End {
        at: order.updated_at,
        state: order.state.as_str(),
        well: matches!(order.state, OrderState::Completed | OrderState::Cancelled),
    });
    Subject { taken_in: order.created_at, end }
}

/// A member's trace ends with its last message.
fn of_member(member: &MemberView, now: Timestamp) -> Option<Subject> {
    use NoticeState::{Queued, Sending, Sent, Unknown};
    let taken_in = member.created_at?;
    let at_rest = |state: NoticeState| !matches!(state, Queued | Sending | Unknown);
    let last = member.notices.last().filter(|_| member.notices.iter().all(|n| at_rest(n.state)));
    // When it came to rest is not kept: the step that brought it there has just ended.
    let end =
        last.map(|last| End { at: now, state: last.state.as_str(), well: last.state == Sent });
    Some(Subject { taken_in, end })
}
