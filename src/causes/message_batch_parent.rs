//! `message-batch-parent`: a batch of messages continues the trace of its first message only.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "message-batch-parent",
    summary: "a batch of messages is handled in the trace of its first message",
    what: "A span has one parent. A consumer that handles several messages in one span, with the first message's \
           context as parent and no links to the others, puts the work for all of them into one trace.",
    speaks_for: "The consumer span says that it handled several messages, has fewer links than that, and other \
                 producers to the same destination have no answer.",
    speaks_against: "It has a link to every message, or every message has a consumer span of its own.",
    decides: "Does the handler start one span for each message? Does the span of the batch have links?",
    remedy: "Start a span for each message with that message's context, or link the batch to all of them.",
    fixes: &[
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "Node.js (kafkajs `eachBatch`, SQS, BullMQ batches): extract and start a span for each \
                   message.",
            code: "for (const message of batch.messages) {\n  \
                   const parent = propagation.extract(ROOT_CONTEXT, message.headers);\n  \
                   context.with(parent, () => tracer.startActiveSpan('process', { kind: SpanKind.CONSUMER }, \
                   span => handle(message).finally(() => span.end())));\n}",
        },
        Fix {
            at: At::Callee,
            language: "python",
            scope: "",
            step: "Python: one span a message, or links to all of them.",
            code: "links = [Link(trace.get_current_span(propagate.extract(m.headers)).get_span_context()) \
                   for m in batch]",
        },
        Fix {
            at: At::Callee,
            language: "java",
            scope: "",
            step: "Java: with batch listeners of Spring Kafka and JMS, extract from the headers of each record.",
            code: "",
        },
        Fix {
            at: At::Callee,
            language: "",
            scope: "",
            step: "Give the span of the batch no parent and one link a message, as the semantic conventions \
                   for messaging say (https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/), \
                   or a span to each message.",
            code: "",
        },
    ],
    example: "
orders  jobs send  producer  0..2  queue=jobs  repeat=6
  mailer  jobs process  consumer  30..80  queue=jobs  batch=2   // misattributed-span (message-batch-parent)
    mailer  INSERT mails  client  35..50
    mailer  INSERT mails  client  55..70

orders  jobs send  producer  10..12  queue=jobs  repeat=6
",
};
