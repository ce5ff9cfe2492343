//! Reports made by hand for the tests of the renderers.

use std::collections::BTreeMap;

use crate::report::{
    Blame, Cause, CheckNotPossible, Clock, ClockKind, Confidence, Coverage, Edge, Evidence, Exemplar,
    ExemplarSpan, Finding, FindingState, InferredTimes, Input, Occurrence, ProposedParent, Rate, RateUnit,
    Reason, Reject, Remedy, RepairCount, Report, SCHEMA, ScopeName, Severity, SeverityCounts, Side, Summary,
    Tool, Unreadable, Verdict, Via,
};

pub(super) fn healthy() -> Report {
    Report {
        schema: SCHEMA.to_owned(),
        tool: Tool { name: "tracemend".to_owned(), version: "0.1.0".to_owned() },
        inputs: vec![input("traces.jsonl")],
        summary: Summary {
            span_records: 12_345,
            traces: 186,
            services: 4,
            first_time: Some("2026-01-01T10:00:00.000000000Z".to_owned()),
            last_time: Some("2026-01-01T10:05:30.000000000Z".to_owned()),
            ..Summary::default()
        },
        coverage: Coverage { records_seen: 12_345, ..Coverage::default() },
        findings: Vec::new(),
        edges: Vec::new(),
        edges_total: 0,
        clocks: Vec::new(),
        clocks_total: 0,
        verdict: Verdict::Pass,
        reasons: Vec::new(),
        exit_code: 0,
    }
}

pub(super) fn inconclusive() -> Report {
    let mut report = healthy();
    report.summary = Summary::default();
    report.coverage = Coverage { skipped_files: 3, ..Coverage::default() };
    report.inputs[0].spans = 0;
    report.inputs[0].format = None;
    report.verdict = Verdict::Inconclusive;
    report.exit_code = 3;
    report.reasons = vec![Reason {
        code: "no-traces".to_owned(),
        message: "No trace was read; an export without traces is no proof of health.".to_owned(),
    }];
    report
}

pub(super) fn failing() -> Report {
    let mut report = healthy();
    report.inputs.push(Input { format: Some("jaeger-json".to_owned()), ..input("export of today.json") });
    report.edges = vec![edge("web", "orders", [1_200, 1_180, 20]), edge("orders", "payments", [700, 700, 0])];
    report.edges_total = 2;
    report.clocks = vec![clock()];
    report.clocks_total = 3;
    report.summary.breaks = 2;
    report.summary.traces_affected = 42;
    report.summary.findings_by_severity = SeverityCounts { error: 1, warning: 1, info: 0 };
    report.coverage = problems();
    report.findings = vec![orphan(), duplicate()];
    report.verdict = Verdict::Fail;
    report.exit_code = 1;
    report.reasons = vec![Reason {
        code: "finding-at-gate".to_owned(),
        message: "1 finding of severity error and confidence high or more.".to_owned(),
    }];
    report
}

fn edge(from: &str, to: &str, [calls, joined, broken]: [u64; 3]) -> Edge {
    let side = |service: &str, kind: &str| Side {
        namespace: None,
        service: Some(service.to_owned()),
        operation: Some("POST /orders".to_owned()),
        kind: Some(kind.to_owned()),
        inferred: false,
    };
    Edge {
        from: side(from, "client"),
        to: side(to, "server"),
        via: Via::Http,
        calls,
        joined,
        broken,
        rate: crate::finding::rate(broken, calls, RateUnit::Calls),
        clock: None,
    }
}

fn clock() -> Clock {
    Clock {
        host: Some("shop-node-3".to_owned()),
        namespace: None,
        service: Some("inventory".to_owned()),
        instance: Some("inventory-1".to_owned()),
        kind: ClockKind::Step,
        relative_to: Some("orders on shop-node-1".to_owned()),
        offset_low_ns: Some(-3_002_000_000),
        offset_high_ns: Some(-2_998_000_000),
        first_offset_low_ns: Some(-2_000_000),
        first_offset_high_ns: Some(1_000_000),
        step_at: Some("2026-01-01T10:02:11.000000000Z".to_owned()),
        drift_ns_per_second: None,
        ambiguous: false,
        pairs: 139,
        agreeing: 130,
    }
}

