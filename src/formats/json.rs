//! A pull reader over JSON text that borrows from it, shared by the JSON formats.
//!
//! It is strict about syntax and lenient about types: a syntax error ends the record, a value of an
//! unexpected type is skipped by the format that meets it. Control characters inside strings are
//! accepted, invalid UTF-8 is replaced and counted.

use std::borrow::Cow;

use memchr::memchr2;

use super::{Block, Limit, Limits, SpanSink};
use crate::model::{Attribute, Repair, Value};

/// Why a record could not be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonError {
    /// The text ends inside a value.
    Ended,
    /// Another character was expected here.
    Unexpected(&'static str),
    /// A bound was reached.
    Limit(Limit),
}

impl JsonError {
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Ended => "cut in the middle of a JSON value",
            Self::Unexpected(wanted) => wanted,
            Self::Limit(limit) => limit.as_str(),
        }
    }
}

pub(super) type Result<T> = std::result::Result<T, JsonError>;

/// A position in JSON text.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    /// The same as text, if all of it is UTF-8: then its strings need not be looked at one by one.
    text: Option<&'a str>,
    at: usize,
    depth: usize,
    limits: &'a Limits,
    /// Everything before this index has been handed to the sink.
    committed: usize,
    /// Strings in which U+FFFD had to stand in.
    repaired_strings: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], limits: &'a Limits) -> Self {
        let text = std::str::from_utf8(bytes).ok();
        Self { bytes, text, at: 0, depth: 0, limits, committed: 0, repaired_strings: 0 }
    }

    /// In the middle of a text of which only a small part is wanted.
    pub(super) fn at_index(bytes: &'a [u8], at: usize, limits: &'a Limits) -> Self {
        Self { bytes, text: None, at, depth: 0, limits, committed: 0, repaired_strings: 0 }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Whether a container is open around it.
    pub(super) const fn is_inside(&self) -> bool {
        self.depth > 0
    }

    fn seek(&mut self, at: usize) {
        self.at = at.min(self.bytes.len());
        self.depth = 0;
    }

    /// Marks what was read so far as delivered: after a syntax error it is not read again.
    pub(super) fn commit(&mut self) {
        self.committed = self.at;
    }

    /// Takes over what a copy of this cursor did that went back to what was skipped before. The first
    /// error counts, and this cursor stands where it was met: to skip a value is not to read it, so
    /// the copy may meet an error that was not met before.
    pub(super) fn absorb<T>(&mut self, other: &Self, so_far: Result<()>, outcome: Result<T>) -> Result<()> {
        self.repaired_strings += other.repaired_strings;
        self.committed = self.committed.max(other.committed);
        if so_far.is_ok() && outcome.is_err() {
            self.at = other.at;
        }
        so_far.and(outcome.map(drop))
    }

    /// The next character that is not white space, without taking it.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn expect(&mut self, byte: u8, wanted: &'static str) -> Result<()> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(JsonError::Unexpected(wanted)),
            None => Err(JsonError::Ended),
        }
    }

    fn enter(&mut self) -> Result<()> {
        self.at += 1;
        self.depth += 1;
        if self.depth > self.limits.max_depth {
            return Err(JsonError::Limit(Limit::Depth));
        }
        Ok(())
    }

    /// Reads an object; `member` gets each key with the cursor at the value, which it must take.
    /// Any other value is skipped; returns whether it was an object.
    pub(super) fn object(&mut self, mut member: impl FnMut(&mut Self, &str) -> Result<()>) -> Result<bool> {
        if self.peek() != Some(b'{') {
            self.skip()?;
            return Ok(false);
        }
        self.enter()?;
        if self.peek() == Some(b'}') {
            return self.leave();
        }
        loop {
            self.member(&mut member)?;
            if !self.member_follows()? {
                return Ok(true);
            }
        }
    }

    /// Like [`Self::object`] for an object that is here and of which the members up to this index,
    /// at least one, were read already.
    pub(super) fn object_behind(
        &mut self,
        at: usize,
        mut member: impl FnMut(&mut Self, &str) -> Result<()>,
    ) -> Result<()> {
        self.enter()?;
        self.at = at;
        while self.member_follows()? {
            self.member(&mut member)?;
        }
        Ok(())
    }

    fn member(&mut self, take: &mut impl FnMut(&mut Self, &str) -> Result<()>) -> Result<()> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("expected a member name in quotes"));
        }
        let key = self.string_here()?;
        self.expect(b':', "expected ':' after a member name")?;
        take(self, &key)
    }

    /// Takes what stands behind a member: a comma, or the end of the object.
    fn member_follows(&mut self) -> Result<bool> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(b'}') => self.leave().map(|_| false),
            _ => Err(self.unexpected("expected ',' or '}' in an object")),
        }
    }

    /// Reads an array; `item` gets the cursor at the first character of each value, which it must take.
    /// Any other value is skipped; returns whether it was an array.
    pub(super) fn array(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<bool> {
        if self.peek() != Some(b'[') {
            self.skip()?;
            return Ok(false);
        }
        self.enter()?;
        if self.peek() == Some(b']') {
            return self.leave();
        }
        loop {
            item(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => return self.leave(),
                _ => return Err(self.unexpected("expected ',' or ']' in an array")),
            }
            // Where an item stands is told by the cursor, and must not depend on what is before it.
            self.peek();
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "ends both container readers")]
    fn leave(&mut self) -> Result<bool> {
        self.at += 1;
        self.depth -= 1;
        Ok(true)
    }

    fn unexpected(&mut self, wanted: &'static str) -> JsonError {
        if self.peek().is_none() { JsonError::Ended } else { JsonError::Unexpected(wanted) }
    }

    /// Reads a string whose opening quote is here.
    fn string_here(&mut self) -> Result<Cow<'a, str>> {
        self.at += 1;
        let start = self.at;
        let (end, escaped) = self.string_end()?;
        self.at = end + 1;
        if end - start > self.limits.max_string {
            return Err(JsonError::Limit(Limit::String));
        }
        let raw = &self.bytes[start..end];
        if escaped {
            return self.unescape(raw).map(Cow::Owned);
        }
        match self.text.and_then(|text| text.get(start..end)) {
            Some(text) => Ok(Cow::Borrowed(text)),
            None => Ok(self.utf8(raw)),
        }
    }

    /// Index of the closing quote, and whether there are escapes before it.
    fn string_end(&self) -> Result<(usize, bool)> {
        let mut at = self.at;
        let mut escaped = false;
        loop {
            at = quote_or_backslash(self.bytes, at).ok_or(JsonError::Ended)?;
            if self.bytes[at] == b'"' {
                return Ok((at, escaped));
            }
            escaped = true;
            at += 2;
        }
    }

    fn utf8(&mut self, raw: &'a [u8]) -> Cow<'a, str> {
        if let Ok(text) = std::str::from_utf8(raw) {
            return Cow::Borrowed(text);
        }
        self.repaired_strings += 1;
        String::from_utf8_lossy(raw)
    }

    #[cold]
    fn unescape(&mut self, raw: &'a [u8]) -> Result<String> {
        let mut text = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(backslash) = memchr::memchr(b'\\', rest) {
            text.push_str(&self.utf8(&rest[..backslash]));
            let Some(escape) = rest.get(backslash + 1) else {
                return Err(JsonError::Ended);
            };
            rest = &rest[backslash + 2..];
            match escape {
                b'"' | b'\\' | b'/' => text.push(char::from(*escape)),
                b'b' => text.push('\u{8}'),
                b'f' => text.push('\u{c}'),
                b'n' => text.push('\n'),
                b'r' => text.push('\r'),
                b't' => text.push('\t'),
                b'u' => rest = self.unescape_unicode(rest, &mut text)?,
                _ => return Err(JsonError::Unexpected("unknown escape in a string")),
            }
        }
        text.push_str(&self.utf8(rest));
        Ok(text)
    }

    /// Reads what follows `\u`, including the second half of a surrogate pair.
    fn unescape_unicode(&mut self, rest: &'a [u8], text: &mut String) -> Result<&'a [u8]> {
        let (unit, rest) = utf16_unit(rest)?;
        if !(0xd800..0xe000).contains(&unit) {
            text.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
            return Ok(rest);
        }
        if unit < 0xdc00
            && let Some(low) = rest.strip_prefix(b"\\u")
            && let Ok((second, after)) = utf16_unit(low)
            && (0xdc00..0xe000).contains(&second)
        {
            let point = 0x1_0000 + ((unit - 0xd800) << 10) + (second - 0xdc00);
            text.push(char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER));
            return Ok(after);
        }
        self.repaired_strings += 1;
        text.push(char::REPLACEMENT_CHARACTER);
        Ok(rest)
    }

    /// A string or a number as text, as exporters write ids and 64-bit numbers; `None` for any
    /// other value, which is skipped.
    pub(super) fn text(&mut self) -> Result<Option<Cow<'a, str>>> {
        match self.peek() {
            Some(b'"') => self.string_here().map(Some),
            Some(b'-' | b'0'..=b'9') => self.number().map(|number| Some(Cow::Borrowed(number))),
            _ => self.skip().map(|()| None),
        }
    }

    /// Like [`Self::text`], but only strings count.
    pub(super) fn string_or_skip(&mut self) -> Result<Option<Cow<'a, str>>> {
        if self.peek() == Some(b'"') { self.string_here().map(Some) } else { self.skip().map(|()| None) }
    }

    /// An unsigned number in digits or in a string; `None` for anything else.
    pub(super) fn unsigned(&mut self) -> Result<Option<u64>> {
        Ok(self.text()?.and_then(|text| text.parse().ok()))
    }

    /// `true` or `false`, or the same in a string; `None` for anything else.
    pub(super) fn boolean(&mut self) -> Result<Option<bool>> {
        Ok(match self.plain_value()? {
            Value::Bool(flag) => Some(flag),
            Value::String(text) => text.parse().ok(),
            _ => None,
        })
    }

    fn number(&mut self) -> Result<&'a str> {
        const NEGATIVE_INFINITY: &str = "-Infinity";
        let rest = &self.bytes[self.at..];
        if rest.starts_with(NEGATIVE_INFINITY.as_bytes()) {
            self.at += NEGATIVE_INFINITY.len();
            return Ok(NEGATIVE_INFINITY);
        }
        let end = rest
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .unwrap_or(rest.len());
        self.at += end;
        std::str::from_utf8(&rest[..end]).map_err(|_| JsonError::Unexpected("expected a number"))
    }

    /// Takes `true`, `false` or `null`, or a number that JSON has no word for: Python writes it so.
    fn literal(&mut self) -> Result<Value<'a>> {
        for (word, value) in [
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("null", Value::Empty),
            ("NaN", Value::Double(f64::NAN)),
            ("Infinity", Value::Double(f64::INFINITY)),
        ] {
            let rest = &self.bytes[self.at..];
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
            if word.as_bytes().starts_with(rest) {
                return Err(JsonError::Ended);
            }
        }
        Err(JsonError::Unexpected("expected a JSON value"))
    }

    /// Any JSON value as an attribute value: integers stay integers, objects become maps.
    pub(super) fn plain_value(&mut self) -> Result<Value<'a>> {
        match self.peek() {
            Some(b'"') => self.string_here().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(number_value),
            Some(b'[') => {
                let mut items = Vec::new();
                self.array(|cursor| cursor.plain_value().map(|value| items.push(value)))?;
                Ok(Value::Array(items))
            }
            Some(b'{') => {
                let mut members = Vec::new();
                self.plain_members(&mut members)?;
                Ok(Value::Map(members))
            }
            Some(_) => self.literal(),
            None => Err(JsonError::Ended),
        }
    }

    /// Takes `{"key":"…","value":{"stringValue":"…"}}` and the same with an integer or a boolean,
    /// spelled as exporters do: most of the bytes of most files. Takes nothing of anything else.
    pub(super) fn usual_attribute(&mut self) -> Option<Attribute<'a>> {
        if self.depth + 2 > self.limits.max_depth {
            return None;
        }
        let at = self.literal_at(self.at, b"{\"key\":\"")?;
        let (key, at) = self.usual_string(at)?;
        let at = self.literal_at(at, b",\"value\":{\"")?;
        let (value, at) = self.usual_value(at)?;
        self.at = self.literal_at(at, b"}}")?;
        Some(Attribute { key: Cow::Borrowed(key), value })
    }

    /// The value of an attribute from within the quotes of its type on, and where it ends.
    fn usual_value(&self, at: usize) -> Option<(Value<'a>, usize)> {
        if let Some(at) = self.literal_at(at, b"stringValue\":\"") {
            let (text, at) = self.usual_string(at)?;
            return Some((Value::String(Cow::Borrowed(text)), at));
        }
        if let Some(at) = self.literal_at(at, b"intValue\":\"") {
            let (text, at) = self.usual_string(at)?;
            return Some((Value::Int(text.parse().ok()?), at));
        }
        let at = self.literal_at(at, b"boolValue\":")?;
        if let Some(at) = self.literal_at(at, b"true") {
            return Some((Value::Bool(true), at));
        }
        Some((Value::Bool(false), self.literal_at(at, b"false")?))
    }

    /// A string from behind its opening quote on, and the index behind its closing one.
    fn usual_string(&self, at: usize) -> Option<(&'a str, usize)> {
        let end = quote_or_backslash(self.bytes, at)?;
        if self.bytes[end] == b'\\' || end - at > self.limits.max_string {
            return None;
        }
        Some((self.text?.get(at..end)?, end + 1))
    }

    /// As many bytes as wanted, and the index behind them.
    pub(super) fn chunk_at<const LEN: usize>(&self, at: usize) -> Option<(&'a [u8; LEN], usize)> {
        Some((self.bytes.get(at..)?.first_chunk()?, at + LEN))
    }

    /// The index behind this text, if it stands here.
    pub(super) fn literal_at<const LEN: usize>(&self, at: usize, literal: &[u8; LEN]) -> Option<usize> {
        (self.bytes.get(at..)?.first_chunk() == Some(literal)).then_some(at + LEN)
    }

    /// The members of an object as attributes.
    pub(super) fn plain_members(&mut self, into: &mut Vec<Attribute<'a>>) -> Result<()> {
        self.object(|cursor, key| {
            let key = Cow::Owned(key.to_owned());
            let value = cursor.plain_value()?;
            into.push(Attribute { key, value });
            Ok(())
        })?;
        Ok(())
    }

    /// Takes any value without looking at what it holds. Does not recurse.
    pub(super) fn skip(&mut self) -> Result<()> {
        let mut open: Vec<u8> = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => self.skip_string()?,
                Some(bracket @ (b'{' | b'[')) => {
                    self.at += 1;
                    let closer = bracket + 2;
                    if self.depth + open.len() >= self.limits.max_depth {
                        return Err(JsonError::Limit(Limit::Depth));
                    }
                    if self.peek() != Some(closer) {
                        open.push(closer);
                        self.skip_key(closer)?;
                        continue;
                    }
                    self.at += 1;
                }
                Some(b'-' | b'0'..=b'9') => drop(self.number()?),
                Some(_) => drop(self.literal()?),
                None => return Err(JsonError::Ended),
            }
            if !self.skip_to_next(&mut open)? {
                return Ok(());
            }
        }
    }

    fn skip_string(&mut self) -> Result<()> {
        self.at += 1;
        let (end, _) = self.string_end()?;
        if end - self.at > self.limits.max_string {
            return Err(JsonError::Limit(Limit::String));
        }
        self.at = end + 1;
        Ok(())
    }

    /// Takes a member name, if what is open is an object.
    fn skip_key(&mut self, closer: u8) -> Result<()> {
        if closer != b'}' {
            return Ok(());
        }
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("expected a member name in quotes"));
        }
        self.skip_string()?;
        self.expect(b':', "expected ':' after a member name")
    }

    /// Takes what stands behind a value up to the next one; `false` when nothing is open any more.
    fn skip_to_next(&mut self, open: &mut Vec<u8>) -> Result<bool> {
        while let Some(closer) = open.last().copied() {
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    return self.skip_key(closer).map(|()| true);
                }
                Some(byte) if byte == closer => {
                    self.at += 1;
                    open.pop();
                }
                _ => return Err(self.unexpected("expected ',' or a closing bracket")),
            }
        }
        Ok(false)
    }
}

