//! Whose turn it is: the order that a plan leaves open, drawn from the seed by priorities.
//!
//! This is probabilistic concurrency testing (PCT; Burckhardt, Kothari, Musuvathi, Nagarakatte: "A
//! randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010). Each task has
//! a priority, drawn for its name; of the tasks that are ready always the highest runs one step. At
//! depth d there are d-1 change points, drawn among the scheduling points: there the task whose
//! turn it is falls below all others. A bug that needs d such orderings is met with a probability
//! of at least 1/(n·k^(d-1)), for n tasks and k scheduling points.
//!
//! Tasks of all nodes stand in one line, so which worker goes first is drawn too. Which reply
//! overtakes which is drawn the same way: a caller's requests and replies travel as slowly as it
//! ranks low, each way by a rank of its own.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use clockwork::Entropy;
use oms_core::env::TaskId;

/// So many scheduling points at which there is a choice come with each order: a rough estimate for
/// the k of PCT. Runs of two orders on two nodes pass some 180 scheduling points (`drill sweep`
/// counts them), of which those with a choice are a part. Points without a choice are not counted:
/// lowering a task that is alone changes nothing before the next choice, and there it can be
/// lowered as well.
const CHOICES_PER_ORDER: u64 = 40;

/// Something that can take one step when it is its turn.
pub trait Step: Send {
    /// Takes it.
    fn step(&self, context: &mut Context<'_>) -> Poll<()>;
}

/// The line in which the ready tasks of all nodes stand. Clones share it.
#[derive(Clone)]
pub struct Turns {
    shared: Arc<Shared>,
}

struct Shared {
    entropy: Entropy,
    line: Mutex<Line>,
    /// Told when somebody joins the line.
    joined: tokio::sync::Notify,
}

struct Line {
    ready: BTreeMap<TaskId, (Box<dyn Step>, Waker)>,
    /// How often anybody joined.
    joins: u64,
    /// Scheduling points with a choice so far.
    choices: u64,
    /// At which choice whoever goes first falls to which rank.
    changes: BTreeMap<u64, u64>,
    lowered: BTreeMap<TaskId, u64>,
}

/// What is highest goes first: those that were never lowered, then by rank.
type Priority = (bool, u64);

impl Turns {
    /// A line in which priorities change `depth - 1` times while `orders` are worked on.
    pub fn new(entropy: Entropy, depth: u32, orders: u32) -> Turns {
        let entropy = entropy.fork("turns", depth);
        let choices = CHOICES_PER_ORDER * u64::from(orders.max(1));
        let change = |rank: u64| {
            let at = entropy.fork("change", rank).unit() * choices as f64;
            (1 + at as u64, rank)
        };
        let changes = (1..u64::from(depth)).map(change).collect();
        let line = Line {
            ready: BTreeMap::new(),
            joins: 0,
            choices: 0,
            changes,
            lowered: BTreeMap::new(),
        };
        let joined = tokio::sync::Notify::new();
        Turns { shared: Arc::new(Shared { entropy, line: Mutex::new(line), joined }) }
    }

    /// Joins the line: `task` is ready, and is woken by `waker` when it has ended.
    pub fn join(&self, task: TaskId, who: Box<dyn Step>, waker: Waker) {
        let mut line = self.line();
        line.joins += 1;
        line.ready.insert(task, (who, waker));
        drop(line);
        self.shared.joined.notify_one();
    }

    /// How slow the requests (`there`) or replies (`back`) of `task` are under way, from 0 to 1.
    pub fn slowness(&self, task: TaskId, leg: &str) -> f64 {
        if self.line().lowered.contains_key(&task) {
            return 1.0;
        }
        self.shared.entropy.fork(leg, task).unit()
    }

    /// Lets one after the other take its turn, for as long as the simulation lasts.
    pub async fn serve(self) {
        let turns = EmptiedAtTheEnd(self);
        let turns = &turns.0;
        loop {
            turns.shared.joined.notified().await;
            loop {
                turns.let_all_join().await;
                let Some((who, waker)) = turns.next() else { break };
                if who.step(&mut Context::from_waker(&waker)).is_ready() {
                    // So that its task, which only waits in line, ends too.
                    waker.wake();
                }
            }
        }
    }

    /// Goes behind everything that is ready, until nobody joins any more.
    async fn let_all_join(&self) {
        loop {
            let joins = self.line().joins;
            step_aside().await;
            if self.line().joins == joins {
                return;
            }
        }
    }

    fn next(&self) -> Option<(Box<dyn Step>, Waker)> {
        let mut line = self.line();
        if line.ready.len() > 1 {
            line.choices += 1;
            let choices = line.choices;
            if let Some(rank) = line.changes.remove(&choices)
                && let Some(first) = self.first(&line)
            {
                line.lowered.insert(first, rank);
            }
        }
        let first = self.first(&line)?;
        line.ready.remove(&first)
    }

    fn first(&self, line: &Line) -> Option<TaskId> {
        line.ready.keys().copied().max_by_key(|task| self.priority(line, *task))
    }

