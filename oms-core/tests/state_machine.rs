//! The order's state machine against its promise: whatever becomes of its parcels and its message,
//! in whatever order, an order walks along legal edges only, and rests booked whole, or not at all,
//! or with the operator.

use oms_core::policy::{NoticeSnapshot, OrderPolicy, OrderSnapshot, ParcelSnapshot};
use oms_core::saga::SoundOrders;
use oms_core::state::{By, NoticeState, OrderState, ParcelState};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// An order as the database would have it.
#[derive(Debug)]
struct Model {
    order: OrderSnapshot,
}

/// What a worker writes of its step; the numbers choose among what is possible.
#[derive(Debug, Clone)]
enum Event {
    Parcel { which: usize, to: usize, too_late: bool },
    Notice { to: usize, gives_up: bool },
    Cancel,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let parcel = (any::<usize>(), any::<usize>(), any::<bool>())
        .prop_map(|(which, to, too_late)| Event::Parcel { which, to, too_late });
    let notice =
        (any::<usize>(), any::<bool>()).prop_map(|(to, gives_up)| Event::Notice { to, gives_up });
    prop::collection::vec(prop_oneof![8 => parcel, 3 => notice, 1 => Just(Event::Cancel)], 0..60)
}

impl Model {
    fn new(parcels: u32) -> Model {
        let parcels = (1..=parcels).map(|number| ParcelSnapshot {
            number,
            state: ParcelState::Planned,
            picked_up: false,
        });
        let order = OrderSnapshot {
            state: OrderState::Accepted,
            parcels: parcels.collect(),
            notices: Vec::new(),
        };
        Model { order }
    }

    fn walk_order(&mut self, to: OrderState, by: By) {
        let from = self.order.state;
        assert!(from.may_become(to, by), "order {from} -> {to}");
        self.order.state = to;
    }

    fn walk_parcel(&mut self, place: usize, to: ParcelState) {
        let from = self.order.parcels[place].state;
        assert!(from.may_become(to, By::Core), "parcel {from} -> {to}");
        self.order.parcels[place].state = to;
    }

    fn walk_notice(&mut self, place: usize, to: NoticeState) {
        let from = self.order.notices[place].state;
        assert!(from.may_become(to, By::Core), "notice {from} -> {to}");
        self.order.notices[place].state = to;
    }

    /// Asks the policy until nothing follows any more, as the store does.
    fn follow(&mut self) {
        for _ in 0..16 {
            let next = SoundOrders.consequence(&self.order);
            if next == oms_core::policy::Consequence::default() {
                return;
            }
            for (number, to) in next.parcels {
                let place = number as usize - 1;
                self.walk_parcel(place, to);
            }
            for event in next.withdraw {
                let place = self
                    .order
                    .notices
                    .iter()
                    .position(|n| n.event == event)
                    .expect("a notice that is there");
                self.walk_notice(place, NoticeState::Withdrawn);
            }
            if let Some(to) = next.becomes {
                self.walk_order(to, By::Core);
            }
            for event in next.notify {
                let born = NoticeSnapshot { event, state: NoticeState::Queued, given_up: false };
                self.order.notices.push(born);
            }
        }
        panic!("the policy comes to no end: {:?}", self.order);
    }

    /// What a worker may find out of a parcel; moves that only the policy makes are not among it.
    fn outcomes(state: ParcelState) -> &'static [ParcelState] {
        use ParcelState::*;
        match state {
            Planned => &[Intended],
            Intended => &[Booked, Refused, Unknown],
            Unknown => &[Booked, Planned, Attention],
            Cancelling => &[Cancelled, Booked, Attention],
            _ => &[],
        }
    }

    fn play(&mut self, event: &Event) {
        match event {
            Event::Parcel { which, to, too_late } => self.play_parcel(*which, *to, *too_late),
            Event::Notice { to, gives_up } => self.play_notice(*to, *gives_up),
            Event::Cancel => {
                if self.order.state.may_become(OrderState::Cancelling, By::Operator) {
                    self.walk_order(OrderState::Cancelling, By::Operator);
                }
            }
        }
        self.follow();
    }

    fn play_parcel(&mut self, which: usize, to: usize, too_late: bool) {
        let place = which % self.order.parcels.len();
        let state = self.order.parcels[place].state;
        // With the operator nothing new is sent.
        let held = self.order.state == OrderState::Attention && state == ParcelState::Planned;
        let outcomes = Model::outcomes(state);
        if outcomes.is_empty() || held {
            return;
        }
        let mut to = outcomes[to % outcomes.len()];
        if state == ParcelState::Cancelling && to == ParcelState::Booked {
            self.order.parcels[place].picked_up = true;
        } else if state == ParcelState::Cancelling && too_late {
            to = ParcelState::Cancelled;
        }
        self.walk_parcel(place, to);
    }

    fn play_notice(&mut self, to: usize, gives_up: bool) {
        use NoticeState::*;
        // An order that is being called back keeps its message.
        if self.order.notices.is_empty() || self.order.state != OrderState::Shipped {
            return;
        }
        let outcomes: &[NoticeState] = match self.order.notices[0].state {
            Queued => &[Sending],
            Sending => &[Sent, Refused, Unknown],
            Unknown if gives_up => {
                self.order.notices[0].given_up = true;
                return;
            }
            Unknown => &[Sent, Queued],
            _ => return,
        };
        self.walk_notice(0, outcomes[to % outcomes.len()]);
    }

    fn booked(&self) -> usize {
        self.order.parcels.iter().filter(|p| p.state == ParcelState::Booked).count()
    }

    fn check(&self) {
        use OrderState::*;
        let under_way = |parcel: &ParcelSnapshot| {
            use ParcelState::*;
            matches!(parcel.state, Intended | Unknown | Cancelling)
        };
        match self.order.state {
            Shipped | Completed | NotifyFailed => {
                assert_eq!(self.booked(), self.order.parcels.len(), "{:?}", self.order);
            }
            DeliveryFailed | Cancelled => {
                assert_eq!(self.booked(), 0, "{:?}", self.order);
                assert!(!self.order.parcels.iter().any(under_way), "{:?}", self.order);
            }
            _ => {}
        }
        if self.order.state == Completed {
            assert!(self.order.notices.iter().all(|n| n.state == NoticeState::Sent));
            assert!(!self.order.notices.is_empty(), "nobody was told");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        // The default looks for a `lib.rs` above this file, and there is none.
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_order_walks_legal_edges_and_rests_whole_or_not_at_all(
        parcels in 1_u32..5,
        events in events(),
    ) {
        let mut model = Model::new(parcels);
        for event in &events {
            model.play(event);
            model.check();
        }
    }

    #[test]
    fn from_anywhere_good_news_brings_an_order_to_rest(parcels in 1_u32..5, events in events()) {
        let mut model = Model::new(parcels);
        for event in &events {
            model.play(event);
        }
        // The first outcome in each list is the good one.
        for which in 0..100 {
            model.play(&Event::Parcel { which, to: 0, too_late: true });
            model.play(&Event::Notice { to: 0, gives_up: false });
            model.check();
        }
        let state = model.order.state;
        prop_assert!(state.is_final() || state == OrderState::Attention, "{:?}", model.order);
    }
}
