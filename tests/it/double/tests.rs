//! The doubles do what the tests that use them rely on.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;

/// The first instant of the stores in these tests: 2026-03-02T09:30:00Z.
const START: u64 = 1_772_443_800_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// What came back.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// Sends one request and reads its answer, over a plain socket.
fn send(address: SocketAddr, head: &str, body: &str) -> io::Result<Reply> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    exchange(&mut BufReader::new(stream), head, body)
}

fn exchange(stream: &mut BufReader<TcpStream>, head: &str, body: &str) -> io::Result<Reply> {
    let request = format!("{head}\r\nHost: double\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.get_mut().write_all(request.as_bytes())?;
    let status = line(stream)?;
    let status = status.split(' ').nth(1).ok_or(io::ErrorKind::UnexpectedEof)?.parse().unwrap();
    let headers = header_lines(stream)?;
    let mut reply = Reply { status, headers, body: Vec::new(), trailers: Vec::new() };
    if let Some(length) = reply.header("content-length") {
        reply.body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut reply.body)?;
        return Ok(reply);
    }
    loop {
        let size = usize::from_str_radix(&line(stream)?, 16).unwrap();
        if size == 0 {
            break;
        }
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk)?;
        reply.body.extend_from_slice(&chunk[..size]);
    }
    reply.trailers = header_lines(stream)?;
    Ok(reply)
}

fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn header_lines(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = line(stream)?;
        let Some((name, value)) = line.split_once(": ") else { return Ok(headers) };
        headers.push((name.to_owned(), value.to_owned()));
    }
}

#[track_caller]
fn get(double: &Double, target: &str) -> Reply {
    send(double.address(), &format!("GET {target} HTTP/1.1"), "").unwrap()
}

#[track_caller]
fn post(double: &Double, target: &str, body: &Value) -> Reply {
    send(double.address(), &format!("POST {target} HTTP/1.1"), &body.to_string()).unwrap()
}

mod wire {
    use super::*;

    fn words(_: &Request) -> Answer {
        Answer::text(200, "some words of an answer")
    }

    /// An answer that is delivered in some way.
    fn delivered(delivery: Delivery) -> Double {
        Double::start(move |_: &Request| Answer::text(200, "some words of an answer").delivered(delivery))
    }

    fn fetch(double: &Double) -> io::Result<Reply> {
        send(double.address(), "GET / HTTP/1.1", "")
    }

    #[test]
    fn requests_are_kept_as_they_were_sent() {
        let double = Double::start(words);
        let head = "POST /a%20b?key=one+two&tags=%7B%22k%22%3A1%7D&empty= HTTP/1.1\r\nX-Tenant: shop";
        let reply = send(double.address(), head, "{\"a\":1}").unwrap();
        assert_eq!((reply.status, reply.text().as_str()), (200, "some words of an answer"));
        let requests = double.requests_to("/a");
        let [request] = requests.as_slice() else { panic!("{requests:?}") };
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/a b"));
        assert_eq!(request.parameter("key"), Some("one two"));
        assert_eq!(request.parameter("tags"), Some("{\"k\":1}"));
        assert_eq!(request.parameter("empty"), None);
        assert_eq!(request.header("x-tenant"), Some("shop"));
        assert_eq!(request.body, b"{\"a\":1}");
        assert!(request.text().contains("one+two") && request.text().contains("shop"));
        assert!(double.requests_to("/b").is_empty());
    }

    #[test]
    fn a_connection_takes_several_requests_and_a_proxy_whole_urls() {
        let double = Double::start(words);
        let mut stream = BufReader::new(TcpStream::connect(double.address()).unwrap());
        for target in ["/one", "http://backend.test:1/two?x=y", "http://backend.test"] {
            exchange(&mut stream, &format!("GET {target} HTTP/1.1"), "").unwrap();
        }
        let paths: Vec<String> = double.requests().into_iter().map(|request| request.path).collect();
        assert_eq!(paths, ["/one", "/two", "/"]);
        let requests = double.requests();
        assert_eq!(requests[1].target, "http://backend.test:1/two?x=y");
        assert!(requests[0].at <= requests[1].at);
        assert_eq!(double.peak(), 1);
    }

