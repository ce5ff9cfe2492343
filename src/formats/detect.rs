//! Recognises a format from the first bytes of an input, never from its name.

use std::collections::BTreeMap;
use std::fmt;

use super::framing::log_lines::undone;
use super::json::{Cursor, Result, log_prefix};
use super::otlp_protobuf::{Signal, frame_length, signal, signal_in_sight, signal_of_whole, varint_length};
use super::{ALL, Format, Limits};

/// How many bytes of the head are looked at.
const LOOKED_AT: usize = 64 << 10;

/// Deepest key that is noted.
const DEEPEST_KEY: usize = 6;

/// Most keys that are noted; an attribute map may hold any number.
const MOST_KEYS: usize = 4096;

/// Most places at which a JSON value is looked for after one that could not be read.
const MOST_ATTEMPTS: usize = 64;

/// The first bytes of an input, after decompression, and what stands in them.
///
/// Of JSON it notes every key with its path: the keys above it and its own, joined by `/`. Arrays
/// leave no trace in a path, so `data/spans/traceID` is found in `{"data":[{"spans":[{"traceID":…`
/// and `traceId` in `[[{"traceId":…`, however much of the document is cut off behind it.
#[derive(Debug)]
pub struct Head<'a> {
    bytes: &'a [u8],
    binary: Option<Binary>,
    json: Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binary {
    Frames,
    Protobuf(Signal),
    Delimited(Signal),
}

/// The keys of the JSON values in a head, with the first scalar under each.
#[derive(Debug, Default)]
struct Json {
    paths: BTreeMap<String, Option<Scalar>>,
    any: bool,
}

/// A text or a number.
#[derive(Debug)]
struct Scalar {
    text: String,
    is_number: bool,
}

impl<'a> Head<'a> {
    /// Looks at the first bytes of an input, which may end anywhere.
    pub fn new(bytes: &'a [u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(LOOKED_AT)];
        let binary = binary(bytes);
        let json = match (binary, undone(bytes)) {
            (Some(_), _) => Json::default(),
            (None, Some(lines)) => Json::read(&lines),
            (None, None) => Json::read(bytes),
        };
        Self { bytes, binary, json }
    }

    /// The bytes that were looked at.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether a JSON object or array begins in it.
    pub fn is_json(&self) -> bool {
        self.json.any
    }

    /// Whether a JSON value has a key with this path.
    pub fn has(&self, path: &str) -> bool {
        self.json.paths.contains_key(path)
    }

    /// Whether a JSON value has one of these paths.
    pub fn has_any(&self, paths: &[&str]) -> bool {
        paths.iter().any(|path| self.has(path))
    }

    /// Whether the JSON values have all of these paths.
    pub fn has_all(&self, paths: &[&str]) -> bool {
        paths.iter().all(|path| self.has(path))
    }

    /// The first text or number under this path, cut after a few characters.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.json.paths.get(path)?.as_ref().map(|found| found.text.as_str())
    }

    /// Whether the first scalar under this path is a number without quotes.
    pub fn is_number(&self, path: &str) -> bool {
        matches!(self.json.paths.get(path), Some(Some(Scalar { is_number: true, .. })))
    }

    /// Whether it begins with a frame: a 4-byte big-endian length before protobuf, zstd or JSON.
    pub fn is_frames(&self) -> bool {
        self.binary == Some(Binary::Frames)
    }

    /// Whether it begins like the protobuf message of OTLP traces.
    pub fn is_protobuf_traces(&self) -> bool {
        self.binary == Some(Binary::Protobuf(Signal::Traces))
    }

    /// Whether it begins with an OTLP traces message that has its length as a varint in front.
    pub fn is_delimited_traces(&self) -> bool {
        self.binary == Some(Binary::Delimited(Signal::Traces))
    }

    fn is_protobuf_of(&self, signal: Signal) -> bool {
        matches!(self.binary, Some(Binary::Protobuf(found) | Binary::Delimited(found)) if found == signal)
    }

    fn starts_with_any(&self, starts: &[&[u8]]) -> bool {
        // A text may begin like that as well, where it means nothing.
        self.bytes.iter().any(|byte| is_control(*byte))
            && starts.iter().any(|start| self.bytes.starts_with(start))
    }

    fn contains(&self, text: &str) -> bool {
        memchr::memmem::find(self.bytes, text.as_bytes()).is_some()
    }

    /// The first line that is not blank, lower-case, without a byte order mark.
    fn first_line(&self) -> String {
        let text = String::from_utf8_lossy(self.bytes);
        let line = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\0');
        line.lines().next().unwrap_or_default().to_lowercase()
    }
}

