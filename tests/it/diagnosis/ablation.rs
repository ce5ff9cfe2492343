//! Faults that are made from a healthy run: what is done to its spans, and what is true about them then.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use tracemend::formats::whole::WholeSpan;
use tracemend::model::{SpanId, TraceId, Value};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::case::{Affected, Expect, How};

/// A run with a fault, and the truth about it.
pub(crate) struct Made {
    pub(crate) spans: Vec<WholeSpan>,
    pub(crate) expect: Expect,
    pub(crate) affected: Vec<Affected>,
}

/// One fault.
pub(crate) struct Ablation {
    /// What is done, in a few words.
    pub(crate) name: &'static str,
    pub(crate) make: fn(Vec<WholeSpan>) -> Made,
}

/// All of them; the first does nothing.
pub(crate) static ALL: [Ablation; 7] = [
    Ablation { name: "nothing is done", make: silent },
    Ablation { name: "spans of one operation are missing", make: remove_an_operation },
    Ablation { name: "the last tenth of the time is missing", make: cut_the_tail },
    Ablation { name: "a third of the traces has spans of one service twice", make: duplicate },
    Ablation { name: "the clock of one service is 250 ms ahead", make: shift_a_clock },
    Ablation { name: "one service cuts trace ids to 64 bits", make: truncate_trace_ids },
    Ablation { name: "one edge loses its context", make: drop_parents },
];

fn silent(spans: Vec<WholeSpan>) -> Made {
    Made { spans, expect: Expect { silent: true, ..Expect::default() }, affected: Vec::new() }
}

/// The spans of a run by what hangs on what.
struct Run<'s> {
    spans: &'s [WholeSpan],
    by_id: HashMap<(TraceId, SpanId), usize>,
}

/// All hops from one exit operation to one entry operation of another service.
struct Edge {
    caller: String,
    callee: String,
    exit_name: String,
    /// Exit and entry of each hop.
    hops: Vec<(usize, usize)>,
}

fn key(whole: &WholeSpan) -> (TraceId, SpanId) {
    (whole.span.trace_id, whole.span.span_id)
}

fn service(whole: &WholeSpan) -> &str {
    whole.resource.service_name()
}

fn text(key: (TraceId, SpanId)) -> String {
    format!("{}:{}", key.0, key.1)
}

impl<'s> Run<'s> {
    fn new(spans: &'s [WholeSpan]) -> Self {
        Self { spans, by_id: spans.iter().enumerate().map(|(index, whole)| (key(whole), index)).collect() }
    }

    fn parent(&self, index: usize) -> Option<usize> {
        let span = &self.spans[index].span;
        self.by_id.get(&(span.trace_id, span.parent_span_id?)).copied()
    }

    /// The edges, those with most hops first.
    fn edges(&self) -> Vec<Edge> {
        let mut edges: BTreeMap<[&str; 4], Vec<(usize, usize)>> = BTreeMap::new();
        for (entry, whole) in self.spans.iter().enumerate().filter(|(_, whole)| whole.span.kind.is_entry()) {
            let Some(exit) = self.parent(entry) else { continue };
            let above = &self.spans[exit];
            if above.span.kind.is_exit() && service(above) != service(whole) {
                let place = [service(above), service(whole), &above.span.name, &whole.span.name];
                edges.entry(place).or_default().push((exit, entry));
            }
        }
        let edges = edges.into_iter().map(|([caller, callee, exit_name, _], hops)| Edge {
            caller: caller.to_owned(),
            callee: callee.to_owned(),
            exit_name: exit_name.to_owned(),
            hops,
        });
        let mut edges: Vec<Edge> = edges.collect();
        edges.sort_by_key(|edge| std::cmp::Reverse(edge.hops.len()));
        edges
    }

    fn busiest(&self) -> Edge {
        self.edges().into_iter().next().expect("a run with hops")
    }

    /// A span and all below it, for each of these spans.
    fn below(&self, tops: &[usize]) -> Vec<(usize, usize)> {
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.spans.len()];
        for index in 0..self.spans.len() {
            if let Some(parent) = self.parent(index) {
                children[parent].push(index);
            }
        }
        let mut below = Vec::new();
        for top in tops {
            let mut open = vec![*top];
            while let Some(index) = open.pop() {
                below.push((*top, index));
                open.extend(&children[index]);
            }
        }
        below
    }

    fn affected(&self, index: usize, how: How, parent: Option<usize>, exported: bool) -> Affected {
        let whole = &self.spans[index];
        Affected {
            span: text(key(whole)),
            how,
            service: service(whole).to_owned(),
            name: whole.span.name.to_string(),
            parent: parent.map(|parent| text(key(&self.spans[parent]))),
            exported: parent.map(|_| exported),
            why: None,
        }
    }
}

