//! Draws the spans of an exemplar as a tree.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::model::time;
use crate::report::ExemplarSpan;

/// How many affected spans are chosen before anything else is shown.
const AFFECTED_FIRST: usize = 6;
/// Columns of branches that are remembered; more than any line has.
const KEPT_BRANCHES: usize = 240;

/// A tree, line by line.
#[derive(Debug, Default)]
pub struct Tree {
    /// Its lines, top down.
    pub rows: Vec<Row>,
    /// Spans that are not shown.
    pub hidden: usize,
    /// Whether a branch is dashed.
    pub dashed: bool,
}

/// One line of a tree.
#[derive(Debug)]
pub struct Row {
    /// Branches in front of the span.
    pub branches: String,
    /// Position of the span in the list that was given.
    pub span: usize,
    /// The parent stands below, or the span is its own parent.
    pub cyclic: bool,
}

/// Which parents the branches of a tree show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parents {
    /// Those that the spans name.
    Recorded,
    /// The proposed ones where there are any, by a dashed branch.
    Proposed,
}

/// Lays out at most `most` spans: the affected and missing ones first, then their ancestors from
/// the nearest up, then the others in order.
pub fn layout(spans: &[ExemplarSpan], which: Parents, most: usize) -> Tree {
    let (parents, dashed) = parents(spans, which);
    let kept = choose(spans, &parents, most);
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    let mut tops = Vec::new();
    for index in (0..spans.len()).filter(|index| kept[*index]) {
        match parents[index].above() {
            Some(parent) if kept[parent] => children[parent].push(index),
            _ => tops.push(index),
        }
    }
    let hidden = spans.len() - kept.iter().filter(|kept| **kept).count();
    let mut tree = Tree { rows: Vec::new(), hidden, dashed: false };
    let mut open: Vec<(usize, String, String)> = Vec::new();
    for top in tops.into_iter().rev() {
        let branches = if parents[top].above().is_some() { "⋮ " } else { "" };
        open.push((top, branches.to_owned(), String::new()));
    }
    while let Some((index, branches, below)) = open.pop() {
        tree.rows.push(Row { branches, span: index, cyclic: parents[index] == Parent::Cyclic });
        let last = children[index].last().copied();
        for child in children[index].iter().rev().copied() {
            let (corner, edge) = match (Some(child) == last, dashed[child]) {
                (true, false) => ("└─ ", "   "),
                (true, true) => ("└┄ ", "   "),
                (false, false) => ("├─ ", "│  "),
                (false, true) => ("├┄ ", "│  "),
            };
            tree.dashed |= dashed[child];
            let near = nearest_levels(&below);
            open.push((child, format!("{near}{corner}"), format!("{near}{edge}")));
        }
    }
    tree
}

/// The end of the branches: only that much is ever drawn, and a chain of 100,000 spans must not
/// take the square of its length.
fn nearest_levels(branches: &str) -> &str {
    let beyond = branches.chars().count().saturating_sub(KEPT_BRANCHES);
    branches.char_indices().nth(beyond).map_or(branches, |(start, _)| &branches[start..])
}

/// Where the parent of a span stands. A parent that would close a circle is not drawn, so the drawing ends
/// whatever the ids say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parent {
    None,
    Above(usize),
    Cyclic,
}

impl Parent {
    fn above(self) -> Option<usize> {
        match self {
            Self::Above(index) => Some(index),
            Self::None | Self::Cyclic => None,
        }
    }
}

/// The parent of each span, and whether it is a proposed one.
fn parents(spans: &[ExemplarSpan], which: Parents) -> (Vec<Parent>, Vec<bool>) {
    let mut by_id: HashMap<(Option<&str>, &str), usize> = HashMap::with_capacity(spans.len());
    for (index, span) in spans.iter().enumerate() {
        by_id.entry((span.trace_id.as_deref(), &span.span_id)).or_insert(index);
    }
    let recorded = |span: &ExemplarSpan| {
        let parent = span.parent_id.as_deref()?;
        by_id.get(&(span.trace_id.as_deref(), parent)).copied()
    };
    let proposed = |span: &ExemplarSpan| {
        let parent = span.proposed_parent.as_ref().filter(|_| which == Parents::Proposed)?;
        by_id.get(&(Some(&*parent.trace_id), &*parent.span_id)).copied()
    };
    let dashed: Vec<bool> = spans.iter().map(|span| proposed(span).is_some()).collect();
    let found: Vec<Option<usize>> =
        spans.iter().map(|span| proposed(span).or_else(|| recorded(span))).collect();
    (without_circles(&found), dashed)
}

