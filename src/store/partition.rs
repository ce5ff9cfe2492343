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

const FIRST_CHUNK: usize = 64;
const LARGEST_CHUNK: usize = 1_024;

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

    fn into_chunks(self) -> impl Iterator<Item = Vec<T>> {
        self.full.into_iter().chain(std::iter::once(self.open))
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
    /// One after the other they are sorted, and no trace stands in two of them.
    runs: Vec<Vec<SpanRecord>>,
    /// Likewise, by the position of the span.
    boundary_runs: Vec<Vec<BoundaryRow>>,
    links: Vec<LinkRow>,
}

/// Where one partition at a time is sorted.
#[derive(Debug, Default)]
pub(super) struct Sorting {
    spans: Vec<SpanRecord>,
    boundaries: Vec<BoundaryRow>,
}

impl Partition {
    /// Joins the rows of all workers, gives operations and boundaries their final numbers, and
    /// drops what lies behind the point where an input was ended by a limit: whether another
    /// worker had already read it is chance. The records stay in the memory that they were in, so
    /// that all of them never exist twice.
    pub(super) fn gather(
        parts: Vec<Rows>,
        translations: &[Translation],
        limits: &InputLimits,
        sorting: &mut Sorting,
    ) -> Self {
        let mut partition = Self::default();
        let (mut emptied_spans, mut emptied_boundaries) = (Vec::new(), Vec::new());
        let Sorting { spans, boundaries } = sorting;
        spans.clear();
        spans.reserve_exact(parts.iter().map(|rows| rows.spans.len()).sum());
        boundaries.clear();
        boundaries.reserve_exact(parts.iter().map(|rows| rows.boundaries.len()).sum());
        for (rows, translation) in parts.into_iter().zip(translations) {
            for mut chunk in rows.spans.into_chunks() {
                let used = chunk.len();
                spans.extend(chunk.drain(..).filter(|row| limits.keeps(row.source)).map(|mut row| {
                    row.operation = translation.operations[row.operation as usize];
                    row
                }));
                emptied_spans.push((used, chunk));
            }
            for mut chunk in rows.boundaries.into_chunks() {
                let used = chunk.len();
                boundaries.extend(chunk.drain(..).map(|mut row| {
                    row.boundary = translation.boundaries[row.boundary as usize];
                    row
                }));
                emptied_boundaries.push((used, chunk));
            }
            partition.links.extend(rows.links.into_chunks().flatten());
        }
        spans.sort_unstable_by(SpanRecord::order);
        boundaries.sort_unstable_by_key(|row| (row.source, row.span, row.boundary));
        partition.runs = runs(spans, emptied_spans, |one, other| one.trace_id() == other.trace_id());
        partition.boundary_runs =
            runs(boundaries, emptied_boundaries, |one, other| one.source == other.source);
        partition.links.sort_unstable_by_key(|row| (row.source, row.trace_id, row.span_id));
        partition
    }

    /// The spans of each trace, traces in the order of their low 64 bits.
    pub fn traces(&self) -> impl Iterator<Item = &[SpanRecord]> {
        self.runs.iter().flat_map(|run| run.chunk_by(|one, other| one.trace_id() == other.trace_id()))
    }

    /// The spans of one trace, sorted by span id; empty when it is not here.
    pub fn trace(&self, trace_id: TraceId) -> &[SpanRecord] {
        let key = |record: &SpanRecord| (record.trace_id().low64(), record.trace_id().high64());
        let wanted = (trace_id.low64(), trace_id.high64());
        let run = self.runs.partition_point(|run| run.last().is_some_and(|last| key(last) < wanted));
        let Some(run) = self.runs.get(run) else { return &[] };
        let start = run.partition_point(|record| key(record) < wanted);
        let len = run[start..].partition_point(|record| key(record) == wanted);
        &run[start..start + len]
    }

