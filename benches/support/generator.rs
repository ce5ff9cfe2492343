//! Traces with known faults, for benches and tests: seeded, so that every run makes the same bytes.
//!
//! Thirty services of four processes on twelve hosts, one of them with a wrong clock; traces of
//! log-normal size; inner spans that were lost, so that their children are orphans; exact copies.
#![allow(dead_code, reason = "each bench and test uses a part of it")]

mod encode;

use std::f64::consts::TAU;
use std::io::{self, Write};

pub(crate) use encode::Form;

const SERVICES: usize = 30;
const PODS: usize = 4;
const HOSTS: usize = 12;
/// Number of processes.
pub(crate) const PROCESSES: usize = SERVICES * PODS;
/// The host with the wrong clock.
const SKEWED_HOST: usize = 5;
const SKEW_NS: i64 = -1_700_000_000;
/// 2026-01-01T00:00:00Z
const EPOCH_NS: i64 = 1_767_225_600_000_000_000;
const LARGEST_TRACE: usize = 2_000;

/// What to make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    pub(crate) seed: u64,
    /// Span records in all, copies included.
    pub(crate) spans: usize,
    /// Chance that a span with children is lost.
    pub(crate) lost: f64,
    /// Chance that a span is written twice.
    pub(crate) copied: f64,
}

impl Recipe {
    pub(crate) fn of(spans: usize) -> Self {
        Self { seed: 7, spans, lost: 0.01, copied: 0.005 }
    }
}

/// What a reader has to find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) spans: u64,
    pub(crate) traces: u64,
    pub(crate) orphan_spans: u64,
    pub(crate) missing_parents: u64,
    pub(crate) copies: u64,
    pub(crate) skewed_host: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
}

/// One span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) trace_id: u128,
    pub(crate) span_id: u64,
    /// Zero for none.
    pub(crate) parent_id: u64,
    pub(crate) process: usize,
    pub(crate) kind: Kind,
    pub(crate) route: usize,
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
    /// Source of the varying attributes.
    pub(crate) salt: u64,
}

/// An attribute value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Int(u64),
    Bool(bool),
}

/// Writes spans in a form; returns what is in them.
pub(crate) fn write(form: Form, recipe: &Recipe, out: &mut impl Write) -> io::Result<Truth> {
    let mut truth = Truth { skewed_host: host_name(SKEWED_HOST), ..Truth::default() };
    let mut random = Random(recipe.seed);
    let mut encoder = encode::Encoder::new(form, out)?;
    let mut spans = Vec::new();
    while (truth.spans as usize) < recipe.spans {
        let room = recipe.spans - truth.spans as usize;
        make_trace(&mut random, truth.traces, room, &mut spans);
        lose(&mut random, recipe.lost, &mut spans, &mut truth);
        copy(&mut random, recipe.copied, room, &mut spans, &mut truth);
        truth.spans += spans.len() as u64;
        truth.traces += 1;
        encoder.trace(&spans)?;
    }
    encoder.finish()?;
    Ok(truth)
}

/// The same in memory.
pub(crate) fn bytes(form: Form, recipe: &Recipe) -> (Vec<u8>, Truth) {
    let mut bytes = Vec::new();
    let truth = write(form, recipe, &mut bytes).expect("memory takes everything");
    (bytes, truth)
}

fn make_trace(random: &mut Random, number: u64, room: usize, spans: &mut Vec<Made>) {
    spans.clear();
    let size = (random.log_normal(2.6, 0.9) as usize).clamp(1, LARGEST_TRACE.min(room));
    let trace_id = u128::from(random.next()) << 64 | u128::from(random.next());
    let start_ns = EPOCH_NS + number as i64 * 1_300_000;
    let end_ns = start_ns + (random.log_normal(18.0, 0.7) as i64).max(1_000_000);
    let process = random.below(PROCESSES);
    let root = Made {
        trace_id,
        span_id: random.next(),
        parent_id: 0,
        process,
        kind: Kind::Server,
        route: random.below(8),
        start_ns,
        end_ns,
        salt: random.next(),
    };
    spans.push(root);
    // Clients take one server each; any other span takes what comes.
    let mut called = vec![false];
    while spans.len() < size {
        let mut parent = spans.len() - 1 - random.below(spans.len().min(8));
        while called[parent] {
            parent -= 1;
        }
        called[parent] = spans[parent].kind == Kind::Client;
        called.push(false);
        spans.push(child(random, &spans[parent]));
    }
    for span in spans {
        let skew = if host_of(span.process) == SKEWED_HOST { SKEW_NS } else { 0 };
        span.start_ns += skew;
        span.end_ns += skew;
    }
}

fn child(random: &mut Random, parent: &Made) -> Made {
    let kind = match parent.kind {
        Kind::Client => Kind::Server,
        _ if random.chance(0.6) => Kind::Client,
        _ => Kind::Internal,
    };
    let length = parent.end_ns - parent.start_ns;
    let start_ns = parent.start_ns + random.below((length / 4).max(1) as usize) as i64;
    let end_ns = parent.end_ns - random.below((length / 4).max(1) as usize) as i64;
    Made {
        span_id: random.next(),
        parent_id: parent.span_id,
        process: if kind == Kind::Server { random.below(PROCESSES) } else { parent.process },
        kind,
        route: random.below(8),
        start_ns,
        end_ns: end_ns.max(start_ns),
        salt: random.next(),
        ..*parent
    }
}

