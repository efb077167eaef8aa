//! What the database holds.

use oms_core::state::{By, NoticeState};
use oms_core::store::{MemberView, NoticeView, OrderView, ParcelView, Transition};

use super::Builder;
use crate::history::Step;

impl Builder {
    fn row(&mut self, order: &str) -> &mut OrderView {
        let at = self.history.plan.start;
        let rows = &mut self.history.reads.rows.orders;
        let place = match rows.iter().position(|row| row.id == order) {
            Some(place) => place,
            None => {
                rows.push(OrderView {
                    id: order.to_owned(),
                    state: oms_core::state::OrderState::Received,
                    reason: None,
                    created_at: at,
                    updated_at: at,
                    parcels: Vec::new(),
                    notices: Vec::new(),
                });
                rows.len() - 1
            }
        };
        &mut rows[place]
    }

    pub fn order(mut self, order: &str, state: &str) -> Builder {
        self.row(order).state = state.parse().unwrap();
        self
    }

    /// A sign-up that goes well: confirmed at `ms`, whole, and welcomed.
    pub fn signed_up(mut self, member: &str, ms: u64) -> Builder {
        let at = self.at(ms);
        self.history.reads.rows.members.push(MemberView {
            id: member.to_owned(),
            created_at: Some(at),
            profile: true,
            consents: ["marketing", "privacy", "terms"].map(str::to_owned).to_vec(),
            notices: vec![NoticeView {
                event: "welcome".to_owned(),
                state: NoticeState::Sent,
                msg_key: None,
                report_code: None,
                report_channel: None,
                reason: None,
            }],
        });
        self.drill(ms, Step::SignUpConfirmed { member: member.to_owned() }).message(
            &format!("member:{member}:welcome"),
            "",
            ms + 100,
        )
    }

    /// Changes the row of a member.
    pub fn member(mut self, member: &str, change: impl FnOnce(&mut MemberView)) -> Builder {
        let rows = &mut self.history.reads.rows.members;
        change(rows.iter_mut().find(|row| row.id == member).unwrap());
        self
    }

    pub fn forget_members(mut self) -> Builder {
        self.history.reads.rows.members.clear();
        self.without_messages()
    }

    pub fn lose(mut self, order: &str) -> Builder {
        self.history.reads.rows.orders.retain(|row| row.id != order);
        self
    }

    pub fn parcel(
        mut self,
        order: &str,
        number: u32,
        state: &str,
        invoice: Option<&str>,
    ) -> Builder {
        let view = ParcelView {
            number,
            state: state.parse().unwrap(),
            cust_use_no: invoice.map(|_| format!("{order}-{number}")),
            invoice_no: invoice.map(str::to_owned),
            reason: None,
            unknown_since: None,
        };
        let parcels = &mut self.row(order).parcels;
        match parcels.iter_mut().find(|parcel| parcel.number == number) {
            Some(parcel) => *parcel = view,
            None => parcels.push(view),
        }
        self
    }

    /// Adds planned parcels until there are so many.
    pub fn parcels(self, order: &str, count: u32) -> Builder {
        (2..=count).fold(self, |builder, number| builder.parcel(order, number, "planned", None))
    }

    pub fn reason(mut self, order: &str, reason: &str) -> Builder {
        self.row(order).parcels[0].reason = Some(reason.to_owned());
        self
    }

    pub fn notice(mut self, order: &str, state: &str) -> Builder {
        let view = NoticeView {
            event: "shipped".to_owned(),
            state: state.parse().unwrap(),
            msg_key: None,
            report_code: None,
            report_channel: None,
            reason: None,
        };
        self.row(order).notices = vec![view];
        self
    }

    pub fn step(
        mut self,
        entity: &str,
        key: &str,
        from: Option<&str>,
        to: &str,
        ms: u64,
    ) -> Builder {
        let at = self.at(ms);
        let log = &mut self.history.reads.rows.transitions;
        log.push(Transition {
            id: i64::try_from(log.len()).unwrap() + 1,
            at,
            entity: entity.to_owned(),
            key: key.to_owned(),
            from: from.map(str::to_owned),
            to: to.to_owned(),
            by: By::Core,
        });
        self
    }

    /// Goes on from where `key` stands.
    pub fn walk(self, entity: &str, key: &str, steps: &[(&str, u64)]) -> Builder {
        steps.iter().fold(self, |builder, (to, ms)| {
            let log = builder.history.reads.rows.transitions.iter();
            let last = log.rev().find(|step| step.entity == entity && step.key == key);
            let from = last.map(|step| step.to.clone());
            builder.step(entity, key, from.as_deref(), to, *ms)
        })
    }

    /// Another life from the birth on.
    pub fn rewalk(mut self, entity: &str, key: &str, steps: &[&str]) -> Builder {
        let log = &mut self.history.reads.rows.transitions;
        log.retain(|step| step.entity != entity || step.key != key);
        steps.iter().fold(self, |builder, to| builder.walk(entity, key, &[(to, 500)]))
    }

    pub fn walk_by_operator(self, entity: &str, key: &str, to: &str, ms: u64) -> Builder {
        let mut builder = self.walk(entity, key, &[(to, ms)]);
        builder.history.reads.rows.transitions.last_mut().unwrap().by = By::Operator;
        builder
    }
}
