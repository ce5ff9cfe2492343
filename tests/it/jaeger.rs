//! `--jaeger`, against doubles of each generation of its API.

use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use tracemend::report::Report;

use crate::asking::{
    SECOND, START, WINDOW, ask, broken_shop, check_with, command, interrupt, now_ns, says, shop, start,
    tells_the_same, wait_until,
};
use crate::double::jaeger::{Generation, Jaeger, Refusal};
use crate::double::{Answer, Delivery, Double, Faulty, Handler, Request, Store, When, refused};
use crate::support::{Found, Ran, check, findings, ran};

const ALL: [Generation; 4] = [Generation::V1, Generation::V1AndSnakeV3, Generation::V1AndV3, Generation::V3];

/// Where the newest generations are searched.
const SEARCH: &str = "/api/v3/traces";

fn jaeger(store: Store, generation: Generation) -> Double {
    Double::start(Jaeger::new(store, generation))
}

fn newest(store: Store) -> Double {
    jaeger(store, Generation::V3)
}

/// Asks for the usual window, with more arguments.
#[track_caller]
fn run(double: &Double, more: &[&str]) -> Ran {
    ask("--jaeger", double, &[&WINDOW, more].concat())
}

/// Asks for the usual window in this environment.
#[track_caller]
fn run_with(double: &Double, environment: &[(&str, &str)]) -> Ran {
    check_with(&[&["--jaeger", &double.url()], &WINDOW[..]].concat(), environment)
}

