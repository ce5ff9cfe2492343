//! `parent-cycle`: spans that are, over one or more steps, their own parents.

use super::observations::Observations;
use super::{Analyzer, Case, Rule, span_id_collision};
use crate::causes::{self, Opinion};
use crate::finding::{Evidence, Finding, label, rate};
use crate::report::{Confidence, RateUnit, Severity};
use crate::trace::{Parent, TraceView};

static RULE: Rule = Rule {
    name: "parent-cycle",
    severity: Severity::Error,
    summary: "Following the parents of a span leads back to the span.",
    what: "A span that names itself as parent, or several spans whose parents form a circle. \
           A span starts after its parent, so no correct program makes one.",
    why: "There is no way from these spans to the root of the trace: backends drop them, show them as \
          roots, or loop. It is a sign that span ids are not random.",
    fix: "Make span ids random again.
Look for a seeded random generator (`random.seed(…)` in Python, `node --random-seed`, a forked process or \
a restored snapshot) in the service that made the spans.
Check hand-written span ids and custom id generators.
Check the copy that a proxy or Collector processor may write over parent ids.",
    example: "
web  GET /   server    0..50
  web  render  internal  5..20  id=a  parent=b   // parent-cycle
  web  format  internal  6..10  id=b  parent=a   // parent-cycle
",
};

/// The analyzer.
pub(super) struct ParentCycle;

impl Analyzer for ParentCycle {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    fn observe_trace(&self, trace: &TraceView<'_>, seen: &mut Observations) {
        for head in trace.cycle {
            let index = *head as usize;
            if trace.in_scope(index) {
                seen.span(RULE.name, 0, trace, index).add("cycle", 1);
            }
        }
        if trace.counts.self_parents == 0 {
            return;
        }
        for (index, _) in trace.nodes() {
            if trace.parents[index] == Parent::Itself {
                seen.span(RULE.name, 0, trace, index).add("itself", 1);
            }
        }
    }

    /// One finding a service: what makes circles is the way the service makes ids.
    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        let groups = case.grouped_by_service(RULE.name, 0).into_iter();
        let repeated = span_id_collision::repeated_ids(case);
        let findings = groups.map(|group| {
            let tally = &group.tally;
            let proof = Evidence::Cycle { spans: tally.count("cycle"), own_parents: tally.count("itself") };
            let title = format!("{} has spans that are their own ancestors", label(&case.side_of(&group)));
            let mut finding = case.about_service(&RULE, &group, title, proof);
            finding.rate = Some(rate(tally.spans, group.spans, RateUnit::Spans));
            finding.lower_when_rare();
            let service = case.names.site(group.sites[0]).service;
            let repeats = repeated.get(&service).copied().unwrap_or_default();
            // A circle alone may be written by hand, or by what rewrites parent ids.
            let confidence = if repeats > 0 { Confidence::High } else { Confidence::Medium };
            let leading = Opinion { cause: &causes::SEEDED_IDS, confidence };
            causes::blame(case.names, &mut finding, service, leading, Vec::new());
            if let Some(evidence) = span_id_collision::not_random(case, repeats) {
                finding.support.insert(0, evidence);
            }
            finding
        });
        findings.collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn a_span_that_names_itself_is_a_cycle_of_one() {
        check(
            "
web  GET /   server    0..50
  web  render  internal  5..20  id=a  parent=a   // parent-cycle
",
        );
    }

    #[test]
    fn spans_that_hang_on_a_cycle_are_not_on_it() {
        check(
            "
web  a  internal  0..9  id=a  parent=b   // parent-cycle
  web  c  internal  1..2
web  b  internal  0..9  id=b  parent=a   // parent-cycle
",
        );
    }
}
