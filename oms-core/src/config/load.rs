//! From file and environment.

/// Loading failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {}

/// To be written.
pub fn load() -> Result<super::Config, Error> {
    Ok(super::Config::default())
}
