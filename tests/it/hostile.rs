//! Input that is damaged or made to do harm: through what the fuzz targets do, on the stable compiler,
//! and through the binary within a bound on its memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;
use proptest::prelude::*;
use proptest::sample::Index;
use tempfile::TempDir;
use tracemend::config::Settings;
use tracemend::formats::{self, Detection, Head};
use tracemend::sources::{Input, InputKind, open_stream};
use tracemend::store::record::MAX_INPUTS;

use crate::support::{Ran, cases, gzip, ran, run_bytes, tracemend};

#[expect(unreachable_pub, reason = "a crate of its own, for the fuzz targets")]
#[path = "../../fuzz/src/lib.rs"]
mod harness;

use harness::{CONTROL_BYTES, PACKED, TARGETS};

/// Enough for several spans, and few enough for many runs without optimisation.
const SEED_BYTES: usize = 3 << 10;

/// What a fuzz target gets of a format: its name, the number of the format in it, an input.
struct Seed {
    target: &'static str,
    choice: u8,
    input: Vec<u8>,
}

/// One of every format, out of the fixtures.
fn seeds() -> Vec<Seed> {
    let mut inputs: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for case in cases().into_iter().filter(|case| case.is_in("formats")) {
        let input = Input { path: String::new(), kind: InputKind::Stdin, named: true };
        let bytes = case.bytes();
        let opened = open_stream(&input, Box::new(bytes.as_slice()), &formats::Limits::default()).unwrap();
        if let Detection::Known(format) = formats::detect(&Head::new(&opened.head)) {
            let head = &opened.head[..opened.head.len().min(SEED_BYTES)];
            inputs.entry(format.info().name).or_insert_with(|| head.to_vec());
        }
    }
    let message = inputs["otlp-protobuf"].clone();
    let seed = |format: &str| {
        let mut targets = TARGETS.iter().filter_map(|(target, formats)| {
            let choice = formats.iter().position(|name| *name == format)?;
            Some((*target, choice as u8))
        });
        let (target, choice) = targets.next().unwrap_or_else(|| panic!("{format} is in no fuzz target"));
        assert!(targets.next().is_none(), "{format} is in several fuzz targets");
        match inputs.get(format) {
            Some(input) => Seed { target, choice, input: input.clone() },
            // No program of the fixtures writes lengths in front, so the target does.
            None if format == "otlp-protobuf-delimited" => {
                Seed { target, choice: choice | PACKED, input: message.clone() }
            }
            None => panic!("no fixture of {format}"),
        }
    };
    formats::ALL.iter().map(|format| seed(format.info().name)).collect()
}

#[test]
fn every_format_is_in_a_fuzz_target() {
    assert_eq!(seeds().len(), formats::ALL.len());
    let named: usize = TARGETS.iter().map(|(_, formats)| formats.len()).sum();
    assert_eq!(named, formats::ALL.len(), "a target names a format that is none");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort_unstable();
    let mut targets: Vec<&str> = TARGETS.iter().map(|(target, _)| *target).collect();
    targets.extend(["compressed", "detect"]);
    targets.sort_unstable();
    assert_eq!(files, targets);
}

#[test]
fn fuzz_targets_accept_the_fixtures() {
    for Seed { target, choice, input } in seeds() {
        for limits in 0..5 {
            for cuts in [0x00, 0x13, 0x25] {
                harness::decode(target, &[&[choice, limits, cuts], input.as_slice()].concat());
                harness::detect(&[&[choice, limits, cuts], input.as_slice()].concat());
            }
        }
        for control in [0xf8, 0xf9, 0xfa] {
            harness::compressed(&[&[control, 0xff, 0xff, 0, 0], input.as_slice()].concat());
        }
    }
}

#[test]
fn fuzz_targets_accept_what_was_put_right_in_later_blocks() {
    let log = "\n\n\n\n\n\n\n\n\n2026-01-01T00:00:00Z stdout F {\n2026-01-01T00:00:00Z stdout F }\n{}\n";
    for cuts in 0..6 {
        harness::decode("consoles", &[&[0, 4, cuts], log.as_bytes()].concat());
    }
}

