#!/bin/sh
# Measures tracemend against a serde_json::Value pass and a Python script on one generated file, and
# tracemend on every format: CPU seconds (user + system) and peak memory, as a Markdown table.
# Usage: benches/compare.sh [SPANS]
set -eu
cd "$(dirname "$0")/.."
spans=${1:-200000}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo build --release --quiet --bin tracemend --example generate --example value_pass
target=${CARGO_TARGET_DIR:-target}/release
for form in otlp-json otlp-protobuf-frames jaeger-json zipkin-json; do
    "$target/examples/generate" "$form" "$spans" >"$folder/$form" 2>"$folder/truth"
done
"$target/examples/generate" otlp-json 10 >"$folder/ten" 2>/dev/null

python3 - "$folder" "$target" "$spans" <<'PYTHON'
import os, statistics, sys

folder, target, spans = sys.argv[1], sys.argv[2], int(sys.argv[3])

def once(command):
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.execvp(command[0], command)
    _, _, usage = os.wait4(child, 0)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss

def check(form):
    return [f"{target}/tracemend", "check", f"{folder}/{form}"]

commands = {
    "tracemend, OTLP JSON lines": check("otlp-json"),
    "serde_json::Value of each line": [f"{target}/examples/value_pass", f"{folder}/otlp-json"],
    "Python script": ["python3", "benches/compare.py", f"{folder}/otlp-json"],
    "tracemend, OTLP protobuf": check("otlp-protobuf-frames"),
    "tracemend, Jaeger JSON": check("jaeger-json"),
    "tracemend, Zipkin JSON": check("zipkin-json"),
}
# In turns, so that a busy machine is busy for all of them.
runs = {name: [] for name in commands}
for _ in range(5):
    for name, command in commands.items():
        runs[name].append(once(command))
idle = once(check("ten"))[1]
first = statistics.median(cpu for cpu, _ in runs["tracemend, OTLP JSON lines"])
print("| | CPU s | CPU µs a span | times tracemend | peak MiB | above ten spans, B a span |")
print("|---|---|---|---|---|---|")
for name, measured in runs.items():
    cpu = statistics.median(cpu for cpu, _ in measured)
    peak = statistics.median(peak for _, peak in measured)
    each = f"{(peak - idle) * 1024 / spans:.0f}" if name.startswith("tracemend") else ""
    print(f"| {name} | {cpu:.2f} | {cpu / spans * 1e6:.2f} | {cpu / first:.1f} | {peak / 1024:.0f} | {each} |")
PYTHON
