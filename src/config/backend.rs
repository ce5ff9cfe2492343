//! What to ask a backend for, and how to reach it.

use std::fmt;
use std::time::Duration;

use crate::model::{TraceId, time};

/// A backend to ask for traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Which API it speaks.
    pub kind: BackendKind,
    /// Address with scheme, host, port and base path; without user, query and fragment.
    pub url: String,
    /// What to ask for.
    pub query: Query,
    /// How to reach it.
    pub connection: Connection,
}

/// The APIs that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendKind {
    /// Jaeger's query service.
    Jaeger,
    /// SigNoz.
    Signoz,
}

impl BackendKind {
    /// The name for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jaeger => "Jaeger",
            Self::Signoz => "SigNoz",
        }
    }

    /// The flag that names such a backend.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Jaeger => "--jaeger",
            Self::Signoz => "--signoz",
        }
    }

    /// Path below the base address at which the user interface shows a trace.
    pub const fn trace_page(self) -> &'static str {
        match self {
            Self::Jaeger | Self::Signoz => "/trace/{trace_id}",
        }
    }
}

/// Which traces are wanted. A trace is wanted whole as soon as one of its spans fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Names of services, any of them; all when empty.
    pub services: Vec<String>,
    /// Name of an operation.
    pub operation: Option<String>,
    /// Attributes that a span must have, all of them.
    pub tags: Vec<(String, String)>,
    /// Values of `deployment.environment.name`, any of them; all when empty.
    pub environments: Vec<String>,
    /// Shortest duration of a span, ns.
    pub min_duration_ns: Option<i64>,
    /// When the spans start.
    pub window: Window,
    /// These traces and no others, whatever the rest says. Searched for when empty.
    pub trace_ids: Vec<TraceId>,
    /// Most traces.
    pub limit: u64,
    /// No further trace is asked for once so many spans have come.
    pub max_spans: u64,
    /// Traces with a span that ends later than this, in ns since the Unix epoch, may still grow.
    pub settled_ns: i64,
}

/// A stretch of time, in ns since the Unix epoch; the end is outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First instant.
    pub from_ns: i64,
    /// Instant behind the last.
    pub to_ns: i64,
}

impl Window {
    /// Both halves, cut at a whole number of steps, the later one first. `None` when the window is
    /// no longer than one step: then a backend cannot tell the halves apart.
    pub fn halves(self, step_ns: i64) -> Option<[Self; 2]> {
        let half = self.to_ns.saturating_sub(self.from_ns) / 2;
        self.split(self.from_ns.saturating_add(half / step_ns * step_ns))
    }

    /// Both parts of the window around an instant inside it, the later one first.
    pub fn split(self, at_ns: i64) -> Option<[Self; 2]> {
        let is_inside = self.from_ns < at_ns && at_ns < self.to_ns;
        is_inside.then_some([Self { from_ns: at_ns, ..self }, Self { to_ns: at_ns, ..self }])
    }

    /// The window with so many ns more on either side.
    #[must_use]
    pub fn widened(self, by_ns: i64) -> Self {
        Self { from_ns: self.from_ns.saturating_sub(by_ns), to_ns: self.to_ns.saturating_add(by_ns) }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = |ns: i64| time::rfc3339(ns / 1_000_000_000 * 1_000_000_000).replace(".000000000", "");
        write!(formatter, "{} to {}", second(self.from_ns), second(self.to_ns))
    }
}

/// How to reach a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Headers with credentials, as name and value.
    pub credentials: Vec<(String, Secret)>,
    /// Tenant, for backends that serve several.
    pub tenant: Option<String>,
    /// Header that names the tenant, where it is not the backend's usual one.
    pub tenant_header: Option<String>,
    /// Whether certificates are believed unseen.
    pub insecure: bool,
    /// Longest time for everything together.
    pub deadline: Duration,
}

/// Text that must not be seen: it has no `Display`, and its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the wire only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_cover_the_window_and_end() {
        let mut windows = vec![Window { from_ns: 5_000, to_ns: 12_500 }];
        let mut smallest = Vec::new();
        while let Some(window) = windows.pop() {
            match window.halves(1_000) {
                Some(halves) => windows.extend(halves),
                None => smallest.push(window),
            }
        }
        assert_eq!(smallest.first().unwrap().from_ns, 5_000);
        assert_eq!(smallest.last().unwrap().to_ns, 12_500);
        assert!(smallest.windows(2).all(|pair| pair[0].to_ns == pair[1].from_ns));
        assert!(smallest.iter().all(|window| window.to_ns - window.from_ns <= 1_999), "{smallest:?}");
    }

    #[test]
    fn secrets_do_not_show() {
        let connection = Connection {
            credentials: vec![("authorization".to_owned(), Secret::new("Bearer hush"))],
            tenant: None,
            tenant_header: None,
            insecure: false,
            deadline: Duration::from_secs(1),
        };
        assert!(!format!("{connection:?}").contains("hush"));
    }

    #[test]
    fn windows_are_named_by_seconds() {
        let window = Window { from_ns: 1_767_225_600_123_456_789, to_ns: 1_767_229_200_000_000_000 };
        assert_eq!(window.to_string(), "2026-01-01T00:00:00Z to 2026-01-01T01:00:00Z");
    }
}