/// Every text of a report that comes from traces does its worst.
pub(super) fn hostile() -> Report {
    let worst = "\u{1b}[2J\u{1b}]0;x\u{7}\n::error::\u{202e}evil\u{200b}\u{9b}31m \u{e0041}漢".repeat(4);
    let mut report = failing();
    report.inputs[1].path = format!("-{worst}'; rm -rf ~; '");
    for side in report.edges.iter_mut().flat_map(|edge| [&mut edge.from, &mut edge.to]) {
        side.service = Some(worst.clone());
    }
    for clock in &mut report.clocks {
        clock.host = Some(worst.clone());
        clock.service = Some(worst.clone());
        clock.relative_to = Some(worst.clone());
    }
    for finding in &mut report.findings {
        finding.title.clone_from(&worst);
        finding.message.clone_from(&worst);
        finding.scope = Some(ScopeName { name: worst.clone(), version: Some(worst.clone()) });
        finding.evidence[0].text.clone_from(&worst);
        finding.remedy.code = Some(worst.clone());
        for side in finding.from.iter_mut().chain(finding.to.iter_mut()) {
            side.service = Some(worst.clone());
            side.operation = Some(worst.clone());
        }
        for exemplar in &mut finding.exemplars {
            exemplar.url = Some(format!("https://example.test/{worst}"));
            for span in &mut exemplar.spans {
                span.service = Some(worst.clone());
                span.operation = Some(worst.clone());
                span.kind = Some(worst.clone());
            }
        }
    }
    report.coverage.unreadable[0].reason.clone_from(&worst);
    report.coverage.unreadable[0].input.clone_from(&worst);
    report
}

fn input(path: &str) -> Input {
    Input {
        path: path.to_owned(),
        label: path.to_owned(),
        format: Some("otlp-json".to_owned()),
        compression: None,
        bytes: 5_242_880,
        spans: 12_345,
        traces: 186,
        first_time: Some("2026-01-01T10:00:00.000000000Z".to_owned()),
        last_time: Some("2026-01-01T10:05:30.000000000Z".to_owned()),
        capabilities: None,
    }
}

