//! The boundary key of a hop: what caller and callee both know about one call or message.
//! Two spans called `POST` are told apart by it.

use std::borrow::Cow;

use super::span::{Span, SpanKind};
use super::value::{Value, first_of};

/// What an exit or entry span says about its other side. Semantic conventions 1.44, current names
/// before older ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boundary {
    /// `http`, `rpc` or `message`.
    pub protocol: &'static str,
    /// Method, or messaging operation.
    pub method: String,
    /// Route or normalised path, RPC service, or destination.
    pub target: String,
    /// Address of the other side as the caller knows it, possibly empty.
    pub peer: String,
}

/// The boundary of a span, if it is an exit or entry span of a known protocol.
pub fn of_span(span: &Span<'_>) -> Option<Boundary> {
    if !span.kind.is_entry() && !span.kind.is_exit() {
        return None;
    }
    message(span).or_else(|| rpc(span)).or_else(|| http(span))
}

/// The id of the message that a producer or consumer span handled.
pub fn message_id<'s>(span: &'s Span<'_>) -> Option<Cow<'s, str>> {
    first_of(&span.attributes, &["messaging.message.id", "messaging.message_id"]).and_then(Value::to_text)
}

fn text(span: &Span<'_>, keys: &[&str]) -> String {
    first_of(&span.attributes, keys).and_then(Value::to_text).unwrap_or_default().into_owned()
}

fn message(span: &Span<'_>) -> Option<Boundary> {
    first_of(&span.attributes, &["messaging.system"])?;
    Some(Boundary {
        protocol: "message",
        method: text(span, &["messaging.operation.type", "messaging.operation"]),
        target: text(
            span,
            &["messaging.destination.template", "messaging.destination.name", "messaging.destination"],
        ),
        peer: text(span, &["server.address", "net.peer.name"]),
    })
}

fn rpc(span: &Span<'_>) -> Option<Boundary> {
    first_of(&span.attributes, &["rpc.system.name", "rpc.system"])?;
    let service = text(span, &["rpc.service"]);
    let method = text(span, &["rpc.method"]);
    let (service, method) = match method.rsplit_once('/') {
        Some((service, method)) => (service.to_owned(), method.to_owned()),
        None => (service, method),
    };
    Some(Boundary { protocol: "rpc", method, target: service, peer: peer(span) })
}

fn http(span: &Span<'_>) -> Option<Boundary> {
    let method = first_of(&span.attributes, &["http.request.method", "http.method"])?.to_text()?.into_owned();
    let route = text(span, &["http.route"]);
    let target = if route.is_empty() {
        let url = text(span, &["url.path", "http.target", "url.full", "http.url"]);
        super::names::normalise(path_of(&url)).into_owned()
    } else {
        route
    };
    Some(Boundary { protocol: "http", method, target, peer: peer(span) })
}

fn peer(span: &Span<'_>) -> String {
    if span.kind == SpanKind::Server {
        return String::new();
    }
    let named = text(span, &["service.peer.name", "peer.service"]);
    if named.is_empty() { text(span, &["server.address", "net.peer.name", "http.host"]) } else { named }
}

/// The path of a URL or request target, without query and fragment.
fn path_of(url: &str) -> &str {
    let after_host = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => url,
    };
    after_host.split(['?', '#']).next().unwrap_or_default()
}
