//! The HTTP client that all backends share: credentials, timeouts, retries, and what an answer that
//! is no data means.

use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Method, Request, Response, Url};
use tokio::time::{sleep, timeout};

use super::fetch_problem::FetchProblem;
use crate::config::{Connection, Secret};

/// Longest time for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest time to the first byte of an answer: servers end queries of their own after a minute.
const FIRST_BYTE: Duration = Duration::from_secs(65);
/// Longest time between two bytes of an answer.
const IDLE: Duration = Duration::from_secs(30);
/// Tries of one request.
const TRIES: u32 = 4;
/// Wait before the second try; it doubles with each further one.
const BACKOFF: Duration = Duration::from_millis(250);
/// Failed requests in a row after which a backend is left alone.
const FAILURES_IN_A_ROW: u32 = 3;
/// Requests under way at once: enough to hide the round trip, too few to be a burden.
pub(super) const CONCURRENCY: usize = 4;
/// Redirects of one request.
const REDIRECTS: u32 = 5;
/// Bytes of an answer that is an error; what is said stands at the beginning.
const MOST_OF_AN_ERROR: usize = 64 << 10;
/// Characters of an error that are repeated.
const QUOTED: usize = 200;
/// Clocks that differ by less do not shift a window noticeably.
const CLOCKS_AGREE: i64 = 60;

/// A request: what to ask, below the base address.
#[derive(Clone, Debug)]
pub(super) struct Ask<'a> {
    path: &'a str,
    query: &'a [(&'a str, String)],
    /// JSON body; then it is a POST.
    body: Option<String>,
}

impl<'a> Ask<'a> {
    /// Asks for a path with query parameters.
    pub(super) fn get(path: &'a str, query: &'a [(&'a str, String)]) -> Self {
        Self { path, query, body: None }
    }

    /// Posts JSON.
    pub(super) fn post(path: &'a str, query: &'a [(&'a str, String)], body: &serde_json::Value) -> Self {
        Self { path, query, body: Some(body.to_string()) }
    }
}

/// An answer that came whole.
#[derive(Debug)]
pub(super) struct Answer {
    /// Status code.
    pub(super) status: u16,
    /// Headers, and trailers behind them.
    pub(super) headers: HeaderMap,
    /// Body, decompressed.
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// Whether it is a success and no page for people.
    pub(super) fn is_data(&self) -> bool {
        self.is_success() && !self.is_html()
    }

    fn is_html(&self) -> bool {
        let of_type = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        of_type.is_some_and(|value| value.contains("text/html"))
            || self.body.trim_ascii_start().starts_with(b"<")
    }

    fn looks_like_login(&self) -> bool {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(MOST_OF_AN_ERROR)]);
        let text = text.to_ascii_lowercase();
        ["type=\"password\"", "log in", "login", "sign in", "signin", "sign-in", "sso", "oauth"]
            .iter()
            .any(|mark| text.contains(mark))
    }
}

/// A client of one backend. It lives on one thread.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    headers: HeaderMap,
    secrets: Vec<Secret>,
    max_answer: usize,
    /// How to give credentials, for messages.
    how: &'static str,
    failures: Cell<u32>,
    /// Whether any answer came so far.
    answered: Cell<bool>,
    clock_ahead_s: Cell<i64>,
    log: RefCell<Vec<String>>,
}

impl Client {
    /// A client for the backend at this address. `tenant_header` is the one that such backends
    /// usually have; an answer may have `max_answer` bytes.
    pub(super) fn new(
        url: &str,
        connection: &Connection,
        tenant_header: &str,
        how: &'static str,
        max_answer: usize,
    ) -> Result<Self, FetchProblem> {
        // A second installation changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base = base_url(url)?;
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(Policy::none())
            .user_agent(concat!("tracemend/", env!("CARGO_PKG_VERSION")))
            .danger_accept_invalid_certs(connection.insecure);
        if base.scheme() == "http" {
            // The certificates of the system are not needed, and may not be there.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(|error| FetchProblem::Tls(reason_of(&error)))?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(tenant) = &connection.tenant {
            let name = connection.tenant_header.as_deref().unwrap_or(tenant_header);
            insert(&mut headers, name, tenant, false)?;
        }
        for (name, secret) in &connection.credentials {
            insert(&mut headers, name, secret.reveal(), true)?;
        }
        Ok(Self {
            http,
            base,
            headers,
            secrets: secret_texts(connection),
            max_answer,
            how,
            failures: Cell::new(0),
            answered: Cell::new(false),
            clock_ahead_s: Cell::new(0),
            log: RefCell::default(),
        })
    }

