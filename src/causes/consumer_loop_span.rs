//! `consumer-loop-span`: a consumer handles all its messages inside one span.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "consumer-loop-span",
    summary: "the loop of the consumer runs inside one span, which becomes the parent of every message",
    what: "The loop that receives messages is started while a span is active. Instrumentation that prefers the \
           active span to the context of the message makes every handled message a child of it. The span of \
           the loop ends with the process, so most of the time it is not exported at all.",
    speaks_for: "Many consumer spans over a long time have one parent of their own process, and the producers \
                 of these messages have no answer.",
    speaks_against: "The consumer spans have links to their producers, or lie within one batch.",
    decides: "Print the active span where the loop starts: there must be none.",
    remedy: "Start the loop without an active span, and take the parent of each message from its headers.",
    fixes: &[
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "Node.js: start workers at start-up outside of any span, and extract from each message on \
                   top of the root context.",
            code: "const parent = propagation.extract(ROOT_CONTEXT, message.headers);\n\
                   context.with(parent, () => handle(message))",
        },
        Fix {
            at: At::Callee,
            language: "python",
            scope: "",
            step: "Python: no `start_as_current_span` around the loop; extract with an empty context.",
            code: "ctx = propagate.extract(message.headers, context=Context())\n\
                   with tracer.start_as_current_span('process', context=ctx, kind=SpanKind.CONSUMER):",
        },
        Fix {
            at: At::Callee,
            language: "java",
            scope: "",
            step: "Java: end the span that was current when the poll loop was started, and extract from \
                   `Context.root()`.",
            code: "",
        },
        Fix {
            at: At::Callee,
            language: "",
            scope: "",
            step: "Leave any active span before the loop begins, and start the span of each message with the \
                   context that it carries.",
            code: "",
        },
    ],
    example: "
orders  jobs publish  producer  0..4  queue=jobs  repeat=8

mailer  jobs process  consumer  20..60  queue=jobs  parent=loop  local   // orphan-span (consumer-loop-span)
mailer  jobs process  consumer  10020..10060  queue=jobs  parent=loop  local
mailer  jobs process  consumer  20020..20060  queue=jobs  parent=loop  local
mailer  jobs process  consumer  30020..30060  queue=jobs  parent=loop  local
mailer  jobs process  consumer  40020..40060  queue=jobs  parent=loop  local
mailer  jobs process  consumer  50020..50060  queue=jobs  parent=loop  local
mailer  jobs process  consumer  60020..60060  queue=jobs  parent=loop  local
mailer  jobs process  consumer  70020..70060  queue=jobs  parent=loop  local
",
};
