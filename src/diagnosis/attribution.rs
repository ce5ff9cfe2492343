//! Which of several groups of spans caused roots: shared by the stages that look for callers without exit
//! spans.

use super::{Damaged, Explained, Facts};
use crate::corpus::Corpus;
use crate::corpus::enclosing::{Enclosed, Extent, Interval, enclose};
use crate::corpus::hops::UnjoinedSpan;
use crate::corpus::matching::Chance;
use crate::corpus::possible_callers::{OpenSpan, Role};
use crate::finding::{Evidence, ProposedParent};
use crate::model::{SpanId, SpanKind, TraceId};
use crate::report::{Confidence, Severity};
use crate::store::{Names, OperationId, SiteId};

/// Roots that are needed: fewer are never beyond chance, even when all of them are enclosed and none of
/// the moved ones.
pub(super) const ROOTS_NEEDED: usize = 5;

/// A span that may have caused roots.
#[derive(Clone, Copy)]
pub(super) struct Caller {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) site: SiteId,
    operation: OperationId,
    pub(super) interval: Interval,
}

impl Caller {
    pub(super) fn of_open(names: &Names, span: &OpenSpan) -> Self {
        Self {
            trace_id: span.trace_id,
            span_id: span.span_id,
            site: names.site_of(span.operation),
            operation: span.operation,
            interval: span.interval(),
        }
    }

    pub(super) fn of_exit(names: &Names, exit: &UnjoinedSpan) -> Self {
        Self {
            trace_id: exit.trace_id,
            span_id: exit.span_id,
            site: names.site_of(exit.operation),
            operation: exit.operation,
            interval: Interval { start_ns: exit.start_ns, end_ns: exit.end_ns },
        }
    }
}

/// Clocks that are corrected, so that spans of different processes can be compared.
pub(super) struct Clocks<'f> {
    names: &'f Names,
    corpus: &'f Corpus,
}

impl<'f> Clocks<'f> {
    pub(super) const fn of(facts: &Facts<'f>) -> Self {
        Self { names: facts.names, corpus: facts.corpus }
    }

    fn corrected(&self, operation: OperationId, interval: Interval) -> Interval {
        let resource = self.names.operation(operation).resource;
        let correction_ns = self.corpus.clock_correction_ns(resource, interval.start_ns);
        Interval { start_ns: interval.start_ns + correction_ns, end_ns: interval.end_ns + correction_ns }
    }

    /// When the roots ran, with their numbers, by start.
    fn intervals(&self, roots: &[OpenSpan]) -> Vec<(Interval, usize)> {
        let numbered = roots.iter().enumerate();
        let mut seen: Vec<(Interval, usize)> = numbered
            .map(|(number, root)| (self.corrected(root.operation, root.interval()), number))
            .collect();
        seen.sort_by_key(|(interval, number)| (interval.start_ns, *number));
        seen
    }
}

/// Spans that have something in common, by start.
pub(super) struct Group<K> {
    pub(super) key: K,
    pub(super) callers: Vec<Caller>,
}

/// A root, the span that caused it, and how many spans come into question.
#[derive(Clone, Copy)]
pub(super) struct Caused {
    pub(super) root: OpenSpan,
    pub(super) by: Caller,
    pub(super) candidates: u32,
}

/// Roots that a group caused.
pub(super) struct Attributed<'g, K> {
    pub(super) group: &'g Group<K>,
    pub(super) caused: Vec<Caused>,
    pub(super) chance: Chance,
    /// High when chance is excluded, medium when it is not quite and nothing is left over on either side.
    pub(super) confidence: Confidence,
}

/// Roots that no stage explained yet, by start.
pub(super) fn unexplained_roots(facts: &Facts<'_>, explained: &Explained) -> Vec<OpenSpan> {
    let spans = facts.deviations.possible_callers.by_start().iter().copied();
    spans.filter(|span| span.role == Role::Root && !explained.has(span.trace_id, span.span_id)).collect()
}

