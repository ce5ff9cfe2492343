//! From settings to report. STUB: the engine replaces this file; the signatures are the seam.

use crate::config::Settings;
use crate::progress::Progress;
use crate::report::{Coverage, Report, SCHEMA, Summary, Tool, Verdict};

/// What a run returns.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// The report; `exit_code` in it is what the process returns.
    pub report: Report,
}

/// Bytes that are already in memory, read in place of [`Settings::inputs`].
#[derive(Clone, Copy, Debug)]
pub struct MemoryInput<'a> {
    /// Path in the report.
    pub label: &'a str,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Reads the inputs, judges and gates.
pub fn run(_settings: &Settings, _progress: &dyn Progress) -> RunOutcome {
    RunOutcome { report: empty_report() }
}

/// As [`run`], over bytes in memory.
pub fn run_memory(_input: MemoryInput<'_>, _settings: &Settings, _progress: &dyn Progress) -> RunOutcome {
    RunOutcome { report: empty_report() }
}

fn empty_report() -> Report {
    Report {
        schema: SCHEMA.to_owned(),
        tool: Tool { name: "tracemend".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        inputs: Vec::new(),
        summary: Summary::default(),
        coverage: Coverage::default(),
        findings: Vec::new(),
        verdict: Verdict::Inconclusive,
        reasons: Vec::new(),
        exit_code: 3,
    }
}

/// What `show` found.
#[derive(Clone, Debug)]
pub enum ShowOutcome {
    /// The trace.
    Found(Box<ShownTrace>),
    /// Several traces match; their ids.
    Ambiguous(Vec<String>),
    /// None matches; the nearest ids.
    Unknown(Vec<String>),
}

/// One trace, whole.
#[derive(Clone, Debug, Default)]
pub struct ShownTrace {
    /// Trace id.
    pub trace_id: String,
    /// Its spans in tree order, missing parents among them.
    pub spans: Vec<crate::report::ExemplarSpan>,
    /// What is known about a span: its position, and one line (a finding, what is inferred).
    pub notes: Vec<(usize, String)>,
}

/// Finds the trace whose id begins with these hex digits, or whose low 64 bits they are.
pub fn show(_prefix: &str, _settings: &Settings, _progress: &dyn Progress) -> ShowOutcome {
    ShowOutcome::Unknown(Vec::new())
}

/// As [`show`], over bytes in memory.
pub fn show_memory(_prefix: &str, _input: MemoryInput<'_>, _settings: &Settings) -> ShowOutcome {
    ShowOutcome::Unknown(Vec::new())
}
