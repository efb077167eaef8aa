//! The fakes as processes of their own, steered by their admin addresses.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use clockwork::{Clock, Timestamp};
use faults::{Fault, Fired, Kind};
use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{BufReader, Lines};
use tokio::process::ChildStdout;
use tokio::sync::broadcast;

use super::child::Child;
use super::front::plain_client;
use super::{Error, Stage, background};
use crate::plan::Site;
use crate::settled;

/// A running fake. Dropping it kills its process.
pub(crate) struct RunningFake {
    site: Site,
    pub(crate) api: String,
    admin: String,
    pub(crate) credentials: Value,
    client: reqwest::Client,
    /// Told whenever the fake sees the call that a fault on a node waits for.
    pub(crate) signals: broadcast::Sender<Fault>,
    arguments: Vec<OsString>,
    log: PathBuf,
    faults: Vec<Fault>,
    start: Timestamp,
    seed: u64,
    /// `None` while it is down.
    child: tokio::sync::Mutex<Option<Child>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How often each of its faults fired before its process was started again.
    fired: Vec<u64>,
    trouble: Option<Error>,
}

/// The first line that a fake says.
#[derive(Deserialize)]
struct Greeting {
    api: String,
    admin: String,
    credentials: Value,
}

/// What it says later: that it sees the call that a fault on a node waits for.
#[derive(Deserialize)]
struct Said {
    /// The fault's place among those that the fake was given.
    index: usize,
}

/// Starts the fake of `site` with the plan's settings and faults.
pub(crate) async fn start(stage: &Stage<'_>, site: Site) -> Result<Arc<RunningFake>, Error> {
    let plan = stage.plan();
    let seed = stage.entropy().fork(site.as_str(), 0).seed();
    let faults: Vec<Fault> = plan.faults_at(site).map(|(_, fault)| fault.clone()).collect();
    let arguments = arguments(stage, site, seed, &faults)?;
    let log = stage.path(&format!("{site}.log"));
    let started = Child::start::<Greeting>(site.as_str(), arguments.clone(), &[], log.clone());
    let (mut child, greeting) = started.await.map_err(Error::Child)?;
    let (signals, _) = broadcast::channel(1024);
    background(listen(child.lines.take(), faults.clone(), signals.clone()));
    let fake = RunningFake {
        site,
        api: greeting.api,
        admin: greeting.admin,
        credentials: greeting.credentials,
        client: plain_client(),
        signals,
        arguments,
        log,
        state: Mutex::new(State { fired: vec![0; faults.len()], trouble: None }),
        faults,
        start: stage.start,
        seed,
        child: tokio::sync::Mutex::new(Some(child)),
    };
    fake.install().await?;
    Ok(Arc::new(fake))
}

fn arguments(
    stage: &Stage<'_>,
    site: Site,
    seed: u64,
    faults: &[Fault],
) -> Result<Vec<OsString>, Error> {
    let plan = stage.plan();
    let (command, settings) = match site {
        Site::Messenger => ("__fake-kakao", toml::to_string(&plan.gateway)),
        _ => ("__fake-cj", toml::to_string(&plan.carrier)),
    };
    let settings = settings.map_err(|source| Error::Settings(site.as_str(), source))?;
    let config = stage.write(&format!("{site}.toml"), &settings)?;
    let mut arguments: Vec<OsString> = vec![
        command.into(),
        "--format".into(),
        "json".into(),
        "--config".into(),
        config.into(),
        "--clock".into(),
        stage.spec.to_string().into(),
        "--seed".into(),
        seed.to_string().into(),
    ];
    if faults.iter().any(|fault| fault.kind == Kind::ApiRestart) {
        arguments.extend(["--state".into(), stage.path(&format!("{site}.state")).into()]);
    }
    Ok(arguments)
}

/// Passes on what the fake says.
async fn listen(
    lines: Option<Lines<BufReader<ChildStdout>>>,
    faults: Vec<Fault>,
    signals: broadcast::Sender<Fault>,
) {
    let Some(mut lines) = lines else { return };
    while let Ok(Some(line)) = lines.next_line().await {
        let said: Option<Said> = serde_json::from_str(&line).ok();
        if let Some(fault) = said.and_then(|said| faults.get(said.index)) {
            // Nobody listens before the nodes stand, or after the run: then nobody is to die.
            let _ = signals.send(fault.clone());
        }
    }
}

/// Restarts the fake at the moments that the plan names.
pub(super) fn disturb(stage: &Stage<'_>, fake: &Arc<RunningFake>) {
    for (place, fault) in fake.faults.iter().enumerate() {
        if fault.kind != Kind::ApiRestart {
            continue;
        }
        let (clock, at) = (stage.clock.clone(), stage.start + fault.from.unwrap_or_default());
        // The run may end before, and the fake with it.
        let (fake, fault): (Weak<RunningFake>, Fault) = (Arc::downgrade(fake), fault.clone());
        background(async move {
            clock.sleep_until(at).await;
            let Some(fake) = fake.upgrade() else { return };
            if let Err(error) = fake.restart(place, &fault, &*clock).await {
                fake.state().trouble = Some(error);
            }
        });
    }
}

