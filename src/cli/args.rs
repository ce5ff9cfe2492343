//! What can be typed.

#![expect(clippy::doc_markdown, reason = "these comments are the text of --help, which knows no Markdown")]

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::values;
use crate::config::Occurrences;
use crate::render;
use crate::report::{Confidence, Severity};

const AFTER_HELP: &str = "\
Exit codes: 0 pass · 1 a finding reaches the gate · 2 error · 3 inconclusive · 130 interrupted";

/// Finds where distributed traces break, says why, and says what to change.
#[derive(Debug, Parser)]
#[command(
    name = "tracemend",
    version,
    args_conflicts_with_subcommands = true,
    max_term_width = 100,
    after_help = AFTER_HELP
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) check: CheckArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Diagnose exported traces; `tracemend INPUT…` does the same
    #[command(after_help = AFTER_HELP)]
    Check(Box<CheckArgs>),
    /// Show one trace as a tree
    Show(Box<ShowArgs>),
    /// Diagnose a small sample that comes with the program
    Demo(DemoArgs),
    /// Explain a rule or a cause: what it is, how it is told, how to fix it
    Explain(ExplainArgs),
    /// List the rules
    Rules(ListArgs),
    /// List the input formats
    Formats(ListArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten, next_help_heading = "Input")]
    pub(super) input: InputArgs,
    #[command(flatten, next_help_heading = "Source")]
    pub(super) source: SourceArgs,
    /// Judge this trace only; a backend is asked for it by its id (repeatable)
    #[arg(long = "trace-id", value_name = "ID", help_heading = "Source")]
    pub(super) trace_ids: Vec<String>,
    #[command(flatten, next_help_heading = "Backend")]
    pub(super) backend: BackendArgs,
    #[command(flatten, next_help_heading = "Analysis")]
    pub(super) analysis: AnalysisArgs,
    #[command(flatten, next_help_heading = "Gate")]
    pub(super) gate: GateArgs,
    #[command(flatten, next_help_heading = "Output")]
    pub(super) output: OutputArgs,
    /// Write every trace that has a finding, whole, as OTLP JSON lines, with each proposed parent as a span
    /// link
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(super) relink: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct InputArgs {
    /// Files, folders (recursive), globs, or `-` for stdin
    #[arg(value_name = "INPUT", help_heading = "Arguments")]
    pub(super) inputs: Vec<String>,
    /// Format of every input, in place of detection (see `tracemend formats`)
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(values::format_names()))]
    pub(super) input_format: Option<String>,
    /// Deepest nesting that is read [default: 128]
    #[arg(long, value_name = "LEVELS", hide_short_help = true)]
    pub(super) max_depth: Option<usize>,
    /// Longest string that is read [default: 16MiB]
    #[arg(long, value_name = "SIZE", value_parser = values::size, hide_short_help = true)]
    pub(super) max_string: Option<u64>,
    /// Longest single record that is read [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = values::size, hide_short_help = true)]
    pub(super) max_record: Option<u64>,
    /// Most bytes that a compressed input may become [default: 64GiB]
    #[arg(long, value_name = "SIZE", value_parser = values::size, hide_short_help = true)]
    pub(super) max_decompressed: Option<u64>,
    /// Most bytes kept, compressed, in a private temporary file of input that cannot be read twice
    /// [default: 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = values::size, hide_short_help = true)]
    pub(super) spool_limit: Option<u64>,
}

#[derive(Debug, Default, Args)]
pub(super) struct SourceArgs {
    /// Files: judge spans of this service only, other spans still count as parents. Backends: fetch
    /// the traces in which it takes part (repeatable)
    #[arg(long = "service", value_name = "NAME")]
    pub(super) services: Vec<String>,
    /// The last part only, such as 15m or 1h30m. Files: counted from their newest span. Backends:
    /// counted from now [default for backends: 1h]
    #[arg(long, value_name = "DURATION", value_parser = values::duration, conflicts_with = "from")]
    pub(super) since: Option<i64>,
    /// Spans that start at this time or later: RFC 3339, a date, or a Unix time
    #[arg(long, value_name = "TIME", value_parser = values::instant)]
    pub(super) from: Option<i64>,
    /// Spans that start before this time
    #[arg(long, value_name = "TIME", value_parser = values::instant)]
    pub(super) to: Option<i64>,
    /// Judge this deployment.environment.name only (repeatable)
    #[arg(long = "env", value_name = "NAME")]
    pub(super) environments: Vec<String>,
}

