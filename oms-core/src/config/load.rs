//! Settings from a file and from the environment, refused with their place.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::Config;
use super::check::Impossible;

/// What every variable of the service begins with.
const PREFIX: &str = "OMS_";
/// What stands between two levels of a key in a variable's name.
const SEPARATOR: &str = "__";

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("settings file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds what is no setting.
    #[error("{}:{line}:{column}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What is wrong; with a near match where there is one.
        reason: String,
    },
    /// A variable holds what is no setting.
    #[error("{name}: {reason}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong; with a near match where there is one.
        reason: String,
    },
    /// Values that can be read but make no sense; all are listed.
    #[error("{}", sentences(.0))]
    Impossible(Vec<Impossible>),
}

fn sentences(impossible: &[Impossible]) -> String {
    impossible.iter().map(Impossible::to_string).collect::<Vec<_>>().join("; ")
}

/// Defaults, then `file`, then those of `env` that begin with `OMS_` and have a double underscore
/// between levels: `OMS_CARRIER__CALLS__READ_TIMEOUT=7s`. Variables without one are not settings
/// but flags (`OMS_STORE`), or a cluster's (`OMS_PORT_8080_TCP`), and are left alone.
///
/// # Errors
/// [`Error`], with the place of what is wrong.
pub fn load(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Config, Error> {
    let mut config = match file {
        Some(path) => from_file(path)?,
        None => Config::default(),
    };
    let variables: BTreeMap<String, String> =
        env.filter(|(name, _)| name.starts_with(PREFIX) && name.contains(SEPARATOR)).collect();
    for (name, text) in variables {
        config = with_variable(&config, &name, &text)
            .map_err(|reason| Error::Variable { name, reason })?;
    }
    let Config { carrier, messenger, service, .. } = &mut config;
    for url in
        [&mut carrier.calls.url, &mut messenger.calls.url].into_iter().chain(&mut service.otlp)
    {
        super::trim_url(url);
    }
    config.check().map_err(Error::Impossible)?;
    Ok(config)
}

fn from_file(path: &Path) -> Result<Config, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    toml::from_str(text).map_err(|error| {
        let (line, column) = place(text, error.span().unwrap_or_default());
        let reason = with_near_match(error.message());
        Error::File { path: path.to_owned(), line, column, reason }
    })
}

