//! `trace-restarted`: something between the two services begins a trace of its own.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "trace-restarted",
    summary: "something between the two services begins a trace of its own and does not export its span",
    what: "A proxy, gateway, load balancer or service mesh does not take the caller's context over. It begins \
           a new trace, makes the first span of it, and passes that on; its own span goes to another \
           backend, or nowhere. The callee's trace hangs on a span that is not there, and the caller's ends \
           in a call without an answer.",
    speaks_for: "The orphan is on top of its trace and lies inside a call of another trace that nothing \
                 answers; or its parent is a span of another trace.",
    speaks_against: "Requests of callers outside of this data are orphans on top of their traces too. They \
                     meet open calls only by chance.",
    decides: "Compare `traceparent` where the request leaves the caller and where it reaches the callee: when \
              the trace id is another one, what lies between has begun a trace.",
    remedy: "Let what lies between continue the caller's trace, or pass the headers on untouched.",
    fixes: &[
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Envoy and Istio: a proxy continues the format of its own tracer only. Configure the \
                   OpenTelemetry tracer (W3C `traceparent`) in place of Zipkin's or Datadog's. With Zipkin's, \
                   services have to send B3; since Envoy 1.36 and Istio 1.28 it reads `traceparent` too with \
                   `trace_context_option: USE_B3_WITH_W3C_PROPAGATION`.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "nginx (module ngx_otel_module): the default of `otel_trace_context` is `ignore`; \
                   `propagate` continues the caller's trace.",
            code: "otel_trace_context propagate;",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "AWS Application Load Balancer, API Gateway and Lambda begin X-Ray traces (`X-Amzn-Trace-Id`) \
                   and do not know `traceparent`, but let it pass. Of several propagators that find their \
                   headers the last one wins: name `tracecontext` behind `xray` at the callee.",
            code: "OTEL_PROPAGATORS=xray,tracecontext,baggage",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Gateways and proxies with a setting for requests from outside (public endpoint, trusted \
                   sources): count the caller among the trusted ones.",
            code: "",
        },
    ],
    example: "
web  GET /  server  0..60  repeat=6
  web  GET  client  5..50  http=/stock/7

stock  GET /stock/:id  server  10..40  http=/stock/7  parent=mesh  remote  repeat=6  // orphan-span (trace-restarted)
",
};
