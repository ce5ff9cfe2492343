//! What the suites share: the fixtures, and runs of the library and of the binary.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use assert_cmd::Command;
use serde::Deserialize;
use tracemend::config::Settings;
use tracemend::pipeline::{self, Session};
use tracemend::progress::NoProgress;
use tracemend::report::Report;
use tracemend::sources::{self, Expanded, Input, InputKind};

pub(crate) use crate::encode::gzip;

/// A folder below `fixtures/`.
#[derive(Debug)]
pub(crate) struct Case {
    /// Its path below `fixtures/`.
    pub(crate) name: String,
    /// The file with traces, as a path from the root of the repository.
    pub(crate) file: String,
    /// What is to be found.
    pub(crate) expected: Expected,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    pub(crate) description: String,
    pub(crate) counterexample: bool,
    pub(crate) exit_code: u8,
    pub(crate) findings: Vec<Found>,
    pub(crate) records: Option<u64>,
    pub(crate) orphans: Option<u64>,
    pub(crate) rejected: Option<u64>,
    pub(crate) unreadable: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Found {
    pub(crate) rule: String,
    pub(crate) service: String,
    pub(crate) spans: u64,
    pub(crate) traces: u64,
}

impl Case {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(&self.file)).unwrap()
    }

    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.file).extension().is_some_and(|own| own == extension)
    }

    pub(crate) fn is_in(&self, folder: &str) -> bool {
        self.name.split('/').next() == Some(folder)
    }
}

/// All fixtures with an `expect.json`, by name. Those of the lab, with a `case.toml`, are in `diagnosis`.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut folders = vec![PathBuf::from("fixtures")];
    while let Some(folder) = folders.pop() {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if path == Path::new("fixtures/lab") {
                // Services, with everything that is installed for them.
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if entry.file_name() != "expect.json" {
                files.push(path.to_str().unwrap().to_owned());
            }
        }
        let Ok(expected) =
            std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder.join("expect.json")))
        else {
            continue;
        };
        let name = folder.strip_prefix("fixtures").unwrap().to_str().unwrap().to_owned();
        let expected = serde_json::from_slice(&expected).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(files.len(), 1, "{name} has one file with traces");
        cases.push(Case { name, file: files.remove(0), expected });
    }
    cases.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    cases
}

/// The fixture with this name.
pub(crate) fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no fixture {name}"))
}

/// Runs the pipeline over paths.
pub(crate) fn run(paths: &[&str], settings: &Settings) -> Report {
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    run_inputs(sources::expand(&paths), settings)
}

/// Runs the pipeline over bytes. They have to live as long as the program, so they are leaked;
/// tests give kilobytes.
pub(crate) fn run_bytes(files: &[(&str, &[u8])], settings: &Settings) -> Report {
    let inputs = files.iter().map(|(path, bytes)| {
        let kind = InputKind::Memory(Box::leak(Box::<[u8]>::from(*bytes)));
        Input { path: (*path).to_owned(), kind, named: true }
    });
    run_inputs(Expanded { inputs: inputs.collect(), ..Expanded::default() }, settings)
}

fn run_inputs(inputs: Expanded, settings: &Settings) -> Report {
    let session = Session { progress: &NoProgress, interrupted: &AtomicBool::new(false) };
    pipeline::run(inputs, settings, session)
}

/// Rule, service, spans and traces of all findings, sorted.
pub(crate) fn findings(report: &Report) -> Vec<Found> {
    let found = report.findings.iter().map(|finding| Found {
        rule: finding.rule.clone(),
        service: finding.to.as_ref().and_then(|side| side.service.clone()).unwrap_or_default(),
        spans: finding.spans,
        traces: finding.traces,
    });
    let mut found: Vec<Found> = found.collect();
    found.sort_unstable();
    found
}

/// The binary, away from whatever the environment says about colours and terminals.
pub(crate) fn tracemend(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracemend"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments);
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env("COLUMNS", "80");
    command
}

/// What a run of the binary gave.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The report on stdout.
    #[track_caller]
    pub(crate) fn report(&self) -> Report {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }
}

/// Runs the binary.
pub(crate) fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().expect("ended by itself"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs `check … --format json`.
pub(crate) fn check(arguments: &[&str]) -> Ran {
    ran(tracemend(&["check", "--format", "json"]).args(arguments))
}
