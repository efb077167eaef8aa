//! What the gateway tells later of the messages that it accepted.

use clockwork::Timestamp;

use super::notices::be_sent;
use super::{Aggregate, Notice, Result};
use crate::policy::OrderPolicy;
use crate::state::{By, NoticeState};
use crate::store::DeliveryReport;

impl Aggregate {
    /// Takes `report` for its notification at `at`; false when it is another message's and must be
    /// kept aside.
    ///
    /// The first report of a message counts, a redelivered one changes nothing. It proves that the
    /// message was sent: an open notification that nobody works on becomes `sent`; one that
    /// somebody works on does when it is settled.
    pub(in crate::store) fn record_report(
        &mut self,
        policy: &dyn OrderPolicy,
        at: usize,
        report: &DeliveryReport,
        now: Timestamp,
    ) -> Result<bool> {
        let notice = &mut self.notices[at];
        if notice.msg_key.as_ref().is_some_and(|known| *known != report.msg_key) {
            return Ok(false);
        }
        if notice.report_code.is_some() {
            return Ok(true);
        }
        note(notice, report);
        if notice.lease.worker.is_none() && may_be_sent(notice.state) {
            be_sent(notice, now);
            notice.come_to_rest();
            if notice.state == NoticeState::Queued {
                self.walk_notice(at, NoticeState::Sending, By::Core)?;
            }
            self.walk_notice(at, NoticeState::Sent, By::Core)?;
            self.follow(policy, now)?;
        }
        Ok(true)
    }

    /// Of a notification that has just become `sent` and has no report: where it is, the reference
    /// under which a report may have come before, and the message's key as far as it is known.
    pub(in crate::store) fn lacks_report(
        &self,
        event: &str,
    ) -> Result<Option<(usize, String, Option<&str>)>> {
        let at = self.notice(event)?;
        let notice = &self.notices[at];
        let lacks = notice.state == NoticeState::Sent && notice.report_code.is_none();
        let reference = || format!("{}:{}", self.order.id, notice.event);
        Ok(lacks.then(|| (at, reference(), notice.msg_key.as_deref())))
    }

    /// The report of [`Aggregate::lacks_report`], which had come before.
    pub(in crate::store) fn take_early_report(&mut self, at: usize, report: &DeliveryReport) {
        note(&mut self.notices[at], report);
    }
}

fn may_be_sent(state: NoticeState) -> bool {
    matches!(state, NoticeState::Queued | NoticeState::Sending | NoticeState::Unknown)
}

fn note(notice: &mut Notice, report: &DeliveryReport) {
    notice.msg_key = Some(report.msg_key.clone());
    notice.report_code = Some(report.code.clone());
    notice.report_channel = Some(report.channel.clone());
    notice.reported_at = report.reported_at;
    notice.changed = true;
}
