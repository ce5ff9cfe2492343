//! Times as text. All arithmetic is on integer nanoseconds; this is the only file that knows `chrono`.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat};

/// RFC 3339 in UTC with 9 decimals, for ns since the Unix epoch.
pub fn rfc3339(ns: i64) -> String {
    DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// `HH:MM:SS.mmm` in UTC.
pub fn clock(ns: i64) -> String {
    DateTime::from_timestamp_nanos(ns).format("%H:%M:%S%.3f").to_string()
}

/// Reads a point in time: RFC 3339, `2026-01-31`, `2026-01-31 12:00[:00]` (UTC), or a Unix time in
/// seconds, ms, µs or ns, told apart by its size.
pub fn parse_instant(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return unix_to_ns(number);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return time.timestamp_nanos_opt();
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return time.and_utc().timestamp_nanos_opt();
        }
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?.and_utc().timestamp_nanos_opt()
}

/// The unit of a Unix time can be told from its size between the years 1973 and 2286.
fn unix_to_ns(number: i64) -> Option<i64> {
    let factor = match number.unsigned_abs() {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    number.checked_mul(factor)
}

/// Reads a length of time such as `90s`, `15m`, `1h30m`, `250ms` or `7d`, in ns.
pub fn parse_duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: f64 = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..unit_end] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" | "min" => 60e9,
            "h" => 3_600e9,
            "d" => 86_400e9,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[unit_end..];
    }
    (!text.is_empty() && total < 9.2e18).then_some(total as i64)
}

/// A length of time for people: three significant digits and the fitting unit.
pub fn human_duration(ns: i64) -> String {
    let size = ns.unsigned_abs();
    let (value, unit) = match size {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        1_000_000_000..60_000_000_000 => (ns as f64 / 1e9, "s"),
        60_000_000_000..3_600_000_000_000 => (ns as f64 / 60e9, "min"),
        3_600_000_000_000..86_400_000_000_000 => (ns as f64 / 3_600e9, "h"),
        _ => (ns as f64 / 86_400e9, "d"),
    };
    let decimals = if value.abs() >= 99.95 {
        0
    } else if value.abs() >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_nine_decimals_in_utc() {
        assert_eq!(rfc3339(1_767_225_600_012_500_777), "2026-01-01T00:00:00.012500777Z");
    }

    #[test]
    fn reads_instants_in_the_usual_spellings() {
        let expected = Some(1_767_225_600_000_000_000);
        for text in [
            "2026-01-01T00:00:00Z",
            "2026-01-01T01:00:00+01:00",
            "2026-01-01 00:00",
            "2026-01-01",
            "1767225600",
            "1767225600000",
            "1767225600000000",
            "1767225600000000000",
        ] {
            assert_eq!(parse_instant(text), expected, "{text}");
        }
        assert_eq!(parse_instant("yesterday"), None);
    }

    #[test]
    fn reads_and_prints_durations() {
        assert_eq!(parse_duration("1h30m"), Some(5_400_000_000_000));
        assert_eq!(parse_duration("250ms"), Some(250_000_000));
        assert_eq!(parse_duration("5"), None);
        assert_eq!(parse_duration(""), None);
        assert_eq!(human_duration(349_700_000), "350 ms");
        assert_eq!(human_duration(-2_999_900_000), "-3.00 s");
        assert_eq!(human_duration(1_500), "1.50 µs");
    }
}
