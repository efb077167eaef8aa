//! The service and its operator's commands; see [`oms_core::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    oms_core::cli::main_with_args(std::env::args_os())
}
