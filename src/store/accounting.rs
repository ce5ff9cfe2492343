//! What was read, block by block: nothing is lost in silence.
//!
//! `spans + rejects = records seen`, and decoded + skipped + unreadable bytes = bytes of the input.
//! Facts are kept per block, so that what lies behind the point where a limit ended an input can
//! be left out whatever the order in which blocks were decoded.

use std::collections::{BTreeMap, BTreeSet};

use super::record::source;
use crate::formats::{Limit, RejectReason};
use crate::model::{Repair, SpanId, TraceId};

/// Entries that a list keeps a reason; what is beyond is counted.
pub const LISTED: usize = 20;

/// What happened in one block.
#[derive(Debug, Default)]
pub struct BlockFacts {
    /// Number of the input.
    pub input: usize,
    /// Position of the block in the decoded bytes.
    pub offset: u64,
    /// Bytes that the block covers.
    pub bytes: u64,
    /// Span records made.
    pub spans: u64,
    /// Earliest start in ns.
    pub first_ns: Option<i64>,
    /// Latest end in ns.
    pub last_ns: Option<i64>,
    /// Rejected spans by reason: positions of the first ones, and how many.
    pub rejects: BTreeMap<RejectReason, (Vec<u64>, u64)>,
    /// Unreadable stretches: position, bytes, reason.
    pub unreadable: Vec<(u64, u64, Box<str>)>,
    /// The bound that ended the input here.
    pub limit: Option<(u64, Limit)>,
    /// Repairs.
    pub repairs: BTreeMap<Repair, u64>,
    /// Traces that were not read whole.
    pub truncated: Vec<TraceId>,
    /// Spans in whose place the source made a row up.
    pub invented: Vec<(TraceId, SpanId)>,
    /// Why the source says that it answered only in part.
    pub partial: Vec<Box<str>>,
}

impl BlockFacts {
    /// Notes a rejected span.
    pub fn reject(&mut self, position: u64, reason: RejectReason) {
        let (positions, count) = self.rejects.entry(reason).or_default();
        *count += 1;
        if positions.len() < LISTED {
            positions.push(position);
        }
    }

    /// Notes the time of a span.
    pub fn timed(&mut self, start_ns: Option<i64>, end_ns: Option<i64>) {
        self.first_ns = min_some(self.first_ns, start_ns);
        self.last_ns = self.last_ns.max(end_ns.or(start_ns));
    }
}

fn min_some(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Where inputs were ended by a limit.
#[derive(Debug, Default)]
pub struct InputLimits(BTreeMap<usize, (u64, Limit)>);

impl InputLimits {
    /// Whether what stands at this packed source lies before the limit of its input.
    pub fn keeps(&self, packed_source: u64) -> bool {
        self.0.is_empty()
            || self.0.iter().all(|(input, (position, _))| {
                packed_source < source(*input, *position) || packed_source >= source(input + 1, 0)
            })
    }

    /// Input, position and limit, in the order of the inputs.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u64, Limit)> + '_ {
        self.0.iter().map(|(input, (position, limit))| (*input, *position, *limit))
    }
}

/// What was read of one input.
#[derive(Clone, Debug, Default)]
pub struct InputTotals {
    /// Span records.
    pub spans: u64,
    /// Bytes after decompression.
    pub bytes: u64,
    /// Earliest start in ns.
    pub first_ns: Option<i64>,
    /// Latest end in ns.
    pub last_ns: Option<i64>,
    /// End and length of the last unreadable stretch.
    last_unreadable: (u64, u64),
}

impl InputTotals {
    /// Bytes of a record that was cut off at the end of the input.
    pub const fn cut_last_record(&self) -> u64 {
        if self.last_unreadable.0 == self.bytes { self.last_unreadable.1 } else { 0 }
    }
}

/// Why a source says that it answered only in part.
#[derive(Clone, Debug, Default)]
pub struct Partial {
    /// Different reasons, at most [`LISTED`].
    pub reasons: Vec<Box<str>>,
    /// How many reasons are not listed.
    pub more: u64,
}

impl Partial {
    fn add(&mut self, reason: Box<str>) {
        if self.reasons.contains(&reason) {
            return;
        }
        if self.reasons.len() < LISTED { self.reasons.push(reason) } else { self.more += 1 }
    }
}

/// What was read in all.
#[derive(Debug, Default)]
pub struct Accounting {
    /// By input.
    pub inputs: Vec<InputTotals>,
    /// Rejected spans: reason, then at most [`LISTED`] of input and position, then how many in all.
    pub rejects: BTreeMap<RejectReason, (Vec<(usize, u64)>, u64)>,
    /// Unreadable stretches (input, position, bytes, reason), at most [`LISTED`] a reason.
    pub unreadable: Vec<(usize, u64, u64, Box<str>)>,
    /// Bytes of all unreadable stretches.
    pub unreadable_bytes: u64,
    /// Repairs.
    pub repairs: BTreeMap<Repair, u64>,
    /// Traces that were not read whole.
    pub truncated: BTreeSet<TraceId>,
    /// Placeholder rows of a source.
    pub invented_rows: u64,
    /// The spans in whose place they stand. What a row stands for may be in another block than the
    /// spans below it, so it is known only here.
    pub invented: BTreeSet<(TraceId, SpanId)>,
    /// By input: why its source says that it answered only in part.
    pub partial: BTreeMap<usize, Partial>,
    limits: InputLimits,
}

