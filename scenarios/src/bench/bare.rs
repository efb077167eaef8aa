//! The limit of SQLite: a bare loop that makes the same calls and writes each step down, with
//! nothing that makes it right. No leases, no states, no history; a crash would ship twice.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use clockwork::{Clock, Entropy};
use oms_core::call::{Context, Outcome, Tenure};
use oms_core::carrier::Carrier;
use oms_core::config::Config;
use oms_core::env::{Env, Hands, NullObserver, ReqwestTransport, TokioSpawner, Transport};
use oms_core::messenger::Messenger;
use oms_core::order::Order;
use oms_core::policy::Policies;
use oms_core::state::NoticeState;
use oms_core::store::sqlite::{Options, SqliteStore};
use oms_core::store::{About, Lease, NoticeKey, NoticeWork};
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::Error;

/// How the loop commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commits {
    /// Those that wait share one, at most so many as share one in the service.
    Grouped,
    /// Each step has its own.
    OneByOne,
}

impl Commits {
    const fn together(self) -> usize {
        match self {
            Commits::Grouped => 64,
            Commits::OneByOne => 1,
        }
    }
}

/// A step of an order that is to be written down.
struct Step {
    order: String,
    state: &'static str,
    request: Option<String>,
    committed: oneshot::Sender<()>,
}

/// Orders a second of a loop with `in_flight` orders at once, over a database at `path`.
pub(super) async fn orders_per_second(
    path: &Path,
    clock: Arc<dyn Clock>,
    config: Config,
    orders: Vec<Order>,
    in_flight: usize,
    commits: Commits,
) -> Result<f64, Error> {
    let db = prepare(path, &orders)?;
    let (steps, waiting) = mpsc::channel();
    write_steps(db, waiting, commits.together());
    let env = environment(&config, clock.clone())?;
    let hand = Arc::new(Hand {
        carrier: Carrier::new(&env, &config),
        messenger: Messenger::new(&env, &config),
        clock: clock.clone(),
        count: orders.len(),
        orders,
        next: AtomicUsize::new(0),
        steps,
    });
    let start = clock.now();
    let hands: Vec<_> = (0..in_flight).map(|_| work(hand.clone())).collect();
    for done in hands {
        done.await.map_err(|_| Error::Bare("a task ended early"))??;
    }
    Ok(hand.count as f64 / clock.now().since(start).as_secs_f64())
}

#[expect(clippy::disallowed_methods, reason = "real tasks of the limit's own, on real threads")]
fn work(hand: Arc<Hand>) -> tokio::task::JoinHandle<Result<(), Error>> {
    tokio::spawn(async move { hand.work().await })
}

/// The table with all orders in it, as they are when the service begins.
fn prepare(path: &Path, orders: &[Order]) -> Result<Connection, Error> {
    let db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch(
        "CREATE TABLE orders (id TEXT NOT NULL PRIMARY KEY, content TEXT NOT NULL,
             state TEXT NOT NULL, request TEXT) STRICT;
         BEGIN",
    )?;
    for order in orders {
        let sql = "INSERT INTO orders (id, content, state) VALUES (?1, ?2, 'planned')";
        db.prepare_cached(sql)?.execute(params![order.id, order.to_json()])?;
    }
    db.execute_batch("COMMIT")?;
    Ok(db)
}

/// One thread writes, as SQLite has one writer.
#[expect(clippy::disallowed_methods, reason = "a real thread, beside all that is simulated")]
fn write_steps(db: Connection, waiting: mpsc::Receiver<Step>, together: usize) {
    std::thread::spawn(move || {
        while let Ok(first) = waiting.recv() {
            let group = std::iter::once(first).chain(waiting.try_iter().take(together - 1));
            let group: Vec<Step> = group.collect();
            // What is not committed is never answered: then its task ends early.
            if commit(&db, &group).is_err() {
                return;
            }
            for step in group {
                let _ = step.committed.send(());
            }
        }
    });
}

