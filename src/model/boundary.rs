//! The boundary key of a hop: what caller and callee both know about one call or message.
//! Two spans called `POST` are told apart by it.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;

use super::names;
use super::span::{Span, SpanKind};
use super::value::Value;

/// The protocol of a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP.
    Http,
    /// gRPC and other RPC systems.
    Rpc,
    /// Messages over a broker or queue.
    Messaging,
}

/// What an exit or entry span says about its other side.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boundary<'a> {
    /// Protocol.
    pub protocol: Protocol,
    /// HTTP or RPC method, or messaging operation; possibly empty.
    pub method: Cow<'a, str>,
    /// Route or normalised path, RPC service, or destination; possibly empty.
    pub target: Cow<'a, str>,
    /// The other side as the caller knows it, possibly empty.
    pub peer: Cow<'a, str>,
}

impl Boundary<'_> {
    /// A hash of the content.
    pub fn hash(&self) -> u64 {
        let parts = [&self.method, &self.target, &self.peer];
        parts.iter().fold(self.protocol as u64, |hash, part| {
            hash.rotate_left(21).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ xxh3_64(part.as_bytes())
        })
    }

    /// The segments of the target, each parameter as [`ANY_SEGMENT`], so that the route of one side
    /// (`/orders/:id`, `/orders/{id}`, `/orders/<id>`) reads like the path of the other (`/orders/{n}`).
    /// Version 1: a segment is a parameter when it begins like one in the syntax of a router, or when
    /// [`names::normalise`] finds something in it that varies. A slash at either end means nothing.
    pub fn segments(&self) -> Vec<&str> {
        let segments = self.target.trim_matches('/').split('/');
        segments.map(|segment| if is_parameter(segment) { ANY_SEGMENT } else { segment }).collect()
    }

    /// Whether a call that its caller describes like this may be what its callee describes like the
    /// other: parameters of paths and routes match anything.
    pub fn may_be_call_of(&self, callee: &Boundary<'_>) -> bool {
        if self.protocol != callee.protocol || self.target.is_empty() {
            return false;
        }
        match self.protocol {
            Protocol::Http => {
                self.method == callee.method && is_same_route(&self.segments(), &callee.segments())
            }
            Protocol::Rpc => self.target == callee.target && self.method == callee.method,
            Protocol::Messaging => self.target == callee.target,
        }
    }

    /// The same boundary without ties to the input.
    pub fn into_owned(self) -> Boundary<'static> {
        Boundary {
            protocol: self.protocol,
            method: Cow::Owned(self.method.into_owned()),
            target: Cow::Owned(self.target.into_owned()),
            peer: Cow::Owned(self.peer.into_owned()),
        }
    }
}

/// Stands for a segment that varies from call to call.
pub const ANY_SEGMENT: &str = "*";

fn is_same_route(one: &[&str], other: &[&str]) -> bool {
    let is_same = |(one, other): (&&str, &&str)| one == other || *one == ANY_SEGMENT || *other == ANY_SEGMENT;
    one.len() == other.len() && one.iter().zip(other).all(is_same)
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with([':', '{', '<', '*', '[', '(']) || names::normalise(segment).contains('{')
}

/// The attributes that make a boundary, by meaning. Semantic conventions 1.44; where a convention
/// was renamed the current name wins over the older ones.
#[derive(Default)]
struct Wanted<'s> {
    http_method: Ranked<'s>,
    http_route: Ranked<'s>,
    http_path: Ranked<'s>,
    rpc_system: Ranked<'s>,
    rpc_service: Ranked<'s>,
    rpc_method: Ranked<'s>,
    messaging_system: Ranked<'s>,
    messaging_operation: Ranked<'s>,
    messaging_destination: Ranked<'s>,
    message_id: Ranked<'s>,
    peer: Ranked<'s>,
    server_port: Ranked<'s>,
    net_peer_port: Ranked<'s>,
}

/// Ranks of peers that have a port in an attribute of its own.
const SERVER_ADDRESS: u8 = 2;
const NET_PEER_NAME: u8 = 3;

