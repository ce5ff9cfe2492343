//! `sampler-mismatch`: a service samples by the trace id, against the decision of its caller.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "sampler-mismatch",
    summary: "the service decides by the trace id on its own, and not by what its caller decided",
    what: "A sampler without a parent-based wrapper keeps a share of the trace ids, whatever the sampled \
           flag of its caller says. Its spans, and all below it, are missing in the other traces. SDKs \
           compute the share from different parts of the id, so two services with the same ratio need not \
           keep the same traces.",
    speaks_for: "A function of the trace id, the one that an SDK uses, tells all traces that have the \
                 service from those that lack it. By chance that is as good as impossible.",
    speaks_against: "Traces with and without the service lie mixed in every such function: then spans got \
                     lost at random.",
    decides: "Read `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` of the service, and the sampler \
              that its code sets: any that does not begin with `parentbased_` decides on its own.",
    remedy: "Let every service but the first follow the decision of its caller.",
    fixes: &[
        Fix {
            at: At::Caller,
            language: "nodejs",
            scope: "",
            step: "Node.js: set the sampler by the environment, or wrap the one in code: `new \
                   ParentBasedSampler({ root: new TraceIdRatioBasedSampler(0.1) })`.",
            code: "OTEL_TRACES_SAMPLER=parentbased_traceidratio
OTEL_TRACES_SAMPLER_ARG=0.1",
        },
        Fix {
            at: At::Caller,
            language: "python",
            scope: "",
            step: "Python: set the sampler by the environment, or wrap the one in code: \
                   `ParentBased(root=TraceIdRatioBased(0.1))`.",
            code: "OTEL_TRACES_SAMPLER=parentbased_traceidratio
OTEL_TRACES_SAMPLER_ARG=0.1",
        },
        Fix {
            at: At::Caller,
            language: "java",
            scope: "",
            step: "Java agent and autoconfiguration:",
            code: "-Dotel.traces.sampler=parentbased_traceidratio
-Dotel.traces.sampler.arg=0.1",
        },
        Fix {
            at: At::Caller,
            language: "go",
            scope: "",
            step: "Go reads the variable only when no sampler is set in code; there it is:",
            code: "sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.1)))",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Set `OTEL_TRACES_SAMPLER=parentbased_always_on` in every service behind the first, and \
                   a ratio only where traces begin.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Proxies and meshes sample as well: give them the rate of the services in front of \
                   them, or 100 %.",
            code: "",
        },
    ],
    example: "
web  GET /  server  0..60  repeat=80
  web  GET  client  5..50  http=/price/7   // unanswered-call (sampler-mismatch)
    price  GET /price/:id  server  10..40  http=/price/7  sampled=0.5
",
};
