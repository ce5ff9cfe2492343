//! What analyzers saw. Merging is commutative and associative, so any split of the input in any
//! order gives the same result.

use std::collections::{BTreeMap, BTreeSet};

use crate::corpus::sample::{BottomK, Hashed, Sampled, hash_span};
use crate::corpus::traffic::Affected;
use crate::model::{SpanId, TraceId};
use crate::store::{Names, OperationId, SiteId};
use crate::trace::TraceView;

/// Where something was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Rule that saw it.
    pub rule: &'static str,
    /// Site of the damaged spans.
    pub site: SiteId,
    /// Tells variants of one rule at one site apart; its meaning is the rule's.
    pub variant: u32,
}

/// What was seen at one place.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Spans.
    pub spans: u64,
    /// Traces.
    pub traces: u64,
    /// Earliest start, ns.
    pub first_ns: i64,
    /// Latest start, ns.
    pub last_ns: i64,
    /// The affected spans with the smallest hash.
    pub sample: BottomK<Sampled>,
    /// The affected spans by operation and time.
    pub affected: Affected,
    /// Further counts, by a name of the rule's.
    pub counts: BTreeMap<&'static str, u64>,
    /// Extremes (greatest value seen), by a name of the rule's.
    pub extremes: BTreeMap<&'static str, i64>,
    /// Traces come whole and one after the other, so one look back counts them.
    last_trace: Option<TraceId>,
}

impl Tally {
    fn new(capacity: usize) -> Self {
        Self {
            spans: 0,
            traces: 0,
            first_ns: i64::MAX,
            last_ns: i64::MIN,
            sample: BottomK::new(capacity),
            affected: Affected::default(),
            counts: BTreeMap::new(),
            extremes: BTreeMap::new(),
            last_trace: None,
        }
    }

    /// A count of the rule's, 0 when never counted.
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }

    /// Adds to a count of the rule's.
    pub fn add(&mut self, name: &'static str, amount: u64) {
        *self.counts.entry(name).or_default() += amount;
    }

    /// Raises an extreme of the rule's.
    pub fn raise(&mut self, name: &'static str, value: i64) {
        self.extremes.entry(name).and_modify(|known| *known = (*known).max(value)).or_insert(value);
    }

    /// Joins another tally of the same rule.
    pub fn merge(&mut self, other: &Self) {
        self.spans += other.spans;
        self.traces += other.traces;
        self.first_ns = self.first_ns.min(other.first_ns);
        self.last_ns = self.last_ns.max(other.last_ns);
        self.sample.merge(&other.sample);
        self.affected.merge(&other.affected);
        for (name, count) in &other.counts {
            self.add(name, *count);
        }
        for (name, value) in &other.extremes {
            self.raise(name, *value);
        }
    }
}

/// Texts kept at a place, in the order of the texts.
const TEXTS_KEPT: usize = 5;

/// The spans of one process in one trace, and how many of them are there more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessInTrace {
    /// The sample's hash ([`crate::corpus::hops::hash_in_time`]): whole stretches of time are kept.
    pub hash: u64,
    /// Process: an index into [`Names::resources`].
    pub resource: u32,
    /// Latest end, ns. Exporters send spans in the order of their ends.
    pub end_ns: i64,
    /// Trace.
    pub trace_id: TraceId,
    /// Span ids.
    pub spans: u32,
    /// Of these, those of which there are copies.
    pub copied: u32,
}

impl Hashed for ProcessInTrace {
    fn hash(&self) -> u64 {
        self.hash
    }
}

/// Members kept to tell when copies were made, some 2 MB. Below, nothing is left out.
const PROCESSES_KEPT: usize = 1 << 15;