/// The best value so far; a smaller rank is better.
#[derive(Default)]
struct Ranked<'s>(Option<(u8, &'s Value<'s>)>);

impl<'s> Ranked<'s> {
    fn offer(&mut self, rank: u8, value: &'s Value<'s>) {
        if self.0.is_none_or(|(best, _)| rank < best) {
            self.0 = Some((rank, value));
        }
    }

    fn is_set(&self) -> bool {
        self.0.is_some()
    }

    fn text(&self) -> Cow<'s, str> {
        self.0.and_then(|(_, value)| value.to_text()).unwrap_or_default()
    }
}

impl<'s> Wanted<'s> {
    fn of(span: &'s Span<'_>) -> Self {
        let mut wanted = Self::default();
        for attribute in &span.attributes {
            let (key, value) = (&*attribute.key, &attribute.value);
            // Most keys are told apart by their first letter.
            match key.as_bytes().first() {
                Some(b'h') => wanted.http(key, value),
                Some(b'u') => wanted.url(key, value),
                Some(b'r') => wanted.rpc(key, value),
                Some(b'm') => wanted.messaging(key, value),
                Some(b's' | b'p' | b'n') => wanted.peer(key, value),
                _ => {}
            }
        }
        wanted
    }

    fn http(&mut self, key: &str, value: &'s Value<'s>) {
        match key {
            "http.request.method" => self.http_method.offer(0, value),
            "http.method" => self.http_method.offer(1, value),
            "http.route" => self.http_route.offer(0, value),
            "http.target" => self.http_path.offer(2, value),
            "http.url" => self.http_path.offer(3, value),
            "http.host" => self.peer.offer(4, value),
            _ => {}
        }
    }

    fn url(&mut self, key: &str, value: &'s Value<'s>) {
        match key {
            "url.path" => self.http_path.offer(0, value),
            "url.full" => self.http_path.offer(1, value),
            _ => {}
        }
    }

    fn rpc(&mut self, key: &str, value: &'s Value<'s>) {
        match key {
            "rpc.system.name" => self.rpc_system.offer(0, value),
            "rpc.system" => self.rpc_system.offer(1, value),
            "rpc.service" => self.rpc_service.offer(0, value),
            "rpc.method" => self.rpc_method.offer(0, value),
            _ => {}
        }
    }

    fn messaging(&mut self, key: &str, value: &'s Value<'s>) {
        match key {
            "messaging.system" => self.messaging_system.offer(0, value),
            "messaging.operation.type" => self.messaging_operation.offer(0, value),
            "messaging.operation" => self.messaging_operation.offer(1, value),
            "messaging.destination.template" => self.messaging_destination.offer(0, value),
            "messaging.destination.name" => self.messaging_destination.offer(1, value),
            "messaging.destination" => self.messaging_destination.offer(2, value),
            "messaging.message.id" => self.message_id.offer(0, value),
            "messaging.message_id" => self.message_id.offer(1, value),
            _ => {}
        }
    }

    /// The other side as the caller knows it: a service, a host and its port, or what the URL says.
    fn peer_text(&self) -> Cow<'s, str> {
        let port = match self.peer.0 {
            Some((SERVER_ADDRESS, _)) => &self.server_port,
            Some((NET_PEER_NAME, _)) => &self.net_peer_port,
            Some(_) => return self.peer.text(),
            None => return self.url_host(),
        };
        if port.is_set() { format!("{}:{}", self.peer.text(), port.text()).into() } else { self.peer.text() }
    }

    fn url_host(&self) -> Cow<'s, str> {
        match self.http_path.text() {
            Cow::Borrowed(url) => Cow::Borrowed(host_of(url)),
            Cow::Owned(url) => Cow::Owned(host_of(&url).to_owned()),
        }
    }

    fn peer(&mut self, key: &str, value: &'s Value<'s>) {
        match key {
            "service.peer.name" => self.peer.offer(0, value),
            "peer.service" => self.peer.offer(1, value),
            "server.address" => self.peer.offer(SERVER_ADDRESS, value),
            "net.peer.name" => self.peer.offer(NET_PEER_NAME, value),
            "server.port" => self.server_port.offer(0, value),
            "net.peer.port" => self.net_peer_port.offer(0, value),
            _ => {}
        }
    }
}