#[test]
fn fuzz_targets_accept_rows_of_missing_spans_in_blocks_of_their_own() {
    let row = |rest: &str| {
        format!("{{\"trace_id\":\"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f\",\"time_unix\":1767225600001,{rest}}}")
    };
    let missing = row(r#""span_id":"00000000000000e5","parent_span_id":"","name":"Missing Span""#);
    let child = row(r#""span_id":"b2b2b2b2b2b2b2b2","parent_span_id":"00000000000000e5","name":"GET""#);
    let waterfall = format!("{{\"data\":{{\"spans\":[{missing},{child}]}}}}");
    let (_, formats) = TARGETS.iter().find(|(target, _)| *target == "rows").unwrap();
    let choice = formats.iter().position(|format| *format == "signoz-waterfall").unwrap() as u8;
    for cuts in 0..6 {
        harness::decode("rows", &[&[choice, 4, cuts], waterfall.as_bytes()].concat());
    }
}

#[test]
fn fuzz_targets_accept_arrays_in_members_that_others_need() {
    let span = r#"{"traceID":"1","spanID":"2","operationName":"GET","processID":"p"}"#;
    let processes = r#"{"o":{"data":[{},{}]},"p":{"serviceName":"shop"}}"#;
    let jaeger = format!(r#"{{"spans":[{span}],"processes":{processes}}}"#);
    let flat = r#"{"traceId":"1","spanId":"2","resourceSpans":[{},{"traceId":"3"}],"name":"GET"}"#;
    let nested = r#"{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[
        {"scope":{},"spans":[{"spanId":"1"},{"spanId":"2"}],"name":"GET"}]}]}]}"#;
    for (target, text) in [("jaeger_json", jaeger.as_str()), ("otlp_json", flat), ("otlp_json", nested)] {
        for cuts in 0..6 {
            harness::decode(target, &[&[0, 4, cuts], text.as_bytes()].concat());
        }
    }
}

#[test]
fn fuzz_targets_accept_lines_in_damaged_members_that_are_repeated() {
    let spans = r#"{"traceId":"1","spanId":"2"},{"traceId":"1","spanId":"3"},{"traceId":"1","spanId":"4"}"#;
    for scope in ["\0\n{\"name\":\"http\"}", "{\"version\":\"\\q\",\"a\":\n{\"name\":\"http\"}}"] {
        let text = format!(
            r#"{{"resourceSpans":[{{"resource":{{}},"scopeSpans":[{{"scope":{scope},"spans":[{spans}]}}]}}]}}"#
        );
        for cuts in 0..6 {
            harness::decode("otlp_json", &[&[0, 4, cuts], text.as_bytes()].concat());
        }
    }
}

fn damaged(mut bytes: Vec<u8>, cut: Option<Index>, changes: &[(Index, u8)]) -> Vec<u8> {
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len()));
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_input_of_every_format_holds_what_fuzzing_checks(
        control in any::<[u8; CONTROL_BYTES]>(),
        cut in proptest::option::of(any::<Index>()),
        changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..4),
    ) {
        for Seed { target, choice, input } in seeds() {
            let input = damaged(input, cut, &changes);
            harness::decode(target, &[&[choice, control[1], control[2]], input.as_slice()].concat());
        }
    }

    #[test]
    fn damaged_compressed_input_of_every_format_holds_what_fuzzing_checks(
        zstd: bool,
        damage in any::<[u8; 4]>(),
    ) {
        for Seed { input, .. } in seeds() {
            let control = [0xf8 | u8::from(zstd), damage[0], damage[1] & 0x07, damage[2], damage[3]];
            harness::compressed(&[&control, input.as_slice()].concat());
        }
    }
}

// --- Memory -----------------------------------------------------------------------------------------

/// Address space that a run may take. Above the bound of one record, there is room for the blocks under
/// way, the stacks of the workers, and the buffers of the allocator.
#[cfg(target_os = "linux")]
const ADDRESS_SPACE_KIB: u32 = 640 << 10;

/// Runs `check` over one file within the bound.
#[cfg(target_os = "linux")]
fn check_bounded(name: &str, bytes: &[u8], arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), bytes).unwrap();
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -v {ADDRESS_SPACE_KIB} && exec \"$@\"")).arg("sh");
    command.args([env!("CARGO_BIN_EXE_tracemend"), "check", name, "--format", "json", "--threads", "2"]);
    command.args(["--max-record", "32MiB"]).args(arguments).current_dir(folder.path());
    ran(command.timeout(Duration::from_secs(300)))
}