fn expect(rule: &str) -> Expect {
    Expect { rules: vec![rule.to_owned()], ..Expect::default() }
}

fn remove_an_operation(mut spans: Vec<WholeSpan>) -> Made {
    let run = Run::new(&spans);
    let edge = run.busiest();
    let is_removed = |whole: &WholeSpan| {
        service(whole) == edge.caller && whole.span.name == edge.exit_name && whole.span.kind.is_exit()
    };
    let mut affected = Vec::new();
    let mut services = BTreeSet::from([edge.caller.clone()]);
    for index in 0..spans.len() {
        let Some(parent) = run.parent(index).filter(|parent| is_removed(&spans[*parent])) else { continue };
        if !is_removed(&spans[index]) {
            services.insert(service(&spans[index]).to_owned());
            affected.push(run.affected(index, How::MissingParent, Some(parent), false));
        }
    }
    spans.retain(|whole| !is_removed(whole));
    let expect = Expect { service: services.into_iter().collect(), ..expect("orphan-span") };
    Made { spans, expect, affected }
}

/// What has not ended when the export is made is not in it. Nothing is broken.
fn cut_the_tail(spans: Vec<WholeSpan>) -> Made {
    let starts = || spans.iter().filter_map(|whole| whole.span.start_ns);
    let ends = spans.iter().filter_map(|whole| whole.span.end_ns);
    let (first, last) = (starts().min().unwrap_or(0), ends.max().unwrap_or(0));
    let cut_ns = last - (last - first) / 10;
    silent(spans.into_iter().filter(|whole| whole.span.end_ns <= Some(cut_ns)).collect())
}

fn duplicate(mut spans: Vec<WholeSpan>) -> Made {
    let run = Run::new(&spans);
    let edge = run.busiest();
    let is_twice = |whole: &WholeSpan| {
        service(whole) == edge.callee && xxh3_64(&whole.span.trace_id.0.to_be_bytes()).is_multiple_of(3)
    };
    let twice: Vec<usize> = (0..spans.len()).filter(|index| is_twice(&spans[*index])).collect();
    let affected = twice.iter().map(|index| run.affected(*index, How::Duplicate, None, false)).collect();
    let copies: Vec<WholeSpan> = twice.iter().map(|index| spans[*index].clone()).collect();
    spans.extend(copies);
    let expect =
        Expect { severity: Some("warning".to_owned()), to: vec![edge.callee], ..expect("duplicate-span") };
    Made { spans, expect, affected }
}

fn shift_a_clock(mut spans: Vec<WholeSpan>) -> Made {
    const AHEAD_NS: i64 = 250_000_000;
    let edge = Run::new(&spans).busiest();
    let shifted = service(&spans[edge.hops[0].1]).to_owned();
    for whole in spans.iter_mut().filter(|whole| service(whole) == shifted) {
        move_by(whole, AHEAD_NS);
    }
    let expect = Expect {
        severity: Some("warning".to_owned()),
        service: vec![shifted],
        also: vec!["negative-duration".to_owned()],
        ..expect("clock-skew")
    };
    Made { spans, expect, affected: Vec::new() }
}

fn move_by(whole: &mut WholeSpan, ns: i64) {
    let span = &mut whole.span;
    let events = span.events.iter_mut().map(|event| &mut event.time_ns);
    for time in [&mut span.start_ns, &mut span.end_ns].into_iter().chain(events) {
        *time = time.map(|time| time + ns);
    }
}

