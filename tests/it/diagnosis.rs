//! Every run of the lab, against what is true about it.
//!
//! Where the tool falls short, `fixtures/known-gaps.toml` says so, for each run and aspect, with the
//! reason. That list only shrinks: an aspect that is met and still listed fails here as well.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use tracemend::config::{Occurrences, Settings};
use tracemend::report::Report;

use crate::support::run;

mod ablation;
#[expect(dead_code, reason = "`examples/score.rs` writes the whole page")]
mod accuracy;
#[expect(dead_code, reason = "every key of a case is read, so that an unknown one is an error")]
pub(crate) mod case;
mod score;

use case::{LabCase, lab_cases};
use score::{Aspect, score};

const TOPOLOGIES: [&str; 2] = ["clinic", "market"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All runs with their reports, made once.
pub(crate) fn reports() -> &'static [(LabCase, Report)] {
    static REPORTS: OnceLock<Vec<(LabCase, Report)>> = OnceLock::new();
    REPORTS.get_or_init(|| {
        let settings = Settings { occurrences: Occurrences::All, ..Settings::default() };
        let with_report = |case: LabCase| {
            let report = run(&[&case.traces], &settings);
            (case, report)
        };
        lab_cases(root()).into_iter().map(with_report).collect()
    })
}

/// Why an aspect of a run is not met, by run and aspect.
type KnownGaps = BTreeMap<String, BTreeMap<String, String>>;

fn known_gaps() -> KnownGaps {
    let text = std::fs::read_to_string(root().join("fixtures/known-gaps.toml")).unwrap();
    toml::from_str(&text).unwrap_or_else(|error| panic!("known-gaps.toml: {error}"))
}

