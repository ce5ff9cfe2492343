//! What accompanies a run from the outside: progress, and ctrl-c.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::Exit;
use crate::pipeline::Session;
use crate::progress::{NoProgress, Progress};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// A run that nobody watches and nobody ends early.
pub(super) fn quiet() -> Session<'static> {
    Session { progress: &NoProgress, interrupted: &INTERRUPTED }
}

/// A run that ctrl-c or SIGTERM ends early: the first one ends the reading, and what was read is
/// reported; a second one ends the process at once.
pub(super) fn with(progress: &dyn Progress) -> Session<'_> {
    #[expect(clippy::exit, reason = "the second ctrl-c must not wait for anything")]
    let handler = || {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
    };
    // Without a handler the system's default holds: ctrl-c ends the process at once.
    let _ = ctrlc::set_handler(handler);
    Session { progress, interrupted: &INTERRUPTED }
}
