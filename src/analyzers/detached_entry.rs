//! `detached-entry`: an entry span is a root although another service made the call.

use std::collections::BTreeSet;

use super::observations::sampled;
use super::{Analyzer, Case, Rule};
use crate::corpus::hops::UnjoinedSpan;
use crate::corpus::matching::{BrokenEdge, Pair};
use crate::corpus::traffic::Affected;
use crate::diagnosis::Place;
use crate::finding::{Evidence, Finding, ProposedParent, label, rate, side};
use crate::model::TraceId;
use crate::model::boundary::Protocol;
use crate::report::{CheckNotPossible, Confidence, RateUnit, ScopeName, Severity};

static RULE: Rule = Rule {
    name: "detached-entry",
    severity: Severity::Error,
    summary: "A call arrives without its context, and a second trace begins.",
    what: "Server and consumer spans without a parent and without a link that belong to a client or \
           producer span of another service, which nothing answers. Both traces are whole in \
           themselves; only all traces together show that one was cut in two. A root alone proves \
           nothing: probes, direct calls and cron jobs are roots too. So the root has to lie inside a call \
           to the same path, procedure or queue, far more often than it would by chance, or name the \
           same message.",
    why: "The request cannot be followed past this hop: the caller's trace ends in a call without an \
          answer, the callee's begins without a reason, and sampling decides on each by itself.",
    fix: "Find out where on the way the headers of the context get lost.
Log the request headers (or those of a message) at the callee. Is `traceparent` among them?
If it is, the callee does not read it: set the same `OTEL_PROPAGATORS` in both services, and start the SDK \
before the server or consumer is created.
If it is not, the caller does not send it (client not instrumented, or instrumented twice), or a proxy, \
gateway or broker between the two drops it.",
    example: "
web  GET  client  0..40  http=/stock/7  repeat=6

stock  GET /stock/:id  server  5..35  http=/stock/7  repeat=6   // detached-entry
  stock  SELECT items  client    10..20
",
};

/// The analyzer.
pub(super) struct DetachedEntry;

impl Analyzer for DetachedEntry {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        let tells_links = case.inputs.iter().all(|input| input.capabilities.links);
        let edges = case.corpus.broken_edges().iter();
        let judged = edges.filter(|edge| tells_links || edge.protocol != Protocol::Messaging);
        let mut findings: Vec<Finding> = judged.map(|edge| finding(case, edge)).collect();
        findings.extend(case.breaks(&RULE));
        findings
    }

    fn not_possible(&self, case: &Case<'_>) -> Vec<CheckNotPossible> {
        case.lacking(
            RULE.name,
            |capabilities| !capabilities.links,
            "messages are not judged: without links, consumers that are linked on purpose look like lost ones",
        )
    }
}

fn finding(case: &Case<'_>, edge: &BrokenEdge) -> Finding {
    let (from, to) = (side(case.names, edge.exit), side(case.names, edge.entry));
    let pairs = edge.pairs.len() as u64;
    let traces: BTreeSet<TraceId> = edge.pairs.iter().map(|pair| pair.entry.trace_id).collect();
    let is_message = edge.protocol == Protocol::Messaging;
    let proof = Evidence::UnansweredCalls {
        caller: label(&from),
        pairs,
        unique: edge.pairs.iter().filter(|pair| pair.candidates == 1).count() as u64,
        messages: is_message,
    };
    let verb = if is_message { "gets messages from" } else { "is called by" };
    let title = format!("{} {verb} {} without context", label(&to), from.service_name());
    let mut finding = Finding::between(&RULE, Some(from), Some(to), pairs, traces.len() as u64, title, proof);
    finding.sides = (Some(Place::Site(edge.exit)), Some(Place::Site(edge.entry)));
    finding.confidence = edge.confidence();
    if finding.confidence < Confidence::High {
        finding.lower_to(Severity::Warning);
    }
    let scope = &case.names.site(edge.entry).scope;
    finding.scope = (!scope.is_empty()).then(|| ScopeName { name: scope.to_string(), version: None });
    let calls = pairs + case.corpus.joined(edge.exit, edge.entry);
    finding.rate = Some(rate(pairs, calls, RateUnit::Calls));
    finding.first_ns = edge.pairs.iter().map(|pair| pair.entry.start_ns).min();
    finding.last_ns = edge.pairs.iter().map(|pair| pair.entry.start_ns).max();
    finding.affected = affected(edge);
    finding.support = support(case, edge);
    finding.message = format!(
        "The call is one trace, and its handling another: the context of {} did not arrive.",
        finding.from.as_ref().map_or_else(String::new, label)
    );
    finding.lower_when_rare();
    add_occurrences(case, edge, &mut finding);
    finding.corpus_traces = traces.into_iter().collect();
    finding
}