    /// Bytes that an answer may have.
    pub(super) const fn max_answer(&self) -> usize {
        self.max_answer
    }

    /// How far this machine's clock is ahead of the backend's, in s, where that matters.
    pub(super) fn clock_ahead_s(&self) -> Option<i64> {
        Some(self.clock_ahead_s.get()).filter(|ahead| ahead.abs() >= CLOCKS_AGREE)
    }

    /// What was asked and answered since the last call, a line each.
    pub(super) fn take_log(&self) -> Vec<String> {
        self.log.take()
    }

    /// Sends a request until an answer comes that is worth keeping. Answers with a status that is no
    /// success are given back as they are: [`Client::refusal`] says what they mean.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<Answer, FetchProblem> {
        let mut tried = 0;
        loop {
            tried += 1;
            let outcome = self.try_once(ask).await;
            let wait = match &outcome {
                Ok(answer) if !is_passing(answer.status) => None,
                Ok(answer) => Some(retry_after(&answer.headers).unwrap_or(BACKOFF * 2_u32.pow(tried - 1))),
                // Where nothing ever answered, a further try would only delay the message.
                Err(problem) if problem.is_final() || !self.answered.get() => None,
                Err(FetchProblem::TooLarge(_)) => None,
                Err(_) => Some(BACKOFF * 2_u32.pow(tried - 1)),
            };
            match wait {
                Some(wait) if tried < TRIES => sleep(wait).await,
                _ => return self.counted(outcome),
            }
        }
    }

    /// Sends a request and takes a success only.
    pub(super) async fn data(&self, ask: &Ask<'_>) -> Result<Answer, FetchProblem> {
        let answer = self.send(ask).await?;
        if answer.is_data() { Ok(answer) } else { Err(self.refusal(ask, &answer)) }
    }

    /// Too many failures in a row end the attempts.
    fn counted(&self, outcome: Result<Answer, FetchProblem>) -> Result<Answer, FetchProblem> {
        let problem = match outcome {
            Ok(answer) if !is_passing(answer.status) => {
                self.failures.set(0);
                return Ok(answer);
            }
            Ok(answer) if self.failures.get() + 1 < FAILURES_IN_A_ROW => {
                self.failures.set(self.failures.get() + 1);
                return Ok(answer);
            }
            Ok(answer) => FetchProblem::Status { status: answer.status, message: self.message_of(&answer) },
            // It answers; less may be asked for.
            Err(problem @ FetchProblem::TooLarge(_)) => {
                self.failures.set(0);
                return Err(problem);
            }
            Err(problem) => problem,
        };
        let requests = self.failures.get() + 1;
        self.failures.set(requests);
        if requests < FAILURES_IN_A_ROW || problem.is_final() {
            return Err(problem);
        }
        Err(FetchProblem::GaveUp { requests, last: Box::new(problem) })
    }

    async fn try_once(&self, ask: &Ask<'_>) -> Result<Answer, FetchProblem> {
        let mut url = self.url(ask);
        for _ in 0..REDIRECTS {
            let outcome = self.exchange(&url, ask).await;
            self.write_log(&url, ask, &outcome);
            let answer = outcome?;
            let Some(target) = self.redirect(&url, &answer)? else { return Ok(answer) };
            url = target;
        }
        Err(FetchProblem::Redirected(format!("{} again and again", self.scrub(url.path()))))
    }