/// Nobody waits for consumers; for everything else it is assumed.
pub(super) fn extent(names: &Names, site: SiteId) -> Extent {
    if names.site(site).kind == SpanKind::Consumer { Extent::Start } else { Extent::Middle }
}

/// Gives roots of one kind, sorted by start, to the groups that caused them: to the one that chance
/// explains least first, then what is left to the others.
pub(super) fn attribute<'g, K>(
    mut roots: Vec<OpenSpan>,
    groups: &'g [Group<K>],
    clocks: &Clocks<'_>,
    extent: Extent,
) -> Vec<Attributed<'g, K>> {
    let mut left: Vec<&Group<K>> =
        groups.iter().filter(|group| group.callers.len() >= ROOTS_NEEDED).collect();
    let mut attributed = Vec::new();
    while roots.len() >= ROOTS_NEEDED {
        let enclosed = left.iter().enumerate().map(|(number, group)| {
            let corrected = |caller: &Caller| clocks.corrected(caller.operation, caller.interval);
            let outer: Vec<Interval> = group.callers.iter().map(corrected).collect();
            let (inner, numbers): (Vec<Interval>, Vec<usize>) = clocks.intervals(&roots).into_iter().unzip();
            let mut enclosed = enclose(&inner, &outer, extent);
            for (root, ..) in &mut enclosed.pairs {
                *root = numbers[*root];
            }
            (number, enclosed)
        });
        let causal = enclosed.filter(|(number, enclosed)| {
            enclosed.is_causal() || enclosed.is_likely(roots.len(), left[*number].callers.len())
        });
        let best = causal.min_by(|one, other| one.1.chance.ln_p.total_cmp(&other.1.chance.ln_p));
        let Some((number, enclosed)) = best else { break };
        let group = left.remove(number);
        let caused = caused(&roots, group, &enclosed);
        let mut is_caused = vec![false; roots.len()];
        for (root, _, _) in &enclosed.pairs {
            is_caused[*root] = true;
        }
        let mut is_caused = is_caused.into_iter();
        roots.retain(|_| !is_caused.next().unwrap_or_default());
        let confidence = if enclosed.is_causal() { Confidence::High } else { Confidence::Medium };
        attributed.push(Attributed { group, caused, chance: enclosed.chance, confidence });
    }
    attributed
}

fn caused<K>(roots: &[OpenSpan], group: &Group<K>, enclosed: &Enclosed) -> Vec<Caused> {
    let pairs = enclosed.pairs.iter();
    pairs
        .map(|(root, caller, candidates)| Caused {
            root: roots[*root],
            by: group.callers[*caller],
            candidates: *candidates,
        })
        .collect()
}

impl<K> Attributed<'_, K> {
    /// What is not sure is a warning.
    pub(super) fn severity(&self) -> Severity {
        if self.confidence == Confidence::High { Severity::Error } else { Severity::Warning }
    }
}

impl Caused {
    /// The root as a damaged span. As with pairs of calls, the number of spans that come into question is
    /// the measure of how sure its parent is.
    pub(super) fn damaged(&self) -> Damaged {
        let confidence = match self.candidates {
            1 => Confidence::High,
            2 | 3 => Confidence::Medium,
            _ => Confidence::Low,
        };
        Damaged {
            trace_id: self.root.trace_id,
            span_id: self.root.span_id,
            operation: self.root.operation,
            start_ns: self.root.start_ns,
            source: self.root.source,
            parent: Some(ProposedParent { trace_id: self.by.trace_id, span_id: self.by.span_id, confidence }),
        }
    }
}

/// That the spans are a sample, where they are.
pub(super) fn sampled(facts: &Facts<'_>) -> Option<Evidence> {
    let (kept, seen) = facts.deviations.possible_callers.kept_of();
    (kept < seen).then_some(Evidence::SampledHops { kept, seen })
}
