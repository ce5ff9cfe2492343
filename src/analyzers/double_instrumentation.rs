//! `double-instrumentation`: two spans for one call.

use std::collections::BTreeSet;

use super::observations::Observations;
use super::{Analyzer, Case, Rule};
use crate::finding::{Evidence, Finding, label, rate, side};
use crate::model::SpanKind;
use crate::report::{CheckNotPossible, Confidence, RateUnit, Severity};
use crate::store::{ServiceId, SpanRecord};
use crate::trace::{Parent, TraceView};

static RULE: Rule = Rule {
    name: "double-instrumentation",
    severity: Severity::Warning,
    summary: "One call has two spans of the same kind, because it is instrumented twice.",
    what: "Two sibling client or producer spans that describe one call: same parent, same target, start and \
           duration equal to a millisecond, and at most one of them answered. Or two server spans of one \
           instrumentation, one inside the other, for one request. Where the second `traceparent` header costs the \
           callee its context, that is `detached-entry` with the cause `double-injection`, and not reported here \
           again. A framework's server span below that of the HTTP library is by design.",
    why: "Calls, rates and costs count twice. One span of each pair has nothing below it, and where both add headers, \
          the callee may take none of them and begin a trace of its own.",
    fix: "Leave one instrumentation for each library.
Node.js: `getNodeAutoInstrumentations()` holds the instrumentations; do not list one of them beside it, and call \
`registerInstrumentations()` once.
Node.js: start the SDK once: `--require ./tracing.js` and an import of the same file, or the agent of a vendor beside \
the SDK, instrument everything twice.
Python: either `opentelemetry-instrument` or `….instrument()` in code, not both.
Java: no library instrumentation for what the agent instruments.
Several copies of one instrumentation package: `npm ls @opentelemetry/instrumentation-undici` must show one.",
    example: "
web  GET /cart  server  0..90  repeat=12
  web  GET  client  5..80   http=/cart/{round}  id=a
  web  GET  client  5..80   http=/cart/{round}   // double-instrumentation
    cart  GET /cart/:id  server  10..70  http=/cart/{round}
",
};

/// Clocks of JavaScript give the start in whole milliseconds, so equal times may lie one apart.
const SAME_TIME_NS: u64 = 1_000_000;

/// Pairs needed: fewer may be requests that were really sent twice.
const PAIRS: u64 = 5;

/// An instrumentation that is registered twice doubles every call. A tenth may have lost its partner on the
/// way, or begun more than a millisecond apart.
const SHARE: f64 = 0.9;

/// Without the callee's spans, two calls at once look like one call with two spans, but for their
/// durations: those of two calls differ as those of any two do. When they are equal to a millisecond, pair
/// by pair, while the durations of the pairs lie further apart than this, that is no chance.
const SPREAD_NS: i64 = 10_000_000;
const PAIRS_BY_DURATION: u64 = 10;

/// Variants of a place.
const SIBLINGS: u32 = 0;
const NESTED: u32 = 1;
/// Nested spans of which nobody says which instrumentation made them.
const UNNAMED: u32 = 2;

/// The analyzer.
pub(super) struct DoubleInstrumentation;

impl Analyzer for DoubleInstrumentation {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    fn observe_trace(&self, trace: &TraceView<'_>, seen: &mut Observations) {
        let mut calls: Vec<Call> = Vec::new();
        for (index, span) in trace.nodes() {
            let Parent::Span(parent) = trace.parents[index] else { continue };
            match trace.kind(index) {
                SpanKind::Client | SpanKind::Producer => {
                    calls.extend(Call::of(trace, index, span, parent));
                }
                SpanKind::Server if is_nested_twice(trace, index, parent as usize) => {
                    let has_scope = !trace.names.scope_of(span.operation).name.is_empty();
                    seen.candidate(RULE.name, if has_scope { NESTED } else { UNNAMED }, trace, index);
                }
                _ => {}
            }
        }
        if calls.len() > 1 {
            siblings(trace, calls, seen);
        }
    }

