//! `--signoz`, against doubles of each generation of its API.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::asking::{
    SECOND, START, WINDOW, ask, broken_shop, check_with, command, interrupt, now_ns, says, shop, start,
    tells_the_same, wait_until,
};
use crate::double::jaeger::{Generation, Jaeger};
use crate::double::signoz::Signoz;
use crate::double::{Answer, Delivery, Double, Faulty, Handler, Request, Store, When, refused};
use crate::support::{Ran, check, findings, ran};

/// Minor versions, before and after each change of the API: no `query_range`, seven columns, exports, all
/// fields, today's.
const SEARCHED: [u32; 5] = [87, 116, 117, 130, 138];
const OLD: u32 = 86;
const TODAY: u32 = 138;

/// Where spans are searched, and from where they are exported.
const SEARCH: &str = "/api/v5/query_range";
const EXPORT: &str = "/api/v1/export_raw_data";

fn signoz(store: Store, minor: u32) -> Double {
    Double::start(Signoz::new(store, minor))
}

fn today(store: Store) -> Double {
    signoz(store, TODAY)
}

/// Asks for the usual window, with more arguments.
#[track_caller]
fn run(double: &Double, more: &[&str]) -> Ran {
    ask("--signoz", double, &[&WINDOW, more].concat())
}

/// The key as it is given in the environment.
const KEY: (&str, &str) = ("SIGNOZ_API_KEY", "canary-key");

/// Asks for the usual window with the key.
#[track_caller]
fn run_with_key(double: &Double) -> Ran {
    check_with(&[&["--signoz", &double.url()], &WINDOW[..]].concat(), &[KEY])
}

/// A run fails with this code, says these words, and shows no traces as healthy.
#[track_caller]
fn fails(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{}{}", ran.stderr, ran.stdout);
    says(ran, words);
    assert_eq!(ran.report().exit_code, code as u8);
}

#[track_caller]
fn reads(ran: &Ran, traces: u64, spans: u64) {
    let report = ran.report();
    let read = (report.summary.traces, report.summary.span_records, report.summary.extra_copies);
    assert_eq!(read, (traces, spans, 0), "{}", ran.stderr);
}

/// One trace whose root has so many children more.
fn wide(children: usize) -> Store {
    let mut store = shop(1);
    let child = store.spans[1].clone();
    for nth in 0..children {
        let mut child = child.clone();
        child.span_id = format!("{:016x}", 0xc0_0000 + nth);
        store.spans.push(child);
    }
    store
}

/// The same server behind something that changes requests.
fn behind(signoz: Signoz, change: impl Fn(&mut Value) + Send + Sync + 'static) -> Double {
    Double::start(move |request: &Request| {
        let mut request = request.clone();
        if let Ok(mut body) = serde_json::from_slice(&request.body) {
            change(&mut body);
            request.body = body.to_string().into_bytes();
        }
        signoz.answer(&request)
    })
}

mod reading {
    use super::*;

    #[test]
    fn every_generation_tells_what_the_file_tells() {
        let file = check(&["fixtures/demo/traces.jsonl"]);
        for minor in SEARCHED {
            let double = signoz(Store::from_fixture("demo"), minor);
            let ran = ask("--signoz", &double, &["--from", "2026-03-02", "--to", "2026-03-03"]);
            tells_the_same(&ran, &file);
        }
    }

    #[test]
    fn traces_without_a_root_are_found() {
        for minor in SEARCHED {
            let ran = run(&signoz(broken_shop(20), minor), &[]);
            let report = ran.report();
            assert_eq!((ran.code, report.summary.traces), (1, 20), "{minor}: {}", ran.stderr);
            assert_eq!(report.summary.orphan_spans, 20, "{minor}");
        }
    }

    #[test]
    fn copies_are_those_that_are_stored() {
        for minor in SEARCHED {
            let mut store = shop(5);
            store.spans.extend_from_within(0..3);
            let ran = run(&signoz(store, minor), &[]);
            assert_eq!(ran.report().summary.extra_copies, 3, "{minor}: {}", ran.stderr);
        }
    }

