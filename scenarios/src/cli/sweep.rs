//! `drill sweep`.

use clap::Args;

use super::Error;

#[derive(Debug, Args)]
pub(super) struct SweepArgs {}

pub(super) fn sweep(_args: SweepArgs) -> Result<u8, Error> {
    Err(Error::Usage("not there yet".to_owned()))
}
