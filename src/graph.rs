//! One trace as a graph: a view built on request for reports, `show` and rules that need more than
//! the flat pass. Edges that would close a circle are left out; they are facts, not edges.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::Direction;
use petgraph::graph::DiGraph;
pub use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use crate::model::SpanId;
use crate::trace::{CopyKind, Parent, TraceView};

/// A node of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// Index of a record in the trace view.
    Span(u32),
    /// A parent that is named but not there.
    Missing(SpanId),
}

/// What an edge says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeKind {
    /// From parent to child, both in the data.
    Parent,
    /// From the linked span to the span that has the link, both in the trace.
    Link,
    /// From a missing parent to the orphan that names it.
    Inferred,
}

/// The graph of one trace.
#[derive(Debug)]
pub struct SpanGraph {
    graph: DiGraph<Node, EdgeKind>,
    /// Graph node of each record that is a node.
    nodes: Vec<Option<NodeIndex>>,
    /// Start times in ns by graph node, to order siblings.
    starts: Vec<i64>,
}

impl SpanGraph {
    /// Builds the graph of a trace.
    pub fn new(trace: &TraceView<'_>) -> Self {
        let mut graph =
            Self { graph: DiGraph::new(), nodes: vec![None; trace.spans.len()], starts: Vec::new() };
        for index in 0..trace.spans.len() {
            if trace.is_node(index) {
                let node = graph.graph.add_node(Node::Span(index as u32));
                graph.nodes[index] = Some(node);
                graph.starts.push(trace.spans[index].start_ns());
            }
        }
        graph.add_parents(trace);
        graph.add_links(trace);
        graph
    }

    fn add_parents(&mut self, trace: &TraceView<'_>) {
        let mut missing: BTreeMap<SpanId, NodeIndex> = BTreeMap::new();
        for (index, span) in trace.spans.iter().enumerate() {
            let Some(child) = self.nodes[index] else { continue };
            match trace.parents[index] {
                Parent::Span(parent) => {
                    let closes_circle = trace.cycle.binary_search(&trace.key(index).head).is_ok()
                        && trace.cycle.binary_search(&trace.key(parent as usize).head).is_ok();
                    let Some(parent) = self.nodes[parent as usize] else { continue };
                    if !closes_circle {
                        self.graph.add_edge(parent, child, EdgeKind::Parent);
                    }
                }
                Parent::Missing => {
                    let Some(parent_id) = span.parent_id() else { continue };
                    let parent = *missing.entry(parent_id).or_insert_with(|| {
                        self.starts.push(i64::MAX);
                        self.graph.add_node(Node::Missing(parent_id))
                    });
                    self.starts[parent.index()] = self.starts[parent.index()].min(span.start_ns());
                    self.graph.add_edge(parent, child, EdgeKind::Inferred);
                }
                Parent::None | Parent::Itself => {}
            }
        }
    }

    fn add_links(&mut self, trace: &TraceView<'_>) {
        for (index, span) in trace.spans.iter().enumerate() {
            let Some(node) = self.nodes[index] else { continue };
            for link in trace.partition.links(span).iter().filter(|link| link.trace_id() == trace.trace_id) {
                let target = trace.spans.partition_point(|other| other.span_id().0 < link.span_id);
                let is_there = trace.spans.get(target).is_some_and(|other| other.span_id().0 == link.span_id);
                if let Some(Some(target)) = self.nodes.get(target).filter(|_| is_there) {
                    self.graph.add_edge(*target, node, EdgeKind::Link);
                }
            }
        }
    }

    /// The graph node of a record, if the record is a node.
    pub fn node_of(&self, index: usize) -> Option<NodeIndex> {
        self.nodes.get(index).copied().flatten()
    }

    /// What a graph node stands for.
    pub fn node(&self, node: NodeIndex) -> Node {
        self.graph[node]
    }

    /// Nodes without parent, missing parents among them, the earliest first.
    pub fn roots(&self) -> Vec<NodeIndex> {
        let mut roots: Vec<NodeIndex> =
            self.graph.node_indices().filter(|node| self.parent(*node).is_none()).collect();
        self.sort(&mut roots);
        roots
    }

