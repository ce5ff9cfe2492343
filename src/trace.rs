//! One trace: the flat pass that finds every span's parent and every irregularity in one sweep
//! over the sorted records, without building a graph.
//!
//! Definitions: a *key* is a span id within the trace; a *node* is a record after equal copies were
//! collapsed; colliding copies (one id, different content) stay separate nodes of one key.

use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;

use crate::model::{SpanId, SpanKind, TraceId};
use crate::store::{Facts, Names, Partition, ServiceId, SpanRecord};

/// Most copies of one span that are compared with one of another input.
const MOST_COPIES: usize = 64;

/// Where the parent of a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// The span has none: a root span.
    None,
    /// It names one that is not in the trace: an orphan span.
    Missing,
    /// It names itself.
    Itself,
    /// Index of its record.
    Span(u32),
}

/// What a record is among the records with its span id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyKind {
    /// The first, most often the only one.
    First,
    /// An equal copy of the record before it.
    Equal,
    /// Another content under the same id.
    Different,
    /// The server half of a shared pair (Zipkin's B3 servers reuse the id of the client span).
    SharedServer,
    /// A whole trace of another input repeated; left out of everything.
    Repeated,
}

/// Which spans are judged. The others still count as parents.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// By service number; `None` for all.
    pub services: Option<Vec<bool>>,
    /// By resource number; `None` for all.
    pub resources: Option<Vec<bool>>,
    /// Sorted trace ids; `None` for all.
    pub trace_ids: Option<Vec<TraceId>>,
    /// Earliest start in ns.
    pub from_ns: Option<i64>,
    /// Latest start in ns, exclusive.
    pub to_ns: Option<i64>,
}

impl Scope {
    fn has_trace(&self, trace_id: TraceId) -> bool {
        self.trace_ids.as_ref().is_none_or(|ids| ids.binary_search(&trace_id).is_ok())
    }

    fn has_span(&self, names: &Names, record: &SpanRecord) -> bool {
        let operation = names.operation(record.operation);
        self.from_ns.is_none_or(|from| record.start_ns() >= from)
            && self.to_ns.is_none_or(|to| record.start_ns() < to)
            && self.resources.as_ref().is_none_or(|resources| resources[operation.resource as usize])
            && self
                .services
                .as_ref()
                .is_none_or(|services| services[names.site(operation.site).service as usize])
    }

    fn is_everything(&self) -> bool {
        self.services.is_none()
            && self.resources.is_none()
            && self.trace_ids.is_none()
            && self.from_ns.is_none()
            && self.to_ns.is_none()
    }
}

/// Counts over traces; see `Summary` in the report for what each means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names and meanings are those of `report::Summary`")]
pub struct TraceCounts {
    pub traces: u64,
    pub orphan_spans: u64,
    pub missing_parents: u64,
    pub traces_with_orphans: u64,
    pub traces_without_root: u64,
    pub traces_with_multiple_roots: u64,
    pub fragments: u64,
    pub self_parents: u64,
    pub cycle_spans: u64,
    pub exact_duplicate_ids: u64,
    pub colliding_ids: u64,
    pub extra_copies: u64,
    pub shared_pairs: u64,
    pub zero_durations: u64,
    pub negative_durations: u64,
    pub repeated_across_inputs: u64,
    pub outside_filter: u64,
}

impl std::ops::AddAssign for TraceCounts {
    fn add_assign(&mut self, other: Self) {
        self.traces += other.traces;
        self.orphan_spans += other.orphan_spans;
        self.missing_parents += other.missing_parents;
        self.traces_with_orphans += other.traces_with_orphans;
        self.traces_without_root += other.traces_without_root;
        self.traces_with_multiple_roots += other.traces_with_multiple_roots;
        self.fragments += other.fragments;
        self.self_parents += other.self_parents;
        self.cycle_spans += other.cycle_spans;
        self.exact_duplicate_ids += other.exact_duplicate_ids;
        self.colliding_ids += other.colliding_ids;
        self.extra_copies += other.extra_copies;
        self.shared_pairs += other.shared_pairs;
        self.zero_durations += other.zero_durations;
        self.negative_durations += other.negative_durations;
        self.repeated_across_inputs += other.repeated_across_inputs;
        self.outside_filter += other.outside_filter;
    }
}

