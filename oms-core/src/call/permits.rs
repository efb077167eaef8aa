//! A process's side of a quota that all workers share through the store.
//!
//! A permit counts from before the request is sent until one window after its reply: only that
//! keeps a carrier's count below the limit, since the request arrives at some moment in between.
//! A permit whose end is never told (a crash, a time-out after which the request may still arrive)
//! counts from the end of its hold.
//!
//! One task of a process asks the store at a time, for as many permits as wait; the others queue
//! behind it, first come, first served. A permit that frees soon is given in advance, so that its
//! call goes out at that very moment and asks nobody. A process that calls often gets a few more
//! than it needs just then, and gives back what it has not used after a quarter of a window. Ended
//! permits are told with the next question, or a quarter of a window later without one, so that other
//! processes do not wait for nothing.
//!
//! A block that another process has written voids what this one has taken: before a call goes out the
//! store is asked for one, unless it was less than [`LOOK_AGAIN`] ago.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clockwork::{Clock, Timestamp};

use crate::env::{Env, Spawner};
use crate::store::{self, Grant, Store, TakePermits, Window};

/// Tries of telling the store that the quota is blocked; this process knows it anyway.
const BLOCK_WRITES_MAX: u32 = 5;
/// The wait between them.
const BLOCK_WRITE_WAIT: Duration = Duration::from_millis(200);
/// The pause between two questions to the store in which nothing can have changed.
const NAP: Duration = Duration::from_millis(10);
/// So old may be what is known of others' blocks when a call goes out.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long to leave a store alone that failed.
const STORE_REST: Duration = Duration::from_secs(1);

/// No call now; nothing was sent, so nothing was spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotNow {
    /// Why.
    pub reason: String,
    /// Not before so long, if something is known.
    pub wait: Option<Duration>,
}

impl NotNow {
    /// No call now because of `reason`.
    pub fn new(reason: impl Into<String>, wait: Option<Duration>) -> NotNow {
        NotNow { reason: reason.into(), wait }
    }
}

/// The quota as this process sees it. Cheap to clone.
#[derive(Clone)]
pub struct Permits {
    shared: Arc<Shared>,
}

struct Shared {
    quota: &'static str,
    windows: Vec<Window>,
    /// The longest time of a call.
    deadline: Duration,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    spawner: Arc<dyn Spawner>,
    /// Whose turn it is to ask the store. tokio's lock is fair: first come, first served.
    turn: tokio::sync::Mutex<()>,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// Taken, not yet handed out, earliest first: for those who wait behind the one who asked.
    pool: BTreeSet<Held>,
    /// Ended, not yet told to the store.
    ended: Vec<(i64, Timestamp)>,
    waiting: u32,
    blocked_until: Timestamp,
    /// Others' blocks are known as of then.
    looked_at: Timestamp,
    /// No permit is free before: what the store last said.
    free_at: Timestamp,
    /// The store is not asked before.
    ask_at: Timestamp,
    /// Handed out since the store was last asked.
    used: u32,
    /// A task will tell the store what ended.
    telling: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    from: Timestamp,
    id: i64,
    until: Timestamp,
}

/// The right to make one call. Dropped without a word it counts until the end of its hold.
#[must_use]
pub struct Permit {
    held: Option<Held>,
    home: Permits,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.held).finish()
    }
}

impl Permit {
    /// The call must have ended by then: the permit is not held longer.
    pub fn held_until(&self) -> Timestamp {
        self.held.map_or(Timestamp::MAX, |held| held.until)
    }

    /// The call has ended and nothing of it can still arrive.
    pub fn end(self, at: Timestamp) {
        if let Some(held) = self.held {
            self.home.tell(held, at);
        }
    }

    /// No call was made: the permit counts for nothing.
    pub fn give_back(self) {
        self.end(Timestamp::EPOCH);
    }
}

/// Counts a waiting task, also when it is dropped.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared) -> Waiting<'a> {
        shared.books().waiting += 1;
        Waiting(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.books().waiting -= 1;
    }
}

impl Permits {
    /// The permits of `quota` under `windows` (none: no limit) for calls that take at most
    /// `deadline`.
    pub fn new(
        env: &Env,
        quota: &'static str,
        windows: Vec<Window>,
        deadline: Duration,
    ) -> Permits {
        let shared = Shared {
            quota,
            windows,
            deadline,
            clock: env.clock.clone(),
            store: env.store.clone(),
            spawner: env.spawner.clone(),
            turn: tokio::sync::Mutex::new(()),
            books: Mutex::new(Books::default()),
        };
        Permits { shared: Arc::new(shared) }
    }

