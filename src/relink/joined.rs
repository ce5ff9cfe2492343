//! One trace together with those that the diagnosis would attach to it, or it to them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::spans::{self, MissingSpans};
use super::{Proposal, Proposals};
use crate::analysis::Analysis;
use crate::graph::{Node, SpanGraph};
use crate::model::{SpanId, TraceId};
use crate::report::ExemplarSpan;
use crate::store::{SpanRecord, Store};
use crate::trace::{FlatPass, Scope};

/// Traces that are drawn together at most. What belongs together is one request, and a hundred services
/// in one request are more than anybody reads; a trace id that is used for many requests is connected
/// with all of them.
const MOST_TRACES: usize = 100;
/// Spans that other traces bring at most, for the same reason.
const MOST_SPANS: usize = 10_000;

/// Traces that belong together.
pub(crate) struct Connected {
    /// The trace that was asked for, then the nearest.
    pub(crate) traces: Vec<TraceId>,
    /// How many more there are at least.
    pub(crate) left_out: usize,
}

/// The traces that proposals connect with a trace.
pub(crate) fn connected(trace_id: TraceId, proposals: &Proposals<'_>, store: &Store) -> Connected {
    let mut traces = vec![trace_id];
    let (mut known, mut queue) = (BTreeSet::from([trace_id]), VecDeque::from([trace_id]));
    let (mut left_out, mut spans) = (0, 0);
    while let Some(trace_id) = queue.pop_front() {
        for other in proposals.neighbours(trace_id) {
            let Some((_, records)) = store.trace(other).filter(|_| known.insert(other)) else { continue };
            if traces.len() == MOST_TRACES || spans + records.len() > MOST_SPANS {
                left_out += 1;
                continue;
            }
            spans += records.len();
            traces.push(other);
            queue.push_back(other);
        }
    }
    Connected { traces, left_out }
}

/// A span of a joined trace.
pub(crate) struct Joined {
    /// As it stands in a report.
    pub(crate) span: ExemplarSpan,
    /// Its ids, for a span that was read.
    pub(crate) key: Option<(TraceId, SpanId)>,
    /// What is known about a span that was not.
    pub(crate) note: Option<String>,
    /// The ids of the proposed parent on which it hangs.
    pub(crate) proposed: Option<(TraceId, SpanId)>,
}

/// A node while the traces are put together.
struct Piece<'s> {
    joined: Joined,
    trace: usize,
    record: Option<&'s SpanRecord>,
    span_id: SpanId,
    parent: Option<usize>,
    start_ns: i64,
}

/// Puts the spans of connected traces in the order of one tree, with the proposed parents; what is not
/// connected with the first trace is left out.
pub(crate) fn join(traces: &[TraceId], proposals: &Proposals<'_>, analysis: &Analysis) -> Vec<Joined> {
    let mut pieces = Vec::new();
    for (number, trace_id) in traces.iter().enumerate() {
        load(number, *trace_id, analysis, &mut pieces);
    }
    attach(traces, proposals, &mut pieces);
    in_tree_order(pieces)
}

fn load<'s>(number: usize, trace_id: TraceId, analysis: &'s Analysis, pieces: &mut Vec<Piece<'s>>) {
    let Some((partition, records)) = analysis.store.trace(trace_id) else { return };
    let (mut pass, everything) = (FlatPass::default(), Scope::default());
    let Some(trace) = pass.run(&analysis.store.names, partition, records, &everything) else { return };
    let missing = MissingSpans::of(&trace, &analysis.corpus);
    let graph = SpanGraph::new(&trace);
    let mut places = BTreeMap::new();
    let first = pieces.len();
    for (index, _) in graph.in_tree_order() {
        let node = graph.node(index);
        places.insert(index, pieces.len());
        let (span_id, record) = match node {
            Node::Span(index) => (records[index as usize].span_id(), Some(&records[index as usize])),
            Node::Missing(span_id) => (span_id, None),
        };
        let is_made_up = || analysis.store.accounting.invented.contains(&(trace_id, span_id));
        let note = if record.is_none() { missing.note(span_id, is_made_up()) } else { None };
        pieces.push(Piece {
            joined: Joined {
                span: spans::node(&trace, &missing, node, false),
                key: record.map(|_| (trace_id, span_id)),
                note,
                proposed: None,
            },
            trace: number,
            record,
            span_id,
            parent: graph.parent(index).and_then(|parent| places.get(&parent).copied()),
            start_ns: record.map_or(i64::MAX, SpanRecord::start_ns),
        });
    }
    // A missing span stands where its first child does. Children come behind their parents.
    for child in (first..pieces.len()).rev() {
        let start_ns = pieces[child].start_ns;
        if let Some(parent) = pieces[child].parent.filter(|parent| pieces[*parent].record.is_none()) {
            pieces[parent].start_ns = pieces[parent].start_ns.min(start_ns);
        }
    }
}

