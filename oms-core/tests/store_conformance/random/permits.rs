//! Permits, against the windows counted by hand.

use std::time::Duration;

use clockwork::Timestamp;
use futures_util::future::join_all;
use oms_core::store::{Permits, Store, TakePermits, Window};

use super::Clients;

const WINDOWS: [Window; 2] = [
    Window { calls: 3, per: Duration::from_secs(5) },
    Window { calls: 5, per: Duration::from_secs(60) },
];

/// How long a permit counts whose call is never heard of.
const HOLD: Duration = Duration::from_secs(10);

/// All permits that were given, in the order of their ids.
#[derive(Default)]
pub struct Calls {
    all: Vec<Call>,
    /// Ends that nobody has been told of.
    untold: Vec<(i64, Timestamp)>,
}

struct Call {
    id: i64,
    /// Until when it is under way, as far as is known.
    until: Timestamp,
    has_ended: bool,
}

impl Calls {
    /// So many clients want so many at once: together they get what is free, and no permit twice.
    pub async fn take<S: Store>(
        &mut self,
        clients: &Clients<'_, S>,
        by: usize,
        want: u32,
        now: Timestamp,
    ) {
        let ended = std::mem::take(&mut self.untold);
        let take = TakePermits {
            quota: "carrier",
            windows: WINDOWS.to_vec(),
            want,
            spare: 0,
            now,
            ahead: Duration::ZERO,
            hold: HOLD,
            ended,
        };
        let free = self.free(now);
        let taken = join_all(clients.some(by).map(|(_, client)| client.take_permits(take.clone())));
        let mut given = 0;
        for permits in taken.await {
            match permits.unwrap() {
                Permits::Wait(moment) => assert!(moment > now, "waits for {moment} at {now}"),
                Permits::Granted(grants) => {
                    for grant in grants {
                        assert_eq!(grant.from, now);
                        assert!(self.all.iter().all(|call| call.id != grant.id), "{grant:?} twice");
                        self.all.push(Call { id: grant.id, until: now + HOLD, has_ended: false });
                        given += 1;
                    }
                }
            }
        }
        assert_eq!(given, free.min(by * want as usize), "{free} of them were free at {now}");
    }

    /// All calls that may be under way have ended.
    pub fn end(&mut self, now: Timestamp) {
        for call in self.all.iter_mut().filter(|call| !call.has_ended && call.until > now) {
            (call.until, call.has_ended) = (now, true);
            self.untold.push((call.id, now));
        }
    }

    /// How many more may be made now. One counts until one window after its end.
    fn free(&self, now: Timestamp) -> usize {
        let free = WINDOWS.map(|Window { calls, per }| {
            let count = self.all.iter().filter(|call| call.until + per > now).count();
            (calls as usize).checked_sub(count).expect("never more than a window allows")
        });
        free.into_iter().min().unwrap_or_default()
    }
}