/// What all analyzers saw.
#[derive(Debug)]
pub struct Observations {
    /// When which process had copies.
    pub processes: BottomK<ProcessInTrace>,
    /// Operations of judged spans, one bit each.
    operations: Vec<u64>,
    capacity: usize,
    tallies: BTreeMap<Place, Tally>,
    texts: BTreeMap<Place, BTreeSet<Box<str>>>,
    /// How many traces have exactly this set of places of a rule: what is needed to count the
    /// distinct traces of any group of places.
    place_sets: BTreeMap<Vec<Place>, u64>,
    /// The counts of those sets, numbered, once everything is merged.
    set_counts: Vec<u64>,
    /// Numbers of the sets that hold a place.
    sets_of: BTreeMap<Place, Vec<usize>>,
    /// Places of the trace that is being looked at.
    current: BTreeSet<Place>,
    /// Whether something is wrong in it.
    is_affected: bool,
    /// Traces in which something is wrong.
    traces: Vec<TraceId>,
}

impl Observations {
    /// Nothing seen yet. `capacity` is how many affected spans are kept a place.
    pub const fn new(capacity: usize) -> Self {
        Self {
            processes: BottomK::new(PROCESSES_KEPT),
            operations: Vec::new(),
            capacity,
            tallies: BTreeMap::new(),
            texts: BTreeMap::new(),
            place_sets: BTreeMap::new(),
            set_counts: Vec::new(),
            sets_of: BTreeMap::new(),
            current: BTreeSet::new(),
            is_affected: false,
            traces: Vec::new(),
        }
    }

    /// Closes a trace after all analyzers have looked at it.
    pub fn end_trace(&mut self, trace_id: TraceId) {
        if self.current.is_empty() {
            return;
        }
        if std::mem::take(&mut self.is_affected) {
            self.traces.push(trace_id);
        }
        let places: Vec<Place> = std::mem::take(&mut self.current).into_iter().collect();
        for set in places.chunk_by(|one, other| one.rule == other.rule) {
            let count = self.place_sets.entry(set.to_vec()).or_default();
            *count += 1;
        }
    }

    /// Draws the conclusions, once everything is merged.
    pub fn finish(&mut self) {
        for (set, count) in std::mem::take(&mut self.place_sets) {
            let number = self.set_counts.len();
            self.set_counts.push(count);
            for place in set {
                self.sets_of.entry(place).or_default().push(number);
            }
        }
    }

    /// Distinct traces with at least one of these places.
    pub fn distinct_traces(&self, places: &[Place]) -> u64 {
        let sets: BTreeSet<usize> =
            places.iter().filter_map(|place| self.sets_of.get(place)).flatten().copied().collect();
        sets.into_iter().map(|set| self.set_counts[set]).sum()
    }

    /// Notes a span of a trace that something is wrong with; returns the tally of its place for further counts.
    pub fn span(
        &mut self,
        rule: &'static str,
        variant: u32,
        trace: &TraceView<'_>,
        index: usize,
    ) -> &mut Tally {
        self.is_affected = true;
        self.candidate(rule, variant, trace, index)
    }

    /// Notes a span that only together with many others says something. Its trace is not among
    /// [`Self::traces`].
    pub fn candidate(
        &mut self,
        rule: &'static str,
        variant: u32,
        trace: &TraceView<'_>,
        index: usize,
    ) -> &mut Tally {
        let span = &trace.spans[index];
        let site = trace.names.site_of(span.operation);
        let place = Place { rule, site, variant };
        self.current.insert(place);
        let capacity = self.capacity;
        let tally = self.tallies.entry(place).or_insert_with(|| Tally::new(capacity));
        tally.spans += 1;
        tally.affected.add(span.operation, trace.trace_id, span.start_ns());
        tally.first_ns = tally.first_ns.min(span.start_ns());
        tally.last_ns = tally.last_ns.max(span.start_ns());
        if tally.last_trace != Some(trace.trace_id) {
            tally.last_trace = Some(trace.trace_id);
            tally.traces += 1;
        }
        tally.sample.insert(sampled(trace.trace_id, span.span_id(), span.source, site, span.start_ns()));
        tally
    }

    /// Adds to a count of a place at which a span was noted before.
    pub fn count(&mut self, place: Place, name: &'static str, amount: u64) {
        if let Some(tally) = self.tallies.get_mut(&place) {
            tally.add(name, amount);
        }
    }