/// One trace after the flat pass.
pub struct TraceView<'s> {
    /// Trace id.
    pub trace_id: TraceId,
    /// Names.
    pub names: &'s Names,
    /// The partition that holds the trace, for boundary and link rows.
    pub partition: &'s Partition,
    /// Records sorted by span id.
    pub spans: &'s [SpanRecord],
    /// Parent of each record.
    pub parents: &'s [Parent],
    /// What each record is among its copies.
    pub copies: &'s [CopyKind],
    /// The keys in the order of their ids.
    pub keys: &'s [Key],
    /// Index of the key of each record.
    pub key_of: &'s [u32],
    /// Head records of the keys that lie on a parent cycle of two or more, ascending.
    pub cycle: &'s [u32],
    /// Counts of this trace.
    pub counts: TraceCounts,
    scope: &'s Scope,
    all_in_scope: bool,
}

impl<'s> TraceView<'s> {
    /// Whether this record is judged.
    pub fn in_scope(&self, index: usize) -> bool {
        self.all_in_scope || self.scope.has_span(self.names, &self.spans[index])
    }

    /// Whether this record is a node, not an equal copy or a repetition.
    pub fn is_node(&self, index: usize) -> bool {
        !matches!(self.copies[index], CopyKind::Equal | CopyKind::Repeated)
    }

    /// The nodes that are judged, with their indices.
    pub fn nodes(&self) -> impl Iterator<Item = (usize, &'s SpanRecord)> + '_ {
        let spans = self.spans;
        (0..spans.len())
            .filter(|index| self.is_node(*index) && self.in_scope(*index))
            .map(move |index| (index, &spans[index]))
    }

    /// The record of the parent, if it is in the trace.
    pub fn parent_of(&self, index: usize) -> Option<&'s SpanRecord> {
        match self.parents[index] {
            Parent::Span(parent) => Some(&self.spans[parent as usize]),
            Parent::None | Parent::Missing | Parent::Itself => None,
        }
    }

    /// Whether several nodes have the id of this record, so that it cannot be told which one is meant.
    pub fn is_ambiguous(&self, index: usize) -> bool {
        self.key(index).is_ambiguous
    }

    /// The key of a record.
    pub fn key(&self, index: usize) -> &'s Key {
        &self.keys[self.key_of[index] as usize]
    }

    /// Kind of a record.
    pub fn kind(&self, index: usize) -> SpanKind {
        self.names.operation(self.spans[index].operation).kind
    }

    /// Service of a record.
    pub fn service(&self, index: usize) -> ServiceId {
        service(self.names, &self.spans[index])
    }
}

fn service(names: &Names, record: &SpanRecord) -> ServiceId {
    names.site(names.site_of(record.operation)).service
}

/// A span id of the trace and the records that have it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Index of its first record.
    pub start: u32,
    /// Index behind its last record.
    pub end: u32,
    /// Its first record that counts; the client half of a shared pair.
    pub head: u32,
    /// The server half of a shared pair.
    pub server: Option<u32>,
    /// Several nodes with different content have this id.
    pub is_ambiguous: bool,
}

