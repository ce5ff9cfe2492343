//! OTLP as protobuf: one `TracesData` message (wire-identical to an export request), frames with a
//! 4-byte big-endian length in front as the Collector's file exporter writes them, or messages with a
//! varint length in front as the protobuf libraries write them. The payload of a frame is protobuf,
//! JSON, or one zstd blob of either.
//!
//! The wire format is read by hand: every span needs its position, and one damaged span must not
//! cost the others. Field numbers: opentelemetry-proto, `trace/v1/trace.proto`, `common.proto`,
//! `resource.proto`. Field 2 of `ResourceSpans` was `instrumentation_library_spans` once, with the
//! same layout.

use std::borrow::Cow;
use std::io::Read as _;

use xxhash_rust::xxh3::xxh3_128;

use super::framing::{Framing, Varint, varint};
use super::otlp_json::{OTLP_CAPABILITIES, OtlpJson, parent_is_remote};
use super::{Block, Format, FormatInfo, Head, Limit, Limits, Origin, RejectReason, SpanSink};
use crate::model::ids::{IdText, read_span_id, read_trace_id};
use crate::model::{
    Attribute, Event, Link, Malformed, Repair, Resource, Scope, Span, SpanField, SpanId, SpanKind,
    StatusCode, TraceId, Value,
};

/// OTLP in protobuf, one message.
pub(super) struct OtlpProtobuf;

/// OTLP in frames.
pub(super) struct OtlpProtobufFrames;

/// OTLP in protobuf, messages with varint lengths in front.
pub(super) struct OtlpProtobufDelimited;

static INFO: FormatInfo = FormatInfo {
    name: "otlp-protobuf",
    title: "OTLP protobuf: one TracesData or export request",
    comes_from: "OTLP/HTTP request bodies, tools that store TracesData",
    capabilities: OTLP_CAPABILITIES,
};

static FRAMES_INFO: FormatInfo = FormatInfo {
    name: "otlp-protobuf-frames",
    title: "OTLP in length-prefixed frames of protobuf, JSON, or zstd of either",
    comes_from: "Collector file exporter with `format: proto` or `compression: zstd`",
    capabilities: OTLP_CAPABILITIES,
};

static DELIMITED_INFO: FormatInfo = FormatInfo {
    name: "otlp-protobuf-delimited",
    title: "OTLP protobuf: TracesData messages with varint lengths in front",
    comes_from: "programs that use writeDelimitedTo or serialize_length_prefixed of the protobuf libraries",
    capabilities: OTLP_CAPABILITIES,
};

impl Format for OtlpProtobuf {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        head.is_protobuf_traces()
    }

    fn framing(&self) -> Framing {
        Framing::ProtobufFields
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        decode_message(&block.bytes, Place::In(block), limits, sink);
    }

    fn decode_span(&self, block: &Block, index: usize, limits: &Limits, sink: &mut dyn SpanSink) -> bool {
        decode_span_field(block, index, limits, sink)
    }
}

impl Format for OtlpProtobufFrames {
    fn info(&self) -> &'static FormatInfo {
        &FRAMES_INFO
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        head.is_frames()
    }

    fn framing(&self) -> Framing {
        Framing::LengthPrefixed
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        decode_frames(block, frame_length, limits, sink);
    }
}

impl Format for OtlpProtobufDelimited {
    fn info(&self) -> &'static FormatInfo {
        &DELIMITED_INFO
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        head.is_delimited_traces()
    }

    fn framing(&self) -> Framing {
        Framing::VarintPrefixed
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        decode_frames(block, varint_length, limits, sink);
    }

    fn decode_span(&self, block: &Block, index: usize, limits: &Limits, sink: &mut dyn SpanSink) -> bool {
        decode_span_field(block, index, limits, sink)
    }
}

/// The length that a frame gives itself, and all bytes behind it.
type ReadLength = fn(&[u8]) -> Option<(usize, &[u8])>;

/// The length in 4 bytes, big-endian.
pub(super) fn frame_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*length) as usize, rest))
}

/// The length as a varint.
pub(super) fn varint_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let Varint::Value(length, len) = varint(bytes) else {
        return None;
    };
    Some((usize::try_from(length).unwrap_or(usize::MAX), &bytes[len..]))
}

fn decode_frames(block: &Block, read_length: ReadLength, limits: &Limits, sink: &mut dyn SpanSink) {
    let mut at = 0;
    let mut first_serial = 0;
    while at < block.bytes.len() {
        let rest = &block.bytes[at..];
        let Some((length, behind)) = read_length(rest) else {
            return sink.unreadable(block.position(at), rest.len() as u64, "cut in the length of a frame");
        };
        if length > limits.max_record {
            return sink.limit(block.position(at), Limit::Record);
        }
        let payload = &behind[..length.min(behind.len())];
        let prefix = rest.len() - behind.len();
        let mut frame = Frame {
            sink,
            first_serial,
            next_serial: first_serial,
            position: block.position(at),
            length: (prefix + payload.len()) as u64,
            left: (prefix + payload.len()) as u64,
            packed: false,
            limited: false,
            damaged: false,
        };
        let whole = payload.len() == length;
        frame.decode(payload, whole, at + prefix, block, limits);
        if !whole {
            frame.cut(payload.is_empty());
        }
        first_serial = frame.next_serial;
        if frame.limited {
            return;
        }
        at += prefix + payload.len();
    }
}

const CUT_FRAME: &str = "cut in the middle of a frame";

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Stands before the sink while one frame is decoded: continues the serials of the frames before it
/// and gives everything in a compressed frame the position of the frame.
struct Frame<'s> {
    sink: &'s mut dyn SpanSink,
    first_serial: usize,
    next_serial: usize,
    position: u64,
    length: u64,
    /// Bytes of it that were not reported as unreadable. What is unreadable inside a compressed frame
    /// may be more than the frame has.
    left: u64,
    packed: bool,
    limited: bool,
    /// A stretch of it was reported.
    damaged: bool,
}

impl Frame<'_> {
    fn decode(&mut self, payload: &[u8], whole: bool, at: usize, block: &Block, limits: &Limits) {
        if payload.starts_with(&ZSTD_MAGIC) {
            self.packed = true;
            return self.decode_packed(payload, whole, limits);
        }
        if payload.first() == Some(&b'{') {
            return decode_json(payload.to_vec(), block.position(at), limits, self);
        }
        decode_message(payload, Place::Behind(block.position(at)), limits, self);
    }

    /// Says that the frame is cut, where the cut fell between two fields and the payload shows nothing.
    fn cut(&mut self, empty: bool) {
        if self.damaged || self.limited {
            return;
        }
        let bytes = if empty { self.length } else { 0 };
        let position = self.position + self.length - bytes;
        self.sink.unreadable(position, bytes, CUT_FRAME);
    }

    fn decode_packed(&mut self, payload: &[u8], whole: bool, limits: &Limits) {
        let (bytes, outcome) = unpack(payload, limits);
        let position = self.position;
        match outcome {
            Unpacked::Whole => {}
            Unpacked::Limit(limit) => return self.limit(position, limit),
            Unpacked::Damaged => {
                let reason = if whole { "damaged zstd frame" } else { CUT_FRAME };
                self.unreadable(position, self.length, reason);
            }
        }
        if bytes.first() == Some(&b'{') {
            return decode_json(bytes, position, limits, self);
        }
        decode_message(&bytes, Place::Behind(position), limits, self);
    }
}

