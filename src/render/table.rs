//! The report for people: verdict, what was read, the breaks, coverage, exit code. Everything is
//! said in words; colour only repeats it.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, LineStyle, Table, TableStyle};

use super::ascii::Ascii;
use super::tree::{Parents, Tree};
use super::{RenderOptions, text, tree};
use crate::exit::Exit;
use crate::finding;
use crate::model::time;
use crate::report::{
    Blame, Cause, Clock, ClockKind, Confidence, Coverage, Edge, Exemplar, ExemplarSpan, Finding,
    FindingState, RateUnit, Report, Severity, Side, Verdict,
};

/// Columns before the text of a labelled line.
const MARGIN: usize = 14;
/// Columns before a tree.
const TREE_MARGIN: usize = 4;
/// Lines of the overview; more findings are counted.
const OVERVIEW_ROWS: usize = 50;
/// Facts that are shown of a finding; there may be more.
const EVIDENCE: usize = 3;
/// Versions, instances, hosts and moments that are shown of a finding; there may be more.
const BLAMED: usize = 3;
/// Causes besides the leading one that are shown of a finding.
const OTHER_CAUSES: usize = 3;
/// Lines of the propagation matrix; more pairs of services are counted.
const MATRIX_ROWS: usize = 12;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default();

pub(super) fn render(report: &Report, options: &RenderOptions, out: &mut dyn io::Write) -> io::Result<()> {
    let rules: Vec<&str> = crate::analyzers::rules().iter().map(|rule| rule.name).collect();
    render_with(report, options, &rules, out)
}

fn render_with(
    report: &Report,
    options: &RenderOptions,
    rules: &[&str],
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let width = options.width.clamp(72, 120);
    let mut plain = Ascii::new(out);
    let out: &mut dyn io::Write = if options.ascii { &mut plain } else { plain.inner() };
    let mut page = Page { report, options, width, out };
    if options.verbosity >= 0 {
        page.verdict()?;
        page.what_was_read()?;
    }
    if !report.findings.is_empty() {
        page.overview()?;
        page.findings()?;
    }
    if options.verbosity >= 0 {
        page.checked(rules)?;
        page.propagation()?;
        page.clocks()?;
        page.coverage()?;
        page.end()?;
    }
    Ok(())
}

struct Page<'a> {
    report: &'a Report,
    options: &'a RenderOptions,
    width: usize,
    out: &'a mut dyn io::Write,
}

