//! `hop-not-exported`: something between the two services adds a span that is not exported.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "hop-not-exported",
    summary: "something between the two services takes part in the trace and does not export its span",
    what: "A proxy, gateway, load balancer or service mesh reads the context, makes a span of its own and \
           passes that span's id on as the parent. Its span goes to another backend, or nowhere. The trace id \
           stays the same, so caller and callee are in one trace, with a gap between them.",
    speaks_for: "The callee's orphan lies inside a call of the same trace to the same target, and nothing \
                 answers that call.",
    speaks_against: "The absent parent belongs to a service that exports other spans: then that service \
                     lost it.",
    decides: "Look at the request headers at both ends of the hop: the parent id in `traceparent` changes on \
              the way. What changes it is the hop.",
    remedy: "Let the hop export its spans to the same backend, or let it pass the context on unchanged.",
    fixes: &[
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Envoy and Istio: send the spans of the proxies to the same Collector as those of the \
                   services, at the same sampling rate (Istio's `Telemetry` resource):",
            code: "apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata:
  name: mesh-default
  namespace: istio-system
spec:
  tracing:
    - providers:
        - name: otel-collector
      randomSamplingPercentage: 100",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "nginx (module ngx_otel_module): export its spans, or only pass the context on with \
                   `otel_trace_context propagate` and `otel_trace off`.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "AWS API Gateway, Application Load Balancer and the like write spans to X-Ray only: let them \
                   pass `traceparent` on unchanged, or send X-Ray's spans to this backend as well.",
            code: "",
        },
    ],
    example: "
web  GET /       server  0..60  repeat=5
  web  GET  client  5..50  http=/stock/7
    stock  GET /stock/:id  server  10..40  http=/stock/7  parent=mesh  remote  // orphan-span (hop-not-exported)
",
};
