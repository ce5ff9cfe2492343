//! WHAT is wrong: one file per rule. Analyzers observe, everything is merged, then they judge.
//!
//! An analyzer is one file: its [`Rule`] with the explanation that `explain` prints, a unit struct,
//! the logic, and table tests in the trace notation. To add one, write the file and add it to
//! [`ALL`]; tests hold that directory and list agree.

mod clock_skew;
mod detached_entry;
mod detached_internal;
mod double_instrumentation;
mod dropped_attributes;
mod duplicate_span;
mod high_cardinality_name;
mod inactive_span;
mod instrumentation_loaded_late;
mod invalid_id;
mod misattributed_span;
mod missing_service_name;
mod multi_request_trace;
mod negative_duration;
#[cfg(test)]
pub(crate) mod notation;
pub mod observations;
mod orphan_span;
mod parent_cycle;
mod sensitive_attribute;
mod span_id_collision;
mod unanswered_call;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::corpus::Corpus;
use crate::diagnosis::Diagnosis;
use crate::finding::{Evidence, Finding, side};
use crate::model::{Capabilities, Horizon, Resource, Span};
use crate::report::{CheckNotPossible, Remedy, Severity, Side};
use crate::store::intern::Operation;
use crate::store::{Names, SiteId};
use crate::trace::TraceView;
use observations::{Observations, Place, Tally};

