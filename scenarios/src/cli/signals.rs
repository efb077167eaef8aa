//! Being told to end.

use tokio::signal::unix::{SignalKind, signal};

use super::{Error, runtime};
use crate::crew::Stop;
use crate::verdict::exit;

/// Tells `stop` on Ctrl-C or SIGTERM, for as long as what is handed back is kept. Whoever insists
/// ends the program.
pub(super) fn stop_when_told(stop: &Stop) -> Result<tokio::runtime::Runtime, Error> {
    let (runtime, stop) = (runtime()?, stop.clone());
    runtime.spawn(async move {
        if told_to_end().await.is_ok() {
            stop.now();
        }
        if told_to_end().await.is_ok() {
            std::process::exit(exit::INTERRUPTED.into());
        }
    });
    Ok(runtime)
}

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn told_to_end() -> Result<(), Error> {
    hear()?.await;
    Ok(())
}

/// From now on Ctrl-C and SIGTERM are heard; waits for one of them.
pub(super) fn hear() -> Result<impl Future<Output = ()>, Error> {
    let failed = |source| Error::Io { what: "signals".to_owned(), source };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            biased;
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