/// The next quote or backslash. Most strings are so short that a call for each costs more than it
/// saves.
#[inline]
fn quote_or_backslash(bytes: &[u8], mut at: usize) -> Option<usize> {
    const WORDS: usize = 4;
    for _ in 0..WORDS {
        let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) else { break };
        let word = u64::from_le_bytes(*word);
        let found = zero_bytes(word ^ u64::from_ne_bytes([b'"'; 8]))
            | zero_bytes(word ^ u64::from_ne_bytes([b'\\'; 8]));
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    memchr2(b'"', b'\\', bytes.get(at..)?).map(|found| at + found)
}

/// The top bit of each byte that is zero. Bits above the lowest one may be wrong.
/// Source: S. E. Anderson, Bit Twiddling Hacks, "Determine if a word has a zero byte".
const fn zero_bytes(word: u64) -> u64 {
    const LOW: u64 = u64::MAX / 255;
    word.wrapping_sub(LOW) & !word & LOW << 7
}

fn utf16_unit(text: &[u8]) -> Result<(u32, &[u8])> {
    let Some((digits, rest)) = text.split_first_chunk::<4>() else {
        return Err(JsonError::Ended);
    };
    let unit = digits.iter().try_fold(0_u32, |unit, byte| Some(unit << 4 | char::from(*byte).to_digit(16)?));
    unit.map(|unit| (unit, rest)).ok_or(JsonError::Unexpected("expected four hex digits after \\u"))
}

