//! The `oms` binary, run as a user runs it.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// What a command left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Before a program: the kernel kills it when the thread that started it ends, as a test's does also
/// when it is killed. Linux has it, by util-linux; elsewhere a killed test leaves its services behind.
const HELD: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];

/// Whether programs can be held so.
pub static CAN_HOLD: LazyLock<bool> = LazyLock::new(|| {
    let mut nothing = started_by(&HELD, "true");
    nothing.stdout(Stdio::null()).stderr(Stdio::null());
    nothing.status().is_ok_and(|status| status.success())
});

fn started_by(words: &[&str], program: impl AsRef<OsStr>) -> Command {
    let Some((first, rest)) = words.split_first() else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(rest).arg(program);
    command
}

/// `oms` with these arguments, and nothing of this process's settings. It does not outlive its test.
pub fn command(args: &[&str]) -> Command {
    let held = if *CAN_HOLD { HELD.as_slice() } else { &[] };
    let mut command = started_by(held, env!("CARGO_BIN_EXE_oms"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OMS_") {
            command.env_remove(name);
        }
    }
    command.args(args);
    command
}

pub fn oms(args: &[&str]) -> Ran {
    ran(command(args).output().unwrap())
}

pub fn ran(output: Output) -> Ran {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A line of a file of orders with nothing wrong.
pub fn line(id: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"customer\":{{\"name\":\"홍길동\",\"phone\":\"010-1234-5678\"}},\
         \"address\":{{\"postcode\":\"06236\",\"line1\":\"서울 강남구\"}},\
         \"items\":[{{\"sku\":\"S\",\"name\":\"상품\",\"quantity\":1,\"unit_price\":100}}]}}"
    )
}
