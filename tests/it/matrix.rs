//! Every rule over every fixture.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use tracemend::config::Settings;
use tracemend::report::{Report, Severity};

use crate::diagnosis::reports;
use crate::support::{cases, findings, run};

#[test]
fn every_rule_over_every_fixture() {
    let mut found = String::new();
    for case in cases() {
        write_findings(&mut found, &case.name, &run(&[&case.file], &Settings::default()));
    }
    insta::assert_snapshot!(found);
}

#[test]
fn every_rule_over_every_run_of_the_lab() {
    let mut found = String::new();
    for (case, report) in reports() {
        write_findings(&mut found, &case.name, report);
    }
    insta::assert_snapshot!(found);
}

fn write_findings(text: &mut String, name: &str, report: &Report) {
    writeln!(text, "{name}").unwrap();
    for finding in &report.findings {
        let service = finding.to.as_ref().and_then(|side| side.service.as_deref()).unwrap_or("?");
        let (rule, severity) = (&finding.rule, finding.severity.as_str());
        writeln!(text, "  {rule} {severity} {service} {} {}", finding.spans, finding.traces).unwrap();
    }
}

#[test]
fn fixtures_are_what_they_say() {
    for case in cases() {
        let report = run(&[&case.file], &Settings::default());
        let (name, expected) = (&case.name, &case.expected);
        assert!(expected.description.len() > 10, "{name} says what it is");
        let mut wanted = expected.findings.clone();
        wanted.sort_unstable();
        assert_eq!(findings(&report), wanted, "{name}");
        assert_eq!(report.exit_code, expected.exit_code, "{name}: {:?}", report.reasons);
        let is = |what: &str, found: u64, wanted: Option<u64>| {
            assert!(wanted.is_none_or(|wanted| wanted == found), "{name}: {what}: {found}, not {wanted:?}");
        };
        is("records", report.summary.span_records, expected.records);
        is("orphans", report.summary.orphan_spans, expected.orphans);
        is("rejected", report.coverage.rejected_spans, expected.rejected);
        let unreadable = !report.coverage.unreadable.is_empty();
        assert!(expected.unreadable.is_none_or(|wanted| wanted == unreadable), "{name}: unreadable");
    }
}

#[test]
fn healthy_and_benign_exports_are_silent() {
    let silent: Vec<_> =
        cases().into_iter().filter(|case| case.is_in("healthy") || case.is_in("benign")).collect();
    assert!(silent.len() >= 12, "{}", silent.len());
    for case in silent {
        let report = run(&[&case.file], &Settings::default());
        let loud: Vec<_> =
            report.findings.iter().filter(|finding| finding.severity >= Severity::Warning).collect();
        assert!(loud.is_empty(), "{}: {loud:#?}", case.name);
        assert_eq!(report.exit_code, 0, "{}: {:?}", case.name, report.reasons);
    }
}

#[test]
fn every_rule_has_a_positive_and_a_counterexample() {
    let cases = cases();
    let mut rules = BTreeSet::new();
    for rule in tracemend::analyzers::rules() {
        rules.insert(rule.name);
        let own: Vec<_> = cases.iter().filter(|case| case.is_in(rule.name)).collect();
        assert!(own.iter().any(|case| case.expected.counterexample), "{} needs a counterexample", rule.name);
        assert!(own.iter().any(|case| !case.expected.counterexample), "{} needs a positive", rule.name);
        for case in own {
            let is_expected = case.expected.findings.iter().any(|finding| finding.rule == rule.name);
            assert_eq!(is_expected, !case.expected.counterexample, "{}", case.name);
        }
    }
    let others = ["benign", "demo", "formats", "healthy"];
    for case in cases {
        let folder = case.name.split('/').next().unwrap_or_default();
        assert!(rules.contains(folder) || others.contains(&folder), "{} belongs to no rule", case.name);
    }
}