fn reasons(report: &Report) -> Vec<&str> {
    report.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

mod reading {
    use super::*;

    #[test]
    fn every_generation_tells_what_the_file_tells() {
        let file = check(&["fixtures/demo/traces.jsonl"]);
        for generation in ALL {
            let double = jaeger(Store::from_fixture("demo"), generation);
            let ran = ask("--jaeger", &double, &["--from", "2026-03-02", "--to", "2026-03-03"]);
            tells_the_same(&ran, &file);
        }
    }

    #[test]
    fn copies_are_seen_because_traces_are_raw() {
        for generation in ALL {
            let mut store = shop(5);
            store.spans.extend_from_within(0..3);
            let ran = run(&jaeger(store, generation), &[]);
            assert_eq!(ran.report().summary.extra_copies, 3, "{generation:?}: {}", ran.stderr);
        }
    }

    /// 450 traces in a window that gives 200 at a time, with both services in each.
    #[test]
    fn every_trace_comes_once_however_small_the_pages_are() {
        for generation in ALL {
            let double = jaeger(shop(450), generation);
            let ran = run(&double, &[]);
            assert_eq!(ran.code, 0, "{generation:?}: {}", ran.stderr);
            let report = ran.report();
            assert_eq!((report.summary.traces, report.summary.span_records), (450, 1350), "{generation:?}");
            assert_eq!(report.summary.extra_copies, 0, "{generation:?}");
            assert_eq!(report.coverage.repeated_across_inputs, 0, "{generation:?}");
            assert!(report.coverage.limits_reached.is_empty(), "{generation:?}");
            assert!(double.peak() <= 4, "{generation:?}: {} requests at once", double.peak());
        }
    }

    #[test]
    fn more_traces_at_one_instant_than_a_page_has_are_missed_aloud() {
        let ran = run(&newest(Store::healthy(300, START + SECOND, 1_000)), &[]);
        assert_eq!((ran.code, ran.report().summary.traces), (0, 300), "{}", ran.stderr);
        let ran = run(&newest(Store::healthy(300, START + SECOND, 0)), &[]);
        assert_eq!((ran.code, ran.report().summary.traces), (3, 200), "{}", ran.stderr);
        says(&ran, &["within a millisecond"]);
    }

    #[test]
    fn answers_that_are_too_large_are_asked_for_in_parts() {
        for generation in ALL {
            let double = jaeger(shop(450), generation);
            let ran = run(&double, &["--max-record", "40K"]);
            assert_eq!((ran.code, ran.report().summary.traces), (0, 450), "{generation:?}: {}", ran.stderr);
            assert_eq!(ran.report().summary.extra_copies, 0, "{generation:?}");
        }
        // One trace alone is too large: that is a part, and soon said.
        let double = newest(shop(450));
        let ran = run(&double, &["--max-record", "1K"]);
        assert!(matches!(ran.code, 2 | 3), "{}", ran.stderr);
        says(&ran, &["more than 1024 bytes", "--max-record"]);
        assert!(double.requests().len() < 40, "{}", double.requests().len());
    }

    #[test]
    fn a_limit_counts_whole_traces_and_is_named() {
        let double = newest(shop(100));
        let ran = run(&double, &["--limit", "30"]);
        let report = ran.report();
        assert_eq!(
            (ran.code, report.summary.traces, report.summary.span_records),
            (0, 30, 90),
            "{}",
            ran.stderr
        );
        assert_eq!(report.summary.orphan_spans, 0);
        let [limit] = report.coverage.limits_reached.as_slice() else { panic!("{:?}", report.coverage) };
        assert_eq!(limit.flag, "--limit");
        // Those that came with the last answers are kept.
        let ran = run(&newest(shop(450)), &["--max-spans", "60"]);
        let report = ran.report();
        assert!((60..1350).contains(&report.summary.span_records), "{}", report.summary.span_records);
        assert_eq!(report.summary.span_records % 3, 0);
        assert_eq!(report.coverage.limits_reached[0].flag, "--max-spans");
    }

    #[test]
    fn what_is_wanted_is_asked_for() {
        for generation in [Generation::V1AndV3, Generation::V3] {
            let double = jaeger(shop(20), generation);
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
            assert_eq!((ran.code, ran.report().summary.traces), (0, 20), "{generation:?}: {}", ran.stderr);
            for request in double.requests_to(SEARCH) {
                assert_eq!(request.parameter("query.serviceName"), Some("billing"));
                assert_eq!(request.parameter("query.service_name"), Some("billing"));
                assert_eq!(request.parameter("query.operationName"), Some("GET /invoices"));
                assert!(request.parameter("query.durationMin").is_some());
            }
            let none = run(&double, &["--tag", "http.request.method=PUT"]);
            assert_eq!(none.code, 3, "{}", none.stderr);
        }
    }

    #[test]
    fn names_of_services_are_sent_as_they_are() {
        for name in ["Söhne & Co #1", "a=b%26c+d", "50% / \"quoted\"", "服务"] {
            for generation in ALL {
                let mut store = shop(3);
                let resource =
                    json!({"attributes": [{"key": "service.name", "value": {"stringValue": name}}]});
                for span in &mut store.spans {
                    span.resource = std::sync::Arc::new(resource.clone());
                }
                let ran = run(&jaeger(store, generation), &["--service", name]);
                assert_eq!((ran.code, ran.report().summary.traces), (0, 3), "{generation:?}: {}", ran.stderr);
            }
        }
    }

    #[test]
    fn a_server_that_knows_no_attributes_is_asked_through_its_older_api() {
        let double = jaeger(shop(20), Generation::V1AndSnakeV3);
        let ran = run(&double, &["--tag", "http.request.method=PUT"]);
        assert_eq!(ran.code, 3, "{}", ran.stdout);
        let ran = run(&double, &["--tag", "http.request.method=GET"]);
        assert_eq!((ran.code, ran.report().summary.traces), (0, 20));
        assert!(!double.requests_to("/api/traces").is_empty());
    }

    #[test]
    fn traces_can_be_named() {
        let store = shop(20);
        let (one, two) = (store.spans[0].trace_id.clone(), store.spans[3].trace_id.clone());
        for generation in ALL {
            let double = jaeger(store.clone(), generation);
            let ran = ask("--jaeger", &double, &["--trace-id", &one, "--trace-id", &two]);
            assert_eq!((ran.code, ran.report().summary.traces), (0, 2), "{generation:?}: {}", ran.stderr);
            let missing = "0123456789abcdef0123456789abcdef";
            let ran = ask("--jaeger", &double, &["--trace-id", &one, "--trace-id", missing]);
            assert_eq!((ran.code, ran.report().summary.traces), (3, 1), "{generation:?}: {}", ran.stderr);
            says(&ran, &[missing, "not found"]);
            let ran = ask("--jaeger", &double, &["--trace-id", missing]);
            assert_eq!(ran.code, 3, "{generation:?}: {}", ran.stderr);
        }
    }

    #[test]
    fn a_trace_can_be_shown() {
        let store = shop(20);
        let id = store.spans[0].trace_id.clone();
        for generation in ALL {
            let double = jaeger(store.clone(), generation);
            let ran = ran(command(&["show", &id, "--jaeger", &double.url()]).env("COLUMNS", "200"));
            assert_eq!(ran.code, 0, "{generation:?}: {}", ran.stderr);
            says(&ran, &["GET /orders", "GET /invoices", "storefront", "billing"]);
        }
    }

    #[test]
    fn examples_link_to_the_user_interface() {
        let double = Double::start(Jaeger::new(broken_shop(20), Generation::V3).at("/jaeger"));
        let url = format!("{}/jaeger/", double.url());
        let ran = check_with(&[&["--jaeger", url.as_str()], &WINDOW[..]].concat(), &[]);
        let report = ran.report();
        assert_eq!((ran.code, report.summary.orphan_spans), (1, 20), "{}", ran.stderr);
        let exemplar = &report.findings[0].exemplars[0];
        let expected = format!("{}/jaeger/trace/{}", double.url(), exemplar.trace_id);
        assert_eq!(exemplar.url.as_deref(), Some(expected.as_str()));
    }

    #[test]
    fn young_traces_are_not_judged() {
        let store = broken_shop(20).ending_at(now_ns() - 2 * SECOND);
        let double = newest(store);
        let ran = ask("--jaeger", &double, &["--since", "10m"]);
        let report = ran.report();
        assert_eq!(report.summary.traces, 20);
        let settling = report.coverage.not_judged.settle_traces;
        assert!(settling >= 20, "a trace may span 30 s, all of these end later than that: {settling}");
        assert_eq!(ran.code, 3, "nothing was judged, so nothing is healthy: {:?}", report.reasons);
        let ran = ask("--jaeger", &double, &["--since", "10m", "--settle", "1s"]);
        let report = ran.report();
        assert_eq!((ran.code, report.coverage.not_judged.settle_traces), (1, 0), "{:?}", report.reasons);
    }

    #[test]
    fn what_may_begin_before_the_window_is_not_judged() {
        let mut store = broken_shop(20);
        // One begins an hour before the window and still has a span inside.
        store.spans[0].start_ns -= 3_590 * SECOND;
        store.spans[0].otlp["startTimeUnixNano"] = json!(store.spans[0].start_ns.to_string());
        let report = run(&newest(store), &[]).report();
        assert_eq!((report.summary.traces, report.coverage.not_judged.window_edge_traces), (20, 1));
        assert_eq!(report.findings[0].traces, 19);
    }

    #[test]
    fn a_file_and_a_backend_are_one_report() {
        let double = newest(Store::from_fixture("demo"));
        let arguments = ["fixtures/demo/traces.jsonl", "--from", "2026-03-02", "--to", "2026-03-03"];
        let report = ask("--jaeger", &double, &arguments).report();
        let of_file = check(&["fixtures/demo/traces.jsonl"]).report();
        assert_eq!(report.inputs.len(), 2);
        assert_eq!(report.summary.traces, of_file.summary.traces);
        assert_eq!(report.coverage.repeated_across_inputs, of_file.summary.span_records);
        assert_eq!(findings(&report), findings(&of_file));
    }

    #[test]
    fn a_storage_that_needs_a_service_is_searched_by_service() {
        let refusing = Double::start(Jaeger::new(shop(20), Generation::V3).needing_service());
        let inner = Jaeger::new(shop(20), Generation::V3);
        let finding_nothing = Double::start(move |request: &Request| {
            if request.path == SEARCH && request.parameter("query.serviceName").is_none() {
                return Answer::text(404, "{\"error\":{\"httpCode\":404,\"message\":\"No traces found\"}}");
            }
            inner.answer(request)
        });
        for double in [refusing, finding_nothing] {
            let ran = run(&double, &[]);
            assert_eq!((ran.code, ran.report().summary.traces), (0, 20), "{}", ran.stderr);
        }
    }

    #[test]
    fn credentials_tenant_and_base_path_reach_it() {
        let jaeger = Jaeger::new(shop(5), Generation::V3)
            .at("/jaeger")
            .with_tenant("x-tenant", "shop")
            .with_token("canary-token", Refusal::Unauthorized);
        let double = Double::start(jaeger);
        let url = format!("{}/jaeger", double.url());
        let arguments = [&["--jaeger", url.as_str(), "--tenant", "shop"], &WINDOW[..]].concat();
        let ran = check_with(&arguments, &[("TRACEMEND_BEARER_TOKEN", "canary-token")]);
        assert_eq!((ran.code, ran.report().summary.traces), (0, 5), "{}", ran.stderr);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "canary-token\n").unwrap();
        let arguments = [&["--bearer-token-file", file.path().to_str().unwrap()], &arguments[..]].concat();
        assert_eq!(check_with(&arguments, &[]).code, 0);
    }
}

