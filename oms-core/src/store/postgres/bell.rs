//! `LISTEN` and `NOTIFY`: a worker hears at once that another process has committed work, or that
//! nobody is to call any more.
//!
//! A listener has one connection of its own, beside the pool. What is to be told is told on it, after
//! the commit and never inside of one: PostgreSQL gives `NOTIFY` a lock of the whole database from
//! before the commit is written until after it, so transactions that notify commit one by one. And
//! it is told at most once in [`GAP`]: a thousand commits are not a thousand notifications.
//!
//! A process without a listener (a command) tells on a connection of the pool, and what follows
//! within [`GAP`] is left to the workers' polling. What people do, and blocks, are seldom: they are
//! told in their own transaction.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clockwork::{Clock, Timestamp};
use sqlx::PgConnection;
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use tokio::sync::Notify;

use super::failure::Result;
use super::quota;
use crate::store::Woken;
use crate::store::sqlite::Time;

/// Between two notifications of one process that say the same.
const GAP: Duration = Duration::from_millis(50);
/// How long a listener waits before it connects again.
const REST: Duration = Duration::from_secs(1);

/// What is said when there is work.
const WORK: &str = "work";
/// What is said before the name of a quota over which nobody is to call, and for how many
/// microseconds.
const BLOCKED: &str = "blocked";

/// Says `$1` to all who listen in this schema, once the transaction has committed.
const TELL: &str = "SELECT pg_notify('oms_' || md5(current_schema()), $1)";
/// Prepares a listener's session; gives its own process, and the channel. It has nothing to lose in
/// a crash, so none of its commits waits for the disk.
const BEGIN: &str = "SELECT pg_backend_pid(), 'oms_' || md5(current_schema()),
                            set_config('synchronous_commit', 'off', false)";

/// Tells other processes of this one's commits, and this one of theirs.
pub(super) struct Bell {
    clock: Arc<dyn Clock>,
    time: Time,
    /// There is something to tell.
    pressed: AtomicBool,
    press: Notify,
    /// A listener is there to tell it.
    listening: AtomicBool,
    /// When it was last told without one, in microseconds.
    told_at: AtomicI64,
    /// Until when nobody may call, by quota; right while it listens.
    blocks: Mutex<BTreeMap<String, Timestamp>>,
}

impl Bell {
    pub(super) fn new(clock: Arc<dyn Clock>, time: Time) -> Bell {
        Bell {
            clock,
            time,
            pressed: AtomicBool::new(false),
            press: Notify::new(),
            listening: AtomicBool::new(false),
            told_at: AtomicI64::new(0),
            blocks: Mutex::default(),
        }
    }

    /// Tells the others that there is work, soon.
    pub(super) async fn ring(&self, pool: &PgPool) {
        if self.listening.load(Ordering::Acquire) {
            self.pressed.store(true, Ordering::Release);
            self.press.notify_one();
            return;
        }
        let now = self.clock.now();
        let told_at = Timestamp::from_micros(self.told_at.load(Ordering::Acquire));
        if now < told_at + GAP && told_at <= now {
            return;
        }
        self.told_at.store(now.micros(), Ordering::Release);
        if let Err(error) = sqlx::query(TELL).bind(WORK).execute(pool).await {
            tracing::debug!(%error, "others are not told of new work, and will find it");
        }
    }

    /// Until when nobody may call over `quota`; `None` without a listener, which alone would know.
    pub(super) fn blocked_until(&self, quota: &str) -> Option<Timestamp> {
        let listening = self.listening.load(Ordering::Acquire);
        listening.then(|| self.blocks().get(quota).copied().unwrap_or(Timestamp::EPOCH))
    }

    fn blocks(&self) -> MutexGuard<'_, BTreeMap<String, Timestamp>> {
        // A panic elsewhere leaves them in order: each change is one statement.
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn block(&self, quota: &str, lasts: Duration) {
        let until = self.clock.now() + lasts;
        let mut blocks = self.blocks();
        let known = blocks.entry(quota.to_owned()).or_insert(until);
        *known = until.max(*known);
    }

