//! A process that can be killed or put to sleep between any two steps.
//!
//! Every task of a node is polled through [`Gate`]. Each poll is a scheduling point: the node may
//! die there, and then all its futures are dropped at once, in the order in which they were
//! started. What it sent stays sent, for requests under way belong to the network.
//!
//! Without [`Turns`] a task that is ready runs when tokio polls it, in the order in which tasks
//! became ready. With them it joins the line instead, and runs when it is its turn.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use clockwork::BoxFuture;
use oms_core::env::{Spawner, TaskId, scoped};

use super::turns::{self, Turns};

/// One incarnation of a node.
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Told when the node dies or falls asleep.
    fate: tokio::sync::Notify,
    /// Names tasks in the history, unique over all incarnations of the node.
    first_task: TaskId,
    turns: Option<Turns>,
}

#[derive(Default)]
struct State {
    dead: bool,
    asleep: bool,
    /// Scheduling points passed, over all incarnations.
    points: u64,
    /// What happens at which point.
    marks: BTreeMap<u64, Mark>,
    /// It fell asleep at a mark, and nobody has taken note yet.
    fell_asleep: Option<Duration>,
    started: TaskId,
    tasks: BTreeMap<TaskId, Slot>,
    waiting: Vec<Waker>,
}

/// What happens to a node at a scheduling point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It dies.
    Crash,
    /// It stands still for so long.
    Stall(Duration),
}

/// Where a task's future rests between polls. `None` while it is polled, ended, or dropped.
type Slot = Arc<Mutex<Option<BoxFuture<'static, ()>>>>;

impl Node {
    /// A node that has passed `points` in earlier incarnations, and to which those of `marks`
    /// happen that are still to come.
    pub fn start(
        points: u64,
        marks: &BTreeMap<u64, Mark>,
        first_task: TaskId,
        turns: Option<Turns>,
    ) -> Node {
        let marks = marks.range(points + 1..).map(|(point, mark)| (*point, *mark)).collect();
        let state = State { points, marks, ..State::default() };
        let fate = tokio::sync::Notify::new();
        let state = Mutex::new(state);
        Node { shared: Arc::new(Shared { state, fate, first_task, turns }) }
    }

    /// Scheduling points passed so far, over all incarnations.
    pub fn points(&self) -> u64 {
        self.state().points
    }

    /// The name that the next task would get.
    pub fn next_task(&self) -> TaskId {
        self.shared.first_task + self.state().started
    }

    /// Whether it runs.
    pub fn is_alive(&self) -> bool {
        !self.state().dead
    }

    /// Waits until it is dead (`None`), or stands still at a mark for so long.
    pub async fn fate(&self) -> Option<Duration> {
        loop {
            if !self.is_alive() {
                return None;
            }
            if let Some(length) = self.state().fell_asleep.take() {
                return Some(length);
            }
            self.shared.fate.notified().await;
        }
    }

    /// Drops every future of the node, now.
    pub fn kill(&self) {
        let slots = {
            let mut state = self.state();
            if state.dead {
                return;
            }
            state.dead = true;
            for waker in state.waiting.drain(..) {
                waker.wake();
            }
            std::mem::take(&mut state.tasks)
        };
        for slot in slots.into_values() {
            // Outside of every lock: what is dropped may wake its siblings.
            let future = lock(&slot).take();
            drop(future);
        }
        self.shared.fate.notify_one();
    }

    /// Polls nothing until [`Node::wake`], as a stopped process.
    pub fn sleep(&self) {
        self.state().asleep = true;
    }

    /// Goes on.
    pub fn wake(&self) {
        let mut state = self.state();
        state.asleep = false;
        for waker in state.waiting.drain(..) {
            waker.wake();
        }
    }

    /// Nothing happens at its scheduling points any more.
    pub fn heal(&self) {
        self.state().marks.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// Counts a scheduling point and says what happens at it.
    fn pass(&self, waker: &Waker) -> Pass {
        let mut state = self.state();
        if state.dead {
            return Pass::Dead;
        }
        if state.asleep {
            state.waiting.push(waker.clone());
            return Pass::Asleep;
        }
        state.points += 1;
        let point = state.points;
        match state.marks.remove(&point) {
            None => Pass::On,
            Some(Mark::Crash) => Pass::Dies,
            Some(Mark::Stall(length)) => {
                state.asleep = true;
                state.fell_asleep = Some(length);
                state.waiting.push(waker.clone());
                self.shared.fate.notify_one();
                Pass::Asleep
            }
        }
    }
}

enum Pass {
    On,
    Asleep,
    Dies,
    Dead,
}

/// The simulation is single-threaded, so a lock is never poisoned by another thread; a panic of
/// this one ends the run.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Spawner for Node {
    #[expect(clippy::disallowed_methods, reason = "this is the spawner")]
    fn spawn(&self, _name: &'static str, work: BoxFuture<'static, ()>) {
        let (task, slot) = {
            let mut state = self.state();
            if state.dead {
                return;
            }
            let task = self.shared.first_task + state.started;
            state.started += 1;
            let slot: Slot = Arc::new(Mutex::new(Some(Box::pin(scoped(task, work)))));
            state.tasks.insert(task, slot.clone());
            (task, slot)
        };
        tokio::spawn(Gate { node: self.clone(), task, slot });
    }
}

