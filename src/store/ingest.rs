//! From a whole span to its record: the one place where the structural depth is derived.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::fast::FixedState;
use xxhash_rust::xxh3::xxh3_64;

use super::accounting::BlockFacts;
use super::intern::Interner;
use super::partition::{PARTITIONS, Rows, index_of};
use super::record::{BoundaryRow, Facts, LinkRow, SpanRecord};
use crate::formats::{Block, Origin};
use crate::model::sensitive::{self, Holder};
use crate::model::{Attribute, Event, Link, Span, Value, boundary};

/// What one worker has decoded.
#[derive(Debug)]
pub struct WorkerStore {
    interner: Interner,
    partitions: Vec<Rows>,
    finished: Vec<BlockFacts>,
    current: BlockFacts,
    /// What is known of the origins of the current block, by their serial.
    origins: Vec<Option<KnownOrigin>>,
}

/// A resource and scope of the current block.
#[derive(Clone, Copy, Debug)]
struct KnownOrigin {
    resource: u32,
    scope: u32,
    /// Hash of the attributes of the resource.
    hash: u64,
    /// Whether an attribute of the resource is sensitive.
    is_sensitive: bool,
}

/// A span that was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// Worker-local operation number.
    pub operation: u32,
    /// Whether something in the span or its resource is sensitive.
    pub is_sensitive: bool,
}

impl Default for WorkerStore {
    fn default() -> Self {
        Self {
            interner: Interner::default(),
            partitions: (0..PARTITIONS).map(|_| Rows::default()).collect(),
            finished: Vec::new(),
            current: BlockFacts::default(),
            origins: Vec::new(),
        }
    }
}

impl WorkerStore {
    /// Begins a block of an input.
    pub fn begin(&mut self, input: usize, block: &Block) {
        self.origins.clear();
        self.current = BlockFacts {
            input,
            offset: block.offset,
            bytes: block.own_len() as u64,
            ..BlockFacts::default()
        };
    }

    /// Ends the block.
    pub fn end(&mut self) {
        self.finished.push(std::mem::take(&mut self.current));
    }

    /// Facts about the current block.
    pub const fn facts(&mut self) -> &mut BlockFacts {
        &mut self.current
    }

    /// Takes a span in.
    pub fn add(&mut self, span: &Span<'_>, origin: Origin<'_, '_>) -> Added {
        let origin = self.origin(origin);
        let operation = self.interner.operation(origin.resource, origin.scope, span.kind, &span.name);
        let boundary = boundary::of_span(span);
        let content = content_hash(span, origin.hash);
        let mut record = SpanRecord::new(span, operation, content, self.current.input, boundary.is_some());
        let is_sensitive = origin.is_sensitive || sensitive::in_span(span).next().is_some();
        if is_sensitive {
            record.mark(Facts::SENSITIVE);
        }
        let rows = &mut self.partitions[index_of(span.trace_id)];
        rows.spans.push(record);
        if let Some((boundary, identity)) = boundary {
            rows.boundaries.push(BoundaryRow {
                source: record.source,
                span: record.span_id().0 as u32,
                boundary: self.interner.boundary(&boundary),
                // 0 means that there is none.
                identity: identity
                    .filter(|text| !text.is_empty())
                    .map_or(0, |text| (xxh3_64(text.as_bytes()) as u32).max(1)),
                batch: boundary::batch_size(span),
            });
        }
        for link in &span.links {
            rows.links.push(LinkRow {
                source: record.source,
                trace_id: [link.trace_id.high64(), link.trace_id.low64()],
                span_id: link.span_id.0,
            });
        }
        self.current.spans += 1;
        self.current.timed(span.start_ns, span.end_ns);
        Added { operation, is_sensitive }
    }

    fn origin(&mut self, origin: Origin<'_, '_>) -> KnownOrigin {
        if let Some(Some(known)) = self.origins.get(origin.serial) {
            return *known;
        }
        let attributes = &origin.resource.attributes;
        let hash = attributes_hash(attributes);
        let known = KnownOrigin {
            resource: self.interner.resource(origin.resource, hash),
            scope: self.interner.scope(origin.scope),
            hash,
            is_sensitive: sensitive::in_attributes(attributes, Holder::Resource).next().is_some(),
        };
        if self.origins.len() <= origin.serial {
            self.origins.resize(origin.serial + 1, None);
        }
        self.origins[origin.serial] = Some(known);
        known
    }

    pub(super) fn into_parts(self) -> (Interner, Vec<Rows>, Vec<BlockFacts>) {
        (self.interner, self.partitions, self.finished)
    }
}

/// Everything that the record does not hold itself, in 32 bits: name, attributes, events, links,
/// status message, trace state, dropped counts and resource. Free of order where order means
/// nothing, so that equal copies are equal in any key order. Flags and the backend's warnings are
/// left out: they differ between copies of one span.
fn content_hash(span: &Span<'_>, resource_hash: u64) -> u32 {
    let mut hash = resource_hash;
    hash = combine(hash, text_hash(&span.name));
    hash = combine(hash, attributes_hash(&span.attributes));
    hash = combine(hash, sum(&span.events, event_hash));
    hash = combine(hash, sum(&span.links, link_hash));
    hash = combine(hash, text_hash(&span.status_message));
    hash = combine(hash, span.trace_state.as_deref().map_or(0, text_hash));
    let dropped = [span.dropped_attributes, span.dropped_events, span.dropped_links];
    for count in dropped {
        hash = combine(hash, u64::from(count));
    }
    (hash ^ hash >> 32) as u32
}

fn combine(hash: u64, part: u64) -> u64 {
    (hash.rotate_left(23) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn sum<T>(items: &[T], hash: impl Fn(&T) -> u64) -> u64 {
    items.iter().fold(items.len() as u64, |total, item| total.wrapping_add(hash(item)))
}

/// For texts of a few bytes, of which a span has dozens. The seed is fixed: equal copies may be met
/// by different workers.
fn text_hash(text: &str) -> u64 {
    let mut hasher = FixedState::with_seed(0).build_hasher();
    hasher.write(text.as_bytes());
    hasher.finish()
}

fn attributes_hash(attributes: &[Attribute<'_>]) -> u64 {
    sum(attributes, |attribute| combine(text_hash(&attribute.key), value_hash(&attribute.value)))
}

fn event_hash(event: &Event<'_>) -> u64 {
    let hash = combine(text_hash(&event.name), event.time_ns.unwrap_or(0) as u64);
    combine(hash, attributes_hash(&event.attributes))
}

fn link_hash(link: &Link<'_>) -> u64 {
    let hash = combine(link.trace_id.low64() ^ link.trace_id.high64(), link.span_id.0);
    combine(hash, attributes_hash(&link.attributes))
}

fn value_hash(value: &Value<'_>) -> u64 {
    match value {
        Value::Empty => 0,
        Value::String(text) => text_hash(text),
        Value::Bool(flag) => 1 + u64::from(*flag),
        Value::Int(number) => combine(3, *number as u64),
        Value::Double(number) => combine(4, number.to_bits()),
        Value::Bytes(bytes) => combine(5, xxh3_64(bytes)),
        Value::Array(items) => items.iter().fold(6, |hash, item| combine(hash, value_hash(item))),
        Value::Map(items) => combine(7, attributes_hash(items)),
    }
}
