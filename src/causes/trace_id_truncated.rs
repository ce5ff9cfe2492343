//! `trace-id-truncated`: one side of a hop keeps only the low 64 bits of the trace id.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "trace-id-truncated",
    summary: "one side keeps only the low 64 bits of the trace id",
    what: "The context arrives, but its trace id is cut: B3 and Jaeger allow ids of 64 bits beside those of \
           128, and older libraries and proxies keep only the low half and fill up with zeros. Span ids stay \
           what they are, so the callee's parent is in the data, under the longer trace id.",
    speaks_for: "The absent parent is in another trace. The low 64 bits of both trace ids are equal, and the \
                 high ones of one of them are zero.",
    speaks_against: "Nothing: two random ids do not share 64 bits.",
    decides: "Compare the trace id in the headers that the callee gets with the one that it exports: what is \
              cut in the headers was cut by the caller or on the way, what is not was cut by the callee.",
    remedy: "Let everything on the way keep trace ids of 128 bits.",
    fixes: &[
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "Node.js: W3C `traceparent` always has 128 bits. Of several propagators that find their \
                   headers the last one wins: name `tracecontext` behind B3.",
            code: "OTEL_PROPAGATORS=b3,tracecontext,baggage",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Zipkin libraries (Brave, zipkin-js, zipkin-go): switch 128-bit trace ids on \
                   (`traceId128Bit`). They are off by default in most of them.",
            code: "Tracing.newBuilder().traceId128Bit(true)",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Envoy and Istio with Zipkin's tracer: `trace_id_128bit: true`; it is false by default.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Jaeger clients (no longer maintained): generate 128-bit ids \
                   (`JAEGER_TRACEID_128BIT=true`), better replace them by OpenTelemetry.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Datadog libraries: let them generate 128-bit ids and send the high half along \
                   (`DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED=true`, `DD_TRACE_PROPAGATION_STYLE=tracecontext,datadog`).",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Look for a proxy, gateway or own code between the two that writes `x-b3-traceid` or \
                   `uber-trace-id` with 16 digits.",
            code: "",
        },
    ],
    example: "
web  GET /  server  0..60  trace=4bf92f3577b34da6a3ce929d0e0e4736
  web  GET  client  5..50  http=/stock/7  id=00f067aa0ba902b7  trace=4bf92f3577b34da6a3ce929d0e0e4736

stock  GET /stock/:id  server  10..40  http=/stock/7  trace=0000000000000000a3ce929d0e0e4736  parent=00f067aa0ba902b7  remote  // orphan-span (trace-id-truncated)
",
};
