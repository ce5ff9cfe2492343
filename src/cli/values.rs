//! Reads the values of options. Errors are for people: what was wrong, and what would be right.

use std::path::PathBuf;

use super::args::{ReportFile, Top};
use crate::config::Occurrences;
use crate::model::time;
use crate::render::{self, text};
use crate::sources;

/// Names of the input formats.
pub(super) fn format_names() -> Vec<&'static str> {
    crate::formats::ALL.iter().map(|format| format.info().name).collect()
}

/// Names of the output formats.
pub(super) fn renderer_names() -> Vec<&'static str> {
    render::ALL.iter().map(|renderer| renderer.name).collect()
}

/// A number of bytes: `1024`, `64MiB`, `1.5 GB`.
pub(super) fn size(value: &str) -> Result<u64, String> {
    let wrong = || "write a size such as 1048576, 64MiB or 1.5GB".to_owned();
    let value = value.trim();
    let unit_start = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
    let (number, unit) = value.split_at(unit_start);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(wrong);
    }
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * factor as f64;
    if bytes < 9e18 { Ok(bytes as u64) } else { Err(wrong()) }
}

/// A share: `0.1%`, or a rate between 0 and 1.
pub(super) fn share(value: &str) -> Result<f64, String> {
    let (number, scale) = match value.trim().strip_suffix('%') {
        Some(number) => (number.trim_end(), 100.0),
        None => (value.trim(), 1.0),
    };
    let share = number.parse::<f64>().map_or(f64::NAN, |number| number / scale);
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err("write a percentage such as 0.1%, or a rate between 0 and 1".to_owned())
}

/// A length of time, in ns.
pub(super) fn duration(value: &str) -> Result<i64, String> {
    time::parse_duration(value).ok_or_else(|| "write a duration such as 90s, 15m, 1h30m or 7d".to_owned())
}

/// A point in time, in ns since the Unix epoch.
pub(super) fn instant(value: &str) -> Result<i64, String> {
    time::parse_instant(value).ok_or_else(|| {
        "write a time such as 2026-01-31T12:00:00Z, `2026-01-31 12:00` (UTC) or a Unix time".to_owned()
    })
}

/// A whole number from 1.
pub(super) fn at_least_one(value: &str) -> Result<usize, String> {
    value.parse().ok().filter(|number| *number > 0).ok_or_else(|| "write a number from 1".to_owned())
}

/// `all`, or how many.
pub(super) fn occurrences(value: &str) -> Result<Occurrences, String> {
    Ok(count_or_all(value)?.map_or(Occurrences::All, Occurrences::First))
}

/// `all`, or how many.
pub(super) fn top(value: &str) -> Result<Top, String> {
    count_or_all(value).map(Top)
}

fn count_or_all(value: &str) -> Result<Option<usize>, String> {
    if value == "all" {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|_| "write a number, or all".to_owned())
}

/// `FORMAT=PATH`
pub(super) fn report_file(value: &str) -> Result<ReportFile, String> {
    let Some((name, path)) = value.split_once('=') else {
        return Err(format!("write FORMAT=PATH; formats are {}", renderer_names().join(", ")));
    };
    let renderer = render::by_name(name).map_err(|error| error.to_string())?;
    match path {
        "" => Err("the path is empty".to_owned()),
        "-" => Err(format!("stdout carries the main report; use --format {name}")),
        path => Ok(ReportFile { renderer, path: PathBuf::from(path) }),
    }
}

/// Address of a backend, as it will be shown.
pub(super) fn backend_url(value: &str) -> Result<String, String> {
    let url = sources::base_url(value).map_err(|problem| format!("{problem}; {}", problem.help()))?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// `KEY=VALUE`
pub(super) fn tag(value: &str) -> Result<(String, String), String> {
    match value.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as http.route=/orders".to_owned()),
    }
}

/// An address with `{trace_id}` in it.
pub(super) fn trace_url(value: &str) -> Result<String, String> {
    if !value.contains("{trace_id}") {
        return Err("put {trace_id} where the id goes".to_owned());
    }
    let web = value.starts_with("https://") || value.starts_with("http://");
    if !web || value.contains(|c: char| c.is_whitespace() || text::is_harmful(c)) {
        return Err("write an address that begins with https:// or http:// and has no blanks".to_owned());
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("1024"), Ok(1024));
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("64m"), Ok(64 << 20));
        assert_eq!(size("1.5 GB"), Ok(1_500_000_000));
        for wrong in ["", "MiB", "-1", "1.2.3M", "1 PB", "99999999999T", "nan"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares() {
        assert_eq!(share("0.1%"), Ok(0.001));
        assert_eq!(share("5 %"), Ok(0.05));
        assert_eq!(share("0.25"), Ok(0.25));
        assert_eq!(share("0"), Ok(0.0));
        for wrong in ["5", "101%", "-1%", "", "%", "nan", "inf"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(duration("15m"), Ok(900_000_000_000));
        assert!(duration("15").is_err());
        assert!(instant("2026-01-31").is_ok());
        assert!(instant("tomorrow").is_err());
    }

    #[test]
    fn counts() {
        assert_eq!(occurrences("all"), Ok(Occurrences::All));
        assert_eq!(occurrences("5"), Ok(Occurrences::First(5)));
        assert!(occurrences("many").is_err());
        assert_eq!(top("all"), Ok(Top(None)));
        assert!(at_least_one("0").is_err());
    }

    #[test]
    fn report_files() {
        let file = report_file("json=out=1.json").unwrap();
        assert_eq!((file.renderer.name, file.path), ("json", PathBuf::from("out=1.json")));
        for wrong in ["json", "json=", "json=-", "yaml=x"] {
            assert!(report_file(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn backend_urls() {
        assert_eq!(backend_url("http://localhost:16686/"), Ok("http://localhost:16686".to_owned()));
        assert_eq!(backend_url("https://host/jaeger/?x#y"), Ok("https://host/jaeger".to_owned()));
        assert!(backend_url("localhost:16686").unwrap_err().contains("https://host:port"));
        let with_password = backend_url("http://user:hush@host").unwrap_err();
        assert!(with_password.contains("TRACEMEND_BASIC_AUTH") && !with_password.contains("hush"));
    }

    #[test]
    fn tags() {
        assert_eq!(tag("a.b=c=d"), Ok(("a.b".to_owned(), "c=d".to_owned())));
        assert!(tag("a").is_err() && tag("=b").is_err());
    }

    #[test]
    fn trace_urls() {
        assert!(trace_url("https://jaeger.example/trace/{trace_id}").is_ok());
        for wrong in ["https://jaeger.example/", "javascript:{trace_id}", "https://x/{trace_id}\u{1b}"] {
            assert!(trace_url(wrong).is_err(), "{wrong}");
        }
    }
}
