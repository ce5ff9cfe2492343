use std::io;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

static OTLP: JsonFraming = JsonFraming {
    arrays: &[
        ArrayRule { key: "resourceSpans", needs: None },
        ArrayRule { key: "scopeSpans", needs: Some("resource") },
        ArrayRule { key: "spans", needs: Some("scope") },
    ],
    context: &["resource", "scope"],
    indivisible: &[],
    top_level_arrays: true,
};

static JAEGER: JsonFraming = JsonFraming {
    arrays: &[ArrayRule { key: "data", needs: None }, ArrayRule { key: "spans", needs: Some("processes") }],
    context: &["processes"],
    indivisible: &[],
    top_level_arrays: true,
};

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

fn split(
    framing: Framing,
    limits: &Limits,
    block_bytes: usize,
    bytes: &[u8],
) -> (Vec<Block>, Option<SplitError>) {
    let mut splitter = Splitter::with_block_bytes(framing, limits, block_bytes);
    let mut reader = Slow { bytes, step: 7 };
    let mut blocks = Vec::new();
    loop {
        match splitter.next_block(&mut reader) {
            Ok(Some(block)) => blocks.push(block),
            Ok(None) => return (blocks, None),
            Err(error) => return (blocks, Some(error)),
        }
    }
}

fn json(rules: &'static JsonFraming, block_bytes: usize, text: &str) -> Vec<Block> {
    let (blocks, error) = split(Framing::Json(rules), &Limits::default(), block_bytes, text.as_bytes());
    assert!(error.is_none(), "{error:?}");
    assert_own_bytes(&blocks, text.as_bytes());
    blocks
}

/// The own bytes are the input, but for the commas at cuts.
fn assert_own_bytes(blocks: &[Block], input: &[u8]) {
    let mut at = 0;
    for block in blocks {
        assert_eq!(block.offset, at as u64);
        let own = &block.bytes[block.replayed..block.bytes.len() - block.closing];
        assert!(!own.is_empty());
        for (index, (own, input)) in own.iter().zip(&input[at..]).enumerate() {
            let comma_at_cut = block.replayed > 0 && *own == b' ' && *input == b',';
            assert!(own == input || comma_at_cut, "byte {index} of the block at {at}");
        }
        at += own.len();
        assert_eq!(block.end(), at as u64);
    }
    assert_eq!(at, input.len());
}

