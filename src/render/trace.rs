//! One trace as a tree, with a bar on the trace's time line for each span.

use std::collections::BTreeMap;
use std::io;

use super::ascii::Ascii;
use super::tree::Parents;
use super::{RenderOptions, text, tree};
use crate::model::time;
use crate::report::ExemplarSpan;
use crate::shown::ShownTrace;

/// Columns of kind and duration.
const FACTS: usize = 21;

/// Writes the tree.
pub fn render(trace: &ShownTrace, options: &RenderOptions, out: &mut dyn io::Write) -> io::Result<()> {
    let mut plain = Ascii::new(out);
    let out: &mut dyn io::Write = if options.ascii { &mut plain } else { plain.inner() };
    let width = options.width.clamp(72, 200);
    let bar_width = (width - FACTS) / 3;
    let name_width = width - FACTS - bar_width - 1;
    let window = Window::of(&trace.spans);
    let missing = trace.spans.iter().filter(|span| span.missing).count();
    let real = (trace.spans.len() - missing) as u64;
    let length = time::human_duration(window.last.saturating_sub(window.first));
    let absent = if missing > 0 { format!(", {missing} missing") } else { String::new() };
    let heading = format!("trace {}", text::clean(&trace.trace_id));
    writeln!(out, "{heading}\n{}{absent}, {length}", text::plural(real, "span", "spans"))?;
    for line in connected(trace).iter().flat_map(|line| text::wrap(line, width)) {
        writeln!(out, "{line}")?;
    }
    writeln!(out)?;

    let mut notes: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (index, note) in &trace.notes {
        notes.entry(*index).or_default().push(note);
    }
    for row in tree::layout(&trace.spans, Parents::Proposed, usize::MAX).rows {
        let span = &trace.spans[row.span];
        let branches = tree::narrow_branches(&row.branches);
        let branches = tree::short_branches(&branches, name_width * 2 / 3);
        let label = tree::label(span, row.cyclic);
        let label = text::fit_padded(&label, name_width - text::width(&branches));
        let kind = text::fit_padded(span.kind.as_deref().unwrap_or_default(), 8);
        let duration = tree::duration(span);
        let bar = window.bar(span, bar_width);
        let line = format!("{branches}{label} {kind} {duration:>10} {bar}");
        writeln!(out, "{}", line.trim_end())?;
        for note in notes.get(&row.span).into_iter().flatten() {
            for line in text::wrap(note, width - 4) {
                writeln!(out, "  ◀ {line}")?;
            }
        }
        let attributes = trace.attributes.get(row.span).filter(|_| options.verbosity > 0);
        for attribute in attributes.into_iter().flatten() {
            writeln!(out, "      {}", text::fit(&text::clean(attribute), width - 6))?;
        }
    }
    Ok(())
}

/// What else is drawn, and what is not.
fn connected(trace: &ShownTrace) -> Vec<String> {
    let mut lines: Vec<String> =
        trace.attached.iter().map(|id| format!("with trace {id}, by a proposed parent (┄)")).collect();
    if lines.is_empty() && trace.spans.iter().any(|span| span.proposed) {
        lines.push("with proposed parents (┄)".to_owned());
    }
    if trace.traces_left_out > 0 {
        let more = text::plural(trace.traces_left_out as u64, "trace", "traces");
        lines.push(format!("{more} or more belong to it as well and are left out"));
    }
    lines
}

/// The time that a trace covers.
struct Window {
    first: i64,
    last: i64,
}

impl Window {
    fn of(spans: &[ExemplarSpan]) -> Self {
        let times = || spans.iter().filter_map(start_and_end);
        let first = times().map(|(start, end)| start.min(end)).min().unwrap_or(0);
        let last = times().map(|(start, end)| start.max(end)).max().unwrap_or(0);
        Self { first, last }
    }

    fn bar(&self, span: &ExemplarSpan, columns: usize) -> String {
        let Some((start, end)) = start_and_end(span) else { return String::new() };
        let length = (i128::from(self.last) - i128::from(self.first)).max(1);
        let column = |ns: i64| {
            let from_first = i128::from(ns) - i128::from(self.first);
            usize::try_from(from_first * columns as i128 / length).unwrap_or(0).min(columns)
        };
        let before = column(start.min(end)).min(columns.saturating_sub(1));
        let after = column(start.max(end)).max(before + 1);
        let stroke = if span.missing { "┄" } else { "━" };
        format!("{}{}", " ".repeat(before), stroke.repeat(after - before))
    }
}

fn start_and_end(span: &ExemplarSpan) -> Option<(i64, i64)> {
    if span.missing {
        return tree::inferred_times(span);
    }
    let start = time::parse_instant(span.start.as_deref()?)?;
    Some((start, start.saturating_add(span.duration_ns?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn draws_a_waterfall() {
        let report = samples::failing();
        let mut spans = report.findings[0].exemplars[0].spans.clone();
        spans[3].start = Some("2026-01-01T10:01:00.060000000Z".to_owned());
        let notes = vec![(3, "orphan-span: its parent is not in the data".to_owned())];
        let trace = ShownTrace {
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
            spans,
            notes,
            ..ShownTrace::default()
        };
        let mut out = Vec::new();
        render(&trace, &RenderOptions::default(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.lines().all(|line| text::width(line) <= 80), "{out}");
        insta::assert_snapshot!(out);
    }

    #[test]
    fn another_trace_hangs_on_its_proposed_parent() {
        let report = samples::detached();
        let exemplar = &report.findings[0].exemplars[0];
        let trace = ShownTrace {
            trace_id: exemplar.trace_id.clone(),
            attached: vec!["4bf92f3577b34da6a3ce929d0e0e4736".to_owned()],
            traces_left_out: 2,
            spans: exemplar.spans.clone(),
            ..ShownTrace::default()
        };
        for ascii in [false, true] {
            let mut out = Vec::new();
            render(&trace, &RenderOptions { ascii, ..RenderOptions::default() }, &mut out).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(out.lines().all(|line| text::width(line) <= 80), "{out}");
            assert!(!ascii || out.is_ascii(), "{out}");
            insta::assert_snapshot!(format!("relinked_{}", if ascii { "ascii" } else { "unicode" }), out);
        }
    }

    #[test]
    fn an_empty_trace_is_no_trouble() {
        let mut out = Vec::new();
        render(&ShownTrace::default(), &RenderOptions::default(), &mut out).unwrap();
        assert!(!out.is_empty());
    }
}
