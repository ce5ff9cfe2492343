//! stub
use super::framing::Framing;
use super::{Block, Format, FormatInfo, Head, Limits, SpanSink};
pub(super) struct OtlpProtobuf;
pub(super) struct OtlpProtobufFrames;
static INFO: FormatInfo = FormatInfo {
    name: "otlp-protobuf",
    title: "",
    comes_from: "",
    capabilities: super::otlp_json::OTLP_CAPABILITIES,
};
impl Format for OtlpProtobuf {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }
    fn detect(&self, _: &Head<'_>) -> bool {
        false
    }
    fn framing(&self) -> Framing {
        Framing::ProtobufFields
    }
    fn decode(&self, _: &Block, _: &Limits, _: &mut dyn SpanSink) {}
}
impl Format for OtlpProtobufFrames {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }
    fn detect(&self, _: &Head<'_>) -> bool {
        false
    }
    fn framing(&self) -> Framing {
        Framing::LengthPrefixed
    }
    fn decode(&self, _: &Block, _: &Limits, _: &mut dyn SpanSink) {}
}