    /// The parent of a node, missing ones included.
    pub fn parent(&self, node: NodeIndex) -> Option<NodeIndex> {
        let edges = self.graph.edges_directed(node, Direction::Incoming);
        edges.filter(|edge| *edge.weight() != EdgeKind::Link).map(|edge| edge.source()).next()
    }

    /// The children of a node, the earliest first.
    pub fn children(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let edges = self.graph.edges_directed(node, Direction::Outgoing);
        let mut children: Vec<NodeIndex> =
            edges.filter(|edge| *edge.weight() != EdgeKind::Link).map(|edge| edge.target()).collect();
        self.sort(&mut children);
        children
    }

    /// Spans of this trace that a node links to.
    pub fn linked(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let edges = self.graph.edges_directed(node, Direction::Incoming);
        edges.filter(|edge| *edge.weight() == EdgeKind::Link).map(|edge| edge.source()).collect()
    }

    /// All nodes with their depth, parents before children, siblings by start.
    pub fn in_tree_order(&self) -> Vec<(NodeIndex, usize)> {
        let mut ordered = Vec::with_capacity(self.graph.node_count());
        let mut stack: Vec<(NodeIndex, usize)> =
            self.roots().into_iter().rev().map(|root| (root, 0)).collect();
        while let Some((node, depth)) = stack.pop() {
            ordered.push((node, depth));
            stack.extend(self.children(node).into_iter().rev().map(|child| (child, depth + 1)));
        }
        ordered
    }

    /// Some nodes in the same order: parents before children as far as both are among them.
    pub fn in_tree_order_of(&self, some: &BTreeSet<NodeIndex>) -> Vec<NodeIndex> {
        let mut below: BTreeMap<Option<NodeIndex>, Vec<NodeIndex>> = BTreeMap::new();
        for node in some {
            let parent = self.parent(*node).filter(|parent| some.contains(parent));
            below.entry(parent).or_default().push(*node);
        }
        for siblings in below.values_mut() {
            self.sort(siblings);
            siblings.reverse();
        }
        let mut ordered = Vec::with_capacity(some.len());
        let mut stack = below.remove(&None).unwrap_or_default();
        while let Some(node) = stack.pop() {
            ordered.push(node);
            stack.extend(below.remove(&Some(node)).unwrap_or_default());
        }
        ordered
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        self.graph.node_indices()
    }

    /// At most so many children of a node, in no particular order; does not look at more.
    pub fn some_children(&self, node: NodeIndex, most: usize) -> impl Iterator<Item = NodeIndex> + '_ {
        let edges = self.graph.edges_directed(node, Direction::Outgoing).take(most);
        edges.filter(|edge| *edge.weight() != EdgeKind::Link).map(|edge| edge.target())
    }

    /// Number of nodes, missing parents included.
    pub fn len(&self) -> usize {
        self.graph.node_count()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.graph.node_count() == 0
    }

    fn sort(&self, nodes: &mut [NodeIndex]) {
        nodes.sort_by_key(|node| (self.starts[node.index()], node.index()));
    }
}

/// Counts that the flat pass makes as well, made from the graph: orphans, roots, missing parents.
/// Tests hold that both agree.
pub fn counts(trace: &TraceView<'_>, graph: &SpanGraph) -> (u64, u64, u64) {
    let mut orphans = 0;
    let mut roots = 0;
    let mut missing = 0;
    let mut last_orphan = None;
    for node in graph.graph.node_indices() {
        let Node::Span(index) = graph.node(node) else {
            missing += 1;
            continue;
        };
        let index = index as usize;
        let parent = graph.parent(node).map(|parent| graph.node(parent));
        let id = trace.spans[index].span_id();
        if matches!(parent, Some(Node::Missing(_))) && last_orphan != Some(id) {
            orphans += 1;
            last_orphan = Some(id);
        }
        let is_root = parent.is_none() && trace.parents[index] == Parent::None;
        roots += u64::from(is_root && trace.copies[index] != CopyKind::Repeated);
    }
    (orphans, roots, missing)
}