    fn url(&self, ask: &Ask<'_>) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{}", self.base.path().trim_end_matches('/'), ask.path));
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(ask.query);
        }
        url
    }

    async fn exchange(&self, url: &Url, ask: &Ask<'_>) -> Result<Answer, FetchProblem> {
        let method = if ask.body.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::new(method, url.clone());
        request.headers_mut().clone_from(&self.headers);
        if let Some(body) = &ask.body {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.clone().into());
        }
        let sent = timeout(FIRST_BYTE, self.http.execute(request)).await;
        let response = sent.map_err(|_| FetchProblem::Silent(FIRST_BYTE))?;
        let response = response.map_err(|error| self.problem_of(&error))?;
        self.answered.set(true);
        self.compare_clocks(&response);
        self.body(response).await
    }

    async fn body(&self, response: Response) -> Result<Answer, FetchProblem> {
        let (status, is_success) = (response.status().as_u16(), response.status().is_success());
        let mut headers = response.headers().clone();
        let mut stream = reqwest::Body::from(response);
        let mut body = Vec::new();
        loop {
            let frame = timeout(IDLE, stream.frame()).await.map_err(|_| FetchProblem::Silent(IDLE))?;
            let frame = match frame {
                Some(Ok(frame)) => frame.into_data(),
                None => break,
                Some(Err(_)) if !is_success => break,
                Some(Err(error)) => return Err(FetchProblem::Broken(self.scrub(&reason_of(&error)))),
            };
            let chunk = match frame {
                Ok(chunk) => chunk,
                Err(other) => {
                    headers.extend(other.into_trailers().unwrap_or_default());
                    continue;
                }
            };
            if !is_success && body.len() + chunk.len() > MOST_OF_AN_ERROR {
                body.extend_from_slice(&chunk[..MOST_OF_AN_ERROR - body.len()]);
                break;
            }
            if body.len() + chunk.len() > self.max_answer {
                return Err(FetchProblem::TooLarge(self.max_answer));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body })
    }

    /// Where to go next. Credentials go to the host that the user named, and to no other.
    fn redirect(&self, from: &Url, answer: &Answer) -> Result<Option<Url>, FetchProblem> {
        if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let Some(target) = location.and_then(|location| from.join(location).ok()) else { return Ok(None) };
        if target.origin() == self.base.origin() {
            return Ok(Some(target));
        }
        if target.host() == from.host() && target.scheme() == "https" && from.scheme() == "http" {
            return Err(FetchProblem::WantsHttps);
        }
        // A log-in page carries the way back, and with it what was asked, in its query.
        Err(FetchProblem::Redirected(self.scrub(&format!(
            "{}{}",
            target.origin().ascii_serialization(),
            target.path()
        ))))
    }

    fn compare_clocks(&self, response: &Response) {
        let date = response.headers().get(DATE).and_then(|value| value.to_str().ok());
        let Some(theirs) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else { return };
        let seconds = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64)
        };
        self.clock_ahead_s.set(seconds(SystemTime::now()) - seconds(theirs));
    }

    fn write_log(&self, url: &Url, ask: &Ask<'_>, outcome: &Result<Answer, FetchProblem>) {
        let verb = if ask.body.is_some() { "POST" } else { "GET" };
        let outcome = match outcome {
            Ok(answer) => format!("{}, {} bytes", answer.status, answer.body.len()),
            Err(problem) => problem.to_string(),
        };
        self.log.borrow_mut().push(self.scrub(&format!("{verb} {url}: {outcome}")));
    }

    /// What an answer means that is no data.
    pub(super) fn refusal(&self, ask: &Ask<'_>, answer: &Answer) -> FetchProblem {
        let path = self.scrub(&format!("{}/{}", self.base.path().trim_end_matches('/'), ask.path));
        let message = self.message_of(answer);
        let lower = message.to_ascii_lowercase();
        if lower.contains("tenant") || lower.contains("no org id") {
            return FetchProblem::Tenant(message);
        }
        if lower.contains("http request to an https server")
            || lower.contains("plain http request was sent to https")
        {
            return FetchProblem::WantsHttps;
        }
        match answer.status {
            401 | 403 => {
                let sent = !self.secrets.is_empty();
                FetchProblem::Unauthorized { status: answer.status, message, sent, how: self.how }
            }
            200..300 if answer.is_html() && answer.looks_like_login() && !is_app(answer) => {
                FetchProblem::LoginPage { path, how: self.how }
            }
            200..300 if answer.is_html() => FetchProblem::Page { path },
            404 => FetchProblem::NoApi { api: "query API", path },
            status => FetchProblem::Status { status, message },
        }
    }

    /// What the backend says, in one line.
    pub(super) fn message_of(&self, answer: &Answer) -> String {
        if answer.is_html() {
            let text = String::from_utf8_lossy(&answer.body);
            let lower = text.to_ascii_lowercase();
            let title = lower.find("<title>").map(|at| at + "<title>".len());
            let title = title.and_then(|at| Some(&text.get(at..)?[..lower.get(at..)?.find("</title>")?]));
            return title.map_or_else(
                || "a web page".to_owned(),
                |title| format!("a web page, {}", self.quoted(title)),
            );
        }
        let said = serde_json::from_slice::<serde_json::Value>(&answer.body).ok();
        let said = said.as_ref().and_then(said_in);
        let said = said.unwrap_or_else(|| String::from_utf8_lossy(&answer.body).into_owned());
        if said.trim().is_empty() { "no further word".to_owned() } else { self.quoted(&said) }
    }

    /// Text of a backend, in one line that is not too long.
    pub(super) fn quoted(&self, text: &str) -> String {
        // Before anything is cut off: a part of a secret would not be found.
        let line = self.scrub(&text.split_whitespace().collect::<Vec<_>>().join(" "));
        let short: String = line.chars().take(QUOTED).collect();
        let more = if short.len() < line.len() { "…" } else { "" };
        format!("{short}{more}")
    }

    /// A backend may repeat what it was sent.
    pub(super) fn scrub(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.reveal(), "(hidden)"))
    }

    fn problem_of(&self, error: &reqwest::Error) -> FetchProblem {
        let reason = self.scrub(&reason_of(error));
        let lower = reason.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        if has(&["dns error", "failed to lookup", "name or service not known", "name resolution"]) {
            return FetchProblem::UnknownHost(reason);
        }
        if has(&["certificate", "tls", "unknownissuer", "corrupt message", "invalidcontenttype", "handshake"])
        {
            return FetchProblem::Tls(reason);
        }
        if has(&["invalid http", "invalid header", "parse", "http2", "unexpected message"]) {
            return FetchProblem::NotHttp(reason);
        }
        if error.is_timeout() {
            return FetchProblem::Silent(CONNECT);
        }
        if error.is_connect() {
            return FetchProblem::Refused(reason);
        }
        FetchProblem::Broken(reason)
    }
}

