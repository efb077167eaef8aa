//! Being told to end.

use tokio::signal::unix::{SignalKind, signal};

use super::Error;

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn told_to_end() -> Result<(), Error> {
    let failed = |source| Error::Io { what: "signals".to_owned(), source };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::select! {
        biased;
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
