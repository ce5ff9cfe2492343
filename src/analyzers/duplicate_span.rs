//! `duplicate-span`: one span that is there more than once.

use super::observations::Observations;
use super::{Analyzer, Case, Rule};
use crate::finding::{Evidence, Finding, rate};
use crate::report::{CheckNotPossible, RateUnit, Severity};
use crate::trace::{CopyKind, TraceView};

static RULE: Rule = Rule {
    name: "duplicate-span",
    severity: Severity::Warning,
    summary: "The same span is there more than once.",
    what: "Records with the same trace id and span id that are the same span: equal in everything, or \
           differing only in what a pipeline adds on the way. Client and server spans that share an id \
           (Zipkin, B3) are no duplicates, nor are files that were given twice.",
    why: "Counts, rates and costs are too high, and backends that keep one copy keep a random one.",
    fix: "Export every span once.
All spans of a service twice: look for two span processors or exporters, or two pipelines of the Collector \
that end in one backend.
Some spans, in bursts: the exporter retried after a timeout although the backend had stored the batch; \
raise its timeout (`OTEL_EXPORTER_OTLP_TIMEOUT`) or lower the batch size.",
    example: "
web  GET /   server    0..50
  web  SELECT  client    5..10  id=a
  web  SELECT  client    5..10  id=a   // duplicate-span
",
};

/// The analyzer.
pub(super) struct DuplicateSpan;

impl Analyzer for DuplicateSpan {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    fn observe_trace(&self, trace: &TraceView<'_>, seen: &mut Observations) {
        if trace.counts.extra_copies == 0 {
            return;
        }
        let mut last = None;
        for key in trace.keys.iter().filter(|key| key.end - key.start > 1) {
            for index in key.range() {
                if !trace.in_scope(index) || !is_extra_copy(trace, index) {
                    continue;
                }
                let is_new = last != Some(key.start);
                last = Some(key.start);
                let tally = seen.span(RULE.name, 0, trace, index);
                tally.add("ids", u64::from(is_new));
                tally.add("differ", u64::from(trace.copies[index] == CopyKind::Different));
            }
        }
    }

    fn not_possible(&self, case: &Case<'_>) -> Vec<CheckNotPossible> {
        case.lacking(
            RULE.name,
            |capabilities| !capabilities.duplicates_visible,
            "the backend may have removed copies before the export",
        )
    }

    /// One finding a service: copies are made behind it, not in its code.
    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        let groups = case.grouped_by_service(RULE.name, 0).into_iter();
        let findings = groups.map(|group| {
            let tally = &group.tally;
            let service = case.names.site(group.sites[0]).service;
            let spans = case.names.sites_of(service).map(|site| case.corpus.profile(site).spans).sum();
            let ids = tally.count("ids");
            let proof = Evidence::Copies { ids, extra: tally.spans, spans };
            let name = case.names.service_of_site(group.sites[0]).name.to_string();
            let title = format!("{name} has spans that are there more than once");
            let mut finding = case.about_service(&RULE, &group, title, proof);
            finding.rate = Some(rate(ids, spans, RateUnit::Spans));
            if tally.count("differ") > 0 {
                finding.support.push(Evidence::CopiesDiffer { ids: tally.count("differ") });
            }
            finding.decides = Some(
                "Are all spans of the service doubled (two pipelines), or only some, in bursts (retries)?"
                    .to_owned(),
            );
            finding
        });
        findings.collect()
    }
}

/// A copy of a span that is there already: equal, or one that differs in what a pipeline adds or
/// in a later state of the same span. Anything else is a collision of ids.
fn is_extra_copy(trace: &TraceView<'_>, index: usize) -> bool {
    match trace.copies[index] {
        CopyKind::Equal => true,
        CopyKind::Different => is_version_of_head(trace, index),
        CopyKind::First | CopyKind::SharedServer | CopyKind::Repeated => false,
    }
}

/// Whether a record with another content is the same span all the same: same service, name, kind,
/// parent and start as the first record of its id.
pub(super) fn is_version_of_head(trace: &TraceView<'_>, index: usize) -> bool {
    let key = trace.key(index);
    let is_version = |head: usize| {
        let (one, other) = (&trace.spans[head], &trace.spans[index]);
        let names = trace.names;
        names.site_of(one.operation) == names.site_of(other.operation)
            && names.name_of(one.operation) == names.name_of(other.operation)
            && one.start_ns() == other.start_ns()
            && one.parent_id() == other.parent_id()
    };
    is_version(key.head as usize) || key.server.is_some_and(|server| is_version(server as usize))
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn a_shared_client_and_server_pair_is_no_duplicate() {
        check(
            "
web  GET stock  client  0..50  id=a
  stock  GET /stock  server  5..40  id=a  parent=none  shared
",
        );
    }

    #[test]
    fn an_unfinished_and_a_finished_version_are_one_span() {
        check(
            "
web  GET /   server    0..50
  web  SELECT  client    5..6   id=a
  web  SELECT  client    5..10  id=a   // duplicate-span
",
        );
    }
}