/// The entries, and the exits that they belong to.
fn affected(edge: &BrokenEdge) -> Vec<Affected> {
    let side = |span: fn(&Pair) -> &UnjoinedSpan| {
        let mut affected = Affected::default();
        for span in edge.pairs.iter().map(span) {
            affected.add(span.operation, span.trace_id, span.start_ns);
        }
        affected
    };
    vec![side(|pair| &pair.entry), side(|pair| &pair.exit)]
}

fn support(case: &Case<'_>, edge: &BrokenEdge) -> Vec<Evidence> {
    let mut support = Vec::new();
    let with_message_id = edge.with_message_id();
    if with_message_id > 0 {
        support.push(Evidence::SameMessage { pairs: with_message_id });
    }
    support.extend(Evidence::beyond_chance(&edge.chance));
    if edge.is_rewritten
        && let Some(pair) = edge.pairs.first()
    {
        let path = |number: u32| case.names.boundaries[number as usize].target.to_string();
        let (caller, callee) = (path(pair.exit.boundary), path(pair.entry.boundary));
        support.push(Evidence::PathRewritten { caller, callee });
    }
    let (kept, seen) = case.corpus.hops.kept_of();
    if kept < seen {
        support.push(Evidence::SampledHops { kept, seen });
    }
    support
}

/// The affected spans with the smallest hash, each with the exit that it belongs to.
fn add_occurrences(case: &Case<'_>, edge: &BrokenEdge, finding: &mut Finding) {
    let mut spans: Vec<_> = edge
        .pairs
        .iter()
        .map(|pair| {
            let entry = &pair.entry;
            (sampled(entry.trace_id, entry.span_id, entry.source, edge.entry, entry.start_ns), pair)
        })
        .collect();
    spans.sort_unstable_by_key(|(span, _)| *span);
    spans.truncate(case.seen.capacity());
    for (span, pair) in spans {
        finding.occurrences.push(span);
        finding.proposed_parents.insert((span.trace_id, span.span_id), proposed_parent(pair));
    }
}

