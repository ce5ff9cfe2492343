//! From inputs to records: one reader cuts blocks, workers decode them on all cores, and everything
//! is merged at the end. Nothing fails as a whole; what cannot be read is accounted for.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::analysis::observe_span;
use crate::analyzers::observations::Observations;
use crate::config::Backend;
use crate::formats::{self, Block, Detection, Format, Head, Limit, Limits, Origin, RejectReason, SpanSink};
use crate::model::{Capabilities, Horizon, Repair, Span, SpanId, TraceId};
use crate::progress::Progress;
use crate::sources::blocks::{BlockIndex, BlockReader, Stop};
use crate::sources::remote::{self, Outcome, ReachedLimit};
use crate::sources::spool::Spool;
use crate::sources::stdin::{NOTICE_AFTER, interruptible, wait_notice};
use crate::sources::{self, Compression, Expanded, Input, InputKind, Opened, SourceError, SourceProblem};
use crate::store::Store;
use crate::store::ingest::WorkerStore;
use crate::store::record::MAX_INPUTS;

/// How to read.
#[derive(Clone, Copy)]
pub struct ReadOptions<'o> {
    /// Format of every input; detected when `None`.
    pub format: Option<&'static dyn Format>,
    /// Bounds.
    pub limits: &'o Limits,
    /// Worker threads.
    pub threads: usize,
    /// How many affected spans are kept a place.
    pub capacity: usize,
    /// Most bytes kept of inputs that cannot be read twice.
    pub spool_limit: u64,
    /// Listens.
    pub progress: &'o dyn Progress,
    /// Set from outside to end the reading early.
    pub interrupted: &'o AtomicBool,
}

/// An input after reading.
pub struct ReadInput {
    /// The input.
    pub input: Input,
    /// Its format.
    pub format: &'static dyn Format,
    /// Compression around it.
    pub compression: Option<Compression>,
    /// Its blocks.
    pub index: BlockIndex,
    /// Whether it can be read again.
    pub repeatable: bool,
    /// What it can tell.
    pub capabilities: Capabilities,
    /// Which of its traces can be judged; files give no bounds.
    pub horizon: Horizon,
    /// Flags of limits on whole traces that its source reached.
    pub limits: Vec<ReachedLimit>,
    /// What to look at when its source found nothing.
    pub nothing_found: Option<String>,
}

/// Everything after reading.
pub struct ReadOutcome {
    /// Records and accounting.
    pub store: Store,
    /// What the analyzers saw while decoding.
    pub seen: Observations,
    /// The inputs that were read, in their order.
    pub inputs: Vec<ReadInput>,
    /// Blocks of inputs that cannot be read twice.
    pub spool: Spool,
    /// Named inputs that could not be read or recognised: one sentence each.
    pub failures: Vec<String>,
    /// Inputs whose end could not be read.
    pub damaged_inputs: u64,
    /// Files in folders that hold no traces.
    pub skipped_files: u64,
    /// Whether reading was ended early.
    pub interrupted: bool,
}

/// A block on its way to a worker.
struct Job {
    input: usize,
    format: &'static dyn Format,
    block: Block,
}

const NAME_THE_FORMAT: &str = "if it is one of `tracemend formats`, name it with --input-format";

/// Workers nest as deep as the input does, up to `--max-depth`.
const WORKER_STACK: usize = 16 << 20;

/// Reads all inputs.
pub fn read(expanded: Expanded, options: ReadOptions<'_>) -> ReadOutcome {
    let ended: Vec<AtomicBool> = expanded.inputs.iter().map(|_| AtomicBool::new(false)).collect();
    let (sender, receiver) = bounded::<Job>(options.threads);
    let (spare_sender, spare) = bounded::<Vec<u8>>(options.threads * 3);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..options.threads)
            .filter_map(|_| {
                let (receiver, ended, spare) = (receiver.clone(), &ended, spare_sender.clone());
                let builder = thread::Builder::new().name("decode".to_owned()).stack_size(WORKER_STACK);
                builder.spawn_scoped(scope, move || decode_all(&receiver, &spare, ended, options)).ok()
            })
            .collect();
        drop(receiver);
        let mut reader = Reader::new(expanded, options, sender, spare, &ended);
        reader.read_all();
        let (outcome, stops) = reader.finish();
        let mut stores = Vec::new();
        let mut sightings = Vec::new();
        for worker in workers {
            let Ok((store, seen)) = worker.join() else {
                // A panic while decoding is a bug; it must not look like a clean run.
                std::panic::resume_unwind(Box::new("a worker failed while decoding"));
            };
            stores.push(store);
            sightings.push(seen);
        }
        options.progress.finish();
        outcome.complete(stores, sightings, &stops, options.capacity)
    })
}

