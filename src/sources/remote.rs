//! Asks backends. A backend is asked on a thread of its own, the only place with async code; what
//! it answers comes out as one stream of documents in one format, like a file.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::fetch_problem::FetchProblem;
use super::http::Client;
use super::{jaeger, signoz};
use crate::config::{Backend, BackendKind, Query, Window};
use crate::formats::{Format, Limits};
use crate::model::{Capabilities, Horizon, TraceId};
use crate::progress::Progress;

/// Documents that may wait for their reader. They are whole answers, which can be large.
const DOCUMENTS: usize = 2;

/// How long the reader may take to notice that it is to end.
const NOTICE_END: Duration = Duration::from_millis(50);

/// How long a full channel is left alone.
const FULL: Duration = Duration::from_millis(2);

/// What a backend gave, apart from its documents.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Why there is nothing at all.
    pub failure: Option<FetchProblem>,
    /// Why there is less than was asked for.
    pub partial: Vec<String>,
    /// Flags of limits on the number of whole traces that ended the search.
    pub limits: Vec<ReachedLimit>,
    /// What the user should know and that changes nothing in the report.
    pub warnings: Vec<String>,
    /// What to look at when nothing was found.
    pub nothing_found: Option<String>,
    /// What the traces cover.
    pub horizon: Horizon,
}

/// A limit on whole traces that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReachedLimit {
    /// `--limit`
    Traces,
    /// `--max-spans`
    Spans,
}

impl ReachedLimit {
    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "number of traces",
            Self::Spans => "number of spans",
        }
    }

    /// The flag that moves the limit.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Traces => "--limit",
            Self::Spans => "--max-spans",
        }
    }
}

/// A backend that has begun to answer.
pub struct Answering {
    /// Format of its documents.
    pub format: &'static dyn Format,
    /// What the format can tell the way it was asked for.
    pub capabilities: Capabilities,
    /// The documents.
    pub stream: DocumentStream,
}