impl Page<'_> {
    fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    fn paint(&self, style: Style, text: impl Display) -> String {
        if self.options.color { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    /// A label, and text wrapped beside it.
    fn labelled(&mut self, label: &str, text: &str) -> io::Result<()> {
        self.lines(label, "", text)
    }

    /// Text beside a label with a bullet or number in front, wrapped under itself.
    fn lines(&mut self, label: &str, bullet: &str, text: &str) -> io::Result<()> {
        let hang = text::width(bullet);
        for (index, line) in text::wrap(text, self.width - MARGIN - hang).into_iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            let bullet = if index == 0 { Cow::Borrowed(bullet) } else { Cow::Owned(" ".repeat(hang)) };
            self.raw(label, &format!("{bullet}{line}"))?;
        }
        Ok(())
    }

    /// Text beside a label, as it is.
    fn raw(&mut self, label: &str, text: &str) -> io::Result<()> {
        let label = self.paint(DIM, format!("  {label:<width$}", width = MARGIN - 2));
        writeln!(self.out, "{}", format!("{label}{text}").trim_end())
    }

    fn verdict(&mut self) -> io::Result<()> {
        let style = match self.report.verdict {
            Verdict::Pass => GREEN,
            Verdict::Fail | Verdict::Error => RED,
            Verdict::Inconclusive => YELLOW,
        };
        let word = self.paint(style, self.report.verdict.as_str().to_uppercase());
        let sentence = self.paint(BOLD, verdict_sentence(self.report));
        writeln!(self.out, "{word}  {sentence}")
    }

    fn what_was_read(&mut self) -> io::Result<()> {
        let summary = &self.report.summary;
        self.blank()?;
        let read = format!(
            "{} in {} of {}",
            text::plural(summary.span_records, "span", "spans"),
            text::plural(summary.traces, "trace", "traces"),
            text::plural(summary.services, "service", "services"),
        );
        self.labelled("read", &read)?;
        self.labelled("from", &inputs_sentence(self.report))?;
        if self.options.verbosity > 0 {
            self.each_input()?;
        }
        let (Some(first), Some(last)) = (&summary.first_time, &summary.last_time) else { return Ok(()) };
        self.labelled("time", &period(first, last))
    }

    fn each_input(&mut self) -> io::Result<()> {
        for input in &self.report.inputs {
            let line = format!(
                "{}: {}, {}, {}",
                input.path,
                input.format.as_deref().unwrap_or("not recognised"),
                text::plural(input.spans, "span", "spans"),
                human_bytes(input.bytes),
            );
            self.lines("", "• ", &line)?;
        }
        Ok(())
    }

    fn overview(&mut self) -> io::Result<()> {
        let rows: Vec<&Finding> = self.report.findings.iter().take(OVERVIEW_ROWS).collect();
        // Two blanks before each of 7 columns; number 2, severity 8, traces 6, rate 8, confidence 10.
        let fixed = 14 + 2 + 8 + 6 + 8 + 10;
        let longest = rows.iter().map(|f| text::width(&f.rule)).max().unwrap_or(0);
        let rule_width = longest.clamp(4, 24).min(self.width - fixed - 8);
        let place_width = self.width - fixed - rule_width;
        let mut table = Table::new();
        table
            .load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')))
            .set_content_arrangement(ContentArrangement::Disabled)
            .force_no_tty();
        if self.options.color {
            table.enforce_styling();
        }
        table.set_header(["#", "severity", "rule", "where", "traces", "rate", "confidence"]);
        for (index, finding) in rows.iter().enumerate() {
            let rate = finding.rate.as_ref();
            table.add_row([
                Cell::new(index + 1).set_alignment(CellAlignment::Right),
                severity_cell(finding.severity, self.options.color),
                Cell::new(text::fit(&finding.rule, rule_width)),
                Cell::new(short_place(finding, place_width)),
                Cell::new(text::count(finding.traces)).set_alignment(CellAlignment::Right),
                Cell::new(rate.map_or_else(|| "–".to_owned(), |r| text::percent(r.affected, r.total)))
                    .set_alignment(CellAlignment::Right),
                Cell::new(match finding.state {
                    FindingState::Ignored => "(ignored)",
                    FindingState::New | FindingState::Known => finding.confidence.as_str(),
                }),
            ]);
        }
        for column in table.column_iter_mut() {
            column.set_padding((1, 0));
        }
        if self.options.verbosity >= 0 {
            self.blank()?;
        }
        for line in table.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        let more = self.report.findings.len() - rows.len();
        if more > 0 {
            writeln!(self.out, "  … and {} more", text::count(more as u64))?;
        }
        Ok(())
    }

    fn findings(&mut self) -> io::Result<()> {
        let all = self.report.findings.len();
        let shown = self.options.top.unwrap_or(all).min(all);
        for (index, finding) in self.report.findings.iter().take(shown).enumerate() {
            if finding.state != FindingState::Ignored {
                self.finding(index + 1, finding)?;
            }
        }
        if shown < all {
            let hidden = text::plural((all - shown) as u64, "finding is", "findings are");
            self.blank()?;
            writeln!(self.out, "{hidden} not shown in detail (--top all shows every one)")?;
        }
        Ok(())
    }

    fn finding(&mut self, number: usize, finding: &Finding) -> io::Result<()> {
        self.blank()?;
        self.heading(number, finding)?;
        self.place(finding)?;
        self.labelled("what", &finding.message)?;
        self.why(finding)?;
        self.evidence(finding)?;
        self.impact(finding)?;
        self.remedy(finding)?;
        self.exemplar(finding)?;
        self.next_commands(finding)
    }

    fn heading(&mut self, number: usize, finding: &Finding) -> io::Result<()> {
        let state = match finding.state {
            FindingState::New => "",
            FindingState::Known => " · known",
            FindingState::Ignored => " · ignored",
        };
        let severity = self.paint(severity_style(finding.severity), finding.severity.as_str());
        let start = format!("{number} · ");
        let end = format!(" · {}{state} ", text::clean(&finding.rule));
        let used = text::width(&start) + finding.severity.as_str().len() + text::width(&end);
        let line = self.paint(DIM, "─".repeat(self.width.saturating_sub(used)));
        let (start, end) = (self.paint(BOLD, start), self.paint(BOLD, end));
        writeln!(self.out, "{start}{severity}{end}{line}")?;
        for line in text::wrap(&finding.title, self.width) {
            let line = self.paint(BOLD, line);
            writeln!(self.out, "{line}")?;
        }
        self.blank()
    }

    fn place(&mut self, finding: &Finding) -> io::Result<()> {
        match (&finding.from, &finding.to) {
            (Some(from), Some(to)) => {
                self.labelled("where", &side(from))?;
                self.lines("", "→ ", &side(to))?;
            }
            (Some(only), None) | (None, Some(only)) => self.labelled("where", &side(only))?,
            (None, None) => {}
        }
        let Some(scope) = &finding.scope else { return Ok(()) };
        let version = scope.version.as_deref().unwrap_or_default();
        self.labelled("", &format!("instrumented by {} {version}", scope.name))
    }

    /// The cause, its rivals, and what would decide between them.
    fn why(&mut self, finding: &Finding) -> io::Result<()> {
        match (&finding.cause, &finding.decides) {
            (Some(cause), _) => self.labelled("why", &cause_sentence(cause))?,
            (None, Some(_)) => self.labelled("why", "not told by this data alone")?,
            (None, None) => {}
        }
        for cause in finding.other_causes.iter().take(OTHER_CAUSES) {
            self.lines("", "or ", &cause_sentence(cause))?;
        }
        let more = finding.other_causes.len().saturating_sub(OTHER_CAUSES);
        if more > 0 {
            self.labelled("", &format!("or {more} more (in JSON)"))?;
        }
        let Some(decides) = &finding.decides else { return Ok(()) };
        self.labelled("to be sure", decides)
    }

    /// How much is affected, since when, and what it concentrates on.
    fn impact(&mut self, finding: &Finding) -> io::Result<()> {
        self.labelled("impact", &affected(finding))?;
        if let Some(since) = since(finding) {
            self.labelled("", &since)?;
        }
        let most = if self.options.verbosity > 0 { usize::MAX } else { BLAMED };
        for blame in finding.blame.iter().take(most) {
            self.lines("", "• ", &concentration(blame))?;
        }
        Ok(())
    }

    fn evidence(&mut self, finding: &Finding) -> io::Result<()> {
        let confidence = finding.confidence;
        let sure = format!("{}: {}", confidence.as_str(), confidence_meaning(confidence));
        self.labelled("how sure", &sure)?;
        let most = if self.options.verbosity > 0 { usize::MAX } else { EVIDENCE };
        for (index, evidence) in finding.evidence.iter().take(most).enumerate() {
            self.lines(if index == 0 { "evidence" } else { "" }, "• ", &evidence.text)?;
        }
        let more = finding.evidence.len().saturating_sub(most);
        if more == 0 {
            return Ok(());
        }
        self.labelled("", &format!("{more} more with -v"))
    }

    fn remedy(&mut self, finding: &Finding) -> io::Result<()> {
        let remedy = &finding.remedy;
        self.labelled("fix", &remedy.summary)?;
        for (index, step) in remedy.steps.iter().enumerate() {
            self.lines("", &format!("{}. ", index + 1), step)?;
        }
        if let Some(code) = &remedy.code {
            self.blank()?;
            for line in code.lines() {
                let line = self.paint(CYAN, text::clean(line));
                self.raw("", &format!("  {line}"))?;
            }
            self.blank()?;
        }
        for link in &remedy.links {
            self.raw("", &text::clean(link))?;
        }
        Ok(())
    }

    fn exemplar(&mut self, finding: &Finding) -> io::Result<()> {
        let Some(exemplar) = finding.exemplars.first() else { return Ok(()) };
        let trace = self.trace_link(exemplar);
        self.raw("example", &format!("trace {trace}"))?;
        for other in other_traces(exemplar) {
            self.raw("", &format!("and trace {}", text::clean(other)))?;
        }
        let is_verbose = self.options.verbosity > 0;
        let relinked = tree::layout(&exemplar.spans, Parents::Proposed, if is_verbose { 40 } else { 12 });
        if !relinked.dashed {
            self.blank()?;
            self.tree(exemplar, &relinked)?;
            return self.blank();
        }
        let exported = tree::layout(&exemplar.spans, Parents::Recorded, if is_verbose { 40 } else { 8 });
        for (heading, tree) in [("as exported", &exported), ("as it would be with its context", &relinked)] {
            self.blank()?;
            let heading = self.paint(DIM, heading);
            writeln!(self.out, "{:TREE_MARGIN$}{heading}", "")?;
            self.tree(exemplar, tree)?;
        }
        self.blank()
    }

    fn tree(&mut self, exemplar: &Exemplar, tree: &Tree) -> io::Result<()> {
        for row in &tree.rows {
            self.tree_row(row, &exemplar.spans[row.span])?;
        }
        self.tree_notes(exemplar, tree)
    }

    fn tree_row(&mut self, row: &tree::Row, span: &ExemplarSpan) -> io::Result<()> {
        let name_width = self.width - TREE_MARGIN - 24;
        let branches = tree::short_branches(&row.branches, name_width / 2);
        let label = tree::label(span, row.cyclic);
        let label = text::fit_padded(&label, name_width - text::width(&branches));
        let kind = text::fit_padded(span.kind.as_deref().unwrap_or_default(), 8);
        let duration = tree::duration(span);
        let mark = if span.affected { " ◀" } else { "" };
        let style = match (span.affected, span.missing) {
            (true, _) => RED,
            (_, true) => YELLOW,
            _ => Style::new(),
        };
        let label = self.paint(style, label);
        let mark = self.paint(RED, mark);
        let line = format!("{:TREE_MARGIN$}{branches}{label}  {kind} {duration:>10}{mark}", "");
        writeln!(self.out, "{}", line.trim_end())
    }

    fn tree_notes(&mut self, exemplar: &Exemplar, tree: &Tree) -> io::Result<()> {
        let spans = || tree.rows.iter().map(|row| &exemplar.spans[row.span]);
        let mut notes = Vec::new();
        if spans().any(|span| span.affected) {
            notes.push("◀ the damaged span".to_owned());
        }
        if tree.dashed {
            let proposed = spans().filter_map(|span| span.proposed_parent.as_ref());
            let mut confidences: Vec<_> = proposed.map(|parent| parent.confidence).collect();
            confidences.sort_unstable();
            confidences.dedup();
            let confidences: Vec<_> =
                confidences.iter().rev().map(|confidence| confidence.as_str()).collect();
            notes.push(format!("┄ proposed parent ({})", confidences.join(", ")));
        }
        if spans().any(|span| span.missing) {
            notes.push("(missing span): not in the data, inferred from its children".to_owned());
        }
        if tree.rows.iter().any(|row| row.cyclic) {
            notes.push("↺ its parent is itself or below it".to_owned());
        }
        match (tree.hidden, exemplar.cut) {
            (0, false) => {}
            (0, true) => notes.push("… the trace has more spans".to_owned()),
            (hidden, _) => notes.push(format!("… {hidden} more spans")),
        }
        for line in text::wrap(&notes.join(" · "), self.width - TREE_MARGIN) {
            let line = self.paint(DIM, line);
            writeln!(self.out, "{:TREE_MARGIN$}{line}", "")?;
        }
        Ok(())
    }

    fn trace_link(&self, exemplar: &Exemplar) -> String {
        let id = text::clean(&exemplar.trace_id);
        match &exemplar.url {
            Some(url) if self.options.hyperlinks && !url.contains(text::is_harmful) => {
                format!("\u{1b}]8;;{url}\u{1b}\\{id}\u{1b}]8;;\u{1b}\\")
            }
            _ => id.into_owned(),
        }
    }

    fn next_commands(&mut self, finding: &Finding) -> io::Result<()> {
        let explain = format!("tracemend explain {}", text::shell_word(&finding.rule));
        let trace = finding.exemplars.first().map(|exemplar| &exemplar.trace_id);
        let Some(trace) = trace.or_else(|| finding.occurrences.first().map(|o| &o.trace_id)) else {
            return self.raw("next", &explain);
        };
        let arguments = self.options.show_arguments.clone().unwrap_or_else(|| show_arguments(self.report));
        self.raw("next", format!("tracemend show {} {arguments}", text::shell_word(trace)).trim_end())?;
        self.raw("", &explain)?;
        if let Some(cause) = &finding.cause {
            self.raw("", &format!("tracemend explain {}", text::shell_word(&cause.id)))?;
        }
        if self.options.verbosity <= 0 {
            return Ok(());
        }
        self.raw("fingerprint", &text::clean(&finding.fingerprint))
    }

    fn checked(&mut self, rules: &[&str]) -> io::Result<()> {
        if !self.report.findings.is_empty() || self.report.summary.traces == 0 || rules.is_empty() {
            return Ok(());
        }
        self.labelled("checked", &rules.join(", "))
    }

    /// How often the context got from one service to the next.
    fn propagation(&mut self) -> io::Result<()> {
        let pairs = service_pairs(&self.report.edges);
        if pairs.is_empty() {
            return Ok(());
        }
        let most = if self.options.verbosity > 0 { usize::MAX } else { MATRIX_ROWS };
        self.blank()?;
        let heading = self.paint(BOLD, "Propagation");
        writeln!(self.out, "{heading}")?;
        // Margin 2, two blanks before each of 4 columns: 9, 9, 9 and 22 wide.
        let place_width = self.width - 2 - 8 - 9 - 9 - 9 - 22;
        let row = |place: &str, calls: &str, joined: &str, broken: &str, rate: &str| {
            let place = text::fit_padded(place, place_width);
            format!("  {place}  {calls:>9}  {joined:>9}  {broken:>9}  {rate:>22}")
        };
        let header = row("from → to", "calls", "joined", "broken", "broken (95 %)");
        let header = self.paint(DIM, header.trim_end());
        writeln!(self.out, "{header}")?;
        for (from, to, [calls, joined, broken]) in pairs.iter().take(most) {
            let rate = finding::rate(*broken, *calls, RateUnit::Calls);
            let share = text::percent(*broken, *calls);
            let rate = format!("{share} ({:.1}–{:.1} %)", rate.low * 100.0, rate.high * 100.0);
            let [calls, joined, shown] = [calls, joined, broken].map(|number| text::count(*number));
            let place = place_of_pair(from, to, place_width);
            let line = row(&place, &calls, &joined, &shown, &rate);
            let line = if *broken > 0 { self.paint(RED, line) } else { line };
            writeln!(self.out, "{}", line.trim_end())?;
        }
        let more = pairs.len().saturating_sub(most);
        if more > 0 {
            writeln!(self.out, "  … and {} more (-v shows all)", text::count(more as u64))?;
        }
        let left_out = self.report.edges_total.saturating_sub(self.report.edges.len() as u64);
        if left_out > 0 {
            let edges = text::plural(left_out, "edge is", "edges are");
            writeln!(self.out, "  {edges} not counted here: those with fewest calls")?;
        }
        Ok(())
    }

    /// Clocks that are off; with `-v` all that were compared.
    fn clocks(&mut self) -> io::Result<()> {
        let shows_all = self.options.verbosity > 0;
        let clocks = self.report.clocks.iter().filter(|clock| shows_all || clock.kind != ClockKind::Agrees);
        let clocks: Vec<&Clock> = clocks.collect();
        if clocks.is_empty() {
            return Ok(());
        }
        self.blank()?;
        let heading = self.paint(BOLD, "Clocks");
        writeln!(self.out, "{heading}")?;
        // Margin 2, two blanks before each of 2 columns: 30 and 7 wide.
        let place_width = self.width - 2 - 4 - 30 - 7;
        let row = |clock: &str, offset: &str, hops: &str| {
            let clock = text::fit_padded(clock, place_width);
            format!("  {clock}  {}  {hops:>7}", text::fit_padded(offset, 30))
        };
        let header = self.paint(DIM, row("clock", "offset", "calls").trim_end());
        writeln!(self.out, "{header}")?;
        for clock in clocks {
            let line = row(&clock_name(clock), &clock_offset(clock), &text::count(clock.pairs));
            let line = if clock.kind == ClockKind::Agrees { line } else { self.paint(YELLOW, line) };
            writeln!(self.out, "{}", line.trim_end())?;
        }
        let agreeing = self.report.clocks.iter().filter(|clock| clock.kind == ClockKind::Agrees).count();
        let hidden = self.report.clocks_total.saturating_sub((self.report.clocks.len() - agreeing) as u64);
        if shows_all || hidden == 0 {
            return Ok(());
        }
        writeln!(
            self.out,
            "  … and {} (-v shows all)",
            text::plural(hidden, "clock that agrees", "clocks that agree")
        )
    }

    fn coverage(&mut self) -> io::Result<()> {
        let coverage = &self.report.coverage;
        self.blank()?;
        let heading = self.paint(BOLD, "Coverage");
        writeln!(self.out, "{heading}")?;
        let rejected = match coverage.rejected_spans {
            0 => "none rejected".to_owned(),
            number => format!("{} rejected", text::count(number)),
        };
        let read = text::plural(self.report.summary.span_records, "span", "spans");
        self.labelled("spans", &format!("{read} read, {rejected}"))?;
        for (label, sentence) in coverage_sentences(coverage) {
            self.labelled(label, &sentence)?;
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.blank()?;
        for (index, reason) in self.report.reasons.iter().enumerate() {
            self.lines(if index == 0 { "verdict" } else { "" }, "• ", &reason.message)?;
        }
        if !self.report.reasons.is_empty() {
            self.blank()?;
        }
        let line = exit_sentence(self.report);
        writeln!(self.out, "{line}")
    }
}

fn verdict_sentence(report: &Report) -> String {
    let summary = &report.summary;
    let traces = text::plural(summary.traces, "trace", "traces");
    let breaks = match summary.breaks {
        0 => format!("no breaks in {traces}"),
        number => format!(
            "{} in {} of {traces}",
            text::plural(number, "break", "breaks"),
            text::count(summary.traces_affected)
        ),
    };
    match report.verdict {
        Verdict::Pass if summary.breaks > 0 => format!("{breaks}, none reaches the gate"),
        Verdict::Pass | Verdict::Fail => breaks,
        Verdict::Inconclusive if summary.traces == 0 => "no traces to judge".to_owned(),
        Verdict::Inconclusive => format!("too little was read to say; {breaks}"),
        Verdict::Error if summary.traces == 0 => "nothing could be judged".to_owned(),
        Verdict::Error => format!("not everything could be read; {breaks}"),
    }
}

fn inputs_sentence(report: &Report) -> String {
    let bytes = report.inputs.iter().map(|input| input.bytes).sum();
    let mut formats: Vec<&str> = report.inputs.iter().filter_map(|input| input.format.as_deref()).collect();
    formats.sort_unstable();
    formats.dedup();
    let what = match report.inputs.as_slice() {
        [] => return "no input".to_owned(),
        [input] if input.path == "-" => "standard input".to_owned(),
        [input] => input.path.clone(),
        inputs => text::plural(inputs.len() as u64, "input", "inputs"),
    };
    let formats = if formats.is_empty() { "no known format".to_owned() } else { formats.join(", ") };
    format!("{what} ({formats}; {})", human_bytes(bytes))
}

/// From the first to the last time, without repeating the day.
fn period(first: &str, last: &str) -> String {
    let (day, from) = day_and_time(first);
    let (last_day, to) = day_and_time(last);
    let to = if day == last_day { to.to_owned() } else { format!("{last_day} {to}") };
    let length = time::parse_instant(first)
        .zip(time::parse_instant(last))
        .map(|(first, last)| format!(" ({})", time::human_duration(last.saturating_sub(first))))
        .unwrap_or_default();
    format!("{day} {from} to {to} UTC{length}")
}

fn day_and_time(time: &str) -> (&str, &str) {
    let (day, clock) = time.split_once('T').unwrap_or((time, ""));
    (day, clock.get(..8).unwrap_or(clock))
}

fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Error => RED,
        Severity::Warning => YELLOW,
        Severity::Info => CYAN,
    }
}

