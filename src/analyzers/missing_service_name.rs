//! `missing-service-name`: spans whose resource does not say which service they are from.

use super::observations::Observations;
use super::{Analyzer, Case, Rule};
use crate::finding::{Evidence, Finding, rate};
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
        let groups = case.grouped_by_service(RULE.name, 0).into_iter();
        let findings = groups.map(|group| {
            let tally = &group.tally;
            let mark = case.names.service_of_site(group.sites[0]).name.to_string();
            let title = if mark.is_empty() {
                "spans have no service name".to_owned()
            } else {
                format!("`{mark}` stands where a service name should")
            };
            let proof = Evidence::ServiceMark { mark, spans: tally.spans };
            let mut finding = case.about_service(&RULE, &group, title, proof);
            finding.rate = Some(rate(tally.spans, group.spans, RateUnit::Spans));
            finding
        });
        findings.collect()
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
