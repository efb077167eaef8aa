use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(15);
const QUICK: Duration = Duration::from_millis(50);

fn settings() -> config::Breaker {
    config::Breaker {
        window_calls: 4,
        calls_min: 3,
        failure_rate: 0.5,
        slow_call: SECOND * 4,
        slow_rate: 0.75,
        open_for: SECOND * 10,
        probes: 2,
    }
}

fn breaker() -> Breaker {
    Breaker::new(settings(), PATIENCE)
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::EPOCH + SECOND * u32::try_from(seconds).unwrap()
}

fn call(breaker: &mut Breaker, ended: Ended, now: Timestamp) {
    let ticket = breaker.admit(now, None).expect("let through");
    breaker.record(ticket, ended, now);
}

const GOOD: Ended = Ended::Answered { took: QUICK };
const BAD: Ended = Ended::Failed { took: QUICK };
const SLOW: Ended = Ended::Answered { took: Duration::from_secs(4) };

fn call_about(breaker: &mut Breaker, subject: u64, ended: Ended) {
    let ticket = breaker.admit(at(0), Some(subject)).expect("let through");
    breaker.record(ticket, ended, at(0));
}

fn opened() -> Breaker {
    let mut breaker = breaker();
    for _ in 0..3 {
        call(&mut breaker, BAD, at(0));
    }
    breaker
}

#[test]
fn it_opens_at_the_rate_and_not_before_enough_calls_were_seen() {
    let table: &[(&[Ended], Phase)] = &[
        (&[BAD, BAD], Phase::Closed),
        (&[BAD, BAD, BAD], Phase::Open),
        (&[GOOD, GOOD, BAD], Phase::Closed),
        (&[GOOD, GOOD, BAD, BAD], Phase::Open),
        (&[BAD, GOOD, GOOD, GOOD, BAD], Phase::Closed),
        (&[SLOW, SLOW, GOOD], Phase::Closed),
        (&[SLOW, SLOW, SLOW], Phase::Open),
        (&[BAD, BAD, Ended::Silent, Ended::Silent], Phase::Closed),
    ];
    for (calls, expected) in table {
        let mut breaker = breaker();
        for ended in *calls {
            call(&mut breaker, *ended, at(0));
        }
        assert_eq!(breaker.phase(), *expected, "{calls:?}");
    }
}

#[test]
fn one_order_cannot_open_it_however_often_it_fails_and_several_can() {
    let mut breaker = breaker();
    for _ in 0..20 {
        call_about(&mut breaker, 1, BAD);
    }
    assert_eq!(breaker.phase(), Phase::Closed);
    call_about(&mut breaker, 2, GOOD);
    call_about(&mut breaker, 3, GOOD);
    assert_eq!(breaker.phase(), Phase::Closed, "a third failed, and half is needed");
    call_about(&mut breaker, 1, BAD);
    call_about(&mut breaker, 2, BAD);
    assert_eq!(breaker.phase(), Phase::Open, "two orders of three");
}

#[test]
fn an_order_that_got_through_is_well_again() {
    let mut breaker = breaker();
    for subject in [1, 2] {
        call_about(&mut breaker, subject, BAD);
        call_about(&mut breaker, subject, GOOD);
    }
    call_about(&mut breaker, 3, GOOD);
    assert_eq!(breaker.phase(), Phase::Closed);
}

#[test]
fn an_open_one_refuses_until_its_time_and_then_lets_a_few_probes_through() {
    let mut breaker = opened();
    assert_eq!(breaker.admit(at(0), None), Err(SECOND * 10));
    assert_eq!(breaker.wait(at(9), None), Some(SECOND));
    assert_eq!(breaker.wait(at(10), None), None);
    assert_eq!(breaker.phase(), Phase::Open, "looking changes nothing");
    let first = breaker.admit(at(10), None).unwrap();
    assert_eq!(breaker.phase(), Phase::HalfOpen);
    let second = breaker.admit(at(10), None).unwrap();
    assert_eq!(breaker.admit(at(10), None), Err(PROBE_LOOK), "two probes and no more");
    breaker.record(first, GOOD, at(11));
    assert_eq!(breaker.phase(), Phase::HalfOpen, "all probes must succeed");
    assert_eq!(breaker.admit(at(11), None), Err(PROBE_LOOK));
    breaker.record(second, GOOD, at(11));
    assert_eq!(breaker.phase(), Phase::Closed);
}

#[test]
fn a_probe_that_fails_or_is_slow_opens_it_again_for_the_whole_time() {
    for bad in [BAD, SLOW] {
        let mut breaker = opened();
        call(&mut breaker, GOOD, at(10));
        call(&mut breaker, bad, at(12));
        assert_eq!(breaker.phase(), Phase::Open);
        assert_eq!(breaker.wait(at(21), None), Some(SECOND));
    }
}