impl SpanSink for Frame<'_> {
    fn wants(&self, position: u64) -> bool {
        self.sink.wants(if self.packed { self.position } else { position })
    }

    fn span(&mut self, span: &mut Span<'_>, origin: Origin<'_, '_>) {
        if self.packed {
            span.position = self.position;
        }
        let serial = self.first_serial + origin.serial;
        self.next_serial = self.next_serial.max(serial + 1);
        self.sink.span(span, Origin { serial, ..origin });
    }

    fn reject(&mut self, position: u64, reason: RejectReason) {
        self.sink.reject(if self.packed { self.position } else { position }, reason);
    }

    fn unreadable(&mut self, position: u64, bytes: u64, reason: &str) {
        self.damaged = true;
        if self.packed {
            let bytes = bytes.min(self.left);
            self.left -= bytes;
            self.sink.unreadable(self.position, bytes, reason);
        } else {
            self.sink.unreadable(position, bytes, reason);
        }
    }

    fn limit(&mut self, position: u64, limit: Limit) {
        self.limited = true;
        self.sink.limit(if self.packed { self.position } else { position }, limit);
    }

    fn repaired(&mut self, repair: Repair) {
        self.sink.repaired(repair);
    }

    fn truncated_trace(&mut self, trace_id: TraceId) {
        self.sink.truncated_trace(trace_id);
    }

    fn invented_row(&mut self, trace_id: TraceId, span_id: SpanId) {
        self.sink.invented_row(trace_id, span_id);
    }

    fn partial(&mut self, reason: &str) {
        self.sink.partial(reason);
    }
}

fn decode_json(bytes: Vec<u8>, offset: u64, limits: &Limits, sink: &mut dyn SpanSink) {
    let block = Block { bytes, offset, ..Block::default() };
    OtlpJson.decode(&block, limits, sink);
}

enum Unpacked {
    Whole,
    Damaged,
    Limit(Limit),
}

/// Decompresses one zstd blob, as far as it goes.
fn unpack(payload: &[u8], limits: &Limits) -> (Vec<u8>, Unpacked) {
    let mut bytes = Vec::new();
    let record = limits.max_record as u64;
    let bound = record.min(limits.max_decompressed);
    let Ok(decoder) = zstd::stream::read::Decoder::with_buffer(payload) else {
        return (bytes, Unpacked::Damaged);
    };
    let outcome = decoder.take(bound.saturating_add(1)).read_to_end(&mut bytes);
    if bytes.len() as u64 > bound {
        let limit = if bound == record { Limit::Record } else { Limit::Decompressed };
        return (Vec::new(), Unpacked::Limit(limit));
    }
    let outcome = if outcome.is_ok() { Unpacked::Whole } else { Unpacked::Damaged };
    (bytes, outcome)
}

/// A part of a message and where it stands in the message.
#[derive(Clone, Copy)]
struct Slice<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The value of a field on the wire.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(Slice<'a>),
}

/// One step through a message.
enum Item<'a> {
    Field(u32, Wire<'a>),
    /// A length-delimited field that says to be longer than what contains it; with all that is there.
    Overrun(u32, Slice<'a>),
    /// Neither; nothing behind it can be trusted.
    Bad(&'static str),
}

const BAD_WIRE_TYPE: &str = "unknown protobuf wire type";

/// Walks the fields of one message.
#[derive(Clone)]
struct Fields<'a> {
    message: Slice<'a>,
    /// Index in `message` of the next field.
    next: usize,
    /// Index in `message` of the field given last.
    field: usize,
}

impl<'a> Fields<'a> {
    const fn new(message: Slice<'a>) -> Self {
        Self { message, next: 0, field: 0 }
    }

    /// Index of the field given last, in the outermost message.
    const fn at(&self) -> usize {
        self.message.at + self.field
    }

    /// Bytes from the field given last to the end of the message.
    const fn rest(&self) -> usize {
        self.message.bytes.len() - self.field
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.message.bytes.get(self.next)?;
            self.next += 1;
            if shift == 63 && byte > 1 {
                return None;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let chunk = self.message.bytes.get(self.next..)?.first_chunk::<N>()?;
        self.next += N;
        Some(*chunk)
    }

    fn item(&mut self) -> Item<'a> {
        let Some(tag) = self.varint() else {
            return Item::Bad("bad protobuf tag");
        };
        let number = (tag >> 3) as u32;
        if number == 0 || tag > u64::from(u32::MAX) {
            return Item::Bad("bad protobuf tag");
        }
        let wire = match tag & 7 {
            0 => self.varint().map(Wire::Varint),
            1 => self.chunk().map(|chunk| Wire::Fixed64(u64::from_le_bytes(chunk))),
            2 => return self.length_delimited(number),
            5 => self.chunk().map(|chunk| Wire::Fixed32(u32::from_le_bytes(chunk))),
            _ => return Item::Bad(BAD_WIRE_TYPE),
        };
        wire.map_or(Item::Bad("cut in the middle of a protobuf field"), |wire| Item::Field(number, wire))
    }

    fn length_delimited(&mut self, number: u32) -> Item<'a> {
        let Some(length) = self.varint() else {
            return Item::Bad("bad protobuf length");
        };
        let rest = self.message.bytes.get(self.next..).unwrap_or_default();
        let at = self.message.at + self.next;
        if let Some(bytes) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) {
            self.next += bytes.len();
            return Item::Field(number, Wire::Bytes(Slice { bytes, at }));
        }
        self.next = self.message.bytes.len();
        Item::Overrun(number, Slice { bytes: rest, at })
    }
}

/// Ends after the first item that is no sound field.
impl<'a> Iterator for Fields<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.next >= self.message.bytes.len() {
            return None;
        }
        self.field = self.next;
        let item = self.item();
        if !matches!(item, Item::Field(..)) {
            self.next = self.message.bytes.len();
        }
        Some(item)
    }
}

/// The kind of telemetry in an OTLP message. The three have the same outer layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Logs,
    Metrics,
}

/// What the beginning of an OTLP message holds, or `None` if it is no such message. The bytes may
/// end anywhere. Without any record in sight it passes for traces.
pub(super) fn signal(head: &[u8]) -> Option<Signal> {
    let mut found = None;
    for item in Fields::new(Slice { bytes: head, at: 0 }) {
        let (Item::Field(1, Wire::Bytes(inner)) | Item::Overrun(1, inner)) = item else {
            return found.filter(|_| matches!(item, Item::Bad(_)));
        };
        match signal_of_resource(inner) {
            Sighting::Foreign => return None,
            Sighting::Open => found = Some(Signal::Traces),
            Sighting::Found(signal) => return Some(signal),
        }
    }
    found
}

/// Like [`signal`], and none without any record in sight.
pub(super) fn signal_in_sight(head: &[u8]) -> Option<Signal> {
    signal(head)?;
    Fields::new(Slice { bytes: head, at: 0 }).find_map(|item| match item {
        Item::Field(1, Wire::Bytes(inner)) | Item::Overrun(1, inner) => match signal_of_resource(inner) {
            Sighting::Found(signal) => Some(signal),
            Sighting::Open | Sighting::Foreign => None,
        },
        _ => None,
    })
}

