//! The binary as a new user meets it: what is given, what comes back, which exit code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tracemend::report::{FindingState, Report};

use crate::support::{Ran, case, check, gzip, ran, tracemend};

const HEALTHY: &str = "fixtures/healthy/shop/traces.jsonl";
const BROKEN: &str = "fixtures/orphan-span/hop-not-exported/traces.jsonl";
const DEMO: &str = "fixtures/demo/traces.jsonl";

fn read(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// `check` with the folder as current directory, so that paths are as a user types them.
fn check_in(folder: &TempDir, arguments: &[&str]) -> Ran {
    let mut command = tracemend(&["check", "--format", "json"]);
    ran(command.args(arguments).current_dir(folder.path()))
}

fn rules(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|finding| finding.rule.as_str()).collect()
}

fn reasons(report: &Report) -> Vec<&str> {
    report.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

/// A SERVER span of this service whose parent is missing, as a line of OTLP JSON.
fn orphan(trace: &str, service: &str, name: &str) -> Vec<u8> {
    let span = json!({"traceId": trace, "spanId": "b7ad6b7169203331", "parentSpanId": "00f067aa0ba902b7",
        "name": name, "kind": 2, "startTimeUnixNano": "1772443800000000000", "endTimeUnixNano": "1772443800009000000"});
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}]});
    let line = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]});
    format!("{line}\n").into_bytes()
}

mod inputs {
    use super::*;

    #[test]
    fn a_file_a_pipe_and_a_dash_give_the_same() {
        let file = check(&[BROKEN]);
        assert_eq!(file.code, 1, "{}", file.stderr);
        let report = file.report();
        assert_eq!(report.summary.orphan_spans, 6);
        let piped = ran(tracemend(&["--format", "json"]).write_stdin(read(BROKEN)));
        let dash = ran(tracemend(&["check", "-", "--format", "json"]).write_stdin(read(BROKEN)));
        assert_eq!((piped.code, dash.code), (1, 1));
        assert_eq!(piped.stdout, dash.stdout);
        let from_pipe = piped.report();
        assert_eq!(from_pipe.inputs[0].path, "-");
        assert_eq!(from_pipe.findings[0].fingerprint, report.findings[0].fingerprint);
        assert_eq!(from_pipe.findings[0].exemplars, report.findings[0].exemplars);
    }