/// Status codes that may pass: too many requests, and what proxies say while a server restarts.
const fn is_passing(status: u16) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 504)
}

/// Whether a page is the user interface of a backend, which may speak of logging in as well.
fn is_app(answer: &Answer) -> bool {
    let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(MOST_OF_AN_ERROR)]);
    text.contains("JAEGER_") || text.contains("id=\"root\"") || text.contains("jaeger-ui")
}

/// The sentence in an error that is JSON, as Jaeger, SigNoz and gRPC gateways write it. SigNoz adds
/// what was wrong in particular.
fn said_in(value: &serde_json::Value) -> Option<String> {
    let places = ["/errors/0/msg", "/error/message", "/message", "/error", "/msg"];
    let said = places.iter().find_map(|place| value.pointer(place)?.as_str())?;
    let particulars = value.pointer("/error/errors").and_then(serde_json::Value::as_array);
    let particulars = particulars.into_iter().flatten().filter_map(|error| error.get("message")?.as_str());
    Some(std::iter::once(said).chain(particulars).collect::<Vec<_>>().join("; "))
}

/// Seconds or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).ok()
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str, is_secret: bool) -> Result<(), FetchProblem> {
    let wrong = |what: &str| FetchProblem::Address(format!("the {what} of header {name:?} cannot be sent"));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("name"))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| wrong("value"))?;
    value.set_sensitive(is_secret);
    headers.insert(name, value);
    Ok(())
}

/// Credentials as they could be repeated: whole, without the scheme before them, and decoded.
fn secret_texts(connection: &Connection) -> Vec<Secret> {
    let mut texts = Vec::new();
    for (_, secret) in &connection.credentials {
        let whole = secret.reveal();
        texts.push(whole.to_owned());
        let Some((scheme, rest)) = whole.split_once(' ') else { continue };
        texts.push(rest.to_owned());
        let decoded = STANDARD.decode(rest).ok().filter(|_| scheme == "Basic");
        let Some(user) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) else { continue };
        texts.extend(user.split_once(':').map(|(_, password)| password.to_owned()));
        texts.push(user);
    }
    // Longer ones first, so that no part of one is left standing.
    texts.sort_by_key(|text| usize::MAX - text.len());
    texts.retain(|text| text.len() >= 4);
    texts.into_iter().map(Secret::new).collect()
}

