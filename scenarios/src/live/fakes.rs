//! The fakes as processes of their own, steered by their admin addresses.

use std::ffi::OsString;
use std::time::Duration;

use faults::{Fault, Fired};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::child::Child;
use super::front::plain_client;
use super::{Error, Stage, background};
use crate::plan::Site;
use crate::settled;

/// A running fake.
pub(crate) struct RunningFake {
    site: Site,
    pub(crate) api: String,
    admin: String,
    pub(crate) credentials: Value,
    client: reqwest::Client,
    /// Told whenever the fake sees the call that a fault on a node waits for.
    pub(crate) signals: broadcast::Sender<Fault>,
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
pub(crate) async fn start(stage: &Stage<'_>, site: Site) -> Result<RunningFake, Error> {
    let plan = stage.plan();
    let (command, settings) = match site {
        Site::Messenger => ("__fake-kakao", toml::to_string(&plan.gateway)),
        _ => ("__fake-cj", toml::to_string(&plan.carrier)),
    };
    let settings = settings.map_err(|source| Error::Settings(site.as_str(), source))?;
    let config = stage.write(&format!("{site}.toml"), &settings)?;
    let seed = stage.entropy().fork(site.as_str(), 0).seed();
    let arguments: Vec<OsString> = vec![
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
    let log = stage.path(&format!("{site}.log"));
    let started = Child::start::<Greeting>(site.as_str(), arguments, &[], log).await;
    let (child, greeting) = started.map_err(Error::Child)?;
    let (signals, _) = broadcast::channel(1024);
    let fake = RunningFake {
        site,
        api: greeting.api,
        admin: greeting.admin,
        credentials: greeting.credentials,
        client: plain_client(),
        signals: signals.clone(),
    };
    fake.install(stage, seed).await?;
    let faults = plan.faults_at(site).map(|(_, fault)| fault.clone()).collect();
    background(listen(child, faults, signals));
    Ok(fake)
}

/// Passes on what the fake says. Holds the process: it ends with the runner.
async fn listen(mut child: Child, faults: Vec<Fault>, signals: broadcast::Sender<Fault>) {
    while let Ok(Some(line)) = child.lines.next_line().await {
        let said: Option<Said> = serde_json::from_str(&line).ok();
        if let Some(fault) = said.and_then(|said| faults.get(said.index)) {
            // Nobody listens before the nodes stand, or after the run: then nobody is to die.
            let _ = signals.send(fault.clone());
        }
    }
    child.ended().await;
}

impl RunningFake {
    async fn install(&self, stage: &Stage<'_>, seed: u64) -> Result<(), Error> {
        let faults: Vec<&Fault> = stage.plan().faults_at(self.site).map(|(_, f)| f).collect();
        let body = json!({ "start": stage.start, "seed": seed, "faults": faults });
        let request = self.client.put(format!("{}/faults", self.admin)).json(&body);
        self.answered(request).await.map(|_| ())
    }

    /// The faults and how often each fired.
    pub(crate) async fn fired(&self) -> Result<Vec<Fired>, Error> {
        let request = self.client.get(format!("{}/faults", self.admin));
        let answer = self.answered(request).await?;
        answer.json().await.map_err(|source| Error::Admin(self.site, source))
    }

    /// What truly happened.
    pub(crate) async fn ledger<L: for<'de> Deserialize<'de>>(&self) -> Result<L, Error> {
        let request = self.client.get(format!("{}/ledger", self.admin));
        let answer = self.answered(request).await?;
        answer.json().await.map_err(|source| Error::Admin(self.site, source))
    }

    async fn answered(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Error> {
        let answer = request.send().await.and_then(reqwest::Response::error_for_status);
        answer.map_err(|source| Error::Admin(self.site, source))
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
