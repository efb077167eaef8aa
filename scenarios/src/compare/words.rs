//! Figures as they are told, in the text and on the page alike.

use std::time::Duration;

/// `12 %`; what is above none is never told as none.
pub(super) fn share(share: f64) -> String {
    match 100.0 * share {
        0.0 => "–".to_owned(),
        percent if percent < 0.95 => format!("{percent:.1} %"),
        percent => format!("{percent:.0} %"),
    }
}

/// `350 ms`, `4.2 s`, `3 min`, `2 h`; `never` without one.
pub(super) fn time(time: Option<Duration>) -> String {
    let Some(time) = time else { return "never".to_owned() };
    let seconds = time.as_secs_f64();
    match seconds {
        0.0 => "0".to_owned(),
        _ if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        _ if seconds < 100.0 => format!("{seconds:.1} s"),
        _ if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_keep_what_matters() {
        assert_eq!([0.0, 0.001, 0.25, 1.0].map(share), ["–", "0.1 %", "25 %", "100 %"]);
        let told = |ms: u64| time(Some(Duration::from_millis(ms)));
        assert_eq!([0, 350, 4200].map(told), ["0", "350 ms", "4.2 s"]);
        assert_eq!([180_000, 10_800_000].map(told), ["3 min", "3.0 h"]);
        assert_eq!(time(None), "never");
    }
}
