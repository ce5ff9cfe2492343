//! What a text must look like to be personal data or a secret. Every span is looked at while it is
//! decoded, so each test begins with one that is cheap and almost always says no.
//!
//! What is masked is not sensitive any more. In doubt nothing is said: a number of 16 digits is no
//! payment card unless its key or its grouping says so, because one of ten such numbers passes the
//! checksum.

use super::span::Span;
use super::value::{Attribute, Value};

/// What kind of data a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// The value of an `authorization` header.
    Authorization,
    /// The value of a `cookie` or `set-cookie` header.
    Cookie,
    /// A JSON Web Token.
    JsonWebToken,
    /// An API key, access token or private key.
    Token,
    /// User name and password in a URL.
    UrlCredentials,
    /// A payment card number.
    PaymentCard,
    /// An e-mail address.
    EmailAddress,
    /// A telephone number.
    PhoneNumber,
}

impl Shape {
    /// All shapes, the gravest first.
    pub const ALL: [Self; 8] = [
        Self::Authorization,
        Self::Cookie,
        Self::JsonWebToken,
        Self::Token,
        Self::UrlCredentials,
        Self::PaymentCard,
        Self::EmailAddress,
        Self::PhoneNumber,
    ];

    /// The plural that sentences use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization headers",
            Self::Cookie => "cookies",
            Self::JsonWebToken => "JSON Web Tokens",
            Self::Token => "tokens or keys",
            Self::UrlCredentials => "passwords in URLs",
            Self::PaymentCard => "payment card numbers",
            Self::EmailAddress => "e-mail addresses",
            Self::PhoneNumber => "telephone numbers",
        }
    }
}

/// What of a span holds a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// An attribute of the span.
    Span,
    /// An attribute of one of its events.
    Event,
    /// An attribute of one of its links.
    Link,
    /// An attribute of its resource.
    Resource,
    /// The trace state of the span or of one of its links.
    TraceState,
}

impl Holder {
    /// All holders.
    pub const ALL: [Self; 5] = [Self::Span, Self::Event, Self::Link, Self::Resource, Self::TraceState];

    /// The name in sentences.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Span => "span attribute",
            Self::Event => "event attribute",
            Self::Link => "link attribute",
            Self::Resource => "resource attribute",
            Self::TraceState => "trace state",
        }
    }
}

/// Something sensitive: where it is and what it looks like, never the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sensitive<'s> {
    /// What it looks like.
    pub shape: Shape,
    /// What holds it.
    pub holder: Holder,
    /// The key of the attribute, empty for trace state.
    pub key: &'s str,
}

/// What is sensitive in a span, its resource not included.
pub fn in_span<'s>(span: &'s Span<'_>) -> impl Iterator<Item = Sensitive<'s>> {
    let events = span.events.iter().flat_map(|event| in_attributes(&event.attributes, Holder::Event));
    let links = span.links.iter().flat_map(|link| {
        in_attributes(&link.attributes, Holder::Link).chain(in_trace_state(link.trace_state.as_deref()))
    });
    in_attributes(&span.attributes, Holder::Span)
        .chain(events)
        .chain(links)
        .chain(in_trace_state(span.trace_state.as_deref()))
}

/// What is sensitive in attributes.
pub fn in_attributes<'s>(
    attributes: &'s [Attribute<'_>],
    holder: Holder,
) -> impl Iterator<Item = Sensitive<'s>> {
    attributes.iter().filter_map(move |attribute| {
        let shape = shape_of_value(&attribute.key, &attribute.value)?;
        Some(Sensitive { shape, holder, key: &attribute.key })
    })
}

fn in_trace_state(text: Option<&str>) -> Option<Sensitive<'static>> {
    let shape = shape_of_text("", text?)?;
    Some(Sensitive { shape, holder: Holder::TraceState, key: "" })
}

/// Smallest number of 13 digits, the shortest payment card number.
const SHORTEST_CARD: i64 = 1_000_000_000_000;

fn shape_of_value(key: &str, value: &Value<'_>) -> Option<Shape> {
    match value {
        Value::String(text) => shape_of_text(key, text),
        Value::Array(items) => {
            items.iter().filter_map(Value::as_str).find_map(|text| shape_of_text(key, text))
        }
        Value::Int(number) if *number >= SHORTEST_CARD && has_word(key, &CARD_WORDS) => {
            is_payment_card(&number.to_string(), true).then_some(Shape::PaymentCard)
        }
        Value::Int(_)
        | Value::Empty
        | Value::Bool(_)
        | Value::Double(_)
        | Value::Bytes(_)
        | Value::Map(_) => None,
    }
}

