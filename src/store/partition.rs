//! Rows by the low 64 bits of their trace id, so that a partition can be analysed on its own, and
//! so that a 64-bit id and the 128-bit id that it was cut from meet in one partition.

use super::accounting::InputLimits;
use super::intern::Translation;
use super::record::{BoundaryRow, LinkRow, SpanRecord};
use crate::model::{SpanId, TraceId};

/// Number of partitions.
pub const PARTITIONS: usize = 256;

/// The partition of a trace. Ids are mixed first: padded, sequential and hand-made ids must spread too.
pub fn index_of(trace_id: TraceId) -> usize {
    // The finalizer of MurmurHash3, a full-avalanche mix of 64 bits.
    let mut mixed = trace_id.low64();
    mixed ^= mixed >> 33;
    mixed = mixed.wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^= mixed >> 33;
    mixed = mixed.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^= mixed >> 33;
    mixed as usize % PARTITIONS
}

/// Rows that are appended and never move: chunks double in size up to a bound, so that small
/// inputs stay small and large ones waste at most one chunk a partition.
#[derive(Debug)]
pub struct Chunks<T> {
    full: Vec<Vec<T>>,
    open: Vec<T>,
}

const FIRST_CHUNK: usize = 8;
const LARGEST_CHUNK: usize = 512;

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { full: Vec::new(), open: Vec::new() }
    }
}

impl<T> Chunks<T> {
    /// Appends a row.
    pub fn push(&mut self, row: T) {
        if self.open.len() == self.open.capacity() {
            let next = (self.open.capacity() * 2).clamp(FIRST_CHUNK, LARGEST_CHUNK);
            let full = std::mem::replace(&mut self.open, Vec::with_capacity(next));
            if !full.is_empty() {
                self.full.push(full);
            }
        }
        self.open.push(row);
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.full.iter().map(Vec::len).sum::<usize>() + self.open.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.full.is_empty()
    }

    fn into_rows(self) -> impl Iterator<Item = T> {
        self.full.into_iter().chain(std::iter::once(self.open)).flatten()
    }
}

/// The rows of one partition from one worker.
#[derive(Debug, Default)]
pub struct Rows {
    /// Spans.
    pub spans: Chunks<SpanRecord>,
    /// Boundary rows of those spans.
    pub boundaries: Chunks<BoundaryRow>,
    /// Link rows of those spans.
    pub links: Chunks<LinkRow>,
}

/// From rows by worker and partition to rows by partition and worker.
pub(super) fn transpose(workers: Vec<Vec<Rows>>) -> Vec<Vec<Rows>> {
    let mut partitions: Vec<Vec<Rows>> = (0..PARTITIONS).map(|_| Vec::with_capacity(workers.len())).collect();
    for rows in workers {
        for (partition, rows) in partitions.iter_mut().zip(rows) {
            partition.push(rows);
        }
    }
    partitions
}

/// Index of the first record with this span id among the records of a trace.
pub fn index_of_span(records: &[SpanRecord], span_id: SpanId) -> Option<usize> {
    let index = records.partition_point(|record| record.span_id() < span_id);
    records.get(index).filter(|record| record.span_id() == span_id).map(|_| index)
}

/// All rows of one partition, sorted.
#[derive(Debug, Default)]
pub struct Partition {
    spans: Vec<SpanRecord>,
    boundaries: Vec<BoundaryRow>,
    links: Vec<LinkRow>,
}

impl Partition {
    /// Joins the rows of all workers, gives operations and boundaries their final numbers, and
    /// drops what lies behind the point where an input was ended by a limit: whether another
    /// worker had already read it is chance.
    pub(super) fn gather(parts: Vec<Rows>, translations: &[Translation], limits: &InputLimits) -> Self {
        let mut partition = Self::default();
        partition.spans.reserve_exact(parts.iter().map(|rows| rows.spans.len()).sum());
        partition.boundaries.reserve_exact(parts.iter().map(|rows| rows.boundaries.len()).sum());
        for (rows, translation) in parts.into_iter().zip(translations) {
            partition.spans.extend(rows.spans.into_rows().filter(|row| limits.keeps(row.source)).map(
                |mut row| {
                    row.operation = translation.operations[row.operation as usize];
                    row
                },
            ));
            partition.boundaries.extend(rows.boundaries.into_rows().map(|mut row| {
                row.boundary = translation.boundaries[row.boundary as usize];
                row
            }));
            partition.links.extend(rows.links.into_rows());
        }
        partition.spans.sort_unstable_by(SpanRecord::order);
        partition.boundaries.sort_unstable_by_key(|row| (row.source, row.boundary));
        partition.links.sort_unstable_by_key(|row| (row.source, row.trace_id, row.span_id));
        partition
    }

    /// The spans of each trace, traces in the order of their low 64 bits.
    pub fn traces(&self) -> impl Iterator<Item = &[SpanRecord]> {
        self.spans.chunk_by(|one, other| one.trace_id() == other.trace_id())
    }

    /// The spans of one trace, sorted by span id; empty when it is not here.
    pub fn trace(&self, trace_id: TraceId) -> &[SpanRecord] {
        let key = |record: &SpanRecord| (record.trace_id().low64(), record.trace_id().high64());
        let wanted = (trace_id.low64(), trace_id.high64());
        let start = self.spans.partition_point(|record| key(record) < wanted);
        let len = self.spans[start..].partition_point(|record| key(record) == wanted);
        &self.spans[start..start + len]
    }

    /// What a span says about its other side.
    pub fn boundary(&self, span: &SpanRecord) -> Option<BoundaryRow> {
        let at = self.boundaries.partition_point(|row| row.source < span.source);
        self.boundaries.get(at).copied().filter(|row| row.source == span.source)
    }

    /// The links of a span.
    pub fn links(&self, span: &SpanRecord) -> &[LinkRow] {
        let start = self.links.partition_point(|row| row.source < span.source);
        let len = self.links[start..].partition_point(|row| row.source == span.source);
        &self.links[start..start + len]
    }

    /// Number of span records.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no span.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padded_and_sequential_ids_spread_over_partitions() {
        let mut counts = [0_u32; PARTITIONS];
        for id in 1..=25_600_u128 {
            counts[index_of(TraceId(id << 32))] += 1;
        }
        // Expected 100 each; 200 is ten standard deviations away.
        assert!(counts.iter().all(|count| (1..200).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_truncated_id_meets_its_full_id() {
        let full = TraceId(0x4f1c_2d3e_4a5b_6c7d_8e9f_0a1b_2c3d_4e5f);
        assert_eq!(index_of(full), index_of(TraceId(u128::from(full.low64()))));
    }
}
