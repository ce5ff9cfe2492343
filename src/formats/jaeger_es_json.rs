//! Jaeger's span documents out of Elasticsearch or OpenSearch: `elasticdump`, answers of `_search`,
//! bulk files, bare documents. A span is written as in Jaeger's query JSON, with its process inside.
//!
//! Sources of the rules: jaeger, `internal/storage/v2/elasticsearch/tracestore/core/dbmodel` (shape)
//! and `…/tracestore/from_dbmodel.go` (mapping back).

use std::borrow::Cow;
use std::collections::HashMap;

use super::framing::Framing;
use super::jaeger_json::{Dialect, Parts, complete, process, span_member, tag_map};
use super::json::{Cursor, Result};
use super::{Block, Format, FormatInfo, Head, Limits, Origin, RejectReason, SpanSink, documents};
use crate::model::{Capabilities, Resource, Scope, Span};

/// Jaeger's documents in Elasticsearch and OpenSearch.
pub(super) struct JaegerEsJson;

static INFO: FormatInfo = FormatInfo {
    name: "jaeger-es-json",
    title: "Jaeger documents from Elasticsearch or OpenSearch: dumps, search answers, bulk files",
    comes_from: "elasticdump, _search over jaeger-span-*, bulk files",
    capabilities: Capabilities {
        time_resolution_ns: 1_000,
        flags: true,
        is_remote: true,
        links: true,
        trace_state: true,
        dropped_counts: false,
        exact_resource: true,
        duplicates_visible: true,
        edited_by_source: false,
    },
};

impl Format for JaegerEsJson {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        documents::has_all(head, &["traceID", "operationName"])
            || documents::has_all(head, &["spanID", "operationName"])
    }

    fn framing(&self) -> Framing {
        Framing::Json(&documents::FRAMING)
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        let mut decoder = Decoder {
            block,
            processes: HashMap::new(),
            resources: vec![Resource::default()],
            serials: HashMap::new(),
            span: Span::default(),
            parts: Parts::new(Dialect::Stored),
        };
        documents::each_document(block, limits, sink, |cursor, sink| decoder.document(cursor, sink));
    }
}

struct Decoder<'a> {
    block: &'a Block,
    /// Index into `resources` by the JSON text of the process, which most documents repeat.
    processes: HashMap<&'a [u8], usize>,
    /// The first stands in where a document has no process.
    resources: Vec<Resource<'a>>,
    serials: HashMap<SenderKey<'a>, usize>,
    span: Span<'a>,
    parts: Parts<'a>,
}

/// Index of the resource, scope name and scope version.
type SenderKey<'a> = (usize, Cow<'a, str>, Cow<'a, str>);

impl<'a> Decoder<'a> {
    fn document(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        self.span.clear();
        self.span.position = self.block.position(cursor.at());
        self.parts.clear();
        let mut process_text = None;
        let (span, parts) = (&mut self.span, &mut self.parts);
        cursor.object(|cursor, key| match (key, cursor.peek()) {
            ("process", Some(b'{')) => {
                process_text = Some(cursor.clone());
                cursor.skip()
            }
            ("tag", Some(b'{')) => tag_map(cursor, &mut span.attributes),
            _ => span_member(span, parts, cursor, key, sink),
        })?;
        cursor.commit();
        if !parts.any {
            sink.reject(span.position, RejectReason::NoSpanFields);
            return Ok(());
        }
        let scope = complete(span, parts, sink);
        let number = process_text.map_or(Ok(0), |text| self.process(text))?;
        self.deliver(number, &scope, sink);
        Ok(())
    }

    fn deliver(&mut self, number: usize, scope: &Scope<'a>, sink: &mut dyn SpanSink) {
        let next = self.serials.len();
        let key = (number, scope.name.clone(), scope.version.clone());
        let serial = *self.serials.entry(key).or_insert(next);
        sink.span(&mut self.span, Origin { resource: &self.resources[number], scope, serial });
    }

    /// The index of the resource of the process at this cursor, which is known to be an object.
    fn process(&mut self, mut cursor: Cursor<'a>) -> Result<usize> {
        let start = cursor.at();
        let mut end = cursor.clone();
        end.skip()?;
        let text = &self.block.bytes[start..end.at()];
        if let Some(number) = self.processes.get(text) {
            return Ok(*number);
        }
        self.resources.push(process(&mut cursor, Dialect::Stored)?);
        let number = self.resources.len() - 1;
        self.processes.insert(text, number);
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::super::framing::Splitter;
    use super::super::whole::testing::{Told, decode};
    use super::super::{Detection, detect};
    use super::*;
    use crate::model::{SpanId, SpanKind, StatusCode, Value};

    const T: &str = "4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f";

    fn document(rest: &str) -> String {
        format!(
            r#"{{"traceID":"{T}","spanID":"b2","operationName":"op","startTime":1767225600000000,"startTimeMillis":1767225600000,"duration":"7","process":{{"serviceName":"shop","tags":[],"tag":{{"host@name":"h"}}}}{rest}}}"#
        )
    }

    fn read(text: &str) -> Told {
        decode(&JaegerEsJson, text)
    }

    fn one(rest: &str) -> Span<'static> {
        let told = read(&document(rest));
        assert!(told.rejects.is_empty() && told.unreadable.is_empty(), "{told:?}");
        told.spans()[0].clone()
    }