    /// 9 000 spans, of which searches are asked for 5 000 at a time.
    #[test]
    fn every_trace_comes_once_in_pages_and_in_exports() {
        for (minor, is_exported) in [(116, false), (TODAY, true)] {
            let double = signoz(shop(3_000), minor);
            let ran = run(&double, &["--limit", "5000"]);
            reads(&ran, 3_000, 9_000);
            assert_eq!(ran.code, 0, "{minor}: {}", ran.stderr);
            let exports = double.requests_to(EXPORT).len();
            assert_eq!(exports > 1, is_exported, "{minor}: {exports} exports");
        }
    }

    #[test]
    fn a_trace_may_have_many_pages() {
        for minor in [116, TODAY] {
            let double = signoz(wide(5_500), minor);
            let ran = run(&double, &[]);
            reads(&ran, 1, 5_503);
            assert_eq!(ran.code, 0, "{minor}: {}", ran.stderr);
        }
    }

    #[test]
    fn answers_that_are_too_large_are_asked_for_in_parts() {
        let double = signoz(shop(1_500), TODAY);
        let ran = run(&double, &["--max-record", "48K", "--limit", "2000"]);
        reads(&ran, 1_500, 4_500);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }

    #[test]
    fn answers_that_are_too_large_however_little_is_asked_for_end_soon() {
        let double = today(shop(450));
        let ran = run(&double, &["--max-record", "1K"]);
        assert!(matches!(ran.code, 2 | 3), "{}", ran.stderr);
        says(&ran, &["more than 1024 bytes", "--max-record"]);
        assert!(double.requests().len() < 40, "{}", double.requests().len());
    }

    #[test]
    fn a_limit_counts_whole_traces_and_is_named() {
        let double = signoz(shop(100), TODAY);
        let ran = run(&double, &["--limit", "30"]);
        reads(&ran, 30, 90);
        let report = ran.report();
        assert_eq!((ran.code, report.summary.orphan_spans), (0, 0), "{}", ran.stderr);
        let [limit] = report.coverage.limits_reached.as_slice() else { panic!("{:?}", report.coverage) };
        assert_eq!(limit.flag, "--limit");
        let all = run(&double, &["--limit", "100"]).report();
        assert!(all.coverage.limits_reached.is_empty(), "{:?}", all.coverage.limits_reached);
        let ran = run(&signoz(shop(1_000), TODAY), &["--max-spans", "60"]);
        let report = ran.report();
        assert!((60..3_000).contains(&report.summary.span_records), "{}", report.summary.span_records);
        assert_eq!(report.summary.span_records % 3, 0);
        assert_eq!(report.coverage.limits_reached[0].flag, "--max-spans");
    }

    #[test]
    fn one_span_that_fits_brings_the_whole_trace() {
        for minor in SEARCHED {
            let double = signoz(shop(20), minor);
            let arguments = [
                "--service",
                "billing",
                "--operation",
                "GET /invoices",
                "--tag",
                "http.request.method=GET",
                "--min-duration",
                "10ms",
            ];
            let ran = run(&double, &arguments);
            assert_eq!(ran.code, 0, "{minor}: {}", ran.stderr);
            reads(&ran, 20, 60);
            for unlike in [["--tag", "http.request.method=PUT"], ["--min-duration", "1m"]] {
                let none = run(&double, &unlike);
                assert_eq!(none.code, 3, "{minor}, {unlike:?}: {}", none.stderr);
            }
        }
    }

    #[test]
    fn an_environment_may_have_its_older_name() {
        for name in ["deployment.environment", "deployment.environment.name"] {
            let mut store = shop(20);
            for span in &mut store.spans {
                let mut resource = Value::clone(&span.resource);
                let attributes = resource["attributes"].as_array_mut().unwrap();
                attributes.push(json!({"key": name, "value": {"stringValue": "prod"}}));
                span.resource = Arc::new(resource);
            }
            let double = signoz(store, TODAY);
            let ran = run(&double, &["--env", "prod"]);
            assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
            reads(&ran, 20, 60);
            assert_eq!(run(&double, &["--env", "test"]).code, 3, "{name}");
        }
    }

