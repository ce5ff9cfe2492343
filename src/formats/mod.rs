//! WHAT the bytes mean. Decoding is sans-IO: a format gets blocks of decoded (uncompressed) bytes
//! that end at record borders, and hands every span to a [`SpanSink`].
//!
//! A format is one file and one line in [`ALL`]. It describes each span once, whole and borrowed
//! from the block; what becomes of it (a 64-byte record, or a whole span for a report) is the
//! sink's business.

mod clickhouse;
mod clickhouse_jaeger;
mod clickhouse_otel;
mod consoles;
mod data_prepper_json;
mod detect;
mod documents;
pub mod framing;
mod grafana_tempo_json;
mod jaeger_es_json;
mod jaeger_json;
mod jaeger_v3_json;
mod json;
mod noting;
mod otlp_json;
mod otlp_protobuf;
mod rows;
mod signoz;
mod table;
mod tempo_json;
pub mod whole;
mod zipkin_json;
mod zipkin_v1_json;

pub use detect::{Detection, Head, detect};

use crate::model::{Capabilities, Repair, Resource, Scope, Span, SpanId, TraceId};

/// All formats in the order in which detection asks them: the most particular first.
pub static ALL: &[&dyn Format] = &[
    &jaeger_json::JaegerJson,
    &jaeger_es_json::JaegerEsJson,
    &zipkin_json::ZipkinJson,
    &signoz::SignozTrace,
    &signoz::SignozWaterfall,
    &signoz::SignozRows,
    &signoz::SignozTable,
    &clickhouse_otel::ClickhouseRows,
    &clickhouse_otel::ClickhouseTable,
    &clickhouse_jaeger::JaegerRows,
    &clickhouse_jaeger::JaegerTable,
    &consoles::GoStdout,
    &consoles::PythonConsole,
    &zipkin_v1_json::ZipkinV1Json,
    &data_prepper_json::DataPrepperJson,
    &jaeger_v3_json::JaegerV3Json,
    &grafana_tempo_json::GrafanaTempoJson,
    &tempo_json::TempoJson,
    &otlp_json::OtlpJson,
    &otlp_protobuf::OtlpProtobufFrames,
    &otlp_protobuf::OtlpProtobuf,
    &otlp_protobuf::OtlpProtobufDelimited,
];

/// The format with this name.
pub fn by_name(name: &str) -> Option<&'static dyn Format> {
    ALL.iter().copied().find(|format| format.info().name == name)
}

/// What is known about a format before any byte is read.
#[derive(Debug)]
pub struct FormatInfo {
    /// The name for `--input-format`, kebab-case.
    pub name: &'static str,
    /// One line: what it is.
    pub title: &'static str,
    /// Where such files come from, one line.
    pub comes_from: &'static str,
    /// What it can tell at best.
    pub capabilities: Capabilities,
}

/// A data format.
pub trait Format: Sync {
    /// Name and capabilities.
    fn info(&self) -> &'static FormatInfo;

    /// Whether the first bytes of an input are this format. Looks at the bytes, never at file names.
    fn detect(&self, head: &Head<'_>) -> bool;

    /// How the byte stream is cut into blocks that can be decoded on their own.
    fn framing(&self) -> framing::Framing;

    /// Decodes one block. Never fails as a whole: what cannot be read is reported to the sink.
    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink);

    /// Decodes only the span that begins at this index of the block, without its sender; the block
    /// may end anywhere behind it. `false` when that is not possible: then a whole block is needed.
    fn decode_span(&self, _block: &Block, _index: usize, _limits: &Limits, _sink: &mut dyn SpanSink) -> bool {
        false
    }
}

/// A piece of an input that ends at a record border.
#[derive(Debug, Default)]
pub struct Block {
    /// The bytes to decode. May begin with a copy of the members of the enclosing JSON objects
    /// (the resource, the scope) and end with their closing brackets, when a document was cut inside.
    pub bytes: Vec<u8>,
    /// Position of the first own byte in the decoded bytes of the input.
    pub offset: u64,
    /// How many bytes at the beginning are such a copy.
    pub replayed: usize,
    /// How many bytes at the end are added closing brackets.
    pub closing: usize,
    /// How many lines were put right that a container runtime had changed, since the block before.
    /// What was read ahead is put right at once, so they may lie in the blocks behind. From here on
    /// the bytes are not those of the input.
    pub undone: u64,
}