fn decode_all(
    jobs: &Receiver<Job>,
    spare: &Sender<Vec<u8>>,
    ended: &[AtomicBool],
    options: ReadOptions<'_>,
) -> (WorkerStore, Observations) {
    let mut store = WorkerStore::default();
    let mut seen = Observations::new(options.capacity);
    for job in jobs {
        store.begin(job.input, &job.block);
        let mut sink = DecodeSink { store: &mut store, seen: &mut seen };
        job.format.decode(&job.block, options.limits, &mut sink);
        if store.facts().limit.is_some() {
            ended[job.input].store(true, Ordering::Relaxed);
        }
        options.progress.spans(store.facts().spans);
        store.end();
        // A buffer too many is simply freed.
        let _ = spare.try_send(job.block.bytes);
    }
    (store, seen)
}

/// Turns decoded spans into records.
struct DecodeSink<'w> {
    store: &'w mut WorkerStore,
    seen: &'w mut Observations,
}

impl SpanSink for DecodeSink<'_> {
    fn span(&mut self, span: &mut Span<'_>, origin: Origin<'_, '_>) {
        let added = self.store.add(span, origin);
        observe_span(span, origin.resource, added, self.seen);
    }

    fn reject(&mut self, position: u64, reason: RejectReason) {
        self.store.facts().reject(position, reason);
    }

    fn unreadable(&mut self, position: u64, bytes: u64, reason: &str) {
        self.store.facts().unreadable.push((position, bytes, Box::from(reason)));
    }

    fn limit(&mut self, position: u64, limit: Limit) {
        let facts = self.store.facts();
        if facts.limit.is_none() {
            facts.limit = Some((position, limit));
        }
    }

    fn repaired(&mut self, repair: Repair) {
        *self.store.facts().repairs.entry(repair).or_default() += 1;
    }

    fn truncated_trace(&mut self, trace_id: TraceId) {
        self.store.facts().truncated.push(trace_id);
    }

    fn invented_row(&mut self, trace_id: TraceId, span_id: SpanId) {
        self.store.facts().invented.push((trace_id, span_id));
    }

    fn partial(&mut self, reason: &str) {
        self.store.facts().partial.push(Box::from(reason));
    }
}

/// Cuts the inputs into blocks, one after the other.
struct Reader<'o> {
    queue: Vec<Input>,
    options: ReadOptions<'o>,
    sender: Sender<Job>,
    /// Buffers of decoded blocks.
    spare: Receiver<Vec<u8>>,
    ended: &'o [AtomicBool],
    inputs: Vec<ReadInput>,
    stops: Vec<(usize, Stop)>,
    spool: Spool,
    failures: Vec<String>,
    /// Why sources gave less than they were asked for, by input.
    partial: Vec<(usize, String)>,
    skipped_files: u64,
}

impl<'o> Reader<'o> {
    fn new(
        expanded: Expanded,
        options: ReadOptions<'o>,
        sender: Sender<Job>,
        spare: Receiver<Vec<u8>>,
        ended: &'o [AtomicBool],
    ) -> Self {
        let failures = expanded.failures.iter().map(|error| sentence(error, &error.help())).collect();
        Self {
            queue: expanded.inputs,
            options,
            sender,
            spare,
            ended,
            inputs: Vec::new(),
            stops: Vec::new(),
            spool: Spool::new(options.spool_limit),
            failures,
            partial: Vec::new(),
            skipped_files: expanded.skipped_files,
        }
    }

