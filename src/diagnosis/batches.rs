//! Batches of messages that continue the trace of their first message only.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashSet;

use super::processes::{Process, by_service, damaged_span};
use super::{Break, Damaged, Explained, Facts, Place, sampled_requests, tells_links};
use crate::causes::{Opinion, message_batch_parent};
use crate::corpus::composition::TOLERANCE_NS;
use crate::corpus::hops::UnjoinedSpan;
use crate::corpus::matching::LOOKED_AT;
use crate::corpus::requests::LocalSpan;
use crate::finding::{Evidence, ProposedParent, rate};
use crate::model::{SpanId, SpanKind, TraceId};
use crate::report::{Confidence, RateUnit, Severity};
use crate::store::SiteId;

/// Finds them.
pub(super) fn breaks(facts: &Facts<'_>, explained: &mut Explained) -> Vec<Break> {
    if !tells_links(facts) {
        return Vec::new();
    }
    let rows = facts.deviations.requests.by_process();
    let processes = Process::all(rows, explained);
    let mut sites: BTreeMap<SiteId, Vec<Batch<'_>>> = BTreeMap::new();
    for process in by_service(facts.names, &processes).into_values().flatten() {
        for batch in batches(process) {
            sites.entry(facts.names.site_of(batch.consumer.operation)).or_default().push(batch);
        }
    }
    let mut producers = Producers::of(facts, explained);
    sites.into_iter().filter_map(|(site, batches)| found(facts, site, batches, &mut producers)).collect()
}

/// A consumer span for several messages, and its children by start.
struct Batch<'r> {
    consumer: &'r LocalSpan,
    children: Vec<&'r LocalSpan>,
}

impl Batch<'_> {
    /// Messages: the first one is the parent's.
    fn messages(&self) -> usize {
        self.consumer.unlinked as usize + 1
    }
}

fn batches<'r>(process: &Process<'r>) -> Vec<Batch<'r>> {
    let unlinked = process.requests.iter().filter(|request| request.entry.unlinked > 0);
    let batches = unlinked.map(|request| Batch {
        consumer: request.entry,
        children: request
            .spans
            .iter()
            .copied()
            .filter(|span| span.parent_id == Some(request.entry.span_id))
            .collect(),
    });
    batches.collect()
}

/// Producer spans that nothing answers, by destination.
struct Producers<'f> {
    by_target: BTreeMap<&'f str, Vec<UnjoinedSpan>>,
    taken: BTreeSet<(TraceId, SpanId)>,
}

impl<'f> Producers<'f> {
    fn of(facts: &Facts<'f>, explained: &Explained) -> Self {
        let [exits, _] = facts.corpus.hops.sides(facts.names, &FxHashSet::default());
        let mut by_target: BTreeMap<&str, Vec<UnjoinedSpan>> = BTreeMap::new();
        for exit in exits {
            let is_free = !explained.has_exit(exit.trace_id, exit.span_id);
            if is_free && facts.names.operation(exit.operation).kind == SpanKind::Producer {
                by_target
                    .entry(&facts.names.boundaries[exit.boundary as usize].target)
                    .or_default()
                    .push(exit);
            }
        }
        Self { by_target, taken: BTreeSet::new() }
    }

    /// The producers of the other messages of a batch: those that sent after the first one, first in,
    /// first out; where the first one is unknown, the last ones before the batch.
    fn take(&mut self, target: &str, batch: &Batch<'_>) -> Vec<UnjoinedSpan> {
        let Some(all) = self.by_target.get(target) else { return Vec::new() };
        let before = batch.consumer.start_ns + TOLERANCE_NS;
        let end = all.partition_point(|producer| producer.start_ns <= before);
        let wanted = batch.messages() - 1;
        let is_free = |producer: &&UnjoinedSpan| !self.taken.contains(&(producer.trace_id, producer.span_id));
        let found: Vec<UnjoinedSpan> = if let Some(first) = batch.consumer.parent_end_ns {
            let from = all.partition_point(|producer| producer.end_ns < first - TOLERANCE_NS).min(end);
            all[from..end].iter().filter(is_free).take(wanted).copied().collect()
        } else {
            let last = all[..end].iter().rev().take(LOOKED_AT).filter(is_free).take(wanted);
            let mut last: Vec<UnjoinedSpan> = last.copied().collect();
            last.reverse();
            last
        };
        self.taken.extend(found.iter().map(|producer| (producer.trace_id, producer.span_id)));
        found
    }
}

fn found(
    facts: &Facts<'_>,
    site: SiteId,
    mut batches: Vec<Batch<'_>>,
    producers: &mut Producers<'_>,
) -> Option<Break> {
    batches.sort_by_key(|batch| (batch.consumer.start_ns, batch.consumer.trace_id, batch.consumer.span_id));
    let (mut spans, mut from, mut messages, mut known) = (Vec::new(), BTreeMap::new(), 0, 0);
    for batch in &batches {
        let boundary = facts.names.boundaries.get(batch.consumer.boundary as usize);
        let target = boundary.map_or("", |boundary| &*boundary.target);
        let others = producers.take(target, batch);
        for producer in &others {
            *from.entry(facts.names.site_of(producer.operation)).or_insert(0_u64) += 1;
        }
        messages += batch.messages() - 1;
        known += others.len();
        spans.extend(of_other_messages(batch, &others));
    }
    // Without such producers nothing shows that the others have traces at all.
    if known * 2 < messages || spans.is_empty() {
        return None;
    }
    let from = from.into_iter().max_by_key(|(_, count)| *count).map(|(site, _)| site);
    let children = batches.iter().map(|batch| batch.children.len() as u64).sum();
    Some(Break {
        rule: "misattributed-span",
        from: from.map(Place::Site),
        to: Place::Site(site),
        confidence: Confidence::High,
        severity: Severity::Error,
        cause: Some(Opinion { cause: &message_batch_parent::CAUSE, confidence: Confidence::High }),
        other_causes: Vec::new(),
        title: "handles batches in the trace of their first message".to_owned(),
        message: "A batch has one parent, the producer of its first message. What is done for the other \
                  messages is in that trace too, and their own traces end where they were sent."
            .to_owned(),
        rate: Some(rate(spans.len() as u64, children, RateUnit::Spans)),
        spans,
        proof: Evidence::UnlinkedBatches {
            batches: batches.len() as u64,
            messages: messages as u64,
            unanswered: known as u64,
        },
        support: sampled_requests(facts),
    })
}

/// The children of a batch are taken to be shared out evenly among its messages, in their order.
fn of_other_messages(batch: &Batch<'_>, others: &[UnjoinedSpan]) -> Vec<Damaged> {
    let each = batch.children.len() / batch.messages();
    if each == 0 {
        return Vec::new();
    }
    let rest = batch.children.iter().skip(each).enumerate();
    let damaged = rest.map(|(number, child)| {
        let producer = others.get(number / each).map(|producer| ProposedParent {
            trace_id: producer.trace_id,
            span_id: producer.span_id,
            confidence: Confidence::Medium,
        });
        damaged_span(child, producer)
    });
    damaged.collect()
}