/// Like [`signal`], for a message of which every byte is there.
pub(super) fn signal_of_whole(message: &[u8]) -> Option<Signal> {
    let sound = |item| matches!(item, Item::Field(1, Wire::Bytes(_)));
    signal(message).filter(|_| Fields::new(Slice { bytes: message, at: 0 }).all(sound))
}

/// What a part of an OTLP message tells about its signal.
enum Sighting {
    /// It is no such part.
    Foreign,
    /// It may be one, of any signal.
    Open,
    Found(Signal),
}

/// Looks at a `ResourceSpans`, `ResourceLogs` or `ResourceMetrics`.
fn signal_of_resource(message: Slice<'_>) -> Sighting {
    for item in Fields::new(message) {
        match item {
            Item::Field(1, Wire::Bytes(resource)) | Item::Overrun(1, resource) => {
                if !is_resource(resource) {
                    return Sighting::Foreign;
                }
            }
            Item::Field(2, Wire::Bytes(scope)) | Item::Overrun(2, scope) => {
                let sighting = signal_of_scope(scope);
                if !matches!(sighting, Sighting::Open) {
                    return sighting;
                }
            }
            Item::Field(3 | 1000, Wire::Bytes(_)) | Item::Overrun(3 | 1000, _) => {}
            Item::Field(..) | Item::Overrun(..) | Item::Bad(BAD_WIRE_TYPE) => return Sighting::Foreign,
            // The head may be cut inside a tag or a length.
            Item::Bad(_) => break,
        }
    }
    Sighting::Open
}

fn is_resource(resource: Slice<'_>) -> bool {
    Fields::new(resource).all(|item| {
        matches!(
            item,
            Item::Field(1 | 3, Wire::Bytes(_)) | Item::Field(2, Wire::Varint(_)) | Item::Overrun(1 | 3, _)
        ) || matches!(item, Item::Bad(reason) if reason != BAD_WIRE_TYPE)
    })
}

fn signal_of_scope(message: Slice<'_>) -> Sighting {
    for item in Fields::new(message) {
        match item {
            Item::Field(2, Wire::Bytes(record)) | Item::Overrun(2, record) => {
                return signal_of_record(record).map_or(Sighting::Open, Sighting::Found);
            }
            Item::Field(1 | 3, Wire::Bytes(_)) | Item::Overrun(1 | 3, _) => {}
            Item::Field(..) | Item::Overrun(..) | Item::Bad(BAD_WIRE_TYPE) => return Sighting::Foreign,
            Item::Bad(_) => break,
        }
    }
    Sighting::Open
}

/// The first field tells: a span begins with 16 bytes of trace id, a log record with a time, a
/// metric with its name.
fn signal_of_record(record: Slice<'_>) -> Option<Signal> {
    Some(match Fields::new(record).next()? {
        Item::Field(1 | 11, Wire::Fixed64(_)) => Signal::Logs,
        Item::Field(1, Wire::Bytes(name)) if is_metric_name(name.bytes) => Signal::Metrics,
        _ => Signal::Traces,
    })
}

fn is_metric_name(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.-/".contains(byte))
}

/// Where the bytes of a message stand in the input.
#[derive(Clone, Copy)]
enum Place<'b> {
    In(&'b Block),
    Behind(u64),
}

impl Place<'_> {
    fn position(self, index: usize) -> u64 {
        match self {
            Self::In(block) => block.position(index),
            Self::Behind(position) => position + index as u64,
        }
    }
}

/// Why a message inside a span could not be read.
enum Fault {
    Wire,
    Limit(Limit),
}

type Outcome<T> = Result<T, Fault>;

fn decode_message(bytes: &[u8], place: Place<'_>, limits: &Limits, sink: &mut dyn SpanSink) {
    let mut decoder = Decoder {
        place,
        values: Values { limits, repaired_strings: 0 },
        sink,
        next_serial: 0,
        ended: false,
        span: Span::default(),
    };
    decoder.traces(Slice { bytes, at: 0 });
    let repaired = decoder.values.repaired_strings;
    for _ in 0..repaired {
        sink.repaired(Repair::InvalidUtf8);
    }
}

/// Positions of spans are those of their tags. A compressed frame, of which only the beginning has a
/// position, is told from a span by its first byte, a length that no frame has.
fn decode_span_field(block: &Block, index: usize, limits: &Limits, sink: &mut dyn SpanSink) -> bool {
    let Some(bytes) = block.bytes.get(index..) else { return false };
    let Some(Item::Field(2, Wire::Bytes(message))) = Fields::new(Slice { bytes, at: index }).next() else {
        return false;
    };
    let mut decoder = Decoder {
        place: Place::In(block),
        values: Values { limits, repaired_strings: 0 },
        sink,
        next_serial: 0,
        ended: false,
        span: Span::default(),
    };
    let (resource, scope) = (Resource::default(), Scope::default());
    decoder.span(message, block.position(index), &resource, &scope, &mut None);
    true
}

struct Decoder<'a, 's> {
    place: Place<'s>,
    values: Values<'s>,
    sink: &'s mut dyn SpanSink,
    next_serial: usize,
    /// A bound was reached.
    ended: bool,
    span: Span<'a>,
}

