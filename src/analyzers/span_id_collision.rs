//! `span-id-collision`: one span id for different spans.

use std::collections::{BTreeMap, BTreeSet};

use super::duplicate_span::is_version_of_head;
use super::observations::Observations;
use super::{Analyzer, Case, Rule};
use crate::causes::{self, Opinion};
use crate::corpus::sample::{Sampled, hash_span};
use crate::finding::{Evidence, Finding, label, rate, side};
use crate::model::{SpanId, TraceId};
use crate::report::{CheckNotPossible, Confidence, RateUnit, Severity};
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
                    let head = &trace.spans[key.head as usize];
                    tally.add("apart", u64::from(head.start_ns() != trace.spans[index].start_ns()));
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
            let service = case.names.site(group.sites[0]).service;
            let again = repeated.remove(&service);
            let repeats = ids + again.as_ref().map_or(0, |again| again.ids);
            match again {
                Some(again) => add_repeated(case, &mut finding, &again),
                None => finding.lower_when_rare(),
            }
            blame_seed(case, &mut finding, service, repeats, tally.count("apart") > 0 || repeats > ids);
            findings.push(finding);
        }
        for (service, again) in repeated {
            let mut finding = finding_of_service(case, &again);
            blame_seed(case, &mut finding, service, again.ids, true);
            findings.push(finding);
        }
        findings
    }
}

fn is_collision(trace: &TraceView<'_>, index: usize) -> bool {
    // Zipkin sends a span in parts; a part lacks what the others have.
    let is_partial = !trace.spans[index].is_timed() || trace.spans[index].has(Facts::SHARED);
    trace.copies[index] == CopyKind::Different && !is_partial && !is_version_of_head(trace, index)
}

/// A probability that no run over any system should reach by chance, as a power of ten.
const P_EXPONENT: u32 = 6;

/// So many repeated ids exclude every other reason but that ids are no random numbers: single ones may be a
/// span that something on the way wrote anew.
const REPEATS_OF_A_SEED: u64 = 3;

/// Names the cause where chance is excluded. `is_apart` says that spans with one id start at different
/// times, which versions of one span do not.
fn blame_seed(case: &Case<'_>, finding: &mut Finding, service: ServiceId, repeated: u64, is_apart: bool) {
    let Some(evidence) = not_random(case, repeated) else { return };
    finding.support.insert(0, evidence);
    let opinion = |cause, confidence| Opinion { cause, confidence };
    let (confidence, others) = match (is_apart, repeated >= REPEATS_OF_A_SEED) {
        (true, true) => (Confidence::Certain, Vec::new()),
        (true, false) => (Confidence::High, Vec::new()),
        (false, _) => (Confidence::Medium, vec![opinion(&causes::DOUBLE_PIPELINE, Confidence::Medium)]),
    };
    causes::blame(case.names, finding, service, opinion(&causes::SEEDED_IDS, confidence), others);
}

/// That so many ids do not repeat by chance, if that is so.
pub(super) fn not_random(case: &Case<'_>, repeated: u64) -> Option<Evidence> {
    let spans = (0..case.names.sites.len() as u32).map(|site| case.corpus.profile(site).spans).sum();
    let p_exponent = chance(repeated, spans);
    (p_exponent >= P_EXPONENT).then_some(Evidence::NotRandom { repeated, spans, p_exponent })
}

/// The power of ten, without its minus, that bounds the probability of so many repetitions among random ids:
/// n ids make n²/2 pairs, each equal with 1 in 2^64, so k repetitions have at most (n²/2^65)^k / k!.
fn chance(repeated: u64, spans: u64) -> u32 {
    let expected = (spans as f64).powi(2) / 2_f64.powi(65);
    let repeated = repeated.min(1_000) as i32;
    let factorial: f64 = (1..=repeated).map(|number| f64::from(number).log10()).sum();
    (factorial - f64::from(repeated) * expected.max(f64::MIN_POSITIVE).log10()).clamp(0.0, 300.0) as u32
}

/// What is known of ids of a service that occur in several traces.
struct Repeated {
    /// Span ids.
    ids: u64,
    /// Most traces for one id.
    most_traces: u64,
    /// The spans with them, each once.
    spans: Vec<Sampled>,
}

/// Adds the spans whose ids are in other traces as well to a finding about ids that collide within a trace.
fn add_repeated(case: &Case<'_>, finding: &mut Finding, again: &Repeated) {
    // A span whose id collides within its trace is counted already: it is in the sketch twice.
    let mut keys: BTreeMap<(TraceId, SpanId), u64> = BTreeMap::new();
    for span in &again.spans {
        *keys.entry((span.trace_id, span.span_id)).or_default() += 1;
    }
    let is_counted = |span: &Sampled| keys[&(span.trace_id, span.span_id)] > 1;
    let counted: BTreeSet<TraceId> =
        again.spans.iter().filter(|span| is_counted(span)).map(|span| span.trace_id).collect();
    let new: Vec<Sampled> = again.spans.iter().filter(|span| !is_counted(span)).copied().collect();
    let traces: BTreeSet<TraceId> = new.iter().map(|span| span.trace_id).collect();
    finding.spans += new.len() as u64;
    finding.occurrences_total = finding.spans;
    finding.traces += traces.difference(&counted).count() as u64;
    finding.first_ns = finding.first_ns.into_iter().chain(new.iter().map(|span| span.start_ns)).min();
    finding.last_ns = finding.last_ns.into_iter().chain(new.iter().map(|span| span.start_ns)).max();
    let known: BTreeSet<_> = finding.occurrences.iter().map(|span| (span.trace_id, span.span_id)).collect();
    finding
        .occurrences
        .extend(new.into_iter().filter(|span| !known.contains(&(span.trace_id, span.span_id))));
    finding.occurrences.sort_unstable();
    finding.occurrences.truncate(case.seen.capacity());
    finding.corpus_traces =
        again.spans.iter().map(|span| span.trace_id).collect::<BTreeSet<_>>().into_iter().collect();
    finding.support.push(Evidence::IdInManyTraces { ids: again.ids, most_traces: again.most_traces });
}

