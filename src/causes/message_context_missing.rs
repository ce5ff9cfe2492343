//! `message-context-missing`: messages travel without the context.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "message-context-missing",
    summary: "messages travel without context: it is not injected, not extracted, or dropped by the broker",
    what: "The producer does not put the context into the message, the consumer does not read it, or the \
           broker drops the headers. The consumer begins a trace of its own, without a link. The three \
           leave the same spans.",
    speaks_for: "Consumer spans are roots without links, and for each there is a producer span that nothing \
                 answers, with the same message id or just before it.",
    speaks_against: "The consumer has a link to its producer: that is intended, and nothing is lost. HTTP \
                     hops of the same service are broken too: then it is its propagator.",
    decides: "Print the headers or attributes of one message at the consumer. With `traceparent` in them \
              the consumer does not extract; without, the producer does not inject, or the broker drops \
              them.",
    remedy: "Carry the context in the message: inject when sending, extract when receiving.",
    fixes: &[
        Fix {
            at: At::Caller,
            language: "nodejs",
            scope: "bullmq",
            step: "BullMQ: carry the context in the job's data, on both ends.",
            code: "// producer\n\
                   const carrier = {};\n\
                   propagation.inject(context.active(), carrier);\n\
                   queue.add(name, { ...data, otel: carrier });\n\
                   // worker\n\
                   const parent = propagation.extract(ROOT_CONTEXT, job.data.otel ?? {});\n\
                   return context.with(parent, () => handle(job));",
        },
        Fix {
            at: At::Caller,
            language: "nodejs",
            scope: "kafkajs",
            step: "kafkajs: load @opentelemetry/instrumentation-kafkajs before kafkajs in both processes; \
                   with eachBatch, extract from `message.headers` of every message yourself.",
            code: "",
        },
        Fix {
            at: At::Caller,
            language: "nodejs",
            scope: "amqplib",
            step: "amqplib: load @opentelemetry/instrumentation-amqplib before amqplib in both processes; \
                   plugins that replace `properties.headers` lose what it put there.",
            code: "",
        },
        Fix {
            at: At::Caller,
            language: "nodejs",
            scope: "aws-sdk",
            step: "SQS: ask for the attributes when receiving, or the context stays behind.",
            code: "new ReceiveMessageCommand({ QueueUrl, MessageAttributeNames: ['All'] })",
        },
        Fix {
            at: At::Caller,
            language: "nodejs",
            scope: "",
            step: "Node.js, NestJS microservices and other transports without instrumentation: inject into \
                   the headers of the message, and extract before the handler.",
            code: "// producer\n\
                   propagation.inject(context.active(), headers);\n\
                   // consumer\n\
                   const parent = propagation.extract(ROOT_CONTEXT, message.headers);\n\
                   context.with(parent, () => handle(message));",
        },
        Fix {
            at: At::Caller,
            language: "python",
            scope: "celery",
            step: "Celery: instrument the worker too, when its process starts.",
            code: "@worker_process_init.connect(weak=False)\n\
                   def init_tracing(*args, **kwargs):\n    CeleryInstrumentor().instrument()",
        },
        Fix {
            at: At::Caller,
            language: "python",
            scope: "",
            step: "Python: inject into the headers of the message, and extract before the handler.",
            code: "propagate.inject(headers)\n\
                   # consumer\n\
                   with tracer.start_as_current_span(name, context=propagate.extract(headers)):",
        },
        Fix {
            at: At::Caller,
            language: "java",
            scope: "",
            step: "Java: the agent carries the context in Kafka, JMS and RabbitMQ headers; without it, wrap \
                   both clients (`KafkaTelemetry.create(openTelemetry).wrap(producer)`).",
            code: "",
        },
        Fix {
            at: At::Caller,
            language: "go",
            scope: "",
            step: "Go: inject into the headers of the message, and extract before the handler.",
            code: "otel.GetTextMapPropagator().Inject(ctx, carrier)\n\
                   // consumer\n\
                   ctx = otel.GetTextMapPropagator().Extract(ctx, carrier)",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Check that broker, bridges and stream processors between the two keep message headers.",
            code: "",
        },
    ],
    example: "
orders  jobs publish  producer  0..4  queue=jobs  message=a  repeat=5

mailer  jobs process  consumer  30..60  queue=jobs  message=a  repeat=5   // detached-entry (message-context-missing)
",
};