/// The boundary of an exit or entry span of a known protocol, and what tells one call over it from
/// the others where both sides say it: the id of the message, or the exact path of the request.
pub fn of_span<'s>(span: &'s Span<'_>) -> Option<(Boundary<'s>, Option<Cow<'s, str>>)> {
    if !span.kind.is_entry() && !span.kind.is_exit() {
        return None;
    }
    let wanted = Wanted::of(span);
    // A server's own address is not its other side.
    let peer = if span.kind.is_exit() { wanted.peer_text() } else { Cow::Borrowed("") };
    if wanted.messaging_system.is_set() {
        let boundary = Boundary {
            protocol: Protocol::Messaging,
            method: wanted.messaging_operation.text(),
            target: wanted.messaging_destination.text(),
            peer,
        };
        return Some((boundary, wanted.message_id.is_set().then(|| wanted.message_id.text())));
    }
    if wanted.rpc_system.is_set() {
        return Some((rpc(&wanted, peer), None));
    }
    if !wanted.http_method.is_set() {
        return None;
    }
    let path = http_path(&wanted);
    let target = match (wanted.http_route.is_set(), &path) {
        (true, _) => wanted.http_route.text(),
        (false, Some(path)) => Cow::Owned(names::normalise(path).into_owned()),
        (false, None) => Cow::Borrowed(""),
    };
    Some((Boundary { protocol: Protocol::Http, method: wanted.http_method.text(), target, peer }, path))
}

/// The number of messages that a consumer span handles as one batch (`messaging.batch.message_count`), 0
/// where it does not say.
pub fn batch_size(span: &Span<'_>) -> u32 {
    if span.kind != SpanKind::Consumer {
        return 0;
    }
    let count = span.attributes.iter().find(|attribute| attribute.key == "messaging.batch.message_count");
    let text = count.and_then(|attribute| attribute.value.to_text());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Current conventions put `package.Service/Method` into `rpc.method`, older ones split it.
fn rpc<'s>(wanted: &Wanted<'s>, peer: Cow<'s, str>) -> Boundary<'s> {
    let full = wanted.rpc_method.text();
    let (target, method) = match full.rsplit_once('/') {
        Some((service, method)) => (Cow::Owned(service.to_owned()), Cow::Owned(method.to_owned())),
        None => (wanted.rpc_service.text(), full),
    };
    Boundary { protocol: Protocol::Rpc, method, target, peer }
}

fn http_path<'s>(wanted: &Wanted<'s>) -> Option<Cow<'s, str>> {
    wanted.http_path.is_set().then(|| match wanted.http_path.text() {
        Cow::Borrowed(text) => Cow::Borrowed(path_of(text)),
        Cow::Owned(text) => Cow::Owned(path_of(&text).to_owned()),
    })
}