    #[test]
    fn traces_can_be_named() {
        let store = shop(20);
        let (one, two) = (store.spans[0].trace_id.clone(), store.spans[3].trace_id.clone());
        for minor in [&SEARCHED[..], &[OLD]].concat() {
            let double = signoz(store.clone(), minor);
            let ran = ask("--signoz", &double, &["--trace-id", &one, "--trace-id", &two]);
            reads(&ran, 2, 6);
            assert_eq!(ran.code, 0, "{minor}: {}", ran.stderr);
            let missing = "0123456789abcdef0123456789abcdef";
            let ran = ask("--signoz", &double, &["--trace-id", &one, "--trace-id", missing]);
            assert_eq!((ran.code, ran.report().summary.traces), (3, 1), "{minor}: {}", ran.stderr);
            says(&ran, &[missing, "not found"]);
            let ran = ask("--signoz", &double, &["--trace-id", missing]);
            assert_eq!(ran.code, 3, "{minor}: {}", ran.stderr);
        }
    }

    #[test]
    fn a_trace_can_be_shown() {
        let store = shop(20);
        let id = store.spans[0].trace_id.clone();
        for minor in [&SEARCHED[..], &[OLD]].concat() {
            let double = signoz(store.clone(), minor);
            let ran = ran(command(&["show", &id, "--signoz", &double.url()]).env("COLUMNS", "200"));
            assert_eq!(ran.code, 0, "{minor}: {}", ran.stderr);
            says(&ran, &["GET /orders", "GET /invoices", "storefront", "billing"]);
        }
    }

    #[test]
    fn what_a_version_does_not_give_is_said() {
        let ran = run(&signoz(shop(5), 116), &[]);
        says(&ran, &["v0.116.0 gives only attributes that are asked for by name"]);
        let of = |ran: &Ran| ran.report().inputs[0].capabilities.clone();
        assert!(of(&ran).is_some_and(|can| can.links && !can.exact_resource), "{:?}", of(&ran));
        let ran = run(&signoz(shop(5), TODAY), &[]);
        assert!(of(&ran).is_some_and(|can| can.links && can.exact_resource), "{:?}", of(&ran));
    }

    #[test]
    fn the_key_and_the_base_path_reach_it() {
        let double = Double::start(Signoz::new(shop(5), TODAY).at("/signoz").with_key("canary-key"));
        let url = format!("{}/signoz/", double.url());
        let arguments = [&["--signoz", url.as_str()], &WINDOW[..]].concat();
        let ran = check_with(&arguments, &[("SIGNOZ_API_KEY", "canary-key")]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        reads(&ran, 5, 15);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "canary-key\n").unwrap();
        let arguments = [&["--api-key-file", file.path().to_str().unwrap()], &arguments[..]].concat();
        assert_eq!(check_with(&arguments, &[]).code, 0);
    }

    #[test]
    fn values_cannot_leave_their_quotes() {
        let mut store = shop(5);
        for span in &mut store.spans {
            let attributes = json!([{"key": "who", "value": {"stringValue": "o'neil \\ co"}}]);
            span.otlp["attributes"] = attributes;
        }
        let double = today(store);
        let ran = run(&double, &["--tag", "who=o'neil \\ co"]);
        assert_eq!((ran.code, ran.report().summary.traces), (0, 5), "{}", ran.stderr);
        fails(&run(&double, &["--operation", "x' OR name = 'GET"]), 3, &["no such trace"]);
        let ran = run(&double, &["--tag", "who = 'x' OR name=GET"]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
    }

    #[test]
    fn examples_link_to_the_user_interface() {
        let double = Double::start(Signoz::new(broken_shop(20), TODAY).at("/signoz"));
        let url = format!("{}/signoz/", double.url());
        let ran = check_with(&[&["--signoz", url.as_str()], &WINDOW[..]].concat(), &[]);
        let report = ran.report();
        assert_eq!((ran.code, report.summary.orphan_spans), (1, 20), "{}", ran.stderr);
        let exemplar = &report.findings[0].exemplars[0];
        let expected = format!("{}/signoz/trace/{}", double.url(), exemplar.trace_id);
        assert_eq!(exemplar.url.as_deref(), Some(expected.as_str()));
    }

    #[test]
    fn young_traces_and_the_edge_of_the_window_are_not_judged() {
        let double = today(broken_shop(20).ending_at(now_ns() - 2 * SECOND));
        let ran = ask("--signoz", &double, &["--since", "10m"]);
        assert_eq!(ran.code, 3, "nothing was judged, so nothing is healthy: {:?}", ran.report().reasons);
        assert_eq!(ran.report().coverage.not_judged.settle_traces, 20);
        let ran = ask("--signoz", &double, &["--since", "10m", "--settle", "1s"]);
        assert_eq!(ran.code, 1, "{:?}", ran.report().reasons);
        let mut store = broken_shop(20);
        store.spans[0].start_ns -= 3_590 * SECOND;
        let report = run(&today(store), &[]).report();
        assert_eq!((report.summary.traces, report.coverage.not_judged.window_edge_traces), (20, 1));
    }

    #[test]
    fn two_backends_and_a_file_are_one_report() {
        let store = Store::from_fixture("demo");
        let (one, other) = (today(store.clone()), Double::start(Jaeger::new(store, Generation::V3)));
        let arguments =
            ["fixtures/demo/traces.jsonl", "--from", "2026-03-02", "--to", "2026-03-03", "--jaeger"];
        let ran = ask("--signoz", &one, &[&arguments[..], &[&other.url()]].concat());
        let report = ran.report();
        let of_file = check(&["fixtures/demo/traces.jsonl"]).report();
        assert_eq!(
            (report.inputs.len(), report.summary.traces),
            (3, of_file.summary.traces),
            "{}",
            ran.stderr
        );
        assert_eq!(findings(&report), findings(&of_file));
    }
}

mod mistakes {
    use super::*;