    /// Keeps a text seen at an operation (a number that [`Self::translate`] turns into a site).
    pub fn text(&mut self, rule: &'static str, variant: u32, operation: u32, text: &str) {
        let texts = self.texts.entry(Place { rule, site: operation, variant }).or_default();
        if texts.len() < TEXTS_KEPT || texts.last().is_some_and(|last| **last > *text) {
            texts.insert(Box::from(text));
            if texts.len() > TEXTS_KEPT {
                texts.pop_last();
            }
        }
    }

    /// Notes that a judged span has this operation.
    pub fn operation(&mut self, operation: OperationId) {
        let (word, bit) = (operation as usize / 64, operation % 64);
        if self.operations.len() <= word {
            self.operations.resize(word + 1, 0);
        }
        self.operations[word] |= 1 << bit;
    }

    /// Whether a judged span has this operation.
    pub fn has_operation(&self, operation: OperationId) -> bool {
        let (word, bit) = (operation as usize / 64, operation % 64);
        self.operations.get(word).is_some_and(|bits| bits & 1 << bit != 0)
    }

    /// Goes from a worker's operation numbers to sites.
    pub fn translate(&mut self, operations: &[u32], names: &Names) {
        for (mut place, texts) in std::mem::take(&mut self.texts) {
            place.site = names.site_of(operations[place.site as usize]);
            self.merge_texts(place, texts);
        }
    }

    fn merge_texts(&mut self, place: Place, texts: BTreeSet<Box<str>>) {
        let own = self.texts.entry(place).or_default();
        own.extend(texts);
        while own.len() > TEXTS_KEPT {
            own.pop_last();
        }
    }

    /// Joins other observations.
    pub fn merge(&mut self, mut other: Self) {
        self.processes.drain(&mut other.processes);
        if self.operations.len() < other.operations.len() {
            self.operations.resize(other.operations.len(), 0);
        }
        for (own, bits) in self.operations.iter_mut().zip(&other.operations) {
            *own |= bits;
        }
        self.traces.extend(other.traces);
        for (set, count) in other.place_sets {
            *self.place_sets.entry(set).or_default() += count;
        }
        let capacity = self.capacity;
        for (place, tally) in other.tallies {
            self.tallies.entry(place).or_insert_with(|| Tally::new(capacity)).merge(&tally);
        }
        for (place, texts) in other.texts {
            self.merge_texts(place, texts);
        }
    }

    /// What a rule saw, by place.
    pub fn of(&self, rule: &'static str) -> impl Iterator<Item = (&Place, &Tally)> {
        let first = Place { rule, site: 0, variant: 0 };
        let last = Place { rule, site: SiteId::MAX, variant: u32::MAX };
        self.tallies.range(first..=last)
    }

    /// What was seen at a place.
    pub fn at(&self, place: Place) -> Option<&Tally> {
        self.tallies.get(&place)
    }

    /// Texts kept at a place.
    pub fn texts(&self, place: &Place) -> impl Iterator<Item = &str> {
        self.texts.get(place).into_iter().flatten().map(|text| &**text)
    }

    /// The places of a rule with texts.
    pub fn texts_of(&self, rule: &'static str) -> impl Iterator<Item = (&Place, &BTreeSet<Box<str>>)> {
        let first = Place { rule, site: 0, variant: 0 };
        let last = Place { rule, site: SiteId::MAX, variant: u32::MAX };
        self.texts.range(first..=last)
    }

    /// How many affected spans are kept a place.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// The traces in which something is wrong, each once.
    pub fn traces(&self) -> &[TraceId] {
        &self.traces
    }
}

/// A member of a sample of affected spans.
pub fn sampled(trace_id: TraceId, span_id: SpanId, source: u64, site: SiteId, start_ns: i64) -> Sampled {
    Sampled { hash: hash_span(trace_id, span_id), trace_id, span_id, source, site, start_ns }
}
