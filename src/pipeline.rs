//! From settings to report: reads the inputs, analyses, judges, composes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::thread;

use crate::analysis::{self, Analysis};
use crate::analyzers::InputAbility;
use crate::compose::{self, Lines, ReadingsOfRun};
use crate::config::{Filter, Occurrences, Settings};
use crate::exemplars;
use crate::exit::Exit;
use crate::formats::whole::{self, WholeSpan, WholeSpans};
use crate::formats::{self, Block};
use crate::model::{SpanId, TraceId};
use crate::progress::Progress;
use crate::read::{self, ReadInput, ReadOptions};
use crate::relink::{Proposals, joined, writer};
use crate::report::{Reason, Report, Verdict};
use crate::shown::{self, Drawn, ShowOutcome};
use crate::sources::lines::line_numbers;
use crate::sources::reread::{Wanted, reread, reread_from};
use crate::sources::spool::Spool;
use crate::sources::{Expanded, Input, InputKind};
use crate::store::Store;
use crate::trace::Scope;

pub use crate::relink::writer::{RelinkError, Relinked};

/// What accompanies a run: who listens, and who may end it.
#[derive(Clone, Copy)]
pub struct Session<'s> {
    /// Listens to the progress.
    pub progress: &'s dyn Progress,
    /// Set from outside to end the reading early; what was read is reported.
    pub interrupted: &'s AtomicBool,
}

/// Bytes that are part of the program, as an input.
pub fn memory_input(path: &str, bytes: &'static [u8]) -> Expanded {
    let input = Input { path: path.to_owned(), kind: InputKind::Memory(bytes), named: true };
    Expanded { inputs: vec![input], failures: Vec::new(), skipped_files: 0 }
}

/// Reads the inputs, analyses them and composes the report.
pub fn run(inputs: Expanded, settings: &Settings, session: Session<'_>) -> Report {
    on_threads(settings, || examine(inputs, settings, settings.occurrences, session).report(settings))
}

/// The same, and writes every trace in which a finding is seen, whole, with the proposed parents as span
/// links. What goes wrong with that makes the verdict an error.
pub fn run_and_relink(
    inputs: Expanded,
    settings: &Settings,
    session: Session<'_>,
    out: &mut (dyn Write + Send),
) -> (Report, Result<Relinked, RelinkError>) {
    on_threads(settings, || {
        // The report lists what it lists anyway; here every affected span is needed.
        let mut examined = examine(inputs, settings, Occurrences::All, session);
        let mut report = examined.report(settings);
        let Examined { analysis, inputs, spool, .. } = &mut examined;
        let relinked = writer::write(analysis, inputs, spool, &settings.limits, out);
        if let Err(error) = &relinked {
            let message = format!("what --relink writes {error}");
            report.reasons.push(Reason { code: RELINK_FAILED.to_owned(), message });
            report.verdict = Verdict::Error;
            if report.exit_code != Exit::Interrupted.code() {
                report.exit_code = Exit::Error.code();
            }
        }
        (report, relinked)
    })
}

/// Code of the reason that traces could not be written.
pub const RELINK_FAILED: &str = "relink-failed";

/// Finds one trace by the beginning of its id, or by its low 64 bits. Also says which named inputs
/// could not be read.
pub fn show(
    prefix: &str,
    inputs: Expanded,
    settings: &Settings,
    session: Session<'_>,
    drawn: Drawn,
) -> (ShowOutcome, Vec<String>) {
    on_threads(settings, || show_here(prefix, inputs, settings, session, drawn))
}

fn show_here(
    prefix: &str,
    inputs: Expanded,
    settings: &Settings,
    session: Session<'_>,
    drawn: Drawn,
) -> (ShowOutcome, Vec<String>) {
    // Every affected span is kept: any of them may be in the trace that is wanted.
    let mut examined = examine(inputs, settings, Occurrences::All, session);
    let failures = std::mem::take(&mut examined.failures);
    let found = match shown::find(prefix, &examined.analysis.store) {
        Ok(found) => found,
        Err(outcome) => return (outcome, failures),
    };
    let findings = std::mem::take(&mut examined.analysis.findings);
    let proposals = match drawn {
        Drawn::Relinked => Proposals::of(&findings),
        Drawn::AsExported => Proposals::default(),
    };
    let connected = joined::connected(found, &proposals, &examined.analysis.store);
    let store = &examined.analysis.store;
    let records = connected.traces.iter().filter_map(|trace_id| store.trace(*trace_id));
    let records = records.flat_map(|(_, records)| records);
    let wanted = records.map(|record| (record.trace_id(), record.span_id())).collect();
    let (whole, _) = examined.read_whole(&wanted, Senders::Needed, settings);
    (shown::show(&connected, &proposals, &findings, &examined.analysis, &whole), failures)
}

