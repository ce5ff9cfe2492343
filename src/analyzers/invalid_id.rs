//! `invalid-id`: trace, span or parent span ids that are no ids.

use std::collections::BTreeSet;

use super::observations::{Observations, Place};
use super::{Analyzer, Case, Group, Rule};
use crate::finding::{Evidence, Finding, label, rate};
use crate::model::{Span, SpanField};
use crate::report::{RateUnit, Severity};
use crate::store::Facts;
use crate::trace::TraceView;

static RULE: Rule = Rule {
    name: "invalid-id",
    severity: Severity::Warning,
    summary: "A span has a trace id or span id that is no id.",
    what: "A trace id that is not 32 hex digits (or a known shorter spelling of them), a span id that is not \
           16, or one that is all zero or empty. Short hex, base64, `0x` and capital letters are \
           understood and only counted in the coverage.",
    why: "Propagators must ignore invalid ids and start a new trace, so the context ends here; backends \
          reject such spans or file them all under one trace.",
    fix: "Let the SDK make the ids.
Check code that sets trace or span ids by hand, custom id generators, and log-to-trace converters.
When ids come from another system (UUIDs, decimal Datadog ids), convert them to 32 and 16 hex digits.
All-zero ids come from a no-op tracer: check that the SDK is started before the first span.",
    example: "
importer  load row  internal  0..5  trace=row-17   // invalid-id
",
};

/// Texts quoted as evidence.
const EXAMPLES: usize = 3;

/// Which field, as the variant of a place.
const FIELDS: [(SpanField, Facts, &str); 3] = [
    (SpanField::TraceId, Facts::INVALID_TRACE_ID, "trace id"),
    (SpanField::SpanId, Facts::INVALID_SPAN_ID, "span id"),
    (SpanField::ParentSpanId, Facts::INVALID_PARENT_ID, "parent span id"),
];

/// The analyzer.
pub(super) struct InvalidId;

impl Analyzer for InvalidId {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    /// The text stands only in the input; the record has a hash of it.
    fn observe_span(&self, span: &Span<'_>, operation: u32, seen: &mut Observations) {
        for malformed in &span.malformed {
            for (variant, (field, ..)) in (0..).zip(FIELDS) {
                if field == malformed.field {
                    let text: String = malformed.text.chars().take(64).collect();
                    seen.text(RULE.name, variant, operation, &text);
                }
            }
        }
    }

    fn observe_trace(&self, trace: &TraceView<'_>, seen: &mut Observations) {
        for (index, span) in trace.nodes() {
            for (variant, (_, fact, _)) in (0..).zip(FIELDS) {
                if span.has(fact) {
                    seen.span(RULE.name, variant, trace, index);
                }
            }
        }
    }

    /// One finding a service and field.
    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (variant, (_, _, field)) in (0..).zip(FIELDS) {
            for group in case.grouped_by_service(RULE.name, variant) {
                findings.push(finding(case, variant, field, &group));
            }
        }
        findings
    }
}

fn finding(case: &Case<'_>, variant: u32, field: &'static str, group: &Group) -> Finding {
    let texts = group.sites.iter().flat_map(|site| {
        let place = Place { rule: RULE.name, site: *site, variant };
        case.seen.texts(&place).map(str::to_owned).collect::<Vec<_>>()
    });
    let examples: BTreeSet<String> = texts.collect();
    let proof = Evidence::NotAnId {
        field,
        spans: group.tally.spans,
        examples: examples.into_iter().take(EXAMPLES).collect(),
    };
    let to = case.side_of(group);
    let title = format!("{} has a {field} that is no id", label(&to));
    let mut finding = case.about_service(&RULE, group, title, proof);
    finding.to = Some(to);
    finding.rate = Some(rate(group.tally.spans, group.spans, RateUnit::Spans));
    finding
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn short_and_upper_case_hex_is_understood() {
        check(
            "
web  GET /  server    0..50  trace=5A4D4DF4A65AEFAF
web  GET /  server    0..50  trace=a1
",
        );
    }
}
