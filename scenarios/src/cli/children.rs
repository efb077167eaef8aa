//! The hidden subcommands under which this program is its own children.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oms_core::cli::Rig;
use serde_json::json;

use crate::live::disturbed::{self, Disturbed};
use crate::queue::{NoBroker, Queue};
use crate::sabotage;
use crate::sign_up;
use crate::strategies::{self, Setup};
use crate::verdict::exit;

/// Runs a child's program, when `args` ask for one.
pub(super) fn embedded(args: &[OsString]) -> Option<ExitCode> {
    let command = args.get(1)?.to_str().filter(|command| command.starts_with("__"))?;
    if command == "__nats" {
        return Some(nats(&args[2..]));
    }
    end_with_the_runner(|| {});
    let rest = || std::iter::once(args[1].clone()).chain(args[2..].iter().cloned());
    match command {
        "__fake-cj" => Some(fake_cj::main_with_args(rest())),
        "__fake-kakao" => Some(fake_kakao::main_with_args(rest())),
        "__oms" => Some(oms(&args[2..])),
        _ => None,
    }
}

/// Ends the process when its standard input closes: a runner that was killed closes it too, and
/// leaves nobody behind. `first` is done before.
#[expect(clippy::disallowed_methods, reason = "of a real process, beside all that it simulates")]
fn end_with_the_runner(first: impl FnOnce() + Send + 'static) {
    std::thread::spawn(|| {
        // An error is an end too.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        first();
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
    let way = match std::env::var(disturbed::VARIABLE).ok().map(|way| serde_json::from_str(&way)) {
        Some(Err(_)) => return ExitCode::from(exit::USAGE),
        way => way.and_then(Result::ok),
    };
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
            let queue: Arc<dyn Queue> = match way.clone() {
                Some(way) => Arc::new(Disturbed::new(way, env.clock.clone())),
                None => Arc::new(NoBroker),
            };
            start(Setup { env, config, queue })
        }),
    };
    let args = std::iter::once(OsString::from("oms")).chain(args.iter().cloned());
    oms_core::cli::main_rigged(args, rig)
}

/// `nats-server` and its file of settings. It knows nothing of a runner, so this process holds it:
/// says where it listens once it does, and takes it along when the runner ends.
fn nats(args: &[OsString]) -> ExitCode {
    let [program, config] = args else { return ExitCode::from(exit::USAGE) };
    let mut server = Command::new(program);
    server.arg("--config").arg(config).stdin(Stdio::null()).stdout(Stdio::null());
    let (mut server, log) = match server.stderr(Stdio::piped()).spawn() {
        Ok(mut server) => match server.stderr.take() {
            Some(log) => (server, BufReader::new(log)),
            None => return ExitCode::from(exit::INTERNAL),
        },
        Err(error) => {
            eprintln!("{}: {error}", program.display());
            return ExitCode::from(exit::INTERNAL);
        }
    };
    let pid = i32::try_from(server.id()).unwrap_or_default();
    end_with_the_runner(move || {
        // It may have ended already.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    });
    let mut port = None;
    for line in log.lines().map_while(Result::ok) {
        eprintln!("{line}");
        let listens = line.split_once("Listening for client connections on ");
        let named =
            listens.and_then(|(_, address)| address.rsplit(':').next()?.parse::<u16>().ok());
        port = port.or(named);
        if let Some(port) = port.filter(|_| line.ends_with("Server is ready")) {
            println!("{}", json!({ "port": port, "pid": pid }));
        }
    }
    // Its log ends with it.
    let _ = server.wait();
    ExitCode::SUCCESS
}

/// The value of `flag` where it comes first, and what follows it.
fn leading<'a>(flag: &str, args: &'a [OsString]) -> (Option<&'a str>, &'a [OsString]) {
    match args {
        // What is no text is no name either.
        [first, value, rest @ ..] if first == flag => (Some(value.to_str().unwrap_or("")), rest),
        _ => (None, args),
    }
}