fn severity_cell(severity: Severity, color: bool) -> Cell {
    let cell = Cell::new(severity.as_str());
    if !color {
        return cell;
    }
    cell.fg(match severity {
        Severity::Error => Color::Red,
        Severity::Warning => Color::Yellow,
        Severity::Info => Color::Cyan,
    })
}

/// Calls, joined and broken hops of all pairs of services: most broken hops first, then most calls,
/// then by name. A namespace that all share is left out.
fn service_pairs(edges: &[Edge]) -> Vec<(String, String, [u64; 3])> {
    let sides = || edges.iter().flat_map(|edge| [&edge.from, &edge.to]);
    let first = sides().next().and_then(|side| side.namespace.as_deref());
    let is_one_namespace = sides().all(|side| side.namespace.as_deref() == first);
    let name = |side: &Side| if is_one_namespace { side.service_name() } else { side.short_name() };
    let mut pairs: BTreeMap<(String, String), [u64; 3]> = BTreeMap::new();
    for edge in edges {
        let counts = pairs.entry((name(&edge.from), name(&edge.to))).or_default();
        for (own, count) in counts.iter_mut().zip([edge.calls, edge.joined, edge.broken]) {
            *own += count;
        }
    }
    let mut pairs: Vec<_> = pairs.into_iter().map(|((from, to), counts)| (from, to, counts)).collect();
    pairs.sort_by_key(|(.., [calls, _, broken])| (Reverse(*broken), Reverse(*calls)));
    pairs
}

