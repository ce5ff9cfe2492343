//! Traces with their proposed parents: written with `--relink`, drawn by `show`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tracemend::formats::whole::WholeSpan;
use tracemend::model::{SpanId, TraceId, Value};
use tracemend::report::Report;

use crate::encode::{gzip, whole_spans};
use crate::support::{Ran, ran, tracemend};

/// A caller and a callee in two traces, with a proxy between them.
const DETACHED: &str = "fixtures/detached-entry/proxy-strips-headers/traces.jsonl";
const ORPHANS: &str = "fixtures/orphan-span/hop-not-exported/traces.jsonl";
const HEALTHY: &str = "fixtures/healthy/shop/traces.jsonl";

fn read(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A folder with the traces of a fixture in `traces.jsonl`.
fn folder(path: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("traces.jsonl"), read(path)).unwrap();
    folder
}

fn run(folder: &TempDir, arguments: &[&str]) -> Ran {
    ran(tracemend(&["check", "--format", "json"]).args(arguments).current_dir(folder.path()))
}

fn written(folder: &TempDir) -> Vec<u8> {
    fs::read(folder.path().join("out.jsonl")).unwrap()
}

/// The span without links that were added, and the attributes of these.
fn take_added(mut whole: WholeSpan) -> (WholeSpan, Vec<BTreeMap<String, String>>) {
    let (added, own): (Vec<_>, Vec<_>) = std::mem::take(&mut whole.span.links)
        .into_iter()
        .partition(|link| link.attributes.iter().any(|attribute| attribute.key == "tracemend.link"));
    whole.span.links = own;
    whole.span.position = 0;
    let attributes = added.into_iter().map(|link| {
        let mut texts: BTreeMap<String, String> = BTreeMap::new();
        for attribute in link.attributes {
            let Value::String(text) = attribute.value else { panic!("{:?}", attribute.value) };
            texts.insert(attribute.key.to_string(), text.to_string());
        }
        texts.insert("parent".to_owned(), format!("{}:{}", link.trace_id, link.span_id));
        texts
    });
    (whole, attributes.collect())
}

fn sorted(mut spans: Vec<WholeSpan>) -> Vec<WholeSpan> {
    for whole in &mut spans {
        whole.span.position = 0;
    }
    spans.sort_by_key(|whole| (whole.span.trace_id, whole.span.span_id, format!("{:?}", whole.span)));
    spans
}

fn trace(text: &str) -> TraceId {
    TraceId(u128::from_str_radix(text, 16).unwrap())
}

/// What every finding says about parents: child to parent, and all traces in them.
fn proposals(report: &Report) -> (BTreeMap<(TraceId, SpanId), String>, BTreeSet<TraceId>) {
    let (mut parents, mut traces) = (BTreeMap::new(), BTreeSet::new());
    for occurrence in report.findings.iter().flat_map(|finding| &finding.occurrences) {
        traces.insert(trace(&occurrence.trace_id));
        let Some(parent) = &occurrence.proposed_parent else { continue };
        traces.insert(trace(&parent.trace_id));
        let span_id = SpanId(u64::from_str_radix(&occurrence.span_id, 16).unwrap());
        parents.insert(
            (trace(&occurrence.trace_id), span_id),
            format!("{}:{}", parent.trace_id, parent.span_id),
        );
    }
    (parents, traces)
}

