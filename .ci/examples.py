#!/usr/bin/env python3
"""Holds what becomes of a folder with an example of every format, and of files that hold no traces.

usage: examples.py --tool PATH --examples DIR
"""
import argparse
import json
import pathlib
import subprocess
import sys

# File: format, spans, orphan spans.
READ = {
    "clickhouse_otel_traces.jsonl": ("clickhouse-otel-traces", 4, 1),
    "clickhouse_signoz_index_v3.jsonl": ("signoz-rows", 4, 1),
    "fileexporter_json_zstd_frames.bin": ("otlp-protobuf-frames", 4, 1),
    "fileexporter_native.jsonl.zst": ("otlp-json", 4, 1),
    "fileexporter_proto_frames.bin": ("otlp-protobuf-frames", 4, 1),
    "grafana_tempo_download.json": ("grafana-tempo-json", 4, 1),
    "jaeger_api_traces.json": ("jaeger-json", 4, 1),
    "jaeger_es_dump.ndjson": ("jaeger-es-json", 4, 1),
    "jaeger_ui_download.json": ("jaeger-json", 4, 1),
    "jaeger_v3_traces.json": ("jaeger-v3-json", 4, 1),
    "java_otlp_json_logging_legacy.jsonl": ("otlp-json", 1, 0),
    "otel_go_stdouttrace.json": ("go-stdout-json", 2, 0),
    "otel_python_console.txt": ("python-console-json", 2, 0),
    "otlp_file_exporter.jsonl": ("otlp-json", 4, 1),
    "otlp_file_exporter.jsonl.gz": ("otlp-json", 4, 1),
    "otlp_js_sdk_request.json": ("otlp-json", 1, 0),
    "otlp_traces.binpb": ("otlp-protobuf", 4, 1),
    "otlp_traces.json": ("otlp-json", 4, 1),
    "signoz_export_raw_data.csv": ("signoz-table", 4, 1),
    "signoz_export_raw_data.jsonl": ("signoz-rows", 4, 1),
    "signoz_v1_trace.json": ("signoz-trace", 4, 1),
    "signoz_v5_query_range_raw_response.json": ("signoz-rows", 4, 1),
    "signoz_waterfall_v4.json": ("signoz-waterfall", 4, 1),
    "tempo_trace_v1.json": ("tempo-json", 4, 1),
    "tempo_trace_v2_partial.json": ("tempo-json", 4, 1),
    "zipkin_v1.json": ("zipkin-v1-json", 1, 0),
    "zipkin_v2.json": ("zipkin-json", 4, 1),
    "zipkin_v2_shared_span.json": ("zipkin-json", 2, 0),
}
# File: words of the message.
REFUSED = {
    "browser.har": "HAR",
    "collector_debug_exporter.txt": "debug exporter",
    "dotnet_console.txt": ".NET",
    "elastic_apm_hits.json": "Elastic APM",
    "jaeger_api_error_404.json": "error answer of Jaeger",
    "jaeger_v3_error_404.json": "error answer of Jaeger",
    "k6_output.jsonl": "k6",
    "otel_js_console.txt": "Node",
    "otlp_http_partial_success_response.json": "answer of an OTLP receiver",
    "propagation_headers.txt": "headers that carry a trace context",
    "signoz_error.json": "error answer of SigNoz",
    "signoz_v5_query_range_request.json": "request to SigNoz",
    "tempo_search.json": "search results of Tempo",
    "xray_batch_get_traces.json": "X-Ray",
    "out/github_annotations.txt": "no trace export",
    "out/gitlab_codequality.json": "no trace export",
    "out/grafana_dashboard.json": "no trace export",
    "out/junit.xml": "XML",
    "out/metrics.openmetrics": "no trace export",
    "out/prometheus_rules.yaml": "no trace export",
    "out/report.sarif": "no trace export",
    "out/signoz_alert_rule.json": "no trace export",
}
# Of a trace that its source cut nothing is found, and the run is inconclusive.
CUT = {"tempo_trace_v2_partial.json"}
# Rows of this view that stand in for a missing span are no spans.
INVENTED = {"signoz_waterfall_v4.json": 1}


def report(tool, path):
    ran = subprocess.run([tool, "check", path, "--format", "json"], capture_output=True, timeout=60)
    return json.loads(ran.stdout)


def problems(name, found):
    summary, coverage = found["summary"], found["coverage"]
    if name in REFUSED:
        said = " ".join(reason["message"] for reason in found["reasons"])
        if found["inputs"] or found["exit_code"] != 2 or REFUSED[name] not in said:
            yield f"exit code {found['exit_code']}: {said}"
        return
    kind = found["inputs"][0]["format"] if found["inputs"] else "not read"
    got = (kind, summary["span_records"], summary["orphan_spans"])
    if got != READ[name]:
        yield f"{got}, not {READ[name]}"
    if summary["traces"] != 1 or summary["extra_copies"]:
        yield f"{summary['traces']} traces, {summary['extra_copies']} extra copies"
    if coverage["rejected_spans"] or coverage["unreadable_bytes"]:
        yield "not read whole"
    if coverage["invented_rows"] != INVENTED.get(name, 0):
        yield f"{coverage['invented_rows']} made-up rows"
    rules = sorted(finding["rule"] for finding in found["findings"])
    expected = ["orphan-span"] if READ[name][2] and name not in CUT else []
    exit_code = 3 if name in CUT else 1 if expected else 0
    if (rules, found["exit_code"]) != (expected, exit_code):
        yield f"{rules}, exit code {found['exit_code']}"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--tool", required=True)
    arguments.add_argument("--examples", required=True)
    arguments = arguments.parse_args()
    root = pathlib.Path(arguments.examples)
    names = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} - {"README.md"}
    wrong = 0
    for name in sorted(names | READ.keys() | REFUSED.keys()):
        if name not in names:
            said = ["is not there"]
        elif name not in READ and name not in REFUSED:
            said = ["nothing is known about it"]
        else:
            said = list(problems(name, report(arguments.tool, root / name)))
        wrong += bool(said)
        for text in said:
            print(f"WRONG   {name}: {text}")
    print(f"{len(names)} files, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