    fn read_all(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        if let Some(bytes) = queue.iter().map(Input::size).sum() {
            self.options.progress.expect_bytes(bytes);
        }
        for input in queue {
            if self.is_interrupted() {
                return;
            }
            if self.inputs.len() == MAX_INPUTS {
                self.failures.push(format!("more than {MAX_INPUTS} inputs: read them in several runs"));
                return;
            }
            self.read_one(input);
        }
    }

    fn is_interrupted(&self) -> bool {
        self.options.interrupted.load(Ordering::Relaxed)
    }

    fn read_one(&mut self, input: Input) {
        let size = input.size();
        let read = self.read_opened(input);
        // What was left out counts as done, or the bar would never reach its end.
        self.options.progress.bytes(size.unwrap_or(0).saturating_sub(read));
    }

    /// Returns how many bytes of the input, as stored, the progress was told of.
    fn read_opened(&mut self, input: Input) -> u64 {
        if let InputKind::Backend(backend) = &input.kind {
            let backend = backend.clone();
            self.read_backend(input, &backend);
            return 0;
        }
        let opened = match self.open(&input) {
            Ok(opened) => opened,
            Err(error) => {
                self.leave_out(&input, || sentence(&error, &error.help()));
                return 0;
            }
        };
        match self.format_of(&opened) {
            Ok(format) => self.read_blocks(input, opened, format),
            Err((problem, help)) => {
                self.leave_out(&input, || {
                    sentence(&format!("{}: {problem}", sources::shown_path(&input.path)), help)
                });
                0
            }
        }
    }

    /// A named input that cannot be read is a failure; a file met in a folder is only counted.
    fn leave_out(&mut self, input: &Input, failure: impl FnOnce() -> String) {
        if input.named {
            self.failures.push(failure());
        } else {
            self.skipped_files += 1;
        }
    }

