//! What a run shows on stderr while it works: a progress bar, and a notice when it waits.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::Terminal;
use crate::progress::{NoProgress, Progress};
use crate::render::text;

/// How much a run may say on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing.
    Nothing,
    /// Only what a user has to know to go on.
    Notices {
        /// Every request to a backend as well.
        requests: bool,
    },
    /// A bar as well, where there is a terminal.
    Bar {
        /// Every request to a backend as well.
        requests: bool,
    },
}

/// What fits the terminal and the flags.
pub(super) fn on_stderr(terminal: &Terminal, wanted: Wanted) -> Box<dyn Progress> {
    match wanted {
        Wanted::Nothing => Box::new(NoProgress),
        Wanted::Bar { requests } if terminal.stderr && !terminal.dumb => Box::new(Bar::new(requests)),
        Wanted::Bar { requests } | Wanted::Notices { requests } => Box::new(Notices { requests }),
    }
}

const WAITING: &str = "tracemend: waiting for traces on standard input (ctrl-c to stop)";

fn say_waiting() {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "{WAITING}");
}

/// Backends are not trusted, nor what they answer.
fn say(line: &str) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "{}", text::clean(line));
}

/// No bar: stderr is a file or a pipe, or nobody wants to see one.
struct Notices {
    requests: bool,
}

impl Progress for Notices {
    fn request(&self, line: &str) {
        if self.requests {
            say(line);
        }
    }

    fn warn(&self, line: &str) {
        say(&format!("warning: {line}"));
    }

    fn waiting_for_stdin(&self) -> Box<dyn FnOnce() + Send> {
        Box::new(say_waiting)
    }
}

/// Bytes, spans and rate.
struct Bar {
    drawn: ProgressBar,
    spans: AtomicU64,
    /// Traces of backends.
    traces: AtomicU64,
    requests: bool,
}

impl Bar {
    fn new(requests: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        bar.set_style(style("{spinner} {prefix}{binary_bytes} · {msg} · {binary_bytes_per_sec}"));
        bar.set_message("0 spans");
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { drawn: bar, spans: AtomicU64::new(0), traces: AtomicU64::new(0), requests }
    }
}

impl Progress for Bar {
    fn expect_bytes(&self, bytes: u64) {
        if self.drawn.length().is_none() {
            self.drawn.set_style(style(
                "{bar:24} {binary_bytes}/{binary_total_bytes} · {msg} · {binary_bytes_per_sec} · {eta} left",
            ));
            self.drawn.set_length(0);
        }
        self.drawn.inc_length(bytes);
    }

    fn bytes(&self, bytes: u64) {
        self.drawn.inc(bytes);
    }

    fn spans(&self, spans: u64) {
        let spans = self.spans.fetch_add(spans, Ordering::Relaxed) + spans;
        self.drawn.set_message(format!("{} spans", HumanCount(spans)));
    }

    fn fetched(&self, traces: u64, window: Option<&str>) {
        let traces = self.traces.fetch_add(traces, Ordering::Relaxed) + traces;
        let window = window.map_or_else(String::new, |window| format!(" · {window}"));
        self.drawn.set_prefix(format!("{} traces{window} · ", HumanCount(traces)));
    }

    fn request(&self, line: &str) {
        if self.requests {
            self.drawn.suspend(|| say(line));
        }
    }

    fn warn(&self, line: &str) {
        self.drawn.suspend(|| say(&format!("warning: {line}")));
    }

    fn waiting_for_stdin(&self) -> Box<dyn FnOnce() + Send> {
        let bar = self.drawn.clone();
        Box::new(move || bar.suspend(say_waiting))
    }

    fn finish(&self) {
        self.drawn.finish_and_clear();
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
        let bar = Bar::new(false);
        bar.bytes(1);
        assert_eq!(bar.drawn.length(), None, "without a size there is no end in sight");
        bar.expect_bytes(10);
        bar.expect_bytes(20);
        bar.bytes(6);
        bar.spans(3);
        bar.spans(4);
        assert_eq!((bar.drawn.length(), bar.drawn.position()), (Some(30), 7));
        assert_eq!(bar.drawn.message(), "7 spans");
        bar.finish();
    }
}
