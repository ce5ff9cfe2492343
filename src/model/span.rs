//! One span as its format gave it: the whole depth of decoding.
//!
//! The structural depth, the record that the store keeps, is derived from this type in one place
//! ([`crate::store::ingest`]), so both depths are described once.

use std::borrow::Cow;

use super::ids::{SpanId, TraceId};
use super::value::{Attribute, own_attributes};

/// The role of a span, numbered as in OTLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpanKind {
    /// Not given.
    #[default]
    Unspecified,
    /// Work inside a process.
    Internal,
    /// The callee's side of a request.
    Server,
    /// The caller's side of a request.
    Client,
    /// Sends a message.
    Producer,
    /// Receives or handles a message.
    Consumer,
}

impl SpanKind {
    /// All kinds, at the index of their OTLP number.
    pub const ALL: [Self; 6] =
        [Self::Unspecified, Self::Internal, Self::Server, Self::Client, Self::Producer, Self::Consumer];

    /// From the OTLP number; anything out of range is unspecified.
    pub fn from_otlp(number: u64) -> Self {
        usize::try_from(number).ok().and_then(|index| Self::ALL.get(index)).copied().unwrap_or_default()
    }

    /// From a name in any of the spellings exporters use: `SPAN_KIND_SERVER`, `SERVER`, `Server`, `server`.
    pub fn from_name(name: &str) -> Self {
        let bare = name.strip_prefix("SPAN_KIND_").or_else(|| name.strip_prefix("SpanKind.")).unwrap_or(name);
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(bare)).unwrap_or_default()
    }

    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }

    /// Entry spans take a request or message in.
    pub const fn is_entry(self) -> bool {
        matches!(self, Self::Server | Self::Consumer)
    }

    /// Exit spans send a request or message out.
    pub const fn is_exit(self) -> bool {
        matches!(self, Self::Client | Self::Producer)
    }
}

/// The status of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatusCode {
    /// Not set.
    #[default]
    Unset,
    /// Explicitly good.
    Ok,
    /// Failed.
    Error,
}

impl StatusCode {
    /// From the OTLP number; anything out of range is unset.
    pub const fn from_otlp(number: u64) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }

    /// From `STATUS_CODE_ERROR`, `ERROR`, `Error` and the like.
    pub fn from_name(name: &str) -> Self {
        let bare = name.strip_prefix("STATUS_CODE_").unwrap_or(name);
        if bare.eq_ignore_ascii_case("error") {
            Self::Error
        } else if bare.eq_ignore_ascii_case("ok") {
            Self::Ok
        } else {
            Self::Unset
        }
    }

    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

/// A field of a span that can be malformed without the span being lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpanField {
    /// The trace id is empty, zero, or not an id.
    TraceId,
    /// The span id is empty, zero, or not an id.
    SpanId,
    /// The parent span id is not an id.
    ParentSpanId,
    /// The start time is missing or not a time.
    StartTime,
    /// The end time or duration is missing or not a time.
    EndTime,
    /// The name is not text.
    Name,
}

/// A malformed field with the text that stood there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed<'a> {
    /// Which field.
    pub field: SpanField,
    /// What stood there.
    pub text: Cow<'a, str>,
}

/// One span. Times are nanoseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Span<'a> {
    /// Byte offset of the span object in the decoded (uncompressed) bytes of its input.
    pub position: u64,
    /// Trace id; for malformed text a hash of it.
    pub trace_id: TraceId,
    /// Span id; for malformed text a hash of it.
    pub span_id: SpanId,
    /// Parent span id, `None` for a root.
    pub parent_span_id: Option<SpanId>,
    /// `None` when the source does not carry it.
    pub trace_state: Option<Cow<'a, str>>,
    /// Span name.
    pub name: Cow<'a, str>,
    /// Role.
    pub kind: SpanKind,
    /// Start, or `None` when missing or unreadable.
    pub start_ns: Option<i64>,
    /// End, or `None` when missing or unreadable. May lie before the start.
    pub end_ns: Option<i64>,
    /// Status code.
    pub status: StatusCode,
    /// Status message, possibly empty.
    pub status_message: Cow<'a, str>,
    /// OTLP flags where the source has them (W3C flags in the low byte, 0x100 and 0x200 for `is_remote`).
    pub flags: Option<u32>,
    /// Whether the parent is remote, where the source tells.
    pub parent_is_remote: Option<bool>,
    /// Zipkin's `shared`: this server span reuses the id of its client span.
    pub shared: bool,
    /// Attributes in the order given.
    pub attributes: Vec<Attribute<'a>>,
    /// Events in the order given.
    pub events: Vec<Event<'a>>,
    /// Links in the order given.
    pub links: Vec<Link<'a>>,
    /// Attributes that the SDK dropped.
    pub dropped_attributes: u32,
    /// Events that the SDK dropped.
    pub dropped_events: u32,
    /// Links that the SDK dropped.
    pub dropped_links: u32,
    /// What the backend wrote about the span (Jaeger's warnings).
    pub warnings: Vec<Cow<'a, str>>,
    /// Fields that could not be read as what they are.
    pub malformed: Vec<Malformed<'a>>,
}

