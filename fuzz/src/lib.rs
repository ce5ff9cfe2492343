//! What every fuzz target does with its bytes, and what has to hold of them.
//!
//! The targets read as the program does: a [`Splitter`] cuts blocks, a format decodes each, records
//! and whole spans are made of what it tells. The first bytes of an input of the fuzzer say how: which
//! format, how the stream is cut, within which limits.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use serde::de::IgnoredAny;
use tracemend::analysis::observe_span;
use tracemend::analyzers::observations::Observations;
use tracemend::formats::framing::{BLOCK_BYTES, Framing, SplitError, Splitter};
use tracemend::formats::whole::{WholeSpan, WholeSpans, write_otlp_json_lines};
use tracemend::formats::{
    self, Block, Detection, Format, Head, Limit, Limits, Origin, RejectReason, SpanSink,
};
use tracemend::model::ids::{IdText, read_span_id, read_trace_id};
use tracemend::model::{Malformed, Repair, Resource, Scope, Span, SpanField, TraceId};
use tracemend::sources::blocks::{BlockReader, Stop};
use tracemend::sources::{Input, InputKind, open_stream};
use tracemend::store::ingest::WorkerStore;

/// The formats of each target: those that share a decoder share a target.
pub static TARGETS: &[(&str, &[&str])] = &[
    ("consoles", &["go-stdout-json", "python-console-json"]),
    ("documents", &["jaeger-es-json", "data-prepper-json"]),
    ("jaeger_json", &["jaeger-json"]),
    ("otlp_json", &["otlp-json", "jaeger-v3-json", "tempo-json", "grafana-tempo-json"]),
    ("otlp_protobuf", &["otlp-protobuf", "otlp-protobuf-frames", "otlp-protobuf-delimited"]),
    (
        "rows",
        &[
            "signoz-rows",
            "signoz-trace",
            "signoz-waterfall",
            "clickhouse-otel-traces",
            "clickhouse-jaeger-spans",
        ],
    ),
    ("tables", &["signoz-table", "clickhouse-otel-traces-table", "clickhouse-jaeger-spans-table"]),
    ("zipkin", &["zipkin-json", "zipkin-v1-json"]),
];

/// Bytes before the input proper in what the decoder targets get.
pub const CONTROL_BYTES: usize = 3;

/// Bit of the first of them that puts the input into a frame, where the format has such.
pub const PACKED: u8 = 0x80;

/// Most spans that are decoded alone a run: each may take as long as the whole input.
const SPANS_ALONE: usize = 6;

/// How an input is read.
#[derive(Clone)]
struct Reading {
    format: &'static dyn Format,
    limits: Limits,
    /// Own bytes of a block, as a target.
    block_bytes: usize,
    /// Most bytes that one read gives.
    step: usize,
}

/// Reads the input as a format of this target.
pub fn decode(target: &str, data: &[u8]) {
    let Some((control, input)) = data.split_first_chunk::<CONTROL_BYTES>() else { return };
    let Some((_, formats)) = TARGETS.iter().find(|(name, _)| *name == target) else { return };
    let format = formats::by_name(formats[usize::from(control[0] & !PACKED) % formats.len()]);
    let Some(format) = format else { panic!("a target names a format that does not exist") };
    if control[0] & PACKED == 0 {
        return check(format, input, *control);
    }
    match packed(format, input) {
        Some(framed) => check(format, &framed, *control),
        None => check(format, input, *control),
    }
}

/// Tells the format of the input, and reads it as that.
pub fn detect(data: &[u8]) {
    let Some((control, input)) = data.split_first_chunk::<CONTROL_BYTES>() else { return };
    let head = Head::new(input);
    match formats::detect(&head) {
        Detection::Known(format) => {
            assert!(format.detect(&head));
            check(format, input, *control);
        }
        Detection::Other(message) | Detection::Unknown(message) => assert!(!message.is_empty()),
    }
}