    /// Waits until something is to be told and may be.
    async fn rung(&self, told_at: Option<Timestamp>) {
        while !self.pressed.load(Ordering::Acquire) {
            self.press.notified().await;
        }
        if let Some(told_at) = told_at {
            self.clock.sleep_until(told_at + GAP).await;
        }
    }

    /// Tells and hears, for ever. A session that is lost is begun anew, and what was missed
    /// meanwhile may have been work.
    pub(super) async fn listen(self: Arc<Bell>, pool: PgPool, woken: Woken) {
        let alone = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let session = (*pool.connect_options()).clone();
        // So that a person sees which of the sessions it is.
        let name = format!("{} listener", session.get_application_name().unwrap_or("oms"));
        let alone = alone.connect_lazy_with(session.application_name(&name));
        loop {
            if let Err(failure) = self.session(&alone, &woken).await {
                let error = failure.of("listen");
                tracing::warn!(%error, "not told of others' work until connected again; polling");
            }
            self.listening.store(false, Ordering::Release);
            self.clock.sleep(REST).await;
        }
    }

    /// One session, until it is lost.
    async fn session(&self, pool: &PgPool, woken: &Woken) -> Result<()> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.eager_reconnect(false);
        let (own, channel, _): (i32, String, String) =
            sqlx::query_as(BEGIN).fetch_one(&mut listener).await?;
        listener.listen(&channel).await?;
        // From here on nothing is missed; what there was before is looked up.
        for (quota, lasts) in quota::blocks(&mut listener, &self.time, &*self.clock).await? {
            self.block(&quota, lasts);
        }
        self.listening.store(true, Ordering::Release);
        woken();
        let mut told_at = None;
        loop {
            tokio::select! {
                biased;
                told = listener.try_recv() => {
                    let Some(told) = told? else { return Ok(()) };
                    if i64::from(told.process_id()) != i64::from(own) {
                        match understand(told.payload()) {
                            Some(News::Work) => woken(),
                            Some(News::Blocked { quota, lasts }) => self.block(quota, lasts),
                            None => {}
                        }
                    }
                }
                () = self.rung(told_at) => {
                    self.pressed.store(false, Ordering::Release);
                    told_at = Some(self.clock.now());
                    sqlx::query(TELL).bind(WORK).execute(&mut listener).await?;
                }
            }
        }
    }
}

/// Tells the others that there is work when the open transaction has committed: for what people do,
/// which is seldom.
pub(super) async fn ring_at_commit(db: &mut PgConnection) -> Result<()> {
    sqlx::query(TELL).bind(WORK).execute(db).await?;
    Ok(())
}

/// Tells all, when the open transaction has committed, that nobody is to call over `quota` for so
/// long.
pub(super) async fn tell_block_at_commit(
    db: &mut PgConnection,
    quota: &str,
    lasts: Duration,
) -> Result<()> {
    let told = format!("{BLOCKED} {quota} {}", lasts.as_micros());
    sqlx::query(TELL).bind(told).execute(db).await?;
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum News<'t> {
    Work,
    Blocked { quota: &'t str, lasts: Duration },
}

/// What a newer program may say besides is not for us.
fn understand(told: &str) -> Option<News<'_>> {
    let words: Vec<&str> = told.split(' ').collect();
    match words[..] {
        [WORK] => Some(News::Work),
        [BLOCKED, quota, lasts] => {
            Some(News::Blocked { quota, lasts: Duration::from_micros(lasts.parse().ok()?) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_understood_and_the_rest_is_let_be() {
        let blocked = News::Blocked { quota: "carrier", lasts: Duration::from_millis(1500) };
        assert_eq!(understand("blocked carrier 1500000"), Some(blocked));
        assert_eq!(understand("work"), Some(News::Work));
        for other in ["", "weather", "blocked carrier", "blocked carrier soon"] {
            assert_eq!(understand(other), None, "{other}");
        }
    }
}
