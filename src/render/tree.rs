//! Draws the spans of an exemplar as a tree.

use std::borrow::Cow;
use std::collections::HashMap;

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

/// Lays out at most `most` spans: the affected and missing ones first, then their ancestors from
/// the nearest up, then the others in order.
pub fn layout(spans: &[ExemplarSpan], most: usize) -> Tree {
    let parents = parents(spans);
    let kept = choose(spans, &parents, most);
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    let mut tops = Vec::new();
    for index in (0..spans.len()).filter(|index| kept[*index]) {
        match parents[index].above() {
            Some(parent) if kept[parent] => children[parent].push(index),
            _ => tops.push(index),
        }
    }
    let mut tree = Tree { rows: Vec::new(), hidden: spans.len() - kept.iter().filter(|kept| **kept).count() };
    let mut open: Vec<(usize, String, String)> = Vec::new();
    for top in tops.into_iter().rev() {
        let branches = if parents[top].above().is_some() { "⋮ " } else { "" };
        open.push((top, branches.to_owned(), String::new()));
    }
    while let Some((index, branches, below)) = open.pop() {
        tree.rows.push(Row { branches, span: index, cyclic: parents[index] == Parent::Cyclic });
        let last = children[index].last().copied();
        for child in children[index].iter().rev().copied() {
            let (corner, edge) = match (Some(child) == last, spans[child].proposed) {
                (true, false) => ("└─ ", "   "),
                (true, true) => ("└┄ ", "   "),
                (false, false) => ("├─ ", "│  "),
                (false, true) => ("├┄ ", "│  "),
            };
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

/// Where the parent of a span stands. Only a parent above is drawn, so the drawing has no cycle
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

fn parents(spans: &[ExemplarSpan]) -> Vec<Parent> {
    let mut by_id: HashMap<&str, usize> = HashMap::with_capacity(spans.len());
    for (index, span) in spans.iter().enumerate() {
        by_id.entry(&span.span_id).or_insert(index);
    }
    let parent_of = |(index, span): (usize, &ExemplarSpan)| {
        let found = span.parent_id.as_deref().and_then(|id| by_id.get(id).copied());
        match found {
            None => Parent::None,
            Some(parent) if parent < index => Parent::Above(parent),
            Some(_) => Parent::Cyclic,
        }
    };
    spans.iter().enumerate().map(parent_of).collect()
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

/// The same branches in two columns a level instead of three, for whole traces.
pub fn narrow_branches(branches: &str) -> String {
    let chars: Vec<char> = branches.chars().collect();
    chars.chunks(3).flat_map(|level| [level[0], ' ']).collect()
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

    fn span(id: &str, parent: Option<&str>) -> ExemplarSpan {
        ExemplarSpan {
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
            affected: false,
        }
    }

    fn drawn(spans: &[ExemplarSpan], most: usize) -> Vec<String> {
        let row = |row: &Row| format!("{}{}", row.branches, spans[row.span].span_id);
        layout(spans, most).rows.iter().map(row).collect()
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
        assert!(layout(&spans, 9).rows[0].cyclic);
    }

    #[test]
    fn a_deep_trace_shows_the_break_and_what_is_near() {
        let mut spans: Vec<_> =
            (0..100).map(|i| span(&i.to_string(), (i > 0).then(|| (i - 1).to_string()).as_deref())).collect();
        spans[90].affected = true;
        assert_eq!(drawn(&spans, 3), ["⋮ 88", "└─ 89", "   └─ 90"]);
        assert_eq!(layout(&spans, 3).hidden, 97);
    }

    #[test]
    fn a_very_deep_chain_takes_linear_room() {
        let parent = |i: usize| (i > 0).then(|| (i - 1).to_string());
        let spans: Vec<_> = (0..100_000).map(|i| span(&i.to_string(), parent(i).as_deref())).collect();
        let tree = layout(&spans, usize::MAX);
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
            let tree = layout(&spans, most);
            prop_assert_eq!(tree.rows.len(), spans.len().min(most));
            prop_assert_eq!(tree.rows.len() + tree.hidden, spans.len());
            let mut seen: Vec<_> = tree.rows.iter().map(|row| row.span).collect();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), tree.rows.len());
        }
    }
}
