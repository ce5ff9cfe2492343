//! Attribute values, borrowed from the input where possible.

use std::borrow::Cow;

/// One `key = value` of a span, event, link, scope or resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute<'a> {
    /// The key as given.
    pub key: Cow<'a, str>,
    /// The value.
    pub value: Value<'a>,
}

impl Attribute<'_> {
    /// The same attribute without ties to the input.
    pub fn into_owned(self) -> Attribute<'static> {
        Attribute { key: Cow::Owned(self.key.into_owned()), value: self.value.into_owned() }
    }
}

/// An OpenTelemetry `AnyValue`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// An attribute without a value.
    Empty,
    /// `stringValue`
    String(Cow<'a, str>),
    /// `boolValue`
    Bool(bool),
    /// `intValue`
    Int(i64),
    /// `doubleValue`
    Double(f64),
    /// `bytesValue`
    Bytes(Cow<'a, [u8]>),
    /// `arrayValue`
    Array(Vec<Value<'a>>),
    /// `kvlistValue`
    Map(Vec<Attribute<'a>>),
}

impl Value<'_> {
    /// The text, if the value is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value as text: strings as they are, numbers and booleans printed, the rest nothing.
    pub fn to_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::String(text) => Some(Cow::Borrowed(text)),
            Self::Int(number) => Some(Cow::Owned(number.to_string())),
            Self::Double(number) => Some(Cow::Owned(number.to_string())),
            Self::Bool(flag) => Some(Cow::Owned(flag.to_string())),
            Self::Empty | Self::Bytes(_) | Self::Array(_) | Self::Map(_) => None,
        }
    }

    /// The same value without ties to the input.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Empty => Value::Empty,
            Self::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Self::Bool(flag) => Value::Bool(flag),
            Self::Int(number) => Value::Int(number),
            Self::Double(number) => Value::Double(number),
            Self::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
            Self::Array(items) => Value::Array(items.into_iter().map(Value::into_owned).collect()),
            Self::Map(items) => Value::Map(own_attributes(items)),
        }
    }
}

/// Attributes without ties to the input.
pub fn own_attributes(attributes: Vec<Attribute<'_>>) -> Vec<Attribute<'static>> {
    attributes.into_iter().map(Attribute::into_owned).collect()
}

/// The first value with one of these keys, in the order of the keys: current name before older ones.
pub fn first_of<'v, 'a>(attributes: &'v [Attribute<'a>], keys: &[&str]) -> Option<&'v Value<'a>> {
    keys.iter().find_map(|key| {
        attributes.iter().find(|attribute| attribute.key == *key).map(|attribute| &attribute.value)
    })
}
