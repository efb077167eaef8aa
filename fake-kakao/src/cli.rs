//! The binary's `main`, callable from other binaries.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use faults::admin::Evidence;
use faults::fake::{self, Fake, Setup};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{Config, FakeKakao, config, handlers};

/// The whole `main` of `fake-kakao`; `args` begins with the program's name.
pub fn main_with_args(args: impl Iterator<Item = OsString>) -> ExitCode {
    fake::main("fake-kakao", "The Alimtalk gateway, faked: Bizgo Communication API v1", args, make)
}

fn make(setup: Setup) -> Result<Fake, config::Error> {
    let config = setup.config_text.as_deref().map_or(Ok(Config::default()), Config::from_toml)?;
    let fake = FakeKakao::new(config, Arc::clone(&setup.clock), setup.entropy);
    Ok(Fake {
        router: fake.disturbed(setup.kept(handlers::router(fake.clone()))),
        plain: handlers::router(fake.clone()),
        journal: fake.shared.journal.clone(),
        admin: axum::Router::new().route("/forget", post(forget)).with_state(fake.clone()),
        injector: fake.injector(),
        credentials: json!(fake.credentials()),
        evidence: Arc::new(fake),
    })
}

async fn forget(State(fake): State<FakeKakao>) -> StatusCode {
    fake.forget();
    StatusCode::NO_CONTENT
}

impl Evidence for FakeKakao {
    fn ledger(&self) -> Value {
        json!(FakeKakao::ledger(self))
    }

    fn reset(&self) {
        FakeKakao::reset(self);
    }
}
