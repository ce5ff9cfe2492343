//! WHAT is wrong: one file per rule. Analyzers observe, everything is merged, then they judge.
//!
//! An analyzer is one file: its [`Rule`] with the explanation that `explain` prints, a unit struct,
//! the logic, and table tests in the trace notation. To add one, write the file and add it to
//! [`ALL`]; tests hold that directory and list agree.

mod clock_skew;
mod duplicate_span;
mod invalid_id;
mod missing_service_name;
mod negative_duration;
#[cfg(test)]
pub(crate) mod notation;
pub mod observations;
mod orphan_span;
mod parent_cycle;
mod span_id_collision;

use crate::corpus::Corpus;
use crate::finding::Finding;
use crate::model::Span;
use crate::report::{CheckNotPossible, Remedy, Severity};
use crate::store::Names;
use crate::trace::TraceView;
use observations::Observations;

/// All analyzers, in the order of their rules' names.
pub static ALL: &[&dyn Analyzer] = &[
    &clock_skew::ClockSkew,
    &duplicate_span::DuplicateSpan,
    &invalid_id::InvalidId,
    &missing_service_name::MissingServiceName,
    &negative_duration::NegativeDuration,
    &orphan_span::OrphanSpan,
    &parent_cycle::ParentCycle,
    &span_id_collision::SpanIdCollision,
];

/// A rule: what can be wrong, and how to explain it.
#[derive(Debug)]
pub struct Rule {
    /// Id, kebab-case; equals the file name with `_` for `-`.
    pub name: &'static str,
    /// Severity of its findings unless lowered.
    pub severity: Severity,
    /// One sentence.
    pub summary: &'static str,
    /// What it finds.
    pub what: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// How to fix it: the first line says it in short, each further line is a step.
    pub fix: &'static str,
    /// A trace in the trace notation that shows it.
    pub example: &'static str,
}

impl Rule {
    /// The general remedy.
    pub fn remedy(&self) -> Remedy {
        let mut lines = self.fix.lines();
        Remedy {
            summary: lines.next().unwrap_or_default().to_owned(),
            steps: lines.map(str::to_owned).collect(),
            code: None,
            links: Vec::new(),
        }
    }
}

/// One check. It holds no state: what it sees goes into [`Observations`].
pub trait Analyzer: Sync {
    /// The rule it checks.
    fn rule(&self) -> &'static Rule;

    /// Looks at one span while it is decoded, its attributes borrowed. `operation` is the worker's
    /// number.
    fn observe_span(&self, _span: &Span<'_>, _operation: u32, _seen: &mut Observations) {}

    /// Looks at one trace.
    fn observe_trace(&self, _trace: &TraceView<'_>, _seen: &mut Observations) {}

    /// Judges once everything is merged.
    fn judge(&self, case: &Case<'_>) -> Vec<Finding>;

    /// What this check could not look at.
    fn not_possible(&self, _case: &Case<'_>) -> Vec<CheckNotPossible> {
        Vec::new()
    }
}

/// Everything that is known when it comes to judging.
#[derive(Clone, Copy)]
pub struct Case<'c> {
    /// What the analyzers saw.
    pub seen: &'c Observations,
    /// Facts across traces.
    pub corpus: &'c Corpus,
    /// What the numbers stand for.
    pub names: &'c Names,
}

/// All rules in the order of their names.
pub fn rules() -> Vec<&'static Rule> {
    ALL.iter().map(|analyzer| analyzer.rule()).collect()
}

/// The rule with this name.
pub fn rule(name: &str) -> Option<&'static Rule> {
    ALL.iter().map(|analyzer| analyzer.rule()).find(|rule| rule.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_directory_is_the_registry() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/analyzers");
        let files: BTreeSet<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().replace('_', "-"))
            .filter(|name| !matches!(name.as_str(), "mod" | "notation" | "observations"))
            .collect();
        let registered: Vec<String> = rules().iter().map(|rule| rule.name.to_owned()).collect();
        assert_eq!(registered, files.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn every_rule_explains_itself() {
        for rule in rules() {
            for (part, text) in
                [("summary", rule.summary), ("what", rule.what), ("why", rule.why), ("example", rule.example)]
            {
                assert!(text.len() > 20, "{}: {part} is too short", rule.name);
            }
            assert!(rule.fix.lines().count() >= 2, "{}: fix needs a summary and steps", rule.name);
        }
    }

    #[test]
    fn every_example_shows_its_rule() {
        for rule in rules() {
            notation::check(rule.example);
            assert!(rule.example.contains(&format!("// {}", rule.name)), "{}", rule.name);
        }
    }
}