    /// A permit, waited for until `patience_ends`.
    ///
    /// # Errors
    /// [`NotNow`] with the time until the next permit is free, as far as that is known.
    pub async fn take(&self, patience_ends: Timestamp) -> Result<Permit, NotNow> {
        let shared = &*self.shared;
        shared.check_block(patience_ends)?;
        if shared.windows.is_empty() {
            return self.unlimited(patience_ends).await;
        }
        let _waiting = Waiting::new(shared);
        let _turn = tokio::select! {
            biased;
            turn = shared.turn.lock() => turn,
            () = shared.clock.sleep_until(patience_ends) => return Err(shared.no_permit()),
        };
        loop {
            let now = shared.clock.now();
            shared.check_block(patience_ends)?;
            let picked = shared.books().pick(now, shared.deadline);
            if let Some(held) = picked {
                let permit = Permit { held: Some(held), home: self.clone() };
                if !shared.look_for_block(now).await {
                    return Ok(permit);
                }
                permit.give_back();
                continue;
            }
            let look = {
                let books = shared.books();
                // Nothing is free before, however often it is asked.
                let in_vain = books.pool.is_empty() && books.free_at > patience_ends;
                if in_vain { Look::At(books.free_at) } else { books.next_look(now) }
            };
            match look {
                Look::Ask => {
                    if shared.ask(now).await? {
                        self.see_to_telling();
                    }
                }
                Look::At(moment) if moment > patience_ends => return Err(shared.no_permit()),
                Look::At(moment) => shared.clock.sleep_until(moment).await,
            }
        }
    }

    /// Without windows only a block is waited for.
    async fn unlimited(&self, patience_ends: Timestamp) -> Result<Permit, NotNow> {
        let shared = &*self.shared;
        loop {
            let now = shared.clock.now();
            shared.look_for_block(now).await;
            shared.check_block(patience_ends)?;
            let blocked_until = shared.books().blocked_until;
            if now >= blocked_until {
                return Ok(Permit { held: None, home: self.clone() });
            }
            shared.clock.sleep_until(blocked_until).await;
        }
    }

    /// Lets nobody call before `until`, here at once and elsewhere as soon as the store knows.
    pub async fn block(&self, until: Timestamp) {
        let shared = &self.shared;
        shared.books().block(until);
        for _ in 0..BLOCK_WRITES_MAX {
            match shared.store.block_quota(shared.quota, until).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(quota = shared.quota, %error, "block not written"),
            }
            shared.clock.sleep(BLOCK_WRITE_WAIT).await;
        }
    }

    /// Tells the store at once what has ended here, and gives back what nobody has used: for a process
    /// that ends, and would otherwise keep it from the others until the ends of its holds.
    pub async fn hand_back(&self) {
        let shared = &self.shared;
        shared.books().empty_pool();
        if shared.books().ended.is_empty() {
            return;
        }
        if let Err(error) = shared.exchange(0, 0, shared.clock.now()).await {
            tracing::warn!(quota = shared.quota, %error, "permits not given back");
        }
    }

    /// Notes an end, and sees to it that the store learns of it.
    fn tell(&self, held: Held, at: Timestamp) {
        self.shared.books().ended.push((held.id, at));
        self.see_to_telling();
    }

    fn see_to_telling(&self) {
        let shared = self.shared.clone();
        if std::mem::replace(&mut shared.books().telling, true) {
            return;
        }
        let spawner = shared.spawner.clone();
        spawner.spawn("permits", Box::pin(async move { shared.tell_ended().await }));
    }
}

impl Shared {
    fn books(&self) -> MutexGuard<'_, Books> {
        // A panic elsewhere leaves the books in order: each change is one statement.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block that lasts longer than the patience is not waited for.
    fn check_block(&self, patience_ends: Timestamp) -> Result<(), NotNow> {
        let until = self.books().blocked_until;
        if until <= patience_ends {
            return Ok(());
        }
        Err(NotNow::new("quota blocked", Some(until.since(self.clock.now()))))
    }

    /// Whether nobody may call, as others have written since it was last looked for. A store that
    /// does not answer says nothing.
    async fn look_for_block(&self, now: Timestamp) -> bool {
        if now < self.books().looked_at + LOOK_AGAIN {
            return false;
        }
        let Ok(until) = self.store.blocked_until(self.quota).await else { return false };
        let mut books = self.books();
        books.looked_at = now;
        let blocked = until > now;
        if blocked {
            books.block(until);
        }
        blocked
    }

    fn no_permit(&self) -> NotNow {
        let wait = self.books().free_at.since(self.clock.now());
        NotNow::new("no permit in time", (!wait.is_zero()).then_some(wait))
    }

