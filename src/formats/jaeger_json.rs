//! stub
use super::framing::{Framing, JsonFraming};
use super::{Block, Format, FormatInfo, Head, Limits, SpanSink};
pub(super) struct JaegerJson;
static INFO: FormatInfo = FormatInfo {
    name: "jaeger_json",
    title: "",
    comes_from: "",
    capabilities: super::otlp_json::OTLP_CAPABILITIES,
};
static FRAMING: JsonFraming = JsonFraming { arrays: &[], top_level_arrays: true };
impl Format for JaegerJson {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }
    fn detect(&self, _: &Head<'_>) -> bool {
        false
    }
    fn framing(&self) -> Framing {
        Framing::Json(&FRAMING)
    }
    fn decode(&self, _: &Block, _: &Limits, _: &mut dyn SpanSink) {}
}
