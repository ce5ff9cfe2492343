//! `tracemend check`: the main job.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};

use super::args::{CheckArgs, OutputArgs};
use super::progress::{self, Wanted};
use super::terminal::Terminal;
use super::{files, session, settings};
use crate::pipeline::{self, Relinked};
use crate::render::{self, RenderOptions, Renderer, text};
use crate::report::Report;
use crate::sources::{self, Expanded, InputKind};

/// Reads, judges, reports.
pub(super) fn run(args: &CheckArgs, terminal: &Terminal) -> Result<ExitCode> {
    let rules: Vec<&str> = crate::analyzers::rules().iter().map(|rule| rule.name).collect();
    let settings = settings::check(args, &rules, terminal)?;
    let progress = progress::on_stderr(terminal, wanted_progress(&args.output));
    let inputs = sources::expand(&settings.inputs).with_backends(&settings.backends);
    let session = session::with(progress.as_ref());
    let report = match &args.relink {
        None => pipeline::run(inputs, &settings, session),
        Some(path) => {
            let mut file = BufWriter::new(new_file(path, &inputs)?);
            let (report, relinked) = pipeline::run_and_relink(inputs, &settings, session, &mut file);
            progress.finish();
            note_relinked(relinked.ok(), path, &args.output);
            report
        }
    };
    progress.finish();
    let files = settings.inputs.iter().map(|input| text::shell_word(input));
    let backends = settings.backends.iter();
    let backends =
        backends.map(|backend| format!("{} {}", backend.kind.flag(), text::shell_word(&backend.url)));
    let inputs: Vec<String> = files.chain(backends).collect();
    name_reasons(&report, &args.output);
    write_reports(&report, &args.output, &inputs.join(" "), terminal)?;
    Ok(ExitCode::from(report.exit_code))
}

/// A new file in place of an old one; never in place of what is about to be read.
fn new_file(path: &Path, inputs: &Expanded) -> Result<File> {
    let files = inputs.inputs.iter().filter_map(|input| match &input.kind {
        InputKind::File(file) => Some(file),
        InputKind::Stdin | InputKind::Memory(_) | InputKind::Backend(_) => None,
    });
    let reads_stdin = inputs.inputs.iter().any(|input| input.kind == InputKind::Stdin);
    let is_input =
        files.into_iter().any(|file| files::is_same(file, path)) || (reads_stdin && files::is_stdin(path));
    ensure!(!is_input, "{} is an input; writing there would destroy it", path.display());
    File::create(path).with_context(|| format!("cannot write {}", path.display()))
}

/// Says on stderr what was written.
fn note_relinked(relinked: Option<Relinked>, path: &Path, output: &OutputArgs) {
    let Some(relinked) = relinked.filter(|_| output.verbosity() >= 0) else { return };
    let Relinked { traces, spans, links } = relinked;
    let what = format!(
        "{} with {} and {}",
        text::plural(traces, "trace", "traces"),
        text::plural(spans, "span", "spans"),
        text::plural(links, "proposed parent", "proposed parents"),
    );
    // Nobody is left to tell when even this cannot be written.
    let _ = writeln!(io::stderr().lock(), "wrote {what} to {}", text::clean(&path.display().to_string()));
}

/// Says on stderr what makes the run an error or inconclusive, where the report on stdout does not:
/// no such exit code comes without a word.
fn name_reasons(report: &Report, output: &OutputArgs) {
    let is_told = output.format == "table" && output.output.is_none() && output.verbosity() >= 0;
    if is_told || output.verbosity() < -1 {
        return;
    }
    let mut stderr = io::stderr().lock();
    for reason in &report.reasons {
        let word = match reason.code.as_str() {
            "finding-at-gate" => continue,
            "input-error" | pipeline::RELINK_FAILED => "error",
            _ => "warning",
        };
        // Nobody is left to tell when even this cannot be written.
        let _ = writeln!(stderr, "{word}: {}", text::clean(&reason.message));
    }
}

/// What a run with these flags may say while it works.
fn wanted_progress(output: &OutputArgs) -> Wanted {
    match (output.quiet, output.no_progress) {
        (0, false) => Wanted::Bar { requests: output.verbose > 0 },
        (0, true) => Wanted::Notices { requests: output.verbose > 0 },
        _ => Wanted::Nothing,
    }
}

/// Writes every report that was asked for. The files come first: a closed pipe must not cost them.
pub(super) fn write_reports(
    report: &Report,
    output: &OutputArgs,
    show_arguments: &str,
    terminal: &Terminal,
) -> Result<()> {
    let plain = RenderOptions {
        verbosity: output.verbosity(),
        top: output.top.0,
        ascii: output.ascii,
        show_arguments: Some(show_arguments.to_owned()),
        ..RenderOptions::default()
    };
    for file in &output.reports {
        write_file(report, file.renderer, &plain, &file.path)?;
    }
    let renderer = render::by_name(&output.format)?;
    if let Some(path) = output.output.as_deref().filter(|path| path.as_os_str() != "-") {
        return write_file(report, renderer, &plain, path);
    }
    if output.verbosity() < -1 {
        return Ok(());
    }
    let options = RenderOptions {
        width: terminal.columns(),
        color: terminal.color(output.color),
        ascii: terminal.ascii(output.ascii),
        hyperlinks: terminal.hyperlinks(),
        ..plain
    };
    write_stdout(report, renderer, &options).context("cannot write to stdout")
}

fn write_stdout(report: &Report, renderer: &Renderer, options: &RenderOptions) -> io::Result<()> {
    let stdout = io::stdout().lock();
    let target: Box<dyn Write> = if options.color || options.hyperlinks {
        // Old Windows consoles have to be told to understand escape sequences.
        Box::new(anstream::AutoStream::always(stdout))
    } else {
        Box::new(stdout)
    };
    let mut out = BufWriter::new(target);
    (renderer.render)(report, options, &mut out)?;
    out.flush()
}

fn write_file(report: &Report, renderer: &Renderer, options: &RenderOptions, path: &Path) -> Result<()> {
    let write = || {
        let mut out = BufWriter::new(File::create(path)?);
        (renderer.render)(report, options, &mut out)?;
        out.flush()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
