//! `tracemend demo`: a report over a sample that comes with the program.

use std::process::ExitCode;

use anyhow::Result;

use super::args::DemoArgs;
use super::terminal::Terminal;
use super::{check, settings};
use crate::pipeline::{self, MemoryInput};
use crate::progress::NoProgress;

/// The sample.
pub(super) static SAMPLE: MemoryInput<'static> =
    MemoryInput { label: "demo", bytes: include_bytes!("../../fixtures/demo/traces.jsonl") };

/// Runs `check` over the sample.
pub(super) fn run(args: &DemoArgs, terminal: &Terminal) -> Result<ExitCode> {
    let settings = settings::demo(args)?;
    let outcome = pipeline::run_memory(SAMPLE, &settings, &NoProgress);
    check::write_reports(&outcome.report, &args.output, "--demo", terminal)?;
    Ok(ExitCode::from(outcome.report.exit_code))
}
