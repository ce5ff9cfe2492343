//! What the suites of all backends share: runs of the binary against a double, each bounded in time.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use tracemend::report::Report;

use crate::double::{Double, Store};
use crate::support::{Ran, findings, ran, tracemend};

/// The first span of the stores that do not depend on the time of the run: 2026-03-02T09:30:00Z.
pub(crate) const START: u64 = 1_772_443_800_000_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// A window with all of them.
pub(crate) const WINDOW: [&str; 4] = ["--from", "2026-03-02T09:30:00Z", "--to", "2026-03-02T10:30:00Z"];

/// No run may take longer, whatever the backend does and however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a network and its secrets are set with.
const VARIABLES: [&str; 15] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TRACEMEND_BEARER_TOKEN",
    "TRACEMEND_BASIC_AUTH",
    "TRACEMEND_HEADERS",
    "SIGNOZ_API_KEY",
    "RUST_LOG",
];

/// The binary without what the environment says about networks.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = tracemend(arguments);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command.timeout(PATIENCE);
    command
}

/// Runs `check --format json` with these arguments and environment.
#[track_caller]
pub(crate) fn check_with(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = command(&["check", "--format", "json"]);
    ran(command.args(arguments).envs(environment.iter().copied()))
}

/// Runs `check --format json` with the double as backend of this flag.
#[track_caller]
pub(crate) fn ask(flag: &str, double: &Double, arguments: &[&str]) -> Ran {
    check_with(&[&[flag, &double.url()], arguments].concat(), &[])
}

/// Everything that a user sees says this.
#[track_caller]
pub(crate) fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        let seen = ran.stderr.contains(word) || ran.stdout.contains(word);
        assert!(seen, "{word:?} not in {}{}", ran.stderr, ran.stdout);
    }
}

/// A backend with the spans of a file tells what the file tells.
#[track_caller]
pub(crate) fn tells_the_same(backend: &Ran, file: &Ran) {
    assert_eq!(backend.code, file.code, "{}", backend.stderr);
    let (found, expected) = (backend.report(), file.report());
    let counts = |report: &Report| {
        let summary = &report.summary;
        (summary.traces, summary.span_records, summary.orphan_spans, summary.exact_duplicate_ids)
    };
    assert_eq!(counts(&found), counts(&expected), "{}", backend.stderr);
    assert_eq!(findings(&found), findings(&expected));
}

/// Starts the binary and leaves it running.
pub(crate) fn start(arguments: &[&str]) -> Child {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tracemend"));
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Interrupts a child as ctrl-c does, and waits for it.
#[track_caller]
pub(crate) fn interrupt(mut child: Child) -> Ran {
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("an interrupt did not end it");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().expect("ended by itself"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Healthy traces, one each second from [`START`] on.
pub(crate) fn shop(traces: usize) -> Store {
    Store::healthy(traces, START, SECOND)
}

/// The same, but each trace has lost its root.
pub(crate) fn broken_shop(traces: usize) -> Store {
    let mut store = shop(traces);
    store.spans.retain(|span| !span.parent_id.is_empty());
    store
}

/// Now, in ns since the Unix epoch.
pub(crate) fn now_ns() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    now.as_secs() * SECOND + u64::from(now.subsec_nanos())
}
