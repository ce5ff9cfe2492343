//! Requests of callers that are not in the data: entry spans on top of their traces that name a parent,
//! at places where no span ever had one.

use std::collections::BTreeMap;

use super::{Break, Damaged, Explained, Facts, Place};
use crate::causes::{Opinion, external_caller};
use crate::corpus::losses::{Loss, Seen};
use crate::finding::{Evidence, rate};
use crate::model::{SpanId, TraceId};
use crate::report::{Confidence, RateUnit, Severity};
use crate::store::SiteId;

/// Finds them.
pub(super) fn breaks(facts: &Facts<'_>, explained: &mut Explained) -> Vec<Break> {
    let mut places: BTreeMap<SiteId, Vec<&Loss>> = BTreeMap::new();
    let children = children_of_absent(facts);
    for loss in facts.deviations.losses.rows() {
        let site = facts.names.site_of(loss.operation);
        let is_request = loss.seen == Seen::FromRemoteChild
            && loss.is_rootless
            // Every request has a span of its own at its caller; many under one are something else.
            && children.get(&(loss.trace_id, loss.parent_id)) == Some(&1)
            && facts.names.site(site).kind.is_entry()
            && facts.corpus.parents(site).is_empty();
        if is_request && !explained.has(loss.trace_id, loss.span_id) {
            places.entry(site).or_default().push(loss);
        }
    }
    places.into_iter().map(|(site, losses)| found(facts, site, &losses)).collect()
}

/// How many orphans each absent parent has.
fn children_of_absent(facts: &Facts<'_>) -> BTreeMap<(TraceId, Option<SpanId>), u64> {
    let mut children = BTreeMap::new();
    for loss in facts.deviations.losses.rows() {
        *children.entry((loss.trace_id, loss.parent_id)).or_default() += 1;
    }
    children
}

fn found(facts: &Facts<'_>, site: SiteId, losses: &[&Loss]) -> Break {
    let (orphans, spans) = (losses.len() as u64, facts.corpus.profile(site).spans);
    let damaged = losses.iter().map(|loss| Damaged::of_loss(loss, None));
    Break {
        rule: "orphan-span",
        from: None,
        to: Place::Site(site),
        confidence: Confidence::Certain,
        severity: Severity::Info,
        cause: Some(Opinion { cause: &external_caller::CAUSE, confidence: Confidence::High }),
        other_causes: Vec::new(),
        title: "is called by somebody whose spans are not here".to_owned(),
        message: "The trace began before its first span in this data, with a caller that no trace shows. A \
                  caller of your own that is sampled out or never exports would leave the same."
            .to_owned(),
        spans: damaged.collect(),
        rate: Some(rate(orphans, spans, RateUnit::Spans)),
        proof: Evidence::ParentAbsent { orphans, missing_parents: orphans },
        support: vec![Evidence::NeverJoined { spans }],
    }
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn several_requests_of_one_page_are_one_kind_of_caller() {
        check(
            "
shop  GET /products/:id  server  0..40  http=/products/7  parent=first  remote  repeat=5  // orphan-span (external-caller)
shop  GET /cart  server  5..30  http=/cart  parent=second  remote  // orphan-span (external-caller)
",
        );
    }

    #[test]
    fn a_parent_that_is_there_at_times_was_lost() {
        check(
            "
web  GET /  server  0..60  repeat=9
  web  GET  client  5..50  http=/stock/7
    stock  GET /stock/:id  server  10..40  http=/stock/7

stock  GET /stock/:id  server  5010..5040  http=/stock/7  parent=lost  remote  // orphan-span
",
        );
    }

    #[test]
    fn a_parent_in_the_same_process_is_not_outside() {
        check(
            "
shop  job  internal  0..40  parent=lost  local  repeat=5  // orphan-span
",
        );
    }
}