/// The way by which every poll of a node's task goes.
#[derive(Clone)]
struct Gate {
    node: Node,
    task: TaskId,
    slot: Slot,
}

impl Future for Gate {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(turns) = &self.node.shared.turns else { return self.step(context) };
        if lock(&self.slot).is_none() {
            return Poll::Ready(());
        }
        turns.join(self.task, Box::new(self.clone()), context.waker().clone());
        Poll::Pending
    }
}

impl Gate {
    /// One scheduling point, and what the task does then.
    fn step(&self, context: &mut Context<'_>) -> Poll<()> {
        match self.node.pass(context.waker()) {
            Pass::On => {}
            Pass::Asleep => return Poll::Pending,
            Pass::Dead => return Poll::Ready(()),
            Pass::Dies => {
                self.node.kill();
                return Poll::Ready(());
            }
        }
        let Some(mut future) = lock(&self.slot).take() else { return Poll::Ready(()) };
        let polled = future.as_mut().poll(context);
        if !self.node.is_alive() {
            return Poll::Ready(());
        }
        match polled {
            Poll::Pending => *lock(&self.slot) = Some(future),
            Poll::Ready(()) => {
                self.node.state().tasks.remove(&self.task);
            }
        }
        polled
    }
}

impl turns::Step for Gate {
    fn step(&self, context: &mut Context<'_>) -> Poll<()> {
        Gate::step(self, context)
    }
}

/// Gives the node a chance to die here, and other tasks one to run.
pub fn scheduling_point() -> BoxFuture<'static, ()> {
    let mut passed = false;
    Box::pin(std::future::poll_fn(move |context| {
        if std::mem::replace(&mut passed, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn crashes(points: &[u64]) -> BTreeMap<u64, Mark> {
        points.iter().map(|point| (*point, Mark::Crash)).collect()
    }

    fn counting(node: &Node) -> Arc<AtomicU64> {
        let steps = Arc::new(AtomicU64::new(0));
        let counted = steps.clone();
        let work = async move {
            for _ in 0..10 {
                counted.fetch_add(1, Ordering::Relaxed);
                scheduling_point().await;
            }
        };
        node.spawn("counting", Box::pin(work));
        steps
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_dies_at_exactly_the_named_point_with_all_its_tasks() {
        let node = Node::start(0, &crashes(&[4]), 1, None);
        let steps = counting(&node);
        assert_eq!(node.fate().await, None);
        assert_eq!(steps.load(Ordering::Relaxed), 3);
        assert_eq!(Arc::strong_count(&steps), 1, "its futures are dropped");
        assert_eq!(node.points(), 4);
        let second = Node::start(node.points(), &crashes(&[4, 6]), node.next_task(), None);
        let steps = counting(&second);
        assert_eq!(second.fate().await, None);
        assert_eq!(steps.load(Ordering::Relaxed), 1, "points go on over incarnations");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleeping_node_does_nothing_until_it_wakes() {
        let node = Node::start(0, &crashes(&[]), 1, None);
        let steps = counting(&node);
        node.sleep();
        for _ in 0..50 {
            scheduling_point().await;
        }
        assert_eq!(steps.load(Ordering::Relaxed), 0);
        node.wake();
        for _ in 0..50 {
            scheduling_point().await;
        }
        assert_eq!(steps.load(Ordering::Relaxed), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_kills_its_own_node_is_dropped_too() {
        let node = Node::start(0, &crashes(&[]), 1, None);
        let steps = counting(&node);
        let killer = node.clone();
        node.spawn("killer", Box::pin(async move { killer.kill() }));
        assert_eq!(node.fate().await, None);
        for _ in 0..20 {
            scheduling_point().await;
        }
        assert_eq!(Arc::strong_count(&steps), 1);
        assert!(!node.is_alive());
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_stands_still_at_exactly_the_named_point_and_goes_on_there() {
        let length = Duration::from_secs(40);
        let marks = BTreeMap::from([(4, Mark::Stall(length))]);
        let node = Node::start(0, &marks, 1, None);
        let steps = counting(&node);
        assert_eq!(node.fate().await, Some(length));
        assert_eq!(steps.load(Ordering::Relaxed), 3);
        node.wake();
        for _ in 0..50 {
            scheduling_point().await;
        }
        assert_eq!(steps.load(Ordering::Relaxed), 10);
    }
}