/// The input with its length in front, compressed before where the format knows that. `None` for a
/// format without frames.
fn packed(format: &dyn Format, input: &[u8]) -> Option<Vec<u8>> {
    match format.framing() {
        Framing::LengthPrefixed => {
            let packed = zstd::encode_all(input, 1).ok()?;
            let length = u32::try_from(packed.len()).ok()?;
            Some([length.to_be_bytes().as_slice(), &packed].concat())
        }
        Framing::VarintPrefixed => Some([varint(input.len()).as_slice(), input].concat()),
        _ => None,
    }
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn limits(choice: u8) -> Limits {
    let small = Limits { max_depth: 12, max_string: 64, max_record: 2048, max_decompressed: 1 << 16 };
    match choice % 8 {
        0 => small,
        1 => Limits { max_depth: 4, ..Limits::default() },
        2 => Limits { max_string: 16, ..Limits::default() },
        3 => Limits { max_record: 200, ..Limits::default() },
        // A hostile input must not make the fuzzer itself run out of memory.
        _ => Limits { max_decompressed: 1 << 24, max_record: 1 << 24, ..Limits::default() },
    }
}

fn check(format: &'static dyn Format, input: &[u8], control: [u8; CONTROL_BYTES]) {
    let whole = Reading { format, limits: limits(control[1]), block_bytes: BLOCK_BYTES, step: usize::MAX };
    let block_bytes = [1, 5, 16, 64, 200, 1000][usize::from(control[2] & 0x0f) % 6];
    let step = [1, 3, 17, 100][usize::from(control[2] >> 4) % 4];
    let cut = Reading { block_bytes, step, ..whole.clone() };

    let (blocks, stop) = cut.blocks(input);
    check_blocks(&blocks, stop.as_ref(), input);
    let (same, _) = Reading { step: usize::MAX, ..cut.clone() }.blocks(input);
    assert!(blocks.iter().zip(&same).all(|(one, other)| is_same(one, other)), "reads change the blocks");
    assert_eq!(blocks.len(), same.len(), "reads change the blocks");

    let told = cut.decode(&blocks);
    let (one_block, one_stop) = whole.blocks(input);
    check_blocks(&one_block, one_stop.as_ref(), input);
    let told_whole = whole.decode(&one_block);
    if stop.is_none() && one_stop.is_none() && told_whole.is_clean() && is_sound(format, input) {
        same_spans(told_whole.whole.spans(), told.whole.spans());
    }
    cut.check_spans_alone(&blocks, told.whole.spans());
    if told_whole.is_clean() {
        check_round_trip(told_whole.whole.spans());
    }
    if let Some((position, _)) = told_whole.limit
        && one_stop.is_none()
    {
        whole.check_kept(&one_block, position, told_whole.whole.spans());
    }
}

/// Whether cuts may not change what is read. Where JSON is damaged, a line that begins like a value
/// ends the damage, and a cut may be made there.
fn is_sound(format: &dyn Format, input: &[u8]) -> bool {
    let Framing::Json(_) = format.framing() else { return true };
    serde_json::Deserializer::from_slice(input).into_iter::<IgnoredAny>().all(|value| value.is_ok())
}

/// Gives out at most `step` bytes at a time.
struct Slow<'a> {
    bytes: &'a [u8],
    step: usize,
}

impl Read for Slow<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.step.min(into.len()).min(self.bytes.len());
        into[..len].copy_from_slice(&self.bytes[..len]);
        self.bytes = &self.bytes[len..];
        Ok(len)
    }
}

impl Reading {
    fn blocks(&self, input: &[u8]) -> (Vec<Block>, Option<SplitError>) {
        let mut splitter = Splitter::with_block_bytes(self.format.framing(), &self.limits, self.block_bytes);
        let mut reader = Slow { bytes: input, step: self.step };
        let mut blocks = Vec::new();
        let stop = loop {
            match splitter.next_block(&mut reader) {
                Ok(Some(block)) => blocks.push(block),
                Ok(None) => break None,
                Err(stop) => break Some(stop),
            }
        };
        assert!(matches!(splitter.next_block(&mut reader), Ok(None)), "blocks after the end");
        (blocks, stop)
    }

    /// Decodes until a limit ends the input.
    fn decode(&self, blocks: &[Block]) -> Told {
        let mut told = Told::default();
        for block in blocks {
            told.begin(block);
            self.format.decode(block, &self.limits, &mut told);
            told.end(block);
            if told.limit.is_some() {
                break;
            }
        }
        told
    }