/// Parents that stand before their children close no circle; of the others each is drawn that joins two
/// trees.
fn without_circles(found: &[Option<usize>]) -> Vec<Parent> {
    let mut trees: Vec<usize> = (0..found.len()).collect();
    let mut parents = vec![Parent::None; found.len()];
    for (index, parent) in found.iter().enumerate() {
        if let Some(parent) = parent.filter(|parent| *parent < index) {
            parents[index] = Parent::Above(parent);
            trees[index] = top(&mut trees, parent);
        }
    }
    for (index, parent) in found.iter().enumerate() {
        let Some(parent) = parent.filter(|parent| *parent >= index) else { continue };
        let above = top(&mut trees, parent);
        parents[index] = if above == index { Parent::Cyclic } else { Parent::Above(parent) };
        trees[index] = above;
    }
    parents
}

/// The top of the tree that a span is in.
fn top(trees: &mut [usize], mut of: usize) -> usize {
    while trees[of] != of {
        trees[of] = trees[trees[of]];
        of = trees[of];
    }
    of
}

fn choose(spans: &[ExemplarSpan], parents: &[Parent], most: usize) -> Vec<bool> {
    let mut kept = vec![false; spans.len()];
    let mut left = most;
    let mut keep = |index: usize| {
        if left > 0 && !kept[index] {
            kept[index] = true;
            left -= 1;
        }
    };
    let affected = (0..spans.len()).filter(|index| spans[*index].affected);
    let lost =
        affected.clone().filter_map(|index| parents[index].above()).filter(|index| spans[*index].missing);
    let mut concerned: Vec<usize> = affected.chain(lost).collect();
    if concerned.is_empty() {
        concerned.extend((0..spans.len()).filter(|index| spans[*index].missing));
    }
    concerned.sort_unstable();
    concerned.dedup();
    let mut climbing: Vec<usize> = concerned.into_iter().take(AFFECTED_FIRST).collect();
    while !climbing.is_empty() {
        for index in &climbing {
            keep(*index);
        }
        climbing = climbing.into_iter().filter_map(|index| parents[index].above()).collect();
        climbing.dedup();
    }
    for index in 0..spans.len() {
        keep(index);
    }
    kept
}

/// Service and operation of a span, or its placeholder.
pub fn label(span: &ExemplarSpan, cyclic: bool) -> String {
    let service = span.service.as_deref().unwrap_or_default();
    if span.missing {
        let placeholder = format!("(missing span {})", span.span_id);
        let operation = span.operation.as_deref().unwrap_or_default();
        return format!("{placeholder} {service}  {operation}").trim_end().to_owned();
    }
    let service = if service.is_empty() { "unknown service" } else { service };
    let operation = span.operation.as_deref().unwrap_or("(no name)");
    let mark = if cyclic { "↺ " } else { "" };
    format!("{mark}{service}  {operation}")
}

/// How long a span took; of a missing one how long at least, which its children tell.
pub fn duration(span: &ExemplarSpan) -> String {
    if let Some(ns) = span.duration_ns {
        return time::human_duration(ns);
    }
    let Some((start, end)) = inferred_times(span) else { return String::new() };
    format!("≥ {}", time::human_duration(end.saturating_sub(start)))
}

/// First start and last end of the children of a missing span, in ns since the Unix epoch.
pub fn inferred_times(span: &ExemplarSpan) -> Option<(i64, i64)> {
    let times = span.inferred.as_ref()?;
    let start = time::parse_instant(times.first_child_start.as_deref()?)?;
    Some((start, time::parse_instant(times.last_child_end.as_deref()?)?))
}

/// The same branches in two columns a level instead of three, for whole traces.
pub fn narrow_branches(branches: &str) -> String {
    let chars: Vec<char> = branches.chars().collect();
    let dash = |level: &[char]| if level.get(1) == Some(&'┄') { '┄' } else { ' ' };
    chars.chunks(3).flat_map(|level| [level[0], dash(level)]).collect()
}