    /// What a span says about its other side.
    pub fn boundary(&self, span: &SpanRecord) -> Option<BoundaryRow> {
        let runs = &self.boundary_runs;
        let key = |row: &BoundaryRow| (row.source, row.span);
        let wanted = (span.source, span.span_id().0 as u32);
        let run = runs.partition_point(|run| run.last().is_some_and(|last| key(last) < wanted));
        let run = runs.get(run)?;
        let at = run.partition_point(|row| key(row) < wanted);
        run.get(at).copied().filter(|row| key(row) == wanted)
    }

    /// The links of a span.
    pub fn links(&self, span: &SpanRecord) -> &[LinkRow] {
        let start = self.links.partition_point(|row| row.source < span.source);
        let len = self.links[start..].partition_point(|row| row.source == span.source);
        &self.links[start..start + len]
    }

    /// Number of span records.
    pub fn len(&self) -> usize {
        self.runs.iter().map(Vec::len).sum()
    }

    /// Whether there is no span.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

/// Copies sorted rows into emptied chunks, into each as many whole groups as fit into what was used
/// of it: the rest of it may not be backed by memory yet.
fn runs<T: Copy>(
    sorted: &[T],
    mut emptied: Vec<(usize, Vec<T>)>,
    is_one_group: impl Fn(&T, &T) -> bool,
) -> Vec<Vec<T>> {
    emptied.sort_unstable_by_key(|(used, _)| *used);
    // How many rows at the beginning, at most `most`, are whole groups.
    let whole_groups = |rows: &[T], most: usize| match rows.get(most) {
        None => rows.len(),
        Some(cut) => rows[..most].iter().rposition(|row| !is_one_group(row, cut)).map_or(0, |last| last + 1),
    };
    let mut runs = Vec::new();
    let mut rest = sorted;
    while let Some(first) = rest.first() {
        let (used, mut run) = emptied.pop().unwrap_or_default();
        let len = match whole_groups(rest, used) {
            0 => {
                let first_group = rest.partition_point(|row| is_one_group(row, first));
                first_group.max(whole_groups(rest, LARGEST_CHUNK))
            }
            fitting => fitting,
        };
        run.reserve_exact(len);
        run.extend_from_slice(&rest[..len]);
        runs.push(run);
        rest = &rest[len..];
    }
    runs
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
    fn runs_hold_whole_traces_whatever_their_size() {
        use crate::model::{Span, SpanId};
        let record = |trace: u128, span: u64| {
            let span = Span { trace_id: TraceId(trace), span_id: SpanId(span), ..Span::default() };
            SpanRecord::new(&span, 0, 0, 0, false)
        };
        let sizes = [1, 600, 3, 200, 200, 200, 9, 1, 1, 40];
        let sorted: Vec<SpanRecord> = (1_u128..)
            .zip(sizes)
            .flat_map(|(trace, size)| (0..size).map(move |span| record(trace, span)))
            .collect();
        for capacities in [&[][..], &[8, 16, 512, 512], &[512; 9], &[1; 2]] {
            let emptied = capacities.iter().map(|used| (*used, Vec::with_capacity(*used))).collect();
            let partition = Partition {
                runs: runs(&sorted, emptied, |one, other| one.trace_id() == other.trace_id()),
                ..Partition::default()
            };
            assert_eq!(partition.runs.concat(), sorted);
            let found: Vec<u64> = partition.traces().map(|trace| trace.len() as u64).collect();
            assert_eq!(found, sizes);
            for (trace, size) in (1_u128..).zip(sizes) {
                assert_eq!(partition.trace(TraceId(trace)).len() as u64, size);
            }
            assert!(partition.trace(TraceId(99)).is_empty());
        }
    }

    #[test]
    fn a_truncated_id_meets_its_full_id() {
        let full = TraceId(0x4f1c_2d3e_4a5b_6c7d_8e9f_0a1b_2c3d_4e5f);
        assert_eq!(index_of(full), index_of(TraceId(u128::from(full.low64()))));
    }
}
