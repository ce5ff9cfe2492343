//! Hops that take part in a trace without exporting their span: the callee is an orphan inside a call of
//! the same trace that nothing answers.

use std::collections::BTreeMap;

use super::{Break, Damaged, Explained, Facts, Place};
use crate::causes::{Opinion, hop_not_exported};
use crate::corpus::losses::Loss;
use crate::finding::{Evidence, ProposedParent, rate};
use crate::model::SpanId;
use crate::report::{Confidence, RateUnit, Severity};
use crate::store::{OperationId, SiteId};

/// An orphan and the call around it.
type Pair<'l> = (&'l Loss, SpanId);

/// Finds them.
pub(super) fn breaks(facts: &Facts<'_>, explained: &mut Explained) -> Vec<Break> {
    let mut edges: BTreeMap<(SiteId, SiteId), Vec<Pair<'_>>> = BTreeMap::new();
    for loss in facts.deviations.losses.rows() {
        let Some((exit, operation)) = loss.exit else { continue };
        if explained.has(loss.trace_id, loss.span_id) || is_lost_by_a_service(facts, loss, operation) {
            continue;
        }
        let edge = (facts.names.site_of(operation), facts.names.site_of(loss.operation));
        edges.entry(edge).or_default().push((loss, exit));
    }
    edges.into_iter().map(|(edge, pairs)| found(facts, edge, &pairs)).collect()
}

/// A service that passes requests on under the same path stands between the two as well. It exports spans:
/// the orphan's parent is usually one of its own, and is missing this time.
fn is_lost_by_a_service(facts: &Facts<'_>, loss: &Loss, exit: OperationId) -> bool {
    let caller = facts.names.site(facts.names.site_of(exit)).service;
    let site = facts.names.site_of(loss.operation);
    let mut parents = facts.corpus.parents(site).iter().map(|(parent, _)| facts.names.site(*parent).service);
    let is_known_caller = parents.any(|service| service == caller);
    !is_known_caller && !facts.corpus.parents(site).is_empty()
}

fn found(facts: &Facts<'_>, (exit, entry): (SiteId, SiteId), pairs: &[Pair<'_>]) -> Break {
    let broken = pairs.len() as u64;
    let spans = pairs.iter().map(|(loss, exit)| {
        let (trace_id, span_id, confidence) = (loss.trace_id, *exit, Confidence::High);
        Damaged::of_loss(loss, Some(ProposedParent { trace_id, span_id, confidence }))
    });
    Break {
        rule: "orphan-span",
        from: Some(Place::Site(exit)),
        to: Place::Site(entry),
        confidence: Confidence::Certain,
        severity: Severity::Error,
        cause: Some(Opinion { cause: &hop_not_exported::CAUSE, confidence: Confidence::Certain }),
        other_causes: Vec::new(),
        title: "has a parent that is not in the trace".to_owned(),
        message: "Caller and callee are in one trace, but between them a span is missing that neither of \
                  them made."
            .to_owned(),
        spans: spans.collect(),
        rate: Some(rate(broken, broken + facts.corpus.joined(exit, entry), RateUnit::Calls)),
        proof: Evidence::CallAround { orphans: broken },
        support: Vec::new(),
    }
}
