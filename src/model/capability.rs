//! What a format can tell, and what was repaired while reading it.

/// What an input can tell at best. An analyzer lowers its confidence or abstains where a
/// capability is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a record of independent facts")]
pub struct Capabilities {
    /// Step of the times in ns: 1, 512 (floating point), 1 000 (µs) or 1 000 000 (ms).
    pub time_resolution_ns: u64,
    /// Trace flags are kept.
    pub flags: bool,
    /// Whether the parent is remote is kept.
    pub is_remote: bool,
    /// Span links are kept.
    pub links: bool,
    /// Trace state is kept.
    pub trace_state: bool,
    /// Counts of dropped attributes, events and links are kept.
    pub dropped_counts: bool,
    /// Every span has its own, complete resource.
    pub exact_resource: bool,
    /// Several copies of one span stay visible.
    pub duplicates_visible: bool,
    /// The backend may have changed times, ids or parents.
    pub edited_by_source: bool,
}

/// Which traces of an input can be judged. A file is what it is; a backend that is asked for a
/// stretch of time cuts traces at its edges, and the youngest traces still grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Horizon {
    /// Spans that start earlier may be missing, in ns since the Unix epoch.
    pub whole_from_ns: Option<i64>,
    /// Traces with a span that ends later may still grow, in ns since the Unix epoch.
    pub settled_ns: Option<i64>,
}

/// Something that was put right while reading; counted in coverage, never silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Repair {
    /// Base64 id.
    IdBase64,
    /// Hex id that lacked leading zeros.
    IdPadded,
    /// Hex id with a `0x` in front.
    IdPrefix,
    /// Hex id with capital letters.
    IdUpperCase,
    /// Text with invalid UTF-8 or lone surrogates; replaced by U+FFFD.
    InvalidUtf8,
    /// A time shift that Jaeger had applied to a span, undone.
    JaegerClockAdjustment,
    /// An end time that Jaeger had moved behind the start, undone.
    JaegerEndAdjustment,
    /// Text of a log before the JSON of a line, left out.
    LogPrefix,
    /// Partial reports of one Zipkin span (several records of one service), merged.
    ZipkinPartialReport,
}

impl Repair {
    /// All repairs, in the order of their names.
    pub const ALL: [Self; 9] = [
        Self::IdBase64,
        Self::IdPadded,
        Self::IdPrefix,
        Self::IdUpperCase,
        Self::InvalidUtf8,
        Self::JaegerClockAdjustment,
        Self::JaegerEndAdjustment,
        Self::LogPrefix,
        Self::ZipkinPartialReport,
    ];

    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IdBase64 => "id-base64",
            Self::IdPadded => "id-padded",
            Self::IdPrefix => "id-prefix",
            Self::IdUpperCase => "id-upper-case",
            Self::InvalidUtf8 => "invalid-utf8",
            Self::JaegerClockAdjustment => "jaeger-clock-adjustment",
            Self::JaegerEndAdjustment => "jaeger-end-adjustment",
            Self::LogPrefix => "log-prefix",
            Self::ZipkinPartialReport => "zipkin-partial-report",
        }
    }
}
