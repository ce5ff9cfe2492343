//! Spans that were started and never made active: leaf spans that enclose the siblings which should be
//! their children.

use std::collections::{BTreeMap, BTreeSet};

use super::{Break, Damaged, Explained, Facts, Place};
use crate::causes::{Opinion, span_not_activated};
use crate::corpus::requests::EnclosedSpan;
use crate::corpus::statistics::{LN_IMPROBABLE, ln_at_least};
use crate::finding::{Evidence, ProposedParent, rate};
use crate::model::{SpanId, TraceId};
use crate::report::{Confidence, RateUnit, Severity};
use crate::store::SiteId;

/// Leaf spans whose siblings are their children elsewhere: fewer may be single incidents.
const LEAVES_NEEDED: usize = 3;

/// Of spans that run beside each other, one begins and ends together with the others, to within a tenth
/// of its duration, in one case of ten.
const TOGETHER_BY_CHANCE: f64 = 0.1;

/// Finds them.
pub(super) fn breaks(facts: &Facts<'_>, _explained: &mut Explained) -> Vec<Break> {
    let mut sites: BTreeMap<SiteId, Vec<&EnclosedSpan>> = BTreeMap::new();
    for span in facts.deviations.requests.enclosed() {
        sites.entry(span.leaf_site).or_default().push(span);
    }
    let parents: BTreeSet<SiteId> =
        facts.corpus.joined_pairs().into_iter().map(|(parent, _, _)| parent).collect();
    let mut found = Vec::new();
    for (site, spans) in sites {
        let twins: Vec<&EnclosedSpan> =
            spans.iter().copied().filter(|span| span.are_children_elsewhere).collect();
        if is_active_elsewhere(facts, site, &twins) {
            found.push(break_at(facts, site, &twins, Confidence::High));
        } else if !parents.contains(&site) && is_wrapper(facts, site) {
            found.push(break_at(facts, site, &spans, Confidence::Medium));
        }
    }
    found
}

fn leaves(spans: &[&EnclosedSpan]) -> usize {
    spans.iter().map(|span| (span.trace_id, span.leaf)).collect::<BTreeSet<(TraceId, SpanId)>>().len()
}

/// Most leaf spans of the site enclose what elsewhere is below them.
fn is_active_elsewhere(facts: &Facts<'_>, site: SiteId, twins: &[&EnclosedSpan]) -> bool {
    let leaves = leaves(twins);
    leaves >= LEAVES_NEEDED && leaves as u64 * 2 >= facts.corpus.composition.enclosing(site).leaves
}

/// Spans of the site never have children, and begin and end with what they enclose.
fn is_wrapper(facts: &Facts<'_>, site: SiteId) -> bool {
    let counts = facts.corpus.composition.enclosing(site);
    counts.wrapping * 10 >= counts.leaves * 9
        && ln_at_least(counts.wrapping, counts.leaves, TOGETHER_BY_CHANCE) < LN_IMPROBABLE
        && !is_instrumentation(&facts.names.site(site).scope)
}

/// Instrumentation libraries make such spans by design: the handler spans of Express last until the
/// response is finished, and what the handler starts is beside them.
/// <https://github.com/open-telemetry/opentelemetry-js-contrib/tree/main/packages/instrumentation-express>
fn is_instrumentation(scope: &str) -> bool {
    const PREFIXES: [&str; 5] = [
        "@opentelemetry/instrumentation-",
        "opentelemetry.instrumentation.",
        "io.opentelemetry.",
        "go.opentelemetry.io/contrib/instrumentation/",
        "OpenTelemetry.Instrumentation.",
    ];
    PREFIXES.iter().any(|prefix| scope.starts_with(prefix))
}

fn break_at(facts: &Facts<'_>, site: SiteId, spans: &[&EnclosedSpan], confidence: Confidence) -> Break {
    let damaged = spans.iter().map(|span| Damaged {
        trace_id: span.trace_id,
        span_id: span.span_id,
        operation: span.operation,
        start_ns: span.start_ns,
        source: span.source,
        parent: Some(ProposedParent { trace_id: span.trace_id, span_id: span.parent, confidence }),
    });
    let leaves = leaves(spans) as u64;
    Break {
        rule: "inactive-span",
        from: None,
        to: Place::Site(site),
        confidence,
        severity: Severity::Warning,
        cause: Some(Opinion { cause: &span_not_activated::CAUSE, confidence }),
        other_causes: Vec::new(),
        title: "has no children, and encloses its later siblings".to_owned(),
        message: "The span is started and ended around the work, but is not active while it is done: the \
                  spans of the work are beside it instead of below it."
            .to_owned(),
        spans: damaged.collect(),
        rate: Some(rate(leaves, facts.corpus.profile(site).spans, RateUnit::Spans)),
        proof: Evidence::EnclosesSiblings {
            leaves,
            siblings: spans.iter().filter(|span| span.parent == span.leaf).count() as u64,
            are_children_elsewhere: spans.iter().any(|span| span.are_children_elsewhere),
        },
        support: Vec::new(),
    }
}