/// Line and column of a span's beginning, both from 1.
fn place(text: &str, span: Range<usize>) -> (usize, usize) {
    let before = text.get(..span.start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// `config` with one setting from the environment. The type of the value that it replaces says how
/// the text is read, so that a number of ten digits can be a business registration number.
fn with_variable(config: &Config, name: &str, text: &str) -> Result<Config, String> {
    // Settings are texts, numbers, lists and tables: TOML can say them all.
    let mut tree = Table::try_from(config).map_err(|error| error.to_string())?;
    let keys: Vec<String> =
        name[PREFIX.len()..].split(SEPARATOR).map(str::to_ascii_lowercase).collect();
    let Some((last, levels)) = keys.split_last() else { return Err("names no key".to_owned()) };
    let mut table = &mut tree;
    for level in levels {
        let known: Vec<String> = table.keys().cloned().collect();
        table = match table.get_mut(level) {
            Some(Value::Table(inner)) => inner,
            Some(_) => return Err(format!("`{level}` has no keys of its own")),
            None => return Err(unknown_key(level, &known)),
        };
    }
    // What is not there is a text that may be absent, or unknown to the settings, which say so.
    let value = match table.get(last) {
        Some(like) => read_as(like, text)?,
        None => Value::String(text.to_owned()),
    };
    table.insert(last.clone(), value);
    Config::deserialize(tree).map_err(|error| with_near_match(error.message()))
}

fn unknown_key(key: &str, known: &[String]) -> String {
    let expected: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
    with_near_match(&format!("unknown field `{key}`, expected one of {}", expected.join(", ")))
}

/// `text` as a value of the type of `like`.
fn read_as(like: &Value, text: &str) -> Result<Value, String> {
    match like {
        Value::String(_) => Ok(Value::String(text.to_owned())),
        Value::Integer(_) => {
            text.parse().map(Value::Integer).map_err(|_| "must be a whole number".to_owned())
        }
        Value::Float(_) => {
            text.parse().map(Value::Float).map_err(|_| "must be a number".to_owned())
        }
        Value::Boolean(_) => {
            text.parse().map(Value::Boolean).map_err(|_| "must be true or false".to_owned())
        }
        Value::Table(_) => Err("names a table, not one setting".to_owned()),
        Value::Array(_) | Value::Datetime(_) => {
            let written = toml::from_str::<Table>(&format!("value = {text}"));
            let mut table = written.map_err(|error| {
                format!("must be as in a settings file, such as [\"x\"]: {}", error.message())
            })?;
            let alone = table.len() == 1;
            table.remove("value").filter(|_| alone).ok_or_else(|| "must be one value".to_owned())
        }
    }
}

/// serde's message about an unknown key or word, with the nearest of those that it expected.
fn with_near_match(message: &str) -> String {
    let message = message.trim_end();
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return message.to_owned();
    }
    // Every second piece between backticks is a name: the unknown one, then the known.
    let mut names = message.split('`').skip(1).step_by(2);
    let near = names.next().and_then(|unknown| near_match(unknown, names));
    match near {
        Some(near) => format!("{message}; is `{near}` meant?"),
        None => message.to_owned(),
    }
}

/// The one of `known` that `word` is most likely a slip for.
pub(crate) fn near_match<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let slips_max = (word.chars().count() / 3).max(1);
    known
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(slips, _)| *slips <= slips_max)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use super::*;

    fn load_text(text: &str) -> Result<Config, Error> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        load(Some(file.path()), std::iter::empty())
    }

    fn load_env(variables: &[(&str, &str)]) -> Result<Config, Error> {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        load(None, variables.iter().map(owned))
    }

    #[test]
    fn without_a_file_the_defaults_hold() {
        assert_eq!(load_env(&[("PATH", "/bin"), ("OMS_STORE", "x")]).unwrap(), Config::default());
    }

    #[test]
    fn debug_shows_no_key() {
        let config = Config::default();
        let shown = format!("{config:?}");
        assert!(shown.contains(&config.messenger.template_code));
        assert!(!shown.contains(&config.messenger.api_key), "{shown}");
        assert!(!shown.contains(&config.messenger.sender_key), "{shown}");
    }

    #[test]
    fn a_file_changes_what_it_names() {
        let text = "\u{feff}[carrier]\nduplicates = \"accept\"\n[carrier.calls]\n\
                    read_timeout = \"7s\"\nurl = \"http://127.0.0.1:9/\"\nattempts = 2\n";
        let config = load_text(text).unwrap();
        assert_eq!(config.carrier.calls.read_timeout, Duration::from_secs(7));
        assert_eq!(config.carrier.calls.url, "http://127.0.0.1:9");
        assert_eq!(config.carrier.calls.attempts, 2);
        assert_eq!(config.messenger, Config::default().messenger);
    }

    #[test]
    fn the_quota_holds_unless_the_file_says_another_or_none() {
        let text = "[carrier.calls]\nurl = \"http://h:1\"\n[messenger.calls]\nattempts = 2\n";
        let (config, known) = (load_text(text).unwrap(), Config::default());
        assert_eq!(config.carrier.calls.windows, known.carrier.calls.windows);
        assert_eq!(config.messenger.calls.windows, known.messenger.calls.windows);
        assert_eq!(
            (config.carrier.calls.windows.len(), config.messenger.calls.windows.len()),
            (2, 1)
        );
        let none = load_text("[carrier.calls]\nwindows = []\n").unwrap();
        assert_eq!(none.carrier.calls.windows, []);
        let other = load_text("[carrier.calls]\nwindows = [{ calls = 5, per = \"1s\" }]\n");
        assert_eq!(other.unwrap().carrier.calls.windows.len(), 1);
    }

    #[track_caller]
    fn refused_file(text: &str, expected_place: (usize, usize), expected_reason: &str) {
        match load_text(text) {
            Err(Error::File { line, column, reason, .. }) => {
                assert_eq!((line, column), expected_place, "{reason}");
                assert!(reason.contains(expected_reason), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_wrong_file_is_refused_with_line_column_and_near_match() {
        refused_file("[carier]\n", (1, 2), "is `carrier` meant?");
        refused_file("[shop]\n  nmae = \"x\"\n", (2, 3), "is `name` meant?");
        refused_file("[carrier]\nduplicates = \"rejct\"", (2, 14), "is `reject` meant?");
        refused_file("[service]\nlease = \"7 parsecs\"", (2, 9), "parsecs");
        refused_file("[service]\nlease = 7", (2, 9), "duration");
        refused_file("[carrier.calls]\nattempts = -1", (2, 12), "-1");
        refused_file("[shop]\nname = \"상점\" x", (2, 13), "");
        let missing = load(Some(Path::new("no-such-file.toml")), std::iter::empty());
        assert!(matches!(missing, Err(Error::Read { .. })));
    }

    #[test]
    fn a_variable_overrides_the_file_by_the_type_of_its_setting() {
        let config = load_env(&[
            ("OMS_CARRIER__CALLS__READ_TIMEOUT", "7s"),
            ("OMS_CARRIER__CALLS__CA_FILE", "/etc/oms/authorities.pem"),
            ("OMS_CARRIER__BIZ_REG_NUM", "9876543210"),
            ("OMS_CARRIER__DUPLICATES", "replay"),
            ("OMS_CARRIER__CALLS__WINDOWS", "[{ calls = 5, per = \"1s\" }]"),
            ("OMS_MESSENGER__CALLS__BREAKER__FAILURE_RATE", "1"),
            ("OMS_SERVICE__BODY_BYTES_MAX", "1000"),
            ("OMS_SERVICE__SHUTDOWN_WITHIN", "9s"),
        ])
        .unwrap();
        assert_eq!(config.carrier.calls.read_timeout, Duration::from_secs(7));
        let authorities = Path::new("/etc/oms/authorities.pem");
        assert_eq!(config.carrier.calls.ca_file.as_deref(), Some(authorities));
        assert_eq!(config.carrier.biz_reg_num, "9876543210");
        assert_eq!(config.carrier.duplicates, super::super::Duplicates::Replay);
        assert_eq!(config.carrier.calls.windows.len(), 1);
        assert_eq!(config.messenger.calls.breaker.failure_rate, 1.0);
        assert_eq!(config.service.body_bytes_max, 1000);
        assert_eq!(config.service.shutdown_within, Duration::from_secs(9));
    }

    #[track_caller]
    fn refused_variable(name: &str, text: &str, expected: &str) {
        let error = load_env(&[(name, text)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name}: ")), "{error}");
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_wrong_variable_is_refused_by_its_name() {
        refused_variable("OMS_CARIER__CALLS__URL", "x", "is `carrier` meant?");
        refused_variable("OMS_CARRIER__CALLS__READ_TIMOUT", "7s", "is `read_timeout` meant?");
        refused_variable("OMS_CARRIER__CALLS__READ_TIMEOUT", "7", "");
        refused_variable("OMS_CARRIER__CALLS__ATTEMPTS", "many", "whole number");
        refused_variable("OMS_CARRIER__CALLS__ATTEMPTS", "-1", "");
        refused_variable("OMS_CARRIER__CALLS", "x", "a table");
        refused_variable("OMS_CARRIER__CUST_ID__X", "x", "no keys of its own");
        refused_variable("OMS_CARRIER__CALLS__WINDOWS", "10/1s", "as in a settings file");
        refused_variable("OMS_CARRIER__DUPLICATES", "accpt", "is `accept` meant?");
    }

    #[test]
    fn impossible_values_are_refused_after_all_sources() {
        let error = load_env(&[("OMS_SERVICE__LEASE", "500ms")]).unwrap_err();
        assert!(error.to_string().starts_with("service.lease"), "{error}");
    }
}
