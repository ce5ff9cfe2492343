//! `propagator-mismatch`: two services write and read the context in different formats.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "propagator-mismatch",
    summary: "one of the services writes and reads the context in another format than its partners, or \
              not at all",
    what: "Propagators decide which headers carry the context: W3C `traceparent`, B3, Jaeger's \
           `uber-trace-id`, AWS X-Ray. A service whose list has none in common with its partners neither \
           understands them nor is understood.",
    speaks_for: "Every hop of one service is broken, from and to every partner: what the hops have in \
                 common is the service.",
    speaks_against: "A hop of the service works, in either direction: the list of propagators is the same \
                     for all of them.",
    decides: "Compare `OTEL_PROPAGATORS` of both services (default: tracecontext,baggage), and log the \
              request headers at the callee: `b3`, `x-b3-traceid`, `uber-trace-id` or `x-amzn-trace-id` \
              in place of `traceparent` prove the mismatch.",
    remedy: "Give both services a propagator in common.",
    fixes: &[
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "Let the receiving side read both formats first, then let the senders change. Node.js \
                   (`NodeSDK`; B3 and Jaeger come with @opentelemetry/propagator-b3 and \
                   @opentelemetry/propagator-jaeger):",
            code: "OTEL_PROPAGATORS=tracecontext,baggage,b3multi",
        },
        Fix {
            at: At::Callee,
            language: "python",
            scope: "",
            step: "Let the receiving side read both formats first, then let the senders change. Python (with \
                   the packages opentelemetry-propagator-b3 or opentelemetry-propagator-jaeger):",
            code: "OTEL_PROPAGATORS=tracecontext,baggage,b3multi",
        },
        Fix {
            at: At::Callee,
            language: "java",
            scope: "",
            step: "Let the receiving side read both formats first, then let the senders change. Java agent \
                   and autoconfiguration:",
            code: "-Dotel.propagators=tracecontext,baggage,b3multi",
        },
        Fix {
            at: At::Callee,
            language: "go",
            scope: "",
            step: "Go has no propagator until one is set; this one follows OTEL_PROPAGATORS \
                   (go.opentelemetry.io/contrib/propagators/autoprop):",
            code: "otel.SetTextMapPropagator(autoprop.NewTextMapPropagator())",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Set the same `OTEL_PROPAGATORS` for all services, with the older format last until \
                   nobody sends it any more.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Transports without instrumentation carry no context whatever the list says (NestJS \
                   microservices over TCP, own protocols over sockets): inject into the message by hand, and \
                   extract before the handler.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "A propagator of your own has to do both: `inject` and `extract`. One of them alone breaks \
                   the hops of one direction.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Where code sets a propagator by itself, it wins over the variable: look for \
                   `propagation.setGlobalPropagator`, `textMapPropagator`, `set_global_textmap`.",
            code: "",
        },
    ],
    example: "
web  GET  client  0..40  http=/price/7  repeat=8
  web  render  internal  10..12

cart  GET  client  4000..4040  http=/price/7  repeat=8

price  GET /price/:id  server  5..35  http=/price/7  repeat=8   // detached-entry (propagator-mismatch)

price  GET /price/:id  server  4005..4035  http=/price/7  repeat=8   // detached-entry (propagator-mismatch)
",
};