fn clock_name(clock: &Clock) -> String {
    match (&clock.service, &clock.host) {
        (Some(service), Some(host)) => format!("{service} on {host}"),
        (Some(service), None) => service.clone(),
        (None, Some(host)) => format!("host {host}"),
        (None, None) => "unknown".to_owned(),
    }
}

/// How far a clock is ahead: at the end, after what was before.
fn clock_offset(clock: &Clock) -> String {
    let about = |low: Option<i64>, high: Option<i64>| match (low, high) {
        (Some(low), Some(high)) => time::human_duration(low.midpoint(high)),
        (Some(low), None) => format!("{} or more", time::human_duration(low)),
        (None, Some(high)) => format!("{} or less", time::human_duration(high)),
        (None, None) => "?".to_owned(),
    };
    let last = about(clock.offset_low_ns, clock.offset_high_ns);
    let first = about(clock.first_offset_low_ns, clock.first_offset_high_ns);
    match clock.kind {
        ClockKind::Agrees => "agrees".to_owned(),
        ClockKind::Offset => last,
        ClockKind::Step => format!("{first}, then {last}"),
        ClockKind::Drift => format!("{first} to {last}"),
    }
}

/// Both services, each cut to its share of the columns.
fn short_place(finding: &Finding, columns: usize) -> String {
    let only = |side: &Side| {
        let operation = side.operation.as_deref().unwrap_or_default();
        text::fit(format!("{} {operation}", side.service_name()).trim_end(), columns)
    };
    let (from, to) = match (&finding.from, &finding.to) {
        (Some(from), Some(to)) if from.service == to.service => return only(to),
        (Some(from), Some(to)) => (from, to),
        (Some(side), None) | (None, Some(side)) => return only(side),
        (None, None) => return "–".to_owned(),
    };
    place_of_pair(&from.service_name(), &to.service_name(), columns)
}