fn values(bytes: &[u8]) -> Vec<Value> {
    serde_json::Deserializer::from_slice(bytes)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

/// Each span with its resource and scope, as text.
fn otlp_spans(value: &Value, into: &mut Vec<String>) {
    for resource_spans in items(&value["resourceSpans"]) {
        for scope_spans in items(&resource_spans["scopeSpans"]) {
            for span in items(&scope_spans["spans"]) {
                into.push(format!("{}|{}|{span}", resource_spans["resource"], scope_spans["scope"]));
            }
        }
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn all_otlp(values: &[Value]) -> Vec<String> {
    let mut spans = Vec::new();
    for value in values {
        for value in value.as_array().unwrap_or(&vec![value.clone()]) {
            otlp_spans(value, &mut spans);
        }
    }
    spans
}

fn otlp_document(resources: usize, scopes: usize, spans: usize) -> Value {
    let span = |id: usize| json!({"name": format!("s{id} }}]\\\"["), "events": [{"a": [1, 2]}, {}]});
    let scope = |id: usize| {
        let spans: Vec<Value> = (0..spans).map(|index| span(id * 100 + index)).collect();
        json!({"scope": {"name": format!("scope{id}")}, "spans": spans, "tail": id})
    };
    let resource = |id: usize| {
        let scopes: Vec<Value> = (0..scopes).map(|index| scope(id * 10 + index)).collect();
        json!({"resource": {"attributes": [{"key": "k", "value": id}]}, "scopeSpans": scopes})
    };
    json!({"resourceSpans": (0..resources).map(resource).collect::<Vec<_>>()})
}

#[test]
fn cuts_an_otlp_document_inside_and_replays_resource_and_scope() {
    let text = r#"{"resourceSpans":[{"resource":{"a":1},"scopeSpans":[{"scope":{"n":"x"},"spans":[{"name":"1"},{"name":"2"},{"name":"3"}]}]}]}"#;
    let blocks = json(&OTLP, 16, text);
    let last = String::from_utf8(blocks.last().unwrap().bytes.clone()).unwrap();
    let prefix = r#"{"resourceSpans":[{"resource":{"a":1},"scopeSpans":[{"scope":{"n":"x"},"spans":["#;
    assert!(last.starts_with(prefix), "{last}");
    assert!(blocks.len() >= 2);
    let seen: Vec<Value> = blocks.iter().flat_map(|block| values(&block.bytes)).collect();
    assert_eq!(all_otlp(&seen), all_otlp(&values(text.as_bytes())));
    assert!(!last.contains(r#""name":"1""#));
}

#[test]
fn positions_in_a_block_with_a_replayed_prefix_are_those_of_the_input() {
    let text = otlp_document(2, 2, 5).to_string();
    for block in json(&OTLP, 32, &text) {
        let own = &block.bytes[block.replayed..block.bytes.len() - block.closing];
        let Some(found) = memchr::memmem::find(own, b"\"name\":\"s") else { continue };
        let position = block.position(block.replayed + found) as usize;
        assert!(text[position..].starts_with("\"name\":\"s"));
    }
}

#[test]
fn does_not_cut_where_the_scope_comes_behind_its_spans() {
    let text = r#"{"resourceSpans":[{"resource":{},"scopeSpans":[{"spans":[{"name":"1"},{"name":"2"}],"scope":{"n":1}},{"spans":[{"name":"3"}],"scope":{"n":2}}]}]}"#;
    let seen: Vec<Value> = json(&OTLP, 4, text).iter().flat_map(|block| values(&block.bytes)).collect();
    assert_eq!(all_otlp(&seen), all_otlp(&values(text.as_bytes())));
}

#[test]
fn cuts_jaeger_data_and_never_attributes_of_that_name() {
    let traces: Vec<Value> = (0..20)
        .map(|id| {
            json!({"traceID": id, "spans": [{"tags": [{"data": [1, 2, 3]}]}, {"logs": {"spans": [4, 5]}}],
                "processes": {"p1": {"data": [6, 7]}}})
        })
        .collect();
    let text = json!({"data": traces, "total": 0, "errors": null}).to_string();
    let blocks = json(&JAEGER, 64, &text);
    assert!(blocks.len() > 10);
    let seen: Vec<Value> = blocks
        .iter()
        .flat_map(|block| values(&block.bytes))
        .flat_map(|value| items(&value["data"]).to_vec())
        .collect();
    assert_eq!(seen, traces);
}

#[test]
fn only_what_elements_need_is_repeated_after_a_cut() {
    let text =
        r#"{"spans":[{"id":0}],"processes":{},"errors":[1],"data":[{"id":1},{"id":2}],"spans":[{"id":3}]}"#;
    let blocks = json(&JAEGER, 1, text);
    let last = String::from_utf8(blocks.last().unwrap().bytes.clone()).unwrap();
    assert!(last.starts_with(r#"{"processes":{},"#), "{last}");
    let all: String = blocks.iter().map(|block| String::from_utf8_lossy(&block.bytes).into_owned()).collect();
    for id in 0..4 {
        assert_eq!(all.matches(&format!(r#"{{"id":{id}}}"#)).count(), 1, "{all}");
    }
    assert_eq!(all.matches("errors").count(), 1, "{all}");
}

#[test]
fn commas_without_members_repeat_nothing() {
    let commas = ",".repeat(10_000);
    let text = format!(r#"{{"processes":{{}}{commas}"data":[{{}},{{}},{{}}]}}"#);
    let decoded: usize = json(&JAEGER, 1, &text).iter().map(|block| block.bytes.len()).sum();
    assert!(decoded < text.len() + 200, "{decoded} of {}", text.len());
}

#[test]
fn cuts_nested_arrays_at_the_top() {
    let traces: Vec<Vec<Value>> =
        (0..10).map(|trace| (0..5).map(|span| json!({"id": trace * 10 + span})).collect()).collect();
    let text = serde_json::to_string(&traces).unwrap();
    let blocks = json(&OTLP, 12, &text);
    assert!(blocks.len() > 20);
    let seen: Vec<Value> = blocks
        .iter()
        .flat_map(|block| values(&block.bytes))
        .flat_map(|value| items(&value).iter().flat_map(|trace| items(trace).to_vec()).collect::<Vec<_>>())
        .collect();
    assert_eq!(seen, traces.concat());
}

#[test]
fn json_lines_are_cut_at_newlines_and_nothing_is_replayed() {
    let text = "{\"a\":1}\n{\"b\":[{},{}]}\r\n\n{\"c\":\"x\"}\n".repeat(50);
    let blocks = json(&OTLP, 40, &text);
    assert!(blocks.len() > 20);
    for block in &blocks {
        assert_eq!((block.replayed, block.closing), (0, 0));
        assert!(block.bytes.ends_with(b"\n"));
        values(&block.bytes);
    }
}

#[test]
fn a_compact_value_may_be_followed_by_printed_ones() {
    let value = otlp_document(1, 2, 2);
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    let text = format!("{value}\n{pretty}\n{pretty}{value}{value}\n");
    for block_bytes in [8, 100, 1000] {
        let seen: Vec<Value> =
            json(&OTLP, block_bytes, &text).iter().flat_map(|block| values(&block.bytes)).collect();
        assert_eq!(all_otlp(&seen), all_otlp(&values(text.as_bytes())));
    }
}

#[test]
fn a_line_that_begins_a_value_ends_a_damaged_one() {
    let good = "{\"name\":\"good\",\"list\":[1,2]}\n";
    for damage in ["tail\"}]}]}\n", "{\"a\":\"cut in str\n", "{\"a\":[{\"b\":1,\n", "{\"a\":[1}\n"] {
        let text = format!("{damage}{}", good.repeat(20));
        let blocks = json(&OTLP, 30, &text);
        let whole = blocks.iter().filter(|block| block.bytes.starts_with(b"{\"name\":\"good")).count();
        assert!(whole > 8, "{damage:?}: {whole} of {}", blocks.len());
    }
}

#[test]
fn deep_nesting_ends_the_input_at_the_bracket() {
    let limits = Limits { max_depth: 8, ..Limits::default() };
    let text = format!("{{\"a\":1}}{}", "[".repeat(10_000));
    let (blocks, error) = split(Framing::Json(&OTLP), &limits, 10, text.as_bytes());
    assert!(matches!(error, Some(SplitError::Limit { position: 15, limit: Limit::Depth })), "{error:?}");
    assert_own_bytes(&blocks, &text.as_bytes()[..16]);
}

#[test]
fn a_record_that_cannot_be_cut_ends_the_input() {
    let limits = Limits { max_record: 100, ..Limits::default() };
    let text = format!("{{}} {{\"a\":\"{}\"}}", "x".repeat(5000));
    let (blocks, error) = split(Framing::Json(&OTLP), &limits, 10, text.as_bytes());
    assert!(matches!(error, Some(SplitError::Limit { position: 3, limit: Limit::Record })), "{error:?}");
    assert!(blocks.last().unwrap().bytes.len() < 200);
}

#[test]
fn a_prefix_that_grows_does_not_make_the_work_quadratic() {
    let resource = "r".repeat(2000);
    let spans = vec!["{\"name\":\"1\"}"; 2000].join(",");
    let text = format!(
        "{{\"resourceSpans\":[{{\"resource\":\"{resource}\",\"scopeSpans\":[{{\"scope\":{{}},\"spans\":[{spans}]}}]}}]}}"
    );
    let decoded: usize = json(&OTLP, 8, &text).iter().map(|block| block.bytes.len()).sum();
    assert!(decoded < 3 * text.len(), "{decoded} of {}", text.len());
}

#[test]
fn stray_bytes_are_passed_on() {
    for text in
        ["", "   ", "]]]}}}", "\u{feff}{}", "\"", "nonsense \\ \" {", "\0\0\0\0\0\0\0\0\0\0\0\0{}", "[,,,]"]
    {
        json(&OTLP, 3, text);
    }
}

#[test]
fn frames_are_cut_at_their_ends() {
    let mut bytes = Vec::new();
    for len in [0_u32, 3, 50, 1, 2] {
        bytes.extend(len.to_be_bytes());
        bytes.extend(vec![0xff; len as usize]);
    }
    let (blocks, error) = split(Framing::LengthPrefixed, &Limits::default(), 10, &bytes);
    assert!(error.is_none());
    assert_own_bytes(&blocks, &bytes);
    let lens: Vec<usize> = blocks.iter().map(|block| block.bytes.len()).collect();
    assert_eq!(lens, [4, 7, 54, 5, 6]);
}

#[test]
fn arrays_are_cut_only_inside_of_those_that_stand_before_them() {
    let text = r#"{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{"scope":{},"spans":[{},{}],"name":"1"}]}]}]}"#;
    let blocks = json(&OTLP, 1, text);
    let inner = r#"{"scope":{},"spans":[{},{}],"name":"1"}"#;
    assert!(String::from_utf8_lossy(&blocks[0].bytes).contains(inner), "{blocks:?}");
}

#[test]
fn an_object_is_not_cut_behind_members_that_others_need() {
    let rules = JsonFraming { indivisible: &["processes", "x"], ..JAEGER };
    let rules: &'static JsonFraming = Box::leak(Box::new(rules));
    for (text, blocks) in [
        (r#"{"processes":{"p":{"data":[{},{}]}},"y":1}"#, 1),
        (r#"{"x":1,"data":[{},{}],"y":1}"#, 1),
        (r#"{"x":1,"y":{"data":[{},{}]}}"#, 1),
        (r#"{"y":1,"data":[{},{}],"x":1}"#, 3),
    ] {
        let found = json(rules, 1, text);
        assert_eq!(found.len(), blocks, "{text}");
    }
}

#[test]
fn a_cut_frame_is_passed_on_and_one_too_long_ends_the_input() {
    let (blocks, error) = split(Framing::LengthPrefixed, &Limits::default(), 8, b"\0\0\0\x01a\0\0\0\x40abc");
    assert!(error.is_none());
    assert_eq!(blocks.last().unwrap().bytes, b"\0\0\0\x40abc");
    let (blocks, error) =
        split(Framing::LengthPrefixed, &Limits::default(), 8, b"\0\0\0\x01a\xff\0\0\x40abcdef");
    assert!(matches!(error, Some(SplitError::Limit { position: 5, limit: Limit::Record })), "{error:?}");
    assert_eq!(blocks.len(), 1);
}

#[test]
fn delimited_messages_are_cut_at_their_ends() {
    let bytes = [&[0_u8, 3][..], &[0xff; 3], &[0xac, 2], &[0xff; 300], &[1, 0xff, 5, 0xff]].concat();
    let (blocks, error) = split(Framing::VarintPrefixed, &Limits::default(), 5, &bytes);
    assert!(error.is_none());
    assert_own_bytes(&blocks, &bytes);
    let lens: Vec<usize> = blocks.iter().map(|block| block.bytes.len()).collect();
    assert_eq!(lens, [5, 302, 4]);

    let limits = Limits { max_record: 10, ..Limits::default() };
    let (blocks, error) = split(Framing::VarintPrefixed, &limits, 5, &bytes);
    assert!(matches!(error, Some(SplitError::Limit { position: 5, limit: Limit::Record })), "{error:?}");
    assert_own_bytes(&blocks, &bytes[..5]);
}

#[test]
fn protobuf_is_cut_between_fields() {
    let mut bytes = Vec::new();
    for len in [3_u8, 100, 0, 7] {
        bytes.extend([0x0a, len]);
        bytes.extend(vec![0xff; usize::from(len)]);
    }
    bytes.extend([0x10, 0x96, 0x01, 0x0a, 0x01, 0x00]);
    let (blocks, error) = split(Framing::ProtobufFields, &Limits::default(), 4, &bytes);
    assert!(error.is_none());
    assert_own_bytes(&blocks, &bytes);
    assert!(blocks.iter().all(|block| matches!(block.bytes[0], 0x0a | 0x10)));
    assert!(blocks.len() >= 5);

    let (blocks, error) = split(Framing::ProtobufFields, &Limits::default(), 4, &[0x0b; 40]);
    assert!(error.is_none() && blocks.len() == 1);
    let limits = Limits { max_record: 10, ..Limits::default() };
    let (_, error) = split(Framing::ProtobufFields, &limits, 4, &[0x0b; 40]);
    assert!(matches!(error, Some(SplitError::Limit { position: 0, limit: Limit::Record })));
}

#[test]
fn a_failing_reader_gives_what_was_read_first() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    let mut splitter = Splitter::new(Framing::Json(&OTLP), &Limits::default());
    let mut reader = b"{\"a\":1}\n{\"b\"".chain(Fails);
    assert_eq!(splitter.next_block(&mut reader).unwrap().unwrap().own_len(), 12);
    assert!(matches!(splitter.next_block(&mut reader), Err(SplitError::Io { position: 12, .. })));
    assert!(splitter.next_block(&mut reader).unwrap().is_none());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~\\n\u{e9}]{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("spans".to_owned()),
        Just("scope".to_owned()),
        Just("resource".to_owned()),
        Just("scopeSpans".to_owned()),
        Just("resourceSpans".to_owned()),
        "[a-z\"\\\\]{0,3}",
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_cut_into_valid_blocks(
        documents in proptest::collection::vec((any_json(), any::<bool>()), 1..4),
        block_bytes in 1_usize..80,
    ) {
        let mut text = String::new();
        for (value, pretty) in &documents {
            let value = json!([value]);
            let printed = if *pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            text.push_str(&printed.unwrap());
            text.push('\n');
        }
        for block in json(&OTLP, block_bytes, &text) {
            values(&block.bytes);
        }
    }

    #[test]
    fn every_span_is_seen_once(
        resources in 0_usize..4, scopes in 0_usize..4, spans in 0_usize..6,
        block_bytes in 1_usize..400, pretty: bool, in_array: bool, copies in 1_usize..3,
    ) {
        let document = otlp_document(resources, scopes, spans);
        let value = if in_array { json!([document, document]) } else { document };
        let printed = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = printed.unwrap().repeat(copies);
        let seen: Vec<Value> = json(&OTLP, block_bytes, &text).iter().flat_map(|block| values(&block.bytes)).collect();
        prop_assert_eq!(all_otlp(&seen), all_otlp(&values(text.as_bytes())));
    }

    #[test]
    fn any_bytes_are_accounted_for(bytes in proptest::collection::vec(
        prop_oneof![Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b'"'), Just(b'\\'), Just(b'\n'), Just(b','), Just(b':'), any::<u8>()],
        0..300), block_bytes in 1_usize..50)
    {
        for framing in [
            Framing::Json(&OTLP), Framing::LengthPrefixed, Framing::VarintPrefixed, Framing::ProtobufFields,
        ] {
            let (blocks, error) = split(framing, &Limits::default(), block_bytes, &bytes);
            let end = blocks.last().map_or(0, |block| block.end() as usize);
            prop_assert!(error.is_some() || end == bytes.len());
            assert_own_bytes(&blocks, &bytes[..end]);
        }
    }
}

/// Lines of a container's log: values on a line, in parts, over many lines, and other text.
fn container_log() -> impl Strategy<Value = String> {
    const PREFIX: &str = "2026-01-01T00:00:00.000000001Z stdout";
    let line = prop_oneof![
        3 => (0..50_u32).prop_map(|id| format!("{PREFIX} F {{\"id\":{id}}}\n")),
        2 => (0..50_u32, 1..4_usize).prop_map(|(id, parts)| {
            let parts = format!("{PREFIX} P  \"x\",\n").repeat(parts);
            format!("{PREFIX} P {{\"id\":{id},\"parts\":[\n{parts}{PREFIX} F 0]}}\n")
        }),
        2 => (0..50_u32).prop_map(|id| format!("{PREFIX} F {{\n{PREFIX} F   \"id\": {id}\n{PREFIX} F }}\n")),
        1 => Just(format!("{PREFIX} F GET / 200\n")),
        1 => Just("no prefix\n".to_owned()),
        1 => Just(format!("{PREFIX} P cut")),
    ];
    proptest::collection::vec(line, 1..30)
        .prop_map(|lines| format!("{PREFIX} F {{}}\n{PREFIX} P [\n{PREFIX} F 1]\n{}", lines.concat()))
}

proptest! {
    #[test]
    fn a_log_is_put_right_the_same_however_it_is_cut(text in container_log(), block_bytes in 64..2_000_usize) {
        let limits = Limits::default();
        let (blocks, error) = split(Framing::Json(&OTLP), &limits, block_bytes, text.as_bytes());
        prop_assert!(error.is_none());
        let mut at = 0;
        let mut own = Vec::new();
        for block in &blocks {
            prop_assert_eq!(block.offset, at);
            at = block.end();
            own.extend_from_slice(&block.bytes[block.replayed..block.bytes.len() - block.closing]);
        }
        prop_assert_eq!(at, text.len() as u64);
        prop_assert_eq!(Some(own), log_lines::undone(text.as_bytes()));
    }
}
