//! Bodies as JSON.

use serde::Deserialize;

/// `body` as a `T`. A parser that is given a text does not look at the bytes of each string again.
///
/// # Errors
/// As `serde_json` has it.
pub fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(body),
    }
}
