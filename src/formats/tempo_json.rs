//! Answers of Tempo for one trace: `{"batches":[…]}` of `/api/traces/{id}` and
//! `{"trace":{…},"status":…}` of `/api/v2/traces/{id}`. Inside stands OTLP as gogo's `jsonpb` writes
//! it: ids in base64, enums by name.
//!
//! Source of the rules: tempo, `pkg/tempopb/tempo.proto` (`TraceByIDResponse`) and
//! `pkg/tempopb/trace_utils.go` (`batches`).

use std::borrow::Cow;

use super::framing::{Framing, JsonFraming};
use super::json::{Cursor, JsonError, Result, each_value};
use super::noting::Noting;
use super::otlp_json::{Decoder, OTLP_CAPABILITIES};
use super::{Block, Format, FormatInfo, Head, Limits, SpanSink};
use crate::model::Capabilities;

/// Answers of Tempo's `/api/traces` and `/api/v2/traces`.
pub(super) struct TempoJson;

static INFO: FormatInfo = FormatInfo {
    name: "tempo-json",
    title: "Tempo JSON: answers of /api/traces and /api/v2/traces",
    comes_from: "Tempo's query API",
    // Tempo keeps one span for each id and kind, and gives server spans that share the id of their
    // client an id of its own.
    capabilities: Capabilities { duplicates_visible: false, edited_by_source: true, ..OTLP_CAPABILITIES },
};

/// An answer is one trace, which Tempo bounds, and whether it is whole is said behind it: so it is
/// not cut inside.
static FRAMING: JsonFraming =
    JsonFraming { arrays: &[], context: &[], indivisible: &[], top_level_arrays: true };

/// Keys under which Tempo puts OTLP.
const BATCHES: [&str; 3] = ["batches/resource", "batches/scopeSpans", "batches/instrumentationLibrarySpans"];

impl Format for TempoJson {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        head.has_any(&BATCHES) || head.has_any(&["trace/resourceSpans", "trace/batches"])
    }

    fn framing(&self) -> Framing {
        Framing::Json(&FRAMING)
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        let mut otlp = Decoder::new(block);
        each_value(block, limits, sink, |cursor, sink| value(&mut otlp, cursor, sink));
    }
}

fn value<'a>(otlp: &mut Decoder<'a>, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
    match cursor.peek() {
        Some(b'[') => cursor.array(|cursor| value(otlp, cursor, sink)).map(drop),
        Some(b'{') => answer(otlp, cursor, sink),
        Some(_) if cursor.is_inside() => cursor.skip(),
        _ => Err(JsonError::Unexpected("expected a JSON object")),
    }
}

/// One answer of either version of the API.
fn answer<'a>(otlp: &mut Decoder<'a>, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
    let mut noting = Noting::new(sink);
    let (mut is_partial, mut message) = (false, None);
    let outcome = cursor.object(|cursor, key| {
        match (key, cursor.peek()) {
            ("trace", Some(b'{')) => otlp.root(cursor, &mut noting)?,
            ("batches" | "resourceSpans", _) => otlp.resource_spans_list(cursor, &mut noting)?,
            ("status", _) => is_partial = says_partial(cursor)?,
            ("message", _) => message = cursor.string_or_skip()?,
            _ => cursor.skip()?,
        }
        Ok(())
    });
    end(noting, outcome.map(drop), is_partial, message)
}

/// `COMPLETE` is left out; enums may stand as numbers.
fn says_partial(cursor: &mut Cursor<'_>) -> Result<bool> {
    Ok(matches!(cursor.text()?.as_deref(), Some("PARTIAL" | "1")))
}

/// After a cut or a syntax error nobody knows which spans are missing either.
fn end(
    mut noting: Noting<'_>,
    outcome: Result<()>,
    is_partial: bool,
    message: Option<Cow<'_, str>>,
) -> Result<()> {
    if is_partial {
        let message = message.filter(|text| !text.is_empty());
        noting.partial(message.as_deref().unwrap_or("Tempo returned a part of the trace"));
    }
    if is_partial || outcome.is_err() {
        noting.truncated();
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::super::whole::testing::{Told, decode};
    use super::super::{Detection, detect};
    use super::*;
    use crate::model::{SpanId, SpanKind};

    const TRACE: &str = "4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f";

    fn spans(scopes: &str, time: &str) -> String {
        format!(
            r#"[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},"{scopes}":[{{"spans":[{{"traceId":"TxwtPkpbbH2OnwobLD1OXw==","spanId":"oaGhoaGhoaE=","parentSpanId":"AAAAAAAAAOU=","kind":"SPAN_KIND_SERVER","startTimeUnixNano":{time},"endTimeUnixNano":{time}}}]}}]}}]"#
        )
    }

    fn list() -> String {
        spans("scopeSpans", r#""1767225600000000000""#)
    }

    fn read(text: &str) -> Told {
        decode(&TempoJson, text)
    }

    #[test]
    fn reads_both_versions() {
        let list = list();
        for text in [
            format!(r#"{{"batches":{list}}}"#),
            format!(r#"{{"trace":{{"resourceSpans":{list}}},"metrics":{{}}}}"#),
            format!(r#"{{"trace":{{"batches":{list}}},"status":"COMPLETE"}}"#),
        ] {
            let told = read(&text);
            assert_eq!(told.services(), ["shop"], "{text}");
            assert!(told.unreadable.is_empty() && told.truncated.is_empty() && told.partial.is_empty());
            let span = told.spans()[0];
            assert_eq!(span.trace_id.to_string(), TRACE);
            assert_eq!((span.parent_span_id, span.kind), (Some(SpanId(0xe5)), SpanKind::Server));
        }
        assert!(read(r#"{"trace":{},"metrics":{}}"#).spans().is_empty());
    }

    #[test]
    fn a_partial_trace_is_truncated_wherever_that_is_said() {
        let list = list();
        let trace = format!(r#""trace":{{"resourceSpans":{list}}}"#);
        for (text, reason) in [
            (format!(r#"{{{trace},"status":"PARTIAL","message":"too large"}}"#), "too large"),
            (format!(r#"{{"status":1,{trace}}}"#), "Tempo returned a part of the trace"),
        ] {
            let told = read(&text);
            assert_eq!(told.partial, [reason]);
            assert_eq!(told.truncated, [told.spans()[0].trace_id]);
        }
    }

    #[test]
    fn a_cut_answer_is_truncated() {
        let text = format!(r#"{{"trace":{{"resourceSpans":{}}},"sta"#, list());
        let told = read(&text);
        assert_eq!((told.spans().len(), told.unreadable.len(), told.truncated.len()), (1, 1, 1));
    }

    #[test]
    fn numbers_as_times_come_from_grafana() {
        for (scopes, time, name) in [
            ("scopeSpans", r#""1767225600000000000""#, "tempo-json"),
            ("instrumentationLibrarySpans", r#""1767225600000000000""#, "tempo-json"),
            ("instrumentationLibrarySpans", "1.7672256e+18", "grafana-tempo-json"),
            ("scopeSpans", "1767225600000000000", "grafana-tempo-json"),
        ] {
            let text = format!(r#"{{"batches":{}}}"#, spans(scopes, time));
            let Detection::Known(format) = detect(&Head::new(text.as_bytes())) else { panic!("{text}") };
            assert_eq!(format.info().name, name, "{text}");
            let told = decode(format, text);
            assert_eq!(told.spans()[0].start_ns, Some(1_767_225_600_000_000_000));
        }
    }
}
