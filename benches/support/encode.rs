//! Spans in the words of each format.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::{Kind, Made, PROCESSES, Value, attributes, name, resource};

/// Spans of one process that are sent together: what SDKs send at most by default
/// (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`).
const BATCH: usize = 512;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// JSON lines of the Collector's file exporter.
    OtlpJson,
    /// Protobuf messages with their length in front.
    OtlpProtobuf,
    /// The answer of Jaeger's query service: one document.
    JaegerJson,
    /// Zipkin v2: one document.
    ZipkinJson,
}

impl Form {
    pub(crate) const ALL: [Self; 4] =
        [Self::OtlpJson, Self::OtlpProtobuf, Self::JaegerJson, Self::ZipkinJson];

    /// The name on the command line, and the name of the file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OtlpJson => "otlp-json",
            Self::OtlpProtobuf => "otlp-protobuf-frames",
            Self::JaegerJson => "jaeger-json",
            Self::ZipkinJson => "zipkin-json",
        }
    }
}

/// Writes traces. The spans of an OTLP trace are scattered over the batches of their processes.
pub(super) struct Encoder<'o, W> {
    form: Form,
    out: &'o mut W,
    /// Spans that wait for their batch, by process.
    waiting: Vec<Vec<Made>>,
    is_first: bool,
    buffer: Vec<u8>,
}

impl<'o, W: Write> Encoder<'o, W> {
    pub(super) fn new(form: Form, out: &'o mut W) -> io::Result<Self> {
        match form {
            Form::JaegerJson => out.write_all(b"{\"data\":[")?,
            Form::ZipkinJson => out.write_all(b"[")?,
            Form::OtlpJson | Form::OtlpProtobuf => {}
        }
        Ok(Self { form, out, waiting: vec![Vec::new(); PROCESSES], is_first: true, buffer: Vec::new() })
    }