/// The ids that the service got are cut, and it passes on what it has.
fn truncate_trace_ids(mut spans: Vec<WholeSpan>) -> Made {
    let run = Run::new(&spans);
    let edge = run.busiest();
    let entries: Vec<usize> = edge.hops.iter().map(|(_, entry)| *entry).collect();
    let below: BTreeSet<usize> = run.below(&entries).into_iter().map(|(_, index)| index).collect();
    let mut affected: Vec<Affected> = edge
        .hops
        .iter()
        // Below another cut span the trace id was short already.
        .filter(|(exit, _)| !below.contains(exit))
        .map(|(exit, entry)| run.affected(*entry, How::OtherTrace, Some(*exit), true))
        .collect();
    for affected in &mut affected {
        let (trace, span) = affected.span.split_at(32);
        affected.span = format!("{:0>32}{span}", &trace[16..]);
    }
    for index in below {
        let trace_id = &mut spans[index].span.trace_id;
        *trace_id = TraceId(u128::from(trace_id.low64()));
    }
    let expect = Expect { service: vec![edge.callee], ..expect("orphan-span") };
    Made { spans, expect, affected }
}

/// What comes in without context begins a trace.
fn drop_parents(mut spans: Vec<WholeSpan>) -> Made {
    let run = Run::new(&spans);
    let edge = run.busiest();
    let entries: Vec<usize> = edge.hops.iter().map(|(_, entry)| *entry).collect();
    // A call below another one of the edge gets the id of the nearest, which is looked at later.
    let mut top_of: BTreeMap<usize, usize> = BTreeMap::new();
    let mut by_depth: Vec<(usize, usize)> = run.below(&entries);
    let size = |top: usize| by_depth.iter().filter(|(other, _)| *other == top).count();
    let sizes: BTreeMap<usize, usize> = entries.iter().map(|entry| (*entry, size(*entry))).collect();
    by_depth.sort_by_key(|(top, _)| std::cmp::Reverse(sizes[top]));
    for (top, index) in by_depth {
        top_of.insert(index, top);
    }
    let new_id = |index: usize| match top_of.get(&index) {
        Some(top) => {
            let (trace_id, span_id) = key(&spans[*top]);
            TraceId(xxh3_128(&[&trace_id.0.to_be_bytes()[..], &span_id.0.to_be_bytes()[..]].concat()))
        }
        None => spans[index].span.trace_id,
    };
    let affected = edge.hops.iter().map(|(exit, entry)| Affected {
        span: text((new_id(*entry), spans[*entry].span.span_id)),
        parent: Some(text((new_id(*exit), spans[*exit].span.span_id))),
        ..run.affected(*entry, How::BecameRoot, Some(*exit), true)
    });
    let affected = affected.collect();
    let new_ids: Vec<TraceId> = (0..spans.len()).map(new_id).collect();
    for (whole, trace_id) in spans.iter_mut().zip(new_ids) {
        whole.span.trace_id = trace_id;
    }
    for entry in entries {
        let span = &mut spans[entry].span;
        (span.parent_span_id, span.parent_is_remote) = (None, None);
        span.flags = span.flags.map(|flags| flags & 0xff);
    }
    let expect = Expect { from: vec![edge.caller], to: vec![edge.callee], ..expect("detached-entry") };
    Made { spans, expect, affected }
}

