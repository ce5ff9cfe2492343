//! Normalisation of operation names: numbers, hex, UUIDs, e-mail addresses and hosts become
//! placeholders, so that one route is one name. Version 1; the version is the prefix of every
//! fingerprint, and any change of this file's results needs a new one.

use std::borrow::Cow;

/// Version of the normalisation, the prefix of fingerprints.
pub const VERSION: &str = "v1";

/// Replaces the varying parts of a name. A part is a run of letters, digits and `._-@%:`:
/// - an address with `@` becomes `{email}`;
/// - a UUID becomes `{uuid}`;
/// - a number of any length, or a part that is mostly digits, becomes `{n}`;
/// - 8 or more hex digits with at least one decimal digit become `{hex}`;
/// - `host:port` and IPv4 addresses become `{host}`.
pub fn normalise(name: &str) -> Cow<'_, str> {
    if !name.bytes().any(|byte| byte.is_ascii_digit() || byte == b'@') {
        return Cow::Borrowed(name);
    }
    let mut result = String::with_capacity(name.len());
    let mut rest = name;
    while !rest.is_empty() {
        let end = rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        if end == 0 {
            let next = rest.chars().next().map_or(1, char::len_utf8);
            result.push_str(&rest[..next]);
            rest = &rest[next..];
            continue;
        }
        push_part(&mut result, &rest[..end]);
        rest = &rest[end..];
    }
    Cow::Owned(result)
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@' | b'%' | b':')
}

fn push_part(result: &mut String, part: &str) {
    let Some(first) = part.bytes().position(|byte| byte.is_ascii_digit() || byte == b'@') else {
        result.push_str(part);
        return;
    };
    if is_email(part) {
        result.push_str("{email}");
    } else if is_uuid(part) {
        result.push_str("{uuid}");
    } else if is_host(part) {
        result.push_str("{host}");
    } else if is_hex_id(part) {
        result.push_str("{hex}");
    } else if part.len() >= 16 && digits(part) * 3 >= part.len() {
        // A long part of which a third is digits is an opaque key, not a word.
        result.push_str("{id}");
    } else {
        push_numbers(result, part, first);
    }
}

/// Digits at the end of a word (`v2`, `http2`, `s3`) are part of the word when there are at most
/// two; longer runs of digits, and those that stand alone, vary.
fn push_numbers(result: &mut String, part: &str, first: usize) {
    result.push_str(&part[..first]);
    let mut rest = &part[first..];
    let mut after_letter = first > 0 && part[..first].ends_with(|c: char| c.is_ascii_alphabetic());
    while let Some(c) = rest.chars().next() {
        let run = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if run == 0 {
            result.push(c);
            after_letter = c.is_ascii_alphabetic();
            rest = &rest[c.len_utf8()..];
            continue;
        }
        if after_letter && run <= 2 {
            result.push_str(&rest[..run]);
        } else {
            result.push_str("{n}");
        }
        rest = &rest[run..];
        after_letter = false;
    }
}

fn digits(part: &str) -> usize {
    part.bytes().filter(u8::is_ascii_digit).count()
}

fn is_email(part: &str) -> bool {
    part.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
}

fn is_uuid(part: &str) -> bool {
    part.len() == 36
        && part.bytes().enumerate().all(|(index, byte)| {
            if matches!(index, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() }
        })
}

fn is_host(part: &str) -> bool {
    let (host, port) = part.split_once(':').unwrap_or((part, ""));
    let octets = host.split('.');
    let is_ipv4 = octets.clone().count() == 4 && octets.clone().all(|octet| octet.parse::<u8>().is_ok());
    let has_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    is_ipv4 || (has_port && host.contains(|c: char| c.is_ascii_alphabetic()))
}

fn is_hex_id(part: &str) -> bool {
    part.len() >= 8
        && part.bytes().all(|byte| byte.is_ascii_hexdigit())
        && part.bytes().any(|byte| byte.is_ascii_digit())
        && part.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn replaces_what_varies_and_keeps_words() {
        for (name, expected) in [
            ("GET /orders/:id", "GET /orders/:id"),
            ("GET /orders/1842", "GET /orders/{n}"),
            ("GET /v1/users/42/cart", "GET /v1/users/{n}/cart"),
            ("GET /u/3fa85f64-5717-4562-b3fc-2c963f66afa6", "GET /u/{uuid}"),
            ("lock 9f86d081884c7d65", "lock {hex}"),
            ("mail ada@example.org", "mail {email}"),
            ("dial 10.1.2.3:443", "dial {host}"),
            ("dial db-1.internal:5432", "dial {host}"),
            ("s3 PutObject", "s3 PutObject"),
            ("job-20240131", "job-{n}"),
            ("naïve /7", "naïve /{n}"),
        ] {
            assert_eq!(normalise(name), expected, "{name}");
        }
    }
}