fn binary(bytes: &[u8]) -> Option<Binary> {
    if bytes.iter().all(|byte| !is_control(*byte)) {
        return None;
    }
    if begins_with_frame(bytes) {
        return Some(Binary::Frames);
    }
    // One message comes first: its own first bytes could pass for a length only where it is damaged.
    signal(bytes).map(Binary::Protobuf).or_else(|| delimited_signal(bytes).map(Binary::Delimited))
}

/// Bytes that text has no use for and that every protobuf message or frame has.
const fn is_control(byte: u8) -> bool {
    byte >= 0x80 || (byte < 0x20 && !matches!(byte, b'\n' | b'\r' | b'\t'))
}

/// NUL bytes and blanks before JSON must not pass for a length: such a length is below 9 KiB, so its
/// frame has to end within the head, at the next frame or at the end.
fn begins_with_frame(bytes: &[u8]) -> bool {
    let Some((length, payload)) = frame_length(bytes) else {
        return false;
    };
    let plausible = match payload {
        [0x0a, ..] => signal(&payload[..payload.len().min(length)]) == Some(Signal::Traces),
        [b'{', ..] => payload.len() >= length || !bytes[..4].iter().all(|byte| is_blank(*byte)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => true,
        _ => false,
    };
    // A frame of 16 MiB or more would be a batch beyond every limit of the Collector.
    plausible && bytes[0] == 0 && payload.get(length).is_none_or(|next| *next == 0)
}

/// The signal of a message with a varint length in front. What is wholly in sight has to be sound to
/// its end, and to be followed by the next one; of a longer one a record has to be in sight.
fn delimited_signal(bytes: &[u8]) -> Option<Signal> {
    let (length, behind) = varint_length(bytes)?;
    if behind.first() != Some(&0x0a) {
        return None;
    }
    let Some((message, next)) = behind.split_at_checked(length) else {
        return signal_in_sight(behind);
    };
    let follows = match varint_length(next) {
        Some((0, _)) | None => true,
        Some((_, behind)) => behind.first().is_none_or(|tag| *tag == 0x0a),
    };
    signal_of_whole(message).filter(|_| follows)
}

impl Json {
    fn read(bytes: &[u8]) -> Self {
        let limits = Limits::default();
        let mut json = Self::default();
        let mut at = 0;
        for _ in 0..MOST_ATTEMPTS {
            let Some(start) = next_value(bytes, at) else {
                break;
            };
            let mut cursor = Cursor::new(&bytes[start..], &limits);
            let mut path = String::new();
            let outcome = json.value(&mut cursor, &mut path, 0);
            at = start + cursor.at();
            if outcome.is_err() {
                // A value that is no JSON (a log prefix in brackets, a cut line) ends with its line.
                at = line_end(bytes, start);
            }
        }
        json
    }

    fn value(&mut self, cursor: &mut Cursor<'_>, path: &mut String, depth: usize) -> Result<()> {
        match cursor.peek() {
            Some(b'[') => {
                cursor.array(|cursor| self.value(cursor, path, depth))?;
                self.any = true;
            }
            Some(b'{') if depth < DEEPEST_KEY => {
                cursor.object(|cursor, key| {
                    self.any = true;
                    let parent = path.len();
                    if parent > 0 {
                        path.push('/');
                    }
                    path.push_str(key);
                    self.note(path);
                    let outcome = self.value(cursor, path, depth + 1);
                    path.truncate(parent);
                    outcome
                })?;
                self.any = true;
            }
            Some(first @ (b'"' | b'-' | b'0'..=b'9')) => {
                let is_number = first != b'"';
                let text = cursor.text()?;
                if let Some(found) = self.paths.get_mut(path.as_str())
                    && found.is_none()
                {
                    *found = text.map(|text| Scalar { text: text.chars().take(64).collect(), is_number });
                }
            }
            _ => cursor.skip()?,
        }
        Ok(())
    }

    fn note(&mut self, path: &str) {
        if self.paths.len() < MOST_KEYS && !self.paths.contains_key(path) {
            self.paths.insert(path.to_owned(), None);
        }
    }
}

/// Where the next JSON object or array begins: here after blanks or the prefix of a log, or in a
/// later line.
fn next_value(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = bytes.get(at..)?;
        at += rest.iter().position(|byte| !is_blank(*byte))?;
        if let Some(prefix) = log_prefix(&bytes[at..]) {
            return Some(at + prefix);
        }
        if matches!(bytes[at], b'{' | b'[') {
            return Some(at);
        }
        at = line_end(bytes, at);
    }
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    memchr::memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |newline| from + newline + 1)
}

