//! Orphans on top of a trace of their own that belong to a call of another one: what lies between began a
//! trace. Few pass the caller's span on as the parent, which the ids show; the others are paired with calls
//! that nothing answers.

use std::collections::BTreeMap;

use super::truncated_trace_ids::damaged;
use super::{Break, Damaged, Explained, Facts, Place};
use crate::causes::{Opinion, trace_restarted};
use crate::corpus::foreign_parents::{Change, IdJoin};
use crate::corpus::matching::{BrokenEdge, Pair};
use crate::finding::{Evidence, ProposedParent, label, rate, side};
use crate::report::{Confidence, RateUnit, Severity};
use crate::store::SiteId;

/// What is known of one edge.
#[derive(Default)]
struct Restarted<'f> {
    joins: Vec<&'f IdJoin>,
    paired: Option<&'f BrokenEdge>,
}

/// Finds them.
pub(super) fn breaks(facts: &Facts<'_>, explained: &mut Explained) -> Vec<Break> {
    let mut edges: BTreeMap<(SiteId, SiteId), Restarted<'_>> = BTreeMap::new();
    let replaced = facts.deviations.id_joins.iter().filter(|join| join.change == Change::Replaced);
    for join in replaced.filter(|join| !explained.has(join.orphan.trace_id, join.orphan.span_id)) {
        edges.entry(join.edge(facts.names)).or_default().joins.push(join);
    }
    for edge in facts.corpus.restarted_edges() {
        edges.entry((edge.exit, edge.entry)).or_default().paired = Some(edge);
    }
    edges.into_iter().map(|(edge, restarted)| found(facts, edge, &restarted)).collect()
}

fn found(facts: &Facts<'_>, (exit, entry): (SiteId, SiteId), restarted: &Restarted<'_>) -> Break {
    let pairs: &[Pair] = restarted.paired.map_or(&[], |edge| &edge.pairs);
    let mut spans: Vec<Damaged> = restarted.joins.iter().map(|join| damaged(join)).collect();
    spans.extend(pairs.iter().map(damaged_by_pair));
    let broken = spans.len() as u64;
    let by_ids = (!restarted.joins.is_empty())
        .then_some(Evidence::ParentInOtherTrace { orphans: restarted.joins.len() as u64, is_cut: false });
    let by_times = restarted.paired.map(|edge| Evidence::OrphansInCalls {
        caller: label(&side(facts.names, exit)),
        pairs: pairs.len() as u64,
        unique: edge.pairs.iter().filter(|pair| pair.candidates == 1).count() as u64,
    });
    let beyond_chance = restarted.paired.and_then(|edge| Evidence::beyond_chance(&edge.chance));
    let confidence = match restarted.paired {
        Some(edge) if restarted.joins.is_empty() => edge.confidence(),
        _ => Confidence::High,
    };
    let mut evidence = [by_ids, by_times, beyond_chance].into_iter().flatten();
    let Some(proof) = evidence.next() else { unreachable!("an edge has a join or a pair") };
    Break {
        rule: "orphan-span",
        from: Some(Place::Site(exit)),
        to: Place::Site(entry),
        confidence: Confidence::Certain,
        severity: Severity::Error,
        cause: Some(Opinion { cause: &trace_restarted::CAUSE, confidence }),
        other_causes: Vec::new(),
        title: "is called in one trace and answers in another".to_owned(),
        message: "The call is one trace, and its handling another, which hangs on a span that is not there."
            .to_owned(),
        spans,
        rate: Some(rate(broken, broken + facts.corpus.joined(exit, entry), RateUnit::Calls)),
        proof,
        support: evidence.collect(),
    }
}

fn damaged_by_pair(pair: &Pair) -> Damaged {
    Damaged {
        trace_id: pair.entry.trace_id,
        span_id: pair.entry.span_id,
        operation: pair.entry.operation,
        start_ns: pair.entry.start_ns,
        source: pair.entry.source,
        parent: Some(ProposedParent {
            trace_id: pair.exit.trace_id,
            span_id: pair.exit.span_id,
            confidence: pair.confidence(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn the_parent_may_be_named_across_traces() {
        check(
            "
web  GET /  server  0..60
  web  GET  client  5..50  http=/stock/7  id=call

stock  GET /stock/:id  server  10..40  http=/stock/7  parent=call  remote  // orphan-span (trace-restarted)
",
        );
    }

    #[test]
    fn repeated_span_ids_prove_nothing() {
        check(
            "
web  GET /  server  0..60  repeat=3
  web  GET  client  5..50  http=/stock/7  id=00000000000000aa

stock  GET /stock/:id  server  9000..9040  http=/stock/9  parent=00000000000000aa  remote  // orphan-span (external-caller)
",
        );
    }

    #[test]
    fn requests_from_outside_at_other_times_have_callers_outside() {
        check(
            "
shop  POST  client  0..40  http=/charges  repeat=30

bank  POST /charges  server  500..530  http=/charges  parent=outside  remote  repeat=30  // orphan-span (external-caller)
",
        );
    }

    #[test]
    fn callers_that_are_sampled_out_meet_other_calls_by_chance() {
        // The caller's other traces are there; its calls are answered.
        check(
            "
web  GET /  server  0..60  repeat=20
  web  GET  client  5..50  http=/stock/7
    stock  GET /stock/:id  server  10..40  http=/stock/7

web  GET /  server  2000..2060  repeat=3
  web  GET  client  2005..2050  http=/stock/7

stock  GET /stock/:id  server  2010..2040  http=/stock/7  parent=sampled-out  remote  repeat=2  // orphan-span

stock  GET /stock/:id  server  6010..6040  http=/stock/7  parent=sampled-out  remote  repeat=20  // orphan-span
",
        );
    }

    #[test]
    fn messages_handled_inside_one_lost_span_were_not_restarted() {
        check(
            "
orders  jobs publish  producer  0..4  queue=jobs  message=a

orders  jobs publish  producer  100..104  queue=jobs  message=b

mailer  jobs process  consumer  30..60  queue=jobs  message=a  parent=loop  // orphan-span
mailer  jobs process  consumer  130..160  queue=jobs  message=b  parent=loop
",
        );
    }

    #[test]
    fn roots_and_orphans_share_the_calls() {
        check(
            "
web  GET /  server  0..60  repeat=8
  web  GET  client  5..50  http=/stock/7

web  GET /  server  3000..3060  repeat=8
  web  GET  client  3005..3050  http=/stock/7

stock  GET /stock/:id  server  10..40  http=/stock/7  repeat=8  // detached-entry

stock  GET /stock/:id  server  3010..3040  http=/stock/7  parent=mesh  remote  repeat=8  // orphan-span (trace-restarted)
",
        );
    }
}