impl Key {
    /// Indices of its records.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The flat pass, with its buffers kept between traces.
#[derive(Debug, Default)]
pub struct FlatPass {
    parents: Vec<Parent>,
    copies: Vec<CopyKind>,
    keys: Vec<Key>,
    key_of: Vec<u32>,
    union: Vec<u32>,
    children: Vec<u32>,
    stack: Vec<u32>,
    cycle: Vec<u32>,
    missing: Vec<SpanId>,
}

impl FlatPass {
    /// Runs over the records of one trace, which are sorted by span id and not empty. `None` when
    /// nothing of the trace is judged.
    pub fn run<'p>(
        &'p mut self,
        names: &'p Names,
        partition: &'p Partition,
        spans: &'p [SpanRecord],
        scope: &'p Scope,
    ) -> Option<TraceView<'p>> {
        let trace_id = spans.first()?.trace_id();
        if !scope.has_trace(trace_id) {
            return None;
        }
        let all_in_scope = scope.is_everything();
        let judged = spans.iter().filter(|span| all_in_scope || scope.has_span(names, span)).count();
        if judged == 0 {
            return None;
        }
        let mut counts = TraceCounts { traces: 1, ..TraceCounts::default() };
        counts.outside_filter = (spans.len() - judged) as u64;
        self.copies.clear();
        self.copies.resize(spans.len(), CopyKind::First);
        self.parents.clear();
        self.parents.resize(spans.len(), Parent::None);
        self.find_keys(spans);
        self.mark_repeated(names, spans);
        self.mark_copies(names, spans);
        self.find_parents(names, spans);
        self.find_cycle();
        let mut view = TraceView {
            trace_id,
            names,
            partition,
            spans,
            parents: &self.parents,
            copies: &self.copies,
            keys: &self.keys,
            key_of: &self.key_of,
            cycle: &self.cycle,
            counts,
            scope,
            all_in_scope,
        };
        count_copies(&view, &mut counts);
        count_spans(&view, &mut counts, &mut self.missing);
        counts.fragments = fragments(&view, &mut self.union);
        view.counts = counts;
        Some(view)
    }

    fn find_keys(&mut self, spans: &[SpanRecord]) {
        self.keys.clear();
        self.key_of.clear();
        for (index, span) in spans.iter().enumerate() {
            let index = index as u32;
            match self.keys.last_mut() {
                Some(key) if spans[key.start as usize].span_id() == span.span_id() => key.end = index + 1,
                _ => self.keys.push(Key {
                    start: index,
                    end: index + 1,
                    head: index,
                    server: None,
                    is_ambiguous: false,
                }),
            }
            self.key_of.push(self.keys.len() as u32 - 1);
        }
    }

    fn head(&self, index: usize) -> u32 {
        self.keys[self.key_of[index] as usize].head
    }

    /// Marks the records of inputs that repeat what another input has of this trace.
    fn mark_repeated(&mut self, names: &Names, spans: &[SpanRecord]) {
        let first = spans[0].input();
        if spans.iter().all(|span| span.input() == first) {
            return;
        }
        let mut by_input: Vec<u32> = (0..spans.len() as u32).collect();
        by_input.sort_by_key(|index| spans[*index as usize].input());
        let groups =
            by_input.chunk_by(|one, other| spans[*one as usize].input() == spans[*other as usize].input());
        let mut groups: Vec<&[u32]> = groups.collect();
        // The input that has most of the trace keeps its records.
        groups.sort_by_key(|group| (usize::MAX - group.len(), spans[group[0] as usize].input()));
        let mut kept = vec![false; spans.len()];
        for (nth, group) in groups.into_iter().enumerate() {
            let repeats = nth > 0
                && group.iter().all(|index| {
                    let index = *index as usize;
                    let key = self.keys[self.key_of[index] as usize];
                    // The bound keeps this linear when all ids of a trace are equal.
                    let mut copies = key.range().filter(|other| kept[*other]).take(MOST_COPIES);
                    copies.any(|other| is_same_span(names, &spans[index], &spans[other]))
                });
            for index in group {
                let index = *index as usize;
                if repeats {
                    self.copies[index] = CopyKind::Repeated;
                } else {
                    kept[index] = true;
                }
            }
        }
    }

    fn mark_copies(&mut self, names: &Names, spans: &[SpanRecord]) {
        for number in 0..self.keys.len() {
            let key = self.keys[number];
            if key.end - key.start > 1 {
                self.keys[number] = self.mark_key(names, spans, key);
            }
        }
    }

    fn mark_key(&mut self, names: &Names, spans: &[SpanRecord], mut key: Key) -> Key {
        let live: Vec<usize> =
            key.range().filter(|index| self.copies[*index] != CopyKind::Repeated).collect();
        let kind = |index: usize| names.operation(spans[index].operation).kind;
        let has_client = live.iter().any(|index| kind(*index) == SpanKind::Client);
        let is_server_half =
            |index: usize| spans[index].has(Facts::SHARED) || (has_client && kind(index) == SpanKind::Server);
        let is_pair = live.iter().any(|index| is_server_half(*index))
            && live.iter().any(|index| !is_server_half(*index));
        let mut last: [Option<usize>; 2] = [None, None];
        for index in live {
            let half = usize::from(is_pair && is_server_half(index));
            self.copies[index] = match last[half] {
                None if half == 1 => {
                    key.server = Some(index as u32);
                    CopyKind::SharedServer
                }
                None => {
                    key.head = index as u32;
                    CopyKind::First
                }
                Some(before) if spans[before].is_equal_copy(&spans[index]) => CopyKind::Equal,
                Some(_) => {
                    key.is_ambiguous = true;
                    CopyKind::Different
                }
            };
            last[half] = Some(index);
        }
        key
    }

    fn find_parents(&mut self, names: &Names, spans: &[SpanRecord]) {
        for index in 0..spans.len() {
            self.parents[index] = self.find_parent(names, spans, index);
        }
    }

    fn find_parent(&self, names: &Names, spans: &[SpanRecord], index: usize) -> Parent {
        let span = &spans[index];
        if self.copies[index] == CopyKind::SharedServer {
            return Parent::Span(self.head(index));
        }
        let Some(parent_id) = span.parent_id() else {
            return Parent::None;
        };
        if parent_id == span.span_id() {
            // A further copy of the server half names the shared id as well.
            let head = self.head(index);
            let is_server_half = span.has(Facts::SHARED) && head as usize != index;
            return if is_server_half { Parent::Span(head) } else { Parent::Itself };
        }
        let found = self.keys.binary_search_by_key(&parent_id, |key| spans[key.start as usize].span_id());
        let Ok(found) = found else {
            return Parent::Missing;
        };
        let key = self.keys[found];
        if self.copies[key.head as usize] == CopyKind::Repeated {
            return Parent::Missing;
        }
        // Of a shared pair, the half that belongs to the service of the child is meant.
        let is_same_service = |half: &u32| service(names, &spans[*half as usize]) == service(names, span);
        Parent::Span(key.server.filter(is_same_service).unwrap_or(key.head))
    }

    /// Finds the keys on parent cycles: keys without children are taken away until none is left
    /// that can be; what remains is walked for strongly connected components.
    fn find_cycle(&mut self) {
        let len = self.parents.len();
        self.cycle.clear();
        self.children.clear();
        self.children.resize(len, 0);
        for index in 0..len {
            if let Some(parent) = self.parent_key(index) {
                self.children[parent as usize] += 1;
            }
        }
        let (children, copies) = (&self.children, &self.copies);
        let childless = self
            .keys
            .iter()
            .map(|key| key.head)
            .filter(|head| children[*head as usize] == 0 && copies[*head as usize] != CopyKind::Repeated);
        self.stack.clear();
        self.stack.extend(childless);
        while let Some(key) = self.stack.pop() {
            for index in self.keys[self.key_of[key as usize] as usize].range() {
                let Some(parent) = self.parent_key(index) else { continue };
                self.children[parent as usize] -= 1;
                if self.children[parent as usize] == 0 {
                    self.stack.push(parent);
                }
            }
        }
        if self.children.iter().any(|count| *count > 0) {
            self.cycle = self.cycle_keys(len);
        }
    }

    /// The key that the node at this index has as parent, if that is another key in the trace.
    fn parent_key(&self, index: usize) -> Option<u32> {
        if matches!(self.copies[index], CopyKind::Equal | CopyKind::Repeated) {
            return None;
        }
        let Parent::Span(parent) = self.parents[index] else { return None };
        let key = self.head(parent as usize);
        (key != self.head(index)).then_some(key)
    }

    fn cycle_keys(&self, len: usize) -> Vec<u32> {
        let mut graph: DiGraph<u32, ()> = DiGraph::new();
        let mut indices = vec![None; len];
        for key in (0..len).filter(|key| self.children[*key] > 0) {
            indices[key] = Some(graph.add_node(key as u32));
        }
        for index in 0..len {
            let Some(parent) = self.parent_key(index) else { continue };
            let key = self.head(index) as usize;
            if let (Some(child), Some(parent)) = (indices[key], indices[parent as usize]) {
                graph.update_edge(child, parent, ());
            }
        }
        let components = kosaraju_scc(&graph).into_iter().filter(|component| component.len() > 1);
        let mut keys: Vec<u32> = components.flatten().map(|node| graph[node]).collect();
        keys.sort_unstable();
        keys
    }
}

