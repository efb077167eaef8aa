//! Work and leases: who may have which row, and what is heard of whom.

use std::collections::BTreeMap;

use clockwork::Timestamp;
use futures_util::future::join_all;
use oms_core::state::{OrderState, ParcelState};
use oms_core::store::{
    Claim, Claimed, Lease, NoticeOutcome, NoticeWork, ParcelOutcome, ParcelWork, Row, Store,
    Written,
};
use proptest::sample::Index;

use super::Clients;
use super::outcomes::{notice_outcome, parcel_outcome};
use crate::support::{LEASE, invoices};

/// What the workers remember, and what the model knows of leases.
#[derive(Default)]
pub struct Leases {
    parcels: Vec<ParcelWork>,
    notices: Vec<NoticeWork>,
    /// The last lease given on each row.
    given: BTreeMap<String, Given>,
    last: Option<Last>,
}

struct Given {
    lease: Lease,
    /// Its holder has given it back.
    is_back: bool,
}

/// The last outcome that was written, and its answer.
struct Last {
    write: Write,
    now: Timestamp,
    written: Written,
}

enum Write {
    Parcel(ParcelWork, ParcelOutcome),
    Notice(NoticeWork, NoticeOutcome),
}

impl Write {
    async fn to(&self, store: &dyn Store, now: Timestamp) -> Written {
        let written = match self {
            Write::Parcel(work, outcome) => store.settle_parcel(work, outcome.clone(), now).await,
            Write::Notice(work, outcome) => store.settle_notice(work, outcome.clone(), now).await,
        };
        written.unwrap()
    }

    fn lease(&self) -> (String, &Lease) {
        match self {
            Write::Parcel(work, _) => (work.key.to_string(), &work.lease),
            Write::Notice(work, _) => (work.key.to_string(), &work.lease),
        }
    }

    /// The name by which a repeated write is known.
    fn name(&self) -> &'static str {
        match self {
            Write::Parcel(_, outcome) => outcome.name(),
            Write::Notice(_, outcome) => outcome.name(),
        }
    }

    /// Whether the row is worked on under the same lease afterwards.
    fn keeps_the_lease(&self) -> bool {
        matches!(self, Write::Parcel(_, ParcelOutcome::Intended(_)))
    }
}

fn claim(worker: usize, limit: usize, now: Timestamp) -> Claim {
    Claim { worker: format!("w{worker}"), now, until: now + LEASE, limit }
}

/// Who claims alone leaves no due work behind that it had room for.
fn nothing_is_left<W>(claimed: &Claimed<W>, limit: usize, now: Timestamp) {
    if claimed.work.len() < limit {
        assert!(claimed.next_due.is_none_or(|due| due > now), "due work was left");
    }
}

impl Leases {
    /// A row is leased to one worker at a time: an older lease has ended, was given back, or was
    /// taken away by what followed for the order, which takes a token of its own.
    fn leased(&mut self, key: String, lease: &Lease, now: Timestamp) {
        if let Some(Given { lease: old, is_back }) = self.given.get(&key) {
            let live = !is_back && old.until > now;
            let least = old.token + if live { 2 } else { 1 };
            assert!(lease.token >= least, "{key} leased twice: {old:?}, then {lease:?}");
        }
        assert_eq!(lease.until, now + LEASE);
        self.given.insert(key, Given { lease: lease.clone(), is_back: false });
    }

    /// The lease on a row, if it is the last one given.
    fn newest(&mut self, key: &str, lease: &Lease) -> Option<&mut Given> {
        self.given.get_mut(key).filter(|given| given.lease.token == lease.token)
    }

    pub async fn claim_parcels<S: Store>(
        &mut self,
        clients: &Clients<'_, S>,
        by: usize,
        limit: usize,
        now: Timestamp,
    ) {
        let claims = clients.some(by);
        let claims = claims.map(|(worker, client)| client.claim_parcels(claim(worker, limit, now)));
        for claimed in join_all(claims).await {
            let claimed = claimed.unwrap();
            if by == 1 {
                nothing_is_left(&claimed, limit, now);
            }
            for work in claimed.work {
                let order = clients.one().order(&work.key.order).await.unwrap().unwrap();
                let parked = order.state == OrderState::Attention;
                assert!(!parked || work.state != ParcelState::Planned, "{} is held", work.key);
                self.leased(work.key.to_string(), &work.lease, now);
                self.parcels.push(work);
            }
        }
    }

    pub async fn claim_notices<S: Store>(
        &mut self,
        clients: &Clients<'_, S>,
        by: usize,
        limit: usize,
        now: Timestamp,
    ) {
        let claims = clients.some(by);
        let claims = claims.map(|(worker, client)| client.claim_notices(claim(worker, limit, now)));
        for claimed in join_all(claims).await {
            let claimed = claimed.unwrap();
            if by == 1 {
                nothing_is_left(&claimed, limit, now);
            }
            for work in claimed.work {
                let order = clients.one().order(&work.key.order).await.unwrap().unwrap();
                assert_eq!(order.state, OrderState::Shipped, "{} is told too early", work.key);
                assert_eq!(invoices(&work).len(), order.parcels.len());
                self.leased(work.key.to_string(), &work.lease, now);
                self.notices.push(work);
            }
        }
    }