#[test]
fn affected_traces_are_written_whole_with_a_link_for_each_proposed_parent() {
    for fixture in [DETACHED, ORPHANS, "fixtures/demo/traces.jsonl"] {
        let folder = folder(fixture);
        let plain = run(&folder, &["traces.jsonl"]);
        let ran = run(&folder, &["traces.jsonl", "--relink", "out.jsonl"]);
        assert_eq!((ran.code, &ran.stdout), (plain.code, &plain.stdout), "{fixture}: the report is the same");
        let all = run(&folder, &["traces.jsonl", "--occurrences", "all"]).report();
        let (parents, traces) = proposals(&all);
        let original = whole_spans(&read(fixture), "otlp-json");
        let expected = original.into_iter().filter(|whole| traces.contains(&whole.span.trace_id)).collect();
        let (mut own, mut links) = (Vec::new(), BTreeMap::new());
        for whole in whole_spans(&written(&folder), "otlp-json") {
            let key = (whole.span.trace_id, whole.span.span_id);
            let (whole, added) = take_added(whole);
            own.push(whole);
            for added in added {
                assert_eq!(added["tracemend.link"], "proposed-parent");
                let finding = &added["tracemend.finding"];
                let finding = all.findings.iter().find(|known| known.fingerprint == *finding).unwrap();
                let cause = finding.cause.as_ref().map(|cause| cause.id.as_str());
                assert_eq!(added.get("tracemend.cause").map(String::as_str), cause);
                assert!(["low", "medium", "high"].contains(&added["tracemend.confidence"].as_str()));
                links.insert(key, added["parent"].clone());
            }
        }
        assert_eq!(sorted(own), sorted(expected), "{fixture}: nothing else is altered");
        assert_eq!(links, parents, "{fixture}");
        assert_eq!(parents.is_empty(), fixture == ORPHANS, "{fixture}");
    }
}

#[test]
fn what_was_written_has_the_same_structure() {
    let folder = folder(DETACHED);
    run(&folder, &["traces.jsonl", "--relink", "out.jsonl"]);
    let again = run(&folder, &["out.jsonl"]).report();
    let (_, traces) = proposals(&run(&folder, &["traces.jsonl", "--occurrences", "all"]).report());
    let chosen: Vec<String> =
        traces.iter().flat_map(|id| ["--trace-id".to_owned(), id.to_string()]).collect();
    let arguments: Vec<&str> =
        std::iter::once("traces.jsonl").chain(chosen.iter().map(String::as_str)).collect();
    let (one, other) = (again.summary, run(&folder, &arguments).report().summary);
    assert_eq!(one.traces, traces.len() as u64);
    assert_eq!(
        (one.traces, one.fragments, one.orphan_spans, one.traces_with_multiple_roots, one.services),
        (other.traces, other.fragments, other.orphan_spans, other.traces_with_multiple_roots, other.services)
    );
    assert!(again.findings.is_empty(), "a linked root is no break: {:?}", again.findings);
}

#[test]
fn pipes_packed_files_and_copies_give_the_same() {
    let folder = folder(DETACHED);
    run(&folder, &["traces.jsonl", "--relink", "out.jsonl"]);
    let expected = sorted(whole_spans(&written(&folder), "otlp-json"));
    let file = written(&folder);
    ran(tracemend(&["-", "--relink", "out.jsonl", "-qq"])
        .current_dir(folder.path())
        .write_stdin(read(DETACHED)));
    assert_eq!(written(&folder), file);
    fs::write(folder.path().join("packed.gz"), gzip(&read(DETACHED))).unwrap();
    run(&folder, &["packed.gz", "--relink", "out.jsonl"]);
    assert_eq!(written(&folder), file);
    run(&folder, &["traces.jsonl", "packed.gz", "--relink", "out.jsonl"]);
    assert_eq!(sorted(whole_spans(&written(&folder), "otlp-json")), expected, "copies are written once");
}

#[test]
fn without_findings_the_file_is_empty() {
    let folder = folder(HEALTHY);
    let ran = run(&folder, &["traces.jsonl", "--relink", "out.jsonl"]);
    assert_eq!((ran.code, written(&folder).len()), (0, 0), "{}", ran.stderr);
    assert!(ran.stderr.contains("0 traces"), "{}", ran.stderr);
}

#[test]
fn an_input_is_never_written_over() {
    let folder = folder(DETACHED);
    let traces = folder.path().join("traces.jsonl");
    let mut targets =
        vec![("traces.jsonl", "traces.jsonl"), (".", "traces.jsonl"), ("*.jsonl", "./traces.jsonl")];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&traces, folder.path().join("link")).unwrap();
        fs::hard_link(&traces, folder.path().join("hard-link")).unwrap();
        targets.extend([("traces.jsonl", "link"), ("traces.jsonl", "hard-link")]);
    }
    for (input, target) in targets {
        let ran = run(&folder, &[input, "--relink", target]);
        assert_eq!(ran.code, 2, "{input} {target}");
        assert!(ran.stderr.contains("would destroy it"), "{}", ran.stderr);
        assert_eq!(fs::read(&traces).unwrap(), read(DETACHED));
    }
}