impl RunningFake {
    /// SIGKILL, and after its time a new process at the same addresses that knows what this one did.
    async fn restart(&self, place: usize, fault: &Fault, clock: &dyn Clock) -> Result<(), Error> {
        let mut running = self.child.lock().await;
        let Some(mut child) = running.take() else { return Ok(()) };
        if fault.forgets == Some(true) {
            self.answered(self.client.post(format!("{}/forget", self.admin))).await?;
        }
        let fired = self.fired_by_this_process().await?;
        child.signal(Signal::SIGKILL).map_err(Error::Child)?;
        child.ended().await;
        {
            let mut state = self.state();
            state.fired.iter_mut().zip(fired).for_each(|(times, fired)| *times += fired.times);
            state.fired[place] += 1;
        }
        clock.sleep(fault.by.unwrap_or_default()).await;
        let mut arguments = self.arguments.clone();
        for (flag, url) in [("--listen", &self.api), ("--admin", &self.admin)] {
            arguments.extend([flag.into(), url.trim_start_matches("http://").into()]);
        }
        let started =
            Child::start::<Greeting>(self.site.as_str(), arguments, &[], self.log.clone()).await;
        let (mut child, _) = started.map_err(Error::Child)?;
        background(listen(child.lines.take(), self.faults.clone(), self.signals.clone()));
        *running = Some(child);
        self.install().await
    }

    async fn install(&self) -> Result<(), Error> {
        let body = json!({ "start": self.start, "seed": self.seed, "faults": self.faults });
        let request = self.client.put(format!("{}/faults", self.admin)).json(&body);
        self.answered(request).await.map(|_| ())
    }

    /// Why it could not be killed or started again, if so.
    pub(super) fn trouble(&self) -> Option<Error> {
        self.state().trouble.take()
    }

    /// The faults and how often each fired.
    pub(crate) async fn fired(&self) -> Result<Vec<Fired>, Error> {
        // Not while it is down.
        let _up = self.child.lock().await;
        let mut fired = self.fired_by_this_process().await?;
        let state = self.state();
        fired.iter_mut().zip(&state.fired).for_each(|(fired, before)| fired.times += before);
        Ok(fired)
    }

    async fn fired_by_this_process(&self) -> Result<Vec<Fired>, Error> {
        let request = self.client.get(format!("{}/faults", self.admin));
        let answer = self.answered(request).await?;
        answer.json().await.map_err(|source| Error::Admin(self.site, source))
    }

    /// What truly happened.
    pub(crate) async fn ledger<L: for<'de> Deserialize<'de>>(&self) -> Result<L, Error> {
        let _up = self.child.lock().await;
        let request = self.client.get(format!("{}/ledger", self.admin));
        let answer = self.answered(request).await?;
        answer.json().await.map_err(|source| Error::Admin(self.site, source))
    }

    async fn answered(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Error> {
        let answer = request.send().await.and_then(reqwest::Response::error_for_status);
        answer.map_err(|source| Error::Admin(self.site, source))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody else on our address uses up the quota, and does not stop at a 429.
pub(crate) fn let_the_neighbour_call(stage: &Stage<'_>, carrier: &RunningFake) {
    let Some(neighbour) = stage.plan().neighbour.clone() else { return };
    let (clock, client) = (stage.clock.clone(), carrier.client.clone());
    let url = format!("{}/ReqOneGdsTrc", carrier.api);
    let from = stage.start + neighbour.from;
    let gap = Duration::from_secs_f64(1.0 / neighbour.calls_per_second.max(0.001));
    background(async move {
        let mut due = from;
        while due < from + neighbour.lasting {
            clock.sleep_until(due).await;
            let request = client.post(&url).header("content-type", "application/json").body("{}");
            // They do not care for the answer.
            let _ = request.send().await;
            due = due + gap;
        }
    });
}

/// Couriers scan parcels at their times.
pub(crate) fn let_couriers_scan(stage: &Stage<'_>, carrier: &RunningFake) {
    for scan in &stage.plan().scans {
        let (clock, client) = (stage.clock.clone(), carrier.client.clone());
        let (admin, at) = (carrier.admin.clone(), stage.start + scan.at);
        let reference = settled::reference(stage.plan(), scan);
        let state = scan.state;
        background(async move {
            clock.sleep_until(at).await;
            let Ok(answer) = client.get(format!("{admin}/ledger")).send().await else { return };
            let Ok(ledger) = answer.json::<fake_cj::Ledger>().await else { return };
            let live = ledger.bookings.iter().find(|b| b.is_live() && b.cust_use_no == reference);
            if let Some(booking) = live {
                let body = json!({ "invoice_no": booking.invoice_no, "state": state });
                // A scan that does not come about shows in the ledger that is judged.
                let _ = client.post(format!("{admin}/scan")).json(&body).send().await;
            }
        });
    }
}
