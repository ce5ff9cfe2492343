//! Samples that do not depend on order: the k members with the smallest hash. Uniform, mergeable,
//! and computable in SQL as well, because the hash is xxHash64 of the ids' bytes.

use xxhash_rust::xxh64::xxh64;

use crate::model::{SpanId, TraceId};
use crate::store::SiteId;

/// A span in a sample. Ordered by hash, then by ids, then by content; where it was read comes last,
/// so that spans that share their ids are chosen alike in any order of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sampled {
    /// The sample's hash.
    pub hash: u64,
    /// Trace.
    pub trace_id: TraceId,
    /// Span.
    pub span_id: SpanId,
    /// Its site.
    pub site: SiteId,
    /// Its start in ns.
    pub start_ns: i64,
    /// Where it was read ([`crate::store::SpanRecord::source`]).
    pub source: u64,
}

/// A member of a sample has a hash.
pub trait Hashed: Ord + Clone {
    /// The hash by which members are chosen.
    fn hash(&self) -> u64;
}

impl Hashed for Sampled {
    fn hash(&self) -> u64 {
        self.hash
    }
}

/// xxHash64 of the 16 bytes of the trace id and the 8 bytes of the span id, both big-endian.
pub fn hash_span(trace_id: TraceId, span_id: SpanId) -> u64 {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&trace_id.0.to_be_bytes());
    bytes[16..].copy_from_slice(&span_id.0.to_be_bytes());
    xxh64(&bytes, 0)
}

/// xxHash64 of the 8 bytes of the span id, big-endian.
pub fn hash_span_id(span_id: SpanId) -> u64 {
    xxh64(&span_id.0.to_be_bytes(), 0)
}

/// Samples of more members get all the memory that they can need at once, up to a bound.
const LARGE: usize = 1 << 10;
const MOST_RESERVED: usize = 1 << 17;

/// The `capacity` smallest members by hash.
#[derive(Clone, Debug)]
pub struct BottomK<T> {
    capacity: usize,
    /// In any order, with a share more than the capacity: sorting them now and then is cheaper than
    /// keeping them sorted.
    members: Vec<T>,
    /// Largest hash that can still be among the smallest.
    bound: u64,
}

impl<T: Hashed> BottomK<T> {
    /// An empty sample.
    pub const fn new(capacity: usize) -> Self {
        Self { capacity, members: Vec::new(), bound: u64::MAX }
    }

    /// Whether a member with this hash would be kept: to be asked before one is made.
    pub const fn wants(&self, hash: u64) -> bool {
        hash <= self.bound
    }

    /// Takes a member in.
    pub fn insert(&mut self, member: T) {
        if !self.wants(member.hash()) || self.capacity == 0 {
            return;
        }
        let most = self.capacity.saturating_add(self.capacity / 4).min(usize::MAX - 1);
        if self.members.len() == self.members.capacity() {
            // Doubling a large sample would leave as much behind, and reserve more than is ever used.
            let room = most + 1 - self.members.len();
            let len = self.members.len();
            let step = if len < LARGE { len.max(8) } else { len.max(MOST_RESERVED) };
            self.members.reserve_exact(step.min(room));
        }
        self.members.push(member);
        if self.members.len() > most {
            self.prune();
        }
    }

    /// Sorts the members and leaves only those that are kept, for [`Self::finished`].
    pub fn finish(&mut self) {
        self.prune();
    }

    /// The members, smallest hash first, if nothing was added since [`Self::finish`].
    pub fn finished(&self) -> &[T] {
        &self.members
    }

    /// Finishes the sample and hands its members over, smallest hash first.
    pub fn take_finished(&mut self) -> Vec<T> {
        self.prune();
        std::mem::take(&mut self.members)
    }

    fn prune(&mut self) {
        self.members.sort_unstable();
        self.members.dedup();
        self.members.truncate(self.capacity);
        if self.members.len() == self.capacity {
            self.bound = self.members.last().map_or(u64::MAX, Hashed::hash);
        }
    }

    /// Joins another sample, leaves it empty, and lets it pass by what is no longer wanted here.
    pub fn drain(&mut self, other: &mut Self) {
        other.members.drain(..).for_each(|member| self.insert(member));
        other.bound = self.bound;
    }

    /// Joins another sample.
    pub fn merge(&mut self, other: &Self) {
        for member in &other.members {
            self.insert(member.clone());
        }
    }

    /// The members, smallest hash first.
    pub fn sorted(&self) -> Vec<T> {
        let mut sorted = self.clone();
        sorted.prune();
        sorted.members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Hashed for u64 {
        fn hash(&self) -> u64 {
            *self
        }
    }

    #[test]
    fn keeps_the_smallest_in_any_order_and_split() {
        let members: Vec<u64> = (0..10_000).map(|number: u64| number * 7_919 % 10_007).collect();
        let mut expected = members.clone();
        expected.sort_unstable();
        expected.truncate(10);
        let sample = |members: &mut dyn Iterator<Item = &u64>| {
            let mut sample = BottomK::new(10);
            members.for_each(|member| sample.insert(*member));
            sample
        };
        assert_eq!(sample(&mut members.iter()).sorted(), expected);
        assert_eq!(sample(&mut members.iter().rev().chain(&members)).sorted(), expected);
        let (one, other) = members.split_at(3_000);
        let mut joined = sample(&mut other.iter());
        joined.merge(&sample(&mut one.iter()));
        assert_eq!(joined.sorted(), expected);
    }

    #[test]
    fn spans_that_share_their_ids_are_chosen_by_content_and_not_by_place() {
        let spans = |sources: [u64; 2]| {
            let span = |site, source| Sampled {
                hash: 1,
                trace_id: TraceId(1),
                span_id: SpanId(1),
                site,
                start_ns: 0,
                source,
            };
            let mut sample = BottomK::new(1);
            sample.insert(span(7, sources[0]));
            sample.insert(span(8, sources[1]));
            sample.sorted()[0].site
        };
        assert_eq!(spans([0, 1]), 7);
        assert_eq!(spans([1, 0]), 7);
    }
}