    /// A limit ends an input where it is met: the spans before are kept, but for the one that meets it.
    fn check_kept(&self, blocks: &[Block], limit: u64, kept: &[WholeSpan]) {
        let free = Self { limits: limits(u8::MAX), ..self.clone() };
        let all = free.decode(blocks);
        if !all.is_clean() {
            return;
        }
        let before: Vec<_> = all.whole.spans().iter().filter(|whole| whole.span.position < limit).collect();
        let least = before.len().saturating_sub(1);
        assert!(kept.len() >= least, "{} of {least} spans are kept before {limit}", kept.len());
        for (one, other) in before.into_iter().zip(kept) {
            // Their sender may stand behind the limit.
            assert_same(&one.span, &other.span);
        }
    }

    /// What is decoded alone is what the whole block gave.
    fn check_spans_alone(&self, blocks: &[Block], spans: &[WholeSpan]) {
        let mut by_position: BTreeMap<u64, Vec<&WholeSpan>> = BTreeMap::new();
        for span in spans {
            by_position.entry(span.span.position).or_default().push(span);
        }
        for (position, spans) in by_position.into_iter().take(SPANS_ALONE) {
            let Some(block) = blocks.iter().find(|block| (block.offset..block.end()).contains(&position))
            else {
                continue;
            };
            let index = (position - block.offset) as usize + block.replayed;
            let window = &block.bytes[index..block.bytes.len() - block.closing];
            let cut = &window[..window.len() * (position as usize % 5) / 4];
            for (bytes, index, offset) in
                [(block.bytes.clone(), index, block.offset), (cut.to_vec(), 0, position)]
            {
                let replayed = if index == 0 { 0 } else { block.replayed };
                let part = Block { bytes, offset, replayed, ..Block::default() };
                let mut alone = WholeSpans::default();
                if !self.format.decode_span(&part, index, &self.limits, &mut alone) {
                    assert!(alone.spans().is_empty(), "a span from a window that was too small");
                    continue;
                }
                let [span] = spans[..] else { panic!("several spans at {position}, and one decoded alone") };
                let [alone] = alone.spans() else {
                    panic!("{} spans at {position} instead of one", alone.spans().len())
                };
                assert_same(&span.span, &alone.span);
            }
        }
    }
}

fn is_same(one: &Block, other: &Block) -> bool {
    one.bytes == other.bytes
        && (one.offset, one.replayed, one.closing) == (other.offset, other.replayed, other.closing)
}

/// The own bytes of the blocks are the input without gap or overlap, but for the commas at cuts. From
/// the first line on that a container runtime changed, they are its text in place: some of it is left
/// out, and nothing but blanks is added.
fn check_blocks(blocks: &[Block], stop: Option<&SplitError>, input: &[u8]) {
    let mut at = 0;
    let mut is_put_right = false;
    let mut text = input.iter();
    for block in blocks {
        assert_eq!(block.offset, at as u64);
        let own = &block.bytes[block.replayed..block.bytes.len() - block.closing];
        assert!(!own.is_empty());
        let same = own
            .iter()
            .zip(&input[at..])
            .all(|(own, input)| own == input || (block.replayed > 0 && *own == b' ' && *input == b','));
        is_put_right |= block.undone > 0;
        assert!(same || is_put_right, "bytes changed in the block at {at}");
        let is_text = own.iter().all(|own| *own == b' ' || text.any(|input| input == own));
        assert!(is_text, "bytes added to the block at {at}");
        at += own.len();
        assert_eq!(block.end(), at as u64);
    }
    let decoded: usize = blocks.iter().map(|block| block.bytes.len()).sum();
    assert!(decoded <= 64 * input.len() + 4096, "{decoded} bytes to decode of {}", input.len());
    match stop {
        None => assert_eq!(at, input.len(), "bytes lost without a word"),
        Some(SplitError::Limit { position, .. }) => assert!(*position <= at as u64),
        Some(SplitError::Io { .. }) => panic!("nothing failed"),
    }
}

/// Everything that a format told about the blocks of one input.
#[derive(Default)]
struct Told {
    whole: WholeSpans,
    store: WorkerStore,
    seen: Option<Observations>,
    /// Of the current block, at the index of the serial.
    senders: Vec<(Resource<'static>, Scope<'static>)>,
    /// First and last position of the current block.
    range: (u64, u64),
    spans: u64,
    rejects: u64,
    unreadable: u64,
    damaged: bool,
    limit: Option<(u64, Limit)>,
}

impl Told {
    fn begin(&mut self, block: &Block) {
        self.senders.clear();
        self.store.begin(0, block);
        self.range = (block.offset, block.end());
        (self.spans, self.rejects, self.unreadable) = (0, 0, 0);
    }