fn probe_about(breaker: &mut Breaker, subject: u64, ended: Ended, now: Timestamp) -> Option<Vain> {
    let ticket = breaker.admit(now, Some(subject)).expect("let through");
    breaker.record(ticket, ended, now)
}

#[test]
fn an_order_whose_probe_was_in_vain_lets_the_others_go_first() {
    let mut breaker = opened();
    assert_eq!(probe_about(&mut breaker, 1, BAD, at(10)), Some(Vain::Alone));
    assert_eq!(breaker.admit(at(20), Some(1)), Err(SECOND * 10));
    assert_eq!(probe_about(&mut breaker, 2, GOOD, at(20)), None);
    assert_eq!(probe_about(&mut breaker, 1, BAD, at(20)), None, "another's succeeded");
    assert_eq!(breaker.phase(), Phase::HalfOpen);
    probe_about(&mut breaker, 2, GOOD, at(21));
    assert_eq!(breaker.phase(), Phase::Closed);
}

#[test]
fn an_order_alone_keeps_no_way_closed_and_two_do() {
    let mut breaker = opened();
    probe_about(&mut breaker, 1, BAD, at(10));
    assert_eq!(breaker.phase(), Phase::Open);
    assert_eq!(probe_about(&mut breaker, 1, BAD, at(30)), Some(Vain::Alone));
    assert_eq!(breaker.phase(), Phase::HalfOpen, "nothing new");
    assert_eq!(probe_about(&mut breaker, 2, BAD, at(31)), Some(Vain::Too));
    assert_eq!(breaker.phase(), Phase::Open);
    assert_eq!(probe_about(&mut breaker, 1, BAD, at(51)), Some(Vain::Too));
    assert_eq!(breaker.phase(), Phase::Open, "nobody's succeeds");
}

#[test]
fn a_probe_about_no_order_in_particular_opens_it_each_time() {
    let mut breaker = opened();
    for seconds in [10, 20, 30] {
        let ticket = breaker.admit(at(seconds), None).expect("let through");
        assert_eq!(breaker.record(ticket, BAD, at(seconds)), Some(Vain::Too));
        assert_eq!(breaker.phase(), Phase::Open);
    }
}

#[test]
fn an_order_whose_probe_succeeded_is_well_again() {
    let mut breaker = opened();
    probe_about(&mut breaker, 1, BAD, at(10));
    probe_about(&mut breaker, 1, GOOD, at(30));
    assert_eq!(probe_about(&mut breaker, 1, BAD, at(31)), Some(Vain::Alone));
    assert_eq!(breaker.phase(), Phase::Open);
    assert_eq!(breaker.wait(at(41), Some(2)), None);
}

#[test]
fn an_open_one_can_be_held_longer_and_a_closed_one_cannot() {
    let mut breaker = opened();
    breaker.hold(at(25));
    breaker.hold(at(15));
    assert_eq!(breaker.wait(at(20), None), Some(SECOND * 5));
    let mut closed = self::breaker();
    closed.hold(at(25));
    assert_eq!(closed.wait(at(20), None), None);
}

#[test]
fn a_probe_that_says_nothing_makes_room_at_once_and_a_lost_one_in_time() {
    let mut breaker = opened();
    call(&mut breaker, Ended::Silent, at(10));
    let lost = [breaker.admit(at(10), None).unwrap(), breaker.admit(at(10), None).unwrap()];
    assert!(breaker.admit(at(24), None).is_err());
    call(&mut breaker, GOOD, at(25));
    call(&mut breaker, GOOD, at(25));
    assert_eq!(breaker.phase(), Phase::Closed);
    for ticket in lost {
        breaker.record(ticket, BAD, at(26));
    }
    assert_eq!(breaker.phase(), Phase::Closed, "the lost ones came too late to count");
}

#[test]
fn a_call_from_before_the_change_no_longer_counts() {
    let mut breaker = breaker();
    let early = breaker.admit(at(0), None).unwrap();
    for _ in 0..3 {
        call(&mut breaker, BAD, at(0));
    }
    let probe = breaker.admit(at(10), None).unwrap();
    breaker.record(early, BAD, at(10));
    assert_eq!(breaker.phase(), Phase::HalfOpen);
    breaker.record(probe, GOOD, at(10));
    call(&mut breaker, GOOD, at(10));
    assert_eq!(breaker.phase(), Phase::Closed);
}

