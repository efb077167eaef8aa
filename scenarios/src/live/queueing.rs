//! The queue of a live run: a broker, a stream of the run's own in it, and the desk that every
//! operation passes.

use std::sync::{Arc, Weak};
use std::time::Duration;

use clockwork::Timestamp;
use faults::Fired;
use oms_core::store::without_secrets;
use tokio::net::TcpListener;

use super::broker::{Server, Source};
use super::desk::Desk;
use super::disturbed::Way;
use super::jetstream::{JetStream, Place};
use super::{Error, Options, Stage, background, child};
use crate::plan::Site;
use crate::queue::{self, Kept, Ledger};

/// A broker that was down is reached again within so long, and looked for so often.
const REACH_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The queue, as the runner has it.
pub(super) struct RunningQueue {
    stream: JetStream,
    desk: Arc<Desk>,
    /// How the nodes find it.
    pub(super) way: Way,
    url: String,
    /// The broker, when it is the drill's own. It ends with this.
    server: Option<Arc<Server>>,
}

/// Finds or starts a broker, makes a stream in it and opens the desk.
pub(super) async fn start(stage: &Stage<'_>, options: &Options) -> Result<RunningQueue, Error> {
    let source = options.brokers.source(stage.plan()).map_err(Error::NoBroker)?;
    let (url, server) = match source {
        Source::Given(url) => (url, None),
        Source::Own(program) => {
            let folder = stage.folder.path().to_owned();
            let server = Server::start(program, folder, &stage.entropy()).await;
            let server = Arc::new(server.map_err(Error::Child)?);
            (server.url().await, Some(server))
        }
    };
    let place = Place { url: url.clone(), name: name(stage), factor: stage.spec.factor };
    let stream = JetStream::new(place.clone(), stage.clock.clone());
    stream.set_up().await.map_err(|source| broker(&url, source))?;
    let desk = desk(stage, server.as_ref().map(Arc::downgrade).unwrap_or_default())?;
    let address = listen(desk.clone()).await.map_err(Error::Desk)?;
    Ok(RunningQueue { stream, desk, way: Way { place, desk: address }, url, server })
}

fn broker(url: &str, source: queue::Error) -> Error {
    Error::Broker { url: without_secrets(url), source }
}

/// The stream's name: no other run's.
fn name(stage: &Stage<'_>) -> String {
    let folder = stage.folder.path().file_name().unwrap_or_default().to_string_lossy();
    let plain: String = folder.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("drill-{}-{plain}", std::process::id())
}

fn desk(stage: &Stage<'_>, server: Weak<Server>) -> Result<Arc<Desk>, Error> {
    let faults = stage.plan().faults_at(Site::Queue);
    let faults = faults.filter(|(_, fault)| fault.only_simulated().is_none());
    let faults = faults.map(|(_, fault)| fault.clone()).collect();
    let chance = stage.entropy().fork("queue", 0);
    Desk::open(stage.clock.clone(), chance, faults, stage.start, server).map_err(Error::Faults)
}

async fn listen(desk: Arc<Desk>) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    background(async move {
        // It ends with the runner, as all of the run does.
        let _ = axum::serve(listener, desk.router()).await;
    });
    Ok(address)
}

impl RunningQueue {
    /// Whether nothing is under way in it; not, while it cannot be asked.
    pub(super) async fn is_idle(&self) -> bool {
        self.desk.is_idle() && self.stream.is_idle().await.unwrap_or(false)
    }

    /// Why the broker could not be started again, if so.
    pub(super) fn trouble(&self) -> Option<child::Error> {
        self.desk.trouble()
    }

    /// The plan's faults on the queue, and how often each fired.
    pub(super) fn fired(&self, stage: &Stage<'_>) -> Vec<Fired> {
        let mut fired = self.desk.fired().into_iter();
        let of = |(_, fault): (usize, &faults::Fault)| match fault.only_simulated() {
            Some(_) => Fired { fault: fault.clone(), times: 0 },
            None => fired.next().unwrap_or_else(|| Fired { fault: fault.clone(), times: 0 }),
        };
        stage.plan().faults_at(Site::Queue).map(of).collect()
    }

    /// What truly happened: the messages and which of them are dead as the broker has it, what was
    /// delivered and acknowledged as it passed the desk.
    pub(super) async fn ledger(&self, stage: &Stage<'_>) -> Result<Option<Ledger>, Error> {
        let failed = |source| broker(&self.url, source);
        self.reach_again(stage).await?;
        let stored = self.stream.messages().await.map_err(failed)?;
        let dead = self.stream.dead().await.map_err(failed)?;
        let (seen, hits) = self.desk.written_down();
        let kept = |message: super::jetstream::Stored| {
            let seen = seen.get(&message.sequence).cloned().unwrap_or_default();
            Kept {
                topic: message.topic,
                id: message.id,
                published: drill_time(stage, message.at),
                delivered: seen.delivered,
                acked: seen.acked,
                dead: dead.get(&message.sequence).map(|at| drill_time(stage, *at)),
            }
        };
        let ledger = Ledger { messages: stored.into_iter().map(kept).collect(), hits };
        Ok((ledger != Ledger::default()).then_some(ledger))
    }

    /// A plan may end while the broker is down.
    async fn reach_again(&self, stage: &Stage<'_>) -> Result<(), Error> {
        if let Some(server) = &self.server {
            server.boot().await.map_err(Error::Child)?;
        }
        let gives_up_at = stage.clock.now() + REACH_MAX;
        while self.stream.set_up().await.is_err() && stage.clock.now() < gives_up_at {
            stage.clock.sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Ends the drill's own broker; leaves nothing of the run in one of somebody else's.
    pub(super) async fn take_away(&self) -> Result<(), Error> {
        match &self.server {
            Some(server) => {
                server.fell().await;
                Ok(())
            }
            None => self.stream.take_away().await.map_err(|source| broker(&self.url, source)),
        }
    }
}

/// A moment of the server's, on the drill's clock.
fn drill_time(stage: &Stage<'_>, real: Timestamp) -> Timestamp {
    let passed = real.since(stage.spec.real.unwrap_or(real));
    stage.spec.epoch + passed.mul_f64(stage.spec.factor)
}
