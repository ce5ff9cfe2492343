//! Parents that are not in the trace of their orphan but in another one: on the way the trace id was cut
//! to 64 bits, or replaced.
//!
//! A third look at the traces finds them: only spans whose ids orphans name as parent are wanted.

use std::collections::BTreeMap;

use rustc_hash::FxHashSet;

use super::losses::{Loss, Losses, Seen};
use crate::model::{SpanId, TraceId};
use crate::store::{Facts, Names, OperationId, SiteId};
use crate::trace::TraceView;

/// Places kept of one span id. An id that repeats says nothing, however often it does.
const PLACES_KEPT: usize = 4;

/// A span that has the id which an orphan of another trace names as parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignParent {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its span id.
    pub span_id: SpanId,
    /// Its operation.
    pub operation: OperationId,
}

/// What became of the trace id between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The high 64 bits are zero on one side, the low ones are equal.
    Truncated,
    /// It is another one.
    Replaced,
}

/// An orphan and its parent in another trace.
#[derive(Clone, Copy, Debug)]
pub struct IdJoin {
    /// The orphan.
    pub orphan: Loss,
    /// Its parent.
    pub parent: ForeignParent,
    /// What became of the trace id.
    pub change: Change,
}

impl IdJoin {
    /// Site of the parent and site of the orphan.
    pub fn edge(&self, names: &Names) -> (SiteId, SiteId) {
        (names.site_of(self.parent.operation), names.site_of(self.orphan.operation))
    }
}

/// Places of the wanted span ids.
#[derive(Debug, Default)]
pub struct ForeignParents {
    places: BTreeMap<SpanId, Vec<ForeignParent>>,
}

/// The ids that orphans name as parent.
pub fn wanted(losses: &Losses) -> FxHashSet<SpanId> {
    losses.rows().iter().filter_map(|loss| loss.parent_id).collect()
}

impl ForeignParents {
    /// Takes in the spans of one trace whose ids are wanted.
    pub fn observe(&mut self, trace: &TraceView<'_>, wanted: &FxHashSet<SpanId>) {
        for (_, span) in trace.nodes() {
            if wanted.contains(&span.span_id()) && !span.has(Facts::INVALID_SPAN_ID) {
                self.add(ForeignParent {
                    trace_id: trace.trace_id,
                    span_id: span.span_id(),
                    operation: span.operation,
                });
            }
        }
    }

    fn add(&mut self, place: ForeignParent) {
        let places = self.places.entry(place.span_id).or_default();
        let at = places.partition_point(|known| *known < place);
        places.insert(at, place);
        places.truncate(PLACES_KEPT);
    }

    /// Joins another.
    pub fn merge(&mut self, other: Self) {
        other.places.into_values().flatten().for_each(|place| self.add(place));
    }

    /// The orphans whose parent is another trace's, in the order of the losses. Where span ids are not
    /// random (`has_random_ids`), one that occurs once elsewhere is no proof by itself.
    pub fn joins(&self, losses: &Losses, has_random_ids: bool) -> Vec<IdJoin> {
        let join = |loss: &Loss| {
            let places = self.places.get(&loss.parent_id?)?;
            let cut = |place: &&ForeignParent| is_cut(place.trace_id, loss.trace_id);
            let mut of_same_low_half = places.iter().filter(cut);
            let (parent, change) = match (of_same_low_half.next(), of_same_low_half.next(), &places[..]) {
                (Some(parent), None, _) => (*parent, Change::Truncated),
                (None, _, [parent]) if has_random_ids && loss.seen == Seen::FromRemoteChild => {
                    (*parent, Change::Replaced)
                }
                _ => return None,
            };
            (parent.trace_id != loss.trace_id).then_some(IdJoin { orphan: *loss, parent, change })
        };
        losses.rows().iter().filter_map(join).collect()
    }
}

/// Whether one id is what is left of the other.
const fn is_cut(one: TraceId, other: TraceId) -> bool {
    one.low64() == other.low64()
        && one.high64() != other.high64()
        && (one.high64() == 0 || other.high64() == 0)
}
