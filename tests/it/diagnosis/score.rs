//! How well a report fits what is true.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tracemend::report::{Finding, Report, Severity, Side};

use super::case::{Affected, Expect, LabCase, to_be_found};

/// The least share of the affected spans that has to be found.
const RECALL: f64 = 0.9;

/// Something that a report has to get right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Aspect {
    /// A finding has a fitting rule.
    Rule,
    /// A finding has a fitting rule or cause, and the right severity.
    Severity,
    /// A finding has a fitting cause.
    Cause,
    /// A finding with a fitting rule or cause names the right services.
    Services,
    /// Findings with a fitting rule or cause list the affected spans.
    Recall,
    /// No finding of severity warning or error is about something else.
    Noise,
}

impl Aspect {
    pub(crate) const ALL: [Self; 6] =
        [Self::Rule, Self::Severity, Self::Cause, Self::Services, Self::Recall, Self::Noise];

    /// Its name in the list of known gaps.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Severity => "severity",
            Self::Cause => "cause",
            Self::Services => "services",
            Self::Recall => "recall",
            Self::Noise => "noise",
        }
    }
}

impl fmt::Display for Aspect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a report is worth for a case.
#[derive(Debug, Default)]
pub(crate) struct Score {
    /// Aspects that are asked and not met, with what was there instead.
    pub(crate) missed: BTreeMap<Aspect, String>,
    /// A finding of severity warning or error (or any, where info is expected) has a fitting cause, or
    /// rule where no cause is asked, and names the right service.
    pub(crate) named: bool,
    /// Such a finding is the first of them.
    pub(crate) top: bool,
    /// The share of the affected spans that fitting findings list; `None` without affected spans.
    pub(crate) recall: Option<f64>,
    /// Findings of severity warning or error that neither fit nor list an affected span.
    pub(crate) noise: usize,
    pub(crate) relinked: Relinked,
}

/// Spans with a proposed parent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Relinked {
    /// The proposal is in the trace of the true parent.
    pub(crate) right: usize,
    /// There is a proposal, and the true parent is in the data.
    pub(crate) proposed: usize,
    /// The true parent is in the data.
    pub(crate) possible: usize,
}

/// A finding beside what is expected of it.
struct Judged<'a> {
    finding: &'a Finding,
    expect: &'a Expect,
}

impl<'a> Judged<'a> {
    fn has_rule(&self) -> bool {
        self.expect.rules.contains(&self.finding.rule)
    }

    fn cause(&self) -> Option<&'a str> {
        self.finding.cause.as_ref().map(|cause| cause.id.as_str())
    }

    fn has_cause(&self) -> bool {
        self.cause().is_some_and(|cause| self.expect.causes.iter().any(|wanted| wanted == cause))
    }

    fn fits(&self) -> bool {
        self.has_rule() || self.has_cause()
    }

    /// The services of its two sides.
    fn services(&self) -> (Option<&'a str>, Option<&'a str>) {
        let service = |side: &'a Option<Side>| side.as_ref().and_then(|side| side.service.as_deref());
        (service(&self.finding.from), service(&self.finding.to))
    }

    fn has_services(&self) -> bool {
        let (from, to) = self.services();
        let is_one_of = |wanted: &[String], found: &[Option<&str>]| {
            wanted.is_empty()
                || found.iter().flatten().any(|found| wanted.iter().any(|wanted| wanted == found))
        };
        is_one_of(&self.expect.from, &[from])
            && is_one_of(&self.expect.to, &[to])
            && is_one_of(&self.expect.service, &[from, to])
    }

    fn is_loud(&self) -> bool {
        self.finding.severity >= Severity::Warning
    }

    /// It says what is asked: the cause, or the rule where no cause is asked, and where.
    fn is_named(&self) -> bool {
        let says_why = self.has_cause() || self.expect.causes.is_empty() && self.has_rule();
        says_why && self.has_services()
    }

    /// It is about something else.
    fn is_noise(&self, affected: &BTreeSet<&str>) -> bool {
        let is_true = self.fits() || self.expect.also.contains(&self.finding.rule);
        self.is_loud() && !is_true && !occurrences(self.finding).any(|span| affected.contains(span.as_str()))
    }
}

/// Compares a report, made with all occurrences, with the truth.
pub(crate) fn score(case: &LabCase, report: &Report) -> Score {
    score_of(&case.description.expect, &case.affected, report)
}

