#!/usr/bin/env python3
"""Holds that the same spans in other formats give the same report.

usage: formats.py --tool PATH --data DIR

DIR holds files `<spans>.<format>`: all files with the same first part have the same spans. The first
in OTLP JSON is the reference. Structure has to be equal; findings may be fewer or less sure where
the capability record of the format says what it cannot tell, and never more.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys

STRUCTURE = """span_records traces orphan_spans missing_parents traces_with_orphans traces_without_root
traces_with_multiple_roots fragments self_parents cycle_spans shared_pairs truncated_trace_pairs services
extra_copies""".split()
DURATIONS = ("zero_durations", "negative_durations")
CONFIDENCE = ("low", "medium", "high", "certain")
SEVERITY = ("info", "warning", "error")


def report(tool, path):
    ran = subprocess.run([tool, "check", path, "--format", "json", "--exit-zero"], capture_output=True, timeout=300)
    return json.loads(ran.stdout)


def places(found):
    """The surest finding of each rule and service."""
    out = {}
    for finding in found["findings"]:
        service = (finding["to"] or {}).get("service")
        causes = {cause["id"] for cause in [finding["cause"], *finding["other_causes"]] if cause}
        key = (finding["rule"], service)
        known = out.setdefault(key, {"confidence": 0, "severity": 0, "causes": set()})
        known["confidence"] = max(known["confidence"], CONFIDENCE.index(finding["confidence"]))
        known["severity"] = max(known["severity"], SEVERITY.index(finding["severity"]))
        known["causes"] |= causes
    return out


def differences(reference, found):
    ours, theirs = reference["summary"], found["summary"]
    can = found["inputs"][0]["capabilities"]
    for name in STRUCTURE:
        if ours[name] != theirs[name]:
            yield f"{name} {theirs[name]}, not {ours[name]}"
    ids = "exact_duplicate_ids", "colliding_ids"
    if sum(ours[name] for name in ids) != sum(theirs[name] for name in ids):
        yield "another number of ids with copies"
    if theirs["colliding_ids"] > ours["colliding_ids"]:
        yield "more colliding ids"
    for name in DURATIONS:
        if can["time_resolution_ns"] == 1 and ours[name] != theirs[name]:
            yield f"{name} {theirs[name]}, not {ours[name]}"
    coverage = found["coverage"]
    if coverage["rejected_spans"] or coverage["unreadable_bytes"]:
        yield "not read whole"
    known, met = places(reference), places(found)
    for key, finding in met.items():
        expected = known.get(key)
        if expected is None:
            yield f"{key} is new"
        elif finding["confidence"] > expected["confidence"] or finding["severity"] > expected["severity"]:
            yield f"{key} is graver or surer"
        elif not finding["causes"] <= expected["causes"]:
            yield f"{key} has new causes: {finding['causes'] - expected['causes']}"
    stated = {check["rule"] for check in coverage["checks_not_possible"]}
    for key in known.keys() - met.keys():
        if key[0] not in stated:
            yield f"{key} is missing, and coverage does not say why"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--tool", required=True)
    arguments.add_argument("--data", required=True)
    arguments = arguments.parse_args()
    groups = collections.defaultdict(list)
    for path in sorted(pathlib.Path(arguments.data).iterdir()):
        groups[path.name.split(".")[0]].append(path)
    wrong = compared = 0
    for name, paths in groups.items():
        originals = [path for path in paths if path.name.endswith(".otlp.json")]
        if len(paths) < 2 or not originals:
            continue
        reference = report(arguments.tool, originals[0])
        for path in paths:
            found = report(arguments.tool, path)
            compared += 1
            kind = found["inputs"][0]["format"] if found["inputs"] else "not read"
            said = list(differences(reference, found)) if found["inputs"] else [str(found["reasons"])]
            wrong += bool(said)
            print(f"{'DIFFERS' if said else 'ok':8}{path.name} ({kind}) {'; '.join(said)}")
    print(f"{compared} files, {wrong} differ")
    return 1 if wrong or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