/// Calls of its edge that are open when a call starts, itself among them: mean over the calls of an edge,
/// and median over the edges.
pub(crate) fn in_flight(spans: &[WholeSpan]) -> f64 {
    let run = Run::new(spans);
    let open = run.edges().into_iter().map(|edge| {
        let times = |of: fn(&WholeSpan) -> Option<i64>| {
            let mut times: Vec<i64> = edge.hops.iter().filter_map(|(exit, _)| of(&spans[*exit])).collect();
            times.sort_unstable();
            times
        };
        let (starts, ends) = (times(|whole| whole.span.start_ns), times(|whole| whole.span.end_ns));
        let open = starts.iter().enumerate().map(|(before, start)| {
            let over = ends.partition_point(|end| end < start);
            (before + 1).saturating_sub(over)
        });
        open.sum::<usize>() as f64 / starts.len() as f64
    });
    median(open.collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Time in calls, ns, and number of calls: medians over the edges.
fn calls_of_an_edge(spans: &[WholeSpan]) -> (f64, f64) {
    let edges = Run::new(spans).edges();
    let busy_ns = edges.iter().map(|edge| {
        let durations = edge.hops.iter().filter_map(|(exit, _)| spans[*exit].span.duration_ns());
        durations.sum::<i64>() as f64
    });
    (median(busy_ns.collect()), median(edges.iter().map(|edge| edge.hops.len() as f64).collect()))
}

/// Spans beyond which no further copies are made.
const MOST_SPANS: usize = 20_000;

/// The same requests, so close together or so far apart that as many calls are open at a time. Where there
/// are too few requests for that, there are copies of them with ids of their own. Traces that are linked stay
/// together; the times inside them stay.
pub(crate) fn fold(spans: &[WholeSpan], wanted: f64) -> Vec<WholeSpan> {
    // With three times as many calls as are open at once, calls still come and go.
    const CALLS_FOR_EACH_OPEN: f64 = 3.0;
    let (busy_ns, calls) = calls_of_an_edge(spans);
    let mut copies = (CALLS_FOR_EACH_OPEN * wanted / calls).ceil().max(1.0);
    loop {
        let folded = fold_into(spans, copies as i64, (busy_ns * copies / wanted) as i64);
        let found = in_flight(&folded);
        // Traces that are longer than the window take their calls out of it again.
        let more = (copies * wanted / found).ceil();
        if found > wanted * 0.8 || more <= copies || spans.len() * more as usize > MOST_SPANS {
            return folded;
        }
        copies = more;
    }
}

fn fold_into(spans: &[WholeSpan], copies: i64, window_ns: i64) -> Vec<WholeSpan> {
    let starts = group_starts(spans);
    let first_ns = starts.values().min().copied().unwrap_or(0);
    let length_ns = starts.values().max().map_or(1, |last| (last - first_ns).max(1));
    // A window longer than the run stretches it.
    let stretch = (window_ns as f64 / length_ns as f64).max(1.0);
    let mut folded = Vec::with_capacity(spans.len() * copies as usize);
    for copy in 0..copies {
        for whole in spans {
            let start_ns = starts[&whole.span.trace_id];
            let place = ((start_ns - first_ns) as f64 * stretch) as i64 + window_ns / copies * copy;
            let mut whole = whole.clone();
            move_by(&mut whole, first_ns + place % window_ns - start_ns);
            if copy > 0 {
                rename(&mut whole, copy);
            }
            folded.push(whole);
        }
    }
    folded
}

/// When the first of the traces starts that are linked with a trace, by trace.
fn group_starts(spans: &[WholeSpan]) -> HashMap<TraceId, i64> {
    let mut groups: HashMap<TraceId, TraceId> =
        spans.iter().map(|whole| (whole.span.trace_id, whole.span.trace_id)).collect();
    for whole in spans {
        for link in &whole.span.links {
            if !groups.contains_key(&link.trace_id) {
                continue;
            }
            let (one, other) = (top(&groups, whole.span.trace_id), top(&groups, link.trace_id));
            groups.insert(one.max(other), one.min(other));
        }
    }
    let mut starts: HashMap<TraceId, i64> = HashMap::new();
    for whole in spans {
        let start_ns = whole.span.start_ns.unwrap_or(i64::MAX);
        let start = starts.entry(top(&groups, whole.span.trace_id)).or_insert(i64::MAX);
        *start = (*start).min(start_ns);
    }
    let traces: BTreeSet<TraceId> = spans.iter().map(|whole| whole.span.trace_id).collect();
    traces.into_iter().map(|trace_id| (trace_id, starts[&top(&groups, trace_id)])).collect()
}

fn top(groups: &HashMap<TraceId, TraceId>, mut of: TraceId) -> TraceId {
    while groups[&of] != of {
        of = groups[&of];
    }
    of
}

/// Gives a copy ids of its own, those of its messages too.
fn rename(whole: &mut WholeSpan, copy: i64) {
    let trace = |id: TraceId| TraceId(xxh3_128(&[&id.0.to_be_bytes()[..], &copy.to_be_bytes()[..]].concat()));
    let span_id = |id: SpanId| SpanId(xxh3_64(&[&id.0.to_be_bytes()[..], &copy.to_be_bytes()[..]].concat()));
    let span = &mut whole.span;
    span.trace_id = trace(span.trace_id);
    span.span_id = span_id(span.span_id);
    span.parent_span_id = span.parent_span_id.map(span_id);
    for link in &mut span.links {
        (link.trace_id, link.span_id) = (trace(link.trace_id), span_id(link.span_id));
    }
    for attribute in &mut span.attributes {
        if let (true, Value::String(id)) = (attribute.key.contains("message.id"), &attribute.value) {
            attribute.value = Value::String(Cow::Owned(format!("{id}-{copy}")));
        }
    }
}
