//! The carrier as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    fake_cj::main_with_args(std::env::args_os())
}