#[test]
fn every_run_is_diagnosed_or_a_known_gap() {
    let mut known = known_gaps();
    let mut wrong = String::new();
    for (case, report) in reports() {
        let missed = score(case, report).missed;
        let mut known = known.remove(&case.name).unwrap_or_default();
        for aspect in Aspect::ALL {
            let what = match (missed.get(&aspect), known.remove(aspect.name())) {
                (Some(instead), None) => format!("is not met: {instead}"),
                (None, Some(_)) => "is met now: remove its line from known-gaps.toml".to_owned(),
                (Some(_), Some(_)) | (None, None) => continue,
            };
            writeln!(wrong, "{}: {aspect} {what}", case.name).unwrap();
        }
        for unknown in known.keys() {
            writeln!(wrong, "{}: known-gaps.toml has {unknown}, which is no aspect", case.name).unwrap();
        }
    }
    for name in known.keys() {
        writeln!(wrong, "known-gaps.toml has {name}, which is no run").unwrap();
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn known_gaps_have_reasons() {
    for (name, aspects) in known_gaps() {
        assert!(!aspects.is_empty(), "{name} has no gap: remove it from known-gaps.toml");
        for (aspect, reason) in aspects {
            assert!(reason.len() > 20, "{name}: {aspect} says why");
        }
    }
}

/// Silence is no gap that could be known: benign shapes are never reported.
#[test]
fn benign_runs_are_silent() {
    let mut silent = 0;
    for (case, report) in reports().iter().filter(|(case, _)| case.description.expect.silent) {
        let missed = score(case, report).missed;
        assert!(missed.is_empty(), "{}: {missed:?}", case.name);
        silent += 1;
    }
    assert!(silent >= 18, "{silent}");
}

#[test]
fn runs_are_what_they_say() {
    let mut faults: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (case, report) in reports() {
        let (name, description) = (&case.name, &case.description);
        let expect = &description.expect;
        let family = expect.causes.first().or(expect.rules.first()).map_or("benign", String::as_str);
        let family = if description.fault == "healthy" { "healthy" } else { family };
        assert_eq!(*name, format!("{family}/{}-{}", description.fault, description.topology));
        assert_eq!(report.summary.span_records, description.measured["spans"], "{name}");
        assert_eq!(report.summary.traces, description.measured["traces"], "{name}");
        let affected: u64 = description.damage.iter().map(|group| group.spans).sum();
        assert_eq!(affected, case.affected.len() as u64, "{name}");
        let is_inert = expect.silent || description.group == "clocks";
        assert!(is_inert || affected > 0, "{name}: the fault did nothing");
        assert!(description.run.share.is_none() || description.run.fired > Some(0), "{name} never fired");
        faults.entry(&description.fault).or_default().insert(&description.topology);
    }
    assert!(faults.len() >= 55, "{}", faults.len());
    for (fault, topologies) in faults {
        assert_eq!(topologies, BTreeSet::from(TOPOLOGIES), "{fault}");
    }
}

/// `docs/faults.md` tells what the runs show. `UPDATE_DOCS=1 cargo test --test it faults` writes it.
#[test]
fn the_page_of_faults_is_up_to_date() {
    let path = root().join("docs/faults.md");
    let page = page(reports());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page, "docs/faults.md is out of date: UPDATE_DOCS=1 cargo test --test it faults");
}

/// `docs/accuracy.md` says how well the runs are diagnosed. Made anew are the first table, and of the second
/// what can be made quickly: `cargo run --release --example score -- --write` makes all of it.
#[test]
fn the_page_of_accuracy_is_up_to_date() {
    let page = std::fs::read_to_string(root().join("docs/accuracy.md")).unwrap_or_default();
    let case = &reports().iter().find(|(case, _)| case.name == "healthy/healthy-clinic").unwrap().0;
    let rows = accuracy::rows_under_concurrency("clinic", &accuracy::spans_of(case), accuracy::IN_FLIGHT[0]);
    let missing =
        std::iter::once(accuracy::by_cause(reports())).chain(rows).find(|part| !page.contains(part));
    assert_eq!(
        missing, None,
        "docs/accuracy.md is out of date: cargo run --release --example score -- --write"
    );
}

const HEAD: &str = "\
# Faults, and what exported data shows of them

Measured on runs of real services, with the truth known from outside of OpenTelemetry. The services, the
faults and how to run them are in [fixtures/lab](../fixtures/lab/README.md); the runs are in `fixtures/`,
each with its `case.toml`. This page is written from those files.

*Affected* are exported spans: those whose true parent is not among their ancestors, whose parent is not in
the data, or whose ids or times are wrong. *Measured* are counts that anybody can take from the exported data,
beside those of the healthy run of the same services; what does not differ is left out. Leaves are CLIENT and
PRODUCER spans without a child and without a link to them, database calls apart.

";

fn page(reports: &[(LabCase, Report)]) -> String {
    let mut groups: BTreeMap<&str, BTreeMap<&str, Vec<&LabCase>>> = BTreeMap::new();
    for (case, _) in reports {
        let description = &case.description;
        groups.entry(&description.group).or_default().entry(&description.fault).or_default().push(case);
    }
    let healthy: BTreeMap<&str, &LabCase> = reports
        .iter()
        .filter(|(case, _)| case.description.fault == "healthy")
        .map(|(case, _)| (case.description.topology.as_str(), case))
        .collect();
    let mut page = HEAD.to_owned();
    write_versions(&mut page, healthy["market"]);
    for (group, faults) in groups {
        writeln!(page, "\n## {group}").unwrap();
        for (fault, cases) in faults {
            let description = &cases[0].description;
            writeln!(page, "\n### {fault}\n\n{} {}\n", description.does, description.shows).unwrap();
            writeln!(page, "To be said: {}.\n", wanted(description)).unwrap();
            writeln!(page, "| services | fault in | affected | measured (healthy) |\n|---|---|---|---|")
                .unwrap();
            for case in cases {
                write_row(&mut page, case, healthy[case.description.topology.as_str()]);
            }
        }
    }
    page
}

fn write_versions(page: &mut String, case: &LabCase) {
    let versions = &case.description.versions;
    let core = versions
        .npm
        .iter()
        .filter(|package| package.contains("sdk-trace") || package.contains("nestjs/core"));
    let core: Vec<_> = core.chain(versions.pypi.iter().filter(|package| package.contains("-sdk"))).collect();
    let core: Vec<_> = core.into_iter().map(|package| format!("`{package}`")).collect();
    writeln!(
        page,
        "Node {}, Python {}, Redis {}; {}; all versions are in each `case.toml`.",
        versions.node.trim_start_matches('v'),
        versions.python,
        versions.redis,
        core.join(", ")
    )
    .unwrap();
}

fn wanted(description: &case::Description) -> String {
    let expect = &description.expect;
    if expect.silent {
        return "nothing".to_owned();
    }
    let severity = expect.severity.as_deref().unwrap_or("error");
    let list =
        |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
    let cause =
        if expect.causes.is_empty() { String::new() } else { format!(", cause {}", list(&expect.causes)) };
    format!("{}{cause} ({severity})", list(&expect.rules))
}

/// The most groups of affected spans and of counts that a row has room for.
const ROOM: usize = 6;

fn write_row(page: &mut String, case: &LabCase, healthy: &LabCase) {
    let description = &case.description;
    let groups = description.damage.iter().map(|group| {
        let why = group.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        format!("{} {} `{}` {}{why}", group.spans, group.service, group.name.replace('|', "\\|"), group.how)
    });
    let count = groups.len();
    let mut affected: Vec<_> = groups.take(ROOM).collect();
    if count > ROOM {
        affected.push(format!("{} groups more", count - ROOM));
    }
    let usual = &healthy.description.measured;
    let names: BTreeSet<_> = description.measured.keys().chain(usual.keys()).collect();
    let differing = names.into_iter().filter_map(|name| {
        let of = |measured: &BTreeMap<String, u64>| measured.get(name).copied().unwrap_or(0);
        let (own, usual) = (of(&description.measured), of(usual));
        (own != usual).then(|| format!("{} {own} ({usual})", name.replace('_', " ")))
    });
    let measured: Vec<_> = differing.collect();
    let place = if description.place.is_empty() { "-".to_owned() } else { description.place.join(", ") };
    let or_none = |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join("; ") };
    writeln!(page, "| {} | {place} | {} | {} |", description.topology, or_none(affected), or_none(measured))
        .unwrap();
}