/// Inputs that were read and analysed.
struct Examined {
    analysis: Analysis,
    inputs: Vec<ReadInput>,
    spool: Spool,
    failures: Vec<String>,
    damaged_inputs: u64,
    skipped_files: u64,
    interrupted: bool,
}

fn threads(settings: &Settings) -> usize {
    settings.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

/// Runs everything on one of as many threads as the settings say: what one step frees the next
/// step can only use on the same thread.
fn on_threads<T: Send>(settings: &Settings, work: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(threads(settings)).build() {
        Ok(pool) => pool.install(work),
        // Without threads of its own the analysis runs on the caller's.
        Err(_) => work(),
    }
}

fn examine(
    inputs: Expanded,
    settings: &Settings,
    occurrences: Occurrences,
    session: Session<'_>,
) -> Examined {
    let capacity = match occurrences {
        Occurrences::First(count) => count.max(compose::SAMPLE),
        Occurrences::All => usize::MAX,
    };
    let options = ReadOptions {
        format: settings.input_format.as_deref().and_then(formats::by_name),
        limits: &settings.limits,
        threads: threads(settings),
        capacity,
        spool_limit: settings.spool_limit,
        progress: session.progress,
        interrupted: session.interrupted,
    };
    let read = read::read(inputs, options);
    let scope = scope(&settings.filter, &read.store);
    let abilities: Vec<InputAbility> = read.inputs.iter().map(ability).collect();
    let analysis = analysis::analyse(read.store, &scope, read.seen, &abilities);
    Examined {
        analysis,
        inputs: read.inputs,
        spool: read.spool,
        failures: read.failures,
        damaged_inputs: read.damaged_inputs,
        skipped_files: read.skipped_files,
        interrupted: read.interrupted,
    }
}

fn ability(read: &ReadInput) -> InputAbility {
    InputAbility { format: read.format.info().name, capabilities: read.capabilities, horizon: read.horizon }
}

/// Whether the resources and scopes of whole spans are wanted as well. They may stand far away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Senders {
    Needed,
    NotNeeded,
}

/// Whole spans by trace and span.
type Whole = BTreeMap<(TraceId, SpanId), WholeSpan>;

impl Examined {
    fn report(&mut self, settings: &Settings) -> Report {
        let wanted = exemplars::wanted_whole(&self.analysis);
        let (whole, not_kept) = self.read_whole(&wanted, Senders::NotNeeded, settings);
        let lines = self.lines();
        let readings = ReadingsOfRun {
            inputs: &self.inputs,
            failures: std::mem::take(&mut self.failures),
            damaged_inputs: self.damaged_inputs,
            skipped_files: self.skipped_files,
            interrupted: self.interrupted,
            attributes_not_kept: not_kept,
            lines,
        };
        compose::report(&self.analysis, readings, settings, &whole)
    }

    /// Reads spans a second time, whole. Also says of which inputs that was not possible.
    fn read_whole(
        &mut self,
        wanted: &BTreeSet<(TraceId, SpanId)>,
        senders: Senders,
        settings: &Settings,
    ) -> (Whole, Vec<String>) {
        let mut positions: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for (trace_id, span_id) in wanted {
            let Some((_, records)) = self.analysis.store.trace(*trace_id) else { continue };
            let first = records.partition_point(|record| record.span_id() < *span_id);
            let copies = records[first..].iter().take_while(|record| record.span_id() == *span_id);
            // One copy is shown, the first of an input; there may be any number.
            let mut first_of: BTreeMap<usize, u64> = BTreeMap::new();
            for record in copies {
                let first = first_of.entry(record.input()).or_insert(u64::MAX);
                *first = record.position().min(*first);
            }
            for (input, position) in first_of {
                positions.entry(input).or_default().push(position);
            }
        }
        let (mut spans, mut not_kept) = (Whole::new(), Vec::new());
        for (number, mut positions) in positions {
            positions.sort_unstable();
            positions.dedup();
            if let Err(problem) = self.read_input_again(number, &positions, senders, settings, &mut spans) {
                not_kept.push(format!("{}: {problem}", self.inputs[number].input.path));
            }
        }
        (spans, not_kept)
    }

