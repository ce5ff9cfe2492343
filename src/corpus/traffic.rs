//! How often something happened, by operation and by time: what a break has to be compared with before
//! it is blamed on a version, an instance, a host or a moment.
//!
//! Counts are of traces as well as of spans, because the spans of one trace share their fate: forty
//! orphans of one request are one event.

use std::collections::BTreeMap;

use crate::model::TraceId;
use crate::store::{Names, OperationId, SiteId};
use crate::trace::TraceView;

/// Spans, and traces that have one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Spans.
    pub spans: u64,
    /// Traces.
    pub traces: u64,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.spans += other.spans;
        self.traces += other.traces;
    }
}

/// Slots of a histogram.
const SLOTS: i64 = 64;
/// The narrowest slot is 2 to this power in ns, 1.05 ms: JS SDKs start spans on whole ms.
const NARROWEST: u32 = 20;

/// How often something happened, in at most 64 slots of time of equal width. The width is the least power
/// of two that covers all of it, so that it does not depend on the order in which times came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeHistogram {
    /// A slot is 2 to this power in ns wide.
    width: u32,
    /// Slots that are not empty: number (its start in widths) and count, by number.
    slots: Vec<(i64, u64)>,
}

impl Default for TimeHistogram {
    fn default() -> Self {
        Self { width: NARROWEST, slots: Vec::new() }
    }
}

impl TimeHistogram {
    /// Counts one.
    pub fn add(&mut self, at_ns: i64) {
        self.add_many(at_ns, 1);
    }

    fn add_many(&mut self, at_ns: i64, count: u64) {
        let mut slot = at_ns >> self.width;
        while !self.covers(slot) {
            self.widen();
            slot = at_ns >> self.width;
        }
        match self.slots.binary_search_by_key(&slot, |(number, _)| *number) {
            Ok(index) => self.slots[index].1 += count,
            Err(index) => self.slots.insert(index, (slot, count)),
        }
    }

    fn covers(&self, slot: i64) -> bool {
        let (Some((first, _)), Some((last, _))) = (self.slots.first(), self.slots.last()) else {
            return true;
        };
        slot.max(*last) - slot.min(*first) < SLOTS
    }

    fn widen(&mut self) {
        self.width += 1;
        let mut wider: Vec<(i64, u64)> = Vec::with_capacity(self.slots.len());
        for (slot, count) in self.slots.drain(..) {
            match wider.last_mut() {
                Some((last, sum)) if *last == slot >> 1 => *sum += count,
                _ => wider.push((slot >> 1, count)),
            }
        }
        self.slots = wider;
    }

    /// Joins another.
    pub fn merge(&mut self, other: &Self) {
        while self.width < other.width {
            self.widen();
        }
        for (slot, count) in &other.slots {
            self.add_many(slot << other.width, *count);
        }
    }

    /// The starts of the slots that are not empty and their counts, by time, in slots as wide as those of
    /// another at least.
    pub fn counts_as_wide_as(&self, other: &Self) -> Vec<(i64, u64)> {
        let mut same = self.clone();
        while same.width < other.width {
            same.widen();
        }
        same.slots.iter().map(|(slot, count)| (slot << same.width, *count)).collect()
    }
}

/// How often something was seen, by operation and time.
#[derive(Clone, Debug, Default)]
pub struct Affected {
    /// By operation.
    pub by_operation: BTreeMap<OperationId, Count>,
    /// Traces by the start of their first such span of each operation.
    pub times: TimeHistogram,
    /// Spans come trace by trace, so one look back counts traces.
    last: BTreeMap<OperationId, TraceId>,
}

impl Affected {
    /// Counts a span.
    pub fn add(&mut self, operation: OperationId, trace_id: TraceId, start_ns: i64) {
        let count = self.by_operation.entry(operation).or_default();
        count.spans += 1;
        if self.last.insert(operation, trace_id) != Some(trace_id) {
            count.traces += 1;
            self.times.add(start_ns);
        }
    }

