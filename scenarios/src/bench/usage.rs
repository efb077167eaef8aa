//! What a process has used, as Linux tells it.

use std::time::Duration;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Usage {
    /// CPU time, of all its threads.
    pub(super) cpu: Duration,
    /// The most memory that it ever had, in bytes.
    pub(super) peak: u64,
    /// The memory that it has now, in bytes.
    pub(super) resident: u64,
}

/// The length of the ticks in which CPU time is told: the same on all of Linux.
const TICK: Duration = Duration::from_millis(10);

/// What the process `id` has used; `None` where the system does not tell.
pub(super) fn of(id: u32) -> Option<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    Some(Usage {
        cpu: cpu(&stat)?,
        peak: bytes(&status, "VmHWM:")?,
        resident: bytes(&status, "VmRSS:")?,
    })
}

fn cpu(stat: &str) -> Option<Duration> {
    // The name, in parentheses, may hold anything; what follows is numbers, time in user mode the
    // twelfth of them and in the kernel the thirteenth.
    let (_, numbers) = stat.rsplit_once(')')?;
    let mut numbers = numbers.split_whitespace().skip(11);
    let user: u32 = numbers.next()?.parse().ok()?;
    let kernel: u32 = numbers.next()?.parse().ok()?;
    Some(TICK * user.checked_add(kernel)?)
}

fn bytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_of_a_process_is_read() {
        let stat = "17 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 9 0";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        let status = "Name:\tdrill\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(bytes(status, "VmHWM:"), Some(2 << 20));
        assert_eq!(bytes(status, "VmSwap:"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_memory() {
        let usage = of(std::process::id()).unwrap();
        assert!(usage.resident > 0 && usage.peak >= usage.resident);
    }
}