/// A number as an integer where it is one.
pub(super) fn number_value(text: &str) -> Value<'_> {
    if let Ok(number) = text.parse::<i64>() {
        return Value::Int(number);
    }
    text.parse::<f64>().map_or(Value::Empty, Value::Double)
}

/// Nanoseconds since the epoch from a number in `unit_ns`. Zero, negative and absurd values are no
/// times.
pub(super) fn time_ns(text: &str, unit_ns: i64) -> Option<i64> {
    signed_ns(text, unit_ns).filter(|ns| *ns > 0)
}

/// Nanoseconds from a number in `unit_ns`, given as integer or floating-point text.
pub(super) fn signed_ns(text: &str, unit_ns: i64) -> Option<i64> {
    if let Some(number) = plain_digits(text).or_else(|| text.parse().ok()) {
        return number.checked_mul(unit_ns);
    }
    let number = text.parse::<f64>().ok()? * unit_ns as f64;
    (number.is_finite() && number.abs() <= 9.2e18).then_some(number as i64)
}

/// A number without a sign, of so few digits that it cannot overflow: what most times are.
fn plain_digits(text: &str) -> Option<i64> {
    const SAFE_DIGITS: usize = 19;
    if text.is_empty() || text.len() > SAFE_DIGITS {
        return None;
    }
    let mut number = 0_u64;
    for byte in text.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    i64::try_from(number).ok()
}

