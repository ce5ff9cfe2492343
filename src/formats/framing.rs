//! How a stream of bytes is cut into blocks that end at record borders, so that blocks can be
//! decoded on all cores and no document has to be held in memory.

/// The kind of framing a format has.
#[derive(Clone, Copy, Debug)]
pub enum Framing {
    /// JSON values: one, or many after the other.
    Json(&'static JsonFraming),
    /// Frames with a 4-byte big-endian length in front (Collector file exporter, `format: proto`).
    LengthPrefixed,
    /// One protobuf message whose top-level fields can be decoded one by one.
    ProtobufFields,
}

/// Where a JSON document may be cut.
#[derive(Debug)]
pub struct JsonFraming {
    /// Arrays, named by the key they stand under, between whose elements a cut may be made.
    pub arrays: &'static [ArrayRule],
    /// Whether a cut may be made between the elements of an array at the top, or of an array that
    /// is itself an element of one at the top.
    pub top_level_arrays: bool,
}

/// An array that may be cut between its elements.
#[derive(Debug)]
pub struct ArrayRule {
    /// Its key.
    pub key: &'static str,
    /// A member of the same object that must have been seen before a cut is allowed, because the
    /// elements cannot be understood without it.
    pub needs: Option<&'static str>,
}