    /// Joins another that saw other traces.
    pub fn merge(&mut self, other: &Self) {
        for (operation, count) in &other.by_operation {
            *self.by_operation.entry(*operation).or_default() += *count;
        }
        self.times.merge(&other.times);
    }
}

/// All judged spans.
#[derive(Debug, Default)]
pub struct Traffic {
    operations: Vec<(Count, u64)>,
    times: Vec<TimeHistogram>,
    /// Number of the trace in hand, from 1.
    trace: u64,
}

impl Traffic {
    /// Begins a trace.
    pub(super) const fn begin_trace(&mut self) {
        self.trace += 1;
    }

    /// Counts a span of the trace in hand.
    pub(super) fn observe(&mut self, trace: &TraceView<'_>, operation: OperationId, start_ns: i64) {
        let index = operation as usize;
        if self.operations.len() <= index {
            self.operations.resize(index + 1, (Count::default(), 0));
        }
        let (count, last) = &mut self.operations[index];
        count.spans += 1;
        if *last == self.trace {
            return;
        }
        *last = self.trace;
        count.traces += 1;
        let site = trace.names.site_of(operation) as usize;
        if self.times.len() <= site {
            self.times.resize_with(site + 1, TimeHistogram::default);
        }
        self.times[site].add(start_ns);
    }

    /// Joins another that saw other traces.
    pub(super) fn merge(&mut self, other: &Self) {
        if self.operations.len() < other.operations.len() {
            self.operations.resize(other.operations.len(), (Count::default(), 0));
        }
        for (own, (count, _)) in self.operations.iter_mut().zip(&other.operations) {
            own.0 += *count;
        }
        if self.times.len() < other.times.len() {
            self.times.resize_with(other.times.len(), TimeHistogram::default);
        }
        for (own, times) in self.times.iter_mut().zip(&other.times) {
            own.merge(times);
        }
    }

    /// How often an operation occurs.
    pub fn of_operation(&self, operation: OperationId) -> Count {
        self.operations.get(operation as usize).map(|(count, _)| *count).unwrap_or_default()
    }

    /// When the traces of a site were, by their first span of each operation.
    pub fn times_of(&self, site: SiteId) -> Option<&TimeHistogram> {
        self.times.get(site as usize)
    }
}

/// The operations of each site.
#[derive(Debug)]
pub struct OperationsBySite(Vec<(SiteId, OperationId)>);

impl OperationsBySite {
    /// Sorts them.
    pub fn of(names: &Names) -> Self {
        let mut sorted: Vec<(SiteId, OperationId)> =
            (0..).zip(&names.operations).map(|(number, operation)| (operation.site, number)).collect();
        sorted.sort_unstable();
        Self(sorted)
    }

    /// The operations of a site.
    pub fn of_site(&self, site: SiteId) -> impl Iterator<Item = OperationId> + '_ {
        let start = self.0.partition_point(|(other, _)| *other < site);
        self.0[start..].iter().take_while(move |(other, _)| *other == site).map(|(_, operation)| *operation)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slots_widen_until_all_is_covered() {
        let mut times = TimeHistogram::default();
        (0..1_000).for_each(|second| times.add(second * 1_000_000_000));
        assert!(times.slots.len() <= 64, "{times:?}");
        assert_eq!(times.slots.iter().map(|(_, count)| count).sum::<u64>(), 1_000);
    }

    proptest! {
        #[test]
        fn neither_order_nor_split_matters(times in prop::collection::vec(any::<i32>(), 1..200), split in 0_usize..200) {
            let histogram = |times: &[i32]| {
                let mut histogram = TimeHistogram::default();
                for time in times {
                    histogram.add(i64::from(*time) * 1_000_003);
                }
                histogram
            };
            let split = split.min(times.len());
            let mut joined = histogram(&times[split..]);
            joined.merge(&histogram(&times[..split]));
            prop_assert_eq!(&joined, &histogram(&times));
            let mut reversed = times.clone();
            reversed.reverse();
            prop_assert_eq!(&joined, &histogram(&reversed));
        }
    }
}
