//! The proof as a page that is kept.

use super::{BugProof, Median, Power, Proof, Waited, words};

/// What the columns mean.
const HOW_TO_READ: &str = "\
A trial runs generated plans with the bug planted until a promise falls that the clean build keeps
on the same plan, and counts the runs and the CPU time of the thread. `>` marks trials that were cut
short. *Small* is what is left after shrinking, orders + faults, the largest of the trials that were
shrunk. *Again* counts how often a found plan, run again, gave the same bytes and broke the same
promise. All but the CPU times is the same on every machine.
";

impl Proof {
    /// The page: where and when, each bug, each power, the clean build.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# The proof that the net holds\n\n\
             Written by `drill prove`; not by hand.\n\n- {}\n- {}\n- {}\n- {}; {} in all\n",
            words::machine(self),
            words::bugs(self),
            words::clean(self),
            words::intervals(self),
            words::real(self),
        );
        for remark in words::remarks(self) {
            text += &format!("- {remark}\n");
        }
        text += &format!("\n## Planted bugs\n\n{HOW_TO_READ}\n{}", self.bugs_page());
        if !self.powers.is_empty() {
            let runs_max = self.terms.weighed_runs_max;
            text += &format!(
                "\n## What each power is worth\n\n\
                 Median runs in the same trials with one power taken away; each trial without a \
                 power ends after {runs_max} runs.\n\n{}\n",
                self.powers_page()
            );
            for weighed in &self.powers {
                text += &format!("- {}\n", words::worth(weighed, &self.terms));
            }
        }
        text
    }

    fn bugs_page(&self) -> String {
        let mut text = "| Family | Bug | Found | Runs | CPU-seconds | Small | Again | Fell |\n\
                        |---|---|---|---|---|---|---|---|\n"
            .to_owned();
        for bug in &self.bugs {
            let BugProof { family, name, found, trials, replays, .. } = bug;
            let fell: Vec<&str> = bug.fell.keys().copied().collect();
            text += &format!(
                "| {family} | `{name}` | {found} of {trials} | {} | {} | {} | {} of {} | {} |\n",
                words::runs(bug.runs.as_ref()),
                words::cpu_seconds(bug.cpu_micros.as_ref()),
                words::size(bug),
                replays.same,
                replays.of,
                fell.join(", "),
            );
        }
        text
    }

    fn powers_page(&self) -> String {
        let shown = |of: Option<&Median>| words::median(of, |waited: Waited| waited.to_string());
        let heads = Power::ALL.map(|power| format!("no {}", words::head(power))).join(" | ");
        let mut text = format!("| Bug | all powers | {heads} |\n|---|---|---|---|---|---|\n");
        for bug in &self.bugs {
            let without = bug.without.iter().map(|without| shown(without.runs.as_ref()));
            let without: Vec<String> = without.collect();
            text += &format!(
                "| `{}` | {} | {} |\n",
                bug.name,
                shown(bug.runs.as_ref()),
                without.join(" | ")
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use crate::prove::testing;

    #[test]
    fn the_page_names_machine_date_and_seed_and_has_a_row_a_bug() {
        let page = testing::proof().markdown();
        for told in ["2026-11-21, Some Processor @ 2.00GHz, 2 cores", "seed 7", "`outbox-dropped`"]
        {
            assert!(page.contains(told), "no {told} in\n{page}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| ")).collect::<Vec<_>>();
        assert_eq!(rows.len(), 2 + 2 * 3, "heads and bugs:\n{page}");
        let columns = |row: &str| row.matches('|').count();
        let (bugs, powers) = rows.split_at(4);
        assert!(bugs.iter().all(|row| columns(row) == columns(bugs[0])), "{page}");
        assert!(powers.iter().all(|row| columns(row) == columns(powers[0])), "{page}");
    }
}