fn problems() -> Coverage {
    Coverage {
        records_seen: 12_348,
        rejected_spans: 3,
        rejects: vec![
            Reject {
                input: "traces.jsonl".to_owned(),
                offset: 9_120,
                line: Some(7),
                reason: "no-span-fields".to_owned(),
                count: 1,
            },
            Reject {
                input: "traces.jsonl".to_owned(),
                offset: 19_120,
                line: Some(12),
                reason: "no-span-fields".to_owned(),
                count: 2,
            },
        ],
        unreadable_bytes: 812,
        unreadable: vec![Unreadable {
            input: "export of today.json".to_owned(),
            offset: 5_242_068,
            line: None,
            bytes: 812,
            reason: "the file ends inside a value".to_owned(),
        }],
        repairs: vec![RepairCount { kind: "id-base64".to_owned(), count: 1_204 }],
        repeated_across_inputs: 64,
        checks_not_possible: vec![CheckNotPossible {
            rule: "clock-skew".to_owned(),
            reason: "spans of checkout name no host".to_owned(),
        }],
        ..Coverage::default()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as the field is")]
fn side(service: &str, operation: &str, kind: &str, inferred: bool) -> Option<Side> {
    Some(Side {
        namespace: Some("shop".to_owned()),
        service: Some(service.to_owned()),
        operation: Some(operation.to_owned()),
        kind: Some(kind.to_owned()),
        inferred,
    })
}

fn evidence(kind: &str, text: &str) -> Evidence {
    Evidence { kind: kind.to_owned(), text: text.to_owned(), data: BTreeMap::new() }
}

fn orphan() -> Finding {
    Finding {
        rule: "orphan-span".to_owned(),
        severity: Severity::Error,
        confidence: Confidence::Certain,
        fingerprint: "v1:6f1d3c0a9be24a57".to_owned(),
        edge_fingerprint: None,
        state: FindingState::New,
        fails_gate: true,
        title: "Entry spans of worker name a parent span that is not in the trace".to_owned(),
        message: "Every orders process span of worker names a parent span that no input contains. \
                  The parents look like the publish spans of checkout, which exports other spans of \
                  the same traces."
            .to_owned(),
        from: side("checkout", "orders publish", "producer", true),
        to: side("worker", "orders process", "consumer", false),
        scope: Some(ScopeName {
            name: "@opentelemetry/instrumentation-amqplib".to_owned(),
            version: Some("0.46.1".to_owned()),
        }),
        cause: Some(Cause {
            id: "export-queue-overflow".to_owned(),
            confidence: Confidence::Medium,
            summary: "checkout ends more spans than its batch processor can queue, and drops the rest."
                .to_owned(),
        }),
        other_causes: vec![Cause {
            id: "scope-filtered".to_owned(),
            confidence: Confidence::Low,
            summary: "the scope of the publish spans is filtered in checkout or in its Collector.".to_owned(),
        }],
        decides: Some(
            "the dropped-span counter of checkout's SDK (otel.sdk.processor.span.processed).".to_owned(),
        ),
        spans: 40,
        traces: 40,
        rate: Some(Rate {
            affected: 40,
            total: 186,
            unit: RateUnit::Calls,
            value: 0.215_054,
            low: 0.162_1,
            high: 0.279_5,
        }),
        first_seen: Some("2026-01-01T10:01:00.000000000Z".to_owned()),
        last_seen: Some("2026-01-01T10:04:10.000000000Z".to_owned()),
        blame: vec![Blame {
            kind: "version".to_owned(),
            service: Some("orders".to_owned()),
            value: "2.4.0".to_owned(),
            affected: 40,
            total: 41,
            elsewhere_affected: 0,
            elsewhere_total: 1_159,
            p: 0.000_01,
        }],
        evidence: vec![
            evidence("missing-parent", "40 distinct missing parents, each with exactly one child."),
            evidence("flags", "The parent is remote on all 40 spans (trace flags)."),
            evidence("burst", "All fall into 3 bursts of 20 ms at the highest span rate of checkout."),
            evidence("sampling", "All 40 are sampled."),
        ],
        remedy: Remedy {
            summary: "Give the batch span processor of checkout a larger queue.".to_owned(),
            steps: vec![
                "Raise OTEL_BSP_MAX_QUEUE_SIZE to at least 8192 in the environment of checkout.".to_owned(),
                "Deploy, and run this command again over ten minutes of traffic.".to_owned(),
            ],
            code: Some("export OTEL_BSP_MAX_QUEUE_SIZE=8192\nexport OTEL_BSP_SCHEDULE_DELAY=1000".to_owned()),
            links: vec!["https://opentelemetry.io/docs/specs/otel/trace/sdk/#batching-processor".to_owned()],
        },
        locations: Vec::new(),
        exemplars: vec![exemplar()],
        occurrences: Vec::new(),
        occurrences_total: 40,
    }
}

fn exemplar() -> Exemplar {
    let span =
        |id: &str, parent: Option<&str>, service: &str, operation: &str, kind: &str, ns: i64| ExemplarSpan {
            trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
            span_id: id.to_owned(),
            parent_id: parent.map(str::to_owned),
            service: Some(service.to_owned()),
            operation: Some(operation.to_owned()),
            kind: Some(kind.to_owned()),
            start: Some("2026-01-01T10:01:00.000000000Z".to_owned()),
            duration_ns: Some(ns),
            status: None,
            missing: false,
            proposed: false,
            proposed_parent: None,
            inferred: None,
            affected: false,
        };
    Exemplar {
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
        url: Some("https://jaeger.example/trace/4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
        cut: true,
        spans: vec![
            span("53995c3f42cd8ad8", None, "checkout", "POST /orders", "server", 120_000_000),
            span(
                "1d2c3b4a59687701",
                Some("53995c3f42cd8ad8"),
                "checkout",
                "INSERT orders",
                "client",
                4_100_000,
            ),
            ExemplarSpan {
                missing: true,
                proposed: true,
                proposed_parent: Some(ProposedParent {
                    trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
                    span_id: "53995c3f42cd8ad8".to_owned(),
                    confidence: Confidence::Medium,
                }),
                inferred: Some(InferredTimes {
                    first_child_start: Some("2026-01-01T10:01:00.000000000Z".to_owned()),
                    last_child_end: Some("2026-01-01T10:01:00.060000000Z".to_owned()),
                    enclosing_start: Some("2026-01-01T10:01:00.000000000Z".to_owned()),
                    enclosing_end: Some("2026-01-01T10:01:00.120000000Z".to_owned()),
                }),
                start: None,
                duration_ns: None,
                kind: Some("producer".to_owned()),
                ..span("00f067aa0ba902b7", None, "checkout", "", "", 0)
            },
            ExemplarSpan {
                affected: true,
                ..span(
                    "a3ce929d0e0e4736",
                    Some("00f067aa0ba902b7"),
                    "worker",
                    "orders process",
                    "consumer",
                    60_000_000,
                )
            },
            span(
                "b7ad6b7169203331",
                Some("a3ce929d0e0e4736"),
                "worker",
                "UPDATE orders SET state = 'shipped' WHERE id = ?",
                "client",
                2_345_000,
            ),
        ],
    }
}

/// A call whose handling is another trace, with the traces put together in its exemplar.
pub(super) fn detached() -> Report {
    let mut report = failing();
    let mut finding = orphan();
    let (caller, callee) = ("4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c");
    finding.rule = "detached-entry".to_owned();
    finding.confidence = Confidence::High;
    finding.title = "stock `GET /stock/:id` is called by web without context".to_owned();
    finding.message = "The call is one trace, and its handling another.".to_owned();
    finding.from = side("web", "GET", "client", false);
    finding.to = side("stock", "GET /stock/:id", "server", false);
    finding.blame[0].p = 0.0;
    let mut exemplar = exemplar();
    exemplar.cut = false;
    exemplar.trace_id = callee.to_owned();
    let [root, call, _, entry, query] = exemplar.spans.as_mut_slice() else { return report };
    let names = [
        (root, "web", "GET /", caller),
        (call, "web", "GET", caller),
        (entry, "stock", "GET /stock/:id", callee),
        (query, "stock", "SELECT items", callee),
    ];
    for (span, service, operation, trace_id) in names {
        span.trace_id = Some(trace_id.to_owned());
        span.service = Some(service.to_owned());
        span.operation = Some(operation.to_owned());
    }
    exemplar.spans.remove(2);
    exemplar.spans[2].parent_id = None;
    exemplar.spans[2].kind = Some("server".to_owned());
    exemplar.spans[2].proposed = true;
    exemplar.spans[2].proposed_parent = Some(ProposedParent {
        trace_id: caller.to_owned(),
        span_id: exemplar.spans[1].span_id.clone(),
        confidence: Confidence::High,
    });
    finding.exemplars = vec![exemplar];
    report.findings = vec![finding];
    report
}

fn duplicate() -> Finding {
    Finding {
        rule: "duplicate-span".to_owned(),
        severity: Severity::Warning,
        confidence: Confidence::High,
        fingerprint: "v1:0b9a3a4e2c11d870".to_owned(),
        title: "Spans of payments-gateway-production stand in the data twice".to_owned(),
        message: "Equal copies of the same spans arrive 5 s apart.".to_owned(),
        from: None,
        to: side("payments-gateway-production", "POST /charge", "server", false),
        scope: None,
        cause: None,
        other_causes: Vec::new(),
        decides: None,
        spans: 4,
        traces: 2,
        rate: None,
        first_seen: None,
        last_seen: None,
        blame: Vec::new(),
        fails_gate: false,
        evidence: vec![evidence("equal-copies", "4 span ids have 2 equal copies each.")],
        remedy: Remedy {
            summary: "Send each span through one pipeline only.".to_owned(),
            steps: Vec::new(),
            code: None,
            links: Vec::new(),
        },
        exemplars: Vec::new(),
        occurrences: vec![Occurrence {
            trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
            span_id: "b7ad6b7169203331".to_owned(),
            proposed_parent: None,
        }],
        occurrences_total: 8,
        ..orphan()
    }
}
