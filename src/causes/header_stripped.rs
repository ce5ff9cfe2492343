//! `header-stripped`: what lies between caller and callee does not pass the context on.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "header-stripped",
    summary: "something between caller and callee does not pass the trace headers on",
    what: "The caller sends the context, but a proxy, gateway, load balancer, firewall or the browser's \
           CORS check drops the headers, so the callee begins a trace of its own.",
    speaks_for: "The callee takes the context over on other hops, or on a part of this one; the caller's \
                 other calls arrive with it.",
    speaks_against: "All hops of one of the two services are broken, from and to every partner: then the \
                     service itself does not read or write the headers.",
    decides: "Log the request headers at the callee. Without `traceparent` (or the header of your format) \
              something on the way drops it, or the caller never sent it; with it, the callee does not \
              read it.",
    remedy: "Let the trace headers pass all the way from the caller to the callee.",
    fixes: &[
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "nginx: headers pass unless `proxy_pass_request_headers off` or a list of headers stops \
                   them; set them explicitly.",
            code: "proxy_set_header traceparent $http_traceparent;\n\
                   proxy_set_header tracestate $http_tracestate;\n\
                   proxy_set_header baggage $http_baggage;",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Envoy and Istio: look for `traceparent` in `request_headers_to_remove` of routes, virtual \
                   hosts and `VirtualService`s.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "gRPC: proxies and gateways between HTTP and gRPC (grpc-gateway, Envoy's transcoder) turn only \
                   some headers into metadata: add `traceparent`, `tracestate` and `baggage` to them.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "AWS: a load balancer and API Gateway add `X-Amzn-Trace-Id` and let `traceparent` pass; with a \
                   mapping of headers in API Gateway, or a cache policy in CloudFront, only those that are \
                   named there do.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "API gateways, CDNs and firewalls forward a list of headers: add `traceparent`, \
                   `tracestate` and `baggage` to it.",
            code: "",
        },
        Fix {
            at: At::Caller,
            language: "webjs",
            scope: "",
            step: "Browser: name the callee's origin in `propagateTraceHeaderCorsUrls` of the fetch and XHR \
                   instrumentation, and answer the preflight with `Access-Control-Allow-Headers: \
                   traceparent, tracestate, baggage`.",
            code: "new FetchInstrumentation({ propagateTraceHeaderCorsUrls: [/api\\.example\\.com/] })",
        },
    ],
    example: "
web  GET  client  0..40  http=/stock/7  repeat=6

stock  GET /stock/:id  server  5..35  http=/stock/7  repeat=6   // detached-entry (header-stripped)

web  GET  client  5000..5040  http=/stock/7  repeat=20
  stock  GET /stock/:id  server  5005..5035  http=/stock/7
",
};