    fn not_possible(&self, case: &Case<'_>) -> Vec<CheckNotPossible> {
        let nested = case.seen.of(RULE.name).filter(|(place, _)| place.variant == UNNAMED);
        if nested.map(|(_, tally)| tally.spans).sum::<u64>() < PAIRS {
            return Vec::new();
        }
        let reason = "server spans lie right below server spans, and no instrumentation scope tells a framework from \
                      an instrumentation that is there twice";
        vec![CheckNotPossible { rule: RULE.name.to_owned(), reason: reason.to_owned() }]
    }

    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        let reported = double_injections(case);
        let mut findings = Vec::new();
        for (place, tally) in case.seen.of(RULE.name).filter(|(place, _)| place.variant != UNNAMED) {
            let site = case.names.site(place.site);
            let spans = case.corpus.profile(place.site).spans;
            // Of two scopes, each has one span of a pair; of one scope, all spans are at this site.
            let (pairs, of_other) = (tally.spans, tally.count("other scope"));
            let calls = if of_other * 2 > pairs { spans } else { spans.div_ceil(2) };
            if pairs < PAIRS || (pairs as f64) < SHARE * calls as f64 {
                continue;
            }
            let confidence = match place.variant {
                NESTED => Confidence::High,
                _ if reported.contains(&(site.service, &*site.scope)) => continue,
                _ => match confidence_of_siblings(tally) {
                    Some(confidence) => confidence,
                    None => continue,
                },
            };
            let to = side(case.names, place.site);
            let title = format!("{} is instrumented twice", label(&to));
            let proof = match place.variant {
                NESTED => Evidence::NestedTwins { requests: pairs },
                _ => Evidence::Twins {
                    calls: pairs,
                    other_scope: of_other,
                    answered: tally.count("one answered"),
                },
            };
            let mut finding = Finding::at_site(&RULE, case.names, place.site, tally, title, proof);
            finding.confidence = confidence;
            finding.rate = Some(rate(pairs, calls, RateUnit::Calls));
            if confidence < Confidence::High {
                finding.decides = Some(
                    "Count the requests at the other side: one for each pair of spans, or two?".to_owned(),
                );
            }
            findings.push(finding);
        }
        findings
    }
}

fn confidence_of_siblings(tally: &super::observations::Tally) -> Option<Confidence> {
    let most = |name| tally.count(name) as f64 >= SHARE * tally.spans as f64;
    if most("one answered") || most("other scope") {
        return Some(Confidence::High);
    }
    let extreme = |name| tally.extremes.get(name).copied().unwrap_or_default();
    let spread = extreme("longest") + extreme("shortest, negated");
    (tally.spans >= PAIRS_BY_DURATION && spread >= SPREAD_NS).then_some(Confidence::Medium)
}

/// Services and scopes whose calls arrive without context because of two headers.
fn double_injections<'c>(case: &Case<'c>) -> BTreeSet<(ServiceId, &'c str)> {
    let doubled = case.corpus.broken_edges().iter().filter(|edge| {
        let doubled = edge.pairs.iter().filter(|pair| pair.is_doubled).count();
        doubled > 0 && doubled * 2 >= edge.pairs.len()
    });
    let sites = doubled.map(|edge| case.names.site(edge.exit));
    sites.map(|site| (site.service, &*site.scope)).collect()
}

/// An exit span that says which call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    parent: u32,
    /// Peer, method and target.
    boundary: u32,
    /// The very path or message.
    identity: u32,
    start_ns: i64,
    index: u32,
}

