"""What a script of an afternoon does: orphan spans and repeated span ids in OTLP JSON lines."""

import json
import sys


def main(path):
    spans = {}
    copies = 0
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            for resource_spans in json.loads(line)["resourceSpans"]:
                for scope_spans in resource_spans["scopeSpans"]:
                    for span in scope_spans["spans"]:
                        trace = spans.setdefault(span["traceId"], {})
                        if span["spanId"] in trace:
                            copies += 1
                        trace[span["spanId"]] = span.get("parentSpanId")
    orphans = sum(
        1 for trace in spans.values() for parent in trace.values() if parent and parent not in trace
    )
    print(f"orphan spans: {orphans}, copies: {copies}")


main(sys.argv[1])