    #[test]
    fn an_old_server_cannot_be_searched() {
        for double in [signoz(shop(5), OLD), Double::start(Signoz::new(shop(5), OLD).unknown_is_page())] {
            fails(&run(&double, &[]), 2, &["v0.86.0", "--trace-id", "v0.87"]);
        }
    }

    #[test]
    fn the_key_is_missing_or_has_expired() {
        let double = Double::start(Signoz::new(shop(5), TODAY).with_key("right-key"));
        fails(&run(&double, &[]), 2, &["401", "SIGNOZ_API_KEY", "--api-key-file"]);
        let ran = run_with_key(&double);
        fails(&ran, 2, &["401", "expired"]);
    }

    #[test]
    fn another_server_answers() {
        let jaeger = Double::start(Jaeger::new(shop(5), Generation::V3));
        fails(&run(&jaeger, &[]), 2, &["no SigNoz", "check the port", "base path"]);
        let base = Double::start(Signoz::new(shop(5), TODAY));
        let url = format!("{}/traces-explorer", base.url());
        let ran = check_with(&[&["--signoz", url.as_str()], &WINDOW[..]].concat(), &[]);
        fails(&ran, 2, &["web page", "/services"]);
        let other = Double::start(|_: &Request| Answer::json(200, &json!({"status": "ok"})));
        fails(&run(&other, &[]), 2, &["not that of SigNoz", "names no version"]);
    }

    #[test]
    fn no_such_service() {
        for minor in SEARCHED {
            let double = signoz(shop(5), minor);
            fails(
                &run(&double, &["--service", "biling"]),
                2,
                &["no service `biling`", "did you mean `billing`"],
            );
            fails(&run(&double, &["--service", "warehouse-gateway"]), 2, &["billing, storefront"]);
        }
    }

    #[test]
    fn an_attribute_that_no_span_has() {
        let ran = run(&signoz(shop(5), TODAY), &["--tag", "no.such.key=1"]);
        fails(&ran, 2, &["400", "no.such.key"]);
        let ran = run(&signoz(shop(5), TODAY), &["--tag", "a b=1"]);
        fails(&ran, 2, &["\"a b\"", "--tag"]);
    }

    #[test]
    fn nothing_in_the_window() {
        for minor in SEARCHED {
            let window = ["--from", "2026-03-04T09:30:00Z", "--to", "2026-03-04T10:30:00Z"];
            let ran = ask("--signoz", &signoz(shop(5), minor), &window);
            fails(&ran, 3, &["2026-03-02T09:30:0", "--since or --from"]);
            fails(&run(&signoz(Store::default(), minor), &[]), 3, &["lists no service"]);
        }
        let far = ["--from", "2026-06-04T09:30:00Z", "--to", "2026-06-04T10:30:00Z"];
        let ran = ask("--signoz", &signoz(shop(5), TODAY), &far);
        fails(&ran, 3, &["nor 30 days around", "billing, storefront"]);
    }

