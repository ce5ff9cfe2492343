//! What Grafana downloads from a Tempo data source: `{"batches":[…]}` again, but made anew from what
//! the browser shows. Times went through floating point, all spans of a service stand under the
//! resource of its first span, and flags and dropped counts are gone.
//!
//! Source of the rules: grafana, `resultTransformer.ts` of the Tempo data source (`transformToOTLP`).

use super::framing::Framing;
use super::otlp_json::{OTLP_CAPABILITIES, OtlpJson};
use super::{Block, Format, FormatInfo, Head, Limits, SpanSink};
use crate::model::Capabilities;

/// Grafana's download of a trace from Tempo.
pub(super) struct GrafanaTempoJson;

static INFO: FormatInfo = FormatInfo {
    name: "grafana-tempo-json",
    title: "Grafana's JSON download of a trace from Tempo",
    comes_from: "Grafana, Inspect or the trace view of a Tempo data source",
    capabilities: Capabilities {
        // Twice the distance of neighbouring double-precision numbers of this size, 256 ns.
        time_resolution_ns: 512,
        flags: false,
        is_remote: false,
        dropped_counts: false,
        exact_resource: false,
        edited_by_source: true,
        ..OTLP_CAPABILITIES
    },
};

impl Format for GrafanaTempoJson {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    /// Tempo itself writes times in quotes.
    fn detect(&self, head: &Head<'_>) -> bool {
        ["scopeSpans", "instrumentationLibrarySpans"]
            .iter()
            .any(|scopes| head.is_number(&format!("batches/{scopes}/spans/startTimeUnixNano")))
    }

    fn framing(&self) -> Framing {
        OtlpJson.framing()
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        OtlpJson.decode(block, limits, sink);
    }
}