/// What happens to a breaker.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes.
    Pass(u64),
    /// A call asks to be let through.
    Admit,
    /// One of the calls under way ends.
    End(prop::sample::Index, Ended),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ended =
        prop_oneof![3 => Just(GOOD), 3 => Just(BAD), 1 => Just(SLOW), 1 => Just(Ended::Silent)];
    let end = (any::<prop::sample::Index>(), ended);
    let step = prop_oneof![
        1 => (0..12_u64).prop_map(Step::Pass),
        3 => Just(Step::Admit),
        3 => end.prop_map(|(which, ended)| Step::End(which, ended)),
    ];
    prop::collection::vec(step, 0..200)
}

/// Remembers everything and works out the phase from scratch each time.
#[derive(Default)]
struct Model {
    /// All that was ever admitted: when, in which era, and what became of it.
    calls: Vec<(u64, usize, Option<Ended>)>,
    /// The eras: phase and start. The first is closed.
    eras: Vec<(Phase, u64)>,
    /// All that ended, in order, as indices of `calls`.
    ended: Vec<usize>,
}

impl Model {
    fn era(&self) -> usize {
        self.eras.len()
    }

    fn phase(&self) -> Phase {
        self.eras.last().map_or(Phase::Closed, |era| era.0)
    }

    /// What ended within this era, of calls admitted in it.
    fn results(&self) -> Vec<Ended> {
        let here = self.ended.iter().map(|index| self.calls[*index]);
        here.filter(|call| call.1 == self.era()).filter_map(|call| call.2).collect()
    }

    fn passes(&self, now: u64) -> bool {
        match self.phase() {
            Phase::Closed => true,
            Phase::Open => now >= self.eras.last().map_or(0, |era| era.1) + 10,
            Phase::HalfOpen => {
                let good = self.results().iter().filter(|ended| **ended == GOOD).count();
                let under_way = self.calls.iter().filter(|(began, era, ended)| {
                    *era == self.era() && ended.is_none() && now < began + 15
                });
                good + under_way.count() < 2
            }
        }
    }

    fn admit(&mut self, now: u64) -> bool {
        let passes = self.passes(now);
        if passes && self.phase() == Phase::Open {
            self.eras.push((Phase::HalfOpen, now));
        }
        if passes {
            self.calls.push((now, self.era(), None));
        }
        passes
    }

    /// A lost probe stays lost once another call was let through in its place.
    fn is_lost(&self, index: usize) -> bool {
        let (began, era, _) = self.calls[index];
        let later =
            self.calls[index + 1..].iter().any(|call| call.1 == era && call.0 >= began + 15);
        self.eras.get(era.wrapping_sub(1)).is_some_and(|era| era.0 == Phase::HalfOpen) && later
    }

    fn end(&mut self, index: usize, ended: Ended, now: u64) {
        let lost = self.is_lost(index);
        self.calls[index].2 = Some(ended);
        if self.calls[index].1 != self.era() || lost {
            self.calls[index].1 = usize::MAX;
            return;
        }
        self.ended.push(index);
        let counted: Vec<Ended> =
            self.results().into_iter().filter(|ended| *ended != Ended::Silent).collect();
        match self.phase() {
            Phase::Open => {}
            Phase::Closed => {
                let window = &counted[counted.len().saturating_sub(4)..];
                let of = |kind| window.iter().filter(|ended| **ended == kind).count() * 100;
                let share = |percent: usize| percent * window.len();
                if window.len() >= 3 && (of(BAD) >= share(50) || of(SLOW) >= share(75)) {
                    self.eras.push((Phase::Open, now));
                }
            }
            Phase::HalfOpen if counted.iter().any(|ended| *ended != GOOD) => {
                self.eras.push((Phase::Open, now));
            }
            Phase::HalfOpen if counted.len() >= 2 => self.eras.push((Phase::Closed, now)),
            Phase::HalfOpen => {}
        }
    }
}

proptest! {
    #[test]
    fn it_does_what_a_model_with_a_perfect_memory_does(steps in steps()) {
        let mut breaker = breaker();
        let mut model = Model::default();
        let mut under_way: Vec<(Ticket, usize)> = Vec::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Pass(seconds) => now += seconds,
                Step::Admit => {
                    let ticket = breaker.admit(at(now), None);
                    prop_assert_eq!(ticket.is_ok(), model.admit(now));
                    under_way.extend(ticket.ok().map(|ticket| (ticket, model.calls.len() - 1)));
                }
                Step::End(which, ended) if !under_way.is_empty() => {
                    let (ticket, index) = under_way.remove(which.index(under_way.len()));
                    breaker.record(ticket, ended, at(now));
                    model.end(index, ended, now);
                }
                Step::End(..) => {}
            }
            prop_assert_eq!(breaker.phase(), model.phase());
        }
    }
}