    #[test]
    fn nothing_listens() {
        let ran = check_with(&["--signoz", &format!("http://{}", refused())], &[]);
        fails(&ran, 2, &["nothing answers there", "8080"]);
    }

    #[test]
    fn the_base_path_is_missing_or_wrong() {
        let double = Double::start(Signoz::new(shop(5), TODAY).at("/signoz"));
        fails(&run(&double, &[]), 2, &["base path"]);
        let root = today(shop(5));
        let url = format!("{}/signoz", root.url());
        fails(&check_with(&["--signoz", &url], &[]), 2, &["web page", "base path"]);
    }

    #[test]
    fn a_log_in_page_comes_in_place_of_data() {
        let page =
            "<html><title>Sign In</title><form action=\"/oauth2/start\"><input type=\"password\"></form>";
        let double = Double::start(move |_: &Request| Answer::html(page));
        fails(&run(&double, &[]), 2, &["log-in page", "SIGNOZ_API_KEY"]);
    }
}

mod faults {
    use super::*;

    fn faulty(store: Store, path: &str, when: When, change: fn(Answer) -> Answer) -> Double {
        Double::start(Faulty::over(Signoz::new(store, TODAY)).on(path, when, change))
    }

    #[test]
    fn faults_that_pass_leave_nothing_out() {
        for change in [
            (|_| Answer::text(503, "busy")) as fn(Answer) -> Answer,
            |answer| answer.delivered(Delivery::Reset { after: 100 }),
            |answer| answer.cut_gzip(8),
        ] {
            let ran = run(&faulty(shop(20), SEARCH, When::Nth(3), change), &[]);
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            reads(&ran, 20, 60);
        }
    }

    /// Exports say behind their last byte whether they are whole.
    #[test]
    fn exports_that_are_not_whole_are_not_believed() {
        let part = Double::start(Signoz::new(shop(3_000), TODAY).exporting_in_part());
        let silent =
            faulty(shop(3_000), EXPORT, When::Always, |_| Answer::new(200, "application/x-ndjson", ""));
        let refused = faulty(shop(3_000), EXPORT, When::Always, |_| Answer::text(501, "not supported"));
        for double in [part, silent, refused] {
            let ran = run(&double, &["--limit", "5000"]);
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            reads(&ran, 3_000, 9_000);
            assert_eq!(double.requests_to(EXPORT).len(), 1);
        }
    }

    /// What is missing is missing as whole traces; half of one would look broken.
    #[test]
    fn no_part_of_a_trace_is_given() {
        let mut store = wide(5_500);
        store.spans.extend(shop(20).spans.split_off(3));
        let signoz = Signoz::new(store, 116);
        let double = Double::start(move |request: &Request| {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let offset = body["compositeQuery"]["queries"][0]["spec"]["offset"].as_u64();
            let is_later = offset.is_some_and(|offset| offset > 0);
            if is_later {
                Answer::json(400, &json!({"error": {"message": "enough"}}))
            } else {
                signoz.answer(request)
            }
        });
        let ran = run(&double, &[]);
        let report = ran.report();
        assert_eq!((ran.code, report.summary.orphan_spans), (3, 0), "{}", ran.stderr);
        assert_eq!(report.summary.span_records % 3, 0);
        assert!(report.summary.span_records < 5_500, "{}", report.summary.span_records);
        says(&ran, &["of 20 traces: status 400: enough"]);
    }

    #[test]
    fn the_same_page_again_ends_the_reading() {
        let double = behind(Signoz::new(wide(6_000), 116), |body| {
            let spec = &mut body["compositeQuery"]["queries"][0]["spec"];
            if spec["offset"] != Value::Null {
                spec["offset"] = json!(0);
            }
        });
        let ran = run(&double, &[]);
        assert_eq!((ran.code, ran.report().summary.traces), (3, 0), "{}", ran.stderr);
        says(&ran, &["the same page again and again"]);
    }