const fn proposed_parent(pair: &Pair) -> ProposedParent {
    ProposedParent { trace_id: pair.exit.trace_id, span_id: pair.exit.span_id, confidence: pair.confidence() }
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn roots_without_an_unanswered_call_are_silent() {
        // Probes, direct calls to a service in the middle, cron.
        check(
            "
web  GET  client  0..40  http=/stock/7  repeat=30
  stock  GET /stock/:id  server  5..35  http=/stock/7

stock  GET /stock/:id  server  12..30  http=/stock/9  repeat=9

stock  GET /healthz  server  10..11  http=/healthz  repeat=30

cron  cleanup  internal  0..90  repeat=30
",
        );
    }

    #[test]
    fn calls_that_are_never_answered_and_roots_at_other_times_are_silent() {
        // A third party's API, and a service of the same interface that others call.
        check(
            "
shop  POST  client  0..40  http=/charges  repeat=30

bank  POST /charges  server  500..530  http=/charges  repeat=30
",
        );
    }

    #[test]
    fn a_few_meetings_by_chance_are_silent() {
        check(
            "
shop  POST  client  0..40  http=/charges  repeat=4

bank  POST /charges  server  5..30  http=/charges  repeat=4

bank  POST /charges  server  500..530  http=/charges  repeat=40
",
        );
    }

    #[test]
    fn a_public_endpoint_with_a_link_is_silent() {
        check(
            "
web  GET  client  0..40  http=/stock/7  id=call  repeat=8

stock  GET /stock/:id  server  5..35  http=/stock/7  link=call  repeat=8
",
        );
    }

    #[test]
    fn linked_consumers_are_silent() {
        check(
            "
orders  jobs publish  producer  0..4  queue=jobs  message=a  id=send  repeat=8

mailer  jobs process  consumer  30..60  queue=jobs  message=a  link=send  repeat=8
",
        );
    }

    #[test]
    fn a_gateway_that_passes_the_path_on_does_not_call_itself() {
        check(
            "
gateway  POST /orders  server  0..50  http=/orders  repeat=20
  gateway  POST  client  0..48  http=/orders

gateway  POST /orders  server  1..51  http=/orders  repeat=20
  gateway  POST  client  1..49  http=/orders
",
        );
    }

    #[test]
    fn two_requests_at_once_are_not_one_sent_twice() {
        check(
            "
orders  POST /orders  server  0..60  repeat=6
  orders  POST  client  5..45  http=/reserve
  orders  POST  client  5..45  http=/reserve
  orders  GET  client  50..55  http=/ping
    stock  GET /ping  server  51..54  http=/ping

stock  POST /reserve  server  10..40  http=/reserve  repeat=6   // detached-entry (header-stripped)

stock  POST /reserve  server  11..41  http=/reserve  repeat=6   // detached-entry (header-stripped)
",
        );
    }

    #[test]
    fn a_route_alone_meets_any_path_that_it_takes() {
        check(
            "
web  GET  client  0..40  http=/users/alice/cart  repeat=6

users  GET /users/:name/cart  server  5..35  route=/users/:name/cart  repeat=6   // detached-entry
",
        );
    }

    #[test]
    fn gateways_put_prefixes_before_paths_and_take_them_away() {
        check(
            "
web  GET  client  0..40  http=/api/v1/users/7  repeat=6

users  GET /users/:id  server  5..35  http=/users/7  repeat=6   // detached-entry (header-stripped)
",
        );
        check(
            "
web  GET  client  0..40  http=/users/7  repeat=6

users  GET /internal/users/:id  server  5..35  route=/internal/users/:id  repeat=6   // detached-entry (header-stripped)
",
        );
    }

    #[test]
    fn procedures_are_told_apart() {
        check(
            "
web  Cart/Add  client  0..40  rpc=shop.Cart/Add  repeat=6

cart  Cart/Add  server  5..35  rpc=shop.Cart/Add  repeat=6   // detached-entry

cart  Cart/Get  server  6..34  rpc=shop.Cart/Get  repeat=6
",
        );
    }

    #[test]
    fn one_message_with_an_id_is_enough() {
        check(
            "
orders  jobs publish  producer  0..4  queue=jobs  message=a

mailer  jobs process  consumer  3000..3060  queue=jobs  message=a   // detached-entry (message-context-missing)
",
        );
    }

    #[test]
    fn messages_without_ids_have_to_follow_each_other() {
        check(
            "
orders  jobs publish  producer  0..4  queue=jobs  repeat=9

mailer  jobs process  consumer  20..60  queue=jobs  repeat=9   // detached-entry (message-context-missing)
",
        );
        // Somebody else fills this queue.
        check(
            "
orders  jobs publish  producer  0..4  queue=jobs  repeat=9

mailer  jobs process  consumer  6000..6040  queue=jobs  repeat=9
",
        );
    }

    #[test]
    fn a_service_without_any_working_hop_has_another_propagator() {
        check(
            "
web  GET /  server  0..60  repeat=8
  web  GET  client  2..40  http=/price/7

price  GET /price/:id  server  5..35  http=/price/7  repeat=8   // detached-entry (propagator-mismatch)
  price  POST  client  10..30  http=/rates

rates  POST /rates  server  12..28  http=/rates  repeat=8   // detached-entry (propagator-mismatch)
",
        );
    }
}