    /// Line numbers of what could not be read, where an editor would show the same.
    fn lines(&self) -> Lines {
        let accounting = &self.analysis.store.accounting;
        let rejects = accounting.rejects.values().flat_map(|(places, _)| places.iter().copied());
        let unreadable = accounting.unreadable.iter().map(|(input, offset, ..)| (*input, *offset));
        let mut offsets: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
        for (input, offset) in rejects.chain(unreadable) {
            offsets.entry(input).or_default().insert(offset);
        }
        let mut lines = Lines::new();
        for (number, offsets) in offsets {
            let read = &self.inputs[number];
            if !read.repeatable || read.compression.is_some() || !read.format.framing().is_text() {
                continue;
            }
            let offsets: Vec<u64> = offsets.into_iter().collect();
            // Without line numbers the offsets have to do.
            let numbers = line_numbers(&read.input, &offsets).unwrap_or_default();
            lines.extend(offsets.into_iter().map(|offset| (number, offset)).zip(numbers));
        }
        lines
    }

    fn read_input_again(
        &mut self,
        number: usize,
        positions: &[u64],
        senders: Senders,
        settings: &Settings,
        spans: &mut Whole,
    ) -> Result<(), String> {
        let read = &self.inputs[number];
        let wanted = Wanted {
            input: &read.input,
            number,
            index: &read.index,
            framing: read.format.framing(),
            compression: read.compression,
            repeatable: read.repeatable,
            positions,
        };
        let mut sink = WholeSpans::new(whole::Wanted::at(positions.to_vec()));
        let alone = |block: &Block, index: usize, sink: &mut WholeSpans| {
            senders == Senders::NotNeeded && read.format.decode_span(block, index, &settings.limits, sink)
        };
        let outcome = match reread_from(&wanted, &mut |block| alone(block, 0, &mut sink)) {
            Ok(false) => reread(&wanted, &mut self.spool, &settings.limits, &mut |block| {
                if !block_spans(&block, positions).all(|index| alone(&block, index, &mut sink)) {
                    read.format.decode(&block, &settings.limits, &mut sink);
                }
            }),
            done => done.map(drop),
        };
        for whole in sink.into_spans() {
            spans.entry((whole.span.trace_id, whole.span.span_id)).or_insert(whole);
        }
        outcome.map_err(|error| error.to_string())?;
        match self.spool.loss(number) {
            Some(loss) if !read.repeatable => Err(format!("{loss} ({})", loss.help())),
            _ => Ok(()),
        }
    }
}

/// Where in the block the spans at these sorted positions begin.
fn block_spans(block: &Block, positions: &[u64]) -> impl Iterator<Item = usize> {
    let first = positions.partition_point(|position| *position < block.offset);
    let inside = positions[first..].iter().take_while(|position| **position < block.end());
    inside.map(|position| (position - block.offset) as usize + block.replayed)
}