/// Takes inner spans away, so that their children are orphans.
fn lose(random: &mut Random, chance: f64, spans: &mut Vec<Made>, truth: &mut Truth) {
    let parents: std::collections::HashSet<u64> = spans.iter().map(|span| span.parent_id).collect();
    let mut lost = std::collections::HashSet::new();
    for span in &spans[1..] {
        if parents.contains(&span.span_id) && random.chance(chance) {
            lost.insert(span.span_id);
        }
    }
    spans.retain(|span| !lost.contains(&span.span_id));
    let orphans = || spans.iter().filter(|span| lost.contains(&span.parent_id));
    truth.orphan_spans += orphans().count() as u64;
    let missing: std::collections::HashSet<u64> = orphans().map(|span| span.parent_id).collect();
    truth.missing_parents += missing.len() as u64;
}

fn copy(random: &mut Random, chance: f64, room: usize, spans: &mut Vec<Made>, truth: &mut Truth) {
    for index in 0..spans.len() {
        if spans.len() < room && random.chance(chance) {
            spans.push(spans[index]);
            truth.copies += 1;
        }
    }
}

/// The `SplitMix64` generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// In 0..1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn chance(&mut self, chance: f64) -> bool {
        self.fraction() < chance
    }

    fn log_normal(&mut self, mean: f64, deviation: f64) -> f64 {
        let radius = (-2.0 * self.fraction().max(1e-12).ln()).sqrt();
        (mean + deviation * radius * (TAU * self.fraction()).cos()).exp()
    }
}

fn host_of(process: usize) -> usize {
    (process / PODS * 7 + process % PODS * 5) % HOSTS
}

fn host_name(host: usize) -> String {
    format!("node-{host}.example.net")
}

fn service_of(process: usize) -> String {
    const WORDS: [&str; 10] =
        ["cart", "stock", "orders", "payment", "mail", "search", "users", "prices", "media", "audit"];
    let service = process / PODS;
    let tier = ["api", "worker", "store"][service / WORDS.len()];
    format!("{}-{tier}", WORDS[service % WORDS.len()])
}

/// Attributes of the resource of a process.
pub(crate) fn resource(process: usize) -> Vec<(&'static str, Value)> {
    let service = service_of(process);
    let text = |text: &str| Value::Text(text.to_owned());
    vec![
        ("service.name", text(&service)),
        ("service.namespace", text("shop")),
        ("service.version", text("2.14.1")),
        ("service.instance.id", Value::Text(format!("{service}-6c9f7d-{}", process % PODS))),
        ("deployment.environment.name", text("production")),
        ("telemetry.sdk.name", text("opentelemetry")),
        ("telemetry.sdk.language", text(["java", "go", "python", "nodejs"][process % PODS])),
        ("telemetry.sdk.version", text("1.44.0")),
        ("k8s.pod.name", Value::Text(format!("{service}-6c9f7d-{}", process % PODS))),
        ("k8s.namespace.name", text("shop")),
        ("k8s.node.name", Value::Text(host_name(host_of(process)))),
        ("os.type", text("linux")),
        ("process.pid", Value::Int(1 + process as u64)),
    ]
}

/// Name of a span.
pub(crate) fn name(span: &Made) -> String {
    let service = service_of(span.process);
    match span.kind {
        Kind::Internal => format!("{service}.step{}", span.route),
        Kind::Client => "POST".to_owned(),
        Kind::Server => format!("POST /{service}/items/{{id}}/part{}", span.route),
    }
}

/// Attributes of a span, 8 to 14 of them.
pub(crate) fn attributes(span: &Made) -> Vec<(&'static str, Value)> {
    let number = span.salt % 1_000_000;
    let mut attributes = vec![
        ("thread.id", Value::Int(span.salt >> 56)),
        ("thread.name", Value::Text(format!("worker-{}", span.salt >> 60))),
        ("code.function.name", Value::Text(format!("shop.{}.handle", service_of(span.process)))),
        ("code.line.number", Value::Int(span.salt >> 52 & 0xfff)),
        ("app.customer.id", Value::Text(format!("c-{number:06}"))),
        ("app.cart.items", Value::Int(number % 40)),
        ("app.is_member", Value::Bool(number.is_multiple_of(3))),
        ("app.request.id", Value::Text(format!("{:016x}", span.salt.rotate_left(17)))),
    ];
    match span.kind {
        Kind::Internal => {
            let query = format!("SELECT \"id\", \"sum\" FROM \"orders\" WHERE \"customer\" = {number}");
            attributes.push(("db.query.text", Value::Text(query)));
            attributes.push(("db.system.name", Value::Text("postgresql".to_owned())));
        }
        Kind::Client => attributes.extend([
            ("http.request.method", Value::Text("POST".to_owned())),
            ("url.full", Value::Text(format!("http://stock-api:8080/items/{number}/part?page=2"))),
            ("server.address", Value::Text("stock-api".to_owned())),
            ("server.port", Value::Int(8080)),
            ("http.response.status_code", Value::Int(200)),
        ]),
        Kind::Server => attributes.extend([
            ("http.request.method", Value::Text("POST".to_owned())),
            ("http.route", Value::Text(format!("/items/{{id}}/part{}", span.route))),
            ("url.path", Value::Text(format!("/items/{number}/part{}", span.route))),
            ("url.scheme", Value::Text("http".to_owned())),
            ("user_agent.original", Value::Text("Mozilla/5.0 (X11; Linux x86_64) shop/2.14".to_owned())),
            ("http.response.status_code", Value::Int(200)),
        ]),
    }
    attributes
}