/// From the thread that asks to the one that reads.
enum Piece {
    Begin(&'static dyn Format, Capabilities),
    Document(Vec<u8>),
    Fetched { traces: u64, window: Option<Window> },
    Log(Vec<String>),
}

/// Asks a backend on a thread of its own. Comes back when it is clear in which format the answers
/// are, or with the outcome when there is none.
pub fn ask(
    backend: &Backend,
    limits: &Limits,
    progress: &dyn Progress,
    interrupted: &AtomicBool,
) -> Result<(Answering, Asked), Box<Outcome>> {
    let (pieces, received) = bounded(DOCUMENTS);
    let end = Arc::new(End::default());
    let thread = {
        let (backend, limits, end) = (backend.clone(), limits.clone(), Arc::clone(&end));
        let run = move || run(backend, &limits, pieces, &end);
        thread::Builder::new().name("backend".to_owned()).spawn(run)
    };
    let failed = |error: io::Error| {
        let failure = Some(FetchProblem::Broken(error.to_string()));
        Box::new(Outcome { failure, ..Outcome::default() })
    };
    let asked = Asked { thread: thread.map_err(failed)?, end: Arc::clone(&end) };
    loop {
        match next(&received, interrupted) {
            Next::Piece(Piece::Begin(format, capabilities)) => {
                let stream = DocumentStream { pieces: received, document: Vec::new(), taken: 0, gone: false };
                return Ok((Answering { format, capabilities, stream }, asked));
            }
            Next::Piece(piece) => tell(&piece, progress),
            Next::Interrupted | Next::End => return Err(Box::new(asked.finish())),
        }
    }
}

/// A backend that was asked; ends the asking.
pub struct Asked {
    thread: JoinHandle<Outcome>,
    end: Arc<End>,
}

impl Asked {
    /// Ends the asking, if it is still going on, and says what came of it.
    pub fn finish(self) -> Outcome {
        self.end.now();
        self.thread.join().unwrap_or_else(|_| {
            // A bug while asking must not look like a backend without traces.
            std::panic::resume_unwind(Box::new("the thread that asks a backend failed"))
        })
    }
}

/// Told once, heard by the thread that asks.
#[derive(Debug, Default)]
struct End {
    told: AtomicBool,
    notify: Notify,
}

impl End {
    fn now(&self) {
        self.told.store(true, Ordering::Relaxed);
        self.notify.notify_one();
    }
}

enum Next {
    Piece(Piece),
    Interrupted,
    End,
}

fn next(pieces: &Receiver<Piece>, interrupted: &AtomicBool) -> Next {
    loop {
        match pieces.recv_timeout(NOTICE_END) {
            Ok(piece) => return Next::Piece(piece),
            Err(RecvTimeoutError::Disconnected) => return Next::End,
            Err(RecvTimeoutError::Timeout) if interrupted.load(Ordering::Relaxed) => {
                return Next::Interrupted;
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn tell(piece: &Piece, progress: &dyn Progress) {
    match piece {
        Piece::Fetched { traces, window } => {
            progress.fetched(*traces, window.map(|window| window.to_string()).as_deref());
        }
        Piece::Log(lines) => lines.iter().for_each(|line| progress.request(line)),
        Piece::Begin(..) | Piece::Document(_) => {}
    }
}

/// The documents of a backend, one after the other with line breaks between.
pub struct DocumentStream {
    pieces: Receiver<Piece>,
    document: Vec<u8>,
    taken: usize,
    gone: bool,
}

impl DocumentStream {
    /// A reader that ends, as at the end of a file, when `interrupted` is set.
    pub fn read_while<'f>(
        self,
        interrupted: &'f AtomicBool,
        progress: &'f dyn Progress,
    ) -> impl Read + Send + 'f {
        Documents { stream: self, interrupted, progress }
    }
}

struct Documents<'f> {
    stream: DocumentStream,
    interrupted: &'f AtomicBool,
    progress: &'f dyn Progress,
}

impl Read for Documents<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let stream = &mut self.stream;
        while stream.taken == stream.document.len() && !stream.gone {
            match next(&stream.pieces, self.interrupted) {
                Next::Piece(Piece::Document(document)) => {
                    stream.document = document;
                    stream.document.push(b'\n');
                    stream.taken = 0;
                }
                Next::Piece(piece) => tell(&piece, self.progress),
                Next::Interrupted | Next::End => stream.gone = true,
            }
        }
        let len = (&stream.document[stream.taken..]).read(into)?;
        stream.taken += len;
        Ok(len)
    }
}

/// One backend being asked: what all of them share.
pub(super) struct Fetch {
    /// Sends requests.
    pub(super) client: Client,
    /// What to ask for.
    pub(super) query: Query,
    /// What comes of it.
    pub(super) outcome: Outcome,
    pieces: Sender<Piece>,
    seen: HashSet<TraceId>,
    spans: u64,
    documents: u64,
}

impl Fetch {
    /// Says in which format the documents are, and what it can tell the way they were asked for.
    pub(super) async fn begin(&mut self, format: &'static dyn Format, capabilities: Capabilities) {
        self.send(Piece::Begin(format, capabilities)).await;
    }

    /// Gives a document out. `traces` of them are new, and it has so many spans.
    pub(super) async fn document(
        &mut self,
        document: Vec<u8>,
        traces: u64,
        spans: u64,
        window: Option<Window>,
    ) {
        self.spans += spans;
        self.documents += 1;
        self.send(Piece::Document(document)).await;
        self.send(Piece::Fetched { traces, window }).await;
        self.pass_log_on().await;
    }

    /// Whether a trace that was found is to be given out: not twice, and not beyond the limits.
    pub(super) fn take(&mut self, trace_id: TraceId) -> bool {
        if self.seen.contains(&trace_id) || self.is_full() {
            return false;
        }
        self.seen.insert(trace_id)
    }

    /// Whether a trace was given out before.
    pub(super) fn has(&self, trace_id: TraceId) -> bool {
        self.seen.contains(&trace_id)
    }

    /// Traces that may still come.
    pub(super) fn room(&self) -> u64 {
        if self.spans >= self.query.max_spans {
            return 0;
        }
        self.query.limit.saturating_sub(self.seen.len() as u64)
    }

