//! The hidden subcommands under which this program is its own children.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use clockwork::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oms_core::cli::Rig;
use oms_core::store::sqlite::Options;
use serde_json::json;

use crate::live::database;
use crate::live::disturbed::{self, Disturbed};
use crate::queue::{NoBroker, Queue};
use crate::sabotage;
use crate::sign_up;
use crate::skew::{Ahead, Skewed};
use crate::strategies::{self, Setup};
use crate::verdict::exit;

/// Runs a child's program, when `args` ask for one.
pub(super) fn embedded(args: &[OsString]) -> Option<ExitCode> {
    let command = args.get(1)?.to_str().filter(|command| command.starts_with("__"))?;
    match command {
        "__nats" => return Some(nats(&args[2..])),
        "__postgres" => return Some(postgres(&args[2..])),
        _ => {}
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

/// With `__held` before its command the process ends with its standard input, whatever the command: so
/// whoever starts it, a test say, takes it along also when killed. `args` are the command's own then.
pub(super) fn held_by_its_parent(args: &mut Vec<OsString>) {
    if args.get(1).is_some_and(|first| first == "__held") {
        args.remove(1);
        end_with_the_runner(|| {});
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
    let (full, args) = leading("--disk-full", args);
    let (ahead, args) = leading("--clock-skew", args);
    let Ok(ahead) = ahead.map_or(Ok(Vec::new()), serde_json::from_str::<Vec<Ahead>>) else {
        return ExitCode::from(exit::USAGE);
    };
    let Ok(full) = full.map_or(Ok(Vec::new()), serde_json::from_str::<Vec<Span>>) else {
        return ExitCode::from(exit::USAGE);
    };
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
        clock: Arc::new(move |clock| Skewed::over(clock, ahead.clone())),
        orders: sabotage::orders(sabotage),
        store: Arc::new(move |options| {
            sabotage::store(sabotage)(options);
            fill_disk(options, full.clone());
        }),
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

/// A span of time: its begin and its end, which is no part of it.
type Span = (Timestamp, Timestamp);

/// Has the disk of the store full in each of the spans.
fn fill_disk(options: &mut Options, spans: Vec<Span>) {
    if spans.is_empty() {
        return;
    }
    let clock = options.clock.clone();
    options.disk_full = Some(Arc::new(move || {
        let now = clock.now();
        spans.iter().any(|(from, until)| (*from..*until).contains(&now))
    }));
}

/// `nats-server` and its file of settings. It knows nothing of a runner, so this process holds it:
/// says where it listens once it does, and takes it along when the runner ends.
fn nats(args: &[OsString]) -> ExitCode {
    let [program, config] = args else { return ExitCode::from(exit::USAGE) };
    let mut server = Command::new(program);
    server.arg("--config").arg(config);
    let mut port = None;
    hold(server, Signal::SIGKILL, |pid, line| {
        let listens = line.split_once("Listening for client connections on ");
        let named =
            listens.and_then(|(_, address)| address.rsplit(':').next()?.parse::<u16>().ok());
        port = port.or(named);
        let port = port.filter(|_| line.ends_with("Server is ready"))?;
        Some(json!({ "port": port, "pid": pid }))
    })
}

/// PostgreSQL: the folder of its programs, the one of its files, and its port. Its files are made
/// first, if there are none. As `nats-server` it is held by this process.
fn postgres(args: &[OsString]) -> ExitCode {
    let [programs, folder, port] = args else { return ExitCode::from(exit::USAGE) };
    let (programs, folder) = (Path::new(programs), Path::new(folder));
    let data = folder.join("data");
    let owner = database::owner();
    let program = |name: &str| {
        let mut command = Command::new(programs.join(name));
        if let Some(owner) = &owner {
            command.uid(owner.uid.as_raw()).gid(owner.gid.as_raw());
        }
        command.arg("-D").arg(&data).current_dir(&data).env("LC_ALL", "C").stdin(Stdio::null());
        command
    };
    if !data.join("PG_VERSION").exists() {
        let mut initdb = program("initdb");
        let password = folder.join("password");
        initdb.args(["--username=drill", "--auth=scram-sha-256", "--encoding=UTF8"]);
        initdb.args(["--locale=C", "--no-sync", "--pwfile"]).arg(&password);
        match initdb.output() {
            Ok(made) if made.status.success() => {}
            Ok(made) => {
                eprintln!("initdb: {}", String::from_utf8_lossy(&made.stderr).trim_end());
                return ExitCode::from(exit::INTERNAL);
            }
            Err(error) => {
                eprintln!("initdb: {error}");
                return ExitCode::from(exit::INTERNAL);
            }
        }
    }
    let mut server = program("postgres");
    server.arg("-p").arg(port).args(["-h", "127.0.0.1", "-k", ""]);
    hold(server, Signal::SIGQUIT, |pid, line| {
        let ready = line.ends_with("database system is ready to accept connections");
        ready.then(|| json!({ "pid": pid }))
    })
}

/// Runs a server to its end, and takes it along by `last` when the runner ends. Says of it on standard
/// output what `greeting` makes of its log, line by line.
fn hold(
    mut server: Command,
    last: Signal,
    mut greeting: impl FnMut(i32, &str) -> Option<serde_json::Value>,
) -> ExitCode {
    let name = server.get_program().to_owned();
    server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let (mut server, log) = match server.spawn() {
        Ok(mut server) => match server.stderr.take() {
            Some(log) => (server, BufReader::new(log)),
            None => return ExitCode::from(exit::INTERNAL),
        },
        Err(error) => {
            eprintln!("{}: {error}", name.display());
            return ExitCode::from(exit::INTERNAL);
        }
    };
    let pid = i32::try_from(server.id()).unwrap_or_default();
    end_with_the_runner(move || {
        // It may have ended already.
        let _ = kill(Pid::from_raw(pid), last);
    });
    for line in log.lines().map_while(Result::ok) {
        eprintln!("{line}");
        if let Some(said) = greeting(pid, &line) {
            println!("{said}");
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