    fn end(&mut self, block: &Block) {
        assert_eq!(self.store.facts().spans, self.spans);
        // The shortest span of any format is one byte with a comma behind it.
        let own = block.own_len() as u64;
        assert!(self.unreadable <= own, "{} of {own} bytes unreadable", self.unreadable);
        self.store.end();
    }

    /// Whether every byte was understood.
    fn is_clean(&self) -> bool {
        !self.damaged && self.limit.is_none()
    }

    fn inside(&self, position: u64, bytes: u64) {
        let (start, end) = self.range;
        let is_inside = start <= position && position + bytes <= end;
        assert!(is_inside, "{position} + {bytes} is not in the block {start}..{end}");
        assert!(self.limit.is_none(), "more is told behind a limit");
    }
}

impl SpanSink for Told {
    fn span(&mut self, span: &mut Span<'_>, origin: Origin<'_, '_>) {
        self.inside(span.position, 0);
        self.spans += 1;
        if let Some((resource, scope)) = self.senders.get(origin.serial) {
            let is_same = is_equal(resource, origin.resource) && is_equal(scope, origin.scope);
            assert!(is_same, "a serial is used again");
        } else {
            assert_eq!(origin.serial, self.senders.len(), "serials have gaps");
            self.senders.push((origin.resource.clone().into_owned(), origin.scope.clone().into_owned()));
        }
        let added = self.store.add(span, origin);
        let seen = self.seen.get_or_insert_with(|| Observations::new(4));
        observe_span(span, origin.resource, added, seen);
        self.whole.span(span, origin);
    }

    fn reject(&mut self, position: u64, reason: RejectReason) {
        self.inside(position, 0);
        self.rejects += 1;
        self.damaged = true;
        self.store.facts().reject(position, reason);
    }

    fn unreadable(&mut self, position: u64, bytes: u64, reason: &str) {
        self.inside(position, bytes);
        assert!(!reason.is_empty());
        self.unreadable += bytes;
        self.damaged = true;
    }

    fn limit(&mut self, position: u64, limit: Limit) {
        self.inside(position, 0);
        self.limit = Some((position, limit));
    }

    fn repaired(&mut self, _repair: Repair) {}

    fn truncated_trace(&mut self, _trace_id: TraceId) {}

    fn partial(&mut self, reason: &str) {
        assert!(!reason.is_empty());
    }
}

/// Equal, where a number that is none equals itself.
fn is_equal<T: PartialEq + std::fmt::Debug>(one: &T, other: &T) -> bool {
    one == other || format!("{one:?}") == format!("{other:?}")
}

fn assert_same<T: PartialEq + std::fmt::Debug>(one: &T, other: &T) {
    assert!(is_equal(one, other), "{one:#?}\nis not\n{other:#?}");
}

fn same_spans(one: &[WholeSpan], other: &[WholeSpan]) {
    for (one, other) in one.iter().zip(other) {
        assert_same(one, other);
    }
    assert_eq!(one.len(), other.len(), "cuts change the number of spans");
}

/// A span that was read whole can be written and read again.
fn check_round_trip(spans: &[WholeSpan]) {
    let mut lines = Vec::new();
    assert!(write_otlp_json_lines(spans, &mut lines).is_ok(), "spans cannot be written");
    let Some(format) = formats::by_name("otlp-json") else { return };
    // Values nest deeper in OTLP than where they come from.
    let limits = Limits { max_depth: 1024, ..Limits::default() };
    let reading = Reading { format, limits, block_bytes: BLOCK_BYTES, step: usize::MAX };
    let (blocks, _) = reading.blocks(&lines);
    let again = reading.decode(&blocks);
    assert!(again.is_clean(), "what was written cannot be read");
    assert_eq!(spans.len(), again.whole.spans().len());
    for (one, other) in spans.iter().zip(again.whole.spans()) {
        if !names_a_field_twice(&one.span) {
            assert_same(&comparable(one), &comparable(other));
        }
    }
}

/// Whether a source gave a field twice, once malformed: there is one place for it in OTLP.
fn names_a_field_twice(span: &Span<'_>) -> bool {
    let mut fields: Vec<SpanField> = span.malformed.iter().map(|malformed| malformed.field).collect();
    fields.sort_unstable();
    fields.windows(2).any(|pair| pair[0] == pair[1])
        || span.malformed.iter().any(|malformed| has_another_value(span, malformed))
}