    /// Writes what became of a step on some parcel that somebody remembers.
    pub async fn settle_parcel<S: Store>(
        &mut self,
        clients: &Clients<'_, S>,
        which: Index,
        how: usize,
        rival: Option<usize>,
        now: Timestamp,
    ) {
        if self.parcels.is_empty() {
            return;
        }
        let work = self.parcels.swap_remove(which.index(self.parcels.len()));
        let write = |how| Write::Parcel(work.clone(), parcel_outcome(&work, how, now));
        // After an intent its holder may well write another outcome: two of it are no rivals.
        let rival = rival.map(|rival| if work.state == ParcelState::Planned { how } else { rival });
        let settled = self.settle(clients, write(how), rival.map(write), now).await;
        if settled.write.keeps_the_lease() && settled.written == Written::Done {
            self.parcels.push(ParcelWork { state: ParcelState::Intended, ..work });
        }
        self.last = Some(settled);
    }

    /// Writes what became of a step on some notification that somebody remembers.
    pub async fn settle_notice<S: Store>(
        &mut self,
        clients: &Clients<'_, S>,
        which: Index,
        how: usize,
        rival: Option<usize>,
        now: Timestamp,
    ) {
        if self.notices.is_empty() {
            return;
        }
        let work = self.notices.swap_remove(which.index(self.notices.len()));
        let write = |how| Write::Notice(work.clone(), notice_outcome(&work, how, now));
        self.last = Some(self.settle(clients, write(how), rival.map(write), now).await);
    }

    /// Writes an outcome; at once, by another client, its rival. One of the two is heard, or both
    /// if they say the same.
    async fn settle<S: Store>(
        &mut self,
        clients: &Clients<'_, S>,
        write: Write,
        rival: Option<Write>,
        now: Timestamp,
    ) -> Last {
        let mut settled = match rival {
            None => Last { written: write.to(clients.one(), now).await, write, now },
            Some(rival) => {
                let (first, second) =
                    tokio::join!(write.to(clients.nth(0), now), rival.to(clients.nth(1), now));
                match write.name() == rival.name() {
                    true => assert_eq!(first, second, "{:?}", write.lease()),
                    false => {
                        let both = (first, second) == (Written::Done, Written::Done);
                        assert!(!both, "both were heard: {:?}", write.lease());
                    }
                }
                let (write, written) =
                    if second == Written::Done { (rival, second) } else { (write, first) };
                Last { write, now, written }
            }
        };
        let (key, lease) = settled.write.lease();
        match self.newest(&key, lease) {
            None => assert_eq!(settled.written, Written::Fenced, "{key} was taken over"),
            Some(given) => {
                let done = settled.written == Written::Done;
                given.is_back |= done && !settled.write.keeps_the_lease();
            }
        }
        settled.now = now;
        settled
    }

    /// Whoever did not learn of its commit writes again what it wrote: it is answered as then, and
    /// nothing is changed.
    pub async fn repeat(&mut self, store: &dyn Store) {
        let Some(last) = self.last.take() else { return };
        let before = store.rows().await.unwrap();
        let written = last.write.to(store, last.now).await;
        assert_eq!(store.rows().await.unwrap(), before);
        let (key, lease) = last.write.lease();
        // Somebody may have claimed the row since, or have taken away a lease that was kept.
        let known = self.newest(&key, lease).is_some_and(|given| given.is_back);
        if known || last.written == Written::Fenced {
            assert_eq!(written, last.written, "{key}, written again");
        }
        self.last = Some(last);
    }

    /// A lease that is not renewed is lost: a write under it is refused.
    pub async fn renew(&mut self, store: &dyn Store, which: Index, now: Timestamp) {
        if self.parcels.is_empty() {
            return;
        }
        let place = which.index(self.parcels.len());
        let work = self.parcels[place].clone();
        let held = vec![(Row::Parcel(work.key.clone()), work.lease.token)];
        let renewed = store.renew_leases(held.clone(), now + LEASE).await.unwrap();
        match self.newest(&work.key.to_string(), &work.lease) {
            Some(given) if renewed == held => given.lease.until = now + LEASE,
            _ => {
                assert_eq!(renewed, [], "{} was taken over", work.key);
                self.parcels.swap_remove(place);
                let write = Write::Parcel(work.clone(), parcel_outcome(&work, 0, now));
                assert_eq!(write.to(store, now).await, Written::Fenced, "{} is lost", work.key);
            }
        }
    }
}