    #[test]
    fn chunks_drips_and_delays_bring_everything() {
        let whole = "some words of an answer";
        assert_eq!(fetch(&delivered(Delivery::Chunked(5))).unwrap().text(), whole);
        let begin = Instant::now();
        let drip = Delivery::Drip { bytes: 4, every: Duration::from_millis(10) };
        assert_eq!(fetch(&delivered(drip)).unwrap().text(), whole);
        assert!(begin.elapsed() >= Duration::from_millis(50));
        let delayed = |_: &Request| Answer::text(200, "late").delayed(Duration::from_millis(60));
        let begin = Instant::now();
        assert_eq!(fetch(&Double::start(delayed)).unwrap().text(), "late");
        assert!(begin.elapsed() >= Duration::from_millis(60));
    }

    #[test]
    fn connections_end_as_told() {
        let reset = fetch(&delivered(Delivery::Reset { after: 4 })).unwrap_err();
        assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
        let early = fetch(&delivered(Delivery::CloseEarly { after: 4 })).unwrap_err();
        assert_eq!(early.kind(), io::ErrorKind::UnexpectedEof);
        let refused = TcpStream::connect(refused()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn an_answer_that_never_comes_ends_with_the_double() {
        let double = delivered(Delivery::Never);
        let mut stream = TcpStream::connect(double.address()).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let waited = stream.read(&mut [0; 1]).unwrap_err();
        assert!(matches!(waited.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut));
        let begin = Instant::now();
        drop(double);
        assert!(begin.elapsed() < Duration::from_secs(5));
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
    }

    #[test]
    fn gzip_can_be_whole_or_cut() {
        let text = "traces ".repeat(1000);
        let whole = text.clone();
        let double = Double::start(move |_: &Request| Answer::text(200, whole.clone()).gzip());
        let reply = fetch(&double).unwrap();
        assert_eq!(reply.header("content-encoding"), Some("gzip"));
        let mut read = String::new();
        flate2::read::GzDecoder::new(reply.body.as_slice()).read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
        let double = Double::start(move |_: &Request| Answer::text(200, text.clone()).cut_gzip(9));
        let reply = fetch(&double).unwrap();
        assert!(flate2::read::GzDecoder::new(reply.body.as_slice()).read_to_string(&mut read).is_err());
    }

    #[test]
    fn a_large_body_and_a_redirect_arrive() {
        let large =
            |_: &Request| Answer::text(500, vec![b'x'; 10 << 20]).delivered(Delivery::Chunked(1 << 16));
        assert_eq!(fetch(&Double::start(large)).unwrap().body.len(), 10 << 20);
        let moved = fetch(&Double::start(|_: &Request| Answer::redirect(302, "/login"))).unwrap();
        assert_eq!((moved.status, moved.header("location")), (302, Some("/login")));
    }

    #[test]
    fn faults_follow_their_script() {
        let unavailable = |_| Answer::text(503, "busy").header("Retry-After", "1");
        let faulty = Faulty::over(words)
            .on("/first", When::First(2), unavailable)
            .on("/nth", When::Nth(2), |answer| answer.delivered(Delivery::CloseEarly { after: 1 }))
            .on("/after", When::After(1), unavailable)
            .on("/always", When::Always, unavailable);
        let double = Double::start(faulty);
        let statuses = |path: &str| -> Vec<u16> {
            (0..3)
                .map(|_| {
                    send(double.address(), &format!("GET {path} HTTP/1.1"), "")
                        .map_or(0, |reply| reply.status)
                })
                .collect()
        };
        assert_eq!(statuses("/first"), [503, 503, 200]);
        assert_eq!(statuses("/nth"), [200, 0, 200]);
        assert_eq!(statuses("/after"), [200, 503, 503]);
        assert_eq!(statuses("/always"), [503, 503, 503]);
        assert_eq!(statuses("/other"), [200, 200, 200]);
        assert_eq!(get(&double, "/always").header("retry-after"), Some("1"));
    }

    #[test]
    fn tls_needs_the_authority() {
        let authority = Authority::new();
        let double = Double::start_tls(words, &authority);
        assert!(double.url().starts_with("https://127.0.0.1:"));
        assert!(double.url_by_name().starts_with("https://localhost:"));
        assert!(std::fs::read_to_string(authority.file()).unwrap().contains("BEGIN CERTIFICATE"));
        let fetch = |roots: rustls::RootCertStore| {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let name = "localhost".try_into().unwrap();
            let client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
            let stream = TcpStream::connect(double.address()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut stream = rustls::StreamOwned::new(client, stream);
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
            let mut start = [0; 12];
            stream.read_exact(&mut start).map(|()| start)
        };
        assert!(fetch(rustls::RootCertStore::empty()).is_err());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der()).unwrap();
        assert_eq!(&fetch(roots).unwrap(), b"HTTP/1.1 200");
    }
}

mod stores {
    use super::*;

    #[test]
    fn a_fixture_keeps_all_its_spans_and_can_be_moved() {
        let store = Store::from_fixture("demo");
        assert!(store.spans.len() > 100 && store.services().len() > 2);
        let length = store.last_ns() - store.first_ns();
        let moved = store.clone().ending_at(START);
        assert_eq!((moved.last_ns(), moved.last_ns() - moved.first_ns()), (START, length));
        assert_eq!(moved.trace_ids(), store.trace_ids());
        let text = moved.spans[0].otlp["startTimeUnixNano"].as_str().unwrap();
        assert_eq!(text, moved.spans[0].start_ns.to_string());
    }

    #[test]
    fn healthy_traces_are_whole_and_differ() {
        let store = Store::healthy(50, START, SECOND);
        assert_eq!(store.trace_ids().len(), 50);
        let ids: BTreeSet<&str> = store.spans.iter().map(|span| span.span_id.as_str()).collect();
        assert_eq!(ids.len(), 150);
        for id in store.trace_ids() {
            let trace = store.trace(id);
            assert_eq!(trace[0].parent_id, "");
            assert_eq!((&trace[1].parent_id, &trace[2].parent_id), (&trace[0].span_id, &trace[1].span_id));
        }
        assert_eq!(store.first_ns(), START);
    }
}

mod of_jaeger {
    use super::jaeger::{Generation, Jaeger, Refusal};
    use super::*;

    const ALL: [Generation; 4] =
        [Generation::V1, Generation::V1AndSnakeV3, Generation::V1AndV3, Generation::V3];

    fn shop() -> Store {
        Store::healthy(10, START, SECOND)
    }

    fn double(generation: Generation) -> Double {
        Double::start(Jaeger::new(shop(), generation))
    }

    /// A search in the window of some seconds after the first trace, in both spellings.
    fn search(from: u64, to: u64, more: &str) -> String {
        let time = |second: u64| format!("2026-03-02T09:30:{second:02}.000000000Z");
        let (from, to) = (time(from), time(to));
        format!(
            "/api/v3/traces?query.startTimeMin={from}&query.startTimeMax={to}\
             &query.start_time_min={from}&query.start_time_max={to}{more}"
        )
    }

    fn ids(reply: &Reply) -> BTreeSet<String> {
        let groups = reply.json()["result"]["resourceSpans"].as_array().unwrap().clone();
        let scopes = groups.iter().flat_map(|group| group["scopeSpans"].as_array().unwrap());
        let spans = scopes.flat_map(|scope| scope["spans"].as_array().unwrap());
        spans.map(|span| span["traceId"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn each_generation_has_its_routes() {
        let statuses = ALL.map(|generation| {
            let double = double(generation);
            let of = |target: &str| get(&double, target).status;
            [
                of("/api/services"),
                of("/api/traces?service=billing"),
                of("/api/v3/services"),
                of("/api/v3/trace-summaries?x=y"),
                of(&search(0, 20, "")),
            ]
        });
        let expected = [
            [200, 200, 404, 404, 404],
            [200, 200, 200, 404, 200],
            [200, 200, 200, 404, 200],
            [404, 404, 200, 400, 200],
        ];
        assert_eq!(statuses, expected);
        for generation in ALL {
            let double = double(generation);
            let id = shop().trace_ids()[0].to_owned();
            assert_eq!(get(&double, &format!("/api/traces/{id}?raw=true")).status, 200);
            let page = get(&double, "/search");
            assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
            assert!(page.text().contains("JAEGER_VERSION = {") && page.text().contains("gitVersion"));
            let unknown = get(&double, "/api/none");
            assert_eq!((unknown.status, unknown.text().as_str()), (404, "404 page not found\n"));
        }
    }

    #[test]
    fn a_search_gives_whole_traces_the_newest_first_up_to_its_depth() {
        let double = double(Generation::V1AndV3);
        let store = shop();
        let ids_by_start: Vec<String> = (0..10).map(|nth| store.spans[nth * 3].trace_id.clone()).collect();
        let three = get(&double, &search(0, 20, "&query.searchDepth=3"));
        assert_eq!(ids(&three), ids_by_start[7..].iter().cloned().collect());
        let window = get(&double, &search(2, 4, "&query.serviceName=billing"));
        assert_eq!(ids(&window), ids_by_start[2..4].iter().cloned().collect());
        let ui =
            get(&double, "/api/traces?service=billing&start=1772443800000000&end=1772443805500000&limit=2");
        let traces = ui.json()["data"].as_array().unwrap().clone();
        assert_eq!(traces.len(), 2);
        assert_eq!(traces[0]["traceID"], json!(ids_by_start[5]));
        assert_eq!(traces[0]["spans"].as_array().unwrap().len(), 3);
        assert_eq!(traces[0]["processes"]["p2"]["serviceName"], "billing");
    }

    #[test]
    fn a_search_filters_as_asked() {
        let double = double(Generation::V1AndV3);
        let found = |more: &str| get(&double, &search(0, 20, more)).status;
        assert_eq!(found("&query.serviceName=nobody"), 404);
        assert_eq!(found("&query.serviceName=billing&query.operationName=GET"), 404);
        assert_eq!(found("&query.attributes=%7B%22http.request.method%22%3A%22GET%22%7D"), 200);
        assert_eq!(found("&query.attributes=%7B%22http.request.method%22%3A%22PUT%22%7D"), 404);
        assert_eq!(found("&query.durationMin=29ms"), 200);
        assert_eq!(found("&query.durationMin=1m0.5s"), 404);
        assert_eq!(found("&query.durationMin=long"), 400);
        assert_eq!(found("&query.searchDepth=many"), 400);
        let tags = get(&double, "/api/traces?service=billing&tag=http.request.method:PUT&minDuration=1ms");
        assert_eq!(tags.json()["data"], json!([]));
        let tags =
            get(&double, "/api/traces?service=billing&tags=%7B%22http.request.method%22%3A%22GET%22%7D");
        assert_eq!(tags.json()["total"], 10);
    }

    #[test]
    fn early_releases_know_only_snake_case() {
        let window = "query.startTimeMin=2026-03-02T09:30:00Z&query.startTimeMax=2026-03-02T09:31:00Z";
        let target = format!("/api/v3/traces?{window}");
        assert_eq!(get(&double(Generation::V1AndV3), &target).status, 200);
        assert_eq!(get(&double(Generation::V1AndSnakeV3), &target).status, 400);
        let capped = search(0, 20, "&query.searchDepth=2&query.num_traces=4");
        assert_eq!(ids(&get(&double(Generation::V1AndSnakeV3), &capped)).len(), 4);
        assert_eq!(ids(&get(&double(Generation::V1AndV3), &capped)).len(), 2);
    }

    #[test]
    fn errors_are_json_in_plain_text() {
        let double = double(Generation::V1AndV3);
        let unknown = get(&double, "/api/traces/00000000000000000000000000000001");
        assert_eq!(unknown.status, 404);
        assert_eq!(unknown.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(unknown.json()["errors"][0], json!({"code": 404, "msg": "trace not found"}));
        assert_eq!(get(&double, "/api/traces/not-an-id").status, 400);
        assert_eq!(get(&double, &search(0, 20, "&query.rawTraces=maybe")).status, 400);
        assert_eq!(get(&double, "/api/traces?service=billing&raw=maybe").status, 400);
        assert_eq!(get(&double, "/api/traces").json()["errors"][0]["msg"], "parameter 'service' is required");
        let empty = get(&double, &search(30, 40, ""));
        assert_eq!(empty.json(), json!({"error": {"httpCode": 404, "message": "No traces found"}}));
        assert_eq!(get(&double, "/api/v3/traces?query.serviceName=billing").status, 400);
        let needing = Double::start(Jaeger::new(shop(), Generation::V3).needing_service());
        assert!(get(&needing, &search(0, 20, "")).text().contains("requires a service name to search"));
    }

    #[test]
    fn single_traces_take_short_and_base64_ids() {
        let double = double(Generation::V3);
        let store = shop();
        let id = store.trace_ids()[0];
        let bytes: Vec<u8> =
            (0..16).map(|at| u8::from_str_radix(&id[at * 2..at * 2 + 2], 16).unwrap()).collect();
        let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
        for id in [id.to_owned(), id.trim_start_matches('0').to_owned(), base64.replace('/', "%2F")] {
            assert_eq!(ids(&get(&double, &format!("/api/v3/traces/{id}"))).len(), 1);
        }
    }

    #[test]
    fn summaries_count() {
        let double = double(Generation::V3);
        let reply =
            get(&double, &search(0, 20, "&query.searchDepth=1").replace("/traces?", "/trace-summaries?"));
        let summary = reply.json()["summaries"][0].clone();
        assert_eq!(summary["rootServiceName"], "storefront");
        assert_eq!((&summary["spanCount"], &summary["errorSpanCount"]), (&json!(3), &json!(0)));
        assert_eq!(summary["minStartTimeUnixNano"], (START + 9 * SECOND).to_string());
        let operations = get(&double, "/api/v3/operations?service=billing");
        assert_eq!(
            operations.json(),
            json!({"operations": [{"name": "GET /invoices", "spanKind": "server"}]})
        );
    }

    #[test]
    fn only_raw_traces_are_untouched() {
        let mut store = Store::healthy(1, START, SECOND);
        let copy = store.spans[1].clone();
        let mut early = store.spans[2].clone();
        early.start_ns -= SECOND;
        early.end_ns -= SECOND;
        store.spans[2] = early;
        let mut orphan = copy.clone();
        orphan.span_id = "00000000000000aa".to_owned();
        orphan.parent_id = "00000000000000bb".to_owned();
        orphan.otlp["spanId"] = json!(orphan.span_id);
        store.spans.extend([copy, orphan]);
        let id = store.spans[0].trace_id.clone();
        let double = Double::start(Jaeger::new(store, Generation::V1AndV3));
        let spans = |raw: &str| {
            let reply = get(&double, &format!("/api/traces/{id}{raw}")).json();
            reply["data"][0]["spans"].as_array().unwrap().clone()
        };
        let raw = spans("?raw=true");
        assert_eq!(raw.len(), 5);
        assert!(raw.iter().all(|span| span["warnings"].is_null()));
        let adjusted = spans("");
        assert_eq!(adjusted.len(), 4);
        let warnings: Vec<String> =
            adjusted.iter().filter_map(|span| span["warnings"][0].as_str().map(ToOwned::to_owned)).collect();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings.iter().any(|warning| warning.contains("were adjusted by 1000ms")), "{warnings:?}");
        assert!(warnings.iter().any(|warning| warning.contains("bb is not in the trace")), "{warnings:?}");
        let v3 = get(&double, &format!("/api/v3/traces/{id}?rawTraces=true"));
        assert!(!v3.text().contains("@jaeger@warnings"));
        assert!(get(&double, &format!("/api/v3/traces/{id}")).text().contains("@jaeger@warnings"));
    }

    #[test]
    fn shared_ids_are_replaced_unless_raw() {
        let mut store = Store::healthy(1, START, SECOND);
        let shared = store.spans[1].span_id.clone();
        store.spans[2].span_id.clone_from(&shared);
        let id = store.spans[0].trace_id.clone();
        let double = Double::start(Jaeger::new(store, Generation::V1));
        let reply = get(&double, &format!("/api/traces/{id}")).json();
        let server = &reply["data"][0]["spans"][2];
        assert_eq!(server["spanID"], "0000000000000001");
        assert_eq!(server["references"][0]["spanID"], json!(shared));
    }

    #[test]
    fn base_path_tenant_and_token_are_asked_for() {
        let jaeger = Jaeger::new(shop(), Generation::V3).at("/jaeger").with_tenant("x-tenant", "shop");
        let double = Double::start(jaeger.clone());
        let target = "GET /jaeger/api/v3/services HTTP/1.1";
        assert_eq!(get(&double, "/api/v3/services").status, 404);
        let missing = get(&double, "/jaeger/api/v3/services");
        assert_eq!((missing.status, missing.text().as_str()), (401, "missing tenant header\n"));
        let tenant = send(double.address(), &format!("{target}\r\nX-Tenant: shop"), "").unwrap();
        assert_eq!(tenant.json(), json!({"services": ["billing", "storefront"]}));
        let other = send(double.address(), &format!("{target}\r\nX-Tenant: other"), "").unwrap();
        assert_eq!(other.status, 401);
        for (refusal, status) in
            [(Refusal::Unauthorized, 401), (Refusal::Forbidden, 403), (Refusal::LoginPage, 302)]
        {
            let double = Double::start(Jaeger::new(shop(), Generation::V3).with_token("secret", refusal));
            let refused = get(&double, "/api/v3/services");
            assert_eq!(refused.status, status);
            if let Some(location) = refused.header("location") {
                assert!(get(&double, location).text().contains("Sign in with SSO"));
            }
            let head = "GET /api/v3/services HTTP/1.1\r\nAuthorization: Bearer secret";
            assert_eq!(send(double.address(), head, "").unwrap().status, 200);
        }
    }
}

mod of_signoz {
    use super::signoz::Signoz;
    use super::*;

    const MS: u64 = 1_000_000;

    fn double(minor: u32) -> Double {
        Double::start(Signoz::new(Store::healthy(10, START, SECOND), minor))
    }

    /// A request for rows of the ten traces, with the query changed as given.
    fn query(kind: &str, spec: &Value) -> Value {
        let mut query = json!({
            "schemaVersion": "v1", "start": START / MS, "end": START / MS + 20_000, "requestType": kind,
            "compositeQuery": {"queries": [{"type": "builder_query",
                "spec": {"name": "A", "signal": "traces", "limit": 10_000}}]},
        });
        let target = &mut query["compositeQuery"]["queries"][0]["spec"];
        for (key, value) in spec.as_object().unwrap() {
            target[key] = value.clone();
        }
        query
    }

    fn filtered(expression: &str) -> Value {
        query("raw", &json!({"filter": {"expression": expression}}))
    }

    #[track_caller]
    fn rows(double: &Double, query: &Value) -> Vec<Value> {
        let reply = post(double, "/api/v5/query_range", query);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["data"]["data"]["results"][0]["rows"].as_array().cloned().unwrap_or_default()
    }

    fn ascending() -> Value {
        json!([{"key": {"name": "timestamp"}, "direction": "asc"}, {"key": {"name": "span_id"}, "direction": "asc"}])
    }

    #[test]
    fn each_generation_has_its_routes() {
        let id = Store::healthy(1, START, SECOND).spans[0].trace_id.clone();
        for (minor, [v5, export, waterfall]) in
            [(80, [404, 404, 404]), (100, [200, 404, 404]), (120, [200, 200, 404]), (138, [200, 200, 200])]
        {
            let double = double(minor);
            assert_eq!(get(&double, "/api/v1/version").json()["version"], format!("v0.{minor}.0"));
            assert_eq!(get(&double, "/api/v1/health").json()["status"], "ok");
            let raw = query("raw", &json!({}));
            assert_eq!(post(&double, "/api/v5/query_range", &raw).status, v5, "{minor}");
            assert_eq!(post(&double, "/api/v1/export_raw_data?format=jsonl", &raw).status, export, "{minor}");
            let target = format!("/api/v4/traces/{id}/waterfall");
            assert_eq!(post(&double, &target, &json!({})).status, waterfall, "{minor}");
            let columns = get(&double, &format!("/api/v1/traces/{id}")).json();
            assert_eq!(columns[0]["events"].as_array().unwrap().len(), 3);
            assert_eq!(columns[0]["events"][0][9][0], format!("{{TraceId={id}, SpanId=, RefType=CHILD_OF}}"));
            assert!(get(&double, "/traces-explorer").text().contains("<title>SigNoz"));
        }
        let page = Double::start(Signoz::new(Store::default(), 80).unknown_is_page());
        assert_eq!(post(&page, "/api/v5/query_range", &json!({})).status, 200);
    }

    #[test]
    fn a_key_is_asked_for() {
        let double = Double::start(Signoz::new(Store::default(), 138).with_key("secret").at("/signoz"));
        let services = json!({"start": "0", "end": "1"});
        let refused = post(&double, "/signoz/api/v1/services", &services);
        assert_eq!(refused.status, 401);
        assert_eq!(refused.json()["error"]["code"], "unauthenticated");
        for header in ["SIGNOZ-API-KEY: secret", "Authorization: Bearer secret"] {
            let head = format!("POST /signoz/api/v1/services HTTP/1.1\r\n{header}");
            assert_eq!(send(double.address(), &head, &services.to_string()).unwrap().status, 200);
        }
        assert_eq!(get(&double, "/signoz/api/v1/version").status, 200);
        assert_eq!(get(&double, "/api/v1/version").status, 404);
    }

    #[test]
    fn requests_are_checked() {
        let double = double(138);
        let refused = |query: &Value| {
            let reply = post(&double, "/api/v5/query_range", query);
            assert_eq!(reply.status, 400, "{}", reply.text());
            let error = &reply.json()["error"];
            (error["message"].as_str().unwrap().to_owned(), error["suggestions"][0].clone())
        };
        let (message, suggestion) = refused(&query("raw", &json!({"selectfields": []})));
        assert_eq!(message, "unknown field \"selectfields\" in query spec");
        assert_eq!(suggestion, "did you mean: `selectFields`");
        assert!(
            refused(&query("raw", &json!({"limit": 10_001}))).0.contains("maximum allowed value of 10000")
        );
        assert!(refused(&query("rows", &json!({}))).0.contains("invalid request type"));
        assert!(refused(&query("scalar", &json!({}))).0.contains("at least one aggregation"));
        assert!(refused(&filtered("service.name = ")).0.contains("syntax error"));
        assert!(refused(&filtered("no.such.key = 'x'")).0.contains("`no.such.key` not found"));
        let mut backwards = query("raw", &json!({}));
        backwards["end"] = json!(1);
        assert!(refused(&backwards).0.contains("start time must be before end time"));
    }

    #[test]
    fn columns_depend_on_the_version() {
        let all = rows(&double(138), &query("raw", &json!({})))[0]["data"].clone();
        assert_eq!(all["kind_string"], "Server");
        assert_eq!(all["resource"]["service.name"].as_str().map(str::is_empty), Some(false));
        let old = double(100);
        let seven = rows(&old, &query("raw", &json!({})))[0]["data"].clone();
        assert_eq!(seven.as_object().unwrap().len(), 7);
        assert!(seven["parent_span_id"].is_null());
        let fields = json!([{"name": "parent_span_id", "fieldContext": "span"}, {"name": "is_remote"},
            {"name": "host.name", "fieldContext": "resource"}, {"name": "http.request.method"}]);
        let named = rows(&old, &query("raw", &json!({"selectFields": fields, "order": ascending()})));
        let client = &named[1]["data"];
        assert_eq!(client["parent_span_id"], named[0]["data"]["span_id"]);
        assert_eq!((&client["host.name"], &client["is_remote"]), (&json!("storefront"), &json!("no")));
        assert_eq!(client["http.request.method"], "GET");
        assert!(client["links"].is_null());
        let fields = json!([{"name": "links"}, {"name": "events"}, {"name": "http.route"}]);
        let stored =
            rows(&old, &query("raw", &json!({"selectFields": fields, "limit": 1})))[0]["data"].clone();
        assert!(stored["links"].as_str().is_some_and(|links| links.contains("\"refType\":\"CHILD_OF\"")));
        assert_eq!((&stored["events"], &stored["http.route"]), (&json!([]), &json!("")));
    }

    #[test]
    fn filters_select() {
        let double = double(138);
        let store = Store::healthy(10, START, SECOND);
        let (one, two) = (&store.spans[0].trace_id, &store.spans[3].trace_id);
        let count = |expression: &str| rows(&double, &filtered(expression)).len();
        assert_eq!(count(&format!("trace_id = '{one}'")), 3);
        assert_eq!(count(&format!("trace_id IN ('{one}', \"{two}\")")), 6);
        assert_eq!(count("resource.service.name = 'billing'"), 10);
        assert_eq!(count("service.name IN ['billing','storefront'] AND name = 'GET'"), 10);
        assert_eq!(count("service.name NOT IN ('billing')"), 20);
        assert_eq!(count("duration_nano >= 20000000 AND attribute.http.request.method:string = 'GET'"), 20);
        assert_eq!(count("(name = 'GET' OR parent_span_id = '') AND NOT service.name = 'billing'"), 20);
        assert_eq!(count("service.name = 'it\\'s'"), 0);
        assert_eq!(count("http.request.method EXISTS"), 30);
    }

    #[test]
    fn offsets_give_every_row_once_and_cursors_lose_some() {
        let mut store = Store::healthy(4, START, SECOND);
        // Two spans in one millisecond, with a page that ends between them.
        store.spans[1].start_ns = store.spans[0].start_ns + 1;
        let double = Double::start(Signoz::new(store, 138));
        let page = |offset: usize| {
            let query = query("raw", &json!({"order": ascending(), "limit": 5, "offset": offset}));
            rows(&double, &query)
                .into_iter()
                .map(|row| row["data"]["span_id"].to_string())
                .collect::<Vec<_>>()
        };
        let pages: Vec<String> = [page(0), page(5), page(10)].concat();
        assert_eq!(pages.len(), 12);
        assert_eq!(pages.iter().collect::<BTreeSet<_>>().len(), 12);
        let first = json!({"order": ascending(), "limit": 1});
        let reply = post(&double, "/api/v5/query_range", &query("raw", &first)).json();
        let cursor = &reply["data"]["data"]["results"][0]["nextCursor"];
        let rest = query("raw", &json!({"order": ascending(), "cursor": cursor}));
        assert_eq!(rows(&double, &rest).len(), 10);
    }

    #[test]
    fn a_trace_outside_the_window_gives_a_warning_or_everything() {
        let id = Store::healthy(1, START, SECOND).spans[0].trace_id.clone();
        let mut elsewhere = filtered(&format!("trace_id = '{id}'"));
        (elsewhere["start"], elsewhere["end"]) = (json!(START / MS - 10_000_000), json!(START / MS - 60_000));
        let reply = post(&double(138), "/api/v5/query_range", &elsewhere).json();
        assert!(reply["data"]["data"]["results"][0]["rows"].is_null());
        let warning = reply["data"]["warning"]["warnings"][0]["message"].as_str().unwrap().to_owned();
        assert!(
            warning.starts_with("Query A references a trace_id that exists between 2026-03-02T09:29:59Z")
        );
        // Older versions forget the window, and read the trace once for each part of it.
        let mut wide = elsewhere.clone();
        assert_eq!(rows(&double(100), &wide).len(), 6);
        wide["start"] = json!(START / MS - 61_000);
        assert_eq!(rows(&double(100), &wide).len(), 3);
    }

    #[test]
    fn other_kinds_of_answers() {
        let mut store = Store::healthy(3, START, SECOND);
        store.spans.remove(0);
        let double = Double::start(Signoz::new(store, 138));
        let traces = rows(&double, &query("trace", &json!({})));
        assert_eq!(traces.len(), 2, "a trace without a root is missing");
        assert_eq!(traces[0]["data"]["span_count"], 3);
        let spec = json!({"groupBy": [{"name": "trace_id"}], "limit": 100,
            "aggregations": [{"expression": "count()"}, {"expression": "min(timestamp)"}]});
        let reply = post(&double, "/api/v5/query_range", &query("scalar", &spec)).json();
        let table = &reply["data"]["data"]["results"][0];
        assert_eq!(table["columns"][0]["columnType"], "group");
        assert_eq!(table["data"].as_array().unwrap().len(), 3);
        assert_eq!(table["data"][2][1], 2);
        let body = json!({"start": START.to_string(), "end": (START + 5 * SECOND).to_string(), "tags": []});
        let services = post(&double, "/api/v1/services", &body).json();
        assert_eq!(services[0]["serviceName"], "billing");
        assert_eq!(services[0]["numCalls"], 3);
        assert_eq!(get(&double, "/api/v1/services/list").json(), json!(["billing", "storefront"]));
    }

    #[test]
    fn exports_say_behind_the_body_whether_they_are_complete() {
        let raw = query("raw", &json!({"limit": 50_000, "order": ascending()}));
        let double = double(138);
        let reply = post(&double, "/api/v1/export_raw_data?format=jsonl", &raw);
        assert_eq!(reply.text().lines().count(), 30);
        assert_eq!(reply.trailers, [("X-Response-Complete".to_owned(), "true".to_owned())]);
        let csv = post(&double, "/api/v1/export_raw_data?format=csv", &raw).text();
        assert!(csv.starts_with("timestamp,attributes,"), "{csv}");
        assert_eq!(csv.lines().count(), 31);
        assert_eq!(get(&double, "/api/v1/export_raw_data").status, 405);
        assert_eq!(post(&double, "/api/v1/export_raw_data?format=xml", &raw).status, 400);
        let part = Double::start(Signoz::new(Store::healthy(10, START, SECOND), 138).exporting_in_part());
        let reply = post(&part, "/api/v1/export_raw_data?format=jsonl", &raw);
        assert_eq!(reply.text().lines().count(), 15);
        assert_eq!(reply.trailers[0].1, "false");
    }

    #[test]
    fn waterfalls_invent_rows_and_lose_copies() {
        let mut store = Store::healthy(1, START, SECOND);
        let id = store.spans[0].trace_id.clone();
        let missing = store.spans.remove(0).span_id;
        store.spans.push(store.spans[0].clone());
        let double = Double::start(Signoz::new(store, 138));
        let reply = post(&double, &format!("/api/v4/traces/{id}/waterfall"), &json!({})).json();
        let spans = reply["data"]["spans"].as_array().unwrap();
        assert_eq!((spans.len(), &reply["data"]["hasMissingSpans"]), (3, &json!(true)));
        assert_eq!((&spans[2]["name"], &spans[2]["span_id"]), (&json!("Missing Span"), &json!(missing)));
        let unknown = post(&double, "/api/v4/traces/00/waterfall", &json!({}));
        assert_eq!(unknown.status, 404);
    }

    #[test]
    fn the_first_link_is_the_parent() {
        let double = double(138);
        let spans = rows(&double, &query("raw", &json!({"order": ascending(), "limit": 2})));
        let root = &spans[0]["data"]["links"][0];
        assert!(root["spanId"].is_null() && root["traceId"].is_string());
        assert_eq!(spans[1]["data"]["links"][0]["spanId"], spans[0]["data"]["span_id"]);
        assert_eq!(spans[0]["timestamp"], "2026-03-02T09:30:00Z");
    }
}