/// White space, NUL, record separators, commas between values, and the bytes of a byte order mark.
const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',' | 0 | 0x1e | 0xef | 0xbb | 0xbf)
}

/// What detection found.
#[derive(Clone, Copy)]
pub enum Detection {
    /// A format that can be read.
    Known(&'static dyn Format),
    /// Something else; the text says what was recognised and how to export it instead.
    Other(&'static str),
    /// Nothing is known about it, so it may be a format whose beginning is damaged.
    Unknown(&'static str),
}

impl fmt::Debug for Detection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(format) => f.debug_tuple("Known").field(&format.info().name).finish(),
            Self::Other(message) => f.debug_tuple("Other").field(message).finish(),
            Self::Unknown(message) => f.debug_tuple("Unknown").field(message).finish(),
        }
    }
}

/// Recognises the format of an input.
pub fn detect(head: &Head<'_>) -> Detection {
    if let Some(format) = ALL.iter().find(|format| format.detect(head)) {
        return Detection::Known(*format);
    }
    if let Some(other) = OTHERS.iter().find(|other| (other.recognises)(head)) {
        return Detection::Other(other.message);
    }
    Detection::Unknown(if head.json.any {
        "JSON that is no trace export; export OTLP JSON with the Collector's file exporter, or Jaeger JSON from /api/traces/{id}?raw=true"
    } else if looks_binary(head.bytes) {
        "binary data that is no OTLP protobuf; export OTLP with the Collector's file exporter, or Jaeger JSON from /api/traces/{id}?raw=true"
    } else {
        "text that is no trace export; export OTLP JSON with the Collector's file exporter, or Jaeger JSON from /api/traces/{id}?raw=true"
    })
}