/// The shortest e-mail address is `a@b.co`; nothing else that is sensitive is shorter.
const SHORTEST: usize = 6;

fn shape_of_text(key: &str, text: &str) -> Option<Shape> {
    if text.len() < SHORTEST {
        return None;
    }
    let shape = of_key(key, text).or_else(|| of_start(key, text)).or_else(|| of_inside(key, text))?;
    (!is_masked(text)).then_some(shape)
}

/// Marks that stand where something was masked. The semantic conventions use `REDACTED`.
fn is_masked(text: &str) -> bool {
    let has_word = |word: &str| {
        text.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    text.contains("***") || has_word("redacted") || has_word("[filtered]") || has_word("masked")
}

/// Keys whose values are secrets whatever they look like: recorded headers, and names of OAuth 2.0.
fn of_key(key: &str, text: &str) -> Option<Shape> {
    // Almost every key ends in another letter, or has another word there.
    match key.as_bytes().last()? {
        b'n' if ends_with_word(key, "authorization") => is_credentials(text).then_some(Shape::Authorization),
        b'n' if ["access_token", "refresh_token", "id_token", "x-auth-token", "x_auth_token"]
            .iter()
            .any(|name| ends_with_word(key, name)) =>
        {
            is_opaque(text).then_some(Shape::Token)
        }
        b'e' if ends_with_word(key, "cookie") => text.contains('=').then_some(Shape::Cookie),
        b'y' if ["api_key", "api-key", "apikey"].iter().any(|name| ends_with_word(key, name)) => {
            is_opaque(text).then_some(Shape::Token)
        }
        b't' if ends_with_word(key, "client_secret") => is_opaque(text).then_some(Shape::Token),
        _ => None,
    }
}

/// Whether the key ends with these words, and no letter stands before them.
fn ends_with_word(key: &str, words: &str) -> bool {
    let Some(split) = key.len().checked_sub(words.len()) else { return false };
    let (before, end) = key.as_bytes().split_at(split);
    end.eq_ignore_ascii_case(words.as_bytes())
        && before.last().is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

/// A scheme and credentials (RFC 9110, 11.4), or a key that is sent without scheme. `NONE`,
/// `required` and `AWS_IAM` are names of methods.
fn is_credentials(text: &str) -> bool {
    match text.split_once(' ') {
        Some((_, credentials)) => credentials.len() >= 8,
        None => is_opaque(text),
    }
}

/// Long, in one piece, with a digit: neither a word nor the name of a method.
fn is_opaque(text: &str) -> bool {
    text.len() >= 16
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && text.bytes().any(|byte| byte.is_ascii_digit())
}

/// Beginnings of tokens, and the length from which they are one: AWS access key ids (IAM user guide,
/// "IAM identifiers"), GitHub, GitLab, npm, Slack, Stripe and Google API keys (documentation of the
/// makers).
const TOKENS: [(&str, usize); 17] = [
    ("AKIA", 20),
    ("ASIA", 20),
    ("AIza", 39),
    ("ghp_", 40),
    ("gho_", 40),
    ("ghu_", 40),
    ("ghs_", 40),
    ("ghr_", 40),
    ("github_pat_", 40),
    ("glpat-", 26),
    ("npm_", 40),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("xoxa-", 20),
    ("xoxr-", 20),
    ("sk_live_", 24),
    ("rk_live_", 24),
];

/// What the first byte of a value gives away.
fn of_start(key: &str, text: &str) -> Option<Shape> {
    match text.as_bytes()[0] {
        b'0'..=b'9' | b'(' => of_digits(key, text),
        b'+' => is_phone_number(key, text).then_some(Shape::PhoneNumber),
        b'A' | b'g' | b'n' | b'x' | b's' | b'r' => is_token(text).then_some(Shape::Token),
        b'B' | b'b' => has_scheme(text).then_some(Shape::Authorization),
        b'-' => {
            (text.starts_with("-----BEGIN ") && text.contains("PRIVATE KEY-----")).then_some(Shape::Token)
        }
        _ => None,
    }
}

fn of_digits(key: &str, text: &str) -> Option<Shape> {
    if (13..=23).contains(&text.len()) && is_payment_card(text, has_word(key, &CARD_WORDS)) {
        return Some(Shape::PaymentCard);
    }
    (text.len() <= 24 && is_phone_number(key, text)).then_some(Shape::PhoneNumber)
}

fn is_token(text: &str) -> bool {
    let is_one = |(start, len): &(&str, usize)| {
        text.len() >= *len
            && text.starts_with(start)
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    };
    TOKENS.iter().any(is_one)
}

/// `Bearer` or `Basic` with credentials behind it (RFC 6750, RFC 7617), whatever the key is.
fn has_scheme(text: &str) -> bool {
    let Some((scheme, credentials)) = text.split_once(' ') else { return false };
    let shortest = if scheme.eq_ignore_ascii_case("bearer") {
        16
    } else if scheme.eq_ignore_ascii_case("basic") {
        8
    } else {
        return false;
    };
    let is_token68 = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    credentials.len() >= shortest
        && credentials.bytes().all(is_token68)
        && credentials.bytes().any(|byte| byte.is_ascii_digit() || byte == b'=' || byte.is_ascii_uppercase())
}

/// Words of a key that say that a number is a payment card.
const CARD_WORDS: [&str; 5] = ["card", "cardnumber", "creditcard", "pan", "cc"];
/// Words of a key that say that a number is a telephone number.
const PHONE_WORDS: [&str; 5] = ["phone", "phonenumber", "telephone", "tel", "msisdn"];

fn has_word(key: &str, words: &[&str]) -> bool {
    key.split(['.', '_', '-']).any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)))
}