#[cfg(unix)]
#[test]
fn the_file_that_a_shell_gives_as_standard_input_is_never_written_over() {
    let folder = folder(DETACHED);
    let traces = folder.path().join("traces.jsonl");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tracemend"))
        .args(["-", "--relink", "traces.jsonl"])
        .current_dir(folder.path())
        .stdin(fs::File::open(&traces).unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read(&traces).unwrap(), read(DETACHED));
}

#[test]
fn targets_that_cannot_be_are_refused() {
    let folder = folder(DETACHED);
    for (target, message) in [
        ("-", "stdout is for the report"),
        ("nowhere/out.jsonl", "there is no folder"),
        (".", "it is a folder"),
    ] {
        let ran = run(&folder, &["traces.jsonl", "--relink", target]);
        assert_eq!(ran.code, 2, "{target}");
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
    }
}

#[test]
fn what_the_spool_did_not_keep_is_an_error_that_says_what_helps() {
    let folder = folder(DETACHED);
    let ran = ran(tracemend(&["-", "--relink", "out.jsonl", "--spool-limit", "10", "--format", "json"])
        .current_dir(folder.path())
        .write_stdin(read(DETACHED)));
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--spool-limit"), "{}", ran.stderr);
    let report = ran.report();
    assert_eq!(report.exit_code, 2);
    assert!(report.reasons.iter().any(|reason| reason.code == "relink-failed"), "{:?}", report.reasons);
}

#[test]
fn show_draws_what_belongs_together() {
    let report = run(&folder(DETACHED), &["traces.jsonl"]).report();
    let occurrence = report.findings.iter().flat_map(|finding| &finding.occurrences).next().unwrap();
    let parent = occurrence.proposed_parent.as_ref().unwrap();
    let show = |id: &str, more: &[&str]| {
        let ran = ran(tracemend(&["show", id, DETACHED]).args(more));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout
    };
    let tree = |text: &str| text.split_once("\n\n").unwrap().1.to_owned();
    let (from_child, from_parent) = (show(&occurrence.trace_id, &[]), show(&parent.trace_id, &[]));
    assert_eq!(tree(&from_child), tree(&from_parent), "both traces are the same request");
    assert!(from_child.contains('┄') && from_child.contains(&parent.trace_id), "{from_child}");
    insta::assert_snapshot!(from_child);
    let plain = show(&occurrence.trace_id, &["--plain"]);
    assert!(!plain.contains('┄') && !plain.contains(&parent.trace_id), "{plain}");
    let ascii = show(&occurrence.trace_id, &["--ascii"]);
    assert!(ascii.is_ascii(), "{ascii}");
}

#[test]
fn exemplars_hold_both_traces_and_placeholders_what_is_inferred() {
    let report = run(&folder(DETACHED), &["traces.jsonl"]).report();
    let finding = report.findings.iter().find(|finding| finding.rule == "detached-entry").unwrap();
    for exemplar in &finding.exemplars {
        let child = exemplar.spans.iter().find(|span| span.proposed).unwrap();
        let parent = child.proposed_parent.as_ref().unwrap();
        assert_eq!((child.trace_id.as_ref(), child.affected), (Some(&exemplar.trace_id), true));
        let above = exemplar.spans.iter().find(|span| span.span_id == parent.span_id).unwrap();
        assert_eq!(above.trace_id.as_ref(), Some(&parent.trace_id));
    }
    let report = run(&folder(ORPHANS), &["traces.jsonl"]).report();
    let exemplar = &report.findings[0].exemplars[0];
    let missing = exemplar.spans.iter().find(|span| span.missing).unwrap();
    let children = exemplar.spans.iter().filter(|span| span.parent_id.as_ref() == Some(&missing.span_id));
    let first = children.filter_map(|child| child.start.clone()).min();
    let inferred = missing.inferred.as_ref().unwrap();
    assert!(first.is_some() && inferred.first_child_start == first, "{inferred:?}");
    assert!(inferred.last_child_end > first, "{inferred:?}");
}
