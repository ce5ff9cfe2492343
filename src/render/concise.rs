//! One line a finding, and a last line that sums up. Stable, for grep and agents.

use std::io;

use super::{RenderOptions, text};
use crate::report::{Finding, FindingState, Report, Side};

pub(super) fn render(report: &Report, options: &RenderOptions, out: &mut dyn io::Write) -> io::Result<()> {
    for finding in &report.findings {
        writeln!(out, "{}", finding_line(finding))?;
    }
    if options.verbosity < 0 {
        return Ok(());
    }
    let summary = &report.summary;
    writeln!(
        out,
        "{}: {} in {} of {}; {} read, {} rejected; exit code {}",
        report.verdict.as_str(),
        text::plural(summary.breaks, "break", "breaks"),
        text::count(summary.traces_affected),
        text::plural(summary.traces, "trace", "traces"),
        text::plural(summary.span_records, "span", "spans"),
        text::count(report.coverage.rejected_spans),
        report.exit_code,
    )
}

fn finding_line(finding: &Finding) -> String {
    let rate = finding.rate.as_ref().map_or_else(String::new, |rate| {
        format!(", {} of {}", text::percent(rate.affected, rate.total), rate.unit.as_str())
    });
    let state = match finding.state {
        FindingState::New => "",
        FindingState::Known => " known",
        FindingState::Ignored => " ignored",
    };
    let line = format!(
        "{} {}[{}] {}: {} ({}{rate}) {}{state}",
        finding.severity.as_str(),
        finding.rule,
        finding.confidence.as_str(),
        place(finding.from.as_ref(), finding.to.as_ref()),
        finding.title,
        text::plural(finding.traces, "trace", "traces"),
        finding.fingerprint,
    );
    text::clean(&line).into_owned()
}

fn place(from: Option<&Side>, to: Option<&Side>) -> String {
    match (from, to) {
        (None, None) => "-".to_owned(),
        (None, Some(side)) | (Some(side), None) => side.short_name(),
        (Some(from), Some(to)) => format!("{} -> {}", from.short_name(), to.short_name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    fn rendered(report: &Report) -> String {
        let mut out = Vec::new();
        render(report, &RenderOptions::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn failing_report() {
        insta::assert_snapshot!(rendered(&samples::failing()));
    }

    #[test]
    fn healthy_report() {
        insta::assert_snapshot!(rendered(&samples::healthy()));
    }

    #[test]
    fn inconclusive_report() {
        insta::assert_snapshot!(rendered(&samples::inconclusive()));
    }

    #[test]
    fn hostile_names_stay_on_one_line() {
        let report = samples::hostile();
        assert_eq!(rendered(&report).lines().count(), report.findings.len() + 1);
    }
}
