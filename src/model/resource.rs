//! Who sent a span: the resource (service, instance, host) and the instrumentation scope.

use std::borrow::Cow;

use super::value::{Attribute, Value, first_of, own_attributes};

/// What the resource of a span says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource<'a> {
    /// Attributes in the order given.
    pub attributes: Vec<Attribute<'a>>,
    /// Attributes that the SDK dropped.
    pub dropped_attributes: u32,
}

/// The instrumentation scope of a span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope<'a> {
    /// Name of the instrumentation library.
    pub name: Cow<'a, str>,
    /// Its version, possibly empty.
    pub version: Cow<'a, str>,
    /// Attributes in the order given.
    pub attributes: Vec<Attribute<'a>>,
    /// Attributes that the SDK dropped.
    pub dropped_attributes: u32,
}

/// Names that stand where a service name is missing: the SDKs' default, Jaeger's sanitizers
/// (`sanitizer/service_name_sanitizer.go`), Jaeger's OTLP translation and the collector of `SigNoz`.
const SERVICE_NAME_SENTINELS: [&str; 6] = [
    "unknown_service",
    "missing-service-name",
    "empty-service-name",
    "service-name-wrong-type",
    "OTLPResourceNoServiceName",
    "<nil-service-name>",
];

/// Whether this is no service name but the mark of a missing one (`unknown_service:node` included).
pub fn is_missing_service_name(name: &str) -> bool {
    name.is_empty()
        || SERVICE_NAME_SENTINELS.contains(&name)
        || name.strip_prefix("unknown_service").is_some_and(|rest| rest.starts_with(':'))
}

impl Resource<'_> {
    /// `service.name`, or nothing when it is absent or not text.
    pub fn service_name(&self) -> &str {
        self.text(&["service.name"])
    }

    /// The first of these attributes that is text, or nothing.
    pub fn text(&self, keys: &[&str]) -> &str {
        first_of(&self.attributes, keys).and_then(Value::as_str).unwrap_or_default()
    }

    /// The same resource without ties to the input.
    pub fn into_owned(self) -> Resource<'static> {
        Resource { attributes: own_attributes(self.attributes), dropped_attributes: self.dropped_attributes }
    }
}

impl Scope<'_> {
    /// The same scope without ties to the input.
    pub fn into_owned(self) -> Scope<'static> {
        Scope {
            name: Cow::Owned(self.name.into_owned()),
            version: Cow::Owned(self.version.into_owned()),
            attributes: own_attributes(self.attributes),
            dropped_attributes: self.dropped_attributes,
        }
    }
}
