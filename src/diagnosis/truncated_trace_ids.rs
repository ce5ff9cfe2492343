//! Orphans whose parent is in the trace of which theirs is the low half, or the other way round.

use std::collections::BTreeMap;

use super::{Break, Damaged, Explained, Facts, Place};
use crate::causes::{Opinion, trace_id_truncated};
use crate::corpus::foreign_parents::{Change, IdJoin};
use crate::finding::{Evidence, ProposedParent, rate};
use crate::report::{Confidence, RateUnit, Severity};
use crate::store::SiteId;

/// Finds them.
pub(super) fn breaks(facts: &Facts<'_>, explained: &mut Explained) -> Vec<Break> {
    let mut edges: BTreeMap<(SiteId, SiteId), Vec<&IdJoin>> = BTreeMap::new();
    let cut = facts.deviations.id_joins.iter().filter(|join| join.change == Change::Truncated);
    for join in cut.filter(|join| !explained.has(join.orphan.trace_id, join.orphan.span_id)) {
        edges.entry(join.edge(facts.names)).or_default().push(join);
    }
    edges.into_iter().map(|(edge, joins)| found(facts, edge, &joins)).collect()
}

fn found(facts: &Facts<'_>, (parent, orphan): (SiteId, SiteId), joins: &[&IdJoin]) -> Break {
    let broken = joins.len() as u64;
    Break {
        rule: "orphan-span",
        from: Some(Place::Site(parent)),
        to: Place::Site(orphan),
        confidence: Confidence::Certain,
        severity: Severity::Error,
        cause: Some(Opinion { cause: &trace_id_truncated::CAUSE, confidence: Confidence::Certain }),
        other_causes: Vec::new(),
        title: "has its parent under a longer trace id".to_owned(),
        message: "Caller and callee are in two traces, and their ids are one id: whole on one side, its low \
                  64 bits on the other."
            .to_owned(),
        spans: joins.iter().map(|join| damaged(join)).collect(),
        rate: Some(rate(broken, broken + facts.corpus.joined(parent, orphan), RateUnit::Calls)),
        proof: Evidence::ParentInOtherTrace { orphans: broken, is_cut: true },
        support: Vec::new(),
    }
}

/// An orphan with the parent that its id leads to.
pub(super) fn damaged(join: &IdJoin) -> Damaged {
    let parent = ProposedParent {
        trace_id: join.parent.trace_id,
        span_id: join.parent.span_id,
        confidence: Confidence::Certain,
    };
    Damaged::of_loss(&join.orphan, Some(parent))
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn either_side_may_be_cut() {
        check(
            "
web  GET /  server  0..60  trace=0000000000000000a3ce929d0e0e4736
  web  GET  client  5..50  http=/stock/7  id=00f067aa0ba902b7  trace=0000000000000000a3ce929d0e0e4736

stock  GET /stock/:id  server  10..40  http=/stock/7  trace=4bf92f3577b34da6a3ce929d0e0e4736  parent=00f067aa0ba902b7  remote  // orphan-span (trace-id-truncated)
  stock  SELECT  client  20..30  trace=4bf92f3577b34da6a3ce929d0e0e4736
",
        );
    }

    #[test]
    fn what_is_joined_by_ids_is_not_paired_by_times() {
        // The call at the same time belongs to the root.
        check(
            "
web  GET /  server  0..60  trace=4bf92f3577b34da6a3ce929d0e0e4736
  web  GET  client  5..50  http=/stock/7  id=00f067aa0ba902b7  trace=4bf92f3577b34da6a3ce929d0e0e4736

stock  GET /stock/:id  server  10..40  http=/stock/7  trace=0000000000000000a3ce929d0e0e4736  parent=00f067aa0ba902b7  remote  // orphan-span (trace-id-truncated)

web  GET /  server  10000..10060  repeat=6
  web  GET  client  10005..10050  http=/stock/7

stock  GET /stock/:id  server  10010..10040  http=/stock/7  repeat=6  // detached-entry
",
        );
    }
}
