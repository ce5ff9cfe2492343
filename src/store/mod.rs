//! Span records, grouped by trace id: what the analysis runs on.
//!
//! Workers decode blocks into their own [`ingest::WorkerStore`] without sharing anything;
//! [`Store::merge`] then gives every name one number (in the order of content, so that the numbers
//! do not depend on scheduling), and sorts the records of each partition by trace and span.

pub mod accounting;
pub mod ingest;
pub mod intern;
pub mod partition;
pub mod record;

use rayon::prelude::*;

pub use accounting::Accounting;
pub use intern::{Names, OperationId, ServiceId, SiteId, Translation};
pub use partition::{PARTITIONS, Partition};
pub use record::{BoundaryRow, Facts, LinkRow, SpanRecord};

use crate::formats::Limit;
use crate::model::TraceId;
use ingest::WorkerStore;

/// Everything that was read, ready for the analysis.
#[derive(Debug)]
pub struct Store {
    /// What the numbers in the records stand for.
    pub names: Names,
    /// The records, by the low 64 bits of the trace id.
    pub partitions: Vec<Partition>,
    /// What was read, rejected, repaired.
    pub accounting: Accounting,
}

impl Store {
    /// Joins what the workers decoded. `input_count` is the number of inputs.
    /// `stopped` names where the reading of an input was ended by a limit. Also gives the
    /// translation of each worker's numbers.
    pub fn merge(
        workers: Vec<WorkerStore>,
        input_count: usize,
        stopped: &[(usize, u64, Limit)],
    ) -> (Self, Vec<Translation>) {
        let mut tables = Vec::with_capacity(workers.len());
        let mut rows = Vec::with_capacity(workers.len());
        let mut blocks = Vec::new();
        for worker in workers {
            let (interner, partitions, stats) = worker.into_parts();
            tables.push(interner);
            rows.push(partitions);
            blocks.extend(stats);
        }
        let accounting = Accounting::merge(blocks, input_count, stopped);
        let (names, translations) = intern::merge(&tables);
        let gathered = partition::transpose(rows);
        let partitions = gathered
            .into_par_iter()
            .map_init(partition::Sorting::default, |sorting, parts| {
                Partition::gather(parts, &translations, accounting.limits(), sorting)
            })
            .collect();
        (Self { names, partitions, accounting }, translations)
    }

    /// The records of one trace, sorted by span id, and the partition that holds them.
    pub fn trace(&self, trace_id: TraceId) -> Option<(&Partition, &[SpanRecord])> {
        let partition = self.partitions.get(partition::index_of(trace_id))?;
        let records = partition.trace(trace_id);
        (!records.is_empty()).then_some((partition, records))
    }

    /// Number of span records.
    pub fn len(&self) -> usize {
        self.partitions.iter().map(Partition::len).sum()
    }

    /// Whether there is no span.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ids of all traces, in no particular order.
    pub fn trace_ids(&self) -> impl Iterator<Item = TraceId> + '_ {
        self.partitions.iter().flat_map(|partition| partition.traces().map(|trace| trace[0].trace_id()))
    }
}
