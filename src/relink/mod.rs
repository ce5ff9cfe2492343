//! Where spans belong by the diagnosis: the proposed parents of all findings, and traces put together
//! with them.

pub(crate) mod joined;
pub(crate) mod spans;
pub(crate) mod writer;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{Finding, ProposedParent};
use crate::formats::whole::WholeSpan;
use crate::model::{Attribute, Link, SpanId, TraceId, Value};
use crate::report;

/// Value of the attribute `tracemend.link` of a link that was added.
const LINK: &str = "proposed-parent";

/// A proposed parent, and the finding that proposes it.
#[derive(Clone, Copy)]
pub(crate) struct Proposal<'f> {
    pub(crate) parent: ProposedParent,
    pub(crate) finding: &'f Finding,
}

impl Proposal<'_> {
    /// The parent as it stands in a report.
    pub(crate) fn parent(&self) -> report::ProposedParent {
        in_report(&self.parent)
    }
}

/// A proposed parent as it stands in a report.
pub(crate) fn in_report(parent: &ProposedParent) -> report::ProposedParent {
    report::ProposedParent {
        trace_id: parent.trace_id.to_string(),
        span_id: parent.span_id.to_string(),
        confidence: parent.confidence,
    }
}

/// The proposed parents of all findings, one for each span.
#[derive(Default)]
pub(crate) struct Proposals<'f> {
    by_child: BTreeMap<(TraceId, SpanId), Proposal<'f>>,
    /// Traces with spans that belong below a trace, by that trace; its own spans are left out.
    below: BTreeMap<TraceId, BTreeSet<TraceId>>,
}

impl<'f> Proposals<'f> {
    /// Of several proposals for one span the surest counts; of equally sure ones that of the first finding.
    pub(crate) fn of(findings: &'f [Finding]) -> Self {
        let mut proposals = Self::default();
        for finding in findings {
            for (child, parent) in &finding.proposed_parents {
                let proposal = Proposal { parent: *parent, finding };
                let known = proposals.by_child.get(child);
                if known.is_none_or(|known| known.parent.confidence < parent.confidence) {
                    proposals.by_child.insert(*child, proposal);
                }
            }
        }
        for ((trace_id, _), proposal) in &proposals.by_child {
            let above = proposal.parent.trace_id;
            if above != *trace_id {
                proposals.below.entry(above).or_default().insert(*trace_id);
            }
        }
        proposals
    }

    /// Where a span belongs.
    pub(crate) fn of_span(&self, trace_id: TraceId, span_id: SpanId) -> Option<&Proposal<'f>> {
        self.by_child.get(&(trace_id, span_id))
    }

    /// The traces that are connected with a trace by a proposal, either way.
    fn neighbours(&self, trace_id: TraceId) -> BTreeSet<TraceId> {
        let of_trace = self.by_child.range((trace_id, SpanId(0))..=(trace_id, SpanId(u64::MAX)));
        let above = of_trace.map(|(_, proposal)| proposal.parent.trace_id);
        let below = self.below.get(&trace_id).into_iter().flatten().copied();
        above.chain(below).filter(|other| *other != trace_id).collect()
    }

    /// Every trace in which a finding is seen, and every trace that has a proposed parent.
    pub(crate) fn traces(&self, findings: &[Finding]) -> BTreeSet<TraceId> {
        let seen = findings.iter().flat_map(|finding| &finding.occurrences).map(|span| span.trace_id);
        let proposed =
            self.by_child.iter().flat_map(|((child, _), proposal)| [*child, proposal.parent.trace_id]);
        seen.chain(proposed).collect()
    }

    /// Adds a link to the proposed parent of a span, if it has one. Says whether it did.
    pub(crate) fn add_link(&self, whole: &mut WholeSpan) -> bool {
        let span = &mut whole.span;
        let Some(proposal) = self.of_span(span.trace_id, span.span_id) else { return false };
        let attribute = |key: &'static str, text: String| Attribute {
            key: Cow::Borrowed(key),
            value: Value::String(Cow::Owned(text)),
        };
        let mut attributes = vec![
            attribute("tracemend.link", LINK.to_owned()),
            attribute("tracemend.confidence", proposal.parent.confidence.as_str().to_owned()),
            attribute("tracemend.finding", proposal.finding.fingerprint()),
        ];
        let cause = proposal.finding.cause.as_ref();
        attributes.extend(cause.map(|opinion| attribute("tracemend.cause", opinion.cause.id.to_owned())));
        span.links.push(Link {
            trace_id: proposal.parent.trace_id,
            span_id: proposal.parent.span_id,
            trace_state: None,
            attributes,
            dropped_attributes: 0,
            flags: None,
        });
        true
    }
}
