//! The hidden subcommands under which this program is its own children.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use oms_core::cli::Rig;

use crate::queue::NoBroker;
use crate::sabotage;
use crate::sign_up;
use crate::strategies::{self, Setup};
use crate::verdict::exit;

/// Runs a child's program, when `args` ask for one.
pub(super) fn embedded(args: &[OsString]) -> Option<ExitCode> {
    let command = args.get(1)?.to_str().filter(|command| command.starts_with("__"))?;
    end_with_the_runner();
    let rest = || std::iter::once(args[1].clone()).chain(args[2..].iter().cloned());
    match command {
        "__fake-cj" => Some(fake_cj::main_with_args(rest())),
        "__fake-kakao" => Some(fake_kakao::main_with_args(rest())),
        "__oms" => Some(oms(&args[2..])),
        _ => None,
    }
}

/// Ends the process when its standard input closes: a runner that was killed closes it too, and
/// leaves nobody behind.
#[expect(clippy::disallowed_methods, reason = "of a real process, beside all that it simulates")]
fn end_with_the_runner() {
    std::thread::spawn(|| {
        // An error is an end too.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(i32::from(exit::INTERRUPTED));
    });
}

/// The service, under a strategy and with a planted bug when the first flags name them.
fn oms(args: &[OsString]) -> ExitCode {
    let (strategy, args) = leading("--strategy", args);
    let (sabotage, args) = leading("--sabotage", args);
    let (form, args) = leading("--sign-up", args);
    let known =
        (strategy.map(strategies::named), sabotage.map(sabotage::named), form.map(sign_up::named));
    let (strategy, sabotage, form) = match known {
        (Some(None), ..) | (_, Some(None), _) | (_, _, Some(None)) => {
            return ExitCode::from(exit::USAGE);
        }
        (strategy, sabotage, form) => (strategy.flatten(), sabotage.flatten(), form.flatten()),
    };
    let seams = sabotage.map_or(sabotage::NO_SEAMS, |sabotage| sabotage.seams);
    let start = strategy.unwrap_or(strategies::recommended()).start;
    let rig = Rig {
        orders: sabotage::orders(sabotage),
        store: sabotage::store(sabotage),
        seams: Arc::new(move |env, config| {
            seams(env, config);
            if let Some(form) = form {
                (form.seams)(env, config);
            }
        }),
        workers: Arc::new(move |env, config| {
            // A real broker is still to come: `live::why_not` lets no plan come here that needs one.
            start(Setup { env, config, queue: Arc::new(NoBroker) })
        }),
    };
    let args = std::iter::once(OsString::from("oms")).chain(args.iter().cloned());
    oms_core::cli::main_rigged(args, rig)
}

/// The value of `flag` where it comes first, and what follows it.
fn leading<'a>(flag: &str, args: &'a [OsString]) -> (Option<&'a str>, &'a [OsString]) {
    match args {
        // What is no text is no name either.
        [first, value, rest @ ..] if first == flag => (Some(value.to_str().unwrap_or("")), rest),
        _ => (None, args),
    }
}