#[derive(Debug, Default, Args)]
#[group(id = "backend", multiple = true)]
pub(super) struct BackendUrls {
    /// Ask the query API of Jaeger, such as http://localhost:16686
    #[arg(long, value_name = "URL")]
    pub(super) jaeger: Option<String>,
    /// Ask SigNoz, such as http://localhost:8080
    #[arg(long, value_name = "URL")]
    pub(super) signoz: Option<String>,
}

#[derive(Debug, Default, Args)]
pub(super) struct BackendArgs {
    #[command(flatten)]
    pub(super) urls: BackendUrls,
    /// Fetch traces with this operation
    #[arg(long, value_name = "NAME", requires = "backend")]
    pub(super) operation: Option<String>,
    /// Fetch traces with a span that has this attribute (repeatable)
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = values::tag, requires = "backend")]
    pub(super) tags: Vec<(String, String)>,
    /// Fetch traces with a span of this duration or longer, such as 500ms
    #[arg(long, value_name = "DURATION", value_parser = values::duration, requires = "backend")]
    pub(super) min_duration: Option<i64>,
    /// Most traces to fetch; they come whole [default: 1000]
    #[arg(long, value_name = "N", value_parser = values::at_least_one, requires = "backend")]
    pub(super) limit: Option<usize>,
    /// Fetch no further trace after so many spans [default: 10000000]
    #[arg(long, value_name = "N", value_parser = values::at_least_one, requires = "backend")]
    pub(super) max_spans: Option<usize>,
    /// Longest time for fetching; what came until then is reported [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = values::duration, requires = "backend")]
    pub(super) deadline: Option<i64>,
    /// Do not judge traces that ended so short a time ago: spans may still come [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = values::duration, requires = "backend")]
    pub(super) settle: Option<i64>,
    /// Tenant to ask for
    #[arg(long, value_name = "NAME", requires = "backend")]
    pub(super) tenant: Option<String>,
    /// Header that names the tenant [default: that of the backend]
    #[arg(long, value_name = "NAME", requires = "tenant", hide_short_help = true)]
    pub(super) tenant_header: Option<String>,
    /// File with a bearer token; or set TRACEMEND_BEARER_TOKEN
    #[arg(long, value_name = "FILE", requires = "backend", hide_short_help = true)]
    pub(super) bearer_token_file: Option<PathBuf>,
    /// File with user:password; or set TRACEMEND_BASIC_AUTH
    #[arg(long, value_name = "FILE", requires = "backend", hide_short_help = true)]
    pub(super) basic_auth_file: Option<PathBuf>,
    /// File with an API key of SigNoz; or set SIGNOZ_API_KEY
    #[arg(long, value_name = "FILE", requires = "signoz", hide_short_help = true)]
    pub(super) api_key_file: Option<PathBuf>,
    /// File with further headers, one `Name: value` a line; or set TRACEMEND_HEADERS
    #[arg(long, value_name = "FILE", requires = "backend", hide_short_help = true)]
    pub(super) header_file: Option<PathBuf>,
    /// Believe any certificate
    #[arg(long, requires = "backend", hide_short_help = true)]
    pub(super) insecure: bool,
}

#[derive(Debug, Default, Args)]
pub(super) struct AnalysisArgs {
    /// Number of threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = values::at_least_one)]
    pub(super) threads: Option<usize>,
    /// How many affected spans each finding lists
    #[arg(long, value_name = "N|all", default_value = "20", value_parser = values::occurrences)]
    pub(super) occurrences: Option<Occurrences>,
}

