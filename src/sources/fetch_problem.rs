//! Why a backend gave nothing, or less than it was asked for, and what would help.

use std::time::Duration;

use serde_json::error::Category;

use crate::suggest;

/// What went wrong between this program and a backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchProblem {
    /// The address cannot be used.
    #[error("is no address of a backend: {0}")]
    Address(String),
    /// Nothing listens there.
    #[error("nothing answers there ({0})")]
    Refused(String),
    /// The name of the host is not known.
    #[error("the host is not known ({0})")]
    UnknownHost(String),
    /// No byte came in time.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// The time for everything together was over.
    #[error("the deadline of {} s was reached", .0.as_secs())]
    Deadline(Duration),
    /// The connection ended inside an answer.
    #[error("the answer broke off ({0})")]
    Broken(String),
    /// The encrypted connection could not be made.
    #[error("no encrypted connection ({0})")]
    Tls(String),
    /// What answers speaks no HTTP.
    #[error("what answers there speaks no HTTP ({0})")]
    NotHttp(String),
    /// What answers wants HTTPS.
    #[error("what answers there wants HTTPS")]
    WantsHttps,
    /// No or wrong credentials.
    #[error("status {status}: {message}")]
    Unauthorized {
        /// 401 or 403.
        status: u16,
        /// What the backend says.
        message: String,
        /// Whether credentials were sent.
        sent: bool,
        /// How to give credentials.
        how: &'static str,
    },
    /// The backend serves several tenants and none was named.
    #[error("no tenant is named: {0}")]
    Tenant(String),
    /// Another status that is no success.
    #[error("status {status}: {message}")]
    Status {
        /// The status.
        status: u16,
        /// What the backend says.
        message: String,
    },
    /// The API is not there.
    #[error("there is no {api} at this address (status 404 for {path})")]
    NoApi {
        /// Which API was looked for.
        api: &'static str,
        /// Path that was asked for.
        path: String,
    },
    /// A page for people came in place of data.
    #[error("a web page came in place of data ({path})")]
    Page {
        /// Path that was asked for.
        path: String,
    },
    /// A page that asks for a user name came in place of data.
    #[error("a log-in page came in place of data ({path})")]
    LoginPage {
        /// Path that was asked for.
        path: String,
        /// How to give credentials.
        how: &'static str,
    },
    /// Sent elsewhere, where the credentials must not go.
    #[error("sends on to {0}")]
    Redirected(String),
    /// The answer is no JSON, or not that of the API.
    #[error("the answer to {path} is not that of {api}: {reason}")]
    NotThisApi {
        /// Which API was expected.
        api: &'static str,
        /// Path that was asked for.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// One answer is larger than one record may be.
    #[error("one answer has more than {0} bytes")]
    TooLarge(usize),
    /// No service has this name.
    #[error("the backend knows no service `{name}`")]
    NoService {
        /// As given.
        name: String,
        /// A service with a similar name.
        similar: Option<String>,
        /// Some of those there are.
        known: Vec<String>,
    },
    /// The backend is too old for what is asked of it.
    #[error("{api} {version} has no {lacks}")]
    TooOld {
        /// Which API was expected.
        api: &'static str,
        /// Version as the backend gives it.
        version: String,
        /// What it lacks.
        lacks: &'static str,
        /// What to do about it.
        how: &'static str,
    },
    /// What is wanted cannot be said in the backend's words.
    #[error("cannot be asked for this: {0}")]
    Unaskable(String),
    /// Several requests in a row failed.
    #[error("{requests} requests in a row failed, it is left alone now; the last: {last}")]
    GaveUp {
        /// How many.
        requests: u32,
        /// Why the last one did.
        last: Box<Self>,
    },
}

impl FetchProblem {
    /// An answer that is not the JSON it should be. The words of the reader are left out: they repeat
    /// values, and a value may be what was sent to log in.
    pub(super) fn unexpected(api: &'static str, path: &str, error: &serde_json::Error) -> Self {
        let what = match error.classify() {
            Category::Eof => "it ends too early",
            Category::Syntax => "it is no JSON",
            Category::Data | Category::Io => "it is JSON of another kind",
        };
        let reason = format!("{what} (line {}, column {})", error.line(), error.column());
        Self::NotThisApi { api, path: path.to_owned(), reason }
    }