/// Name, bytes, further arguments, the flag of the bound that is reached.
#[cfg(target_os = "linux")]
type HostileRun = (&'static str, Vec<u8>, &'static [&'static str], Option<&'static str>);

#[cfg(target_os = "linux")]
#[test]
fn hostile_input_stays_within_bounds() {
    const OTLP: &[&str] = &["--input-format", "otlp-json"];
    const PROTOBUF: &[&str] = &["--input-format", "otlp-protobuf"];
    const HEAD: &str = r#"{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":["#;
    const SPAN: &str =
        r#"{"traceId":"1","spanId":"2","name":"n","startTimeUnixNano":"1","endTimeUnixNano":"2"}"#;
    let filler = |bytes: usize| "a".repeat(bytes);
    let line = format!("{HEAD}{SPAN}]}}]}}]}}\n");
    let frame = |payload: &[u8]| [&(payload.len() as u32).to_be_bytes(), payload].concat();
    let zstd_bomb =
        zstd::encode_all([line.as_bytes(), &vec![b' '; 64 << 20]].concat().as_slice(), 1).unwrap();
    let runs: [HostileRun; 15] = [
        ("deep", format!("{line}{}", "[".repeat(4 << 20)).into(), &[], Some("--max-depth")),
        (
            "deep in a span",
            format!("{HEAD}{{\"x\":{}", "[".repeat(4 << 20)).into(),
            OTLP,
            Some("--max-depth"),
        ),
        ("string", format!("{line}{{\"a\":\"{}\"}}", filler(20 << 20)).into(), &[], Some("--max-string")),
        ("record", format!("{line}{{\"a\":\"{}", filler(40 << 20)).into(), &[], Some("--max-record")),
        ("values in a line", format!("{line}{}", "{}".repeat(1 << 20)).into(), &[], None),
        ("empty spans", format!("{HEAD}{SPAN}{}", ",{}".repeat(1 << 20)).into(), &[], None),
        ("numbers", format!("{HEAD}{{\"spanId\":{}", "1".repeat(4 << 20)).into(), OTLP, None),
        ("names", format!("{line}{{{}", "\"k\":1,".repeat(1 << 20)).into(), &[], None),
        ("quotes", format!("trace_id,span_id,timestamp\na,b,1\na,b,\"{}", filler(8 << 20)).into(), &[], None),
        ("columns", format!("trace_id,span_id,timestamp{}\n1,2,3\n", ",".repeat(1 << 20)).into(), &[], None),
        (
            "brackets in cells",
            format!("trace_id\tspan_id\ttimestamp\tevents\n1\t2\t3\t{}\n", "[".repeat(1 << 20)).into(),
            &[],
            None,
        ),
        (
            "lengths",
            [b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f".as_slice(), &vec![0; 1 << 20]].concat(),
            PROTOBUF,
            Some("--max-record"),
        ),
        (
            "bomb.gz",
            gzip(&[line.as_bytes(), &vec![b' '; 64 << 20]].concat()),
            &["--max-decompressed", "32MiB"],
            Some("--max-decompressed"),
        ),
        ("bomb.zst", zstd_bomb.clone(), &["--max-decompressed", "32MiB"], Some("--max-decompressed")),
        ("bomb in a frame", [frame(line.as_bytes()), frame(&zstd_bomb)].concat(), &[], Some("--max-record")),
    ];
    for (name, bytes, arguments, flag) in runs {
        let ran = check_bounded(name, &bytes, arguments);
        assert!((0..=3).contains(&ran.code), "{name}: {} {}", ran.code, ran.stderr);
        let report = ran.report();
        let flags: Vec<&str> =
            report.coverage.limits_reached.iter().map(|limit| limit.flag.as_str()).collect();
        assert_eq!(flags, flag.iter().copied().collect::<Vec<_>>(), "{name}");
        let coverage = &report.coverage;
        assert_eq!(report.summary.span_records + coverage.rejected_spans, coverage.records_seen, "{name}");
    }
}

// --- Limits -----------------------------------------------------------------------------------------

/// A good span, and behind it what just keeps a limit or just exceeds it.
struct Bound {
    flag: &'static str,
    value: &'static str,
    keeps: Vec<u8>,
    exceeds: Vec<u8>,
}

fn bounds() -> Vec<Bound> {
    const SPAN: &str = r#"{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{"traceId":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","spanId":"a1a1a1a1a1a1a1a1","name":"n","startTimeUnixNano":"1767225600000000000","endTimeUnixNano":"1767225600000000007"}]}]}]}"#;
    let nested = |depth: usize| format!("{SPAN}\n{{\"x\":{}{}}}\n", "[".repeat(depth), "]".repeat(depth));
    let text = |bytes: usize| format!("{SPAN}\n{{\"x\":\"{}\"}}\n", "a".repeat(bytes));
    let frames = |bytes: usize| {
        let second = format!("{SPAN}{}", " ".repeat(bytes - SPAN.len()));
        let frame = |payload: &str| [&(payload.len() as u32).to_be_bytes(), payload.as_bytes()].concat();
        [frame(SPAN), frame(&second)].concat()
    };
    let packed = |bytes: usize| gzip(format!("{SPAN}\n{}", " ".repeat(bytes - SPAN.len() - 1)).as_bytes());
    let bound = |flag, value, keeps: Vec<u8>, exceeds: Vec<u8>| Bound { flag, value, keeps, exceeds };
    vec![
        bound("--max-depth", "20", nested(19).into(), nested(20).into()),
        bound("--max-string", "1000", text(1000).into(), text(1001).into()),
        bound("--max-record", "2000", frames(2000), frames(2001)),
        bound("--max-decompressed", "5000", packed(5000), packed(5001)),
    ]
}

fn check_file(folder: &TempDir, arguments: &[&str]) -> Ran {
    let mut command = tracemend(&["check", "traces", "--format", "json"]);
    ran(command.args(arguments).current_dir(folder.path()))
}

#[test]
fn a_limit_ends_an_input_keeps_what_was_read_and_is_named() {
    for Bound { flag, value, keeps, exceeds } in bounds() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("traces");
        std::fs::write(&file, keeps).unwrap();
        let ran = check_file(&folder, &[flag, value]);
        assert_eq!(ran.code, 0, "{flag} {value}: {}", ran.stdout);
        assert!(ran.report().coverage.limits_reached.is_empty(), "{flag}");

        std::fs::write(&file, exceeds).unwrap();
        let ran = check_file(&folder, &[flag, value]);
        let report = ran.report();
        assert_eq!(ran.code, 3, "{flag} {value}");
        let [limit] = &report.coverage.limits_reached[..] else { panic!("{flag} {value} is not reached") };
        assert_eq!((limit.flag.as_str(), limit.input.as_str()), (flag, "traces"));
        assert_eq!(report.summary.span_records, 1, "{flag}: what was read is kept");
        assert_eq!(
            report.reasons.iter().map(|reason| reason.code.as_str()).collect::<Vec<_>>(),
            ["partial-input"]
        );

        assert_eq!(check_file(&folder, &[flag, value, "--allow-partial"]).code, 0, "{flag}");
        let ran = check_file(&folder, &[]);
        assert_eq!((ran.code, ran.report().coverage.limits_reached.len()), (0, 0), "{flag} by default");
    }
}

#[test]
fn more_inputs_than_can_be_numbered_are_said() {
    let span = br#"{"traceId":"1","spanId":"2","name":"n","startTimeUnixNano":"1","endTimeUnixNano":"2"}"#;
    let mut files: Vec<(&str, &[u8])> = vec![("traces", b"{\"resourceSpans\":[]}"); MAX_INPUTS];
    files[MAX_INPUTS - 1].1 = span;
    let report = run_bytes(&files, &Settings::default());
    assert_eq!((report.summary.span_records, report.exit_code), (1, 0));
    files.push(("one more", span));
    let report = run_bytes(&files, &Settings::default());
    assert_eq!((report.summary.span_records, report.exit_code), (1, 2), "what was read is kept");
    assert!(
        report.reasons.iter().any(|reason| reason.message.contains("65536 inputs")),
        "{:?}",
        report.reasons
    );
}