    #[test]
    fn check_may_be_left_out() {
        let short = ran(&mut tracemend(&[BROKEN, "--format", "json"]));
        assert_eq!(short.stdout, check(&[BROKEN]).stdout);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_with_a_mix_gives_its_traces() {
        let mix = folder(&[
            ("a/traces.jsonl", &read(HEALTHY)),
            ("b.json", &read("fixtures/healthy/jaeger/traces.json")),
            ("package.json", b"{\"name\": \"shop\", \"version\": \"1.0.0\"}"),
            ("logo.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
            (".hidden/traces.jsonl", &read(BROKEN)),
            (".DS_Store", b"\0\0\0\x01Bud1"),
            ("empty", b""),
        ]);
        std::os::unix::fs::symlink(mix.path(), mix.path().join("loop")).unwrap();
        assert!(Process::new("mkfifo").arg(mix.path().join("fifo")).status().unwrap().success());
        let ran = check_in(&mix, &["."]);
        let report = ran.report();
        let paths: Vec<&str> = report.inputs.iter().map(|input| input.path.as_str()).collect();
        assert_eq!(paths, ["./a/traces.jsonl", "./b.json"]);
        assert_eq!(report.coverage.skipped_files, 5);
        assert_eq!(ran.code, 0, "{:?}", report.reasons);
    }

    #[test]
    fn a_pattern_gives_what_it_matches() {
        let some = folder(&[("a.jsonl", &read(HEALTHY)), ("b.jsonl", &read(BROKEN)), ("c.txt", b"no")]);
        let report = check_in(&some, &["*.jsonl"]).report();
        let paths: Vec<&str> = report.inputs.iter().map(|input| input.path.as_str()).collect();
        assert_eq!(paths, ["a.jsonl", "b.jsonl"]);
    }

    #[test]
    fn what_is_no_traces_is_named_and_the_rest_is_reported() {
        let logs = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"hi"}}]}]}]}"#;
        let html = b"<!DOCTYPE html><html><title>Sign in</title></html>";
        let wrong = folder(&[
            ("logo.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
            ("page.html", html),
            ("logs.json", logs),
            ("good.jsonl", &read(HEALTHY)),
        ]);
        for (file, word) in [("logo.png", "logo.png"), ("page.html", "HTML"), ("logs.json", "logs")] {
            let ran = check_in(&wrong, &[file, "good.jsonl"]);
            assert_eq!(ran.code, 2, "{file}");
            let report = ran.report();
            let message = &report.reasons[0].message;
            assert!(message.contains(file) && message.contains(word), "{message}");
            assert_eq!(report.inputs.len(), 1);
            assert!(report.summary.traces > 0);
        }
    }

    #[test]
    fn no_data_is_not_health() {
        let empty = folder(&[("empty.json", b""), ("none.json", br#"{"resourceSpans":[]}"#)]);
        let ran = check_in(&empty, &["empty.json"]);
        assert_ne!(ran.code, 0, "{}", ran.stdout);
        let ran = check_in(&empty, &["none.json"]);
        assert_eq!((ran.code, reasons(&ran.report())), (3, vec!["no-traces"]));
    }

    #[test]
    fn a_missing_file_names_a_similar_one() {
        let some = folder(&[("traces.jsonl", &read(HEALTHY))]);
        let ran = check_in(&some, &["trace.jsonl"]);
        assert_eq!(ran.code, 2);
        assert!(ran.report().reasons[0].message.contains("did you mean 'traces.jsonl'?"));
    }

    #[test]
    fn a_cut_file_is_said_and_changes_no_code() {
        let ran = check(&["fixtures/formats/damaged/cut-last-line/traces.jsonl"]);
        assert_eq!(ran.code, 0);
        let coverage = ran.report().coverage;
        assert_eq!(coverage.unreadable.len(), 1);
        assert_eq!(coverage.unreadable[0].bytes, coverage.unreadable_bytes);
    }

    #[test]
    fn a_cut_gzip_file_is_partial() {
        let ran = check(&["fixtures/formats/damaged/cut-gzip/traces.jsonl.gz"]);
        assert_eq!((ran.code, reasons(&ran.report())), (3, vec!["partial-input"]));
        assert!(ran.report().summary.span_records > 0);
        let accepted = check(&["fixtures/formats/damaged/cut-gzip/traces.jsonl.gz", "--allow-partial"]);
        assert_eq!(accepted.code, 0);
    }

    #[test]
    fn a_bad_line_among_many_is_counted() {
        let ran = check(&["fixtures/formats/damaged/bad-line/traces.jsonl"]);
        let coverage = ran.report().coverage;
        assert_eq!(ran.code, 0);
        assert_eq!((coverage.unreadable.len(), coverage.unreadable_bytes), (1, 24), "the line with its end");
        let strict = check(&["fixtures/formats/damaged/bad-line/traces.jsonl", "--max-rejects", "0"]);
        assert_eq!(strict.code, 3);
    }

    #[test]
    fn nesting_and_bombs_end_that_input_with_a_message() {
        let deep = [&b"{\"resourceSpans\":"[..], &b"[".repeat(10_000), &b"]".repeat(10_000), b"}"].concat();
        let bomb = gzip(&[read(HEALTHY), vec![b' '; 30 << 20]].concat());
        let hostile = folder(&[("deep.json", &deep), ("bomb.gz", &bomb), ("good.jsonl", &read(HEALTHY))]);
        let ran = check_in(&hostile, &["deep.json", "good.jsonl", "--input-format", "otlp-json"]);
        let report = ran.report();
        assert_eq!((ran.code, reasons(&report)), (3, vec!["partial-input"]));
        assert_eq!(report.coverage.limits_reached[0].flag, "--max-depth");
        assert!(report.summary.traces > 0, "the other input is read");
        let ran = check_in(&hostile, &["bomb.gz", "--max-decompressed", "4MiB"]);
        let report = ran.report();
        assert_eq!(ran.code, 3);
        assert_eq!(report.coverage.limits_reached[0].flag, "--max-decompressed");
        let table =
            self::ran(tracemend(&["bomb.gz", "--max-decompressed", "4MiB"]).current_dir(hostile.path()));
        assert!(table.stdout.contains("--max-decompressed"), "{}", table.stdout);
    }

    #[cfg(unix)]
    #[test]
    fn ctrl_c_reports_what_was_read() {
        use std::io::{Read as _, Write as _};
        let mut child = Process::new(env!("CARGO_BIN_EXE_tracemend"))
            .args(["check", "-", "--format", "json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The pipe stays open until the end of the test.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&read("fixtures/healthy/zipkin/traces.json")).unwrap();
        stdin.flush().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(800));
        assert!(Process::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let mut stdout = String::new();
        child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let report: Report = serde_json::from_str(&stdout).unwrap();
        assert!(report.summary.span_records > 0);
        assert_eq!(report.exit_code, 130);
        assert!(reasons(&report).contains(&"interrupted"));
        drop(stdin);
    }
}

mod given_twice {
    use super::*;

    #[track_caller]
    fn is_read_once(ran: &Ran, orphans: u64) -> Report {
        let report = ran.report();
        assert_eq!(rules(&report), ["orphan-span"], "no duplicates");
        assert_eq!(report.summary.orphan_spans, orphans);
        assert!(report.coverage.repeated_across_inputs > 0);
        report
    }

    #[test]
    fn the_same_file_twice() {
        let once = check(&[BROKEN]).report();
        let report = is_read_once(&check(&[BROKEN, BROKEN]), 6);
        assert_eq!(report.coverage.repeated_across_inputs, once.summary.span_records);
        assert_eq!(report.findings[0].spans, once.findings[0].spans);
    }

    #[test]
    fn a_file_and_its_gzip() {
        let both = folder(&[("t.jsonl", &read(BROKEN)), ("t.jsonl.gz", &gzip(&read(BROKEN)))]);
        is_read_once(&check_in(&both, &["."]), 6);
    }

    #[test]
    fn a_folder_and_a_file_in_it() {
        let both = folder(&[("in/t.jsonl", &read(BROKEN)), ("in/x.txt", b"no traces")]);
        is_read_once(&check_in(&both, &["in", "in/t.jsonl"]), 6);
    }

    #[test]
    fn rotated_files_that_overlap() {
        let all = read(BROKEN);
        let parts: Vec<&[u8]> = all.split_inclusive(|byte| *byte == b'\n').collect();
        let (first, second) = (parts[..4].concat(), parts[2..].concat());
        let rotated = folder(&[("t-1.jsonl", &first), ("t-2.jsonl", &second)]);
        is_read_once(&check_in(&rotated, &["."]), 6);
    }
}

mod gate {
    use super::*;

    #[test]
    fn flags_move_the_exit_code() {
        let cases: [(&[&str], i32); 14] = [
            (&[HEALTHY], 0),
            (&[BROKEN], 1),
            (&[BROKEN, "--fail-on", "never"], 0),
            (&[BROKEN, "--exit-zero"], 0),
            (&[BROKEN, "--ignore", "orphan-span"], 0),
            (&[BROKEN, "--ignore", "orphan-span:payments"], 0),
            (&[BROKEN, "--ignore", "orphan-span:checkout"], 1),
            (&[BROKEN, "--ignore", "orphan-spam"], 2),
            (&[HEALTHY, "--min-traces", "1000"], 3),
            (&["fixtures/clock-skew/host-behind/traces.jsonl"], 0),
            (&["fixtures/clock-skew/host-behind/traces.jsonl", "--fail-on", "warning"], 1),
            (
                &[
                    "fixtures/clock-skew/host-behind/traces.jsonl",
                    "--fail-on",
                    "warning",
                    "--min-confidence",
                    "certain",
                ],
                0,
            ),
            (&["fixtures/formats/damaged/bad-span-json/traces.json"], 3),
            (&["fixtures/formats/damaged/bad-span-json/traces.json", "--max-rejects", "10%"], 0),
        ];
        for (arguments, code) in cases {
            let ran = check(arguments);
            assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
            if code != 2 {
                assert_eq!(i32::from(ran.report().exit_code), code, "{arguments:?}");
            }
        }
    }

    #[test]
    fn exit_zero_changes_no_verdict_and_no_other_code() {
        let zero = check(&[BROKEN, "--exit-zero"]).report();
        assert_eq!(zero.verdict, check(&[BROKEN]).report().verdict);
        assert_eq!(check(&[HEALTHY, "--min-traces", "1000", "--exit-zero"]).code, 3);
        assert_eq!(check(&["missing.json", "--exit-zero"]).code, 2);
    }

    #[test]
    fn ignored_findings_stay_in_the_report() {
        let report = check(&[BROKEN, "--ignore", "orphan-span"]).report();
        assert_eq!(report.findings[0].state, FindingState::Ignored);
        assert_eq!(report.summary.breaks, 0);
    }

    #[test]
    fn the_format_never_changes_the_code() {
        for format in ["table", "concise", "json"] {
            assert_eq!(ran(&mut tracemend(&[BROKEN, "--format", format])).code, 1, "{format}");
        }
    }
}

mod filters {
    use super::*;

    #[test]
    fn parents_outside_a_service_filter_still_count() {
        let report = check(&[HEALTHY, "--service", "inventory"]).report();
        assert_eq!(report.summary.orphan_spans, 0);
        assert!(report.coverage.outside_filter > 0);
        let payments = check(&[BROKEN, "--service", "payments"]).report();
        assert_eq!(payments.summary.orphan_spans, 6);
        assert!(check(&[BROKEN, "--service", "checkout"]).report().findings.is_empty());
        assert_eq!(check(&[BROKEN, "--service", "shop/payments"]).code, 1);
        assert_eq!(check(&[BROKEN, "--service", "nobody"]).code, 3);
    }

    #[test]
    fn a_trace_is_chosen_by_the_beginning_of_its_id() {
        let all = check(&[BROKEN]).report();
        let id = &all.findings[0].occurrences[0].trace_id;
        let one = check(&[BROKEN, "--trace-id", &id[..10]]).report();
        assert_eq!((one.summary.traces, one.summary.orphan_spans), (1, 1));
        assert_eq!(check(&[BROKEN, "--trace-id", "ffffffffffff"]).code, 3);
    }

    #[test]
    fn times_choose_by_the_start_of_spans() {
        // The six traces begin one second apart.
        let from = |time: &str| check(&[BROKEN, "--from", time]).report().summary.orphan_spans;
        assert_eq!(from("2026-03-02T09:30:00Z"), 6);
        assert_eq!(from("2026-03-02T09:30:03Z"), 3);
        let to = check(&[BROKEN, "--to", "2026-03-02T09:30:01Z"]).report();
        assert_eq!((to.summary.traces, to.summary.orphan_spans), (1, 1));
        let since = check(&[BROKEN, "--since", "1s"]).report();
        assert_eq!(since.summary.orphan_spans, 1);
        assert_eq!(check(&[BROKEN, "--from", "2026-03-03", "--to", "2026-03-02"]).code, 2);
    }

    #[test]
    fn environments_are_kept_apart() {
        assert_eq!(check(&[BROKEN, "--env", "production"]).report().summary.orphan_spans, 6);
        assert_eq!(check(&[BROKEN, "--env", "staging"]).code, 3);
    }
}

mod output {
    use super::*;

    #[track_caller]
    fn is_valid(text: &str) -> Value {
        let schema: Value = serde_json::from_slice(&read("docs/schema/report-v1.json")).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let report: Value = serde_json::from_str(text).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&report)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
        report
    }

    #[test]
    fn json_is_what_the_schema_says() {
        for input in [DEMO, HEALTHY, "fixtures/formats/damaged/bad-span-json/traces.json", "missing.json"] {
            is_valid(&check(&[input]).stdout);
        }
    }

    #[test]
    fn what_jaeger_wrote_at_a_span_is_evidence() {
        let warning = "parent span ID=00000000000000ff is not in the trace; skipping clock skew adjustment";
        let id = "4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f";
        let parent = json!({"refType": "CHILD_OF", "traceID": id, "spanID": "00000000000000ff"});
        let span = json!({"traceID": id, "spanID": "00000000000000a1", "operationName": "GET /",
            "references": [parent], "startTime": 1_772_443_800_000_000_u64, "duration": 500,
            "processID": "p1", "warnings": [warning]});
        let trace = json!({"traceID": id, "spans": [span], "processes": {"p1": {"serviceName": "web"}}});
        let file = json!({"data": [trace]}).to_string();
        let report = check_in(&folder(&[("jaeger.json", file.as_bytes())]), &["jaeger.json"]).report();
        let evidence = report.findings[0].evidence.iter().find(|one| one.kind == "backend-warning").unwrap();
        assert_eq!(evidence.data["warning"], warning);
    }

    #[test]
    fn a_row_that_signoz_made_up_is_evidence_however_far_from_the_spans_below_it() {
        let row = |rest: Value| {
            let mut row = json!({"trace_id": "4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f", "duration_nano": 500,
                "time_unix": 1_772_443_800_000_u64});
            row.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            row
        };
        // More than a block.
        let text = "a".repeat(3 << 19);
        let waterfall = json!({"status": "success", "data": {"hasMissingSpans": true, "spans": [
            row(json!({"span_id": "00000000000000e5", "parent_span_id": "", "name": "Missing Span"})),
            row(json!({"span_id": "00000000000000a1", "parent_span_id": "", "name": "POST",
                "kind_string": "Server", "resource": {"service.name": "shop"}, "attributes": {"text": text}})),
            row(json!({"span_id": "00000000000000b2", "parent_span_id": "00000000000000e5", "name": "GET",
                "kind_string": "Server", "resource": {"service.name": "payments"}})),
        ]}});
        let file = waterfall.to_string();
        let folder = folder(&[("waterfall.json", file.as_bytes())]);
        let report = check_in(&folder, &["waterfall.json"]).report();
        assert_eq!(report.coverage.invented_rows, 1);
        let evidence = report.findings[0].evidence.iter().find(|one| one.kind == "backend-warning").unwrap();
        assert_eq!(
            evidence.data["warning"],
            "the row of its parent 00000000000000e5 was made up by the backend"
        );
        let shown = ran(tracemend(&["show", "4f1c", "waterfall.json"]).current_dir(folder.path()));
        assert!(shown.stdout.contains("the backend made a row up in its place"), "{}", shown.stdout);
    }

    #[test]
    fn attributes_beyond_the_spool_are_missed_in_coverage_only() {
        let piped = |limit: &str| {
            let mut command = tracemend(&["check", "-", "--format", "json", "--spool-limit", limit]);
            ran(command.write_stdin(read(DEMO))).report()
        };
        let (kept, lost) = (piped("1GiB"), piped("1"));
        let code = |report: &Report| {
            let locations = report.findings.iter().flat_map(|finding| &finding.locations);
            locations.filter(|location| location.kind == "code").count()
        };
        assert!(kept.coverage.attributes_not_kept.is_empty() && code(&kept) > 0);
        assert_eq!((lost.coverage.attributes_not_kept.len(), code(&lost)), (1, 0));
        assert_eq!(lost.summary, kept.summary);
    }

    #[test]
    fn an_invalid_report_is_noticed() {
        let schema: Value = serde_json::from_slice(&read("docs/schema/report-v1.json")).unwrap();
        let mut report: Value = serde_json::from_str(&check(&[DEMO]).stdout).unwrap();
        report["findings"][0]["severity"] = json!("loud");
        assert!(!jsonschema::is_valid(&schema, &report));
    }

    #[test]
    fn reports_are_written_beside_the_terminal() {
        let out = folder(&[("t.jsonl", &read(BROKEN))]);
        let mut command =
            tracemend(&["t.jsonl", "--report", "json=report.json", "--report", "concise=lines.txt"]);
        let ran = ran(command.current_dir(out.path()));
        assert_eq!(ran.code, 1);
        assert!(ran.stdout.starts_with("FAIL"), "{}", ran.stdout);
        is_valid(&fs::read_to_string(out.path().join("report.json")).unwrap());
        assert!(fs::read_to_string(out.path().join("lines.txt")).unwrap().contains("orphan-span"));
    }

    #[test]
    fn a_report_goes_to_a_file() {
        let out = folder(&[("t.jsonl", &read(BROKEN))]);
        let mut command = tracemend(&["t.jsonl", "--format", "json", "-o", "report.json"]);
        let ran = ran(command.current_dir(out.path()));
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
        is_valid(&fs::read_to_string(out.path().join("report.json")).unwrap());
        let mut over = tracemend(&["t.jsonl", "-o", "t.jsonl"]);
        assert_eq!(self::ran(over.current_dir(out.path())).code, 2);
        assert_eq!(
            fs::read(out.path().join("t.jsonl")).unwrap(),
            read(BROKEN),
            "the input is not written over"
        );
    }

    #[test]
    fn no_path_of_the_machine_stands_in_a_report() {
        let some = folder(&[("in/t.jsonl", &read(DEMO)), ("in/bad.json", b"{")]);
        let ran = check_in(&some, &["in", "missing.json"]);
        let machine: PathBuf = some.path().canonicalize().unwrap();
        for path in [some.path(), &machine, Path::new(env!("CARGO_MANIFEST_DIR"))] {
            assert!(!ran.stdout.contains(path.to_str().unwrap()), "{}", path.display());
        }
        assert!(ran.stdout.contains("\"in/t.jsonl\""));
    }

    #[test]
    fn names_from_traces_cannot_steer_a_terminal() {
        let name = "evil \u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}\u{9b}31m\nFAKE  0 breaks";
        let hostile = orphan("0af7651916cd43dd8448eb211c80319c", name, name);
        let some = folder(&[("t\u{1b}[31m.jsonl", &hostile)]);
        for arguments in [
            &["."][..],
            &[".", "--format", "concise"],
            &[".", "--format", "json"],
            &[".", "-vv"],
            &["show", "0af7651916cd43dd8448eb211c80319c", "."],
        ] {
            let ran = ran(tracemend(arguments).current_dir(some.path()));
            let text = format!("{}{}", ran.stdout, ran.stderr);
            let harmful = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{202e}';
            assert_eq!(text.chars().find(harmful), None, "{arguments:?}: {text:?}");
            assert!(!text.lines().any(|line| line.starts_with("FAKE")), "{arguments:?}: {text}");
        }
    }

    #[test]
    fn a_closed_pipe_is_success() {
        let mut child = Process::new(env!("CARGO_BIN_EXE_tracemend"))
            .args([HEALTHY, "--format", "json"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }

    #[test]
    fn quiet_is_quiet() {
        let ran = ran(&mut tracemend(&[BROKEN, "-qq"]));
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (1, "", ""));
    }

    #[test]
    fn the_table_fits_80_columns() {
        for line in ran(&mut tracemend(&[DEMO])).stdout.lines() {
            // Commands to copy are never wrapped.
            assert!(line.chars().count() <= 80 || line.contains("tracemend show"), "{line}");
        }
    }
}

mod show {
    use super::*;

    fn id() -> String {
        check(&[BROKEN]).report().findings[0].occurrences[0].trace_id.clone()
    }

    fn base64(hex: &str) -> String {
        use base64::Engine as _;
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        base64::engine::general_purpose::STANDARD.encode(bytes)
    }

    #[test]
    fn every_spelling_of_an_id_shows_the_trace() {
        let id = id();
        let whole = ran(&mut tracemend(&["show", &id, BROKEN]));
        assert_eq!(whole.code, 0, "{}", whole.stderr);
        assert!(whole.stdout.contains(&id) && whole.stdout.contains("orphan-span"), "{}", whole.stdout);
        let traceparent = format!("00-{id}-00f067aa0ba902b7-01");
        let spellings = [
            id[..8].to_owned(),
            id[16..].to_owned(),
            base64(&id),
            traceparent,
            id.to_uppercase(),
            format!("0x{id}"),
        ];
        for spelling in &spellings {
            let ran = ran(&mut tracemend(&["show", spelling, BROKEN]));
            assert_eq!((ran.code, &ran.stdout), (0, &whole.stdout), "{spelling}: {}", ran.stderr);
        }
        let piped = ran(tracemend(&["show", &id, "-"]).write_stdin(read(BROKEN)));
        assert_eq!(piped.stdout, whole.stdout);
    }

    #[test]
    fn an_unknown_id_names_the_nearest() {
        let id = id();
        let last = if id.ends_with('0') { "1" } else { "0" };
        let wrong = format!("{}{last}", &id[..31]);
        let ran = ran(&mut tracemend(&["show", &wrong, BROKEN]));
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
        let nearest = ran.stderr.lines().nth(1).unwrap_or_default().trim().to_owned();
        assert_eq!(nearest, id, "{}", ran.stderr);
        assert_eq!(self::ran(&mut tracemend(&["show", "no id", BROKEN])).code, 2);
    }

    #[test]
    fn every_next_command_of_the_demo_works() {
        let demo = ran(&mut tracemend(&["demo"]));
        assert_eq!(demo.code, 1);
        let commands: Vec<&str> = demo
            .stdout
            .lines()
            .filter_map(|line| line.split_once("tracemend ").map(|(_, rest)| rest.trim()))
            .collect();
        assert!(commands.len() >= 8, "{commands:?}");
        for command in commands {
            let arguments: Vec<&str> = command.split_whitespace().collect();
            let ran = ran(&mut tracemend(&arguments));
            assert_eq!(ran.code, 0, "{command}: {}", ran.stderr);
            assert!(ran.stdout.len() > 200, "{command}");
        }
    }
}

mod lists {
    use super::*;

    #[test]
    fn rules_and_formats_explain_themselves() {
        for list in ["rules", "formats"] {
            let text = ran(&mut tracemend(&[list]));
            let json = ran(&mut tracemend(&[list, "--format", "json"]));
            assert_eq!((text.code, json.code), (0, 0));
            let items: Vec<Value> = serde_json::from_str(&json.stdout).unwrap();
            assert!(items.len() >= 5);
            for item in items {
                let name = item["name"].as_str().unwrap();
                assert!(text.stdout.contains(name), "{name}");
            }
        }
        let rules = ran(&mut tracemend(&["rules", "--format", "json"]));
        for rule in serde_json::from_str::<Vec<Value>>(&rules.stdout).unwrap() {
            let page = ran(&mut tracemend(&["explain", rule["name"].as_str().unwrap()]));
            assert_eq!(page.code, 0);
            assert!(page.stdout.contains("How to fix it"), "{}", page.stdout);
        }
        let unknown = ran(&mut tracemend(&["explain", "orphan-spam"]));
        assert_eq!(unknown.code, 2);
        assert!(unknown.stderr.contains("did you mean `orphan-span`?"), "{}", unknown.stderr);
    }

    #[test]
    fn every_shell_has_completions() {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let ran = ran(&mut tracemend(&["completions", shell]));
            assert_eq!(ran.code, 0);
            assert!(ran.stdout.contains("fail-on"), "{shell}");
        }
    }

    #[test]
    fn usage_errors_are_2_and_help_is_0() {
        assert_eq!(ran(&mut tracemend(&["--help"])).code, 0);
        assert_eq!(ran(&mut tracemend(&["--version"])).code, 0);
        let unknown = ran(&mut tracemend(&[HEALTHY, "--format", "sarif"]));
        assert_eq!(unknown.code, 2);
        assert!(unknown.stderr.contains("table") && unknown.stderr.contains("json"), "{}", unknown.stderr);
        let typo = ran(&mut tracemend(&["chekc"]));
        assert_eq!(typo.code, 2);
        assert!(typo.stderr.contains("did you mean `check`?"), "{}", typo.stderr);
    }

    #[test]
    fn no_arguments_and_an_empty_pipe_are_no_health() {
        let ran = ran(tracemend(&[]).write_stdin(""));
        assert_ne!(ran.code, 0, "{}", ran.stdout);
    }

    #[test]
    fn the_demo_is_the_fixture() {
        let demo = ran(&mut tracemend(&["demo", "--format", "json"]));
        let mut demo = demo.report();
        let file = check(&[&case("demo").file]).report();
        demo.inputs.clone_from(&file.inputs);
        for finding in &mut demo.findings {
            for location in finding.locations.iter_mut().filter(|location| location.kind == "input") {
                DEMO.clone_into(&mut location.path);
            }
        }
        assert_eq!(demo, file);
        assert!(file.findings.iter().any(|finding| finding.locations[0].kind == "code"));
    }
}