fn commit(db: &Connection, group: &[Step]) -> rusqlite::Result<()> {
    db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    for step in group {
        let sql = "UPDATE orders SET state = ?2, request = coalesce(?3, request) WHERE id = ?1";
        db.prepare_cached(sql)?.execute(params![step.order, step.state, step.request])?;
    }
    db.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}

/// The core's own calls, over a store that they never ask: nothing is limited.
fn environment(config: &Config, clock: Arc<dyn Clock>) -> Result<Env, Error> {
    let transport = |url: &str, wait: Duration| -> Result<Arc<dyn Transport>, Error> {
        let transport = ReqwestTransport::new(url, wait, clock.clone(), 1.0, None);
        Ok(Arc::new(transport.map_err(|_| Error::Bare("no HTTP client"))?))
    };
    let (carrier, messenger) = (&config.carrier.calls, &config.messenger.calls);
    Ok(Env {
        carrier: transport(&carrier.url, carrier.connect_timeout)?,
        messenger: transport(&messenger.url, messenger.connect_timeout)?,
        store: Arc::new(SqliteStore::in_memory(Options::new(
            clock.clone(),
            Arc::new(NullObserver),
        ))),
        entropy: Entropy::new(0),
        clock,
        spawner: Arc::new(TokioSpawner::default()),
        observer: Arc::new(NullObserver),
        policies: Policies::default(),
        worker: "bare".to_owned(),
    })
}

/// What all tasks of the loop share.
struct Hand {
    carrier: Carrier,
    messenger: Messenger,
    clock: Arc<dyn Clock>,
    orders: Vec<Order>,
    count: usize,
    /// The first order that nobody has taken.
    next: AtomicUsize,
    steps: mpsc::Sender<Step>,
}

impl Hand {
    #[expect(clippy::disallowed_methods, reason = "a task of the limit's own")]
    async fn work(&self) -> Result<(), Error> {
        let hands = Hands::of_a_new_task();
        while let Some(order) = self.orders.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            self.ship(&hands, order).await?;
        }
        Ok(())
    }

    /// The five steps of an order, and its three calls.
    async fn ship(&self, hands: &Hands, order: &Order) -> Result<(), Error> {
        let context = Context { key: order.id.clone(), tenure: Tenure::for_ever() };
        self.write(order, "leased", None).await?;
        let invoice = done(self.carrier.allocate_invoice(hands, &context).await)?;
        let intent = self.carrier.request_of(order, 1, &invoice, self.clock.now());
        self.write(order, "intended", Some(intent.request.clone())).await?;
        done(self.carrier.book(hands, &context, &intent).await)?;
        self.write(order, "booked", None).await?;
        let notice = self.notice(order, invoice);
        self.write(order, "sending", None).await?;
        done(self.messenger.send(hands, &context, &notice).await)?;
        self.write(order, "sent", None).await
    }

    async fn write(
        &self,
        order: &Order,
        state: &'static str,
        request: Option<String>,
    ) -> Result<(), Error> {
        let (committed, answer) = oneshot::channel();
        let step = Step { order: order.id.clone(), state, request, committed };
        self.steps.send(step).map_err(|_| Error::Bare("a step was not written"))?;
        answer.await.map_err(|_| Error::Bare("a step was not written"))
    }

    fn notice(&self, order: &Order, invoice: String) -> NoticeWork {
        NoticeWork {
            key: NoticeKey { order: order.id.clone(), event: "shipped".to_owned() },
            about: About::Order { order: order.clone(), invoices: vec![invoice] },
            state: NoticeState::Sending,
            lease: Lease { worker: String::new(), token: 1, until: clockwork::Timestamp::MAX },
            attempts: 0,
            rounds: 0,
            first_sent_at: None,
        }
    }
}

fn done<T>(outcome: Outcome<T>) -> Result<T, Error> {
    match outcome {
        Outcome::Done(value) => Ok(value),
        _ => Err(Error::Bare("a call was not answered as it should")),
    }
}
