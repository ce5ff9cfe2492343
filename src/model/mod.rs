//! The vocabulary: ids, times, spans, resources and what an input can tell.
//! No logic here beyond the invariants of the values themselves.

pub mod boundary;
pub mod capability;
pub mod ids;
pub mod names;
pub mod resource;
pub mod sensitive;
pub mod span;
pub mod time;
pub mod value;

pub use capability::{Capabilities, Horizon, Repair};
pub use ids::{SpanId, TraceId};
pub use resource::{Resource, Scope};
pub use span::{Event, Link, Malformed, Span, SpanField, SpanKind, StatusCode};
pub use value::{Attribute, Value};
