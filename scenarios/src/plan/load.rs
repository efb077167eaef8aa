//! Plans from TOML, with the place of whatever is wrong.

use std::fmt;
use std::path::Path;

use toml::de::DeTable;

use super::{Plan, Problem};

/// A plan that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("plan `{file}` cannot be read")]
    Read {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of another type.
    #[error("{place}: {message}{}", meant(.near))]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong.
        message: String,
        /// The known name that is nearest to the unknown one.
        near: Option<String>,
    },
    /// Values that mean nothing; all of them.
    #[error("{}", lines(.0))]
    Invalid(Vec<(Place, Problem)>),
}

/// Where in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name as it was given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

fn meant(near: &Option<String>) -> String {
    near.as_ref().map(|near| format!("; is `{near}` meant?")).unwrap_or_default()
}

fn lines(problems: &[(Place, Problem)]) -> String {
    let lines = problems.iter().map(|(place, problem)| format!("{place}: {problem}"));
    lines.collect::<Vec<_>>().join("\n")
}

impl Plan {
    /// A plan from a file.
    ///
    /// # Errors
    /// [`Error`], with file, line and column.
    pub fn load(file: &Path) -> Result<Plan, Error> {
        let name = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => Plan::parse_named(&name, &text),
            Err(source) => Err(Error::Read { file: name, source }),
        }
    }

    /// A plan from text.
    ///
    /// # Errors
    /// As [`Plan::load`].
    pub fn parse(text: &str) -> Result<Plan, Error> {
        Plan::parse_named("plan", text)
    }

    /// A plan from text that came from `file`.
    ///
    /// # Errors
    /// As [`Plan::load`].
    pub fn parse_named(file: &str, text: &str) -> Result<Plan, Error> {
        let plan: Plan = toml::from_str(text).map_err(|error| syntax(file, text, &error))?;
        let problems = plan.problems();
        if problems.is_empty() {
            return Ok(plan);
        }
        let placed = problems.into_iter().map(|problem| {
            let offset = offset_of(text, &problem.field);
            (place(file, text, offset), problem)
        });
        Err(Error::Invalid(placed.collect()))
    }
}

fn syntax(file: &str, text: &str, error: &toml::de::Error) -> Error {
    let offset = error.span().map_or(0, |span| span.start);
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    let near = near_match(&message);
    // The list of all names that would have been known is of little help beside the nearest.
    let message = message.split(", expected one of").next().unwrap_or_default().to_owned();
    Error::Syntax { place: place(file, text, offset), message, near }
}

/// The name that serde expects and that is nearest to the one it does not know.
fn near_match(message: &str) -> Option<String> {
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next().filter(|_| message.starts_with("unknown "))?;
    near(unknown, names).map(str::to_owned)
}

/// The one of `known` that `unknown` is most probably a slip of.
pub(crate) fn near<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = known.into_iter().map(|name| (strsim::jaro_winkler(unknown, name), name));
    let best = alike.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 > 0.75).then_some(best.1)
}

fn place(file: &str, text: &str, offset: usize) -> Place {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before.rsplit('\n').next().unwrap_or_default();
    Place {
        file: file.to_owned(),
        line: 1 + before.matches('\n').count(),
        column: 1 + line.chars().count(),
    }
}

/// Where the value at `field` (`fault[1].on`) begins, or the nearest thing around it.
fn offset_of(text: &str, field: &str) -> usize {
    let Ok(document) = DeTable::parse(text) else { return 0 };
    let mut steps = field.split(['.', '[', ']']).filter(|step| !step.is_empty());
    let Some(first) = steps.next() else { return 0 };
    let Some(mut value) = document.get_ref().get(first) else { return 0 };
    for step in steps {
        let inner = match step.parse::<usize>() {
            Ok(index) => value.get_ref().get(index),
            Err(_) => value.get_ref().get(step),
        };
        match inner {
            Some(inner) => value = inner,
            None => break,
        }
    }
    value.span().start
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "version = 1\nname = \"p\"\nwhy = \"Because.\"\n[expect]\ncompleted = 20\n";

    #[track_caller]
    fn refused(text: &str) -> String {
        Plan::parse_named("p.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn a_short_plan_has_the_defaults() {
        let plan = Plan::parse(GOOD).unwrap();
        assert_eq!(plan, Plan { why: "Because.".to_owned(), ..Plan::healthy("p", 20) });
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_a_near_match() {
        assert_eq!(
            refused(&format!("{GOOD}[workload]\n  ordres = 3\n")),
            "p.toml:7:3: unknown field `ordres`; is `orders` meant?"
        );
        assert_eq!(
            refused(&format!("{GOOD}[oms.carrier.calls]\nconnect_timout = \"3s\"\n")),
            "p.toml:7:1: unknown field `connect_timout`; is `connect_timeout` meant?"
        );
        assert_eq!(
            refused(&format!("{GOOD}[[fault]]\nkind = \"reset-aftr\"\n")),
            "p.toml:7:8: unknown variant `reset-aftr`; is `reset-after` meant?"
        );
        assert_eq!(
            refused(&format!("{GOOD}[carrier]\nzzzzzz = 3\n")),
            "p.toml:7:1: unknown field `zzzzzz`"
        );
    }

    #[test]
    fn a_wrong_value_and_broken_toml_are_refused_with_their_place() {
        let duration = refused(&format!("{GOOD}[world]\npatience = \"long\"\n"));
        assert!(duration.starts_with("p.toml:7:12: "), "{duration}");
        let kind = refused(&format!("{GOOD}[world]\nnodes = \"two\"\n"));
        assert!(kind.starts_with("p.toml:7:9: invalid type: string"), "{kind}");
        let start = refused(&format!("start = \"soon\"\n{GOOD}"));
        assert!(start.starts_with("p.toml:1:9: `soon` is no RFC 3339 date"), "{start}");
        let broken = refused("version = 1\nname = \n");
        assert!(broken.starts_with("p.toml:2:"), "{broken}");
        let missing = refused("version = 1\nname = \"p\"\n");
        assert_eq!(missing, "p.toml:1:1: missing field `why`");
    }

    #[test]
    fn what_the_types_cannot_refuse_is_placed_too_and_all_of_it_is_told() {
        let text = format!(
            "{GOOD}must_reach = [\"fenced\", \"unknown-to-bookd\"]\n\
             [[fault]]\nkind = \"reset-after\"\non = \"cartier\"\n"
        );
        let rate = format!("{GOOD}[[fault]]\nkind = \"empty\"\non = \"carrier\"\nrate = 7.0\n");
        assert_eq!(
            refused(&rate),
            "p.toml:9:8: fault[0].rate: `empty`: `rate` must be from 0 to 1"
        );
        assert_eq!(
            refused(&text),
            "p.toml:6:25: expect.must_reach[1]: no state `unknown-to-bookd` can be reached; \
             is `unknown-to-booked` meant?\n\
             p.toml:9:6: fault[0].on: must be `carrier` or `messenger`"
        );
    }

    #[test]
    fn columns_count_characters_and_not_bytes() {
        let text = format!("workload = {{ prefix = \"배송\", ordrs = 2 }}\n{GOOD}");
        let error = refused(&text);
        assert_eq!(error, "p.toml:1:29: unknown field `ordrs`; is `orders` meant?");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Plan::load(Path::new("no/such.toml")).unwrap_err();
        assert_eq!(error.to_string(), "plan `no/such.toml` cannot be read");
    }
}