/// The address of a backend, without what must not or need not be in it.
pub fn base_url(text: &str) -> Result<Url, FetchProblem> {
    let wrong = |reason: &str| FetchProblem::Address(reason.to_owned());
    let mut url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("it begins with neither http:// nor https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "it has a user name or password in it, which other users of this machine could see; give them with \
             TRACEMEND_BASIC_AUTH or --basic-auth-file",
        ));
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// The innermost reason of an error, which is the one that helps.
fn reason_of(error: &reqwest::Error) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        reason = inner.to_string();
        source = inner.source();
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(credentials: &[(&str, &str)]) -> Connection {
        Connection {
            credentials: credentials
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)))
                .collect(),
            tenant: None,
            tenant_header: None,
            insecure: false,
            deadline: Duration::from_secs(5),
        }
    }

    fn client(credentials: &[(&str, &str)]) -> Client {
        Client::new("http://localhost/base/", &connection(credentials), "x-tenant", "log in", 1 << 20)
            .unwrap()
    }

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, headers: HeaderMap::new(), body: body.into() }
    }

    #[test]
    fn paths_go_below_the_base() {
        let query = [("q", "a b&c".to_owned())];
        let url = client(&[]).url(&Ask::get("api/v3/traces", &query));
        assert_eq!(url.as_str(), "http://localhost/base/api/v3/traces?q=a+b%26c");
    }

    #[test]
    fn what_a_backend_repeats_of_secrets_is_hidden() {
        let client = client(&[("authorization", "Bearer hush-hush"), ("x-key", "deep-secret")]);
        let said = client
            .message_of(&answer(400, r#"{"message":"no Bearer hush-hush, nor hush-hush, nor deep-secret"}"#));
        assert_eq!(said, "no (hidden), nor (hidden), nor (hidden)");
    }

    #[test]
    fn an_answer_that_is_no_data_has_a_meaning() {
        let client = client(&[]);
        let meaning = |status, body: &str| client.refusal(&Ask::get("api/x", &[]), &answer(status, body));
        let login = "<html><title>Sign in</title><input type=\"password\"></html>";
        assert!(matches!(meaning(200, login), FetchProblem::LoginPage { .. }));
        assert!(matches!(meaning(200, "<!doctype html><div id=\"root\">login"), FetchProblem::Page { .. }));
        assert!(matches!(meaning(401, "no"), FetchProblem::Unauthorized { sent: false, .. }));
        assert!(matches!(meaning(400, "missing tenant header"), FetchProblem::Tenant(_)));
        assert!(matches!(meaning(401, "no org id"), FetchProblem::Tenant(_)));
        assert!(matches!(meaning(404, "404 page not found"), FetchProblem::NoApi { .. }));
        assert_eq!(meaning(400, "Client sent an HTTP request to an HTTPS server."), FetchProblem::WantsHttps);
        let jaeger = r#"{"data":null,"errors":[{"code":500,"msg":"storage is down"}]}"#;
        assert_eq!(meaning(500, jaeger).to_string(), "status 500: storage is down");
        let signoz = r#"{"status":"error","error":{"message":"Found 1 errors","errors":[{"message":"key `x` not found"}]}}"#;
        assert_eq!(meaning(400, signoz).to_string(), "status 400: Found 1 errors; key `x` not found");
    }

    #[test]
    fn waits_as_it_is_told() {
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            retry_after(&headers)
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(30));
        assert!(wait(&soon).is_some_and(|wait| wait > Duration::from_secs(20)));
        assert_eq!(wait("later"), None);
    }

    #[test]
    fn addresses_carry_no_password() {
        assert!(
            base_url("http://user:hush@host").is_err_and(|problem| !problem.to_string().contains("hush"))
        );
        assert!(base_url("ftp://host").is_err());
        assert_eq!(base_url("https://host/a/?b#c").unwrap().as_str(), "https://host/a/");
    }
}