/// 13 to 19 digits of an issuer's range with a right checksum (ISO/IEC 7812; the ranges are those of
/// Visa, Mastercard, American Express, Discover, Diners Club, JCB and `UnionPay`). Without a key that says
/// so, they have to be grouped as on a card.
fn is_payment_card(text: &str, key_says_so: bool) -> bool {
    let mut digits = [0_u8; 19];
    let (mut count, mut separators) = (0, 0);
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' if count < digits.len() => {
                digits[count] = byte - b'0';
                count += 1;
            }
            // Groups have four to six digits.
            b' ' | b'-' if count >= 4 => separators += 1,
            _ => return false,
        }
    }
    let is_grouped = (2..=4).contains(&separators);
    (13..=19).contains(&count)
        && (key_says_so || is_grouped)
        && is_issued(&digits[..count])
        && has_luhn_checksum(&digits[..count])
}

fn is_issued(digits: &[u8]) -> bool {
    let start = digits[..4].iter().fold(0_u32, |number, digit| number * 10 + u32::from(*digit));
    match digits.len() {
        15 => matches!(start, 3400..=3499 | 3700..=3799),
        14 => matches!(start, 3000..=3059 | 3600..=3699 | 3800..=3999),
        13 => matches!(start, 4000..=4999),
        _ => matches!(
            start,
            4000..=4999 | 5100..=5599 | 2221..=2720 | 6011 | 6440..=6599 | 3528..=3589 | 6200..=6299
        ),
    }
}

/// The checksum of H. P. Luhn (ISO/IEC 7812-1, annex B).
fn has_luhn_checksum(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(*digit);
            if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// A number in the international form (E.164: at most 15 digits), or any under a key that says so.
fn is_phone_number(key: &str, text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let is_written_so = || {
        text.bytes()
            .skip(1)
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'-' | b'(' | b')' | b'.' | b'/'))
    };
    (8..=15).contains(&digits) && (text.starts_with('+') || has_word(key, &PHONE_WORDS)) && is_written_so()
}

/// The shortest JSON Web Token: three parts, two of them JSON objects.
const SHORTEST_JWT: usize = 40;

/// What may stand anywhere in a value.
fn of_inside(key: &str, text: &str) -> Option<Shape> {
    let bytes = text.as_bytes();
    if bytes.len() >= SHORTEST_JWT && has_json_web_token(bytes) {
        return Some(Shape::JsonWebToken);
    }
    for at in memchr::memchr2_iter(b'@', b'%', bytes) {
        let width = match bytes[at] {
            b'@' => 1,
            // An address in a baggage header or a query is percent-encoded.
            _ if bytes[at..].starts_with(b"%40") => 3,
            _ => continue,
        };
        match user_info(bytes, at) {
            UserInfo::WithPassword => return Some(Shape::UrlCredentials),
            UserInfo::UserOnly => continue,
            UserInfo::None => {}
        }
        if is_email_address(bytes, at, at + width) && !is_address_of_a_machine(key) {
            return Some(Shape::EmailAddress);
        }
    }
    None
}