/// What the filter flags mean for these records.
fn scope(filter: &Filter, store: &Store) -> Scope {
    let names = &store.names;
    let services = (!filter.services.is_empty()).then(|| {
        let is_wanted = |service: &crate::store::intern::Service| {
            filter.services.iter().any(|wanted| {
                **wanted == *service.name
                    || wanted
                        .split_once('/')
                        .is_some_and(|(space, name)| *space == *service.namespace && *name == *service.name)
            })
        };
        names.services.iter().map(is_wanted).collect()
    });
    let resources = (!filter.environments.is_empty()).then(|| {
        let is_wanted = |resource: &crate::store::intern::ResourceInfo| {
            filter.environments.iter().any(|wanted| **wanted == *resource.environment)
        };
        names.resources.iter().map(is_wanted).collect()
    });
    let trace_ids = (!filter.trace_ids.is_empty()).then(|| {
        let wanted: Vec<String> = filter.trace_ids.iter().map(|text| text.to_ascii_lowercase()).collect();
        let is_wanted = |id: &TraceId| wanted.iter().any(|prefix| shown::matches(prefix, *id));
        let mut ids: Vec<TraceId> = store.trace_ids().filter(is_wanted).collect();
        ids.sort_unstable();
        ids
    });
    let newest = store.accounting.inputs.iter().filter_map(|input| input.last_ns).max();
    let since = filter.since_ns.and_then(|length| Some(newest?.saturating_sub(length)));
    Scope { services, resources, trace_ids, from_ns: filter.from_ns.or(since), to_ns: filter.to_ns }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::NoProgress;

    static GOES_ON: AtomicBool = AtomicBool::new(false);

    fn report(bytes: &[u8]) -> Report {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let inputs = crate::sources::expand(&[file.path().display().to_string()]);
        run(inputs, &Settings::default(), Session { progress: &NoProgress, interrupted: &GOES_ON })
    }

    fn jaeger(id: char, parent: &str) -> String {
        let id = id.to_string().repeat(32);
        format!(
            r#"{{"traceID":"{id}","spans":[{{"traceID":"{id}","spanID":"b2","operationName":"op","startTime":1767225600000000,"duration":7,"references":[{parent}],"processID":"p1"}}],"processes":{{"p1":{{"serviceName":"shop"}}}}}}"#
        )
    }

    #[test]
    fn a_trace_that_the_input_cuts_is_not_judged() {
        let parent = format!(r#"{{"refType":"CHILD_OF","traceID":"{}","spanID":"99"}}"#, "b".repeat(32));
        let (whole, orphan) = (jaeger('a', ""), jaeger('b', &parent));
        let found = report(format!(r#"{{"data":[{whole},{orphan}]}}"#).as_bytes());
        assert_eq!((found.summary.orphan_spans, found.coverage.not_judged.truncated_traces), (1, 0));
        assert!(!found.findings.is_empty());

        let cut = &orphan[..orphan.len() - 9];
        let found = report(format!(r#"{{"data":[{whole},{cut}"#).as_bytes());
        assert_eq!(found.coverage.not_judged.truncated_traces, 1);
        assert!(found.findings.is_empty(), "{:?}", found.findings);
        assert_eq!(found.verdict, Verdict::Inconclusive);
    }

    #[test]
    fn what_cannot_be_read_has_a_line_where_an_editor_shows_one() {
        let line = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"1","name":"x"}]}]}]}"#;
        let text = format!(
            "{line}\n{}\n\n{{\"resourceSpans\":[{{\"cut\n",
            line.replace("[{\"traceId", "[7,{\"traceId")
        );
        let places = |report: &Report| {
            assert_eq!((report.coverage.rejects.len(), report.coverage.unreadable.len()), (1, 1));
            (report.coverage.rejects[0].line, report.coverage.unreadable[0].line)
        };
        assert_eq!(places(&report(text.as_bytes())), (Some(2), Some(4)));
        let packed = zstd::stream::encode_all(text.as_bytes(), 1).unwrap();
        assert_eq!(places(&report(&packed)), (None, None));
        let cut = report(&[0x0a, 0x06, 0x12, 0x04, 0x12, 0x02, 0x0a, 0x7f]);
        assert!(cut.coverage.rejects.iter().all(|reject| reject.line.is_none()), "{:?}", cut.coverage);
    }

    #[test]
    fn an_answer_in_part_is_told_and_not_taken_for_all() {
        let errors = r#"[{"code":404,"msg":"trace not found","traceID":"99"}]"#;
        let found = report(format!(r#"{{"data":[{}],"errors":{errors}}}"#, jaeger('a', "")).as_bytes());
        assert_eq!(found.coverage.partial_sources[0].reason, "trace 99: trace not found");
        assert_eq!(found.verdict, Verdict::Inconclusive);
        assert!(found.reasons[0].message.contains("trace 99: trace not found"));
    }

    #[test]
    fn the_format_is_asked_for_only_where_nothing_was_recognised() {
        let failure = |bytes: &[u8]| report(bytes).reasons[0].message.clone();
        assert!(failure(b"{\"a\":1}").contains("--input-format"));
        for bytes in [&b""[..], b"{\"resourceLogs\":[]}", b"\x89PNG\r\n\x1a\n"] {
            assert!(!failure(bytes).contains("--input-format"));
        }
    }
}
