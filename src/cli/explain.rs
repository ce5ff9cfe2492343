//! `tracemend explain`: what a rule finds or a cause means, and how to fix it.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use serde::Serialize;

use super::args::{ExplainArgs, ListFormat};
use super::settings;
use crate::analyzers::{self, Rule};
use crate::causes::{self, Cause, Fix};
use crate::render::{self, text};

/// Columns of the page.
const WIDTH: usize = 80;

#[derive(Serialize)]
struct RuleExplanation<'a> {
    name: &'a str,
    severity: &'a str,
    summary: &'a str,
    what: &'a str,
    why: &'a str,
    fix: Vec<&'a str>,
    example: &'a str,
}

#[derive(Serialize)]
struct CauseExplanation<'a> {
    name: &'a str,
    summary: &'a str,
    what: &'a str,
    speaks_for: &'a str,
    speaks_against: &'a str,
    decides: &'a str,
    remedy: &'a str,
    fixes: Vec<FixExplanation<'a>>,
    example: &'a str,
}

#[derive(Serialize)]
struct FixExplanation<'a> {
    language: Option<&'a str>,
    scope: Option<&'a str>,
    step: &'a str,
    code: Option<&'a str>,
}

/// A page before it is laid out.
struct Page<'a> {
    title: &'a str,
    /// What the page is about, in a word behind the title, and as a line of its own.
    kind: [String; 2],
    summary: String,
    sections: Vec<(&'a str, Body<'a>)>,
}

enum Body<'a> {
    Text(&'a str),
    /// A first line, then steps, each with what to copy.
    Steps(Vec<(&'a str, &'a str)>),
    Example(&'a str),
}

/// The page of a rule or cause.
pub(super) fn page(args: &ExplainArgs) -> Result<Vec<u8>> {
    if let Some(cause) = causes::cause(&args.name) {
        return print(args.format, &page_of_cause(cause), &cause_explanation(cause));
    }
    let rules = analyzers::rules();
    let Some(rule) = rules.iter().find(|rule| rule.name == args.name) else {
        let names = rules.iter().map(|rule| rule.name).chain(causes::ALL.iter().map(|cause| cause.id));
        bail!("{}", settings::unknown_rule_or_cause(&args.name, &names.collect::<Vec<_>>()));
    };
    print(args.format, &page_of_rule(rule), &rule_explanation(rule))
}

fn print(format: ListFormat, page: &Page<'_>, explanation: &impl Serialize) -> Result<Vec<u8>> {
    match format {
        ListFormat::Text => Ok(plain(page).into_bytes()),
        ListFormat::Markdown => Ok(markdown(page).into_bytes()),
        ListFormat::Json => {
            let mut out = Vec::new();
            render::write_json(explanation, &mut out)?;
            Ok(out)
        }
    }
}

fn rule_explanation(rule: &Rule) -> RuleExplanation<'_> {
    RuleExplanation {
        name: rule.name,
        severity: rule.severity.as_str(),
        summary: rule.summary,
        what: rule.what,
        why: rule.why,
        fix: rule.fix.lines().map(str::trim).filter(|line| !line.is_empty()).collect(),
        example: rule.example,
    }
}

fn cause_explanation(cause: &Cause) -> CauseExplanation<'_> {
    let some = |text: &'static str| (!text.is_empty()).then_some(text);
    let fixes = cause.fixes.iter().map(|fix| FixExplanation {
        language: some(fix.language),
        scope: some(fix.scope),
        step: fix.step,
        code: some(fix.code),
    });
    CauseExplanation {
        name: cause.id,
        summary: cause.summary,
        what: cause.what,
        speaks_for: cause.speaks_for,
        speaks_against: cause.speaks_against,
        decides: cause.decides,
        remedy: cause.remedy,
        fixes: fixes.collect(),
        example: cause.example,
    }
}

fn page_of_rule(rule: &Rule) -> Page<'_> {
    let steps = rule.fix.lines().map(str::trim).filter(|line| !line.is_empty()).map(|step| (step, ""));
    Page {
        title: rule.name,
        kind: [rule.severity.as_str().to_owned(), format!("Severity: {}", rule.severity.as_str())],
        summary: rule.summary.to_owned(),
        sections: vec![
            ("What it finds", Body::Text(rule.what)),
            ("Why it matters", Body::Text(rule.why)),
            ("How to fix it", Body::Steps(steps.collect())),
            ("Example", Body::Example(rule.example)),
        ],
    }
}

fn page_of_cause(cause: &Cause) -> Page<'_> {
    let step = |fix: &'static Fix| (fix.step, fix.code);
    let steps = std::iter::once((cause.remedy, "")).chain(cause.fixes.iter().map(step));
    let mut summary = cause.summary.to_owned();
    if let Some(first) = summary.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Page {
        title: cause.id,
        kind: ["cause".to_owned(), "A cause that findings name".to_owned()],
        summary: format!("{summary}."),
        sections: vec![
            ("What happens", Body::Text(cause.what)),
            ("What speaks for it", Body::Text(cause.speaks_for)),
            ("What speaks against it", Body::Text(cause.speaks_against)),
            ("What decides", Body::Text(cause.decides)),
            ("How to fix it", Body::Steps(steps.collect())),
            ("Example", Body::Example(cause.example)),
        ],
    }
}

fn plain(page: &Page<'_>) -> String {
    let mut out = format!("{} ({})\n", page.title, page.kind[0]);
    paragraph(&mut out, "", "", &page.summary);
    for (title, body) in &page.sections {
        section(&mut out, title);
        match body {
            Body::Text(words) => paragraph(&mut out, "  ", "  ", words),
            Body::Steps(steps) => {
                for (index, (step, code)) in steps.iter().enumerate() {
                    paragraph(&mut out, &format!("  {}. ", index + 1), "     ", step);
                    for line in code.lines() {
                        let _ = writeln!(out, "{}", format!("       {line}").trim_end());
                    }
                }
            }
            Body::Example(example) => {
                for line in example.trim_matches('\n').lines() {
                    let _ = writeln!(out, "{}", format!("  {line}").trim_end());
                }
            }
        }
    }
    out
}

fn markdown(page: &Page<'_>) -> String {
    let mut out = format!("# {}\n\n{}\n\n{}\n", page.title, page.kind[1], page.summary);
    for (title, body) in &page.sections {
        let _ = write!(out, "\n## {title}\n\n");
        match body {
            Body::Text(words) => {
                let _ = writeln!(out, "{words}");
            }
            Body::Steps(steps) => {
                for (index, (step, code)) in steps.iter().enumerate() {
                    let _ = writeln!(out, "{}. {step}", index + 1);
                    if code.is_empty() {
                        continue;
                    }
                    let _ = write!(out, "\n   ```text\n");
                    for line in code.lines() {
                        let _ = writeln!(out, "{}", format!("   {line}").trim_end());
                    }
                    let _ = write!(out, "   ```\n\n");
                }
            }
            Body::Example(example) => {
                let _ = write!(out, "```text\n{}\n```\n", example.trim_matches('\n').trim_end());
            }
        }
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
        insta::assert_snapshot!(plain(&page_of_rule(&RULE)));
    }

    #[test]
    fn a_markdown_page_has_the_same_sections() {
        insta::assert_snapshot!(markdown(&page_of_rule(&RULE)));
    }

    #[test]
    fn a_cause_says_how_it_is_told() {
        let cause = causes::cause("header-stripped").unwrap();
        insta::assert_snapshot!(plain(&page_of_cause(cause)));
    }
}