/// The same for what was not read from a fixture.
pub(crate) fn score_of(expect: &Expect, all: &[Affected], report: &Report) -> Score {
    let judged: Vec<_> = report.findings.iter().map(|finding| Judged { finding, expect }).collect();
    let affected: BTreeSet<&str> = all.iter().map(|affected| affected.span.as_str()).collect();

    let noise: Vec<_> = judged.iter().filter(|judged| judged.is_noise(&affected)).collect();
    let mut score = Score { noise: noise.len(), relinked: relinked(all, report), ..Score::default() };
    if !noise.is_empty() {
        let rules: Vec<_> = noise.iter().map(|judged| judged.finding.rule.as_str()).collect();
        score.missed.insert(Aspect::Noise, rules.join(", "));
    }
    if expect.silent {
        return score;
    }

    let severity = expect.severity.as_deref().unwrap_or("error");
    let mut heard = judged.iter().filter(|judged| judged.is_loud() || severity == "info");
    score.top = heard.clone().next().is_some_and(Judged::is_named);
    score.named = heard.any(Judged::is_named);

    let fitting: Vec<_> = judged.iter().filter(|judged| judged.fits()).collect();
    score.recall = recall(&to_be_found(all), &fitting);
    let mut check = |aspect, is_met: bool, instead: String| {
        if !is_met {
            score.missed.insert(aspect, instead);
        }
    };
    let rules: BTreeSet<_> = judged.iter().map(|judged| judged.finding.rule.as_str()).collect();
    check(Aspect::Rule, judged.iter().any(Judged::has_rule), format!("{rules:?}"));
    let severities: BTreeSet<_> = fitting.iter().map(|judged| judged.finding.severity.as_str()).collect();
    check(Aspect::Severity, severities.contains(severity), format!("{severities:?}, not {severity}"));
    if !expect.causes.is_empty() {
        let causes: BTreeSet<_> = judged.iter().filter_map(Judged::cause).collect();
        check(Aspect::Cause, judged.iter().any(Judged::has_cause), format!("{causes:?}"));
    }
    let services: BTreeSet<_> = fitting.iter().map(|judged| judged.services()).collect();
    check(Aspect::Services, fitting.iter().any(|judged| judged.has_services()), format!("{services:?}"));
    if let Some(recall) = score.recall {
        check(Aspect::Recall, recall >= RECALL, format!("{recall:.2}"));
    }
    score
}

/// The affected spans of a finding, as `trace id:span id`.
fn occurrences(finding: &Finding) -> impl Iterator<Item = String> {
    finding.occurrences.iter().map(|span| format!("{}:{}", span.trace_id, span.span_id))
}

fn recall(wanted: &[&Affected], fitting: &[&Judged]) -> Option<f64> {
    let wanted: BTreeSet<&str> = wanted.iter().map(|affected| affected.span.as_str()).collect();
    if wanted.is_empty() {
        return None;
    }
    let listed: BTreeSet<String> = fitting.iter().flat_map(|judged| occurrences(judged.finding)).collect();
    let found = wanted.iter().filter(|span| listed.contains(**span)).count();
    Some(found as f64 / wanted.len() as f64)
}

fn relinked(affected: &[Affected], report: &Report) -> Relinked {
    let is_there = |affected: &&Affected| affected.exported == Some(true);
    let parents: BTreeMap<&str, &str> = affected
        .iter()
        .filter(is_there)
        .filter_map(|affected| Some((affected.span.as_str(), affected.parent.as_deref()?)))
        .collect();
    let mut proposals = BTreeMap::new();
    for occurrence in report.findings.iter().flat_map(|finding| &finding.occurrences) {
        if let Some(proposed) = &occurrence.proposed_parent {
            let span = format!("{}:{}", occurrence.trace_id, occurrence.span_id);
            proposals.insert(span, proposed.trace_id.as_str());
        }
    }
    let mut relinked = Relinked { possible: parents.len(), ..Relinked::default() };
    for (span, parent) in parents {
        let Some(trace) = proposals.get(span) else { continue };
        relinked.proposed += 1;
        relinked.right += usize::from(parent.split(':').next() == Some(trace));
    }
    relinked
}

/// What the scores of several runs come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    /// Runs with a fault.
    pub(crate) runs: usize,
    pub(crate) named: usize,
    pub(crate) top: usize,
    pub(crate) recalls: Vec<f64>,
    pub(crate) noise: usize,
    /// Runs in which there is nothing to say, and nothing is said.
    pub(crate) silent: usize,
    /// Runs in which there is nothing to say.
    pub(crate) silent_runs: usize,
    pub(crate) relinked: Relinked,
}

impl Totals {
    pub(crate) fn add(&mut self, score: &Score, is_silent: bool) {
        self.noise += score.noise;
        if is_silent {
            self.silent_runs += 1;
            self.silent += usize::from(score.noise == 0);
            return;
        }
        self.runs += 1;
        self.named += usize::from(score.named);
        self.top += usize::from(score.top);
        self.recalls.extend(score.recall);
        self.relinked.right += score.relinked.right;
        self.relinked.proposed += score.relinked.proposed;
        self.relinked.possible += score.relinked.possible;
    }

    /// Mean over the runs that have affected spans.
    pub(crate) fn recall(&self) -> Option<f64> {
        let sum: f64 = self.recalls.iter().sum();
        (!self.recalls.is_empty()).then(|| sum / self.recalls.len() as f64)
    }
}
