//! Answers as JSON objects.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// `body` as a `T`, if it is a JSON object. serde would take a list for a struct as well, so that
/// `["S"]` could pass for a success.
pub(crate) fn object<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') {
        return None;
    }
    read(body).ok()
}

/// `body` as a `T`. A parser that is given a text does not look at the bytes of each string again.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Answer {
        code: String,
    }

    #[test]
    fn a_list_passes_for_no_object() {
        let code = |body: &str| object::<Answer>(body.as_bytes()).map(|answer| answer.code);
        assert_eq!(code(" \n{\"code\":\"S\"}"), Some("S".to_owned()));
        for other in ["[\"S\"]", " [\"S\"]", "\"S\"", "", "  ", "{\"code\":\"S\"", "{}"] {
            assert_eq!(code(other), None, "{other}");
        }
    }
}
