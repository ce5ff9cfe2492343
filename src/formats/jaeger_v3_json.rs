//! Jaeger's stable query API: `{"result":{"resourceSpans":[…]}}` of `/api/v3/traces`, one or, from
//! older gateways that stream their answer, several one after the other. Inside stands OTLP JSON.
//!
//! Source of the rules: jaeger, `internal/proto/api_v3/query_service.proto` and the HTTP gateway
//! beside its query service, which puts `TracesData` under `result` and failures under `error`.

use std::borrow::Cow;

use super::framing::{ArrayRule, Framing, JsonFraming};
use super::jaeger_json::{says_truncated, undo_adjustments};
use super::json::{Cursor, JsonError, Result, each_value};
use super::otlp_json::{Decoder, FLAT_MEMBERS, OTLP_CAPABILITIES};
use super::{Block, Format, FormatInfo, Head, Limit, Limits, Origin, RejectReason, SpanSink};
use crate::model::{Capabilities, Repair, Span, TraceId, Value};

/// Answers of Jaeger's `/api/v3/traces`.
pub(super) struct JaegerV3Json;

static INFO: FormatInfo = FormatInfo {
    name: "jaeger-v3-json",
    title: "Jaeger v3 JSON: answers of /api/v3/traces, one or several",
    comes_from: "Jaeger's query API v3 (best with rawTraces=true)",
    // What the storage keeps differs: Elasticsearch and Cassandra round times to µs and lose
    // dropped counts. The best of them keeps all of OTLP.
    capabilities: Capabilities { duplicates_visible: false, edited_by_source: true, ..OTLP_CAPABILITIES },
};

static FRAMING: JsonFraming = JsonFraming {
    arrays: &[
        ArrayRule { key: "resourceSpans", needs: None },
        ArrayRule { key: "scopeSpans", needs: Some("resource") },
        ArrayRule { key: "spans", needs: Some("scope") },
    ],
    context: &["resource", "scope"],
    indivisible: &FLAT_MEMBERS,
    top_level_arrays: true,
};

impl Format for JaegerV3Json {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        head.has_any(&["result/resourceSpans", "result/resource_spans"])
    }

    fn framing(&self) -> Framing {
        Framing::Json(&FRAMING)
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        let mut otlp = Decoder::new(block);
        let mut heeding = Heeding(sink);
        each_value(block, limits, &mut heeding, |cursor, sink| value(&mut otlp, cursor, sink));
    }
}

fn value<'a>(otlp: &mut Decoder<'a>, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
    match cursor.peek() {
        Some(b'[') => return cursor.array(|cursor| value(otlp, cursor, sink)).map(drop),
        Some(b'{') => {}
        Some(_) if cursor.is_inside() => return cursor.skip(),
        _ => return Err(JsonError::Unexpected("expected a JSON object")),
    }
    cursor.object(|cursor, key| match (key, cursor.peek()) {
        ("result", Some(b'{' | b'[')) => otlp.root(cursor, sink),
        ("error", Some(b'{')) => error(cursor, sink),
        _ => cursor.skip(),
    })?;
    Ok(())
}