mod mistakes {
    use super::*;

    /// A run fails with this code, says these words, and shows no traces as healthy.
    #[track_caller]
    fn fails(ran: &Ran, code: i32, words: &[&str]) {
        assert_eq!(ran.code, code, "{}{}", ran.stderr, ran.stdout);
        says(ran, words);
        assert_eq!(ran.report().exit_code, code as u8);
    }

    fn run_at(url: &str, more: &[&str]) -> Ran {
        check_with(&[&["--jaeger", url], &WINDOW[..], more].concat(), &[])
    }

    #[test]
    fn nothing_listens() {
        let begin = Instant::now();
        let ran = run_at(&format!("http://{}", refused()), &[]);
        fails(&ran, 2, &["nothing answers there", "16686"]);
        assert!(begin.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn another_port_of_it_answers() {
        let collector = Double::start(|_: &Request| Answer::page_not_found());
        fails(&run(&collector, &[]), 2, &["no query API", "check the port", "base path"]);
        let health = Double::start(|_: &Request| Answer::json(200, &json!({"status": "Server available"})));
        fails(&run(&health, &[]), 2, &["Jaeger", "/api/services"]);
    }

    #[test]
    fn the_base_path_is_missing_or_wrong() {
        let double = Double::start(Jaeger::new(shop(5), Generation::V3).at("/jaeger"));
        fails(&run(&double, &[]), 2, &["base path"]);
        let root = newest(shop(5));
        fails(&run_at(&format!("{}/jaeger", root.url()), &[]), 2, &["web page", "base path"]);
    }

    #[test]
    fn a_log_in_page_comes_in_place_of_data() {
        for generation in ALL {
            let jaeger = Jaeger::new(shop(5), generation).with_token("canary-token", Refusal::LoginPage);
            fails(&run(&Double::start(jaeger), &[]), 2, &["log-in page", "--bearer-token-file"]);
        }
    }

    #[test]
    fn credentials_are_missing_or_wrong() {
        for (refusal, status) in [(Refusal::Unauthorized, "401"), (Refusal::Forbidden, "403")] {
            let double = Double::start(Jaeger::new(shop(5), Generation::V3).with_token("right", refusal));
            fails(&run(&double, &[]), 2, &[status, "--bearer-token-file", "TRACEMEND_BEARER_TOKEN"]);
            let ran = run_with(&double, &[("TRACEMEND_BEARER_TOKEN", "canary-token")]);
            fails(&ran, 2, &[status, "expired"]);
        }
    }

    #[test]
    fn no_tenant_is_named_or_the_wrong_one() {
        let double = Double::start(Jaeger::new(shop(5), Generation::V3).with_tenant("x-tenant", "shop"));
        fails(&run(&double, &[]), 2, &["missing tenant header", "--tenant"]);
        fails(&run(&double, &["--tenant", "other"]), 2, &["unknown tenant", "--tenant"]);
        let double = Double::start(Jaeger::new(shop(5), Generation::V3).with_tenant("x-scope", "shop"));
        let ran = run(&double, &["--tenant", "shop", "--tenant-header", "x-scope"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }

    #[test]
    fn no_such_service() {
        for generation in ALL {
            let ran = run(&jaeger(shop(5), generation), &["--service", "biling"]);
            fails(&ran, 2, &["no service `biling`", "did you mean `billing`"]);
            let ran = run(&jaeger(shop(5), generation), &["--service", "warehouse-gateway"]);
            fails(&ran, 2, &["billing, storefront"]);
        }
    }

    #[test]
    fn nothing_in_the_window() {
        for generation in ALL {
            let double = jaeger(shop(5), generation);
            let window = ["--from", "2026-03-04T09:30:00Z", "--to", "2026-03-04T10:30:00Z"];
            let ran = ask("--jaeger", &double, &window);
            fails(&ran, 3, &["2026-03-02T09:30:0", "--since or --from"]);
            assert!(reasons(&ran.report()).contains(&"no-traces"), "{:?}", ran.report().reasons);
            let empty = jaeger(Store::default(), generation);
            fails(&run(&empty, &[]), 3, &["knows no service"]);
        }
    }

    #[test]
    fn a_window_that_cannot_be() {
        let double = newest(shop(5));
        let backwards = ["--from", "2026-03-02T10:00:00Z", "--to", "2026-03-02T09:00:00Z"];
        let ran = ask("--jaeger", &double, &backwards);
        assert_eq!(ran.code, 2);
        says(&ran, &["--from is later than --to"]);
        let ran =
            ask("--jaeger", &double, &["--from", "2126-03-02T10:00:00Z", "--to", "2126-03-02T11:00:00Z"]);
        assert_eq!(ran.code, 2);
        says(&ran, &["future", "clock"]);
        assert!(double.requests().is_empty());
    }

    #[test]
    fn this_machines_clock_is_wrong() {
        let inner = Jaeger::new(shop(5), Generation::V3);
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(7_200));
        let double = Double::start(move |request: &Request| inner.answer(request).header("Date", &date));
        let ran = run(&double, &[]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        says(&ran, &["clock", "behind", "--from"]);
    }

    #[test]
    fn words_of_the_backend_are_passed_on() {
        let faulty = Faulty::over(Jaeger::new(shop(5), Generation::V3)).on(SEARCH, When::Always, |_| {
            let error = json!({"error": {"httpCode": 400, "message": "max span age is\n3 days"}});
            Answer::text(400, error.to_string())
        });
        let ran = run(&Double::start(faulty), &[]);
        assert_ne!(ran.code, 0);
        says(&ran, &["400", "max span age is 3 days"]);
    }

    #[test]
    fn what_answers_speaks_no_http() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().take(4).flatten() {
                // The first frame of HTTP/2, which is what servers of gRPC begin with.
                let _ = std::io::Write::write_all(&mut stream, b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0@\0");
                let _ = std::io::Read::read(&mut stream, &mut [0; 512]);
            }
        });
        fails(&run_at(&url, &[]), 2, &["speaks no HTTP", "gRPC"]);
    }

    #[test]
    fn an_address_that_is_none() {
        for url in ["localhost:16686", "ftp://localhost", "http://user:canary-password@localhost:1"] {
            let ran = run_at(url, &[]);
            assert_eq!(ran.code, 2, "{url}");
            assert!(!ran.stderr.contains("canary-password"), "{}", ran.stderr);
        }
    }
}

mod encryption {
    use super::*;
    use crate::double::Authority;

    #[test]
    fn an_unknown_authority_is_refused_and_can_be_named() {
        let authority = Authority::new();
        let double = Double::start_tls(Jaeger::new(shop(5), Generation::V3), &authority);
        for url in [double.url(), double.url_by_name()] {
            let arguments = [&["--jaeger", url.as_str()], &WINDOW[..]].concat();
            let ran = check_with(&arguments, &[]);
            assert_eq!(ran.code, 2, "{}", ran.stderr);
            says(&ran, &["no encrypted connection", "SSL_CERT_FILE", "--insecure"]);
            assert_eq!(check_with(&[&arguments[..], &["--insecure"]].concat(), &[]).code, 0);
            let ran = check_with(&arguments, &[("SSL_CERT_FILE", authority.file().to_str().unwrap())]);
            assert_eq!(ran.code, 0, "{}", ran.stderr);
        }
    }

    #[test]
    fn the_wrong_scheme_is_named() {
        let plain = newest(shop(5));
        let url = plain.url().replace("http://", "https://");
        let ran = check_with(&[&["--jaeger", url.as_str()], &WINDOW[..]].concat(), &[]);
        assert_eq!(ran.code, 2);
        says(&ran, &["no encrypted connection", "write http:// in place of https://"]);
        let encrypted = Double::start_tls(Jaeger::new(shop(5), Generation::V3), &Authority::new());
        let url = encrypted.url().replace("https://", "http://");
        let ran = check_with(&[&["--jaeger", url.as_str()], &WINDOW[..]].concat(), &[]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        says(&ran, &["wants HTTPS", "write https:// in place of http://"]);
    }
}

mod faults {
    use super::*;

    fn faulty(when: When, change: impl Fn(Answer) -> Answer + Send + Sync + 'static) -> Double {
        Double::start(Faulty::over(Jaeger::new(shop(20), Generation::V3)).on(SEARCH, when, change))
    }

    fn unavailable(_: Answer) -> Answer {
        Answer::text(503, "busy")
    }

    /// After a fault that passed, everything is there.
    #[track_caller]
    fn is_whole(double: &Double) {
        let ran = run(double, &[]);
        let report = ran.report();
        assert_eq!(
            (ran.code, report.summary.traces, report.summary.span_records),
            (0, 20, 60),
            "{}",
            ran.stderr
        );
        assert_eq!(report.summary.extra_copies, 0);
    }

    /// Whatever the backend did: an end in time, and nothing is called healthy.
    #[track_caller]
    fn is_not_healthy(double: &Double, more: &[&str]) -> Ran {
        let ran = run(double, more);
        assert!(matches!(ran.code, 2 | 3), "{}: {}{}", ran.code, ran.stderr, ran.stdout);
        let report = ran.report();
        assert!(!report.reasons.is_empty());
        assert!(report.reasons.iter().all(|reason| reason.message.len() < 2_000), "{:?}", report.reasons);
        assert!(ran.stderr.len() < 10_000, "{}", ran.stderr);
        ran
    }

    #[test]
    fn busy_backends_are_asked_again() {
        is_whole(&faulty(When::First(2), unavailable));
        is_whole(&faulty(When::Nth(3), |_| Answer::text(429, "slow down")));
        is_whole(&faulty(When::Nth(2), |_| Answer::text(500, "a hiccup")));
        is_whole(&faulty(When::Nth(2), |_| Answer::html("<html><title>502</title></html>").status(502)));
    }

    #[test]
    fn retry_after_is_waited_for() {
        let double = faulty(When::Nth(2), |_| unavailable(Answer::text(503, "")).header("Retry-After", "1"));
        is_whole(&double);
        let requests = double.requests_to(SEARCH);
        let gaps: Vec<Duration> = requests.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        assert!(gaps.iter().any(|gap| *gap >= Duration::from_millis(900)), "{gaps:?}");
        let double = faulty(When::Nth(2), |_| {
            let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3));
            unavailable(Answer::text(503, "")).header("Retry-After", &date)
        });
        is_whole(&double);
        let requests = double.requests_to(SEARCH);
        let gaps: Vec<Duration> = requests.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        assert!(gaps.iter().any(|gap| *gap >= Duration::from_millis(1_500)), "{gaps:?}");
    }

    #[test]
    fn a_wait_longer_than_the_deadline_ends_with_it() {
        let begin = Instant::now();
        let double = faulty(When::Always, |_| Answer::text(503, "busy").header("Retry-After", "3600"));
        let ran = is_not_healthy(&double, &["--deadline", "2s"]);
        says(&ran, &["deadline of 2 s"]);
        assert!(begin.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn broken_connections_are_tried_again() {
        is_whole(&faulty(When::Nth(2), |answer| answer.delivered(Delivery::Reset { after: 100 })));
        is_whole(&faulty(When::Nth(2), |answer| answer.delivered(Delivery::CloseEarly { after: 100 })));
        is_whole(&faulty(When::Nth(2), |answer| answer.delivered(Delivery::Reset { after: 0 })));
    }

    #[test]
    fn connections_that_always_break_are_no_health() {
        for delivery in [Delivery::Reset { after: 300 }, Delivery::CloseEarly { after: 300 }] {
            let ran = is_not_healthy(&faulty(When::After(1), move |answer| answer.delivered(delivery)), &[]);
            says(&ran, &["broke off"]);
        }
    }

    #[test]
    fn compression_is_read_and_cut_compression_is_no_health() {
        is_whole(&faulty(When::Always, Answer::gzip));
        is_whole(&faulty(When::Nth(3), |answer| answer.cut_gzip(20)));
        is_not_healthy(&faulty(When::After(1), |answer| answer.cut_gzip(20)), &[]);
        is_not_healthy(&faulty(When::After(1), |answer| answer.cut_gzip(9)), &[]);
    }

    #[test]
    fn slow_answers_are_waited_for_until_the_deadline() {
        let drip = Delivery::Drip { bytes: 2_000, every: Duration::from_millis(20) };
        is_whole(&faulty(When::Always, move |answer| answer.delivered(drip)));
        is_whole(&faulty(When::Always, |answer| answer.delayed(Duration::from_millis(300))));
        let begin = Instant::now();
        let drip = Delivery::Drip { bytes: 1, every: Duration::from_millis(100) };
        let ran = is_not_healthy(
            &faulty(When::After(1), move |answer| answer.delivered(drip)),
            &["--deadline", "2s"],
        );
        says(&ran, &["deadline of 2 s", "--deadline"]);
        assert!(begin.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn silence_ends_with_the_deadline() {
        let begin = Instant::now();
        let silent = Double::start(|_: &Request| Answer::text(200, "").delivered(Delivery::Never));
        let ran = is_not_healthy(&silent, &["--deadline", "1s"]);
        says(&ran, &["deadline of 1 s"]);
        is_not_healthy(
            &faulty(When::After(1), |answer| answer.delivered(Delivery::Never)),
            &["--deadline", "1s"],
        );
        assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    }

    #[test]
    fn errors_of_any_size_are_cut_and_quoted() {
        for status in [400, 404, 500] {
            let large = vec![b'x'; 10 << 20];
            let change = move |_| Answer::text(status, large.clone()).delivered(Delivery::Chunked(1 << 16));
            is_not_healthy(&faulty(When::After(1), change), &[]);
        }
        let escape = |_| Answer::text(400, "\u{1b}[31mred\u{1b}[0m \u{202e}turned");
        let ran = is_not_healthy(&faulty(When::After(1), escape), &[]);
        assert!(!ran.stderr.contains('\u{1b}') && !ran.stderr.contains('\u{202e}'), "{:?}", ran.stderr);
    }

    #[test]
    fn a_backend_that_keeps_failing_is_left_alone() {
        for status in [429, 500, 502, 503, 504] {
            let double = faulty(When::After(1), move |_| Answer::text(status, "no"));
            let ran = is_not_healthy(&double, &[]);
            says(&ran, &[&status.to_string()]);
            let count = double.requests().len();
            assert!(count <= 30, "{count} requests to a backend that answers {status}");
        }
        // Many services would mean many requests.
        let mut store = shop(60);
        for (nth, span) in store.spans.iter_mut().enumerate() {
            let service =
                json!({"attributes": [{"key": "service.name", "value": {"stringValue": format!("s{nth}")}}]});
            span.resource = std::sync::Arc::new(service);
        }
        let jaeger = Jaeger::new(store, Generation::V3).needing_service();
        let double = Double::start(Faulty::over(jaeger).on(SEARCH, When::After(10), unavailable));
        let ran = is_not_healthy(&double, &[]);
        says(&ran, &["left alone"]);
        assert!(double.requests().len() < 60, "{}", double.requests().len());
    }

    #[test]
    fn part_of_the_services_is_a_part() {
        let inner = Jaeger::new(shop(20), Generation::V3).needing_service();
        let double = Double::start(move |request: &Request| {
            if request.parameter("query.serviceName") == Some("billing")
                && request.parameter("query.rawTraces") == Some("true")
            {
                return Answer::text(400, "{\"error\":{\"message\":\"shard lost\"}}");
            }
            inner.answer(request)
        });
        let ran = run(&double, &[]);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        says(&ran, &["billing", "shard lost"]);
        assert_eq!(ran.report().summary.traces, 20);
        assert_eq!(run(&double, &["--allow-partial"]).code, 0);
    }

    #[test]
    fn answers_that_are_no_traces_are_no_health() {
        let bodies = [
            "",
            "{",
            "null",
            "[]",
            "{\"result\":{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"trace",
            "<!doctype html><title>Jaeger UI</title>",
            "OK",
            "{\"data\":[]}",
        ];
        for body in bodies {
            let ran = is_not_healthy(
                &faulty(When::After(1), move |_| Answer::json(200, &json!(0)).with_body(body)),
                &[],
            );
            assert!(!ran.report().reasons.is_empty(), "{body}");
        }
    }

    #[test]
    fn a_page_that_comes_again_and_again_ends_with_the_deadline() {
        let inner = Jaeger::new(shop(300), Generation::V3);
        let double = Double::start(move |request: &Request| {
            let mut request = request.clone();
            for (key, value) in &mut request.query {
                match key.as_str() {
                    "query.startTimeMin" => "2026-03-02T09:30:00Z".clone_into(value),
                    "query.startTimeMax" => "2026-03-02T10:30:00Z".clone_into(value),
                    _ => {}
                }
            }
            inner.answer(&request)
        });
        let begin = Instant::now();
        let ran = is_not_healthy(&double, &["--deadline", "3s"]);
        assert!(ran.report().summary.traces <= 200);
        assert!(begin.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_deadline_reports_what_was_read() {
        let never = |answer: Answer| answer.delivered(Delivery::Never);
        let jaeger = Jaeger::new(broken_shop(450), Generation::V3);
        let double = Double::start(Faulty::over(jaeger).on(SEARCH, When::After(3), never));
        let ran = run(&double, &["--deadline", "3s", "--fail-on", "never"]);
        let report = ran.report();
        assert_eq!((ran.code, report.summary.traces), (3, 200), "{}", ran.stderr);
        says(&ran, &["deadline of 3 s", "--deadline"]);
        assert!(report.summary.orphan_spans > 0);
    }

    /// A few hundred kilobytes that become a few hundred megabytes.
    #[test]
    fn compression_does_not_get_around_the_bound_of_an_answer() {
        let bomb = crate::support::gzip(&vec![b' '; 300 << 20]);
        for status in [200, 500] {
            let bomb = bomb.clone();
            let change = move |_| {
                Answer::new(status, "application/json", bomb.clone()).header("Content-Encoding", "gzip")
            };
            let ran = is_not_healthy(&faulty(When::After(1), change), &["--max-record", "1M"]);
            if status == 200 {
                says(&ran, &["more than 1048576 bytes", "--max-record"]);
            }
        }
    }

    #[test]
    fn an_interrupt_reports_what_was_read() {
        let never = |answer: Answer| answer.delivered(Delivery::Never);
        let double = Double::start(Faulty::over(Jaeger::new(broken_shop(450), Generation::V3)).on(
            SEARCH,
            When::After(3),
            never,
        ));
        let url = double.url();
        let arguments = [&["check", "--format", "json", "--jaeger", &url], &WINDOW[..]].concat();
        let child = start(&arguments);
        wait_until("it waits for an answer", || double.requests_to(SEARCH).len() > 3);
        std::thread::sleep(Duration::from_millis(300));
        let ran = interrupt(child);
        assert_eq!(ran.code, 130, "{}", ran.stderr);
        let report = ran.report();
        assert!(reasons(&report).contains(&"interrupted"), "{:?}", report.reasons);
        assert_eq!((report.exit_code, report.summary.traces), (130, 200));
        assert!(report.summary.orphan_spans > 0);
    }

    #[test]
    fn an_interrupt_before_anything_was_read_ends_it_too() {
        let silent = Double::start(|_: &Request| Answer::text(200, "").delivered(Delivery::Never));
        let child = start(&["check", "--format", "json", "--jaeger", &silent.url()]);
        wait_until("it waits for an answer", || !silent.requests().is_empty());
        let begin = Instant::now();
        let ran = interrupt(child);
        assert_eq!(ran.code, 130, "{}", ran.stderr);
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
}

mod secrets {
    use base64::Engine as _;

    use super::*;

    const TOKEN: &str = "canary-token-51f7";
    const PASSWORD: &str = "canary-password-83c2";
    const HEADER: &str = "canary-header-a90e";

    /// Answers that repeat what they were sent, in every place that might be shown.
    fn echoes() -> Vec<(&'static str, Double)> {
        fn sent(request: &Request) -> String {
            let header = |name| request.header(name).unwrap_or_default().to_owned();
            let authorization = header("authorization");
            let basic = authorization.strip_prefix("Basic ").unwrap_or_default();
            let basic = base64::engine::general_purpose::STANDARD.decode(basic).unwrap_or_default();
            let decoded = String::from_utf8(basic).unwrap();
            let password = decoded.split(':').next_back().unwrap_or_default();
            format!("{authorization} {} {decoded} {password}", header("x-key"))
        }
        let mut doubles: Vec<(&'static str, Double)> = Vec::new();
        for status in [400, 401, 403, 404, 429, 500, 503] {
            let echo = move |request: &Request| {
                let error = json!({"errors": [{"code": status, "msg": sent(request)}]});
                Answer::text(status, error.to_string())
            };
            doubles.push(("an error", Double::start(echo)));
        }
        let echo =
            |request: &Request| Answer::html(&format!("<html><title>{}</title></html>", sent(request)));
        doubles.push(("a page", Double::start(echo)));
        let echo = |request: &Request| Answer::text(400, format!("{} {}", "x".repeat(185), sent(request)));
        doubles.push(("an error that is cut inside a secret", Double::start(echo)));
        let echo = |request: &Request| {
            let target = format!("http://localhost:1/{}?back={}", sent(request).replace(' ', "/"), TOKEN);
            Answer::redirect(302, &target)
        };
        doubles.push(("a redirect elsewhere", Double::start(echo)));
        let echo =
            |request: &Request| Answer::redirect(302, &format!("/{}", sent(request).replace(' ', "/")));
        doubles.push(("a redirect in circles", Double::start(echo)));
        let inner = Jaeger::new(shop(20), Generation::V3);
        let echo = move |request: &Request| {
            if request.path == SEARCH && request.parameter("query.rawTraces") == Some("true") {
                return Answer::text(400, format!("no search for {}", sent(request)));
            }
            inner.answer(request)
        };
        doubles.push(("an error after success", Double::start(echo)));
        let inner = Jaeger::new(shop(20), Generation::V3);
        let echo = move |request: &Request| {
            if request.path == SEARCH && request.parameter("query.rawTraces") == Some("true") {
                return Answer::json(200, &json!({"result": sent(request)}));
            }
            inner.answer(request)
        };
        doubles.push(("JSON of another kind", Double::start(echo)));
        doubles.push(("success", newest(shop(5))));
        doubles
    }

    #[test]
    fn they_are_sent_and_never_shown() {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("user:{PASSWORD}"));
        let header = format!("X-Key: {HEADER}");
        let ways: [&[(&str, &str)]; 2] = [
            &[("TRACEMEND_BEARER_TOKEN", TOKEN), ("TRACEMEND_HEADERS", &header)],
            &[("TRACEMEND_BASIC_AUTH", "user:canary-password-83c2"), ("TRACEMEND_HEADERS", &header)],
        ];
        for (name, double) in echoes() {
            for environment in ways {
                for format in ["json", "table", "concise"] {
                    let url = double.url();
                    let arguments = ["check", "--format", format, "-v", "--deadline", "3s", "--jaeger", &url];
                    let ran = ran(command(&arguments).args(WINDOW).envs(environment.iter().copied()));
                    // Not even the beginning of one.
                    for secret in ["canary", &basic[..12]] {
                        assert!(!ran.stdout.contains(secret), "{name}: {secret} in {}", ran.stdout);
                        assert!(!ran.stderr.contains(secret), "{name}: {secret} in {}", ran.stderr);
                    }
                }
            }
            let sent: String = double.requests().iter().map(Request::text).collect();
            for secret in [TOKEN, HEADER, &basic] {
                assert!(sent.contains(secret), "{name}: {secret} was not sent");
            }
        }
    }
}

mod redirects {
    use super::*;

    const TOKEN: (&str, &str) = ("TRACEMEND_BEARER_TOKEN", "canary-token");

    #[test]
    fn credentials_go_to_no_other_host() {
        for status in [301, 302, 307, 308] {
            let elsewhere = newest(shop(5));
            let target = elsewhere.url_by_name();
            let double = Double::start(move |request: &Request| {
                Answer::redirect(status, &format!("{target}{}", request.target))
            });
            let ran = run_with(&double, &[TOKEN]);
            assert_eq!(ran.code, 2, "{}", ran.stderr);
            says(&ran, &["localhost", "another address"]);
            assert!(elsewhere.requests().iter().all(|request| request.header("authorization").is_none()));
        }
    }

    #[test]
    fn another_port_is_another_place() {
        let elsewhere = newest(shop(5));
        let target = elsewhere.url();
        let double = Double::start(move |request: &Request| {
            Answer::redirect(302, &format!("{target}{}", request.target))
        });
        run_with(&double, &[TOKEN]);
        assert!(elsewhere.requests().iter().all(|request| request.header("authorization").is_none()));
    }

    #[test]
    fn the_same_place_may_send_on() {
        let jaeger = Jaeger::new(shop(5), Generation::V3)
            .at("/moved")
            .with_token("canary-token", Refusal::Unauthorized);
        let double = Double::start(move |request: &Request| {
            if request.path.starts_with("/moved") {
                return jaeger.answer(request);
            }
            Answer::redirect(301, &format!("/moved{}", request.target))
        });
        let ran = run_with(&double, &[TOKEN]);
        assert_eq!((ran.code, ran.report().summary.traces), (0, 5), "{}", ran.stderr);
    }

    #[test]
    fn circles_end() {
        let double = Double::start(|request: &Request| Answer::redirect(302, &format!("{}x", request.path)));
        let ran = run(&double, &[]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(double.requests().len() < 60, "{}", double.requests().len());
    }
}

mod proxies {
    use super::*;

    #[test]
    fn the_proxy_of_the_environment_is_used_unless_excepted() {
        let proxy = newest(shop(5));
        let backend = "http://jaeger.example:16686";
        let arguments = [&["--jaeger", backend], &WINDOW[..]].concat();
        let ran = check_with(&arguments, &[("HTTP_PROXY", &proxy.url())]);
        assert_eq!((ran.code, ran.report().summary.traces), (0, 5), "{}", ran.stderr);
        assert!(proxy.requests().iter().all(|request| request.target.starts_with(backend)));
        let (proxy, double) = (newest(shop(5)), newest(shop(5)));
        let environment = [("HTTP_PROXY", &*proxy.url()), ("NO_PROXY", "127.0.0.1,localhost")];
        assert_eq!(run_with(&double, &environment).code, 0);
        assert!(proxy.requests().is_empty() && !double.requests().is_empty());
    }

    #[test]
    fn a_proxy_that_is_gone_is_named() {
        let proxy = format!("http://{}", refused());
        let arguments = [&["--jaeger", "http://jaeger.example:16686"], &WINDOW[..]].concat();
        let ran = check_with(&arguments, &[("HTTP_PROXY", &proxy)]);
        assert_eq!(ran.code, 2);
        says(&ran, &["nothing answers"]);
    }
}

#[test]
fn findings_of_a_backend_are_those_of_its_file() {
    let ran = run(&newest(broken_shop(30)), &[]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let expected =
        [Found { rule: "orphan-span".to_owned(), service: "storefront".to_owned(), spans: 30, traces: 30 }];
    assert_eq!(findings(&ran.report()), expected);
}