    /// Asks the store for as many permits as wait: fills the pool, or learns when to ask again.
    /// Whether the pool has more than that now.
    async fn ask(&self, now: Timestamp) -> Result<bool, NotNow> {
        let (want, spare) = self.books().wanted();
        let answer = self.exchange(want, spare, now).await;
        let mut books = self.books();
        books.free_at = now + NAP;
        books.ask_at = now + NAP;
        if answer.is_ok() {
            books.looked_at = now;
        }
        match answer {
            Ok(store::Permits::Granted(grants)) => {
                let missing = grants.len() < count(want);
                let hold = self.hold();
                let held = |grant: Grant| Held {
                    from: grant.from,
                    id: grant.id,
                    until: grant.from + hold,
                };
                books.pool.extend(grants.into_iter().map(held));
                if now < books.blocked_until {
                    // The store has not heard of the block yet, and would be asked without end.
                    books.empty_pool();
                    books.ask_at = books.blocked_until;
                } else {
                    books.ask_at = if missing { now + self.turn_length() } else { now };
                }
                books.free_at = books.ask_at;
            }
            // A lower bound: calls under way elsewhere may end at any moment, yet count on.
            Ok(store::Permits::Wait(until)) => {
                books.free_at = until.max(now + NAP);
                let soon = until.min(now + self.turn_length());
                books.ask_at = (until - self.ahead()).max(soon).max(now + NAP);
            }
            Err(error) if error.retryable() => {}
            Err(error) => {
                return Err(NotNow::new(format!("no permit: {error}"), Some(STORE_REST)));
            }
        }
        Ok(books.pool.len() > count(books.waiting))
    }

    /// Tells the store what has ended, and takes `want` permits, and `spare` more if they are free.
    async fn exchange(
        &self,
        want: u32,
        spare: u32,
        now: Timestamp,
    ) -> store::Result<store::Permits> {
        let ended = std::mem::take(&mut self.books().ended);
        let take = TakePermits {
            quota: self.quota,
            windows: self.windows.clone(),
            want,
            spare,
            now,
            ahead: self.ahead(),
            hold: self.hold(),
            ended: ended.clone(),
        };
        let answer = self.store.take_permits(take).await;
        if answer.is_err() {
            self.books().ended.extend(ended);
        }
        answer
    }

    fn shortest_window(&self) -> Duration {
        self.windows.iter().map(|window| window.per).min().unwrap_or_default()
    }

    /// How often the store is asked for what it does not have, and told what has ended.
    fn turn_length(&self) -> Duration {
        (self.shortest_window() / 4).max(NAP)
    }

    /// How soon a permit must be free to be taken now: so that whoever waits has heard of each end
    /// a whole turn before it is of use.
    fn ahead(&self) -> Duration {
        self.shortest_window() * 3 / 4
    }

    /// A call, and as long again: a request that nobody waits for any more may still be under way.
    /// And what a permit may wait for its task before.
    fn hold(&self) -> Duration {
        self.deadline * 2 + self.shortest_window() * 2
    }

    /// Tells the store what ended, until there is nothing left to tell.
    async fn tell_ended(&self) {
        // In time for other processes: an ended permit is not free before one window has passed.
        loop {
            self.clock.sleep(self.turn_length()).await;
            {
                let mut books = self.books();
                if books.waiting == 0 {
                    books.empty_pool();
                }
                if books.ended.is_empty() {
                    books.telling = false;
                    return;
                }
            }
            if let Err(error) = self.exchange(0, 0, self.clock.now()).await {
                tracing::debug!(quota = self.quota, %error, "ended permits not told yet");
            }
        }
    }
}

/// What whoever is first of those who wait does next.
enum Look {
    /// Asks the store.
    Ask,
    /// Looks again then.
    At(Timestamp),
}

fn count(permits: u32) -> usize {
    usize::try_from(permits).unwrap_or(usize::MAX)
}

impl Books {
    /// A taken permit that is held long enough for a whole call.
    fn pick(&mut self, now: Timestamp, deadline: Duration) -> Option<Held> {
        while let Some(held) = self.pool.first().copied().filter(|held| held.from <= now) {
            self.pool.remove(&held);
            if now + deadline <= held.until {
                self.used = self.used.saturating_add(1);
                return Some(held);
            }
            self.ended.push((held.id, Timestamp::EPOCH));
            self.ask_anew();
        }
        None
    }

    /// What to ask for: what those who wait lack, and as much to spare as was used of late.
    fn wanted(&mut self) -> (u32, u32) {
        let pooled = u32::try_from(self.pool.len()).unwrap_or(u32::MAX);
        (self.waiting.saturating_sub(pooled), std::mem::take(&mut self.used))
    }

    /// What whoever is first of those who wait does next.
    fn next_look(&self, now: Timestamp) -> Look {
        let lacks = count(self.waiting) > self.pool.len();
        match self.pool.first().map(|held| held.from) {
            _ if lacks && self.ask_at <= now => Look::Ask,
            Some(from) if lacks => Look::At(from.min(self.ask_at)),
            Some(from) => Look::At(from),
            None => Look::At(self.ask_at),
        }
    }

    fn ask_anew(&mut self) {
        self.free_at = Timestamp::EPOCH;
        self.ask_at = Timestamp::EPOCH;
    }

    fn block(&mut self, until: Timestamp) {
        self.blocked_until = self.blocked_until.max(until);
        self.empty_pool();
    }

    /// Permits that nobody uses count for nothing.
    fn empty_pool(&mut self) {
        if !self.pool.is_empty() {
            self.ask_anew();
        }
        let unused = std::mem::take(&mut self.pool);
        self.ended.extend(unused.into_iter().map(|held| (held.id, Timestamp::EPOCH)));
    }
}
