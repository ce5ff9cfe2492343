//! `span-id-collision`: one span id for different spans.

use std::collections::{BTreeMap, BTreeSet};

use super::duplicate_span::is_version_of_head;
use super::observations::Observations;
use super::{Analyzer, Case, Rule};
use crate::corpus::sample::{Sampled, hash_span};
use crate::finding::{Evidence, Finding, label, rate, side};
use crate::report::{CheckNotPossible, RateUnit, Severity};
use crate::store::{Facts, ServiceId};
use crate::trace::{CopyKind, TraceView};

static RULE: Rule = Rule {
    name: "span-id-collision",
    severity: Severity::Error,
    summary: "Different spans have the same span id.",
    what: "Several spans with one span id in one trace that are clearly different (another service, name, \
           start or parent), or span ids that come back in many traces. Random 64-bit ids do neither: \
           among a million spans the chance of a single repeated id is below 1 in 10 million.",
    why: "Children hang on the wrong parent, backends drop one of the spans, and trees, durations and error \
          rates around them are wrong.",
    fix: "Make span ids random again.
Look for a seeded random generator in the service that made the spans: `random.seed(…)` in Python, \
`node --random-seed`, processes forked or restored from a snapshot after the generator was seeded.
Python: update opentelemetry-sdk, and seed your own `random.Random()` instead of the global one.
Check custom id generators, and tools that replay recorded spans.",
    example: "
web  GET /cart   server    0..50
  web  SELECT cart   client    5..10   id=a
  web  render        internal  20..30  id=a   // span-id-collision
",
};

/// Ids below this come from counters, 32-bit generators and backends that renumber spans (Jaeger
/// and Tempo give split shared spans 1, 2, 3 …), not from 64-bit random generators; they may repeat.
const SMALLEST_RANDOM_ID: u64 = 1 << 32;

/// Repeated ids needed. One repetition among fewer than millions of random ids is proof by itself;
/// three keep a copied or replayed trace from being called a broken generator.
const REPEATED_IDS_NEEDED: usize = 3;

const COLLISION: u32 = 0;

/// The analyzer.
pub(super) struct SpanIdCollision;

impl Analyzer for SpanIdCollision {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    fn observe_trace(&self, trace: &TraceView<'_>, seen: &mut Observations) {
        if trace.counts.colliding_ids == 0 {
            return;
        }
        for key in trace.keys.iter().filter(|key| key.is_ambiguous) {
            let mut is_new = true;
            for index in key.range() {
                if trace.in_scope(index) && is_collision(trace, index) {
                    let tally = seen.span(RULE.name, COLLISION, trace, index);
                    tally.add("ids", u64::from(is_new));
                    is_new = false;
                }
            }
        }
    }

    fn not_possible(&self, case: &Case<'_>) -> Vec<CheckNotPossible> {
        case.lacking(
            RULE.name,
            |capabilities| !capabilities.duplicates_visible,
            "the backend may have kept one span of those that share an id",
        )
    }

    /// One finding a service, whether its ids collide within a trace, come back in others, or both.
    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        let mut repeated = ids_in_many_traces(case);
        let mut findings = Vec::new();
        for group in case.grouped_by_service(RULE.name, 0) {
            let tally = &group.tally;
            let ids = tally.count("ids");
            let proof = Evidence::IdShared { ids, contents: tally.spans + ids };
            let title = format!("{} shares a span id with other spans", label(&case.side_of(&group)));
            let mut finding = case.about_service(&RULE, &group, title, proof);
            finding.rate = Some(rate(tally.spans, group.spans, RateUnit::Spans));
            match repeated.remove(&case.names.site(group.sites[0]).service) {
                Some(again) => {
                    finding.corpus_traces = again.corpus_traces;
                    finding.support.push(again.proof);
                }
                None => finding.lower_when_rare(),
            }
            findings.push(finding);
        }
        findings.extend(repeated.into_values());
        findings
    }
}

fn is_collision(trace: &TraceView<'_>, index: usize) -> bool {
    // Zipkin sends a span in parts; a part lacks what the others have.
    let is_partial = !trace.spans[index].is_timed() || trace.spans[index].has(Facts::SHARED);
    trace.copies[index] == CopyKind::Different && !is_partial && !is_version_of_head(trace, index)
}