fn place_of_pair(from: &str, to: &str, columns: usize) -> String {
    let room = columns.saturating_sub(3);
    let half = room / 2;
    let to_room = room.saturating_sub(text::width(&text::clean(from)).min(half)).max(half);
    let to = text::fit(to, to_room);
    let from = text::fit(from, room.saturating_sub(text::width(&to)));
    format!("{from} → {to}")
}

fn side(side: &Side) -> String {
    let mut out = side.short_name();
    if let Some(operation) = &side.operation {
        out = format!("{out} · {operation}");
    }
    match (&side.kind, side.inferred) {
        (Some(kind), false) => format!("{out} ({kind})"),
        (Some(kind), true) => format!("{out} ({kind}, inferred)"),
        (None, true) => format!("{out} (inferred)"),
        (None, false) => out,
    }
}

fn affected(finding: &Finding) -> String {
    let out = format!(
        "{} in {}",
        text::plural(finding.spans, "span", "spans"),
        text::plural(finding.traces, "trace", "traces")
    );
    let Some(rate) = &finding.rate else { return out };
    format!(
        "{out}; {} of {} {} ({}, 95 % interval {:.1} to {:.1} %)",
        text::count(rate.affected),
        text::count(rate.total),
        rate.unit.as_str(),
        text::percent(rate.affected, rate.total),
        rate.low * 100.0,
        rate.high * 100.0,
    )
}