/// Which piece hangs on which by a proposal.
struct Attachment<'p, 'f> {
    child: usize,
    parent: usize,
    proposal: &'p Proposal<'f>,
}

/// Hangs pieces on their proposed parents, the surest first. A missing parent stays between the two,
/// unless it is the proposed one. A proposal that would close a circle is left out.
fn attach(traces: &[TraceId], proposals: &Proposals<'_>, pieces: &mut [Piece<'_>]) {
    let mut attachments = attachments(traces, proposals, pieces);
    attachments.sort_by_key(|attachment| (Reverse(attachment.proposal.parent.confidence), attachment.child));
    let mut seen = BTreeSet::new();
    attachments.retain(|attachment| seen.insert(attachment.child));
    let mut trees = DisjointSets::new(pieces.len());
    for (child, piece) in pieces.iter().enumerate() {
        if let Some(parent) = piece.parent.filter(|_| !seen.contains(&child)) {
            trees.join(child, parent);
        }
    }
    for Attachment { child, parent, proposal } in attachments {
        if trees.join(child, parent) {
            let record = pieces[parent].record;
            let piece = &mut pieces[child];
            piece.parent = Some(parent);
            piece.joined.proposed = Some((proposal.parent.trace_id, proposal.parent.span_id));
            spans::propose(&mut piece.joined.span, proposal.parent(), record);
        } else if pieces[child].parent.is_some_and(|recorded| !trees.join(child, recorded)) {
            pieces[child].parent = None;
        }
    }
}

fn attachments<'p, 'f>(
    traces: &[TraceId],
    proposals: &'p Proposals<'f>,
    pieces: &[Piece<'_>],
) -> Vec<Attachment<'p, 'f>> {
    let mut places: BTreeMap<(TraceId, SpanId), usize> = BTreeMap::new();
    for (place, piece) in pieces.iter().enumerate() {
        if let Some(key) = piece.joined.key {
            places.entry(key).or_insert(place);
        }
    }
    let attachment = |(place, piece): (usize, &Piece<'_>)| {
        let proposal = proposals.of_span(traces[piece.trace], piece.joined.key?.1)?;
        let parent = *places.get(&(proposal.parent.trace_id, proposal.parent.span_id))?;
        let missing = piece.parent.filter(|above| pieces[*above].record.is_none());
        let child =
            missing.filter(|above| pieces[*above].span_id != proposal.parent.span_id).unwrap_or(place);
        Some(Attachment { child, parent, proposal })
    };
    pieces.iter().enumerate().filter_map(attachment).collect()
}

/// Parents before children, siblings by start; only trees that have a span of the first trace.
fn in_tree_order(pieces: Vec<Piece<'_>>) -> Vec<Joined> {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); pieces.len()];
    let mut roots = Vec::new();
    for (child, piece) in pieces.iter().enumerate() {
        match piece.parent {
            Some(parent) => children[parent].push(child),
            None => roots.push(child),
        }
    }
    let by_start = |place: &usize| (pieces[*place].start_ns, *place);
    roots.sort_by_key(by_start);
    for siblings in &mut children {
        siblings.sort_by_key(by_start);
    }
    let mut order = Vec::with_capacity(pieces.len());
    for root in roots {
        let start = order.len();
        let mut open = vec![root];
        while let Some(place) = open.pop() {
            order.push(place);
            open.extend(children[place].iter().rev());
        }
        // A missing span that was found in another trace has no child left.
        let is_left_over = pieces[root].record.is_none() && order.len() == start + 1;
        if is_left_over || order[start..].iter().all(|place| pieces[*place].trace != 0) {
            order.truncate(start);
        }
    }
    let mut pieces: Vec<Option<Joined>> = pieces.into_iter().map(|piece| Some(piece.joined)).collect();
    order.into_iter().filter_map(|place| pieces[place].take()).collect()
}

/// Which pieces are in one tree.
struct DisjointSets {
    above: Vec<usize>,
}

impl DisjointSets {
    fn new(len: usize) -> Self {
        Self { above: (0..len).collect() }
    }

    fn find(&mut self, mut of: usize) -> usize {
        while self.above[of] != of {
            self.above[of] = self.above[self.above[of]];
            of = self.above[of];
        }
        of
    }

    /// Joins the sets of two members; `false` when they are in one set already.
    fn join(&mut self, one: usize, other: usize) -> bool {
        let (one, other) = (self.find(one), self.find(other));
        self.above[one] = other;
        one != other
    }
}