    pub(super) fn trace(&mut self, spans: &[Made]) -> io::Result<()> {
        match self.form {
            Form::OtlpJson | Form::OtlpProtobuf => {
                for span in spans {
                    let batch = &mut self.waiting[span.process];
                    batch.push(*span);
                    if batch.len() == BATCH {
                        self.flush(span.process)?;
                    }
                }
            }
            Form::JaegerJson => {
                self.separate();
                jaeger_trace(&mut self.buffer, spans);
            }
            Form::ZipkinJson => {
                for span in spans {
                    self.separate();
                    zipkin_span(&mut self.buffer, span);
                }
            }
        }
        self.send()
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        for process in 0..PROCESSES {
            self.flush(process)?;
        }
        match self.form {
            Form::JaegerJson => {
                self.out.write_all(b"],\"total\":0,\"limit\":0,\"offset\":0,\"errors\":null}\n")
            }
            Form::ZipkinJson => self.out.write_all(b"]\n"),
            Form::OtlpJson | Form::OtlpProtobuf => Ok(()),
        }
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.buffer.push(b',');
        }
    }

    fn flush(&mut self, process: usize) -> io::Result<()> {
        let batch = std::mem::take(&mut self.waiting[process]);
        if batch.is_empty() {
            return Ok(());
        }
        if self.form == Form::OtlpJson {
            otlp_line(&mut self.buffer, process, &batch);
        } else {
            otlp_frame(&mut self.buffer, process, &batch);
        }
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

macro_rules! put {
    ($out:expr, $($text:tt)*) => { write!($out, $($text)*).expect("memory takes everything") };
}

fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn list<T>(out: &mut Vec<u8>, items: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (nth, item) in items.iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn otlp_attributes(out: &mut Vec<u8>, attributes: &[(&str, Value)]) {
    list(out, attributes, |out, (key, value)| {
        put!(out, r#"{{"key":"{key}","value":"#);
        match value {
            Value::Text(text) => {
                put!(out, r#"{{"stringValue":"#);
                quoted(out, text);
            }
            Value::Int(number) => put!(out, r#"{{"intValue":"{number}""#),
            Value::Bool(flag) => put!(out, r#"{{"boolValue":{flag}"#),
        }
        out.extend_from_slice(b"}}");
    });
}

fn otlp_line(out: &mut Vec<u8>, process: usize, spans: &[Made]) {
    put!(out, r#"{{"resourceSpans":[{{"resource":{{"attributes":"#);
    otlp_attributes(out, &resource(process));
    put!(out, r#"}},"scopeSpans":[{{"scope":{{"name":"shop.instrumentation","version":"1.2.0"}},"spans":"#);
    list(out, spans, otlp_span);
    put!(out, "}}]}}]}}\n");
}

fn otlp_span(out: &mut Vec<u8>, span: &Made) {
    put!(out, r#"{{"traceId":"{:032x}","spanId":"{:016x}","#, span.trace_id, span.span_id);
    if span.parent_id != 0 {
        put!(out, r#""parentSpanId":"{:016x}","#, span.parent_id);
    }
    put!(out, r#""flags":257,"name":"{}","kind":{},"#, name(span), span.kind as u8);
    put!(out, r#""startTimeUnixNano":"{}","endTimeUnixNano":"{}","#, span.start_ns, span.end_ns);
    put!(out, r#""attributes":"#);
    otlp_attributes(out, &attributes(span));
    if span.salt.is_multiple_of(50) {
        put!(out, r#","events":[{{"timeUnixNano":"{}","name":"exception","attributes":"#, span.end_ns);
        otlp_attributes(out, &exception());
        put!(out, "}}]");
    }
    put!(out, r#","status":{{}}}}"#);
}

fn exception() -> [(&'static str, Value); 2] {
    [
        ("exception.type", Value::Text("java.io.IOException".to_owned())),
        ("exception.message", Value::Text("connection to \"stock\" was reset".to_owned())),
    ]
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn field_varint(out: &mut Vec<u8>, field: u64, number: u64) {
    varint(out, field << 3);
    varint(out, number);
}

fn field_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn field_fixed64(out: &mut Vec<u8>, field: u64, number: i64) {
    varint(out, field << 3 | 1);
    out.extend_from_slice(&number.to_le_bytes());
}

fn message(out: &mut Vec<u8>, field: u64, write: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    write(&mut inner);
    field_bytes(out, field, &inner);
}

fn proto_attributes(out: &mut Vec<u8>, field: u64, attributes: &[(&str, Value)]) {
    for (key, value) in attributes {
        message(out, field, |out| {
            field_bytes(out, 1, key.as_bytes());
            message(out, 2, |out| match value {
                Value::Text(text) => field_bytes(out, 1, text.as_bytes()),
                Value::Bool(flag) => field_varint(out, 2, u64::from(*flag)),
                Value::Int(number) => field_varint(out, 3, *number),
            });
        });
    }
}

/// One `TracesData` with one `ResourceSpans` with one `ScopeSpans`.
fn otlp_frame(out: &mut Vec<u8>, process: usize, spans: &[Made]) {
    let mut frame = Vec::new();
    message(&mut frame, 1, |out| {
        message(out, 1, |out| proto_attributes(out, 1, &resource(process)));
        message(out, 2, |out| {
            message(out, 1, |out| {
                field_bytes(out, 1, b"shop.instrumentation");
                field_bytes(out, 2, b"1.2.0");
            });
            for span in spans {
                message(out, 2, |out| proto_span(out, span));
            }
        });
    });
    out.extend_from_slice(&(frame.len() as u32).to_be_bytes());
    out.extend_from_slice(&frame);
}

fn proto_span(out: &mut Vec<u8>, span: &Made) {
    field_bytes(out, 1, &span.trace_id.to_be_bytes());
    field_bytes(out, 2, &span.span_id.to_be_bytes());
    if span.parent_id != 0 {
        field_bytes(out, 4, &span.parent_id.to_be_bytes());
    }
    field_bytes(out, 5, name(span).as_bytes());
    field_varint(out, 6, span.kind as u64);
    field_fixed64(out, 7, span.start_ns);
    field_fixed64(out, 8, span.end_ns);
    proto_attributes(out, 9, &attributes(span));
    if span.salt.is_multiple_of(50) {
        message(out, 11, |out| {
            field_fixed64(out, 1, span.end_ns);
            field_bytes(out, 2, b"exception");
            proto_attributes(out, 3, &exception());
        });
    }
}

fn jaeger_tags(out: &mut Vec<u8>, attributes: &[(&str, Value)]) {
    list(out, attributes, |out, (key, value)| {
        put!(out, r#"{{"key":"{key}","type":"#);
        match value {
            Value::Text(text) => {
                put!(out, r#""string","value":"#);
                quoted(out, text);
            }
            Value::Int(number) => put!(out, r#""int64","value":{number}"#),
            Value::Bool(flag) => put!(out, r#""bool","value":{flag}"#),
        }
        out.push(b'}');
    });
}

fn jaeger_trace(out: &mut Vec<u8>, spans: &[Made]) {
    put!(out, r#"{{"traceID":"{:032x}","spans":"#, spans[0].trace_id);
    list(out, spans, |out, span| {
        put!(out, r#"{{"traceID":"{:032x}","spanID":"{:016x}","#, span.trace_id, span.span_id);
        put!(out, r#""operationName":"{}","references":["#, name(span));
        if span.parent_id != 0 {
            put!(out, r#"{{"refType":"CHILD_OF","traceID":"{:032x}","#, span.trace_id);
            put!(out, r#""spanID":"{:016x}"}}"#, span.parent_id);
        }
        let duration = (span.end_ns - span.start_ns) / 1_000;
        put!(out, r#"],"startTime":{},"duration":{duration},"tags":"#, span.start_ns / 1_000);
        let mut tags = attributes(span);
        tags.push(("span.kind", Value::Text(kind(span).to_ascii_lowercase())));
        jaeger_tags(out, &tags);
        put!(out, r#","logs":[],"processID":"p{}","warnings":null}}"#, span.process);
    });
    put!(out, r#","processes":{{"#);
    let processes: BTreeSet<usize> = spans.iter().map(|span| span.process).collect();
    for (nth, process) in processes.into_iter().enumerate() {
        let comma = if nth > 0 { "," } else { "" };
        let mut tags = resource(process);
        let Value::Text(service) = tags.remove(0).1 else { unreachable!("the first is the name") };
        put!(out, r#"{comma}"p{process}":{{"serviceName":"{service}","tags":"#);
        jaeger_tags(out, &tags);
        out.push(b'}');
    }
    put!(out, r#"}},"warnings":null}}"#);
}

fn kind(span: &Made) -> &'static str {
    match span.kind {
        Kind::Internal => "INTERNAL",
        Kind::Server => "SERVER",
        Kind::Client => "CLIENT",
    }
}

fn zipkin_span(out: &mut Vec<u8>, span: &Made) {
    put!(out, r#"{{"traceId":"{:032x}","id":"{:016x}","#, span.trace_id, span.span_id);
    if span.parent_id != 0 {
        put!(out, r#""parentId":"{:016x}","#, span.parent_id);
    }
    if span.kind != Kind::Internal {
        put!(out, r#""kind":"{}","#, kind(span));
    }
    let duration = ((span.end_ns - span.start_ns) / 1_000).max(1);
    put!(out, r#""name":"{}","timestamp":{},"duration":{duration},"#, name(span), span.start_ns / 1_000);
    let Value::Text(service) = resource(span.process).remove(0).1 else { unreachable!("it is the name") };
    put!(out, r#""localEndpoint":{{"serviceName":"{service}","#);
    put!(out, r#""ipv4":"10.0.{}.{}"}},"tags":{{"#, span.process / 250, span.process % 250);
    for (nth, (key, value)) in attributes(span).iter().enumerate() {
        put!(out, "{}\"{key}\":", if nth > 0 { "," } else { "" });
        match value {
            Value::Text(text) => quoted(out, text),
            Value::Int(number) => put!(out, "\"{number}\""),
            Value::Bool(flag) => put!(out, "\"{flag}\""),
        }
    }
    put!(out, "}}}}");
}