/// Branches of a deep tree would leave no room for names; the nearest levels matter.
pub fn short_branches(branches: &str, columns: usize) -> Cow<'_, str> {
    let length = branches.chars().count();
    if length <= columns {
        return Cow::Borrowed(branches);
    }
    let tail: String = branches.chars().skip(length - columns + 2).collect();
    Cow::Owned(format!("⋯ {tail}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::{Confidence, ProposedParent};

    fn span(id: &str, parent: Option<&str>) -> ExemplarSpan {
        ExemplarSpan {
            trace_id: None,
            span_id: id.to_owned(),
            parent_id: parent.map(str::to_owned),
            service: None,
            operation: None,
            kind: None,
            start: None,
            duration_ns: None,
            status: None,
            missing: false,
            proposed: false,
            proposed_parent: None,
            inferred: None,
            affected: false,
        }
    }

    fn drawn(spans: &[ExemplarSpan], most: usize) -> Vec<String> {
        let row = |row: &Row| format!("{}{}", row.branches, spans[row.span].span_id);
        layout(spans, Parents::Recorded, most).rows.iter().map(row).collect()
    }

    #[test]
    fn draws_branches() {
        let spans = [
            span("a", None),
            span("b", Some("a")),
            span("c", Some("b")),
            span("d", Some("a")),
            span("e", Some("gone")),
        ];
        assert_eq!(drawn(&spans, 9), ["a", "├─ b", "│  └─ c", "└─ d", "e"]);
    }

    #[test]
    fn cycles_end() {
        let spans = [span("a", Some("b")), span("b", Some("a")), span("s", Some("s"))];
        assert_eq!(drawn(&spans, 9), ["a", "└─ b", "s"]);
        assert!(layout(&spans, Parents::Recorded, 9).rows[0].cyclic);
    }

    #[test]
    fn proposed_parents_are_dashed_and_leave_the_recorded_ones() {
        let mut spans = [span("a", None), span("b", Some("a")), span("c", Some("d")), span("d", Some("a"))];
        let parent = |id: &str| ProposedParent {
            trace_id: "t".to_owned(),
            span_id: id.to_owned(),
            confidence: Confidence::High,
        };
        for span in &mut spans {
            span.trace_id = Some("t".to_owned());
        }
        spans[2].proposed_parent = Some(parent("b"));
        let drawn = |which| {
            let tree = layout(&spans, which, 9);
            let rows = tree.rows.iter().map(|row| format!("{}{}", row.branches, spans[row.span].span_id));
            (rows.collect::<Vec<_>>(), tree.dashed)
        };
        let (recorded, dashed) = drawn(Parents::Recorded);
        assert_eq!((recorded.join("\n"), dashed), ("a\n├─ b\n└─ d\n   └─ c".to_owned(), false));
        let (proposed, dashed) = drawn(Parents::Proposed);
        assert_eq!((proposed.join("\n"), dashed), ("a\n├─ b\n│  └┄ c\n└─ d".to_owned(), true));
        spans[0].proposed_parent = Some(parent("c"));
        let tree = layout(&spans, Parents::Proposed, 9);
        assert_eq!(tree.rows.len(), 4, "a circle of proposals ends");
    }

    #[test]
    fn a_deep_trace_shows_the_break_and_what_is_near() {
        let mut spans: Vec<_> =
            (0..100).map(|i| span(&i.to_string(), (i > 0).then(|| (i - 1).to_string()).as_deref())).collect();
        spans[90].affected = true;
        assert_eq!(drawn(&spans, 3), ["⋮ 88", "└─ 89", "   └─ 90"]);
        assert_eq!(layout(&spans, Parents::Recorded, 3).hidden, 97);
    }

    #[test]
    fn a_very_deep_chain_takes_linear_room() {
        let parent = |i: usize| (i > 0).then(|| (i - 1).to_string());
        let spans: Vec<_> = (0..100_000).map(|i| span(&i.to_string(), parent(i).as_deref())).collect();
        let tree = layout(&spans, Parents::Recorded, usize::MAX);
        assert_eq!(tree.rows.len(), spans.len());
        assert!(tree.rows.iter().all(|row| row.branches.len() < 1_000));
    }

    proptest! {
        #[test]
        fn every_chosen_span_is_drawn_once(
            ids in prop::collection::vec((0_u8..12, 0_u8..14, any::<bool>()), 0..40),
            most in 0_usize..50,
        ) {
            let spans: Vec<_> = ids
                .iter()
                .map(|(id, parent, affected)| {
                    let mut span = span(&id.to_string(), Some(&parent.to_string()));
                    span.affected = *affected;
                    span
                })
                .collect();
            let tree = layout(&spans, Parents::Recorded, most);
            prop_assert_eq!(tree.rows.len(), spans.len().min(most));
            prop_assert_eq!(tree.rows.len() + tree.hidden, spans.len());
            let mut seen: Vec<_> = tree.rows.iter().map(|row| row.span).collect();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), tree.rows.len());
        }
    }
}
