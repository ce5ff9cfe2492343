//! `tracemend explain`: what a rule finds, why it matters, how to fix it.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use serde::Serialize;

use super::args::{ExplainArgs, ListFormat};
use super::settings;
use crate::analyzers::{self, Rule};
use crate::render::{self, text};

/// Columns of the page.
const WIDTH: usize = 80;

#[derive(Serialize)]
struct Explanation<'a> {
    name: &'a str,
    severity: &'a str,
    summary: &'a str,
    what: &'a str,
    why: &'a str,
    fix: Vec<&'a str>,
    example: &'a str,
}

/// The page of a rule.
pub(super) fn page(args: &ExplainArgs) -> Result<Vec<u8>> {
    let rules = analyzers::rules();
    let Some(rule) = rules.iter().find(|rule| rule.name == args.rule) else {
        let names: Vec<&str> = rules.iter().map(|rule| rule.name).collect();
        bail!("{}", settings::unknown_rule(&args.rule, &names));
    };
    match args.format {
        ListFormat::Text => Ok(plain(rule).into_bytes()),
        ListFormat::Markdown => Ok(markdown(rule).into_bytes()),
        ListFormat::Json => {
            let mut out = Vec::new();
            render::write_json(&explanation(rule), &mut out)?;
            Ok(out)
        }
    }
}

fn explanation(rule: &Rule) -> Explanation<'_> {
    Explanation {
        name: rule.name,
        severity: rule.severity.as_str(),
        summary: rule.summary,
        what: rule.what,
        why: rule.why,
        fix: rule.fix.lines().map(str::trim).filter(|line| !line.is_empty()).collect(),
        example: rule.example,
    }
}

fn plain(rule: &Rule) -> String {
    let rule = explanation(rule);
    let mut out = format!("{} ({})\n", rule.name, rule.severity);
    paragraph(&mut out, "", "", rule.summary);
    section(&mut out, "What it finds");
    paragraph(&mut out, "  ", "  ", rule.what);
    section(&mut out, "Why it matters");
    paragraph(&mut out, "  ", "  ", rule.why);
    section(&mut out, "How to fix it");
    for (index, step) in rule.fix.iter().enumerate() {
        paragraph(&mut out, &format!("  {}. ", index + 1), "     ", step);
    }
    if !rule.example.trim().is_empty() {
        section(&mut out, "Example");
        for line in rule.example.trim_matches('\n').lines() {
            let _ = writeln!(out, "{}", format!("  {line}").trim_end());
        }
    }
    out
}

fn markdown(rule: &Rule) -> String {
    let rule = explanation(rule);
    let mut out = format!("# {}\n\nSeverity: {}\n\n{}\n", rule.name, rule.severity, rule.summary);
    let _ = write!(out, "\n## What it finds\n\n{}\n", rule.what);
    let _ = write!(out, "\n## Why it matters\n\n{}\n", rule.why);
    let _ = write!(out, "\n## How to fix it\n\n");
    for (index, step) in rule.fix.iter().enumerate() {
        let _ = writeln!(out, "{}. {step}", index + 1);
    }
    if !rule.example.trim().is_empty() {
        let example = rule.example.trim_matches('\n').trim_end();
        let _ = write!(out, "\n## Example\n\n```text\n{example}\n```\n");
    }
    out
}

fn section(out: &mut String, title: &str) {
    let _ = writeln!(out, "\n{title}");
}

fn paragraph(out: &mut String, first: &str, rest: &str, words: &str) {
    for (index, line) in text::wrap(words, WIDTH - rest.len()).iter().enumerate() {
        let _ = writeln!(out, "{}{line}", if index == 0 { first } else { rest });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Severity;

    const RULE: Rule = Rule {
        name: "orphan-span",
        severity: Severity::Error,
        summary: "A span names a parent that is not in its trace.",
        what: "Spans whose parent span id is set.",
        why: "The trace falls apart.",
        fix: "Look at the exporter.\nLook at the sampler.",
        example: "worker  orders process  consumer  30..90   parent=missing",
    };

    #[test]
    fn a_page_has_its_sections() {
        insta::assert_snapshot!(plain(&RULE));
    }

    #[test]
    fn a_markdown_page_has_the_same_sections() {
        insta::assert_snapshot!(markdown(&RULE));
    }
}
