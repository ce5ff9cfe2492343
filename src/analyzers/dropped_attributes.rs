//! `dropped-attributes`: the limits of the SDK cut spans.

use super::observations::{Observations, Place};
use super::{Analyzer, Case, Rule};
use crate::finding::{Evidence, Finding, rate};
use crate::model::Span;
use crate::report::{CheckNotPossible, RateUnit, Severity};
use crate::store::Facts;
use crate::trace::TraceView;

static RULE: Rule = Rule {
    name: "dropped-attributes",
    severity: Severity::Info,
    summary: "The SDK dropped attributes, events or links.",
    what: "Spans whose dropped counts are not zero: the SDK reached its limit of attributes, events or links a \
           span (128 each by default) and left the rest out.",
    why: "What was left out cannot be searched for, and is often what came last: the error, the result. Dropped \
          links cut the way to the traces behind a batch of messages.",
    fix: "Record less, or raise the limit.
All SDKs: `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, `OTEL_SPAN_EVENT_COUNT_LIMIT` and `OTEL_SPAN_LINK_COUNT_LIMIT` \
(default 128); `OTEL_ATTRIBUTE_COUNT_LIMIT` is for everything that has attributes.
Node.js: `spanLimits` of the tracer provider wins over the variables. Python: `SpanLimits`. Java: \
`SpanLimits.builder()`. Go: `sdktrace.WithRawSpanLimits`.
Attributes that grow with the input (one for each header, row or item) belong into one attribute of an array, an \
event, or a log record.",
    example: "
web  GET /   server    0..50  repeat=3
  web  load everything   internal  5..10   dropped=12   // dropped-attributes
",
};

/// What is dropped, as the variant of a text.
const KINDS: [&str; 3] = ["attributes", "events", "links"];

/// The analyzer.
pub(super) struct DroppedAttributes;

impl Analyzer for DroppedAttributes {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    /// The record only knows that something was dropped.
    fn observe_span(&self, span: &Span<'_>, operation: u32, seen: &mut Observations) {
        let dropped = [span.dropped_attributes, span.dropped_events, span.dropped_links];
        if dropped == [0; 3] {
            return;
        }
        for (variant, count) in (0..).zip(dropped) {
            if count > 0 {
                seen.text(RULE.name, variant, operation, KINDS[variant as usize]);
            }
        }
    }

    fn observe_trace(&self, trace: &TraceView<'_>, seen: &mut Observations) {
        for (index, span) in trace.nodes() {
            if span.has(Facts::DROPPED) {
                seen.span(RULE.name, 0, trace, index);
            }
        }
    }

    fn not_possible(&self, case: &Case<'_>) -> Vec<CheckNotPossible> {
        case.lacking(
            RULE.name,
            |capabilities| !capabilities.dropped_counts,
            "counts of dropped attributes, events and links are not kept",
        )
    }

    /// One finding a service: limits are set for a process.
    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        let groups = case.grouped_by_service(RULE.name, 0).into_iter();
        let findings = groups.map(|group| {
            let is_seen = |variant: u32| {
                let mut places =
                    group.sites.iter().map(|site| Place { rule: RULE.name, site: *site, variant });
                places.any(|place| case.seen.texts(&place).next().is_some())
            };
            let kinds: Vec<&'static str> =
                (0..).zip(KINDS).filter(|(variant, _)| is_seen(*variant)).map(|(_, kind)| kind).collect();
            let proof = Evidence::Dropped { spans: group.tally.spans, kinds: kinds.clone() };
            let name = &case.names.service_of_site(group.sites[0]).name;
            let what = if kinds.is_empty() { "data".to_owned() } else { kinds.join(" and ") };
            let mut finding =
                case.about_service(&RULE, &group, format!("{name} drops {what} of its spans"), proof);
            finding.rate = Some(rate(group.tally.spans, group.spans, RateUnit::Spans));
            finding
        });
        findings.collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn nothing_dropped_is_silent() {
        check(
            "
web  GET /   server    0..50
  web  load everything   internal  5..10   dropped=0
",
        );
    }
}
