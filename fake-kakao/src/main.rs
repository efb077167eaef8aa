//! The binary `fake-kakao`.

use std::process::ExitCode;

fn main() -> ExitCode {
    fake_kakao::main_with_args(std::env::args_os())
}
