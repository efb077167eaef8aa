//! `drill explore`.

use clap::Args;

use super::Error;

#[derive(Debug, Args)]
pub(super) struct ExploreArgs {}

pub(super) fn explore(_args: ExploreArgs) -> Result<u8, Error> {
    Err(Error::Usage("not there yet".to_owned()))
}