/// What to keep of a malformed time or duration in another unit than ns: the unit is added to a
/// number, so that nobody takes it for ns later.
pub(super) fn time_with_unit<'a>(text: Option<Cow<'a, str>>, unit: &str) -> Cow<'a, str> {
    let text = text.unwrap_or_default();
    if text.parse::<f64>().is_ok() { Cow::Owned(format!("{text} {unit}")) } else { text }
}

/// Reads the concatenated JSON values of a block one by one. After a syntax error reading goes on
/// at the next line that begins a value; what lies between is an unreadable stretch.
pub(super) fn each_value<'a>(
    block: &'a Block,
    limits: &'a Limits,
    sink: &mut dyn SpanSink,
    mut value: impl FnMut(&mut Cursor<'a>, &mut dyn SpanSink) -> Result<()>,
) {
    for _ in 0..block.undone {
        sink.repaired(Repair::LogPrefix);
    }
    let mut cursor = Cursor::new(&block.bytes, limits);
    let mut resynced = false;
    // Only the beginning of a line may be of a log: to look at the line again behind each of its
    // values would take a time that grows with the square of their number.
    let mut looked_at = 0;
    while let Some(byte) = cursor.peek() {
        // NUL bytes stand in logs that were truncated while open; a comma or a record separator
        // may stand between values. After a damaged stretch its closing brackets are left over.
        if matches!(byte, 0 | 0x1e | b',') || (resynced && matches!(byte, b']' | b'}')) {
            cursor.at += 1;
            continue;
        }
        if cursor.bytes[cursor.at..].starts_with(b"\xef\xbb\xbf") {
            cursor.at += 3;
            continue;
        }
        let mut line = if cursor.at < looked_at { &[] } else { first_line(&cursor.bytes[cursor.at..]) };
        looked_at = looked_at.max(cursor.at + line.len());
        if let Some(prefix) = log_prefix(line)
            && is_object_line(&line[prefix..], limits)
        {
            cursor.at += prefix;
            line = &line[prefix..];
            sink.repaired(Repair::LogPrefix);
        }
        let start = cursor.at;
        let error = if is_log_line(line, limits) {
            JsonError::Unexpected("expected a JSON object or array")
        } else {
            match value(&mut cursor, sink) {
                Ok(()) => continue,
                Err(error) => error,
            }
        };
        if let JsonError::Limit(limit) = error {
            sink.limit(block.position(cursor.at), limit);
            break;
        }
        let start = start.max(cursor.committed);
        // Lines of what is repeated before the own bytes belong to the block that they were copied from.
        let end = resync(&block.bytes, start.max(block.replayed), cursor.at);
        sink.unreadable(block.position(start), block.position(end) - block.position(start), error.reason());
        cursor.seek(end);
        resynced = true;
    }
    for _ in 0..cursor.repaired_strings {
        sink.repaired(Repair::InvalidUtf8);
    }
}

