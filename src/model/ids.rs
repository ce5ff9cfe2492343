//! Trace and span ids, and the one reader that turns the text of any format into them.
//!
//! Hex is case-insensitive and may lack leading zeros (legacy Jaeger storage, Tempo's search);
//! base64 of 8 or 16 bytes stands in protobuf-as-JSON exports (Tempo, old Grafana downloads).
//! Hex wins over base64, so 16 and 32 hex digits are never read as base64.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::capability::Repair;

/// A trace id, 128 bits. A 64-bit id has 64 zero bits in front.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TraceId(pub u128);

/// A span id, 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SpanId(pub u64);

impl TraceId {
    /// The low 64 bits: all that a 64-bit propagator keeps of the id.
    pub const fn low64(self) -> u64 {
        self.0 as u64
    }

    /// The high 64 bits; zero when the id came from a 64-bit generator or was truncated.
    pub const fn high64(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the text of an id field turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdText<T> {
    /// A usable id, and what had to be done to read it.
    Valid(T, Option<Repair>),
    /// Empty or all zero: no id was given.
    Absent,
    /// Neither hex nor base64 of the right size, nor one put in the other. The value is a hash of the text, so that equal
    /// texts stay equal and different ones stay apart.
    Invalid(T),
}

/// Reads the text of a trace id (hex of 1 to 32 digits, `0x` prefix, base64 of 8 or 16 bytes, or one of
/// these with one encoding too many).
pub fn read_trace_id(text: &[u8]) -> IdText<TraceId> {
    if let Some((high, low)) = text.split_first_chunk()
        && let Ok(low) = low.try_into()
        && let (Some(high), Some(low)) = (hex_lower(high), hex_lower(low))
    {
        return present(u128::from(high) << 64 | u128::from(low), None).map(TraceId);
    }
    read_id(text, 32).map_invalid(|| xxh3_128(text)).map(TraceId)
}

/// Reads the text of a span id (hex of 1 to 16 digits, `0x` prefix, base64 of 8 bytes).
pub fn read_span_id(text: &[u8]) -> IdText<SpanId> {
    if let Ok(digits) = text.try_into()
        && let Some(value) = hex_lower(digits)
    {
        return if value == 0 { IdText::Absent } else { IdText::Valid(SpanId(value), None) };
    }
    read_id(text, 16).map_invalid(|| u128::from(xxh3_64(text))).map(|value| SpanId(value as u64))
}

impl<T> IdText<T> {
    fn map<U>(self, convert: impl FnOnce(T) -> U) -> IdText<U> {
        match self {
            Self::Valid(value, repair) => IdText::Valid(convert(value), repair),
            Self::Absent => IdText::Absent,
            Self::Invalid(value) => IdText::Invalid(convert(value)),
        }
    }

    fn map_invalid(self, hash: impl FnOnce() -> T) -> Self {
        match self {
            Self::Invalid(_) => Self::Invalid(hash()),
            other => other,
        }
    }
}

fn present(value: u128, repair: Option<Repair>) -> IdText<u128> {
    if value == 0 { IdText::Absent } else { IdText::Valid(value, repair) }
}

/// `digits` is the full length of the id in hex digits.
fn read_id(text: &[u8], digits: usize) -> IdText<u128> {
    if text.is_empty() {
        return IdText::Absent;
    }
    let (hex, prefixed) = match text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")) {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    if (1..=digits).contains(&hex.len())
        && let Some(value) = hex_any_case(hex)
    {
        return present(value, hex_repair(hex, digits, prefixed));
    }
    if let Some(bytes) = base64_bytes(text)
        && (bytes.len() == 8 || bytes.len() * 2 == digits)
    {
        let value = bytes.iter().fold(0, |value, byte| value << 8 | u128::from(*byte));
        return present(value, Some(Repair::IdBase64));
    }
    encoded_twice(text, digits).map_or(IdText::Invalid(0), |value| present(value, Some(Repair::IdBase64)))
}

/// An id that went through one encoding too many: its hex digits were taken for bytes and put in
/// base64 (<https://github.com/open-telemetry/opentelemetry-swift/issues/537>), or were taken for base64
/// and decoded, as readers of protobuf's JSON do, and the bytes printed in hex.
fn encoded_twice(text: &[u8], digits: usize) -> Option<u128> {
    if let Some(inner) = base64_decoded(text, digits).filter(|inner| inner.len() == digits) {
        return hex_any_case(&inner);
    }
    if text.len() != digits / 2 * 3 {
        return None;
    }
    let pairs = text.chunks_exact(2).map(hex_any_case);
    let bytes: Option<Vec<u8>> = pairs.map(|pair| pair.map(|byte| byte as u8)).collect();
    hex_any_case(base64::engine::general_purpose::STANDARD.encode(bytes?).as_bytes())
}

fn hex_repair(hex: &[u8], digits: usize, prefixed: bool) -> Option<Repair> {
    if prefixed {
        return Some(Repair::IdPrefix);
    }
    // 16 digits are a 64-bit trace id, which is legal; any other short length lost its zeros.
    if hex.len() != digits && hex.len() != 16 {
        return Some(Repair::IdPadded);
    }
    hex.iter().any(u8::is_ascii_uppercase).then_some(Repair::IdUpperCase)
}

/// `None` when a character is not one of `0-9a-f`.
fn hex_lower(text: &[u8; 16]) -> Option<u64> {
    let mut value = 0;
    let mut seen = 0;
    for byte in text {
        let digit = LOWER_HEX[usize::from(*byte)];
        seen |= digit;
        value = value << 4 | u64::from(digit & 0xf);
    }
    (seen & NO_DIGIT == 0).then_some(value)
}

const NO_DIGIT: u8 = 0xf0;

/// Values of the characters `0-9a-f`.
static LOWER_HEX: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

fn hex_any_case(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0_u128, |value, byte| {
        let digit = char::from(*byte).to_digit(16)?;
        Some(value << 4 | u128::from(digit))
    })
}

/// Decodes standard or URL-safe base64, with or without padding, of at most 16 bytes.
pub fn base64_bytes(text: &[u8]) -> Option<Vec<u8>> {
    base64_decoded(text, 16)
}

/// The same of at most this many bytes.
fn base64_decoded(text: &[u8], most: usize) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);
    if text.len() > most.div_ceil(3) * 4 {
        return None;
    }
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(text: &str) -> IdText<TraceId> {
        read_trace_id(text.as_bytes())
    }

    #[test]
    fn reads_every_spelling_of_one_trace_id() {
        let id = TraceId(0x4f1c_2d3e_4a5b_6c7d_8e9f_0a1b_2c3d_4e5f);
        for (text, repair) in [
            ("4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f", None),
            ("4F1C2D3E4A5B6C7D8E9F0A1B2C3D4E5F", Some(Repair::IdUpperCase)),
            ("0x4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f", Some(Repair::IdPrefix)),
            ("TxwtPkpbbH2OnwobLD1OXw==", Some(Repair::IdBase64)),
            ("TxwtPkpbbH2OnwobLD1OXw", Some(Repair::IdBase64)),
        ] {
            assert_eq!(trace(text), IdText::Valid(id, repair), "{text}");
        }
    }

    #[test]
    fn undoes_one_encoding_too_many() {
        let expected =
            IdText::Valid(TraceId(0x4f1c_2d3e_4a5b_6c7d_8e9f_0a1b_2c3d_4e5f), Some(Repair::IdBase64));
        let hex = "4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f";
        let encoded = base64::engine::general_purpose::STANDARD.encode(hex);
        assert_eq!((encoded.len(), trace(&encoded)), (44, expected));
        let bytes = base64::engine::general_purpose::STANDARD.decode(hex).unwrap();
        let decoded: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((decoded.len(), trace(&decoded)), (48, expected));
        let span = IdText::Valid(SpanId(0xa1a1_a1a1_a1a1_a1a1), Some(Repair::IdBase64));
        assert_eq!(read_span_id(b"YTFhMWExYTFhMWExYTFhMQ=="), span);
        assert_eq!(trace(&"zz".repeat(24)), IdText::Invalid(TraceId(xxh3_128("zz".repeat(24).as_bytes()))));
    }

    #[test]
    fn pads_short_hex_on_the_left_and_prefers_hex_over_base64() {
        assert_eq!(trace("a2"), IdText::Valid(TraceId(0xa2), Some(Repair::IdPadded)));
        assert_eq!(trace("5a4d4df4a65aefaf"), IdText::Valid(TraceId(0x5a4d_4df4_a65a_efaf), None));
        // 11 characters could be base64 of 8 bytes; as hex they win.
        assert_eq!(
            read_span_id(b"abcdefabcde"),
            IdText::Valid(SpanId(0xabc_defa_bcde), Some(Repair::IdPadded))
        );
    }

    #[test]
    fn zeros_and_empty_text_are_absent() {
        for text in ["", "0", "00000000000000000000000000000000", "AAAAAAAAAAAAAAAAAAAAAA=="] {
            assert_eq!(trace(text), IdText::Absent, "{text}");
        }
    }

    #[test]
    fn other_text_is_invalid_and_stays_distinct() {
        let (IdText::Invalid(a), IdText::Invalid(b)) = (trace("span-1"), trace("span-2")) else {
            panic!("both are invalid");
        };
        assert_ne!(a, b);
        assert_eq!(trace("span-1"), IdText::Invalid(a));
    }
}