fn since(finding: &Finding) -> Option<String> {
    let (first, last) = (finding.first_seen.as_ref()?, finding.last_seen.as_ref()?);
    Some(format!("since {}", period(first, last).replacen(" to ", ", last ", 1)))
}

/// The traces of an exemplar's spans besides its own, in the order of the spans.
fn other_traces(exemplar: &Exemplar) -> Vec<&str> {
    let mut others: Vec<&str> = Vec::new();
    for other in exemplar.spans.iter().filter_map(|span| span.trace_id.as_deref()) {
        if other != exemplar.trace_id && !others.contains(&other) {
            others.push(other);
        }
    }
    others
}

fn concentration(blame: &Blame) -> String {
    let only = if blame.elsewhere_affected == 0 { "only" } else { "mostly" };
    let of_service = blame.service.as_ref().map_or_else(String::new, |service| format!(" of {service}"));
    let what = match blame.kind.as_str() {
        "time" => blame.value.clone(),
        "version" => format!("with version {}{of_service}", blame.value),
        kind => format!("on {kind} {}{of_service}", blame.value),
    };
    let elsewhere = match blame.elsewhere_total {
        0 => String::new(),
        total => format!("; {} of {} elsewhere", text::count(blame.elsewhere_affected), text::count(total)),
    };
    format!("{only} {what}: {} of {} there{elsewhere}", text::count(blame.affected), text::count(blame.total))
}

