//! `tracemend demo`: a report over a sample that comes with the program.

use std::process::ExitCode;

use anyhow::Result;

use super::args::DemoArgs;
use super::terminal::Terminal;
use super::{check, session, settings};
use crate::pipeline;
use crate::sources::Expanded;

/// The sample.
pub(super) fn sample() -> Expanded {
    pipeline::memory_input("demo", include_bytes!("../../fixtures/demo/traces.jsonl"))
}

/// Runs `check` over the sample.
pub(super) fn run(args: &DemoArgs, terminal: &Terminal) -> Result<ExitCode> {
    let settings = settings::demo(args)?;
    let report = pipeline::run(sample(), &settings, session::quiet());
    check::write_reports(&report, &args.output, "--demo", terminal)?;
    Ok(ExitCode::from(report.exit_code))
}