impl Accounting {
    /// Joins the facts of all blocks.
    pub fn merge(mut blocks: Vec<BlockFacts>, input_count: usize, stopped: &[(usize, u64, Limit)]) -> Self {
        blocks.sort_unstable_by_key(|block| (block.input, block.offset));
        let mut limits: BTreeMap<_, _> =
            stopped.iter().map(|(input, position, limit)| (*input, (*position, *limit))).collect();
        for block in &blocks {
            if let Some(limit) = block.limit {
                // Reader and decoder may name the same place; the first one counts.
                let known = limits.entry(block.input).or_insert(limit);
                *known = (*known).min(limit);
            }
        }
        let mut merged = Self { limits: InputLimits(limits), ..Self::default() };
        merged.inputs.resize(input_count, InputTotals::default());
        for block in blocks {
            if merged.limits.keeps(source(block.input, block.offset)) {
                merged.add(block);
            }
        }
        merged.note_rest_behind_limits();
        merged
    }

    /// What was read of an input behind the point where a limit ended it was read in vain.
    fn note_rest_behind_limits(&mut self) {
        let limits: Vec<_> = self.limits.iter().collect();
        for (input, position, limit) in limits {
            let rest = self.inputs[input].bytes.saturating_sub(position);
            if rest > 0 {
                self.unreadable(input, position, rest, Box::from(limit.as_str()));
            }
        }
    }

    fn add(&mut self, block: BlockFacts) {
        let totals = &mut self.inputs[block.input];
        totals.spans += block.spans;
        totals.bytes += block.bytes;
        totals.first_ns = min_some(totals.first_ns, block.first_ns);
        totals.last_ns = totals.last_ns.max(block.last_ns);
        for (reason, (positions, count)) in block.rejects {
            let (list, total) = self.rejects.entry(reason).or_default();
            *total += count;
            let room = LISTED - list.len().min(LISTED);
            list.extend(positions.into_iter().take(room).map(|position| (block.input, position)));
        }
        for (position, bytes, reason) in block.unreadable {
            // What lies behind a limit is counted as a whole.
            if self.limits.keeps(source(block.input, position)) {
                self.unreadable(block.input, position, bytes, reason);
            }
        }
        for (repair, count) in block.repairs {
            *self.repairs.entry(repair).or_default() += count;
        }
        self.truncated.extend(block.truncated);
        self.invented_rows += block.invented.len() as u64;
        self.invented.extend(block.invented);
        for reason in block.partial {
            self.partial.entry(block.input).or_default().add(reason);
        }
    }

    /// Notes an unreadable stretch.
    pub fn unreadable(&mut self, input: usize, position: u64, bytes: u64, reason: Box<str>) {
        self.unreadable_bytes += bytes;
        let last = &mut self.inputs[input].last_unreadable;
        *last = (*last).max((position + bytes, bytes));
        if self.unreadable.iter().filter(|entry| entry.3 == reason).count() < LISTED {
            self.unreadable.push((input, position, bytes, reason));
        }
    }

    /// Notes why a source gave only a part.
    pub fn partial(&mut self, input: usize, reason: Box<str>) {
        self.partial.entry(input).or_default().add(reason);
    }

    /// Where inputs were ended by a limit.
    pub const fn limits(&self) -> &InputLimits {
        &self.limits
    }

    /// Rejected spans of all reasons.
    pub fn rejected(&self) -> u64 {
        self.rejects.values().map(|(_, count)| count).sum()
    }

    /// Bytes of records that were cut off at the ends of inputs.
    pub fn cut_last_record_bytes(&self) -> u64 {
        self.inputs.iter().map(InputTotals::cut_last_record).sum()
    }

    /// Span records of all inputs.
    pub fn spans(&self) -> u64 {
        self.inputs.iter().map(|input| input.spans).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_a_limit_is_unreadable_once() {
        let block = BlockFacts {
            bytes: 100,
            unreadable: vec![(10, 5, "damaged".into()), (50, 20, "damaged".into())],
            limit: Some((40, Limit::String)),
            ..BlockFacts::default()
        };
        let merged = Accounting::merge(vec![block], 1, &[]);
        assert_eq!(merged.unreadable_bytes, 5 + 60);
        let places: Vec<_> =
            merged.unreadable.iter().map(|(_, position, bytes, _)| (*position, *bytes)).collect();
        assert_eq!(places, [(10, 5), (40, 60)]);
    }
}