/// Host and port of a URL, without the credentials that may stand before them; nothing where it is no URL.
fn host_of(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else { return "" };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// The path of a URL or request target, without query and fragment.
fn path_of(url: &str) -> &str {
    let scheme = memchr::memchr(b':', url.as_bytes()).filter(|colon| url[*colon..].starts_with("://"));
    let after_host = match scheme {
        Some(colon) => {
            let rest = &url[colon + 3..];
            memchr::memchr(b'/', rest.as_bytes()).map_or("/", |slash| &rest[slash..])
        }
        None => url,
    };
    let end = memchr::memchr2(b'?', b'#', after_host.as_bytes());
    end.map_or(after_host, |end| &after_host[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Attribute;

    fn boundary(kind: SpanKind, attributes: &[(&'static str, &'static str)]) -> Option<Boundary<'static>> {
        let attributes = attributes
            .iter()
            .map(|(key, value)| Attribute { key: (*key).into(), value: Value::String((*value).into()) });
        let span = Span { kind, attributes: attributes.collect(), ..Span::default() };
        of_span(&span).map(|(boundary, _)| boundary.into_owned())
    }

    #[test]
    fn both_sides_of_an_http_call_agree_on_method_and_path() {
        let client = boundary(
            SpanKind::Client,
            &[
                ("http.url", "http://stock:80/items/42?x=1"),
                ("http.method", "GET"),
                ("peer.service", "stock"),
            ],
        );
        let server = boundary(
            SpanKind::Server,
            &[("url.path", "/items/42"), ("http.request.method", "GET"), ("server.address", "me")],
        );
        let (Some(client), Some(server)) = (client, server) else {
            panic!("both are boundaries");
        };
        assert_eq!((&client.method, &client.target), (&server.method, &server.target));
        assert_eq!((&*client.target, &*client.peer, &*server.peer), ("/items/{n}", "stock", ""));
    }

    #[test]
    fn routes_of_every_router_read_like_paths() {
        let segments = |target: &'static str| {
            let (method, peer) = ("GET".into(), "".into());
            let boundary = Boundary { protocol: Protocol::Http, method, target: target.into(), peer };
            boundary.segments().join("/")
        };
        for target in [
            "/v1/orders/:id/items",
            "/v1/orders/{id}/items",
            "/v1/orders/<id>/items/",
            "/v1/orders/{n}/items",
            "v1/orders/[id]/items",
            "/v1/orders/{id:[0-9]+}/items",
            "/v1/orders/order-4711/items",
        ] {
            assert_eq!(segments(target), "v1/orders/*/items", "{target}");
        }
        assert_eq!(segments("/"), "");
    }

    #[test]
    fn the_exact_path_is_known_beside_the_route() {
        let attribute = |key: &'static str, value: &'static str| Attribute {
            key: key.into(),
            value: Value::String(value.into()),
        };
        let attributes = vec![
            attribute("http.route", "/items/:id"),
            attribute("http.request.method", "GET"),
            attribute("http.target", "/items/42?x=1"),
        ];
        let span = Span { kind: SpanKind::Server, attributes, ..Span::default() };
        let (boundary, path) = of_span(&span).unwrap();
        assert_eq!((&*boundary.target, path.as_deref()), ("/items/:id", Some("/items/42")));
    }

    #[test]
    fn the_current_rpc_convention_reads_like_the_old_one() {
        let current =
            boundary(SpanKind::Client, &[("rpc.system.name", "grpc"), ("rpc.method", "shop.Cart/Add")]);
        let old = boundary(
            SpanKind::Server,
            &[("rpc.system", "grpc"), ("rpc.service", "shop.Cart"), ("rpc.method", "Add")],
        );
        assert_eq!(current, old);
    }

    #[test]
    fn peers_are_told_apart_by_their_port() {
        let peer = |attributes: &[(&'static str, &'static str)]| {
            let method = [("http.request.method", "GET")];
            boundary(SpanKind::Client, &[&method, attributes].concat()).unwrap().peer.into_owned()
        };
        assert_eq!(peer(&[("server.address", "10.0.0.7"), ("server.port", "8080")]), "10.0.0.7:8080");
        assert_eq!(peer(&[("net.peer.name", "stock"), ("net.peer.port", "80")]), "stock:80");
        assert_eq!(peer(&[("server.address", "stock"), ("net.peer.port", "80")]), "stock");
        assert_eq!(peer(&[("peer.service", "stock"), ("server.port", "80")]), "stock");
        assert_eq!(peer(&[("url.full", "http://user:secret@stock:81/items?x=a@b")]), "stock:81");
        assert_eq!(peer(&[("http.target", "/items")]), "");
    }

    #[test]
    fn internal_and_unknown_spans_have_none() {
        assert_eq!(boundary(SpanKind::Internal, &[("http.method", "GET")]), None);
        assert_eq!(boundary(SpanKind::Client, &[("db.system.name", "postgresql")]), None);
    }
}
