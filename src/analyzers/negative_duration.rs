//! `negative-duration`: spans that end before they start.

use super::observations::Observations;
use super::{Analyzer, Case, Rule};
use crate::finding::{Evidence, Finding, label, rate};
use crate::report::{RateUnit, Severity};
use crate::store::{Facts, Names, ServiceId};
use crate::trace::TraceView;

static RULE: Rule = Rule {
    name: "negative-duration",
    severity: Severity::Warning,
    summary: "A span ends before it starts.",
    what: "A span whose end time lies before its start time. SDKs that read both times from the wall \
           clock write this when the clock is set back in between.",
    why: "Durations, percentiles and the order of spans around it are wrong; some backends store the \
          duration as a huge positive number.",
    fix: "Stop the clock from being set while the process runs.
Let the time service slew instead of step (chrony: `makestep 1 3`; no manual `date`).
Virtual machines and containers: check that the guest is not resynchronised after a pause.
Check spans whose times are given by hand: are start and end in the same unit and in the right order?",
    example: "
worker  resize image  internal  40..30   // negative-duration (clock-step)
",
};

/// The analyzer.
pub(super) struct NegativeDuration;

impl Analyzer for NegativeDuration {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    fn observe_trace(&self, trace: &TraceView<'_>, seen: &mut Observations) {
        if trace.counts.negative_durations == 0 {
            return;
        }
        for (index, span) in trace.nodes() {
            if span.has(Facts::NEGATIVE) {
                seen.span(RULE.name, 0, trace, index).raise("worst", -span.duration_ns());
            }
        }
    }

    /// One finding a service: the clock is the process's, not the operation's.
    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        let groups = case.grouped_by_service(RULE.name, 0).into_iter();
        let findings = groups.map(|group| {
            let tally = &group.tally;
            let worst_ns = tally.extremes.get("worst").copied().unwrap_or_default();
            let proof = Evidence::EndsBeforeStart { spans: tally.spans, worst_ns };
            let title = format!("{} has spans that end before they start", label(&case.side_of(&group)));
            let mut finding = case.about_service(&RULE, &group, title, proof);
            finding.rate = Some(rate(tally.spans, group.spans, RateUnit::Spans));
            let language = language(case.names, case.names.site(group.sites[0]).service);
            let reads_it_twice = reads_the_clock_twice(language);
            finding.support.push(Evidence::ClockOfSpans { language: language.to_owned(), reads_it_twice });
            finding
        });
        findings.collect()
    }
}

/// `telemetry.sdk.language` of a service; of several the last by name.
fn language(names: &Names, service: ServiceId) -> &str {
    let operations =
        names.operations.iter().filter(|operation| names.site(operation.site).service == service);
    let languages = operations.map(|operation| &*names.resources[operation.resource as usize].sdk_language);
    languages.max().unwrap_or_default()
}

/// Whether an SDK reads start and end of a span from the clock of the host, where that is known. Python
/// (`time_ns` in `opentelemetry.sdk.trace`) and Rust (`SystemTime::now` in `opentelemetry::time`) do.
/// JavaScript (`Span._getTime`, from `performance.now`), Java (`AnchoredClock`) and Go
/// (`monotonicEndTime`) measure the time since the start on a clock that is never set.
fn reads_the_clock_twice(language: &str) -> Option<bool> {
    match language {
        "python" | "rust" => Some(true),
        "nodejs" | "webjs" | "java" | "go" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn zero_durations_are_silent() {
        check("worker  tick  internal  40..40\n");
    }
}