impl<'a> Decoder<'a, '_> {
    fn traces(&mut self, message: Slice<'a>) {
        let mut fields = Fields::new(message);
        while let Some(item) = fields.next() {
            match item {
                Item::Field(1, Wire::Bytes(inner)) | Item::Overrun(1, inner) => self.resource_spans(inner),
                Item::Field(..) => {}
                Item::Overrun(..) => self.unreadable(&fields, "protobuf field longer than its message"),
                Item::Bad(reason) => self.unreadable(&fields, reason),
            }
            if self.ended {
                return;
            }
        }
    }

    /// A cut message is read as far as it goes: whole spans inside are delivered.
    fn resource_spans(&mut self, message: Slice<'a>) {
        let resource = self.resource(message);
        let mut fields = Fields::new(message);
        while !self.ended
            && let Some(item) = fields.next()
        {
            match item {
                Item::Field(2, Wire::Bytes(inner)) | Item::Overrun(2, inner) => {
                    self.scope_spans(inner, &resource);
                }
                Item::Field(..) => {}
                Item::Overrun(..) => self.unreadable(&fields, "protobuf field longer than its message"),
                Item::Bad(reason) => self.unreadable(&fields, reason),
            }
        }
    }

    /// The resource may stand behind the spans, so it is looked for first.
    fn resource(&mut self, message: Slice<'a>) -> Resource<'a> {
        let mut resource = Resource::default();
        for item in Fields::new(message) {
            let Item::Field(1, Wire::Bytes(inner)) = item else {
                continue;
            };
            if self.ended {
                break;
            }
            let outcome = self.values.resource(inner, &mut resource);
            self.inner_outcome(&outcome, inner, message, "damaged protobuf resource");
        }
        resource
    }

    fn scope_spans(&mut self, message: Slice<'a>, resource: &Resource<'a>) {
        let scope = self.scope(message);
        let mut serial = None;
        let mut fields = Fields::new(message);
        while !self.ended
            && let Some(item) = fields.next()
        {
            match item {
                Item::Field(2, Wire::Bytes(inner)) => {
                    let position = self.place.position(fields.at());
                    self.span(inner, position, resource, &scope, &mut serial);
                }
                Item::Field(..) => {}
                Item::Overrun(..) => self.unreadable(&fields, "cut in the middle of a protobuf message"),
                Item::Bad(reason) => self.unreadable(&fields, reason),
            }
        }
    }

    fn scope(&mut self, message: Slice<'a>) -> Scope<'a> {
        let mut scope = Scope::default();
        for item in Fields::new(message) {
            let Item::Field(1, Wire::Bytes(inner)) = item else {
                continue;
            };
            if self.ended {
                break;
            }
            let outcome = self.values.scope(inner, &mut scope);
            self.inner_outcome(&outcome, inner, message, "damaged protobuf scope");
        }
        scope
    }

    fn span(
        &mut self,
        message: Slice<'a>,
        position: u64,
        resource: &Resource<'a>,
        scope: &Scope<'a>,
        serial: &mut Option<usize>,
    ) {
        if !self.sink.wants(position) {
            return;
        }
        self.span.clear();
        self.span.position = position;
        match self.values.span(message, &mut self.span) {
            Err(Fault::Wire) => self.sink.reject(position, RejectReason::BadProtobuf),
            Err(Fault::Limit(limit)) => self.limit(position, limit),
            Ok(false) => self.sink.reject(position, RejectReason::NoSpanFields),
            Ok(true) => {
                let serial = *serial.get_or_insert_with(|| {
                    self.next_serial += 1;
                    self.next_serial - 1
                });
                self.sink.span(&mut self.span, Origin { resource, scope, serial });
            }
        }
    }

    /// `inner` stands in `outer`, possibly behind spans that are not read once a bound was reached.
    fn inner_outcome(&mut self, outcome: &Outcome<()>, inner: Slice<'_>, outer: Slice<'_>, reason: &str) {
        match outcome {
            Ok(()) => {}
            Err(Fault::Wire) => {
                self.sink.unreadable(self.place.position(inner.at), inner.bytes.len() as u64, reason);
            }
            Err(Fault::Limit(limit)) => self.limit(self.place.position(outer.at), *limit),
        }
    }

    fn limit(&mut self, position: u64, limit: Limit) {
        if !self.ended {
            self.sink.limit(position, limit);
        }
        self.ended = true;
    }

    fn unreadable(&mut self, fields: &Fields<'_>, reason: &str) {
        self.sink.unreadable(self.place.position(fields.at()), fields.rest() as u64, reason);
    }
}

/// Reads the messages that are all or nothing.
struct Values<'l> {
    limits: &'l Limits,
    repaired_strings: u64,
}

/// How deep the value of an attribute stands: traces, resource, scope, span, event, key and value.
const ATTRIBUTE_DEPTH: usize = 6;

impl Values<'_> {
    /// Calls `field` for each field of the message; anything unsound is a fault.
    fn fields<'a>(
        &mut self,
        message: Slice<'a>,
        mut field: impl FnMut(&mut Self, u32, Wire<'a>) -> Outcome<()>,
    ) -> Outcome<()> {
        for item in Fields::new(message) {
            let Item::Field(number, wire) = item else {
                return Err(Fault::Wire);
            };
            field(self, number, wire)?;
        }
        Ok(())
    }

    fn text<'a>(&mut self, slice: Slice<'a>) -> Outcome<Cow<'a, str>> {
        if slice.bytes.len() > self.limits.max_string {
            return Err(Fault::Limit(Limit::String));
        }
        if let Ok(text) = std::str::from_utf8(slice.bytes) {
            return Ok(Cow::Borrowed(text));
        }
        self.repaired_strings += 1;
        Ok(String::from_utf8_lossy(slice.bytes))
    }

    fn resource<'a>(&mut self, message: Slice<'a>, into: &mut Resource<'a>) -> Outcome<()> {
        self.fields(message, |values, number, wire| {
            match (number, wire) {
                (1, Wire::Bytes(inner)) => {
                    into.attributes.push(values.attribute(inner, ATTRIBUTE_DEPTH)?);
                }
                (2, Wire::Varint(count)) => into.dropped_attributes = dropped(count),
                _ => {}
            }
            Ok(())
        })
    }

    fn scope<'a>(&mut self, message: Slice<'a>, into: &mut Scope<'a>) -> Outcome<()> {
        self.fields(message, |values, number, wire| {
            match (number, wire) {
                (1, Wire::Bytes(name)) => into.name = values.text(name)?,
                (2, Wire::Bytes(version)) => into.version = values.text(version)?,
                (3, Wire::Bytes(inner)) => {
                    into.attributes.push(values.attribute(inner, ATTRIBUTE_DEPTH)?);
                }
                (4, Wire::Varint(count)) => into.dropped_attributes = dropped(count),
                _ => {}
            }
            Ok(())
        })
    }

    /// Returns whether the message has any field of a span.
    fn span<'a>(&mut self, message: Slice<'a>, span: &mut Span<'a>) -> Outcome<bool> {
        let mut raw = RawSpan::default();
        let mut any = false;
        self.fields(message, |values, number, wire| {
            any |= (1..=16).contains(&number);
            match (number, wire) {
                (1, Wire::Bytes(id)) => raw.trace_id = id.bytes,
                (2, Wire::Bytes(id)) => raw.span_id = id.bytes,
                (3, Wire::Bytes(text)) => span.trace_state = Some(values.text(text)?),
                (4, Wire::Bytes(id)) => raw.parent_span_id = id.bytes,
                (5, Wire::Bytes(text)) => span.name = values.text(text)?,
                (6, Wire::Varint(kind)) => span.kind = SpanKind::from_otlp(kind),
                (7, Wire::Fixed64(time)) => raw.start = Some(time),
                (8, Wire::Fixed64(time)) => raw.end = Some(time),
                (9, Wire::Bytes(inner)) => {
                    span.attributes.push(values.attribute(inner, ATTRIBUTE_DEPTH)?);
                }
                (10, Wire::Varint(count)) => span.dropped_attributes = dropped(count),
                (11, Wire::Bytes(inner)) => span.events.push(values.event(inner)?),
                (12, Wire::Varint(count)) => span.dropped_events = dropped(count),
                (13, Wire::Bytes(inner)) => span.links.push(values.link(inner)?),
                (14, Wire::Varint(count)) => span.dropped_links = dropped(count),
                (15, Wire::Bytes(inner)) => values.status(inner, span)?,
                (16, Wire::Fixed32(flags)) => {
                    span.flags = Some(flags);
                    span.parent_is_remote = parent_is_remote(flags);
                }
                _ => {}
            }
            Ok(())
        })?;
        raw.complete(span);
        Ok(any)
    }

    fn status<'a>(&mut self, message: Slice<'a>, span: &mut Span<'a>) -> Outcome<()> {
        self.fields(message, |values, number, wire| {
            match (number, wire) {
                (2, Wire::Bytes(text)) => span.status_message = values.text(text)?,
                (3, Wire::Varint(code)) => span.status = StatusCode::from_otlp(code),
                _ => {}
            }
            Ok(())
        })
    }

    fn event<'a>(&mut self, message: Slice<'a>) -> Outcome<Event<'a>> {
        let mut event = Event::default();
        self.fields(message, |values, number, wire| {
            match (number, wire) {
                (1, Wire::Fixed64(time)) => event.time_ns = time_ns(time),
                (2, Wire::Bytes(name)) => event.name = values.text(name)?,
                (3, Wire::Bytes(inner)) => {
                    event.attributes.push(values.attribute(inner, ATTRIBUTE_DEPTH)?);
                }
                (4, Wire::Varint(count)) => event.dropped_attributes = dropped(count),
                _ => {}
            }
            Ok(())
        })?;
        Ok(event)
    }

    fn link<'a>(&mut self, message: Slice<'a>) -> Outcome<Link<'a>> {
        let mut link = Link::default();
        self.fields(message, |values, number, wire| {
            match (number, wire) {
                (1, Wire::Bytes(id)) => link.trace_id = trace_id(id.bytes).0,
                (2, Wire::Bytes(id)) => link.span_id = span_id(id.bytes).0.unwrap_or_default(),
                (3, Wire::Bytes(text)) => link.trace_state = Some(values.text(text)?),
                (4, Wire::Bytes(inner)) => {
                    link.attributes.push(values.attribute(inner, ATTRIBUTE_DEPTH)?);
                }
                (5, Wire::Varint(count)) => link.dropped_attributes = dropped(count),
                (6, Wire::Fixed32(flags)) => link.flags = Some(flags),
                _ => {}
            }
            Ok(())
        })?;
        Ok(link)
    }

    fn attribute<'a>(&mut self, message: Slice<'a>, depth: usize) -> Outcome<Attribute<'a>> {
        let mut attribute = Attribute { key: Cow::Borrowed(""), value: Value::Empty };
        self.fields(message, |values, number, wire| {
            match (number, wire) {
                (1, Wire::Bytes(key)) => attribute.key = values.text(key)?,
                (2, Wire::Bytes(value)) => attribute.value = values.any_value(value, depth)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(attribute)
    }

    fn any_value<'a>(&mut self, message: Slice<'a>, depth: usize) -> Outcome<Value<'a>> {
        if depth >= self.limits.max_depth {
            return Err(Fault::Limit(Limit::Depth));
        }
        let mut value = Value::Empty;
        self.fields(message, |values, number, wire| {
            match (number, wire) {
                (1, Wire::Bytes(text)) => value = Value::String(values.text(text)?),
                (2, Wire::Varint(flag)) => value = Value::Bool(flag != 0),
                (3, Wire::Varint(number)) => value = Value::Int(number as i64),
                (4, Wire::Fixed64(bits)) => value = Value::Double(f64::from_bits(bits)),
                (5, Wire::Bytes(inner)) => value = Value::Array(values.array(inner, depth + 2)?),
                (6, Wire::Bytes(inner)) => value = Value::Map(values.map(inner, depth + 3)?),
                (7, Wire::Bytes(inner)) => value = Value::Bytes(Cow::Borrowed(inner.bytes)),
                _ => {}
            }
            Ok(())
        })?;
        Ok(value)
    }

    fn array<'a>(&mut self, message: Slice<'a>, depth: usize) -> Outcome<Vec<Value<'a>>> {
        let mut items = Vec::new();
        self.fields(message, |values, number, wire| {
            if let (1, Wire::Bytes(inner)) = (number, wire) {
                items.push(values.any_value(inner, depth)?);
            }
            Ok(())
        })?;
        Ok(items)
    }

    fn map<'a>(&mut self, message: Slice<'a>, depth: usize) -> Outcome<Vec<Attribute<'a>>> {
        let mut items = Vec::new();
        self.fields(message, |values, number, wire| {
            if let (1, Wire::Bytes(inner)) = (number, wire) {
                items.push(values.attribute(inner, depth)?);
            }
            Ok(())
        })?;
        Ok(items)
    }
}