/// All analyzers, in the order of their rules' names.
pub static ALL: &[&dyn Analyzer] = &[
    &clock_skew::ClockSkew,
    &detached_entry::DetachedEntry,
    &detached_internal::DetachedInternal,
    &double_instrumentation::DoubleInstrumentation,
    &dropped_attributes::DroppedAttributes,
    &duplicate_span::DuplicateSpan,
    &high_cardinality_name::HighCardinalityName,
    &inactive_span::InactiveSpan,
    &instrumentation_loaded_late::InstrumentationLoadedLate,
    &invalid_id::InvalidId,
    &misattributed_span::MisattributedSpan,
    &missing_service_name::MissingServiceName,
    &multi_request_trace::MultiRequestTrace,
    &negative_duration::NegativeDuration,
    &orphan_span::OrphanSpan,
    &parent_cycle::ParentCycle,
    &sensitive_attribute::SensitiveAttribute,
    &span_id_collision::SpanIdCollision,
    &unanswered_call::UnansweredCall,
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

    /// Looks at a span with something sensitive in it ([`crate::model::sensitive`]) or its resource.
    fn observe_sensitive_span(
        &self,
        _span: &Span<'_>,
        _resource: &Resource<'_>,
        _operation: u32,
        _seen: &mut Observations,
    ) {
    }

    /// Looks at one trace.
    fn observe_trace(&self, _trace: &TraceView<'_>, _seen: &mut Observations) {}

    /// Judges once everything is merged.
    fn judge(&self, case: &Case<'_>) -> Vec<Finding>;

    /// What this check could not look at.
    fn not_possible(&self, _case: &Case<'_>) -> Vec<CheckNotPossible> {
        Vec::new()
    }
}

/// An input and what it can tell.
#[derive(Clone, Debug)]
pub struct InputAbility {
    /// Name of its format.
    pub format: &'static str,
    /// What it can tell.
    pub capabilities: Capabilities,
    /// Which of its traces can be judged.
    pub horizon: Horizon,
}

/// Everything that is known when it comes to judging.
#[derive(Clone, Copy)]
pub struct Case<'c> {
    /// What the analyzers saw.
    pub seen: &'c Observations,
    /// Facts across traces.
    pub corpus: &'c Corpus,
    /// Breaks that only all traces together explain.
    pub diagnosis: &'c Diagnosis,
    /// What the numbers stand for.
    pub names: &'c Names,
    /// What the inputs can tell.
    pub inputs: &'c [InputAbility],
}

/// Places of a rule that make one finding, and what was seen there in all.
struct Group {
    /// Sites, the one with most spans first, then by content.
    sites: Vec<SiteId>,
    /// Everything seen, with distinct traces.
    tally: Tally,
    /// Spans at these sites, affected or not.
    spans: u64,
}

impl Case<'_> {
    /// The breaks that the diagnosis found for a rule.
    fn breaks(&self, rule: &'static Rule) -> Vec<Finding> {
        let found = self.diagnosis.of_rule(rule);
        found.map(|found| found.finding(rule, self.names, self.seen.capacity())).collect()
    }

    /// A line of coverage for each format among the inputs that lacks something a rule needs.
    fn lacking(
        &self,
        rule: &'static str,
        lacks: impl Fn(&Capabilities) -> bool,
        reason: &str,
    ) -> Vec<CheckNotPossible> {
        let formats = self.inputs.iter().filter(|input| lacks(&input.capabilities)).map(|input| input.format);
        let formats: BTreeSet<&str> = formats.collect();
        let lines = formats
            .into_iter()
            .map(|format| CheckNotPossible { rule: rule.to_owned(), reason: format!("{format}: {reason}") });
        lines.collect()
    }

    /// A line of coverage for each service in which something is odd and of which processes cannot be told
    /// apart: the requests of several look like those of one, and fewer breaks are proven.
    fn without_instances(&self, rule: &'static str) -> Vec<CheckNotPossible> {
        const NAMED: usize = 5;
        let resource = |operation: &Operation| &self.names.resources[operation.resource as usize];
        let is_weak = |operation: &&Operation| {
            let service = self.names.site(operation.site).service;
            resource(operation).instance.is_empty() && self.corpus.composition.is_odd(service)
        };
        let weak = self.names.operations.iter().filter(is_weak);
        let services: BTreeSet<&str> = weak.map(|operation| &*resource(operation).service).collect();
        let others = services.len().saturating_sub(NAMED);
        let named = services.iter().take(NAMED).map(ToString::to_string);
        let more = (others > 0).then(|| format!("{others} more services"));
        let lines = named.chain(more).map(|service| CheckNotPossible {
            rule: rule.to_owned(),
            reason: format!("{service}: no service.instance.id: several processes would be judged as one"),
        });
        lines.collect()
    }

    /// Groups what a rule saw (with this variant) by a key of the site.
    fn grouped<K: Ord>(&self, rule: &'static str, variant: u32, key: impl Fn(SiteId) -> K) -> Vec<Group> {
        let mut members: BTreeMap<K, Vec<(&Place, &Tally)>> = BTreeMap::new();
        for (place, tally) in self.seen.of(rule).filter(|(place, _)| place.variant == variant) {
            members.entry(key(place.site)).or_default().push((place, tally));
        }
        members.into_values().map(|members| self.group(members)).collect()
    }

    /// Groups what a rule saw (with this variant) by service.
    fn grouped_by_service(&self, rule: &'static str, variant: u32) -> Vec<Group> {
        self.grouped(rule, variant, |site| self.names.site(site).service)
    }

    fn group(&self, mut members: Vec<(&Place, &Tally)>) -> Group {
        members.sort_by_key(|(place, tally)| (Reverse(tally.spans), place.site));
        let mut tally = members[0].1.clone();
        for (_, other) in &members[1..] {
            tally.merge(other);
        }
        let places: Vec<Place> = members.iter().map(|(place, _)| **place).collect();
        tally.traces = self.seen.distinct_traces(&places);
        let mut sites: Vec<SiteId> = members.iter().map(|(place, _)| place.site).collect();
        let mut known = BTreeSet::new();
        sites.retain(|site| known.insert(*site));
        let spans = sites.iter().map(|site| self.corpus.profile(*site).spans).sum();
        Group { sites, tally, spans }
    }

    /// The side of a group: its site when it has one, else its service.
    fn side_of(&self, group: &Group) -> Side {
        let mut side = side(self.names, group.sites[0]);
        if group.sites.len() > 1 {
            (side.operation, side.kind) = (None, None);
        }
        side
    }

    /// A finding about a whole service, with the places it was seen at as evidence.
    fn about_service(&self, rule: &'static Rule, group: &Group, title: String, proof: Evidence) -> Finding {
        let mut finding = Finding::at_site(rule, self.names, group.sites[0], &group.tally, title, proof);
        if let Some(to) = &mut finding.to {
            (to.operation, to.kind) = (None, None);
        }
        finding.scope = None;
        finding.support.push(self.seen_at(group));
        finding
    }

    fn seen_at(&self, group: &Group) -> Evidence {
        const NAMED: usize = 5;
        let names = group.sites.iter().map(|site| self.names.site(*site).name.to_string());
        Evidence::SeenAt {
            operations: names.take(NAMED).collect(),
            others: group.sites.len().saturating_sub(NAMED) as u64,
        }
    }
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