    #[test]
    fn warnings_in_a_success_are_passed_on() {
        let warned = |said: &'static str| {
            let signoz = Signoz::new(shop(5), TODAY);
            Double::start(move |request: &Request| {
                let answer = signoz.answer(request);
                if request.path != SEARCH {
                    return answer;
                }
                let warning = json!({"message": "Encountered warnings", "warnings": [{"message": said}]});
                answer.with_json(|body| body["data"]["warning"] = warning)
            })
        };
        let ran = run(&warned("Key `a` is ambiguous"), &[]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        says(&ran, &["SigNoz says: Key `a` is ambiguous"]);
        let ran = run(&warned("output has been limited to 10000"), &[]);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        says(&ran, &["SigNoz says: output has been limited to 10000"]);
    }

    #[test]
    fn a_failing_search_is_no_health() {
        let ran = run(&faulty(shop(5), SEARCH, When::After(1), |_| Answer::text(500, "memory limit")), &[]);
        assert!(matches!(ran.code, 2 | 3), "{}", ran.stderr);
        says(&ran, &["memory limit"]);
        let ran =
            run(&faulty(shop(5), SEARCH, When::After(1), |_| Answer::json(200, &json!({"data": 1}))), &[]);
        assert!(matches!(ran.code, 2 | 3), "{}", ran.stderr);
        says(&ran, &["not that of SigNoz"]);
    }

    #[test]
    fn spans_are_asked_for_around_the_window() {
        // Each trace begins 40 min before the window, and has a span inside.
        let mut store = shop(5);
        let late = store.spans.iter().map(|span| span.start_ns).max().unwrap() + 2_400 * SECOND;
        for span in store.spans.iter_mut().filter(|span| span.name() == "GET /invoices") {
            (span.start_ns, span.end_ns) = (late, late + SECOND);
        }
        assert!(late > START + 2_400 * SECOND);
        let window = ["--from", "2026-03-02T10:05:00Z", "--to", "2026-03-02T10:30:00Z"];
        for minor in SEARCHED {
            let ran = ask("--signoz", &signoz(store.clone(), minor), &window);
            assert_eq!(ran.report().summary.orphan_spans, 0, "{minor}: {}", ran.stderr);
            reads(&ran, 5, 15);
        }
    }

    /// Whatever the backend did: an end in time, and nothing is called healthy.
    #[track_caller]
    fn is_not_healthy(
        change: impl Fn(Answer) -> Answer + Send + Sync + 'static,
        after: usize,
        more: &[&str],
    ) -> Ran {
        let faulty = Faulty::over(Signoz::new(shop(20), TODAY)).on(SEARCH, When::After(after), change);
        let ran = run(&Double::start(faulty), more);
        assert!(matches!(ran.code, 2 | 3), "{}: {}{}", ran.code, ran.stderr, ran.stdout);
        let report = ran.report();
        assert!(!report.reasons.is_empty());
        assert!(report.reasons.iter().all(|reason| reason.message.len() < 2_000), "{:?}", report.reasons);
        assert!(ran.stderr.len() < 10_000, "{}", ran.stderr);
        ran
    }

    /// Each request of a run in turn fails for good.
    #[test]
    fn what_does_not_pass_is_no_health() {
        for after in 0..3 {
            for status in [400, 403, 404, 429, 500, 503] {
                is_not_healthy(move |_| Answer::text(status, "no"), after, &[]);
            }
            is_not_healthy(|answer| answer.delivered(Delivery::Reset { after: 50 }), after, &[]);
            is_not_healthy(|answer| answer.cut_gzip(9), after, &[]);
            is_not_healthy(|_| Answer::html("<html><title>Sign in</title></html>"), after, &[]);
        }
    }

    #[test]
    fn answers_that_are_no_rows_are_no_health() {
        let bodies = [
            "",
            "{",
            "null",
            "[]",
            "OK",
            "{\"status\":\"success\"}",
            "{\"status\":\"success\",\"data\":{\"data\":{\"results\":[{\"rows\":[{\"data\":{\"trace",
            "{\"status\":\"error\",\"error\":{\"message\":\"with status 200\"}}",
        ];
        for after in 0..3 {
            for body in bodies {
                is_not_healthy(move |answer| answer.with_body(body), after, &[]);
            }
        }
    }