fn confidence_meaning(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Certain => "counted in the data, not inferred",
        Confidence::High => "inferred; look-alikes are rare or excluded",
        Confidence::Medium => "inferred; other explanations are possible",
        Confidence::Low => "a hint, to be checked",
    }
}

fn cause_sentence(cause: &Cause) -> String {
    format!("{} ({}): {}", cause.id, cause.confidence.as_str(), cause.summary)
}

fn show_arguments(report: &Report) -> String {
    report.inputs.iter().map(|input| text::shell_word(&input.path)).collect::<Vec<_>>().join(" ")
}

fn coverage_sentences(coverage: &Coverage) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    for reject in &coverage.rejects {
        let place = place_in_input(&reject.input, reject.line, reject.offset);
        out.push(("rejected", format!("{} × {}, {place}", text::count(reject.count), reject.reason)));
    }
    for stretch in &coverage.unreadable {
        let place = place_in_input(&stretch.input, stretch.line, stretch.offset);
        let size =
            if stretch.bytes == 0 { String::new() } else { format!("{} at ", human_bytes(stretch.bytes)) };
        out.push(("unreadable", format!("{size}{place}: {}", stretch.reason)));
    }
    let listed: u64 = coverage.unreadable.iter().map(|stretch| stretch.bytes).sum();
    if coverage.unreadable_bytes > listed {
        out.push(("unreadable", format!("{} elsewhere", human_bytes(coverage.unreadable_bytes - listed))));
    }
    for limit in &coverage.limits_reached {
        let sentence = match limit.flag.as_str() {
            // Whole traces were left out, and nothing was cut.
            "--limit" | "--max-spans" => {
                format!("{}: {} may have more ({} moves the limit)", limit.limit, limit.input, limit.flag)
            }
            _ => {
                let place = place_in_input(&limit.input, None, limit.offset);
                format!("{}, {place}; reading it stopped there ({} moves the limit)", limit.limit, limit.flag)
            }
        };
        out.push(("limit", sentence));
    }
    for source in &coverage.partial_sources {
        out.push(("partial", format!("{}: {}", source.input, source.reason)));
    }
    for input in &coverage.attributes_not_kept {
        out.push(("not kept", format!("attributes of {input}")));
    }
    for repair in &coverage.repairs {
        out.push(("repaired", format!("{} × {}", text::count(repair.count), repair.kind)));
    }
    let judged = &coverage.not_judged;
    let counted = [
        ("skipped", coverage.skipped_files, ["file", "files"], "without traces, found in folders"),
        ("repeated", coverage.repeated_across_inputs, ["span", "spans"], "that another input already had"),
        (
            "invented",
            coverage.invented_rows,
            ["placeholder row", "placeholder rows"],
            "of the source, left out",
        ),
        ("filtered", coverage.outside_filter, ["span", "spans"], "outside the filter; parents only"),
        ("not judged", judged.window_edge_traces, ["trace", "traces"], "at the edge of the time window"),
        ("not judged", judged.settle_traces, ["trace", "traces"], "too young to be whole"),
        (
            "not judged",
            judged.truncated_traces,
            ["trace", "traces"],
            "cut, by the source or by the end of the input",
        ),
    ];
    for (label, number, [one, many], what) in counted {
        if number > 0 {
            out.push((label, format!("{} {what}", text::plural(number, one, many))));
        }
    }
    for check in &coverage.checks_not_possible {
        out.push(("not checked", format!("{}: {}", check.rule, check.reason)));
    }
    // A label says something once; the lines that follow belong to it.
    let mut last = "";
    for (label, _) in &mut out {
        let same = *label == last;
        last = label;
        if same {
            *label = "";
        }
    }
    out
}

fn place_in_input(input: &str, line: Option<u64>, offset: u64) -> String {
    match line {
        Some(line) => format!("{input} line {line}"),
        None => format!("{input} byte {offset}"),
    }
}

