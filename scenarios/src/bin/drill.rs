//! `drill`: see `drill --help`.

/// A run makes thousands of small allocations, and an exploration makes thousands of runs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    scenarios::cli::main_with_args(std::env::args_os())
}