fn has_another_value(span: &Span<'_>, malformed: &Malformed<'_>) -> bool {
    let text = malformed.text.as_bytes();
    match malformed.field {
        SpanField::TraceId => id(read_trace_id(text)).unwrap_or_default() != span.trace_id,
        SpanField::SpanId => id(read_span_id(text)).unwrap_or_default() != span.span_id,
        SpanField::ParentSpanId => id(read_span_id(text)) != span.parent_span_id,
        SpanField::StartTime => span.start_ns.is_some(),
        SpanField::EndTime => span.end_ns.is_some(),
        SpanField::Name => !span.name.is_empty(),
    }
}

fn id<T>(read: IdText<T>) -> Option<T> {
    match read {
        IdText::Valid(id, _) | IdText::Invalid(id) => Some(id),
        IdText::Absent => None,
    }
}

/// Without what OTLP has no field for.
fn comparable(whole: &WholeSpan) -> WholeSpan {
    let mut whole = whole.clone();
    let span = &mut whole.span;
    span.position = 0;
    if let Some(is_remote) = span.parent_is_remote {
        // OTLP has it in the flags, and nowhere else.
        let remote = if is_remote { 0x300 } else { 0x100 };
        span.flags = Some(span.flags.unwrap_or_default() & !0x300 | remote);
    }
    span.warnings.clear();
    span.shared = false;
    span.attributes.retain(|attribute| !attribute.key.starts_with('@'));
    for malformed in &mut span.malformed {
        // Nobody must take what was no time for one, so such a text is not written.
        if matches!(malformed.field, SpanField::StartTime | SpanField::EndTime) {
            malformed.text = "".into();
        }
    }
    span.malformed.sort_by_key(|malformed| malformed.field);
    whole
}

/// Reads a compressed input: as it comes, or one that is compressed here and damaged then.
pub fn compressed(data: &[u8]) {
    let Some(([control, cut @ .., flip, bit], input)) = data.split_first_chunk::<5>() else { return };
    let cut = usize::from(u16::from_le_bytes(*cut));
    let limits = Limits { max_decompressed: 1 << (control >> 4), ..limits(control >> 1) };
    let packed = match control & 3 {
        0 => gzip(input),
        1 => zstd::encode_all(input, 1),
        _ => return read_compressed(input, &limits, None),
    };
    let Ok(mut packed) = packed else { return };
    let is_cut = cut < packed.len();
    packed.truncate(cut.max(4));
    let at = 4 + usize::from(*flip);
    let is_flipped = control & 8 > 0 && at < packed.len();
    if is_flipped {
        packed[at] ^= 1 << (bit & 7);
    }
    read_compressed(&packed, &limits, (!is_flipped).then_some((input, is_cut)));
}

fn gzip(input: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(input)?;
    encoder.finish()
}

/// `known` is what was compressed, and whether the end is missing.
fn read_compressed(stored: &[u8], limits: &Limits, known: Option<(&[u8], bool)>) {
    let input = Input { path: "stored".to_owned(), kind: InputKind::Stdin, named: true };
    let stream = Slow { bytes: stored, step: 1000 };
    let Ok(opened) = open_stream(&input, Box::new(stream), limits) else { return };
    let Detection::Known(format) = formats::detect(&Head::new(&opened.head)) else { return };
    let is_compressed = opened.compression.is_some();
    let mut reader = BlockReader::new(opened, format.framing(), limits);
    let mut blocks = Vec::new();
    let stop = loop {
        match reader.next_block() {
            Ok(Some(block)) => blocks.push(block),
            Ok(None) => break None,
            Err(stop) => break Some(stop),
        }
    };
    let bytes = reader.index().end;
    assert!(!is_compressed || bytes <= limits.max_decompressed);
    let reading = Reading { format, limits: limits.clone(), block_bytes: BLOCK_BYTES, step: usize::MAX };
    reading.decode(&blocks);
    let Some((input, is_cut)) = known else { return };
    assert!(bytes as usize <= input.len());
    check_blocks(&blocks, None, &input[..bytes as usize]);
    match stop {
        None => assert!(bytes as usize == input.len(), "an end is missing, and nobody says so"),
        Some(Stop::Damaged { .. }) => assert!(is_cut, "a whole stream is called damaged"),
        Some(Stop::Limit { .. }) => {}
        Some(Stop::Io { .. }) => panic!("nothing failed"),
    }
}
