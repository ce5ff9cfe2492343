//! A progress bar on stderr.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::Terminal;
use crate::progress::{NoProgress, Progress};

/// A bar on a terminal, silence elsewhere.
pub(super) fn on_stderr(terminal: &Terminal, wanted: bool) -> Box<dyn Progress> {
    if !wanted || !terminal.stderr || terminal.dumb {
        return Box::new(NoProgress);
    }
    Box::new(Bar::new())
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
        bar.expect_bytes(10);
        bar.expect_bytes(20);
        bar.bytes(7);
        bar.spans(3);
        bar.spans(4);
        assert_eq!((bar.bar.length(), bar.bar.position()), (Some(30), 7));
        assert_eq!(bar.bar.message(), "7 spans");
        bar.finish();
    }
}
