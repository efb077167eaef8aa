//! A counterexample as a plan file, with what happened in a comment on top.

use std::fmt::Write as _;

use super::Shrunk;
use super::story::story;
use crate::evidence::Evidence;
use crate::live;
use crate::promises;
use crate::sim;
use crate::strategies;
use crate::trial::Trials;
use crate::verdict::describe_fault;

/// The comment's lines are at most so long, in characters.
const COLUMNS: usize = 96;

/// The plan file of a counterexample: a comment that says which promise falls, what happened and
/// how to see it again; then the plan, without what is default.
///
/// The plan does not expect the violation: running it fails until the bug is mended, and then it
/// can stand in the catalogue as it is.
///
/// # Errors
/// [`sim::Error`], when the plan cannot be run.
pub fn to_file(shrunk: &Shrunk, trials: &Trials) -> Result<String, sim::Error> {
    let history = trials.record(&shrunk.plan)?;
    let mut plan = shrunk.plan.clone();
    plan.replay_hash = Some(history.hash());
    let told = story(&Evidence::from(history), shrunk.promise);
    let mut comment = Comment::default();
    let says = promises::named(shrunk.promise).map_or("", |promise| promise.says);
    comment.line(&format!("Falls: {} ({says}).", shrunk.promise));
    for violation in shrunk.violations.iter().take(VIOLATIONS_SHOWN) {
        comment.line(&format!("  {violation}"));
    }
    let more = shrunk.violations.len().saturating_sub(VIOLATIONS_SHOWN);
    if more > 0 {
        comment.line(&format!("  and {more} more"));
    }
    comment.line("");
    comment.line("What happened, in time since the start:");
    for line in &told {
        comment.line(&format!("  {line}"));
    }
    comment.line("");
    comment.line("Again:  cargo drill replay FILE");
    for line in run_live(shrunk) {
        comment.line(&line);
    }
    Ok(format!("{}\n{}", comment.0, plan.to_terse_toml()))
}

/// So many violations are quoted.
const VIOLATIONS_SHOWN: usize = 5;

/// Whether the plan can be run with real processes, and if not, why not.
fn run_live(shrunk: &Shrunk) -> Vec<String> {
    let plan = &shrunk.plan;
    let cannot = plan.faults.iter().filter_map(|fault| {
        fault.only_simulated().map(|why| format!("  {}: {why}", describe_fault(fault)))
    });
    let mut cannot: Vec<String> = cannot.collect();
    if plan.world.priorities > 0 {
        cannot.push("  world.priorities: the operating system schedules by itself".to_owned());
    }
    let strategy = strategies::of(plan);
    match (cannot.is_empty(), live::why_not(plan, strategy).is_none()) {
        (true, _) => vec!["Live:   cargo drill run --live FILE".to_owned()],
        (false, true) => {
            let head = "Live:   cargo drill run --live FILE, but without these:";
            std::iter::once(head.to_owned()).chain(cannot).collect()
        }
        (false, false) => {
            let head = "Live:   not possible:";
            std::iter::once(head.to_owned()).chain(cannot).collect()
        }
    }
}

#[derive(Default)]
struct Comment(String);

impl Comment {
    /// A line, broken where it is too long; what follows is indented a little more.
    fn line(&mut self, text: &str) {
        let indent = text.len() - text.trim_start().len();
        let mut line = " ".repeat(indent);
        let mut is_begun = false;
        for word in text.split_whitespace() {
            if is_begun && line.chars().count() + 1 + word.chars().count() > COLUMNS {
                self.push(&line);
                line = " ".repeat(indent + 4);
                is_begun = false;
            }
            if is_begun {
                line.push(' ');
            }
            line.push_str(word);
            is_begun = true;
        }
        self.push(&line);
    }

    fn push(&mut self, line: &str) {
        let line = format!("# {line}");
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_of_a_comment_are_broken_at_words() {
        let mut comment = Comment::default();
        comment.line(&format!("  first {}", "word ".repeat(30)));
        comment.line("");
        let lines: Vec<&str> = comment.0.lines().collect();
        assert!(lines[0].starts_with("#   first word"), "{lines:?}");
        assert!(lines[1].starts_with("#       word"), "{lines:?}");
        assert_eq!(lines.last(), Some(&"#"));
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS + 2), "{lines:?}");
    }
}
