//! Where and when a proof was made, and what it cost.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::{crew, runner};

/// Where and when a proof was made. Names neither the machine nor a folder on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// The processor's model, or its architecture where that is all that is known.
    pub processor: String,
    /// How many of its cores there are to use.
    pub cores: usize,
    /// The date in Seoul, `2026-11-21`.
    pub date: String,
    /// The version of this program.
    pub version: &'static str,
    /// `release`, or `debug`, which is many times slower.
    pub build: &'static str,
}

impl Machine {
    /// This one, today.
    pub fn here() -> Machine {
        // Linux has the file. Elsewhere, and where it names no model, the architecture must do.
        let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = model(&told).unwrap_or(std::env::consts::ARCH).to_owned();
        Machine {
            processor,
            cores: crew::threads().get(),
            date: dashed(&runner::now().seoul_date()),
            version: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
        }
    }
}

/// `20261121` as `2026-11-21`.
fn dashed(date: &str) -> String {
    match (date.get(..4), date.get(4..6), date.get(6..)) {
        (Some(year), Some(month), Some(day)) => format!("{year}-{month}-{day}"),
        _ => date.to_owned(),
    }
}

/// The processor's model, as Linux tells it.
fn model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, model)| model.trim()).filter(|model| !model.is_empty())
}

/// The CPU time that the calling thread has used since it began; a simulation runs in the thread
/// that calls it. Zero where the system does not tell.
pub(super) fn cpu_of_this_thread() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_told_by_its_model() {
        let told = "processor\t: 0\nmodel name\t: Some Processor @ 2.00GHz\nflags\t: fpu\n";
        assert_eq!(model(told), Some("Some Processor @ 2.00GHz"));
        assert_eq!(model("processor\t: 0\nmodel name\t:\n"), None);
        let here = Machine::here();
        assert!(!here.processor.is_empty() && here.date.len() == 10, "{here:?}");
        assert_eq!(dashed("20261121"), "2026-11-21");
    }

    #[test]
    fn cpu_time_grows_with_work() {
        let before = cpu_of_this_thread();
        let mut sum = 0_u64;
        while cpu_of_this_thread() <= before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_of_this_thread() > before);
    }
}