/// Whether two records with one id, from different inputs, are the same span. Formats keep times
/// in different steps, so starts may differ by what µs cut off.
fn is_same_span(names: &Names, one: &SpanRecord, other: &SpanRecord) -> bool {
    const MICROSECOND_NS: i64 = 1_000;
    let (a, b) = (names.operation(one.operation), names.operation(other.operation));
    (one.start_ns() - other.start_ns()).abs() < MICROSECOND_NS
        && a.kind == b.kind
        && names.name_of(one.operation).eq_ignore_ascii_case(names.name_of(other.operation))
}

fn count_copies(view: &TraceView<'_>, counts: &mut TraceCounts) {
    for key in view.keys {
        if key.end - key.start > 1 && view.in_scope(key.head as usize) {
            count_key(&view.copies[key.range()], counts);
        }
    }
    let repeated = view.copies.iter().filter(|copy| **copy == CopyKind::Repeated);
    counts.repeated_across_inputs = repeated.count() as u64;
}

fn count_key(copies: &[CopyKind], counts: &mut TraceCounts) {
    let count = |kind: CopyKind| copies.iter().filter(|copy| **copy == kind).count() as u64;
    let extra = count(CopyKind::Equal) + count(CopyKind::Different);
    counts.shared_pairs += count(CopyKind::SharedServer);
    counts.extra_copies += extra;
    if count(CopyKind::Different) > 0 {
        counts.colliding_ids += 1;
    } else if extra > 0 {
        counts.exact_duplicate_ids += 1;
    }
}