    #[test]
    fn reads_every_envelope() {
        let doc = document("");
        let hit = format!(r#"{{"_index":"jaeger-span-2026-01-01","_id":"x","_score":1,"_source":{doc}}}"#);
        let search = format!(
            r#"{{"took":5,"timed_out":false,"_shards":{{"total":5,"failed":0}},"hits":{{"total":{{"value":2}},"max_score":1.0,"hits":[{hit},{hit}]}}}}"#
        );
        for text in [
            format!("{doc}\n{doc}\n"),
            format!("[{doc},{doc}]"),
            format!("{hit}\n{hit}\n"),
            format!("{{\"index\":{{}}}}\n{doc}\n{{\"create\":{{\"_id\":\"1\"}}}}\n{doc}\n"),
            format!(
                "{{\"update\":{{\"_id\":\"1\"}}}}\n{{\"doc\":{doc}}}\n{{\"delete\":{{\"_id\":\"1\"}}}}\n{doc}\n"
            ),
            search.clone(),
            format!(r#"{{"_scroll_id":"x",{}"#, &search[1..]),
            format!(r#"{{"responses":[{search}]}}"#),
        ] {
            let told = read(&text);
            assert_eq!(told.services(), ["shop", "shop"], "{text}");
            assert!(told.rejects.is_empty() && told.unreadable.is_empty() && told.partial.is_empty());
            assert_eq!(told.whole.spans()[0].resource.text(&["host.name"]), "h");
            assert_eq!(told.serials, [0, 0]);
            let found = detect(&Head::new(text.as_bytes()));
            assert!(matches!(found, Detection::Known(format) if format.info().name == INFO.name), "{text}");
        }
    }

    #[test]
    fn what_a_search_says_behind_a_cut_is_told_once() {
        let hit = format!(r#"{{"_source":{}}}"#, document(""));
        for (before, behind) in [(r#""timed_out":true,"#, ""), ("", r#","timed_out":true"#)] {
            let text = format!(r#"{{{before}"hits":{{"hits":[{hit},{hit},{hit}]}}{behind}}}"#);
            let mut splitter =
                Splitter::with_block_bytes(JaegerEsJson.framing(), &Limits::default(), hit.len());
            let mut reader = text.as_bytes();
            let mut told = Told::default();
            while let Some(block) = splitter.next_block(&mut reader).unwrap() {
                JaegerEsJson.decode(&block, &Limits::default(), &mut told);
            }
            assert_eq!(told.spans().len(), 3, "{text}");
            assert_eq!(told.partial, ["the search timed out"], "{text}");
        }
    }

    #[test]
    fn a_search_that_was_not_answered_by_all_is_partial() {
        let told = read(r#"{"took":5,"timed_out":true,"_shards":{"failed":2},"hits":{"hits":[]}}"#);
        assert_eq!(told.partial, ["the search timed out", "2 shards did not answer the search"]);
    }

    #[test]
    fn the_field_wins_over_the_references() {
        let reference =
            |kind: &str, id: &str| format!(r#"{{"refType":"{kind}","traceID":"{T}","spanID":"{id}"}}"#);
        let cases = [
            // Since 2.20 the reference may be left out; what is left then are links.
            (r#""parentSpanID":"77""#.to_owned(), reference("FOLLOWS_FROM", "3"), Some(0x77), 1),
            (
                r#""parentSpanID":"77""#.to_owned(),
                format!("{},{}", reference("CHILD_OF", "77"), reference("CHILD_OF", "4")),
                Some(0x77),
                1,
            ),
            (r#""parentSpanID":"""#.to_owned(), reference("FOLLOWS_FROM", "3"), Some(3), 0),
            (r#""flags":1"#.to_owned(), reference("CHILD_OF", "4"), Some(4), 0),
            (r#""flags":1"#.to_owned(), String::new(), None, 0),
        ];
        for (member, references, parent, links) in cases {
            let span = one(&format!(r#",{member},"references":[{references}]"#));
            assert_eq!((span.parent_span_id, span.links.len()), (parent.map(SpanId), links), "{member}");
        }
        assert_eq!(one(r#","parentSpanID":"x-1""#).malformed.len(), 1);
    }

    #[test]
    fn tags_stand_in_a_map_or_a_list_of_texts() {
        let span = one(
            r#","tag":{"span@kind":"server","error":true,"http@status_code":500},"tags":[{"key":"n","type":"int64","value":"9007199254740993"},
            {"key":"f","type":"float64","value":"72.5"},{"key":"b","type":"bool","value":"true"},{"key":"bin","type":"binary","value":"00003039"}]"#,
        );
        assert_eq!((span.kind, span.status), (SpanKind::Server, StatusCode::Error));
        let found: Vec<(&str, Value<'_>)> =
            span.attributes.iter().map(|tag| (tag.key.as_ref(), tag.value.clone())).collect();
        let bytes = Value::Bytes(Cow::Borrowed(&[0, 0, 0x30, 0x39]));
        assert_eq!(
            found,
            [
                ("http.status_code", Value::Int(500)),
                ("n", Value::Int(9_007_199_254_740_993)),
                ("f", Value::Double(72.5)),
                ("b", Value::Bool(true)),
                ("bin", bytes)
            ]
        );
    }

    #[test]
    fn flags_are_those_of_otlp_when_they_say_so() {
        for (flags, kept, remote) in
            [(1, 1, None), (3, 1, None), (257, 257, Some(false)), (769, 769, Some(true))]
        {
            let span = one(&format!(r#","flags":{flags}"#));
            assert_eq!((span.flags, span.parent_is_remote), (Some(kept), remote));
        }
    }

    #[test]
    fn what_is_no_document_is_told() {
        let told = read(&format!("[{},7,{{}},{{\"x\":1}}]\n{{\"_source\":{{\"spanID\":\"zz\"", document("")));
        let reasons: Vec<RejectReason> = told.rejects.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(
            reasons,
            [RejectReason::NotAnObject, RejectReason::NoSpanFields, RejectReason::NoSpanFields]
        );
        assert_eq!((told.spans().len(), told.unreadable.len()), (1, 1));
    }
}