/// A finding for each service whose ids occur in several traces.
fn ids_in_many_traces(case: &Case<'_>) -> BTreeMap<ServiceId, Finding> {
    let repeated = case.corpus.span_ids.by_id().into_iter().filter_map(repetitions);
    let mut by_service: BTreeMap<ServiceId, Vec<Vec<Sampled>>> = BTreeMap::new();
    for occurrences in repeated {
        let mut of_service: BTreeMap<ServiceId, Vec<Sampled>> = BTreeMap::new();
        for span in occurrences {
            of_service.entry(case.names.site(span.site).service).or_default().push(span);
        }
        for (service, occurrences) in of_service.into_iter().filter(|(_, occurrences)| occurrences.len() > 1)
        {
            by_service.entry(service).or_default().push(occurrences);
        }
    }
    by_service.retain(|_, ids| ids.len() >= REPEATED_IDS_NEEDED);
    by_service.into_iter().map(|(service, ids)| (service, finding_of_service(case, &ids))).collect()
}

/// The occurrences of an id if it is a random id that occurs in several traces. Traces that share
/// their low 64 bits are one trace in two spellings.
fn repetitions(mut occurrences: Vec<Sampled>) -> Option<Vec<Sampled>> {
    if occurrences.first()?.span_id.0 < SMALLEST_RANDOM_ID {
        return None;
    }
    occurrences.sort_unstable_by_key(|span| (span.trace_id.low64(), span.trace_id, span.start_ns));
    occurrences.dedup_by_key(|span| span.trace_id.low64());
    // One span under several trace ids, with one start, is a copied trace, not a repeated id.
    let first = occurrences[0].start_ns;
    let differ = occurrences.iter().any(|span| span.start_ns != first);
    (occurrences.len() > 1 && differ).then_some(occurrences)
}

fn finding_of_service(case: &Case<'_>, ids: &[Vec<Sampled>]) -> Finding {
    let most_traces = ids.iter().map(Vec::len).max().unwrap_or_default() as u64;
    let mut occurrences: Vec<Sampled> = ids.iter().flatten().copied().collect();
    let traces: BTreeSet<_> = occurrences.iter().map(|span| span.trace_id).collect();
    let mut to = side(case.names, occurrences[0].site);
    (to.operation, to.kind) = (None, None);
    let spans = occurrences.len() as u64;
    let proof = Evidence::IdInManyTraces { ids: ids.len() as u64, most_traces };
    let title = format!("{} makes span ids that come back in other traces", label(&to));
    let mut finding = Finding::between(&RULE, None, Some(to), spans, traces.len() as u64, title, proof);
    finding.first_ns = occurrences.iter().map(|span| span.start_ns).min();
    finding.last_ns = occurrences.iter().map(|span| span.start_ns).max();
    for span in &mut occurrences {
        span.hash = hash_span(span.trace_id, span.span_id);
    }
    occurrences.sort_unstable();
    occurrences.truncate(case.seen.capacity());
    finding.occurrences = occurrences;
    finding.corpus_traces = traces.into_iter().collect();
    finding
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn one_constant_id_of_a_backend_is_silent() {
        check(
            "
web  GET /   server  0..50  id=0000000000000001

web  GET /   server  60..90  id=0000000000000001
",
        );
    }

    #[test]
    fn random_ids_that_come_back_are_found() {
        check(
            "
py  a  server  0..1    id=00000000000000a1
py  b  server  0..1    id=00000000000000a2

py  GET /1  server  0..50    id=11aa22bb33cc44dd   // span-id-collision
  py  x  internal  0..9    id=21aa22bb33cc44dd   // span-id-collision
  py  y  internal  0..9    id=31aa22bb33cc44dd   // span-id-collision

py  GET /1  server  60..90   id=11aa22bb33cc44dd
  py  x  internal  60..69    id=21aa22bb33cc44dd
  py  y  internal  60..69    id=31aa22bb33cc44dd
",
        );
    }
}