fn count_spans(view: &TraceView<'_>, counts: &mut TraceCounts, missing: &mut Vec<SpanId>) {
    missing.clear();
    let mut roots = 0;
    let mut last_orphan = None;
    for index in 0..view.spans.len() {
        if !view.is_node(index) {
            continue;
        }
        let span = &view.spans[index];
        roots += u64::from(view.parents[index] == Parent::None);
        if !view.in_scope(index) {
            continue;
        }
        match view.parents[index] {
            Parent::Missing => {
                missing.extend(span.parent_id());
                counts.orphan_spans += u64::from(last_orphan != Some(span.span_id()));
                last_orphan = Some(span.span_id());
            }
            Parent::Itself => counts.self_parents += 1,
            Parent::None | Parent::Span(_) => {}
        }
        counts.zero_durations += u64::from(span.is_timed() && span.duration_ns() == 0);
        counts.negative_durations += u64::from(span.has(Facts::NEGATIVE));
    }
    missing.sort_unstable();
    missing.dedup();
    counts.missing_parents = missing.len() as u64;
    counts.traces_with_orphans = u64::from(!missing.is_empty());
    counts.traces_without_root = u64::from(roots == 0);
    counts.traces_with_multiple_roots = u64::from(roots > 1);
    counts.cycle_spans = view.cycle.len() as u64;
}

/// Connected pieces: keys joined by parents that are in the trace.
fn fragments(view: &TraceView<'_>, union: &mut Vec<u32>) -> u64 {
    union.clear();
    union.extend(0..view.keys.len() as u32);
    let live = view.keys.iter().filter(|key| view.copies[key.head as usize] != CopyKind::Repeated);
    let mut pieces = live.count() as u64;
    for index in 0..view.spans.len() {
        if !view.is_node(index) {
            continue;
        }
        let Parent::Span(parent) = view.parents[index] else { continue };
        let (one, other) = (find(union, view.key_of[index]), find(union, view.key_of[parent as usize]));
        if one != other {
            union[one as usize] = other;
            pieces -= 1;
        }
    }
    pieces
}

/// Root of a piece, halving the path on the way.
fn find(union: &mut [u32], mut at: u32) -> u32 {
    while union[at as usize] != at {
        union[at as usize] = union[union[at as usize] as usize];
        at = union[at as usize];
    }
    at
}
