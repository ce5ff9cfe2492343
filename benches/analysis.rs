//! What comes behind decoding: merging and sorting, the flat pass, and a whole run over a file,
//! with a pass of `serde_json::Value` over the same file as the reference.

#[path = "support/generator.rs"]
mod generator;

use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use generator::{Form, Recipe};
use tracemend::config::Settings;
use tracemend::formats::{self, Block, Limit, Limits, Origin, RejectReason, SpanSink};
use tracemend::model::{Repair, Span, TraceId};
use tracemend::pipeline::{self, Session};
use tracemend::progress::NoProgress;
use tracemend::sources;
use tracemend::store::Store;
use tracemend::store::ingest::WorkerStore;
use tracemend::trace::{FlatPass, Scope, TraceCounts};

const SPANS: usize = 50_000;

struct Records(WorkerStore);

impl SpanSink for Records {
    fn span(&mut self, span: &mut Span<'_>, origin: Origin<'_, '_>) {
        self.0.add(span, origin);
    }

    fn reject(&mut self, _position: u64, _reason: RejectReason) {}

    fn unreadable(&mut self, _position: u64, _bytes: u64, _reason: &str) {}

    fn limit(&mut self, _position: u64, _limit: Limit) {}

    fn repaired(&mut self, _repair: Repair) {}

    fn truncated_trace(&mut self, _trace_id: TraceId) {}
}

fn decoded(bytes: &[u8]) -> WorkerStore {
    let block = Block { bytes: bytes.to_vec(), ..Block::default() };
    let mut records = Records(WorkerStore::default());
    records.0.begin(0, &block);
    let format = formats::by_name(Form::OtlpProtobuf.name()).expect("a format of this name");
    format.decode(&block, &Limits::default(), &mut records);
    records.0.end();
    records.0
}

fn flat_pass(store: &Store) -> TraceCounts {
    let (mut pass, mut counts) = (FlatPass::default(), TraceCounts::default());
    let scope = Scope::default();
    for partition in &store.partitions {
        for records in partition.traces() {
            if let Some(trace) = pass.run(&store.names, partition, records, &scope) {
                counts += trace.counts;
            }
        }
    }
    counts
}

fn analysing(criterion: &mut Criterion) {
    let (bytes, truth) = generator::bytes(Form::OtlpProtobuf, &Recipe::of(SPANS));
    let mut group = criterion.benchmark_group("analysis");
    group.sample_size(20);
    group.throughput(Throughput::Elements(truth.spans));
    group.bench_function("merge and sort", |bencher| {
        bencher.iter_batched(
            || decoded(&bytes),
            |worker| Store::merge(vec![worker], 1, &[]),
            BatchSize::LargeInput,
        );
    });
    let (store, _) = Store::merge(vec![decoded(&bytes)], 1, &[]);
    group.bench_function("flat pass", |bencher| bencher.iter(|| flat_pass(black_box(&store))));
    group.finish();
}

fn whole_run(path: &Path) {
    let inputs = sources::expand(&[path.to_string_lossy().into_owned()]);
    let session = Session { progress: &NoProgress, interrupted: &AtomicBool::new(false) };
    black_box(pipeline::run(inputs, &Settings::default(), session));
}

fn values(path: &Path) {
    for line in std::fs::read(path).expect("the file was just written").split(|byte| *byte == b'\n') {
        black_box(serde_json::from_slice::<serde_json::Value>(line).ok());
    }
}

fn end_to_end(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("end to end");
    group.sample_size(10);
    for form in Form::ALL {
        let (bytes, truth) = generator::bytes(form, &Recipe::of(SPANS));
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(&bytes).expect("room for it");
        group.throughput(Throughput::ElementsAndBytes { elements: truth.spans, bytes: bytes.len() as u64 });
        group.bench_function(form.name(), |bencher| bencher.iter(|| whole_run(file.path())));
        if form == Form::OtlpJson {
            group.bench_function("reference: serde_json::Value", |bencher| {
                bencher.iter(|| values(file.path()));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, analysing, end_to_end);
criterion_main!(benches);