    #[test]
    fn silence_and_drips_end_with_the_deadline() {
        for after in 0..3 {
            let begin = Instant::now();
            let ran =
                is_not_healthy(|answer| answer.delivered(Delivery::Never), after, &["--deadline", "1s"]);
            says(&ran, &["deadline of 1 s"]);
            let drip = Delivery::Drip { bytes: 1, every: Duration::from_millis(100) };
            is_not_healthy(move |answer| answer.delivered(drip), after, &["--deadline", "1s"]);
            assert!(begin.elapsed() < Duration::from_secs(20));
        }
    }

    #[test]
    fn traces_that_were_found_and_then_not_given_are_missed() {
        let inner = Signoz::new(shop(20), TODAY);
        let double = Double::start(move |request: &Request| {
            let answer = inner.answer(request);
            if !String::from_utf8_lossy(&request.body).contains("trace_id IN") {
                return answer;
            }
            answer.with_json(|answer| {
                let rows = answer["data"]["data"]["results"][0]["rows"].as_array_mut().unwrap();
                rows.truncate(30);
            })
        });
        let ran = run(&double, &[]);
        fails(&ran, 3, &["10 of 20 traces"]);
        assert_eq!(ran.report().summary.traces, 10);
    }

    #[test]
    fn an_interrupt_reports_what_was_read() {
        let never = |answer: Answer| answer.delivered(Delivery::Never);
        let double = Double::start(Faulty::over(Signoz::new(broken_shop(450), TODAY)).on(
            SEARCH,
            When::After(3),
            never,
        ));
        let url = double.url();
        let arguments = [&["check", "--format", "json", "--signoz", &url], &WINDOW[..]].concat();
        let child = start(&arguments);
        wait_until("it waits for an answer", || double.requests_to(SEARCH).len() > 3);
        std::thread::sleep(Duration::from_millis(300));
        let ran = interrupt(child);
        assert_eq!(ran.code, 130, "{}", ran.stderr);
        let report = ran.report();
        assert!(report.reasons.iter().any(|reason| reason.code == "interrupted"), "{:?}", report.reasons);
        assert_eq!((report.exit_code, report.summary.traces), (130, 200));
    }
}

mod secrets {
    use super::*;

    #[test]
    fn the_key_is_sent_and_never_shown() {
        fn key(request: &Request) -> String {
            request.header("signoz-api-key").unwrap_or_default().to_owned()
        }
        let mut doubles: Vec<Double> = Vec::new();
        for after in [0, 1, 2, 3] {
            for status in [200, 400, 401, 403, 404, 500] {
                let (inner, count) = (Signoz::new(shop(20), TODAY), AtomicUsize::new(0));
                doubles.push(Double::start(move |request: &Request| {
                    if count.fetch_add(1, Ordering::SeqCst) < after {
                        return inner.answer(request);
                    }
                    let error = json!({"code": "x", "message": format!("key {} is unknown", key(request))});
                    let body = json!({"status": "error", "version": 1, "data": key(request), "error": error});
                    Answer::json(status, &body)
                }));
            }
        }
        doubles.push(Double::start(|request: &Request| {
            Answer::redirect(302, &format!("http://localhost:1/login/{}", key(request)))
        }));
        doubles.push(Double::start(|request: &Request| {
            Answer::html(&format!("<html><title>Sign in {}</title></html>", key(request)))
        }));
        doubles.push(today(shop(5)));
        for double in doubles {
            for format in ["json", "table"] {
                let url = double.url();
                let arguments = ["check", "--format", format, "-v", "--deadline", "5s", "--signoz", &url];
                let ran = ran(command(&arguments).args(WINDOW).envs([KEY]));
                assert!(!ran.stdout.contains("canary"), "{}", ran.stdout);
                assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
            }
            assert!(double.requests().iter().all(|request| key(request) == KEY.1));
        }
    }

    #[test]
    fn the_key_goes_to_no_other_host() {
        let elsewhere = today(shop(5));
        let target = elsewhere.url_by_name();
        let double = Double::start(move |request: &Request| {
            Answer::redirect(307, &format!("{target}{}", request.target))
        });
        fails(&run_with_key(&double), 2, &["localhost", "another address"]);
        assert!(elsewhere.requests().iter().all(|request| request.header("signoz-api-key").is_none()));
    }
}