/// Something that is recognised but not read.
struct Other {
    recognises: fn(&Head<'_>) -> bool,
    message: &'static str,
}

/// In the order in which they are asked.
static OTHERS: &[Other] = &[
    Other {
        recognises: |head| head.bytes.iter().all(|byte| is_blank(*byte)),
        message: "empty input, so nothing was exported; check what was to write it, and export again",
    },
    Other {
        recognises: |head| {
            let brackets = head.bytes.iter().filter(|byte| !is_blank(**byte));
            brackets.clone().count() > 0 && brackets.clone().all(|byte| b"[]{}".contains(byte))
        },
        message: "an empty list or object, so nothing was found; check the query and the time range, and export again",
    },
    Other {
        recognises: |head| {
            head.has_any(&["resourceLogs", "resource_logs"]) || head.is_protobuf_of(Signal::Logs)
        },
        message: "OTLP logs, which is the wrong signal; export traces (`resourceSpans`)",
    },
    Other {
        recognises: |head| {
            head.has_any(&["resourceMetrics", "resource_metrics"]) || head.is_protobuf_of(Signal::Metrics)
        },
        message: "OTLP metrics, which is the wrong signal; export traces (`resourceSpans`)",
    },
    Other {
        recognises: |head| head.text("schema").is_some_and(|schema| schema.starts_with("tracemend.report/")),
        message: "a report of tracemend itself; name the file that holds the exported traces",
    },
    Other {
        recognises: |head| head.has_any(&["error/httpCode", "errors/msg", "errors/code", "error/grpcCode"]),
        message: "an error answer of Jaeger, without spans; check the trace id and the time range, and export again",
    },
    Other {
        recognises: |head| {
            head.has_all(&["data", "total", "limit", "offset"])
                && !head.has_any(&["data/spans", "data/traceID"])
        },
        message: "an answer of Jaeger without traces; export /api/traces/{id}?raw=true",
    },
    Other {
        recognises: |head| head.has("batches") || head.has_all(&["trace", "metrics"]),
        message: "an answer of Tempo without spans; check the trace id and the time range, and export again",
    },
    Other {
        recognises: |head| head.has("traces/rootServiceName") || head.has("traces/spanSets"),
        message: "search results of Tempo, which hold no whole traces; export /api/traces/{id}",
    },
    Other {
        recognises: |head| {
            head.has_any(&["_source/processor/event", "hits/hits/_source/processor/event", "processor/event"])
        },
        message: "Elastic APM documents, which are not read; export OTLP JSON or Jaeger JSON",
    },
    Other {
        recognises: |head| head.has_all(&["took", "hits"]),
        message: "an answer of Elasticsearch or OpenSearch without spans of Jaeger or Data Prepper; check the index and the query, or export OTLP JSON",
    },
    Other {
        recognises: |head| head.has_all(&["trace.trace_id", "trace.span_id"]),
        message: "rows of Honeycomb, which are not read; export OTLP JSON or Jaeger JSON",
    },
    Other {
        recognises: |head| head.has_all(&["operation_Id", "operation_ParentId"]),
        message: "rows of Azure's Application Insights, which are not read; export OTLP JSON or Jaeger JSON",
    },
    Other {
        recognises: |head| {
            head.has_all(&["spans/traceId", "spans/operationName"])
                || head.has_all(&["batches/spans", "batches/process"])
        },
        message: "Jaeger's internal model as JSON, which is not read; export Jaeger JSON (/api/traces/{id}?raw=true) or OTLP JSON",
    },
    Other {
        recognises: |head| head.has("data/spans/level") && head.has("data/spans/durationNano"),
        message: "a flame graph of SigNoz, which leaves spans out and knows no kinds; export the waterfall of the trace, or rows with /api/v1/export_raw_data?format=jsonl",
    },
    Other {
        recognises: |head| head.has_any(&["compositeQuery/queries", "compositeQuery/builderQueries"]),
        message: "a request to SigNoz' query_range; name the file that holds the answer",
    },
    Other {
        recognises: |head| head.has_any(&["data/data/results", "data/result/list", "data/newResult"]),
        message: "an answer of SigNoz' query_range without rows; ask for requestType `raw`, and check the filter and the time range",
    },
    Other {
        recognises: |head| head.has("status") && head.has_any(&["error/code", "errorType"]),
        message: "an error answer of SigNoz, without spans; correct the query and export again",
    },
    Other {
        recognises: |head| {
            head.has_any(&["Traces/Segments", "Segments/Document", "traces/Segments/Document"])
        },
        message: "AWS X-Ray segments, which are not read; export OTLP JSON or Jaeger JSON",
    },
    Other {
        recognises: |head| head.has("log/entries") || head.has_all(&["log/version", "log/creator"]),
        message: "a HAR file, which holds requests of a browser and no spans; export OTLP JSON or Jaeger JSON",
    },
    Other {
        recognises: |head| head.has("metric") && matches!(head.text("type"), Some("Metric" | "Point")),
        message: "output of k6, which holds no spans; export OTLP JSON or Jaeger JSON from the tracing backend",
    },
    Other {
        recognises: |head| {
            head.has_all(&["error/message", "error/code"]) || head.has_all(&["code", "message", "details"])
        },
        message: "an error answer, without spans; correct the request and export again",
    },
    Other {
        recognises: |head| head.has_all(&["log", "stream", "time"]),
        message: "a log file of Docker's json-file driver, which has every line in quotes; export its lines with `docker logs`",
    },
    Other {
        recognises: |head| head.has_any(&["partialSuccess", "partial_success"]),
        message: "the answer of an OTLP receiver, without spans; export OTLP JSON or Jaeger JSON",
    },
    Other {
        recognises: |head| head.contains("ResourceSpans #"),
        message: "text of the Collector's debug exporter, which is not read yet; export OTLP JSON with the file exporter",
    },
    Other {
        recognises: |head| head.contains("Activity.TraceId:"),
        message: "text of .NET's console exporter, which is not read yet; export OTLP JSON (Collector file exporter) or Jaeger JSON",
    },
    Other {
        recognises: |head| head.contains("traceId: '"),
        message: "text of Node's console exporter, which is no JSON and not read yet; export OTLP JSON (Collector file exporter) or Jaeger JSON",
    },
    Other {
        recognises: |head| head.contains("[tracer: ") && head.contains("AttributesMap{"),
        message: "text of Java's LoggingSpanExporter, which leaves parents out; export OTLP JSON (OtlpJsonLoggingSpanExporter, or the Collector's file exporter)",
    },
    Other {
        recognises: has_propagation_headers,
        message: "headers that carry a trace context, which hold no spans; export the traces themselves as OTLP JSON or Jaeger JSON",
    },
    Other {
        recognises: |head| head.contains("DB::Exception: "),
        message: "an error of ClickHouse, without rows; correct the query and export again",
    },
    Other {
        recognises: is_html,
        message: "an HTML page, often a login page or the user interface instead of the API; check the address and the credentials",
    },
    Other {
        recognises: |head| head.first_line().starts_with("<?xml"),
        message: "an XML document, which is no trace export; export OTLP JSON or Jaeger JSON",
    },
    Other {
        recognises: is_csv,
        message: "a CSV table of spans, which is not read yet; export OTLP JSON or Jaeger JSON",
    },
    Other {
        recognises: is_table,
        message: "a CSV table without columns for trace ids and span ids; export OTLP JSON or Jaeger JSON",
    },
    Other {
        recognises: |head| head.starts_with_any(&[b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"%PDF-"]),
        message: "a picture or PDF, which shows traces to people; export the traces themselves as OTLP JSON or Jaeger JSON",
    },
    Other {
        recognises: |head| {
            head.starts_with_any(&[b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c", b"Rar!"])
                || head.bytes.get(257..262) == Some(b"ustar")
        },
        message: "an archive; unpack it and name the folder",
    },
    Other {
        recognises: |head| head.starts_with_any(&[b"\xfd7zXZ\0", b"BZh", b"\x04\x22\x4d\x18"]),
        message: "data compressed with xz, bzip2 or lz4; decompress it first, only gzip and zstd are undone",
    },
    Other {
        recognises: |head| {
            head.starts_with_any(&[b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"])
        },
        message: "a program, not data; name the file that holds the exported traces",
    },
    Other {
        recognises: |head| head.starts_with_any(&[b"PAR1", b"SQLite format 3\0", b"Obj\x01", b"ARROW1"]),
        message: "a database or table file, which is not read; export OTLP JSON or Jaeger JSON",
    },
    Other {
        recognises: |head| head.bytes.starts_with(b"\xff\xfe") || head.bytes.starts_with(b"\xfe\xff"),
        message: "UTF-16 text, as PowerShell writes it; convert the file to UTF-8",
    },
    Other {
        recognises: |head| head.bytes.starts_with(b"\x1f\x8b") || head.bytes.starts_with(b"\x28\xb5\x2f\xfd"),
        message: "data that was compressed twice; decompress it once",
    },
];

/// Zipkin v1 has core annotations (`cs`, `sr`, …) in place of a kind, and an endpoint on each.
pub(super) fn is_zipkin_v1(head: &Head<'_>) -> bool {
    const CORE: [&str; 8] = ["cs", "cr", "sr", "ss", "ms", "mr", "ws", "wr"];
    head.has_any(&["binaryAnnotations", "annotations/endpoint"])
        || (!head.has_any(&["kind", "localEndpoint"])
            && head.text("annotations/value").is_some_and(|value| CORE.contains(&value)))
}

fn is_html(head: &Head<'_>) -> bool {
    let line = head.first_line();
    ["<!doctype html", "<html", "<head"].iter().any(|start| line.starts_with(start))
        || (line.starts_with("<?xml") && head.contains("<html"))
}

/// Lines such as `traceparent: 00-…`, as `curl -v` and logs of proxies show them.
fn has_propagation_headers(head: &Head<'_>) -> bool {
    const HEADERS: [&str; 7] = [
        "traceparent",
        "tracestate",
        "b3",
        "x-b3-traceid",
        "uber-trace-id",
        "x-amzn-trace-id",
        "x-datadog-trace-id",
    ];
    let text = String::from_utf8_lossy(head.bytes);
    !head.json.any
        && text.lines().any(|line| {
            let line = line.trim_start_matches(['>', '<', ' ', '*']);
            line.split_once(':').is_some_and(|(name, value)| {
                HEADERS.contains(&name.to_ascii_lowercase().as_str()) && !value.trim().is_empty()
            })
        })
}

fn is_csv(head: &Head<'_>) -> bool {
    let line = head.first_line();
    let columns: Vec<&str> =
        line.split([',', ';', '\t']).map(|column| column.trim_matches(['"', ' '])).collect();
    let names = |wanted: [&str; 4]| columns.iter().any(|column| wanted.contains(column));
    names(["trace_id", "traceid", "trace id", "trace.id"])
        && names(["span_id", "spanid", "span id", "span.id"])
}

/// A first line with columns, and a second one with as many.
fn is_table(head: &Head<'_>) -> bool {
    let text = String::from_utf8_lossy(head.bytes);
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let (Some(names), Some(row)) = (lines.next(), lines.next()) else {
        return false;
    };
    let columns = |line: &str| [',', ';', '\t'].map(|mark| line.matches(mark).count());
    !head.json.any
        && !looks_binary(head.bytes)
        && columns(names).into_iter().zip(columns(row)).any(|(names, row)| names > 0 && names == row)
}

fn looks_binary(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.contains('\0'),
        // The head may end inside a character.
        Err(error) => error.error_len().is_some() || bytes[..error.valid_up_to()].contains(&0),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use super::*;

    fn found(bytes: &[u8]) -> String {
        format!("{:?}", detect(&Head::new(bytes)))
    }

    #[test]
    fn looks_past_marks_blanks_and_garbage_and_into_cut_documents() {
        for text in [
            "\u{feff}{\"resourceSpans\":[",
            "\0\0\n {\"resourceSpans\":[{",
            "starting up\n[INFO] ready\n{\"resourceSpans\":[]}\n",
            "{\"resource\":{},\"scopeSpans\":[]}",
        ] {
            assert_eq!(found(text.as_bytes()), "Known(\"otlp-json\")", "{text:?}");
        }
        let head = Head::new(br#"[[{"traceId":"a","id":"b","tags":{"k":"#);
        assert!(head.is_json() && head.has_all(&["traceId", "id", "tags/k"]));
        assert_eq!(head.text("id"), Some("b"));
    }

    #[test]
    fn text_passes_for_no_length_before_a_message() {
        for text in [
            "{\n  \"resourceSpans\":[{\"é\":1}]}",
            "{\n\t\"resourceSpans\":[{\"é\":1}]}",
            "[\n\n\n\n\n\n\n\n\n\n{\"resourceSpans\":[{\"é\":1}]}]",
        ] {
            assert_eq!(found(text.as_bytes()), "Known(\"otlp-json\")", "{text:?}");
        }
    }

    /// Something for every message.
    const NO_TRACES: [&[u8]; 56] = [
        b"",
        b" \n\0",
        b"[]",
        b"{}\n",
        br#"{"resourceLogs":[]}"#,
        br#"{"resource_metrics":[]}"#,
        br#"{"schema":"tracemend.report/v1","inputs":[]}"#,
        br#"{"data":null,"total":0,"limit":0,"offset":0,"errors":[{"code":404,"msg":"trace not found"}]}"#,
        br#"{"error":{"httpCode":404,"message":"No traces found"}}"#,
        br#"{"data":["shop"],"total":1,"limit":0,"offset":0,"errors":null}"#,
        br#"{"traces":[{"traceID":"1","rootServiceName":"shop"}]}"#,
        br#"{"hits":{"hits":[{"_source":{"processor":{"event":"span"}}}]}}"#,
        br#"{"batches":[]}"#,
        br#"{"trace":{},"metrics":{"inspectedBytes":"0"}}"#,
        br#"{"took":1,"timed_out":false,"hits":{"total":{"value":0},"hits":[]}}"#,
        br#"{"trace.trace_id":"1","trace.span_id":"2","duration_ms":5}"#,
        br#"{"operation_Id":"1","operation_ParentId":"2","itemType":"request"}"#,
        br#"{"spans":[{"traceId":"AAA=","operationName":"GET"}]}"#,
        br#"{"status":"success","data":{"spans":[[{"spanId":"1","level":0,"durationNano":5,"name":"GET"}]]}}"#,
        br#"{"requestType":"raw","compositeQuery":{"queries":[]}}"#,
        br#"{"status":"success","data":{"data":{"results":[]}}}"#,
        br#"{"status":"error","error":{"code":"invalid_input","message":"no"}}"#,
        br#"{"Traces":[{"Segments":[{"Document":"{}"}]}]}"#,
        br#"{"log":{"version":"1.2","creator":{},"entries":[]}}"#,
        br#"{"type":"Point","metric":"http_reqs","data":{}}"#,
        br#"{"error":{"code":5,"message":"not found"}}"#,
        br#"{"code":16,"message":"no org id","details":[]}"#,
        br#"{"log":"{\"resourceSpans\":[]}\n","stream":"stdout","time":"2026-01-01T00:00:00Z"}"#,
        br#"{"partialSuccess":{"rejectedSpans":"2"}}"#,
        b"2026-01-01 info\tTraces\nResourceSpans #0\nResource SchemaURL:\n",
        b"Activity.TraceId:            1\nActivity.SpanId: 2\n",
        b"{\n  resource: {},\n  traceId: '1',\n  id: '2',\n}\n",
        b"INFO: 'GET' : 4f1c a1a1 SERVER [tracer: demo:] AttributesMap{data={}, capacity=128}\n",
        b"> GET / HTTP/1.1\n> traceparent: 00-4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f-a1a1a1a1a1a1a1a1-01\n",
        b"Code: 60. DB::Exception: Table default.otel_traces does not exist. (UNKNOWN_TABLE)\n",
        b"<!DOCTYPE html><html>",
        b"<?xml version=\"1.0\"?>\n<html xmlns=\"http://www.w3.org/1999/xhtml\">",
        b"<?xml version=\"1.0\"?>\n<testsuites/>\n",
        b"name,span_id,trace_id\n",
        b"name,age\nann,3\n",
        b"\x89PNG\r\n\x1a\n",
        b"%PDF-1.7\n\x01",
        b"PK\x03\x04\0\0",
        b"7z\xbc\xaf\x27\x1c\0",
        b"BZh91AY&SY\x01",
        b"\xfd7zXZ\0\0",
        b"\x7fELF\x02\0",
        b"MZ\x90\0",
        b"SQLite format 3\0",
        b"PAR1\x15",
        b"\xff\xfe{\0",
        b"\x1f\x8b\x08",
        b"\x28\xb5\x2f\xfd\x04",
        br#"{"a":1}"#,
        b"hello\n",
        b"\0\x01\x02abc",
    ];

    #[test]
    fn every_message_says_what_it_is_and_what_to_do() {
        let (mut shown, mut met) = (String::new(), BTreeSet::new());
        for bytes in NO_TRACES {
            let message = match detect(&Head::new(bytes)) {
                Detection::Known(format) => {
                    panic!("{:?} is {}", bytes.escape_ascii().to_string(), format.info().name)
                }
                Detection::Other(message) | Detection::Unknown(message) => message,
            };
            met.insert(message);
            writeln!(shown, "{}\n    {message}", bytes.escape_ascii()).unwrap();
        }
        insta::assert_snapshot!(shown);
        let never: Vec<&str> =
            OTHERS.iter().map(|other| other.message).filter(|message| !met.contains(message)).collect();
        assert!(never.is_empty(), "no sample has these messages: {never:#?}");
        for message in met {
            assert!(message.contains([';', ',']), "says what to do: {message}");
        }
    }
}