/// The fields of a span that are judged when all of it was read; an absent one is a default in proto3.
#[derive(Default)]
struct RawSpan<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_span_id: &'a [u8],
    start: Option<u64>,
    end: Option<u64>,
}

impl RawSpan<'_> {
    fn complete(&self, span: &mut Span<'_>) {
        let (id, trace_text) = trace_id(self.trace_id);
        span.trace_id = id;
        let (id, span_text) = span_id(self.span_id);
        span.span_id = id.unwrap_or_default();
        let (parent, parent_text) = span_id(self.parent_span_id);
        span.parent_span_id = parent;
        let parent_text = parent_text.filter(|_| parent.is_some());
        span.start_ns = self.start.and_then(time_ns);
        span.end_ns = self.end.and_then(time_ns);
        let time_text = |time: Option<u64>| time.map_or_else(String::new, |time| time.to_string());
        let start_text = span.start_ns.is_none().then(|| time_text(self.start));
        let end_text = span.end_ns.is_none().then(|| time_text(self.end));
        for (field, text) in [
            (SpanField::TraceId, trace_text),
            (SpanField::SpanId, span_text),
            (SpanField::ParentSpanId, parent_text),
            (SpanField::StartTime, start_text),
            (SpanField::EndTime, end_text),
        ] {
            if let Some(text) = text {
                span.malformed.push(Malformed { field, text: Cow::Owned(text) });
            }
        }
    }
}

fn time_ns(time: u64) -> Option<i64> {
    i64::try_from(time).ok().filter(|time| *time > 0)
}