/// An error behind the results of a stream: what was found before it is not all.
fn error(cursor: &mut Cursor<'_>, sink: &mut dyn SpanSink) -> Result<()> {
    let mut message = None;
    cursor.object(|cursor, key| {
        match key {
            "message" => message = cursor.string_or_skip()?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    sink.partial(message.as_deref().unwrap_or("an error without a message"));
    Ok(())
}

/// Takes the warnings of Jaeger out of the attributes, and heeds them.
struct Heeding<'s>(&'s mut dyn SpanSink);

/// Jaeger's attribute for its warnings.
/// Source: jaeger, `internal/jptrace/warning.go`.
const WARNINGS: &str = "@jaeger@warnings";

impl SpanSink for Heeding<'_> {
    fn wants(&self, position: u64) -> bool {
        self.0.wants(position)
    }

    fn span(&mut self, span: &mut Span<'_>, origin: Origin<'_, '_>) {
        if let Some(at) = span.attributes.iter().position(|attribute| attribute.key == WARNINGS) {
            match span.attributes.remove(at).value {
                Value::Array(items) => span.warnings.extend(items.into_iter().filter_map(text)),
                other => span.warnings.extend(text(other)),
            }
            undo_adjustments(span, self.0);
            if span.warnings.iter().any(|warning| says_truncated(warning)) {
                self.0.truncated_trace(span.trace_id);
            }
        }
        self.0.span(span, origin);
    }

    fn reject(&mut self, position: u64, reason: RejectReason) {
        self.0.reject(position, reason);
    }

    fn unreadable(&mut self, position: u64, bytes: u64, reason: &str) {
        self.0.unreadable(position, bytes, reason);
    }

    fn limit(&mut self, position: u64, limit: Limit) {
        self.0.limit(position, limit);
    }

    fn repaired(&mut self, repair: Repair) {
        self.0.repaired(repair);
    }

    fn truncated_trace(&mut self, trace_id: TraceId) {
        self.0.truncated_trace(trace_id);
    }

    fn partial(&mut self, reason: &str) {
        self.0.partial(reason);
    }
}

fn text(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::whole::testing::{Told, decode};
    use super::*;

    fn result(id: &str) -> String {
        format!(
            r#"{{"result":{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","spanId":"{id}","startTimeUnixNano":"1","endTimeUnixNano":"2","flags":769}}]}}]}}]}}}}"#
        )
    }

    fn read(text: &str) -> Told {
        decode(&JaegerV3Json, text)
    }

    #[test]
    fn reads_one_result_and_streams_of_results() {
        let (one, two) = (result("a1"), result("b2"));
        for text in [format!("{one}{two}"), format!("{one}\n{two}\n"), format!("[{one},{two}]")] {
            let told = read(&text);
            assert_eq!(told.services(), ["shop", "shop"], "{text}");
            assert!(told.unreadable.is_empty() && told.rejects.is_empty() && told.partial.is_empty());
            assert_eq!(told.spans()[0].parent_is_remote, Some(true));
        }
        for empty in [r#"{"result":{"resourceSpans":[]}}"#, r#"{"result":{}}"#, r#"{"result":null}"#] {
            let told = read(empty);
            assert!(told.spans().is_empty() && told.unreadable.is_empty(), "{empty}");
        }
    }

    #[test]
    fn an_error_behind_results_says_that_they_are_not_all() {
        let told =
            read(&format!(r#"{}{{"error":{{"httpCode":500,"message":"storage is gone"}}}}"#, result("a1")));
        assert_eq!(told.spans().len(), 1);
        assert_eq!(told.partial, ["storage is gone"]);
    }

    #[test]
    fn a_cut_result_gives_its_whole_spans() {
        let text = result("a1");
        let told = read(&text[..text.len() - 3]);
        assert_eq!((told.spans().len(), told.unreadable.len()), (1, 1));
    }

    #[test]
    fn warnings_of_jaeger_are_heeded() {
        let warned = |warning: &str| {
            let attribute = format!(
                r#""attributes":[{{"key":"@jaeger@warnings","value":{{"arrayValue":{{"values":[{{"stringValue":"{warning}"}}]}}}}}}],"flags""#
            );
            read(&result("a1").replace("\"flags\"", &attribute))
        };
        let told = warned("trace has more than 5 spans, showing first 5 spans only");
        assert_eq!((told.truncated.len(), told.spans()[0].attributes.len()), (1, 0));
        assert_eq!(told.spans()[0].warnings.len(), 1);
        let told = warned("This span's timestamps were adjusted by 1ns");
        assert_eq!((told.spans()[0].start_ns, told.spans()[0].end_ns), (Some(0), Some(1)));
        let told = warned(
            "Negative duration detected, sanitizing end timestamp. Original end timestamp: 2026-01-01 00:00:00.5 +0000 UTC, adjusted to: 2026-01-01 00:00:01.000000001 +0000 UTC",
        );
        assert_eq!(told.spans()[0].end_ns, Some(1_767_225_600_500_000_000));
        assert!(told.repairs.contains(&Repair::JaegerEndAdjustment));
    }
}
