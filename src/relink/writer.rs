//! Writes traces whole, with their proposed parents as span links.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::Proposals;
use crate::analysis::Analysis;
use crate::formats::whole::{Wanted, WholeSpans, write_otlp_json_lines};
use crate::formats::{Block, Limits};
use crate::model::TraceId;
use crate::read::ReadInput;
use crate::sources::reread::{self, reread};
use crate::sources::spool::Spool;
use crate::trace::{CopyKind, FlatPass, Scope};

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relinked {
    /// Traces.
    pub traces: u64,
    /// Spans.
    pub spans: u64,
    /// Links that were added.
    pub links: u64,
}

/// Why traces could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RelinkError {
    /// The target cannot be written.
    #[error("cannot be written: {0}")]
    Write(#[from] io::Error),
    /// An input cannot be read a second time.
    #[error("is not complete: {input} cannot be read a second time, {problem}; {help}")]
    Read {
        /// Path of the input.
        input: String,
        /// What is wrong.
        problem: String,
        /// What would help.
        help: String,
    },
    /// An input gave other spans when it was read again.
    #[error("is not complete: {input} gave {found} of {expected} spans when it was read a second time")]
    Changed {
        /// Path of the input.
        input: String,
        /// Spans that were there.
        found: u64,
        /// Spans that were there before.
        expected: u64,
    },
}

/// Where the wanted spans stand.
#[derive(Default)]
struct Places {
    traces: BTreeSet<TraceId>,
    /// Positions by input; several spans may share one.
    positions: BTreeMap<usize, Vec<u64>>,
    /// What an input repeats of a trace that another one has.
    repeated: BTreeSet<(usize, TraceId)>,
}

impl Places {
    fn of(analysis: &Analysis, proposals: &Proposals<'_>) -> Self {
        let mut places = Self { traces: proposals.traces(&analysis.findings), ..Self::default() };
        let (mut pass, everything) = (FlatPass::default(), Scope::default());
        for trace_id in &places.traces {
            let Some((partition, records)) = analysis.store.trace(*trace_id) else { continue };
            let Some(trace) = pass.run(&analysis.store.names, partition, records, &everything) else {
                continue;
            };
            for (record, copy) in records.iter().zip(trace.copies) {
                if *copy == CopyKind::Repeated {
                    places.repeated.insert((record.input(), *trace_id));
                } else {
                    places.positions.entry(record.input()).or_default().push(record.position());
                }
            }
        }
        places
    }
}

/// Writes every trace that has a finding or a proposed parent, one block of one input after the other, so
/// that no more than the spans of a block are in memory.
pub(crate) fn write(
    analysis: &Analysis,
    inputs: &[ReadInput],
    spool: &mut Spool,
    limits: &Limits,
    out: &mut dyn Write,
) -> Result<Relinked, RelinkError> {
    let proposals = Proposals::of(&analysis.findings);
    let places = Places::of(analysis, &proposals);
    let mut relinked = Relinked { traces: places.traces.len() as u64, ..Relinked::default() };
    for (number, positions) in &places.positions {
        let mut positions = positions.clone();
        let expected = positions.len() as u64;
        positions.sort_unstable();
        positions.dedup();
        let read = &inputs[*number];
        let before = relinked.spans;
        let mut written = Ok(());
        let again = again(read, *number, &positions);
        let outcome = reread(&again, spool, limits, &mut |block| {
            if written.is_ok() {
                let spans = spans_of(read, &block, &positions, limits);
                written = write_spans(spans, *number, &places, &proposals, &mut relinked, out);
            }
        });
        written?;
        complete(read, *number, outcome.map_err(|error| (error.to_string(), error.help())), spool)?;
        let found = relinked.spans - before;
        if found != expected {
            return Err(RelinkError::Changed { input: read.input.path.clone(), found, expected });
        }
    }
    out.flush()?;
    Ok(relinked)
}

fn again<'r>(read: &'r ReadInput, number: usize, positions: &'r [u64]) -> reread::Wanted<'r> {
    reread::Wanted {
        input: &read.input,
        number,
        index: &read.index,
        framing: read.format.framing(),
        compression: read.compression,
        repeatable: read.repeatable,
        positions,
    }
}

/// Whether all blocks of an input were there again.
fn complete(
    read: &ReadInput,
    number: usize,
    outcome: Result<(), (String, String)>,
    spool: &Spool,
) -> Result<(), RelinkError> {
    let lost = spool.loss(number).filter(|_| !read.repeatable);
    let lost = lost.map(|loss| (loss.to_string(), loss.help().to_owned()));
    let Some((problem, help)) = outcome.err().or(lost) else { return Ok(()) };
    Err(RelinkError::Read { input: read.input.path.clone(), problem, help })
}

fn spans_of(read: &ReadInput, block: &Block, positions: &[u64], limits: &Limits) -> WholeSpans {
    let first = positions.partition_point(|position| *position < block.offset);
    let inside = positions[first..].iter().take_while(|position| **position < block.end());
    let mut sink = WholeSpans::new(Wanted::at(inside.copied().collect()));
    read.format.decode(block, limits, &mut sink);
    sink
}

fn write_spans(
    spans: WholeSpans,
    input: usize,
    places: &Places,
    proposals: &Proposals<'_>,
    relinked: &mut Relinked,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut spans = spans.into_spans();
    // Spans of other traces may share a position with those that are wanted.
    spans.retain(|whole| {
        let trace_id = whole.span.trace_id;
        places.traces.contains(&trace_id) && !places.repeated.contains(&(input, trace_id))
    });
    relinked.spans += spans.len() as u64;
    relinked.links +=
        spans.iter_mut().filter_map(|whole| proposals.add_link(whole).then_some(())).count() as u64;
    write_otlp_json_lines(&spans, out)
}