    fn open(&self, input: &Input) -> Result<Opened<'o>, SourceError> {
        if input.kind != InputKind::Stdin {
            return sources::open(input, self.options.limits);
        }
        let notice = self.options.progress.waiting_for_stdin();
        let stdin = interruptible(wait_notice(io::stdin(), NOTICE_AFTER, notice), self.options.interrupted);
        let stdin = stdin.map_err(|error| SourceError::io(&input.path, error))?;
        sources::open_stream(input, Box::new(stdin), self.options.limits)
    }

    /// The format, or what is wrong and what would help.
    fn format_of(&self, opened: &Opened<'_>) -> Result<&'static dyn Format, (&'static str, &'static str)> {
        if let Some(format) = self.options.format {
            return Ok(format);
        }
        match formats::detect(&Head::new(&opened.head)) {
            Detection::Known(format) => Ok(format),
            Detection::Other(message) => Err((message, "")),
            Detection::Unknown(message) => Err((message, NAME_THE_FORMAT)),
        }
    }

    /// Asks a backend and reads what it answers as the answers come.
    fn read_backend(&mut self, input: Input, backend: &Backend) {
        let options = self.options;
        let asked = remote::ask(backend, options.limits, options.progress, options.interrupted);
        let (answering, asked) = match asked {
            Ok(answering) => answering,
            Err(outcome) => return self.take_outcome(&input.path, None, *outcome),
        };
        let stream = answering.stream.read_while(options.interrupted, options.progress);
        let path = input.path.clone();
        let opened = match sources::open_stream(&input, Box::new(stream), options.limits) {
            Ok(opened) => opened,
            Err(error) => return self.failures.push(sentence(&error, &error.help())),
        };
        let number = self.inputs.len();
        self.read_blocks(input, opened, answering.format);
        self.inputs[number].capabilities = answering.capabilities;
        self.take_outcome(&path, Some(number), asked.finish());
    }

    /// What a backend leaves beside its documents. `number` is that of the input, if it has one.
    fn take_outcome(&mut self, path: &str, number: Option<usize>, outcome: Outcome) {
        outcome.warnings.iter().for_each(|warning| self.options.progress.warn(warning));
        if let Some(problem) = outcome.failure {
            let error = SourceError::new(path, SourceProblem::Backend(problem));
            self.failures.push(sentence(&error, &error.help()));
        }
        let Some(number) = number else { return };
        self.partial.extend(outcome.partial.into_iter().map(|reason| (number, reason)));
        let input = &mut self.inputs[number];
        input.horizon = outcome.horizon;
        input.limits = outcome.limits;
        input.nothing_found = outcome.nothing_found;
    }

    fn read_blocks(&mut self, input: Input, opened: Opened<'_>, format: &'static dyn Format) -> u64 {
        let number = self.inputs.len();
        let (compression, repeatable) = (opened.compression, opened.repeatable);
        let stored = opened.stored.clone();
        let mut counted = 0;
        let mut blocks = BlockReader::new(opened, format.framing(), self.options.limits);
        while !self.ended[number].load(Ordering::Relaxed) {
            self.spare.try_iter().for_each(|buffer| blocks.recycle(buffer));
            match blocks.next_block() {
                Ok(Some(block)) => {
                    if !repeatable {
                        self.spool.add(number, &block);
                    }
                    let read = stored.read();
                    self.options.progress.bytes(read - counted);
                    counted = read;
                    let sent = self.sender.send(Job { input: number, format, block });
                    // Asked for only now: what the head of a pipe gave before is to be reported.
                    if sent.is_err() || self.is_interrupted() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(stop) => {
                    self.stops.push((number, stop));
                    break;
                }
            }
        }
        let index = blocks.into_index();
        self.inputs.push(ReadInput {
            input,
            format,
            compression,
            index,
            repeatable,
            capabilities: format.info().capabilities,
            horizon: Horizon::default(),
            limits: Vec::new(),
            nothing_found: None,
        });
        counted
    }

    fn finish(self) -> (Draft, Vec<(usize, Stop)>) {
        let interrupted = self.is_interrupted();
        let draft = Draft {
            inputs: self.inputs,
            spool: self.spool,
            failures: self.failures,
            partial: self.partial,
            skipped_files: self.skipped_files,
            interrupted,
        };
        (draft, self.stops)
    }
}

/// What the reader leaves when all blocks are cut; dropping its sender ends the workers.
struct Draft {
    inputs: Vec<ReadInput>,
    spool: Spool,
    failures: Vec<String>,
    partial: Vec<(usize, String)>,
    skipped_files: u64,
    interrupted: bool,
}

impl Draft {
    fn complete(
        self,
        stores: Vec<WorkerStore>,
        sightings: Vec<Observations>,
        stops: &[(usize, Stop)],
        capacity: usize,
    ) -> ReadOutcome {
        let limits = stops.iter().filter_map(|(input, stop)| match stop {
            Stop::Limit { position, limit } => Some((*input, *position, *limit)),
            Stop::Io { .. } | Stop::Damaged { .. } => None,
        });
        let (mut store, translations) = Store::merge(stores, self.inputs.len(), &limits.collect::<Vec<_>>());
        let mut seen = Observations::new(capacity);
        for (mut sighting, translation) in sightings.into_iter().zip(&translations) {
            sighting.translate(&translation.operations, &store.names);
            seen.merge(sighting);
        }
        for (input, reason) in self.partial {
            store.accounting.partial(input, reason.into_boxed_str());
        }
        let mut failures = self.failures;
        let mut damaged_inputs = 0;
        for (input, stop) in stops {
            let (position, is_io) = match stop {
                Stop::Limit { .. } => continue,
                Stop::Io { position, .. } => (*position, true),
                Stop::Damaged { position, .. } => (*position, false),
            };
            damaged_inputs += 1;
            let path = &self.inputs[*input].input.path;
            store.accounting.unreadable(*input, position, 0, stop.to_string().into_boxed_str());
            if is_io {
                failures.push(sentence(&format!("{path}: {stop}"), &stop.help()));
            }
        }
        ReadOutcome {
            store,
            seen,
            inputs: self.inputs,
            spool: self.spool,
            failures,
            damaged_inputs,
            skipped_files: self.skipped_files,
            interrupted: self.interrupted,
        }
    }
}

/// What is wrong and what would help, in one line.
fn sentence(problem: &impl ToString, help: &str) -> String {
    let problem = problem.to_string();
    if help.is_empty() { problem } else { format!("{problem} ({help})") }
}