    /// Whether a limit is reached; the report will say so.
    pub(super) fn is_full(&mut self) -> bool {
        if self.room() > 0 {
            return false;
        }
        let limit =
            if self.spans >= self.query.max_spans { ReachedLimit::Spans } else { ReachedLimit::Traces };
        if !self.outcome.limits.contains(&limit) {
            self.outcome.limits.push(limit);
        }
        true
    }

    /// Says that a part is missing.
    pub(super) fn lacks(&mut self, reason: String) {
        self.outcome.partial.push(reason);
    }

    /// Passes a failure of one request on as a missing part, unless all further ones would fail too.
    pub(super) fn tolerate(&mut self, what: &str, problem: FetchProblem) -> Result<(), FetchProblem> {
        if problem.is_final() {
            return Err(problem);
        }
        self.lacks(format!("{what}: {}", with_help(&problem)));
        Ok(())
    }

    async fn pass_log_on(&mut self) {
        let lines = self.client.take_log();
        if !lines.is_empty() {
            self.send(Piece::Log(lines)).await;
        }
    }

    /// Waits while the reader is behind. When it is gone, nobody wants more.
    async fn send(&mut self, mut piece: Piece) {
        loop {
            match self.pieces.try_send(piece) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(back)) => piece = back,
            }
            sleep(FULL).await;
        }
    }
}

/// Runs on the thread of the backend.
fn run(backend: Backend, limits: &Limits, pieces: Sender<Piece>, end: &End) -> Outcome {
    let failed = |problem| Outcome { failure: Some(problem), ..Outcome::default() };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(FetchProblem::Broken(error.to_string())),
    };
    let (header, how) = match backend.kind {
        BackendKind::Jaeger => (jaeger::TENANT_HEADER, jaeger::HOW_TO_LOG_IN),
        BackendKind::Signoz => (signoz::TENANT_HEADER, signoz::HOW_TO_LOG_IN),
    };
    let deadline = backend.connection.deadline;
    runtime.block_on(async {
        let client = match Client::new(&backend.url, &backend.connection, header, how, limits.max_record) {
            Ok(client) => client,
            Err(problem) => return failed(problem),
        };
        let horizon = Horizon { settled_ns: Some(backend.query.settled_ns), whole_from_ns: None };
        let mut fetch = Fetch {
            client,
            query: backend.query,
            outcome: Outcome { horizon, ..Outcome::default() },
            pieces,
            seen: HashSet::new(),
            spans: 0,
            documents: 0,
        };
        let ended = {
            let asking = async {
                match backend.kind {
                    BackendKind::Jaeger => jaeger::fetch(&mut fetch).await,
                    BackendKind::Signoz => signoz::fetch(&mut fetch).await,
                }
            };
            tokio::select! {
                ended = timeout_at(Instant::now() + deadline, asking) => {
                    ended.unwrap_or(Err(FetchProblem::Deadline(deadline)))
                }
                () = end.notify.notified() => Ok(()),
            }
        };
        if !end.told.load(Ordering::Relaxed) {
            fetch.pass_log_on().await;
        }
        conclude(fetch, ended)
    })
}

fn with_help(problem: &FetchProblem) -> String {
    let help = problem.help();
    if help.is_empty() { problem.to_string() } else { format!("{problem} ({help})") }
}

/// After documents were given out, what went wrong is a missing part and no failure.
fn conclude(mut fetch: Fetch, ended: Result<(), FetchProblem>) -> Outcome {
    if let Some(ahead) = fetch.client.clock_ahead_s() {
        let direction = if ahead > 0 { "ahead of" } else { "behind" };
        let seconds = ahead.unsigned_abs();
        fetch.outcome.warnings.push(format!(
            "this machine's clock is {seconds} s {direction} the backend's: set it, or name the window with \
             --from and --to"
        ));
    }
    match ended {
        Ok(()) => {}
        Err(problem) if fetch.documents == 0 => fetch.outcome.failure = Some(problem),
        Err(problem) => fetch.lacks(with_help(&problem)),
    }
    fetch.outcome
}