/// Length of the text that a log (`docker logs`, Kubernetes) put before the JSON object in this line.
/// A line inside a document that is printed over several lines begins like one with a key.
pub(super) fn log_prefix(text: &[u8]) -> Option<usize> {
    let line = first_line(text);
    let brace = memchr::memchr(b'{', line).filter(|_| !begins_json(line))?;
    (!line[..brace].trim_ascii_end().ends_with(b"\":")).then_some(brace)
}

/// Whether the rest of this line is a JSON object, so that what stands before it is none of it.
pub(super) fn is_object_line(text: &[u8], limits: &Limits) -> bool {
    let mut cursor = Cursor::new(first_line(text), limits);
    cursor.peek() == Some(b'{')
        && match cursor.plain_value() {
            Ok(_) => cursor.peek().is_none(),
            // It is named when the object is read.
            Err(error) => matches!(error, JsonError::Limit(_)),
        }
}

/// Whether this line begins with a time or level in brackets, which must not pass for an array.
fn is_log_line(text: &[u8], limits: &Limits) -> bool {
    let line = first_line(text);
    let is_candidate = line.starts_with(b"[") && !begins_json(line) && line.contains(&b']');
    is_candidate && Cursor::new(line, limits).plain_value().is_err()
}

fn begins_json(line: &[u8]) -> bool {
    match line.trim_ascii_start() {
        [b'{' | b'"', ..] | [] => true,
        [b'[', rest @ ..] => matches!(rest.trim_ascii_start(), [b'{' | b'[' | b']' | b'"', ..] | []),
        _ => false,
    }
}