impl Block {
    /// Where the byte at `index` stands in the decoded bytes of the input. The copy before the own
    /// bytes and the brackets behind them stand at no place of it: they count as the nearest own byte.
    pub fn position(&self, index: usize) -> u64 {
        self.offset + index.saturating_sub(self.replayed).min(self.own_len()) as u64
    }

    /// Bytes of the input that this block covers.
    pub fn own_len(&self) -> usize {
        self.bytes.len() - self.replayed - self.closing
    }

    /// Position after the last own byte.
    pub fn end(&self) -> u64 {
        self.offset + self.own_len() as u64
    }
}

/// Bounds against hostile or damaged input. Reaching one ends that input.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Deepest nesting of JSON containers or protobuf messages.
    pub max_depth: usize,
    /// Longest string in bytes.
    pub max_string: usize,
    /// Longest record (line, frame or element that cannot be split) in bytes.
    pub max_record: usize,
    /// Most bytes that one compressed input may become.
    pub max_decompressed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_depth: 128, max_string: 16 << 20, max_record: 256 << 20, max_decompressed: 64 << 30 }
    }
}

/// A bound that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// [`Limits::max_depth`]
    Depth,
    /// [`Limits::max_string`]
    String,
    /// [`Limits::max_record`]
    Record,
    /// [`Limits::max_decompressed`]
    Decompressed,
}

impl Limit {
    /// The flag that moves this bound.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Depth => "--max-depth",
            Self::String => "--max-string",
            Self::Record => "--max-record",
            Self::Decompressed => "--max-decompressed",
        }
    }

    /// What was exceeded, for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Depth => "nesting too deep",
            Self::String => "string too long",
            Self::Record => "record too long",
            Self::Decompressed => "too many bytes after decompression",
        }
    }
}

/// Why a span object that could be delimited is no span record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    /// A value in a list of spans that is no object.
    NotAnObject,
    /// An object without any of trace id, span id, name and times.
    NoSpanFields,
    /// A protobuf span message whose fields cannot be read.
    BadProtobuf,
    /// A row of a table with more or fewer cells than its header.
    ColumnCount,
}

impl RejectReason {
    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAnObject => "not-an-object",
            Self::NoSpanFields => "no-span-fields",
            Self::BadProtobuf => "bad-protobuf",
            Self::ColumnCount => "column-count",
        }
    }
}

/// Who sent a span.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'s, 'a> {
    /// Resource of the span.
    pub resource: &'s Resource<'a>,
    /// Instrumentation scope of the span.
    pub scope: &'s Scope<'a>,
    /// Within one block, equal serials mean equal resource and scope. Counts from 0 without gaps
    /// in the order of first use, so that a sink can keep a table.
    pub serial: usize,
}

/// Takes what a format decodes.
pub trait SpanSink {
    /// Whether a span at this position is looked at. Of the others a decoder may find the end only.
    fn wants(&self, _position: u64) -> bool {
        true
    }

    /// One span. The sink may take its parts.
    fn span(&mut self, span: &mut Span<'_>, origin: Origin<'_, '_>);

    /// A span object that could be delimited but is no span record.
    fn reject(&mut self, position: u64, reason: RejectReason);

    /// A stretch that could not be delimited into spans.
    fn unreadable(&mut self, position: u64, bytes: u64, reason: &str);

    /// A bound was reached at this position; the input ends here.
    fn limit(&mut self, position: u64, limit: Limit);

    /// Something was repaired.
    fn repaired(&mut self, repair: Repair);

    /// Not all of this trace was read: its source says that it cut it, or the input ends inside it.
    fn truncated_trace(&mut self, trace_id: TraceId);

    /// A row that the source made up in place of this span, which it does not have (kept out of every
    /// count but this one).
    fn invented_row(&mut self, _trace_id: TraceId, _span_id: SpanId) {}

    /// The source says that it answered only in part.
    fn partial(&mut self, _reason: &str) {}
}
