//! The binary's `main`, callable from other binaries.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use faults::admin::Evidence;
use faults::fake::{self, Fake, Setup};
use serde_json::{Value, json};

use crate::{Config, FakeKakao, config};

/// The whole `main` of `fake-kakao`; `args` begins with the program's name.
pub fn main_with_args(args: impl Iterator<Item = OsString>) -> ExitCode {
    fake::main("fake-kakao", "The Alimtalk gateway, faked: Bizgo Communication API v1", args, make)
}

fn make(setup: Setup) -> Result<Fake, config::Error> {
    let config = setup.config_text.as_deref().map_or(Ok(Config::default()), Config::from_toml)?;
    let fake = FakeKakao::new(config, setup.clock, setup.entropy);
    Ok(Fake {
        router: fake.router(),
        admin: axum::Router::new(),
        injector: fake.injector(),
        credentials: json!(fake.credentials()),
        evidence: Arc::new(fake),
    })
}

impl Evidence for FakeKakao {
    fn ledger(&self) -> Value {
        json!(FakeKakao::ledger(self))
    }

    fn reset(&self) {
        FakeKakao::reset(self);
    }
}
