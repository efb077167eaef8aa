//! A bench for people, in 80 columns.

use super::{Line, Report};
use crate::report::wrap::wrap;
use crate::verdict::Verdict;

pub(super) fn human(report: &Report) -> String {
    let (store, limit) = match report.store {
        "sqlite" => ("SQLite, synchronous=FULL", "bare loop"),
        _ => ("PostgreSQL", "pgbench"),
    };
    let says = format!(
        "{store}: {} orders, {} commits each, uncapped fakes; medians of {}",
        report.orders, report.commits, report.rounds
    );
    let mut text = wrap(&says, 0);
    text.push('\n');
    let single = if report.store == "sqlite" { "1 by 1" } else { "" };
    text += &format!(
        "{:>9}{:>10}{:>10}{limit:>10}{:>7}{single:>8}{:>8}{:>9}{:>8}\n",
        "in flight", "finished", "orders/s", "ratio", "CPU ms", "peak MB", "KB each"
    );
    for line in &report.lines {
        text += &row(line);
    }
    text.push('\n');
    for line in report.lines.iter().filter(|line| line.verdict != Verdict::Held) {
        let says = format!("{} in flight: {}", line.in_flight, line.verdict);
        text += &wrap(&says, 0);
        for reason in &line.reasons {
            text += &wrap(reason, 2);
        }
    }
    let machine = &report.machine;
    let says = format!(
        "{} cores of {}; {}; drill {}, {} build. Orders are worked on by one process; CPU and \
         memory are its own.",
        machine.cores, machine.processor, machine.date, machine.version, machine.build
    );
    text + &wrap(&says, 0)
}

fn row(line: &Line) -> String {
    let rounded = |figure: Option<f64>| figure.map_or("-".to_owned(), |it| format!("{it:.0}"));
    let single = match line.one_by_one_per_second {
        Some(single) => format!("{single:.0}"),
        None => String::new(),
    };
    let cpu = line.cpu_ms_per_order.map_or("-".to_owned(), |cpu| format!("{cpu:.2}"));
    let peak = line.peak_bytes.map(|bytes| bytes as f64 / 1e6);
    format!(
        "{:>9}{:>10}{:>10.0}{:>10.0}{:>7.2}{single:>8}{cpu:>8}{:>9}{:>8}\n",
        line.in_flight,
        line.finished,
        line.orders_per_second,
        line.limit_per_second,
        line.ratio,
        rounded(peak),
        rounded(line.bytes_per_order.map(|bytes| bytes / 1e3)),
    )
}
