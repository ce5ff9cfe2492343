//! `missing-service-name`: spans whose resource does not say which service they are from.

use super::observations::Observations;
use super::{Analyzer, Case, Rule};
use crate::finding::{Evidence, Finding, label, rate, side};
use crate::report::{RateUnit, Severity};
use crate::trace::TraceView;

static RULE: Rule = Rule {
    name: "missing-service-name",
    severity: Severity::Warning,
    summary: "Spans do not say which service they are from.",
    what: "Spans without `service.name`, or with one of the placeholders that SDKs and backends put there \
           (`unknown_service:node`, `missing-service-name`, `OTLPResourceNoServiceName`, …).",
    why: "Several services fall together under one name, so nothing can be said about the edges between \
          them, and nobody knows whom to ask.",
    fix: "Give every process a service name.
Set `OTEL_SERVICE_NAME=checkout` in its environment, or `service.name` in the resource of the SDK.
Check that the variable reaches the process (container, systemd unit, `npm run` wrapper).
When the SDK is set up in code, make sure its resource is merged with the detected one, not replaced by it.",
    example: "
unknown_service:node  GET /  server  0..50   // missing-service-name
",
};

/// The analyzer.
pub(super) struct MissingServiceName;

impl Analyzer for MissingServiceName {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    fn observe_trace(&self, trace: &TraceView<'_>, seen: &mut Observations) {
        for (index, span) in trace.nodes() {
            if trace.names.resource_of(span.operation).is_unnamed() {
                seen.span(RULE.name, 0, trace, index);
            }
        }
    }

    /// One finding a placeholder, however many operations stand behind it.
    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        let by_service = |site| case.names.site(site).service;
        let places: Vec<_> = case.seen.of(RULE.name).collect();
        for group in places.chunk_by(|one, other| by_service(one.0.site) == by_service(other.0.site)) {
            let mut all = group[0].1.clone();
            for (_, tally) in &group[1..] {
                all.merge(tally);
            }
            let mut to = side(case.names, group[0].0.site);
            (to.operation, to.kind) = (None, None);
            let mark = to.service.clone().unwrap_or_default();
            let proof = Evidence::ServiceMark { mark, spans: all.spans };
            let title = format!("{} stands where a service name should", label(&to));
            let spans = group.iter().map(|(place, _)| case.corpus.profile(place.site).spans).sum();
            let mut finding = Finding::at_site(&RULE, case.names, group[0].0.site, &all, title, proof);
            (finding.to, finding.scope) = (Some(to), None);
            finding.rate = Some(rate(all.spans, spans, RateUnit::Spans));
            findings.push(finding);
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn a_named_service_is_silent() {
        check("unknown_services_of_ours  GET /  server  0..50\n");
    }
}
