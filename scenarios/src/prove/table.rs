//! The proof for people, in 80 columns.

use super::{Median, Power, Proof, Waited, words};
use crate::report::wrap::wrap;

impl Proof {
    /// For people; may change.
    pub fn human(&self) -> String {
        let mut text = self.bugs_table();
        text.push('\n');
        if !self.powers.is_empty() {
            text += &self.powers_table();
            for weighed in &self.powers {
                text += &wrap(&words::worth(weighed, &self.terms), 0);
            }
            text.push('\n');
        }
        for remark in words::remarks(self) {
            text += &wrap(&remark, 0);
        }
        for accusation in &self.clean.accusations {
            text += &wrap(&format!("clean build: {} fell", accusation.promises.join(", ")), 0);
            for says in &accusation.says {
                text += &wrap(says, 2);
            }
        }
        for line in [words::bugs(self), words::clean(self), words::machine(self)] {
            text += &wrap(&line, 0);
        }
        text += &wrap(&format!("{}; {} in all", words::intervals(self), words::real(self)), 0);
        text
    }

    fn bugs_table(&self) -> String {
        let row = |name: &str, found: &str, runs: &str, cpu: &str, small: &str| {
            format!("{name:<38}{found:>6}  {runs:<21}{cpu:>7}{small:>6}\n")
        };
        let mut text = row("planted bug", "found", "runs", "CPU s", "small");
        let mut family = "";
        for bug in &self.bugs {
            if bug.family != family {
                family = &bug.family;
                text += &format!("{family}\n");
            }
            text += &row(
                &format!("  {}", bug.name),
                &format!("{}/{}", bug.found, bug.trials),
                &words::runs(bug.runs.as_ref()),
                &words::median(bug.cpu_micros.as_ref(), words::seconds),
                &words::size(bug),
            );
        }
        text
    }

    fn powers_table(&self) -> String {
        let shown = |of: Option<&Median>| words::median(of, |waited: Waited| waited.to_string());
        let mut text = format!("{:<38}{:>8}", "median runs; -x: without x", "all");
        for power in Power::ALL {
            text += &format!("{:>8}", format!("-{}", words::head(power)));
        }
        text.push('\n');
        for bug in &self.bugs {
            text += &format!("  {:<36}{:>8}", bug.name, shown(bug.runs.as_ref()));
            for without in &bug.without {
                text += &format!("{:>8}", shown(without.runs.as_ref()));
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use crate::prove::testing;
    use crate::report::wrap::{COLUMNS, width};

    #[test]
    fn the_table_is_as_its_snapshot_and_in_80_columns() {
        let table = testing::proof().human();
        let shown = include_str!("snapshots/table.txt");
        assert!(table == shown, "the table is now:\n{table}");
        assert!(table.lines().all(|line| width(line) <= COLUMNS), "{table}");
    }

    #[test]
    fn an_accusation_of_the_clean_build_is_told_with_what_broke() {
        let mut proof = testing::proof();
        proof.clean.accusations.push(testing::accusation());
        let table = proof.human();
        assert!(table.contains("clean build: no-lost-order fell\n  ORD-1 is gone\n"), "{table}");
    }
}
