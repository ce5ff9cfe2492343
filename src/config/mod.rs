//! What a run was asked to do, validated. Command line and configuration end here; nothing below
//! knows where a setting came from.

mod backend;

pub use backend::{Backend, BackendKind, Connection, Query, Secret, Window};

use crate::formats::Limits;
use crate::report::{Confidence, Severity};

/// Everything a run needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Files, folders, globs, or `-` for standard input, as given.
    pub inputs: Vec<String>,
    /// Backends to ask.
    pub backends: Vec<Backend>,
    /// Format of every input; detected from the bytes when `None`.
    pub input_format: Option<String>,
    /// Which spans are judged.
    pub filter: Filter,
    /// What makes the run fail.
    pub gate: GateSettings,
    /// Bounds against hostile or damaged input.
    pub limits: Limits,
    /// Number of worker threads; one per core when `None`.
    pub threads: Option<usize>,
    /// How many affected spans each finding lists.
    pub occurrences: Occurrences,
    /// Page of a trace in the user's backend, with `{trace_id}` in it.
    pub trace_url: Option<String>,
    /// Most bytes kept of inputs that cannot be read twice.
    pub spool_limit: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            inputs: Vec::new(),
            backends: Vec::new(),
            input_format: None,
            filter: Filter::default(),
            gate: GateSettings::default(),
            limits: Limits::default(),
            threads: None,
            occurrences: Occurrences::default(),
            trace_url: None,
            spool_limit: 1 << 30,
        }
    }
}

/// Which spans are judged. Empty lists and `None` let everything pass. Spans outside the filter
/// still count as parents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Service names.
    pub services: Vec<String>,
    /// Trace ids as typed.
    pub trace_ids: Vec<String>,
    /// Earliest start, ns since the Unix epoch.
    pub from_ns: Option<i64>,
    /// Latest start, ns since the Unix epoch.
    pub to_ns: Option<i64>,
    /// Length of time before the newest end in the data.
    pub since_ns: Option<i64>,
    /// Values of `deployment.environment.name`.
    pub environments: Vec<String>,
}

/// What makes a run fail, and what makes it inconclusive.
#[derive(Clone, Debug, PartialEq)]
pub struct GateSettings {
    /// Least severity that fails; `None` means that no finding fails.
    pub fail_on: Option<Severity>,
    /// Least confidence that fails.
    pub min_confidence: Confidence,
    /// Fewer traces are inconclusive.
    pub min_traces: u64,
    /// Share of spans or bytes that may be unreadable, 0..1.
    pub max_rejects: f64,
    /// Accept partial input.
    pub allow_partial: bool,
    /// Return 0 instead of 1.
    pub exit_zero: bool,
    /// Rules to ignore, everywhere or for one service.
    pub ignores: Vec<(String, Option<String>)>,
}

impl Default for GateSettings {
    fn default() -> Self {
        Self {
            fail_on: Some(Severity::Error),
            min_confidence: Confidence::High,
            min_traces: 1,
            max_rejects: 0.001,
            allow_partial: false,
            exit_zero: false,
            ignores: Vec::new(),
        }
    }
}

/// How many affected spans each finding lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occurrences {
    /// This many, those with the smallest hash.
    First(usize),
    /// Every one.
    All,
}

impl Default for Occurrences {
    fn default() -> Self {
        Self::First(20)
    }
}
