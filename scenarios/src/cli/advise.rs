//! `drill advise`.

use std::io::{BufRead, Write};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Error, Format, print};
use crate::advise::{self, Advice, Question};
use crate::compare::{self, Carrier, Options, Row, Sums, path_of};
use crate::crew::{self, Stop};
use crate::promises;
use crate::report::wrap::wrap;
use crate::strategies::{self, Strategy};
use crate::trial::Trials;
use crate::verdict::exit;

/// So many plans are run under the advised strategy and under the recommended one.
const RUNS: u64 = 100;

/// Where the kept counterexamples stand.
const KEPT: &str = "scenarios/counterexamples";

#[derive(Debug, Args)]
pub(super) struct AdviseArgs {
    /// Must several external effects happen all or none, as a flight and a hotel?
    #[arg(long, value_name = "YES|NO")]
    all_or_nothing: Option<Answer>,
    /// Is the architecture built on events?
    #[arg(long, value_name = "YES|NO")]
    event_driven: Option<Answer>,
    /// Does much have to be done after the commit?
    #[arg(long, value_name = "YES|NO")]
    complex_follow_up: Option<Answer>,
    /// Is losing a message out of the question?
    #[arg(long, value_name = "YES|NO")]
    high_consistency: Option<Answer>,
    /// May infrastructure be added, such as a broker?
    #[arg(long, value_name = "YES|NO")]
    new_infrastructure: Option<Answer>,
    /// What the other side does with a request that it has had already; without it, all kinds
    #[arg(long, value_enum)]
    callee: Option<Callee>,
    /// Asks nothing: a question that its flag does not answer is an error
    #[arg(long)]
    no_prompt: bool,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Answer {
    Yes,
    No,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Callee {
    /// It refuses it, and says that it has it
    Rejects,
    /// It answers as it did the first time
    Replays,
    /// It does it again
    BooksAgain,
}

impl From<Callee> for Carrier {
    fn from(callee: Callee) -> Carrier {
        match callee {
            Callee::Rejects => Carrier::Rejects,
            Callee::Replays => Carrier::Replays,
            Callee::BooksAgain => Carrier::BooksAgain,
        }
    }
}

impl AdviseArgs {
    fn answer(&self, question: Question) -> Option<bool> {
        let answer = match question {
            Question::AllOrNothing => self.all_or_nothing,
            Question::EventDriven => self.event_driven,
            Question::ComplexFollowUp => self.complex_follow_up,
            Question::HighConsistency => self.high_consistency,
            Question::NewInfrastructure => self.new_infrastructure,
        };
        answer.map(|answer| answer == Answer::Yes)
    }

    fn set(&mut self, question: Question, answer: Answer) {
        let place = match question {
            Question::AllOrNothing => &mut self.all_or_nothing,
            Question::EventDriven => &mut self.event_driven,
            Question::ComplexFollowUp => &mut self.complex_follow_up,
            Question::HighConsistency => &mut self.high_consistency,
            Question::NewInfrastructure => &mut self.new_infrastructure,
        };
        *place = Some(answer);
    }
}

pub(super) fn advise(mut args: AdviseArgs) -> Result<u8, Error> {
    let strategy = loop {
        match advise::advise(|question| args.answer(question)) {
            Advice::Use(strategy) => break strategy,
            Advice::Ask(question) if args.no_prompt => {
                let (flag, words) = (question.flag(), question.words());
                return Err(Error::Usage(format!("--{flag} yes|no is needed: {words}")));
            }
            Advice::Ask(question) => {
                let answer = ask(question, &mut std::io::stdin().lock())?;
                args.set(question, answer);
            }
        }
    };
    let rows = measure(strategy)?;
    let carrier = args.callee.map(Carrier::from);
    print(&match args.format {
        Format::Human => human(strategy, &rows, carrier),
        Format::Json => machine(strategy, &rows, carrier),
    })?;
    Ok(exit::HELD)
}

/// Asks until it is answered. The question goes to standard error: the answer of the command alone
/// is its output.
fn ask(question: Question, from: &mut impl BufRead) -> Result<Answer, Error> {
    let failed = |source| Error::Io { what: "standard input".to_owned(), source };
    loop {
        // A terminal that is gone will not answer either.
        let _ = write!(std::io::stderr(), "{} [yes/no] ", question.words());
        let mut line = String::new();
        if from.read_line(&mut line).map_err(failed)? == 0 {
            return Err(Error::Usage(format!("no answer; --{} yes|no gives it", question.flag())));
        }
        match line.trim().to_lowercase().as_str() {
            "y" | "yes" => return Ok(Answer::Yes),
            "n" | "no" => return Ok(Answer::No),
            _ => {}
        }
    }
}

/// The advised strategy and the recommended one, over the same plans.
fn measure(strategy: &'static Strategy) -> Result<Vec<Row>, Error> {
    let mut strategies = vec![strategy];
    if !strategy.is_recommended() {
        strategies.push(strategies::recommended());
    }
    let options = Options { seed: 1, runs: RUNS, jobs: crew::threads(), strategies };
    let compared = compare::compare(&options, &Trials::default(), &Stop::default(), |_, _| {})?;
    Ok(compared.map(|comparison| comparison.rows).unwrap_or_default())
}

fn sums(row: &Row, carrier: Option<Carrier>) -> Sums {
    match carrier {
        Some(carrier) => row.by_carrier.get(&carrier).cloned().unwrap_or_default(),
        None => row.all.clone(),
    }
}

/// The promises that fell, the most often broken first, with their shares.
fn broken(sums: &Sums) -> Vec<(&'static str, f64)> {
    let shares = promises::ALL.iter().map(|promise| (promise.id, sums.share(promise.id)));
    let mut broken: Vec<_> = shares.filter(|(_, share)| *share > 0.0).collect();
    broken.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    broken
}

/// The drill that shows the worst of a strategy.
fn drill(strategy: &Strategy, broken: &[(&'static str, f64)]) -> String {
    let shown = broken.iter().find(|(promise, _)| strategy.breaks.contains(promise));
    match shown {
        Some((promise, _)) => {
            let file = path_of(KEPT.as_ref(), strategy.name, promise);
            format!("cargo drill replay {}", file.display())
        }
        None => format!("cargo drill run --strategy {}", strategy.name),
    }
}

fn human(strategy: &Strategy, rows: &[Row], carrier: Option<Carrier>) -> String {
    let mut text = format!("the tree says: {}\n", strategy.name);
    text += &wrap(strategy.says, 2);
    let under = carrier.map(|carrier| format!(", under {}", carrier.title())).unwrap_or_default();
    for row in rows {
        let sums = sums(row, carrier);
        let broken = broken(&sums);
        text += &format!("\n{} over {} generated plans{under}\n", row.strategy.name, sums.runs);
        if broken.is_empty() {
            text += "  broke nothing\n";
        }
        for (promise, share) in &broken {
            let says = promises::named(promise).map_or("", |promise| promise.says);
            text += &wrap(&format!("broke {promise} in {:.1} % ({says})", 100.0 * share), 2);
        }
        text += &format!("  see it: {}\n", drill(row.strategy, &broken));
    }
    if let Some(carrier) = carrier {
        text += "\nwhat no strategy can do there\n";
        text += &wrap(carrier.beyond_anyone(), 2);
    }
    text.push('\n');
    text + &wrap("all strategies side by side: cargo drill compare; docs/strategies.md", 0)
}

fn machine(strategy: &Strategy, rows: &[Row], carrier: Option<Carrier>) -> String {
    let evidence = rows.iter().map(|row| {
        let sums = sums(row, carrier);
        let broken = broken(&sums);
        let shares: serde_json::Map<_, _> =
            broken.iter().map(|(promise, share)| ((*promise).to_owned(), json!(share))).collect();
        json!({
            "strategy": row.strategy.name,
            "runs": sums.runs,
            "broken_share": shares,
            "drill": drill(row.strategy, &broken),
        })
    });
    let document = json!({
        "schema_version": 1,
        "advice": strategy.name,
        "says": strategy.says,
        "callee": carrier,
        "evidence": evidence.collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_asked_for_until_it_is_one() {
        let mut typed = "perhaps\nYES\n".as_bytes();
        assert_eq!(ask(Question::EventDriven, &mut typed).unwrap(), Answer::Yes);
        let nothing = ask(Question::EventDriven, &mut "".as_bytes()).unwrap_err();
        assert_eq!(nothing.to_string(), "no answer; --event-driven yes|no gives it");
    }
}