fn first_line(text: &[u8]) -> &[u8] {
    &text[..memchr::memchr(b'\n', text).unwrap_or(text.len())]
}

/// Where the next value may begin after a syntax error at `failed`: a line that starts with a
/// bracket in its first column. A cut value may have swallowed the lines behind it, so the search
/// begins at `start`, behind the last span that was delivered.
fn resync(bytes: &[u8], start: usize, failed: usize) -> usize {
    let mut at = start;
    while let Some(newline) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
        at += newline + 1;
        let begins_value = matches!(bytes.get(at), Some(b'{' | b'['));
        if begins_value || (at > failed && bytes.get(at).is_none_or(|byte| *byte != b' ')) {
            return at;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::super::whole::testing::{Told, decode, decode_block, decode_within};
    use super::super::{Format, by_name};
    use super::*;

    fn format(name: &str) -> &'static dyn Format {
        by_name(name).unwrap()
    }

    fn otlp(text: &str) -> Told {
        decode(format("otlp-json"), text)
    }

    #[test]
    fn what_is_skipped_has_to_be_json() {
        for sound in ["[]", "{}", r#"{"b":[1,{"c":[]},"]"],"d":{}}"#, r#"[true,null,-1.5e3,"\""]"#] {
            let told = otlp(&format!(r#"{{"a":{sound},"resourceSpans":[]}}"#));
            assert!(told.unreadable.is_empty(), "{sound}: {told:?}");
        }
        for damaged in ["[1 2]", "[1,]", r#"{"b" 1}"#, r#"{"b":1,}"#, "{[{}]}", r#"{"b":1]"#, "[{}\n{}]"] {
            let told = otlp(&format!(r#"{{"a":{damaged},"resourceSpans":[]}}"#));
            assert!(!told.unreadable.is_empty(), "{damaged}: {told:?}");
        }
    }

    #[test]
    fn an_error_in_spans_before_their_sender_is_told() {
        let spans = r#"[{"traceId":"1","name":"whole"},{"name":"\q"},{"name":"third"}]"#;
        for (name, text) in [
            ("otlp-json", format!(r#"{{"scopeSpans":[{{"scope":{{}},"spans":{spans}}}],"resource":{{}}}}"#)),
            ("otlp-json", format!(r#"{{"resource":{{}},"scopeSpans":[{{"spans":{spans},"scope":{{}}}}]}}"#)),
            (
                "jaeger-json",
                format!(r#"{{"spans":{},"processes":{{}}}}"#, spans.replace("name", "operationName")),
            ),
        ] {
            let told = decode(format(name), text.as_str());
            assert_eq!(told.spans().len(), 1, "{name}");
            let (position, bytes, reason) = &told.unreadable[0];
            assert_eq!(reason, "unknown escape in a string", "{name}");
            let behind_first = text.find("whole").unwrap() + "whole\"}".len();
            assert_eq!((*position, position + bytes), (behind_first as u64, text.len() as u64), "{name}");
        }
    }

    #[test]
    fn items_begin_at_their_first_character() {
        let text = r#"[ {"traceId":"1","spanId":"2","startTimeUnixNano":"3"},
            {"traceId":"1","spanId":"4","startTimeUnixNano":"5"} ]"#;
        let braces: Vec<u64> = text.match_indices('{').map(|(at, _)| at as u64).collect();
        let told = otlp(text);
        let positions: Vec<u64> = told.spans().iter().map(|span| span.position).collect();
        assert_eq!(positions, braces);
    }

    #[test]
    fn many_values_in_one_line_take_linear_time() {
        let told = otlp(&"{}".repeat(200_000));
        assert!(told.unreadable.is_empty() && told.spans().is_empty());
    }

    #[test]
    fn a_bound_behind_the_prefix_of_a_log_is_named() {
        let limits = Limits { max_string: 16, ..Limits::default() };
        let text = format!("2026-01-01 {{\"x\":\"{}\"}}\n", "a".repeat(17));
        let told = decode_within(format("otlp-json"), text, &limits);
        assert_eq!(
            (told.limits.as_slice(), told.unreadable.as_slice()),
            ([Limit::String].as_slice(), &[][..])
        );
    }

    #[test]
    fn brackets_that_close_a_block_are_no_bytes_of_the_input() {
        let bytes = br#"{"resourceSpans":[{"resource":{},"scopeSpans":[@]}]}"#.to_vec();
        let block = Block { bytes, offset: 100, closing: 4, ..Block::default() };
        let told = decode_block(format("otlp-json"), &block, &Limits::default());
        let [(position, bytes, _)] = &told.unreadable[..] else { panic!("{told:?}") };
        assert_eq!(position + bytes, block.end());
    }

    #[test]
    fn after_damage_nothing_is_read_of_what_a_block_repeats() {
        let repeated = r#"{"resource":nul,"scopeSpans":[{"scope":
{"name":"http"},"spans":["#;
        let bytes = format!("{repeated}\n{{\"spanId\":\"00000000000000a1\"}}]}}]}}").into_bytes();
        let block = Block { bytes, offset: 100, replayed: repeated.len(), closing: 4, ..Block::default() };
        let told = decode_block(format("otlp-json"), &block, &Limits::default());
        let [span] = told.spans()[..] else { panic!("{told:?}") };
        assert_eq!((span.position, span.span_id.to_string().as_str()), (101, "00000000000000a1"));
        assert_eq!(told.unreadable[0].0, 100, "{told:?}");
    }
}