/// Three parts in base64url, divided by dots; the first two are JSON objects, so they begin with
/// `{"`, which is `eyJ` (RFC 7519).
fn has_json_web_token(bytes: &[u8]) -> bool {
    let mut from = 0;
    while let Some(found) = memchr::memmem::find(&bytes[from..], b"eyJ") {
        let start = from + found;
        let part = |start: usize| {
            let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
            start + bytes[start..].iter().take_while(|byte| is_base64url(byte)).count()
        };
        let header = part(start);
        if !bytes[header..].starts_with(b".eyJ") {
            from = header;
            continue;
        }
        let payload = part(header + 1);
        if bytes.get(payload) == Some(&b'.') && part(payload + 1) - payload > 16 {
            return true;
        }
        from = payload;
    }
    false
}

/// What stands before an `@` in a URL.
enum UserInfo {
    None,
    UserOnly,
    WithPassword,
}

/// Longest user information that is looked for.
const LONGEST_USER_INFO: usize = 256;

fn user_info(bytes: &[u8], at: usize) -> UserInfo {
    let start = at.saturating_sub(LONGEST_USER_INFO);
    let before = &bytes[start..at];
    let Some(scheme) = memchr::memmem::rfind(before, b"://") else { return UserInfo::None };
    let info = &before[scheme + 3..];
    if info.iter().any(|byte| matches!(byte, b'/' | b'?' | b'#') || byte.is_ascii_whitespace()) {
        return UserInfo::None;
    }
    match info.iter().position(|byte| *byte == b':') {
        Some(colon) if colon + 1 < info.len() => UserInfo::WithPassword,
        _ => UserInfo::UserOnly,
    }
}

/// Longest local part and domain (RFC 5321, 4.5.3.1).
const LONGEST_LOCAL_PART: usize = 64;
const LONGEST_DOMAIN: usize = 255;

/// Whether an address surrounds the `@`, which ends before `domain_start`.
fn is_email_address(bytes: &[u8], at: usize, domain_start: usize) -> bool {
    let is_local = |byte: &&u8| byte.is_ascii_alphanumeric() || b"._+-%".contains(byte);
    let local = bytes[..at].iter().rev().take(LONGEST_LOCAL_PART).take_while(is_local).count();
    let local = &bytes[at - local..at];
    if !local.iter().any(u8::is_ascii_alphanumeric) {
        return false;
    }
    let is_domain = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'.' || **byte == b'-';
    let domain = bytes[domain_start..].iter().take(LONGEST_DOMAIN).take_while(is_domain).count();
    let after = bytes.get(domain_start + domain);
    let domain = bytes[domain_start..domain_start + domain].trim_ascii_end();
    let domain = domain.strip_suffix(b".").unwrap_or(domain);
    // The address of a repository, `git@host:path`.
    let is_repository = local == b"git" && after == Some(&b':');
    !is_repository && is_public_domain(domain)
}

/// Endings that are no public domain: reserved for local use (RFC 6762, ICANN's `internal`, RFC 8375's
/// parent), or files, as in `logo@2x.png`.
const NO_DOMAINS: [&str; 22] = [
    "local",
    "internal",
    "localhost",
    "localdomain",
    "lan",
    "arpa",
    "png",
    "jpg",
    "jpeg",
    "gif",
    "svg",
    "webp",
    "ico",
    "js",
    "mjs",
    "cjs",
    "css",
    "json",
    "html",
    "map",
    "tgz",
    "zip",
];

fn is_public_domain(domain: &[u8]) -> bool {
    let Some(dot) = memchr::memrchr(b'.', domain) else { return false };
    let (name, ending) = (&domain[..dot], &domain[dot + 1..]);
    (2..=24).contains(&ending.len())
        && ending.iter().all(u8::is_ascii_alphabetic)
        && name.first().is_some_and(u8::is_ascii_alphanumeric)
        && name.last().is_some_and(u8::is_ascii_alphanumeric)
        && !NO_DOMAINS.iter().any(|other| ending.eq_ignore_ascii_case(other.as_bytes()))
}