    /// A service is not among those that the backend knows, of which `named` at most are repeated.
    pub(super) fn no_service(name: &str, known: &[String], named: usize) -> Self {
        Self::NoService {
            name: name.to_owned(),
            similar: suggest::nearest(name, known.iter().map(String::as_str)).map(str::to_owned),
            known: known.iter().take(named).cloned().collect(),
        }
    }

    /// Whether a further request would end the same way.
    pub const fn is_final(&self) -> bool {
        !matches!(
            self,
            Self::Silent(_)
                | Self::Broken(_)
                | Self::Refused(_)
                | Self::Status { .. }
                | Self::TooLarge(_)
                | Self::NotThisApi { .. }
        )
    }

    /// What would help.
    pub fn help(&self) -> String {
        match self {
            Self::Address(_) => "write it as https://host:port/base-path".to_owned(),
            Self::Refused(_) => "is it running, and is this the port of its query API (Jaeger 16686, SigNoz \
                                 8080)? 4317 and 4318 take spans in and answer no queries"
                .to_owned(),
            Self::UnknownHost(_) => "check the spelling; names of containers are known inside their network \
                                     only, from outside use the published port on localhost"
                .to_owned(),
            Self::Silent(_) => {
                "the backend may be overloaded: ask for less with --since or --limit".to_owned()
            }
            Self::Deadline(_) => {
                "give more time with --deadline, or ask for less with --since or --limit".to_owned()
            }
            Self::Broken(_) => {
                "a proxy in between may cut long answers: ask for less with --since".to_owned()
            }
            Self::Tls(reason) => tls_help(reason).to_owned(),
            Self::NotHttp(_) => {
                "this may be the gRPC port (Jaeger 16685, OTLP 4317): the HTTP query API is at \
                                 16686 (Jaeger) or 8080 (SigNoz)"
                    .to_owned()
            }
            Self::WantsHttps => "write https:// in place of http://".to_owned(),
            Self::Unauthorized { sent: true, how, .. } => {
                format!("the credentials are wrong, have expired, or lack the right to read traces; {how}")
            }
            Self::Unauthorized { sent: false, how, .. }
            | Self::LoginPage { how, .. }
            | Self::TooOld { how, .. } => (*how).to_owned(),
            Self::Tenant(_) => {
                "name it with --tenant, and its header with --tenant-header where it is not the \
                                usual one"
                    .to_owned()
            }
            Self::Status { status: 500.., .. } => {
                "the log of the backend says more; try a shorter --since".to_owned()
            }
            Self::Status { .. } => String::new(),
            Self::NoApi { .. } => "check the port, and add the base path if it has one, as in \
                                   https://host/jaeger"
                .to_owned(),
            Self::Page { .. } => {
                "the user interface answered: check the base path; the address is what stands in \
                                  the browser before /search, /trace or /services"
                    .to_owned()
            }
            Self::Redirected(_) => {
                "credentials are not carried to another address: name that one if it is right, \
                                    or log in with --bearer-token-file if it is a log-in page"
                    .to_owned()
            }
            Self::NotThisApi { .. } => {
                "check that the address is that of the flag's backend, and the port".to_owned()
            }
            Self::TooLarge(_) => "raise the bound with --max-record, or ask for less with --since".to_owned(),
            Self::NoService { similar: Some(similar), .. } => format!("did you mean `{similar}`?"),
            Self::NoService { known, .. } if known.is_empty() => {
                "it knows no service at all: does anything export to it?".to_owned()
            }
            Self::NoService { known, .. } => format!("it knows {}", known.join(", ")),
            Self::Unaskable(_) => "leave it out, or write it another way".to_owned(),
            Self::GaveUp { last, .. } => last.help(),
        }
    }
}

fn tls_help(reason: &str) -> &'static str {
    let reason = reason.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if has(&["expired", "not valid yet", "notvalidyet"]) {
        return "renew the certificate, or set this machine's clock";
    }
    if has(&["unknownissuer", "unknown issuer", "self-signed", "caused by other", "not trusted"]) {
        return "name the certificate of its authority in SSL_CERT_FILE, or believe it unseen with --insecure";
    }
    if has(&["not valid for name", "notvalidforname"]) {
        return "use the name that the certificate is for";
    }
    if has(&["corrupt message", "invalidcontenttype", "invalid content type", "handshake eof"]) {
        return "this port may speak no TLS: write http:// in place of https://";
    }
    "check the address and the certificate; --insecure believes it unseen"
}