fn exit_sentence(report: &Report) -> String {
    let code = report.exit_code;
    if report.verdict == Verdict::Fail && code == 0 {
        return "exit code 0: a finding reaches the gate, but --exit-zero asks for 0".to_owned();
    }
    let meaning = Exit::from_code(code).map_or("", Exit::meaning);
    format!("exit code {code} ({}): {meaning}", report.verdict.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    const RULES: [&str; 3] = ["clock-skew", "duplicate-span", "orphan-span"];

    #[test]
    fn coverage_names_what_a_source_left_out() {
        let source = |reason: &str| crate::report::PartialSource {
            input: "export.json".to_owned(),
            reason: reason.to_owned(),
        };
        let coverage =
            Coverage { partial_sources: vec![source("gone"), source("late")], ..Coverage::default() };
        let lines = coverage_sentences(&coverage);
        assert_eq!(lines[0], ("partial", "export.json: gone".to_owned()));
        assert_eq!(lines[1], ("", "export.json: late".to_owned()));
    }

    fn rendered(report: &Report, options: &RenderOptions) -> String {
        let mut out = Vec::new();
        render_with(report, options, &RULES, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn assert_fits(text: &str, columns: usize) {
        for line in text.lines() {
            let copyable = line.contains("tracemend ") || line.contains("https://");
            assert!(copyable || text::width(line) <= columns, "{} columns: {line}", text::width(line));
            assert_eq!(line, line.trim_end(), "blanks at the end");
        }
    }

    #[test]
    fn failing_report() {
        let text = rendered(&samples::failing(), &RenderOptions::default());
        assert_fits(&text, 80);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn ascii_changes_no_column() {
        let report = samples::failing();
        let options = RenderOptions { ascii: true, ..RenderOptions::default() };
        let (text, plain) = (rendered(&report, &RenderOptions::default()), rendered(&report, &options));
        assert!(plain.is_ascii(), "{plain}");
        assert!(plain.contains("`- worker"), "{plain}");
        let widths = |text: &str| text.lines().map(text::width).collect::<Vec<_>>();
        assert_eq!(widths(&plain), widths(&text));
    }

    #[test]
    fn two_traces_are_shown_apart_and_as_one() {
        let text = rendered(&samples::detached(), &RenderOptions::default());
        assert_fits(&text, 80);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn healthy_report() {
        let text = rendered(&samples::healthy(), &RenderOptions::default());
        assert_fits(&text, 80);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn inconclusive_report() {
        let text = rendered(&samples::inconclusive(), &RenderOptions::default());
        assert_fits(&text, 80);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn every_width_and_loudness_fits() {
        let mut hostile = samples::hostile();
        for finding in &mut hostile.findings {
            // Code is for copying and therefore never cut.
            finding.remedy.code = None;
        }
        for report in [samples::failing(), samples::healthy(), samples::inconclusive(), hostile] {
            for width in [72, 80, 100, 120] {
                for verbosity in [-1, 0, 2] {
                    let options = RenderOptions { width, verbosity, ..RenderOptions::default() };
                    assert_fits(&rendered(&report, &options), width);
                }
            }
        }
    }

    #[test]
    fn ids_stay_whole() {
        let text = rendered(&samples::failing(), &RenderOptions::default());
        assert!(text.contains("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert!(text.contains("(missing span 00f067aa0ba902b7)"));
    }

    #[test]
    fn top_says_what_is_missing() {
        let options = RenderOptions { top: Some(1), ..RenderOptions::default() };
        let text = rendered(&samples::failing(), &options);
        assert!(text.contains("1 finding is not shown in detail"), "{text}");
    }

    #[test]
    fn quiet_prints_findings_only() {
        let options = RenderOptions { verbosity: -1, ..RenderOptions::default() };
        assert_eq!(rendered(&samples::healthy(), &options), "");
        let text = rendered(&samples::failing(), &options);
        assert!(!text.contains("Coverage") && !text.contains("exit code"), "{text}");
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let plain = rendered(&samples::failing(), &RenderOptions::default());
        let options = RenderOptions { color: true, ..RenderOptions::default() };
        let colored = rendered(&samples::failing(), &options);
        assert!(colored.contains("\u{1b}["));
        let stripped: Vec<String> = anstream::adapter::strip_str(&colored)
            .to_string()
            .lines()
            .map(|l| l.trim_end().to_owned())
            .collect();
        assert_eq!(stripped, plain.lines().collect::<Vec<_>>());
    }

    #[test]
    fn links_need_a_url_and_permission() {
        let options = RenderOptions { hyperlinks: true, ..RenderOptions::default() };
        let text = rendered(&samples::failing(), &options);
        assert!(
            text.contains("\u{1b}]8;;https://jaeger.example/trace/4bf92f3577b34da6a3ce929d0e0e4736\u{1b}\\")
        );
        assert!(!rendered(&samples::failing(), &RenderOptions::default()).contains('\u{1b}'));
    }
}
