//! Reports of released versions: readers rely on them, so each validates against the schema of
//! today for ever.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tracemend::report::{EVIDENCE_KINDS, Report};

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn reports_of_released_versions_validate_and_can_be_read() {
    let schema = jsonschema::validator_for(&read(&root().join("docs/schema/report-v1.json"))).unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(root().join("tests/it/reports")).unwrap() {
        let path = entry.unwrap().path();
        let report = read(&path);
        let errors: Vec<String> = schema.iter_errors(&report).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        let report: Report = serde_json::from_value(report).unwrap();
        assert!(!report.findings.is_empty(), "{} shows nothing", path.display());
        seen += 1;
    }
    assert!(seen > 0, "no report is kept");
}

#[test]
fn every_kind_of_evidence_in_a_report_is_published() {
    let schema = read(&root().join("docs/schema/report-v1.json")).to_string();
    for kind in EVIDENCE_KINDS {
        assert!(schema.contains(&format!("\"{kind}\"")), "{kind}");
    }
    let report: Report = serde_json::from_value(read(&root().join("tests/it/reports/0.1.0.json"))).unwrap();
    for evidence in report.findings.iter().flat_map(|finding| &finding.evidence) {
        assert!(EVIDENCE_KINDS.contains(&evidence.kind.as_str()), "{}", evidence.kind);
    }
}