/// Services whose ids repeat, in one trace or in several, and how many do.
pub(super) fn repeated_ids(case: &Case<'_>) -> BTreeMap<ServiceId, u64> {
    let mut ids: BTreeMap<ServiceId, u64> =
        ids_in_many_traces(case).into_iter().map(|(service, repeated)| (service, repeated.ids)).collect();
    for (place, tally) in case.seen.of(RULE.name) {
        *ids.entry(case.names.site(place.site).service).or_default() += tally.count("ids");
    }
    ids
}

/// The ids of each service that occur in several traces.
fn ids_in_many_traces(case: &Case<'_>) -> BTreeMap<ServiceId, Repeated> {
    let repeated = case.corpus.span_ids.by_id().into_iter().filter_map(repetitions);
    let mut by_service: BTreeMap<ServiceId, Vec<Vec<Sampled>>> = BTreeMap::new();
    for occurrences in repeated {
        let mut of_service: BTreeMap<ServiceId, Vec<Sampled>> = BTreeMap::new();
        for span in occurrences {
            of_service.entry(case.names.site(span.site).service).or_default().push(span);
        }
        for (service, occurrences) in of_service {
            if distinct_traces(&occurrences) > 1 {
                by_service.entry(service).or_default().push(occurrences);
            }
        }
    }
    by_service.retain(|_, ids| ids.len() >= REPEATED_IDS_NEEDED);
    let repeated = by_service.into_iter().map(|(service, ids)| {
        let most_traces = ids.iter().map(|spans| distinct_traces(spans)).max().unwrap_or_default() as u64;
        let mut spans: Vec<Sampled> = ids.iter().flatten().copied().collect();
        for span in &mut spans {
            span.hash = hash_span(span.trace_id, span.span_id);
        }
        spans.sort_unstable();
        (service, Repeated { ids: ids.len() as u64, most_traces, spans })
    });
    repeated.collect()
}

/// The occurrences of an id if it is a random id that occurs in several traces. Traces that share
/// their low 64 bits are one trace in two spellings.
fn repetitions(mut occurrences: Vec<Sampled>) -> Option<Vec<Sampled>> {
    if occurrences.first()?.span_id.0 < SMALLEST_RANDOM_ID {
        return None;
    }
    occurrences.sort_unstable_by_key(|span| (span.trace_id.low64(), span.trace_id, span.start_ns));
    // One span under several trace ids, with one start, is a copied trace, not a repeated id.
    let first = occurrences[0].start_ns;
    let differ = occurrences.iter().any(|span| span.start_ns != first);
    (distinct_traces(&occurrences) > 1 && differ).then_some(occurrences)
}

/// How many traces the spans are in; they are sorted by the low 64 bits of the trace id.
fn distinct_traces(spans: &[Sampled]) -> usize {
    spans.chunk_by(|one, other| one.trace_id.low64() == other.trace_id.low64()).count()
}

fn finding_of_service(case: &Case<'_>, again: &Repeated) -> Finding {
    let traces: BTreeSet<_> = again.spans.iter().map(|span| span.trace_id).collect();
    let mut to = side(case.names, again.spans[0].site);
    (to.operation, to.kind) = (None, None);
    let spans = again.spans.len() as u64;
    let proof = Evidence::IdInManyTraces { ids: again.ids, most_traces: again.most_traces };
    let title = format!("{} makes span ids that come back in other traces", label(&to));
    let mut finding = Finding::between(&RULE, None, Some(to), spans, traces.len() as u64, title, proof);
    finding.first_ns = again.spans.iter().map(|span| span.start_ns).min();
    finding.last_ns = again.spans.iter().map(|span| span.start_ns).max();
    finding.occurrences = again.spans.iter().take(case.seen.capacity()).copied().collect();
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
    fn chance_is_that_of_the_birthday_problem() {
        // 5e9 ids make 1.25e19 pairs, about 0.68 of which are equal.
        assert_eq!(super::chance(1, 5_000_000_000), 0);
        assert_eq!(super::chance(1, 1_000_000), 7);
        assert!(super::chance(3, 1_000) > 40);
        assert_eq!(super::chance(0, 1_000), 0);
    }

    #[test]
    fn one_span_that_was_rewritten_is_not_surely_a_seed() {
        let findings = crate::analyzers::notation::analyse_text(
            "
web  GET /   server    0..50
  web  SELECT 1  client    5..10  id=a
  web  SELECT x  client    5..10  id=a
",
        );
        assert_eq!(findings[0].cause.map(|opinion| opinion.confidence), Some(super::Confidence::Medium));
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
