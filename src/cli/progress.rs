//! What a run shows on stderr while it works: a progress bar, and a notice when it waits.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::Terminal;
use crate::progress::{NoProgress, Progress};

/// How much a run may say on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing.
    Nothing,
    /// Only what a user has to know to go on.
    Notices,
    /// A bar as well, where there is a terminal.
    Bar,
}

/// What fits the terminal and the flags.
pub(super) fn on_stderr(terminal: &Terminal, wanted: Wanted) -> Box<dyn Progress> {
    match wanted {
        Wanted::Nothing => Box::new(NoProgress),
        Wanted::Bar if terminal.stderr && !terminal.dumb => Box::new(Bar::new()),
        Wanted::Bar | Wanted::Notices => Box::new(Notices),
    }
}

const WAITING: &str = "tracemend: waiting for traces on standard input (ctrl-c to stop)";

fn say_waiting() {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "{WAITING}");
}

/// No bar: stderr is a file or a pipe, or nobody wants to see one.
struct Notices;

impl Progress for Notices {
    fn waiting_for_stdin(&self) -> Box<dyn FnOnce() + Send> {
        Box::new(say_waiting)
    }
}

/// Bytes, spans and rate.
struct Bar {
    bar: ProgressBar,
    spans: AtomicU64,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        bar.set_style(style("{spinner} {binary_bytes} · {msg} · {binary_bytes_per_sec}"));
        bar.set_message("0 spans");
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, spans: AtomicU64::new(0) }
    }
}

impl Progress for Bar {
    fn expect_bytes(&self, bytes: u64) {
        if self.bar.length().is_none() {
            self.bar.set_style(style(
                "{bar:24} {binary_bytes}/{binary_total_bytes} · {msg} · {binary_bytes_per_sec} · {eta} left",
            ));
            self.bar.set_length(0);
        }
        self.bar.inc_length(bytes);
    }

    fn bytes(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn spans(&self, spans: u64) {
        let spans = self.spans.fetch_add(spans, Ordering::Relaxed) + spans;
        self.bar.set_message(format!("{} spans", HumanCount(spans)));
    }

    fn waiting_for_stdin(&self) -> Box<dyn FnOnce() + Send> {
        let bar = self.bar.clone();
        Box::new(move || bar.suspend(say_waiting))
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// The templates are fixed and a test reads them; the default would only look different.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_it_is_told() {
        let bar = Bar::new();
        bar.bytes(1);
        assert_eq!(bar.bar.length(), None, "without a size there is no end in sight");
        bar.expect_bytes(10);
        bar.expect_bytes(20);
        bar.bytes(6);
        bar.spans(3);
        bar.spans(4);
        assert_eq!((bar.bar.length(), bar.bar.position()), (Some(30), 7));
        assert_eq!(bar.bar.message(), "7 spans");
        bar.finish();
    }
}