fn dropped(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The id, and the text for the fact that it is malformed.
fn trace_id(bytes: &[u8]) -> (TraceId, Option<String>) {
    let Ok(sixteen) = <[u8; 16]>::try_from(bytes) else {
        let text = odd_bytes(bytes);
        return match read_trace_id(text.as_bytes()) {
            IdText::Valid(id, _) | IdText::Invalid(id) => (id, Some(text)),
            IdText::Absent => (TraceId::default(), Some(text)),
        };
    };
    let id = TraceId(u128::from_be_bytes(sixteen));
    (id, (id == TraceId::default()).then(|| id.to_string()))
}

/// No id where the bytes are empty or all zero.
fn span_id(bytes: &[u8]) -> (Option<SpanId>, Option<String>) {
    let Ok(eight) = <[u8; 8]>::try_from(bytes) else {
        let text = odd_bytes(bytes);
        return match read_span_id(text.as_bytes()) {
            IdText::Valid(id, _) | IdText::Invalid(id) => (Some(id), Some(text)),
            IdText::Absent => (None, Some(text)),
        };
    };
    let id = SpanId(u64::from_be_bytes(eight));
    if id == SpanId::default() { (None, Some(id.to_string())) } else { (Some(id), None) }
}

/// An id of a wrong length as text that no reader takes for an id: the value of the id is the hash
/// of this text, here and wherever the text is read again.
fn odd_bytes(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    if bytes.is_empty() {
        return String::new();
    }
    if bytes.len() > 64 {
        return format!("{} bytes with hash {:032x}", bytes.len(), xxh3_128(bytes));
    }
    bytes.iter().fold(format!("{} bytes: ", bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
pub(super) mod tests {
    use opentelemetry_proto::tonic::common::v1::{
        AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value as Any,
    };
    use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
    use opentelemetry_proto::tonic::trace::v1::{
        ResourceSpans, ScopeSpans, Span as ProtoSpan, Status, TracesData,
        span::{Event as ProtoEvent, Link as ProtoLink},
    };
    use proptest::prelude::*;
    use prost::Message as _;

    use super::super::whole::testing::{Told, decode, decode_within};
    use super::*;

    const TRACE: [u8; 16] =
        [0x4f, 0x1c, 0x2d, 0x3e, 0x4a, 0x5b, 0x6c, 0x7d, 0x8e, 0x9f, 10, 27, 44, 61, 78, 95];

    fn text(key: &str, value: &str) -> KeyValue {
        attribute(key, Some(Any::StringValue(value.to_owned())))
    }

    fn attribute(key: &str, value: Option<Any>) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value }), ..KeyValue::default() }
    }

    fn proto_span(id: u8) -> ProtoSpan {
        ProtoSpan {
            trace_id: TRACE.to_vec(),
            span_id: vec![id; 8],
            name: format!("span {id}"),
            kind: 2,
            start_time_unix_nano: 1_767_225_600_000_000_000,
            end_time_unix_nano: 1_767_225_600_000_000_007,
            flags: 0x301,
            ..ProtoSpan::default()
        }
    }

    fn resource_spans(service: &str, spans: Vec<ProtoSpan>) -> ResourceSpans {
        ResourceSpans {
            resource: Some(ProtoResource {
                attributes: vec![text("service.name", service)],
                ..ProtoResource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "http".to_owned(),
                    version: "1".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }
    }

    fn data(resource_spans: Vec<ResourceSpans>) -> Vec<u8> {
        TracesData { resource_spans }.encode_to_vec()
    }

    pub(in super::super) fn sample() -> Vec<u8> {
        let mut odd = proto_span(2);
        odd.trace_id = vec![1, 2, 3];
        odd.parent_span_id = vec![9; 3];
        odd.start_time_unix_nano = 0;
        odd.links.push(ProtoLink { trace_id: TRACE.to_vec(), span_id: vec![7; 8], ..ProtoLink::default() });
        data(vec![
            resource_spans("shop", vec![proto_span(1), odd]),
            resource_spans("bill", vec![proto_span(3)]),
        ])
    }

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(payload);
        bytes
    }

    const JSON: &str = r#"{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{"traceId":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","spanId":"0404040404040404","name":"j","startTimeUnixNano":"5","endTimeUnixNano":"6"}]}]}]}"#;

    fn zstd_of(bytes: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(bytes, 3).unwrap()
    }

    /// Protobuf, JSON, and zstd of both.
    pub(in super::super) fn frames_sample() -> Vec<u8> {
        [
            frame(&sample()),
            frame(JSON.as_bytes()),
            frame(&zstd_of(&sample())),
            frame(&zstd_of(JSON.as_bytes())),
        ]
        .concat()
    }

    pub(in super::super) fn delimited_sample() -> Vec<u8> {
        let second = data(vec![resource_spans("mail", vec![proto_span(4)])]);
        [varint(sample().len()), sample(), vec![0], varint(second.len()), second].concat()
    }

    fn names(told: &Told) -> Vec<String> {
        told.spans().iter().map(|span| span.name.to_string()).collect()
    }

    #[test]
    fn reads_spans_and_keeps_malformed_facts() {
        let told = decode(&OtlpProtobuf, sample());
        assert_eq!(told.services(), ["shop", "shop", "bill"]);
        assert_eq!(told.serials, [0, 0, 1]);
        let spans = told.spans();
        assert_eq!(spans[0].trace_id.to_string(), "4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f");
        assert_eq!((spans[0].parent_span_id, spans[0].parent_is_remote), (None, Some(true)));
        assert!(spans[0].malformed.is_empty());
        let fields: Vec<SpanField> = spans[1].malformed.iter().map(|malformed| malformed.field).collect();
        assert_eq!(fields, [SpanField::TraceId, SpanField::ParentSpanId, SpanField::StartTime]);
        assert!(spans[1].parent_span_id.is_some() && spans[1].start_ns.is_none());
        let bytes = sample();
        assert_eq!(bytes[spans[1].position as usize], 0x12, "the tag of a span in its scope");
    }

    #[test]
    fn a_bad_span_is_rejected_and_the_next_one_read() {
        let good = proto_span(1).encode_to_vec();
        // A name that says to be longer than the span.
        let bad = [&proto_span(2).encode_to_vec()[..], &[0x2a, 0x7f, b'x']].concat();
        let scope = [field(2, &bad), field(2, &[]), field(2, &good)].concat();
        let told = decode(&OtlpProtobuf, nested(&scope));
        assert_eq!(names(&told), ["span 1"]);
        let reasons: Vec<RejectReason> = told.rejects.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(reasons, [RejectReason::BadProtobuf, RejectReason::NoSpanFields]);
        assert!(told.unreadable.is_empty());
    }

    fn varint(mut value: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    fn field(number: u8, payload: &[u8]) -> Vec<u8> {
        [vec![number << 3 | 2], varint(payload.len()), payload.to_vec()].concat()
    }

    /// Scope spans as `TracesData`.
    fn nested(scope_spans: &[u8]) -> Vec<u8> {
        field(1, &field(2, scope_spans))
    }

    #[test]
    fn resource_and_scope_may_stand_behind_the_spans() {
        let span = field(2, &proto_span(1).encode_to_vec());
        let scope =
            field(1, &InstrumentationScope { name: "late".to_owned(), ..Default::default() }.encode_to_vec());
        let resource = field(
            1,
            &ProtoResource { attributes: vec![text("service.name", "shop")], ..Default::default() }
                .encode_to_vec(),
        );
        let told = decode(&OtlpProtobuf, field(1, &[field(2, &[span, scope].concat()), resource].concat()));
        assert_eq!(told.services(), ["shop"]);
        assert_eq!(told.whole.spans()[0].scope.name, "late");
    }

    #[test]
    fn a_bad_resource_spans_is_a_stretch_and_the_next_one_is_read() {
        let bad = field(1, &[field(2, &field(2, &proto_span(1).encode_to_vec())), vec![0x0f, 1, 2]].concat());
        let good = data(vec![resource_spans("shop", vec![proto_span(2)])]);
        let told = decode(&OtlpProtobuf, [bad.clone(), good].concat());
        assert_eq!(names(&told), ["span 1", "span 2"]);
        assert_eq!(told.unreadable, [(bad.len() as u64 - 3, 3, "unknown protobuf wire type".to_owned())]);
    }

    #[test]
    fn a_cut_message_gives_its_whole_spans() {
        let mut bytes = sample();
        let position = decode(&OtlpProtobuf, bytes.clone()).spans()[1].position;
        bytes.truncate(position as usize + 20);
        let told = decode(&OtlpProtobuf, bytes);
        assert_eq!((names(&told), told.services()), (vec!["span 1".to_owned()], vec!["shop"]));
        assert_eq!(told.unreadable.len(), 1);
        assert_eq!((told.unreadable[0].0, told.unreadable[0].1), (position, 20));
    }

    #[test]
    fn deep_values_reach_the_bound() {
        let mut value = AnyValue { value: Some(Any::BoolValue(true)) };
        for _ in 0..80 {
            value = AnyValue { value: Some(Any::ArrayValue(ArrayValue { values: vec![value] })) };
        }
        let mut span = proto_span(1);
        span.attributes.push(KeyValue { key: "deep".to_owned(), value: Some(value), ..Default::default() });
        let told = decode(&OtlpProtobuf, data(vec![resource_spans("shop", vec![span, proto_span(2)])]));
        assert_eq!(told.limits, [Limit::Depth]);
        assert!(told.spans().is_empty(), "the input ends there");
    }

    #[test]
    fn a_bound_in_a_sender_behind_its_spans_is_named_before_them() {
        let long = "s".repeat(100);
        let spans = field(2, &proto_span(1).encode_to_vec());
        let scope = field(1, &field(1, long.as_bytes()));
        let attribute = text("service.name", &long).encode_to_vec();
        let resource = field(1, &field(1, &attribute));
        let limits = Limits { max_string: 64, ..Limits::default() };
        for message in [[field(2, &spans), resource].concat(), field(2, &[spans, scope].concat())] {
            let message = field(1, &message);
            let span = decode(&OtlpProtobuf, message.clone()).spans()[0].position;
            let told = decode_within(&OtlpProtobuf, message, &limits);
            assert_eq!((told.limits.as_slice(), told.spans().len()), ([Limit::String].as_slice(), 0));
            assert!(told.limit_positions[0] <= span, "a span is read neither before nor behind it");
        }
    }

    #[test]
    fn nothing_is_told_behind_a_bound() {
        let long = field(1, &field(1, &[b's'; 100]));
        let damaged = field(1, &[0x0f, 1, 2]);
        let limits = Limits { max_string: 64, ..Limits::default() };
        let message = field(1, &field(2, &[long, damaged].concat()));
        let told = decode_within(&OtlpProtobuf, message, &limits);
        assert_eq!(
            (told.limits.as_slice(), told.unreadable.as_slice()),
            ([Limit::String].as_slice(), &[][..])
        );
    }

    #[test]
    fn damage_in_a_compressed_frame_is_no_more_than_the_frame() {
        let bytes = frame(&zstd_of("{\"resourceSpans\":@}\n".repeat(500).as_bytes()));
        let told = decode(&OtlpProtobufFrames, bytes.clone());
        assert!(told.unreadable.len() > 1);
        assert_eq!(told.unreadable.iter().map(|(_, length, _)| length).sum::<u64>(), bytes.len() as u64);
    }

    #[test]
    fn frames_hold_protobuf_json_and_zstd_of_either() {
        let told = decode(&OtlpProtobufFrames, frames_sample());
        assert_eq!(told.spans().len(), 8);
        assert_eq!(told.serials, [0, 0, 1, 2, 3, 3, 4, 5]);
        let third_frame = 8 + sample().len() + JSON.len();
        let positions: Vec<u64> = told.spans().iter().map(|span| span.position).collect();
        assert_eq!(positions[4..7], [third_frame as u64; 3]);
        assert!(positions[3] > 4 + sample().len() as u64);
    }

    #[test]
    fn cut_and_damaged_frames_are_stretches() {
        let mut bytes = frame(&zstd_of(&sample()));
        let damaged = bytes.len();
        bytes[10..].fill(0xff);
        bytes.extend(frame(&sample()));
        bytes.extend([0, 0, 9]);
        let told = decode(&OtlpProtobufFrames, bytes.clone());
        assert_eq!(told.spans().len(), 3);
        assert_eq!((told.unreadable[0].0, told.unreadable[0].1), (0, damaged as u64));
        assert_eq!(told.unreadable.last().map(|stretch| stretch.0), Some(bytes.len() as u64 - 3));
    }

    #[test]
    fn delimited_messages_have_positions_and_serials_of_the_input() {
        let bytes = delimited_sample();
        let told = decode(&OtlpProtobufDelimited, bytes.clone());
        assert_eq!(told.services(), ["shop", "shop", "bill", "mail"]);
        assert_eq!(told.serials, [0, 0, 1, 2]);
        for span in told.spans() {
            assert_eq!(bytes[span.position as usize], 0x12, "the tag of a span in its scope");
        }
        let alone = decode(&OtlpProtobuf, sample());
        let prefix = varint(sample().len()).len() as u64;
        assert_eq!(told.spans()[2].position, prefix + alone.spans()[2].position);
    }

    #[test]
    fn a_cut_delimited_message_gives_its_whole_spans() {
        let bytes = delimited_sample();
        let last = decode(&OtlpProtobufDelimited, bytes.clone()).spans()[3].position;
        for (len, spans) in [(last as usize + 20, 3), (bytes.len() - 1, 3), (last as usize - 20, 3)] {
            let told = decode(&OtlpProtobufDelimited, &bytes[..len]);
            assert_eq!(told.spans().len(), spans, "{len}");
            assert_eq!(told.unreadable.len(), 1, "{len}");
            let (position, length, _) = &told.unreadable[0];
            assert_eq!(position + length, len as u64);
        }
        let told = decode(&OtlpProtobufDelimited, [&bytes[..], &[0x80]].concat());
        assert_eq!((told.spans().len(), told.unreadable[0].1), (4, 1), "a length that is cut");
        let told = decode(&OtlpProtobufDelimited, [&bytes[..], &[0xff; 12]].concat());
        assert_eq!((told.spans().len(), told.unreadable[0].1), (4, 12), "a length that is none");
    }

    #[test]
    fn a_cut_between_two_fields_of_a_frame_is_told() {
        let first = data(vec![resource_spans("shop", vec![proto_span(1)])]);
        let mut bytes = frame(&[first.clone(), first].concat());
        bytes.truncate(4 + (bytes.len() - 4) / 2);
        let end = bytes.len() as u64;
        let told = decode(&OtlpProtobufFrames, bytes);
        assert_eq!(told.spans().len(), 1);
        assert_eq!(told.unreadable, [(end, 0, CUT_FRAME.to_owned())]);
        let told = decode(&OtlpProtobufFrames, vec![0, 0, 0, 9]);
        assert_eq!(told.unreadable, [(0, 4, CUT_FRAME.to_owned())]);
    }

    #[test]
    fn a_delimited_message_beyond_the_bound_ends_the_input() {
        let limits = Limits { max_record: 1 << 12, ..Limits::default() };
        for length in [varint(1 << 13), vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]] {
            let told = decode_within(&OtlpProtobufDelimited, [delimited_sample(), length].concat(), &limits);
            assert_eq!((told.limits.as_slice(), told.spans().len()), ([Limit::Record].as_slice(), 4));
        }
    }

    #[test]
    fn a_frame_that_grows_beyond_the_bound_ends_the_input() {
        let limits = Limits { max_record: 1 << 12, ..Limits::default() };
        let bytes = [frame(&zstd_of(&vec![0; 1 << 20])), frame(&sample())].concat();
        let told = decode_within(&OtlpProtobufFrames, bytes, &limits);
        assert_eq!((told.limits.as_slice(), told.spans().len()), ([Limit::Record].as_slice(), 0));
    }

    #[test]
    fn tells_logs_and_metrics_from_traces() {
        assert_eq!(signal(&sample()), Some(Signal::Traces));
        assert_eq!(signal(&sample()[..40]), Some(Signal::Traces));
        let log = [0x09, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(signal(&nested(&field(2, &log))), Some(Signal::Logs));
        assert_eq!(signal(&nested(&field(2, &field(1, b"http.requests")))), Some(Signal::Metrics));
        assert_eq!(signal(b"\nsome text"), None);
    }

    fn any_value() -> impl Strategy<Value = AnyValue> {
        let leaf = prop_oneof![
            Just(None),
            ".{0,6}".prop_map(|text| Some(Any::StringValue(text))),
            any::<bool>().prop_map(|flag| Some(Any::BoolValue(flag))),
            any::<i64>().prop_map(|number| Some(Any::IntValue(number))),
            (-1e9..1e9_f64).prop_map(|number| Some(Any::DoubleValue(number))),
            proptest::collection::vec(any::<u8>(), 0..5).prop_map(|bytes| Some(Any::BytesValue(bytes))),
        ]
        .prop_map(|value| AnyValue { value });
        leaf.prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3)
                    .prop_map(|values| AnyValue { value: Some(Any::ArrayValue(ArrayValue { values })) }),
                proptest::collection::vec(("[a-z]{1,3}", inner), 0..3).prop_map(|items| AnyValue {
                    value: Some(Any::KvlistValue(KeyValueList {
                        values: items
                            .into_iter()
                            .map(|(key, value)| KeyValue { key, value: Some(value), ..Default::default() })
                            .collect()
                    }))
                }),
            ]
        })
    }

    fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
        let item = ("[a-z.]{1,5}", any_value());
        proptest::collection::vec(item, 0..4).prop_map(|items| {
            items
                .into_iter()
                .map(|(key, value)| KeyValue { key, value: Some(value), ..Default::default() })
                .collect()
        })
    }

    prop_compose! {
        fn any_span()(
            trace_id in any::<[u8; 16]>(),
            span_id in any::<[u8; 8]>(),
            parent in proptest::option::of(any::<[u8; 8]>()),
            name in ".{0,8}",
            state in "[a-z=,]{0,6}",
            kind in 0..6_i32,
            (start, end) in (1..i64::MAX as u64, 1..i64::MAX as u64),
            attributes in attributes(),
            event in proptest::option::of((1..i64::MAX as u64, "[a-z]{0,3}", attributes(), any::<u32>())),
            link in proptest::option::of((any::<[u8; 16]>(), any::<[u8; 8]>(), attributes(), 1..u32::MAX)),
            (dropped, flags, code) in (any::<u32>(), 1..1024_u32, 0..3_i32),
        ) -> ProtoSpan {
            ProtoSpan {
                trace_id: trace_id.to_vec(),
                span_id: span_id.to_vec(),
                parent_span_id: parent.map(Vec::from).unwrap_or_default(),
                name,
                trace_state: state,
                kind,
                start_time_unix_nano: start,
                end_time_unix_nano: end,
                attributes,
                dropped_attributes_count: dropped,
                dropped_events_count: dropped / 2,
                dropped_links_count: dropped / 3,
                events: event.into_iter().map(|(time_unix_nano, name, attributes, dropped_attributes_count)| ProtoEvent {
                    time_unix_nano, name, attributes, dropped_attributes_count,
                }).collect(),
                links: link.into_iter().map(|(trace_id, span_id, attributes, flags)| ProtoLink {
                    trace_id: trace_id.to_vec(), span_id: span_id.to_vec(), attributes, flags, ..ProtoLink::default()
                }).collect(),
                status: Some(Status { code, message: "m".to_owned() }),
                flags,
            }
        }
    }

    fn ours(value: &AnyValue) -> Value<'static> {
        match &value.value {
            Some(Any::StringValue(text)) => Value::String(Cow::Owned(text.clone())),
            Some(Any::BoolValue(flag)) => Value::Bool(*flag),
            Some(Any::IntValue(number)) => Value::Int(*number),
            Some(Any::DoubleValue(number)) => Value::Double(*number),
            Some(Any::BytesValue(bytes)) => Value::Bytes(Cow::Owned(bytes.clone())),
            Some(Any::ArrayValue(list)) => Value::Array(list.values.iter().map(ours).collect()),
            Some(Any::KvlistValue(list)) => Value::Map(our_attributes(&list.values)),
            _ => Value::Empty,
        }
    }

    fn our_attributes(attributes: &[KeyValue]) -> Vec<Attribute<'static>> {
        attributes
            .iter()
            .map(|attribute| Attribute {
                key: Cow::Owned(attribute.key.clone()),
                value: attribute.value.as_ref().map_or(Value::Empty, ours),
            })
            .collect()
    }

    fn our_id(bytes: &[u8]) -> u128 {
        bytes.iter().fold(0, |id, byte| id << 8 | u128::from(*byte))
    }

    fn our_span(span: &ProtoSpan) -> Span<'static> {
        Span {
            trace_id: TraceId(our_id(&span.trace_id)),
            span_id: SpanId(our_id(&span.span_id) as u64),
            parent_span_id: Some(SpanId(our_id(&span.parent_span_id) as u64)).filter(|id| id.0 != 0),
            trace_state: Some(span.trace_state.clone()).filter(|state| !state.is_empty()).map(Cow::Owned),
            name: Cow::Owned(span.name.clone()),
            kind: SpanKind::from_otlp(span.kind as u64),
            start_ns: Some(span.start_time_unix_nano as i64),
            end_ns: Some(span.end_time_unix_nano as i64),
            status: StatusCode::from_otlp(span.status.as_ref().unwrap().code as u64),
            status_message: Cow::Borrowed("m"),
            flags: Some(span.flags),
            parent_is_remote: parent_is_remote(span.flags),
            attributes: our_attributes(&span.attributes),
            events: span
                .events
                .iter()
                .map(|event| Event {
                    time_ns: Some(event.time_unix_nano as i64),
                    name: Cow::Owned(event.name.clone()),
                    attributes: our_attributes(&event.attributes),
                    dropped_attributes: event.dropped_attributes_count,
                })
                .collect(),
            links: span
                .links
                .iter()
                .map(|link| Link {
                    trace_id: TraceId(our_id(&link.trace_id)),
                    span_id: SpanId(our_id(&link.span_id) as u64),
                    attributes: our_attributes(&link.attributes),
                    flags: Some(link.flags),
                    ..Link::default()
                })
                .collect(),
            dropped_attributes: span.dropped_attributes_count,
            dropped_events: span.dropped_events_count,
            dropped_links: span.dropped_links_count,
            ..Span::default()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn agrees_with_the_generated_code(spans in proptest::collection::vec(any_span(), 1..4)) {
            let told = decode(&OtlpProtobuf, data(vec![resource_spans("shop", spans.clone())]));
            let found: Vec<Span<'_>> =
                told.spans().into_iter().map(|span| Span { position: 0, ..span.clone() }).collect();
            let expected: Vec<Span<'_>> = spans.iter().map(our_span).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