impl Call {
    fn of(trace: &TraceView<'_>, index: usize, span: &SpanRecord, parent: u32) -> Option<Self> {
        let row = trace.partition.boundary(span)?;
        let is_known = row.identity != 0 && span.is_timed() && !trace.is_ambiguous(index);
        is_known.then(|| Self {
            parent,
            boundary: row.boundary,
            identity: row.identity,
            start_ns: span.start_ns(),
            index: index as u32,
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.parent, self.boundary, self.identity) == (other.parent, other.boundary, other.identity)
            && self.start_ns.abs_diff(other.start_ns) <= SAME_TIME_NS
    }
}

fn siblings(trace: &TraceView<'_>, mut calls: Vec<Call>, seen: &mut Observations) {
    calls.sort_unstable();
    let mut answered: Option<BTreeSet<u32>> = None;
    let mut at = 0;
    while let [one, other, ..] = &calls[at..] {
        let (first, second) = (&trace.spans[one.index as usize], &trace.spans[other.index as usize]);
        let is_twin = one.is_same(other)
            && trace.kind(one.index as usize) == trace.kind(other.index as usize)
            && first.duration_ns().abs_diff(second.duration_ns()) <= SAME_TIME_NS;
        if !is_twin {
            at += 1;
            continue;
        }
        at += 2;
        let answered = answered.get_or_insert_with(|| answered_exits(trace));
        let is_answered = [one, other].map(|call| answered.contains(&call.index));
        // Two entry spans are two requests.
        if is_answered == [true, true] {
            continue;
        }
        let scopes = [first, second].map(|span| trace.names.scope_of(span.operation));
        let duration = first.duration_ns().max(second.duration_ns());
        let tally = seen.candidate(RULE.name, SIBLINGS, trace, other.index as usize);
        tally.add("other scope", u64::from(scopes[0].name != scopes[1].name));
        tally.add("one answered", u64::from(is_answered[0] != is_answered[1]));
        tally.raise("longest", duration);
        tally.raise("shortest, negated", -duration);
    }
}

fn answered_exits(trace: &TraceView<'_>) -> BTreeSet<u32> {
    let entries = trace.nodes().filter(|(index, _)| trace.kind(*index).is_entry());
    let exits = entries.filter_map(|(index, _)| match trace.parents[index] {
        Parent::Span(exit) => Some(exit),
        Parent::None | Parent::Missing | Parent::Itself => None,
    });
    exits.collect()
}

/// A server span right below a server span of the same instrumentation in the same process, for the same
/// request.
fn is_nested_twice(trace: &TraceView<'_>, index: usize, parent: usize) -> bool {
    let (inner, outer) = (&trace.spans[index], &trace.spans[parent]);
    let names = trace.names;
    let (one, other) = (names.operation(inner.operation), names.operation(outer.operation));
    other.kind == SpanKind::Server
        && one.resource == other.resource
        && names.scopes[one.scope as usize].name == names.scopes[other.scope as usize].name
        && one.name == other.name
        && inner.parent_is_remote() != Some(true)
        && inner.start_ns().abs_diff(outer.start_ns()) <= SAME_TIME_NS
        && inner.end_ns() <= outer.end_ns().saturating_add(SAME_TIME_NS as i64)
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn two_requests_at_once_are_two() {
        check(
            "
web  GET /cart  server  0..90  repeat=12
  web  GET  client  5..80   http=/cart/{round}
    cart  GET /cart/:id  server  10..70  http=/cart/{round}
  web  GET  client  5..80   http=/cart/{round}
    cart  GET /cart/:id  server  11..71  http=/cart/{round}
",
        );
    }

    #[test]
    fn a_client_whose_callee_is_unknown_has_to_vary() {
        let calls = |last: u32| {
            let call = |end: u32| {
                format!(
                    "web  GET /{end}  server  0..90  repeat=6\n  web  GET  client  5..{end}  http=/a\n  \
                     web  GET  client  5..{end}  http=/a"
                )
            };
            format!("{}\n\n{}", call(10), call(last))
        };
        check(&calls(12));
        check(&format!("{}   // double-instrumentation", calls(60)));
    }

    #[test]
    fn a_framework_below_the_http_library_is_by_design() {
        check(
            "
web  GET /cart  server  0..90  repeat=12  scope=http
  web  GET /cart  server  0..89  scope=fastify  local
",
        );
    }

    #[test]
    fn one_instrumentation_twice_is_not() {
        check(
            "
web  GET /cart  server  0..90  repeat=12  scope=fastapi
  web  GET /cart  server  0..89  scope=fastapi  local   // double-instrumentation
",
        );
    }
}