#[derive(Debug, Args)]
pub(super) struct GateArgs {
    /// Least severity that makes the exit code 1
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t = FailOn::Error)]
    pub(super) fail_on: FailOn,
    /// Least confidence that makes the exit code 1
    #[arg(long, value_name = "CONFIDENCE", value_enum, default_value_t = MinConfidence::High)]
    pub(super) min_confidence: MinConfidence,
    /// Fewer traces are inconclusive (exit code 3)
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) min_traces: u64,
    /// Share of spans or bytes that may be unreadable before the run is inconclusive
    #[arg(long, value_name = "SHARE", default_value = "0.1%", value_parser = values::share)]
    pub(super) max_rejects: f64,
    /// Judge partial input as if it were whole
    #[arg(long)]
    pub(super) allow_partial: bool,
    /// Return 0 in place of 1; every other code stays
    #[arg(long)]
    pub(super) exit_zero: bool,
    /// Ignore a rule, everywhere or for one service (repeatable)
    #[arg(long = "ignore", value_name = "RULE[:SERVICE]")]
    pub(super) ignores: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Format of the report
    #[arg(long, value_name = "FORMAT", default_value = "table",
          value_parser = PossibleValuesParser::new(values::renderer_names()))]
    pub(super) format: String,
    /// Write the report to a file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Write a further report, such as json=report.json (repeatable)
    #[arg(long = "report", value_name = "FORMAT=PATH", value_parser = values::report_file)]
    pub(super) reports: Vec<ReportFile>,
    /// How many findings the table shows in detail
    #[arg(long, value_name = "N|all", default_value = "10", value_parser = values::top)]
    pub(super) top: Top,
    /// Page of a trace in your backend, for links
    #[arg(long, value_name = "URL", value_parser = values::trace_url, long_help =
          "Page of a trace in your backend, with {trace_id} where the id goes, such as \
           https://jaeger.example/trace/{trace_id}")]
    pub(super) trace_url: Option<String>,
    /// Colour
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColorWhen::Auto)]
    pub(super) color: ColorWhen,
    /// Draw with ASCII characters only
    #[arg(long)]
    pub(super) ascii: bool,
    /// No progress on stderr
    #[arg(long)]
    pub(super) no_progress: bool,
    /// Less: -q prints findings only, -qq nothing
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "verbose")]
    pub(super) quiet: u8,
    /// More: every evidence, every input, longer examples, every request to a backend
    #[arg(short, long, action = ArgAction::Count)]
    pub(super) verbose: u8,
}

impl OutputArgs {
    /// Number of `-v` less number of `-q`.
    pub(super) fn verbosity(&self) -> i8 {
        let level = i16::from(self.verbose) - i16::from(self.quiet);
        level.clamp(-9, 9) as i8
    }
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Trace id: whole, its beginning, 64 bits of it, base64, or a whole traceparent
    #[arg(value_name = "ID", help_heading = "Arguments")]
    pub(super) id: String,
    /// Look into the sample that comes with the program
    #[arg(long, conflicts_with = "inputs")]
    pub(super) demo: bool,
    #[command(flatten, next_help_heading = "Input")]
    pub(super) input: InputArgs,
    #[command(flatten, next_help_heading = "Source")]
    pub(super) source: SourceArgs,
    #[command(flatten, next_help_heading = "Backend")]
    pub(super) backend: BackendArgs,
    #[command(flatten, next_help_heading = "Output")]
    pub(super) output: ShowOutputArgs,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
pub(super) struct ShowOutputArgs {
    /// Colour
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColorWhen::Auto)]
    pub(super) color: ColorWhen,
    /// Draw the trace as it is in the data, without proposed parents
    #[arg(long)]
    pub(super) plain: bool,
    /// Draw with ASCII characters only
    #[arg(long)]
    pub(super) ascii: bool,
    /// No progress on stderr
    #[arg(long)]
    pub(super) no_progress: bool,
    /// More: the attributes of every span, every request to a backend
    #[arg(short, long)]
    pub(super) verbose: bool,
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    #[command(flatten, next_help_heading = "Output")]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Name of a rule (see `tracemend rules`), or of a cause that a finding names
    #[arg(value_name = "RULE|CAUSE")]
    pub(super) name: String,
    /// Format of the answer
    #[arg(long, value_enum, default_value_t = ListFormat::Text)]
    pub(super) format: ListFormat,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Format of the list
    #[arg(long, value_enum, default_value_t = ListFormat::Text)]
    pub(super) format: ListFormat,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

/// Format of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// For documents
    Markdown,
}

/// When to write colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorWhen {
    /// On terminals, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Least severity that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    /// Errors
    Error,
    /// Warnings and errors
    Warning,
    /// Every finding
    Info,
    /// No finding
    Never,
}

impl FailOn {
    pub(super) const fn severity(self) -> Option<Severity> {
        match self {
            Self::Error => Some(Severity::Error),
            Self::Warning => Some(Severity::Warning),
            Self::Info => Some(Severity::Info),
            Self::Never => None,
        }
    }
}

/// Least confidence that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MinConfidence {
    /// Hints as well
    Low,
    /// One of several explanations
    Medium,
    /// Look-alikes are rare or excluded
    High,
    /// Counted, not inferred
    Certain,
}

impl MinConfidence {
    pub(super) const fn confidence(self) -> Confidence {
        match self {
            Self::Low => Confidence::Low,
            Self::Medium => Confidence::Medium,
            Self::High => Confidence::High,
            Self::Certain => Confidence::Certain,
        }
    }
}

/// How many findings are shown in detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Top(pub(super) Option<usize>);

/// A further report.
#[derive(Clone, Debug)]
pub(super) struct ReportFile {
    pub(super) renderer: &'static render::Renderer,
    pub(super) path: PathBuf,
}