    fn priority(&self, line: &Line, task: TaskId) -> Priority {
        match line.lowered.get(&task) {
            Some(rank) => (false, *rank),
            None => (true, self.shared.entropy.fork("priority", task).seed()),
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // One thread runs all of a simulation: nobody else can have panicked.
        self.shared.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those in line hold their node, which holds the line: let go, or every run stays in memory.
struct EmptiedAtTheEnd(Turns);

impl Drop for EmptiedAtTheEnd {
    fn drop(&mut self) {
        let ready = std::mem::take(&mut self.0.line().ready);
        drop(ready);
    }
}

/// Lets everything run that is ready now.
async fn step_aside() {
    let mut aside = false;
    poll_fn(move |context| {
        if std::mem::replace(&mut aside, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use oms_core::env::Spawner;

    use super::super::node::{Mark, Node, scheduling_point};
    use super::*;

    /// What is done, in order.
    type Log = Arc<Mutex<Vec<&'static str>>>;

    fn line(seed: u64, depth: u32) -> Turns {
        let turns = Turns::new(Entropy::new(seed), depth, 1);
        serve(&turns);
        turns
    }

    #[expect(clippy::disallowed_methods, reason = "the line belongs to no node")]
    fn serve(turns: &Turns) {
        tokio::spawn(turns.clone().serve());
    }

    fn node(turns: &Turns, marks: &[(u64, Mark)], number: u64) -> Node {
        let marks: BTreeMap<u64, Mark> = marks.iter().copied().collect();
        Node::start(0, &marks, 1 + 1_000 * number, Some(turns.clone()))
    }

    /// A task that says each of `words`, with a scheduling point after each.
    fn says(node: &Node, log: &Log, words: &'static [&'static str]) {
        let log = log.clone();
        let work = async move {
            for word in words {
                log.lock().unwrap().push(word);
                scheduling_point().await;
            }
        };
        node.spawn("says", Box::pin(work));
    }

    #[expect(clippy::disallowed_methods, reason = "the runtime's own clock is what is looked at")]
    async fn settle() {
        // Virtual time passes only when nothing is ready any more: a busy loop would hang here.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn said(log: &Log) -> String {
        log.lock().unwrap().concat()
    }

    /// What is said over many seeds by a task of one node and a task of another.
    async fn over_seeds(seeds: u64, depth: u32) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for seed in 1..=seeds {
            let (turns, log) = (line(seed, depth), Log::default());
            let (one, two) = (node(&turns, &[], 0), node(&turns, &[], 1));
            says(&one, &log, &["a", "b", "c", "d"]);
            says(&two, &log, &["1", "2"]);
            settle().await;
            all.insert(said(&log));
        }
        all
    }

    #[tokio::test(start_paused = true)]
    async fn two_tasks_that_race_come_in_both_orders_and_at_depth_one_in_no_other() {
        let all: Vec<String> = over_seeds(50, 1).await.into_iter().collect();
        assert_eq!(all, ["12abcd", "abcd12"]);
    }

    /// How often it is the other's turn, in the order in which it was most often.
    async fn switches_max(depth: u32) -> usize {
        let is_digit = |byte: &u8| byte.is_ascii_digit();
        let switches = |said: &String| {
            let turns = said.as_bytes().windows(2);
            turns.filter(|two| is_digit(&two[0]) != is_digit(&two[1])).count()
        };
        over_seeds(3_000, depth).await.iter().map(switches).max().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn each_preemption_more_needs_one_depth_more() {
        assert_eq!(switches_max(1).await, 1);
        assert_eq!(switches_max(2).await, 2);
        assert_eq!(switches_max(3).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_seed_gives_the_same_order() {
        assert_eq!(over_seeds(1, 3).await, over_seeds(1, 3).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_dies_in_line_holds_nobody_up() {
        for seed in 1..=20 {
            let (turns, log) = (line(seed, 2), Log::default());
            let dying = node(&turns, &[(2, Mark::Crash)], 0);
            let living = node(&turns, &[], 1);
            says(&dying, &log, &["a", "b", "c"]);
            says(&dying, &log, &["x", "y", "z"]);
            says(&living, &log, &["1", "2", "3"]);
            settle().await;
            assert!(!dying.is_alive());
            assert_eq!(dying.points(), 2, "points count what ran, not who stood in line");
            let said = said(&log);
            let living: String = said.chars().filter(char::is_ascii_digit).collect();
            assert_eq!(living, "123", "{said}");
            assert_eq!(said.len(), 4, "one step of the dead: {said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_stands_still_goes_on_where_it_was() {
        for seed in 1..=20 {
            let (turns, log) = (line(seed, 1), Log::default());
            let still = node(&turns, &[(2, Mark::Stall(Duration::from_secs(9)))], 0);
            let moving = node(&turns, &[], 1);
            says(&still, &log, &["a", "b", "c"]);
            says(&moving, &log, &["1", "2", "3"]);
            settle().await;
            let before = said(&log);
            assert_eq!(before.replace(['1', '2', '3'], ""), "a", "{before}");
            assert_eq!(before.replace('a', ""), "123", "{before}");
            still.wake();
            settle().await;
            assert_eq!(said(&log).replace(['1', '2', '3'], ""), "abc");
        }
    }

    #[test]
    fn a_caller_that_was_lowered_is_the_slowest_and_others_differ_each_way() {
        let turns = Turns::new(Entropy::new(1), 1, 1);
        assert_ne!(turns.slowness(1, "there"), turns.slowness(1, "back"));
        assert_ne!(turns.slowness(1, "there"), turns.slowness(2, "there"));
        assert!((0.0..1.0).contains(&turns.slowness(1, "there")));
        turns.line().lowered.insert(1, 1);
        assert_eq!(turns.slowness(1, "there"), 1.0);
        assert_eq!(turns.slowness(1, "back"), 1.0);
    }
}