/// A span event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event<'a> {
    /// When, if given.
    pub time_ns: Option<i64>,
    /// Event name.
    pub name: Cow<'a, str>,
    /// Attributes.
    pub attributes: Vec<Attribute<'a>>,
    /// Attributes that the SDK dropped.
    pub dropped_attributes: u32,
}

/// A span link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link<'a> {
    /// Trace of the linked span.
    pub trace_id: TraceId,
    /// The linked span.
    pub span_id: SpanId,
    /// Trace state, if the source carries it.
    pub trace_state: Option<Cow<'a, str>>,
    /// Attributes.
    pub attributes: Vec<Attribute<'a>>,
    /// Attributes that the SDK dropped.
    pub dropped_attributes: u32,
    /// OTLP flags of the link, where the source has them.
    pub flags: Option<u32>,
}

impl Span<'_> {
    /// Ready for the next span, keeping the allocations.
    pub fn clear(&mut self) {
        let Self {
            position,
            trace_id,
            span_id,
            parent_span_id,
            trace_state,
            name,
            kind,
            start_ns,
            end_ns,
            status,
            status_message,
            flags,
            parent_is_remote,
            shared,
            attributes,
            events,
            links,
            dropped_attributes,
            dropped_events,
            dropped_links,
            warnings,
            malformed,
        } = self;
        *position = 0;
        *trace_id = TraceId::default();
        *span_id = SpanId::default();
        *parent_span_id = None;
        *trace_state = None;
        *name = Cow::Borrowed("");
        *kind = SpanKind::default();
        (*start_ns, *end_ns) = (None, None);
        *status = StatusCode::default();
        *status_message = Cow::Borrowed("");
        *flags = None;
        *parent_is_remote = None;
        *shared = false;
        attributes.clear();
        events.clear();
        links.clear();
        (*dropped_attributes, *dropped_events, *dropped_links) = (0, 0, 0);
        warnings.clear();
        malformed.clear();
    }

    /// End minus start in ns, if both are known. Negative when the end lies before the start.
    pub fn duration_ns(&self) -> Option<i64> {
        Some(self.end_ns?.saturating_sub(self.start_ns?))
    }

    /// Whether this field was malformed.
    pub fn is_malformed(&self, field: SpanField) -> bool {
        self.malformed.iter().any(|malformed| malformed.field == field)
    }

    /// The same span without ties to the input.
    pub fn into_owned(self) -> Span<'static> {
        Span {
            position: self.position,
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_span_id: self.parent_span_id,
            trace_state: self.trace_state.map(own),
            name: own(self.name),
            kind: self.kind,
            start_ns: self.start_ns,
            end_ns: self.end_ns,
            status: self.status,
            status_message: own(self.status_message),
            flags: self.flags,
            parent_is_remote: self.parent_is_remote,
            shared: self.shared,
            attributes: own_attributes(self.attributes),
            events: self.events.into_iter().map(Event::into_owned).collect(),
            links: self.links.into_iter().map(Link::into_owned).collect(),
            dropped_attributes: self.dropped_attributes,
            dropped_events: self.dropped_events,
            dropped_links: self.dropped_links,
            warnings: self.warnings.into_iter().map(own).collect(),
            malformed: self
                .malformed
                .into_iter()
                .map(|malformed| Malformed { field: malformed.field, text: own(malformed.text) })
                .collect(),
        }
    }
}

impl Event<'_> {
    /// The same event without ties to the input.
    pub fn into_owned(self) -> Event<'static> {
        Event {
            time_ns: self.time_ns,
            name: own(self.name),
            attributes: own_attributes(self.attributes),
            dropped_attributes: self.dropped_attributes,
        }
    }
}

impl Link<'_> {
    /// The same link without ties to the input.
    pub fn into_owned(self) -> Link<'static> {
        Link {
            trace_id: self.trace_id,
            span_id: self.span_id,
            trace_state: self.trace_state.map(own),
            attributes: own_attributes(self.attributes),
            dropped_attributes: self.dropped_attributes,
            flags: self.flags,
        }
    }
}

fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}
