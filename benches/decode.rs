//! How fast each format is decoded: bytes to records, on one thread, from memory. The reference in
//! the same group parses the same JSON lines into `serde_json::Value` and drops them.

#[path = "support/generator.rs"]
mod generator;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use generator::{Form, Recipe};
use tracemend::formats::framing::Splitter;
use tracemend::formats::{self, Block, Format, Limit, Limits, Origin, RejectReason, SpanSink};
use tracemend::model::{Repair, Span, TraceId};
use tracemend::store::ingest::WorkerStore;

const SPANS: usize = 20_000;

/// Keeps records and nothing else.
struct Records(WorkerStore);

impl SpanSink for Records {
    fn span(&mut self, span: &mut Span<'_>, origin: Origin<'_, '_>) {
        self.0.add(span, origin);
    }

    fn reject(&mut self, _position: u64, reason: RejectReason) {
        panic!("{reason:?}");
    }

    fn unreadable(&mut self, _position: u64, _bytes: u64, reason: &str) {
        panic!("{reason}");
    }

    fn limit(&mut self, _position: u64, limit: Limit) {
        panic!("{limit:?}");
    }

    fn repaired(&mut self, _repair: Repair) {}

    fn truncated_trace(&mut self, _trace_id: TraceId) {}
}

fn blocks(format: &dyn Format, bytes: &[u8], limits: &Limits) -> Vec<Block> {
    let mut splitter = Splitter::new(format.framing(), limits);
    let mut reader = bytes;
    std::iter::from_fn(|| splitter.next_block(&mut reader).expect("generated data has no limit")).collect()
}

fn decode(format: &dyn Format, blocks: &[Block], limits: &Limits) -> WorkerStore {
    let mut records = Records(WorkerStore::default());
    for block in blocks {
        records.0.begin(0, block);
        format.decode(block, limits, &mut records);
        records.0.end();
    }
    records.0
}

fn decoding(criterion: &mut Criterion) {
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(20);
    for form in Form::ALL {
        let (bytes, truth) = generator::bytes(form, &Recipe::of(SPANS));
        let format = formats::by_name(form.name()).expect("a format of this name");
        let blocks = blocks(format, &bytes, &limits);
        group.throughput(Throughput::ElementsAndBytes { elements: truth.spans, bytes: bytes.len() as u64 });
        group.bench_function(form.name(), |bencher| {
            bencher.iter_with_large_drop(|| decode(format, black_box(&blocks), &limits));
        });
        group.bench_function(format!("{}, cut into blocks", form.name()), |bencher| {
            bencher.iter_with_large_drop(|| self::blocks(format, black_box(&bytes), &limits));
        });
        if form == Form::OtlpJson {
            group.bench_function("reference: serde_json::Value", |bencher| {
                bencher.iter(|| values(black_box(&bytes)));
            });
        }
    }
    group.finish();
}

fn values(bytes: &[u8]) -> usize {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let values = lines.map(|line| {
        let value: serde_json::Value = serde_json::from_slice(line).expect("generated lines are JSON");
        black_box(value);
    });
    values.count()
}

criterion_group!(benches, decoding);
criterion_main!(benches);