/// Keys whose values are written like addresses and name machines and messages: `rabbit@host.net`,
/// a `Message-ID`.
fn is_address_of_a_machine(key: &str) -> bool {
    const MACHINES: [&str; 8] =
        ["host.", "server.", "process.", "service.instance.", "messaging.", "network.", "net.", "k8s."];
    MACHINES.iter().any(|start| key.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";

    #[test]
    fn each_shape_is_known() {
        let jwt_in_a_url = format!("https://shop.net/?t={JWT}");
        for (key, text, shape) in [
            ("user.email", "jane.doe+shop@example.com", Shape::EmailAddress),
            (
                "db.query.text",
                "SELECT * FROM users WHERE mail = 'jane@mail.example.org'",
                Shape::EmailAddress,
            ),
            ("http.request.header.baggage", "user.email=jane%40example.com", Shape::EmailAddress),
            ("", "shop=jane@example.com", Shape::EmailAddress),
            ("user.phone", "0170 1234567", Shape::PhoneNumber),
            ("contact", "+49 (170) 123-4567", Shape::PhoneNumber),
            ("order.note", "4111 1111 1111 1111", Shape::PaymentCard),
            ("payment.card.number", "378282246310005", Shape::PaymentCard),
            ("http.request.header.authorization", "Digest username=\"x\"", Shape::Authorization),
            ("note", "Bearer 8f3a9c1e77b2d4f60a", Shape::Authorization),
            ("http.request.header.cookie", "session=abc123", Shape::Cookie),
            ("http.response.header.set-cookie", "id=7; HttpOnly", Shape::Cookie),
            ("x", JWT, Shape::JsonWebToken),
            ("url.full", &jwt_in_a_url, Shape::JsonWebToken),
            ("x", "ghp_0123456789abcdefghijABCDEFGHIJ012345", Shape::Token),
            ("http.request.header.x-api-key", "8f3a9c1e77b2d4f60a", Shape::Token),
            ("db.connection_string", "postgres://app:hunter2@db.shop.net/shop", Shape::UrlCredentials),
        ] {
            assert_eq!(shape_of_text(key, text), Some(shape), "{key}");
        }
    }

    #[test]
    fn what_looks_alike_is_silent() {
        for (key, text) in [
            ("user.email", "j***@example.com"),
            ("user.email", "[REDACTED]"),
            ("http.request.header.authorization", "REDACTED"),
            ("http.request.header.authorization", "Bearer ***"),
            ("http.request.header.cookie", "session=[Filtered]"),
            ("url.full", "https://REDACTED:REDACTED@shop.net/"),
            ("url.full", "https://shop.net/img/logo@2x.png"),
            ("url.path", "/npm/react@18.2.0/umd/react.js"),
            ("url.path", "/@jane.doe/posts"),
            ("hook.name", "fastify -> @fastify/otel - route-handler"),
            ("vcs.repository", "git@github.com:shop/web.git"),
            ("vcs.repository", "ssh://git@github.com/shop/web.git"),
            ("service.instance.id", "rabbit@node-7.shop.net"),
            ("messaging.message.id", "7f3a@mail.shop.net"),
            ("container.image", "shop/web@sha256:9c1e77b2"),
            ("node", "rabbit@node-7.internal"),
            ("order.id", "4111111111111111"),
            ("order.id", "1772443800000000"),
            ("card.number", "4111111111111112"),
            ("time", "2026-03-02 09:30:00.000"),
            ("aws.auth.authorization", "AWS_IAM"),
            ("http.request.header.authorization", "required"),
            ("auth.basic", "basic authentication failed"),
            ("gen_ai.token", "access_token_expired_at"),
            ("id_token", "access_denied_by_policy"),
            ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
            ("", "fw529a3039@dt=FfhQAQQCB7vnY"),
            ("percent", "100%4000"),
        ] {
            assert_eq!(shape_of_text(key, text), None, "{key}={text}");
        }
    }

    #[test]
    fn hostile_texts_take_linear_time() {
        for part in ["@", "://a:@", "eyJ", "eyJ.", "%40", "a@"] {
            let text = part.repeat(200_000);
            let _ = shape_of_text("key", &text);
        }
    }

    #[test]
    fn the_checksum_is_that_of_luhn() {
        assert!(has_luhn_checksum(&[7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 3]));
        assert!(!has_luhn_checksum(&[7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 4]));
    }

    #[test]
    fn every_part_of_a_span_is_looked_at() {
        let mail = || vec![Attribute { key: "mail".into(), value: Value::String("a@example.com".into()) }];
        let span = Span {
            attributes: mail(),
            events: vec![super::super::span::Event { attributes: mail(), ..Default::default() }],
            links: vec![super::super::span::Link { attributes: mail(), ..Default::default() }],
            trace_state: Some("shop=a@example.com".into()),
            ..Span::default()
        };
        let holders: Vec<Holder> = in_span(&span).map(|found| found.holder).collect();
        assert_eq!(holders, [Holder::Span, Holder::Event, Holder::Link, Holder::TraceState]);
    }
}
