//! The command line: one file per command. Everything that a run needs is validated into
//! [`crate::config::Settings`] in `settings.rs`.

mod args;
mod backends;
mod check;
mod completions;
mod demo;
mod explain;
mod files;
mod formats;
mod progress;
mod rules;
mod session;
mod settings;
mod show;
mod terminal;
mod values;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::panic::{self, PanicHookInfo};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::exit::Exit;
use crate::render::text;
use args::{Cli, Command};
use terminal::Terminal;

const EXAMPLES: &str = "\
tracemend finds where distributed traces break, says why, and says what to change.

  tracemend traces.jsonl             diagnose an export (file, folder or `-` for stdin)
  tracemend demo                     see a report over a small sample
  tracemend check --help             all options

";

/// Runs the process: arguments in, exit code out.
pub fn main() -> ExitCode {
    panic::set_hook(Box::new(explain_panic));
    let run = || run(std::env::args_os(), &Terminal::observe());
    panic::catch_unwind(run).unwrap_or_else(|_| Exit::Error.into())
}

/// The definition of the command line, for completions and the man page.
pub fn command() -> clap::Command {
    Cli::command()
}

fn run(arguments: impl IntoIterator<Item = OsString>, terminal: &Terminal) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let alone = arguments.len() <= 1;
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match dispatch(cli, alone, terminal) {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => Exit::Pass.into(),
        Err(error) => {
            complain(&error);
            Exit::Error.into()
        }
    }
}

fn dispatch(cli: Cli, alone: bool, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let Some(command) = cli.command else {
        if alone && terminal.stdin {
            return print(EXAMPLES.as_bytes());
        }
        settings::refuse_unknown_word(&cli.check.input.inputs)?;
        return check::run(&cli.check, terminal);
    };
    match command {
        Command::Check(args) => check::run(&args, terminal),
        Command::Show(args) => show::run(&args, terminal),
        Command::Demo(args) => demo::run(&args, terminal),
        Command::Explain(args) => print(&explain::page(&args)?),
        Command::Rules(args) => print(&rules::list(args.format)?),
        Command::Formats(args) => print(&formats::list(args.format)?),
        Command::Completions(args) => print(&completions::script(args.shell)),
    }
}

fn print(bytes: &[u8]) -> anyhow::Result<ExitCode> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(Exit::Pass.into())
}

fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell when even this cannot be written.
    let _ = error.print();
    if error.use_stderr() { Exit::Error.into() } else { Exit::Pass.into() }
}

/// Whoever reads our output has seen enough; that is no error.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

fn complain(error: &anyhow::Error) {
    let message = format!("error: {error:#}");
    let mut stderr = io::stderr().lock();
    for line in message.lines() {
        let _ = writeln!(stderr, "{}", text::clean(line));
    }
}

fn explain_panic(info: &PanicHookInfo<'_>) {
    let place =
        info.location().map_or_else(String::new, |place| format!(" ({}:{})", place.file(), place.line()));
    let _ = writeln!(
        io::stderr(),
        "tracemend stopped because of a bug in tracemend{place}: {}\n\
         Nothing was sent anywhere. Please report this line, the command and, if you can, the input.",
        text::clean(panic_message(info)),
    );
}

fn panic_message<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    let owned = || payload.downcast_ref::<String>().map(String::as_str);
    payload.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn a_closed_pipe_is_found_under_context() {
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(&anyhow::Error::from(pipe).context("cannot write")));
        assert!(!is_closed_pipe(&anyhow::anyhow!("else")));
    }
}
