//! `drill prove`.

use clap::Args;

use super::Error;

#[derive(Debug, Args)]
pub(super) struct ProveArgs {}

pub(super) fn prove(_args: ProveArgs) -> Result<u8, Error> {
    Err(Error::Usage("not there yet".to_owned()))
}
