//! Answers, and how they reach the client.

use std::io;
use std::time::Duration;

use serde_json::Value;

use super::{LIFETIME, Wire};
use crate::support::gzip;

/// What is sent back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
    /// The time until the first byte.
    delay: Duration,
    delivery: Delivery,
}

/// How the body travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// At once, with its length.
    Whole,
    /// In chunks of this many bytes.
    Chunked(usize),
    /// With its length, but this many bytes each time.
    Drip { bytes: usize, every: Duration },
    /// The connection is reset after this many bytes of the body.
    Reset { after: usize },
    /// The connection is closed in order after this many bytes, although the length promised more.
    CloseEarly { after: usize },
    /// Not even a status line.
    Never,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            body: body.into(),
            trailers: Vec::new(),
            delay: Duration::ZERO,
            delivery: Delivery::Whole,
        }
    }

    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::new(status, "application/json", value.to_string())
    }

    pub(crate) fn text(status: u16, text: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text)
    }

    /// A page with status 200.
    pub(crate) fn html(page: &str) -> Self {
        Self::new(200, "text/html; charset=utf-8", page)
    }

    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self::new(status, "text/html; charset=utf-8", "").header("Location", location)
    }

    /// What a mux of Go says about a path that it does not know.
    pub(crate) fn page_not_found() -> Self {
        Self::text(404, "404 page not found\n")
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn with_body(mut self, body: &str) -> Self {
        body.as_bytes().clone_into(&mut self.body);
        self
    }

    /// A body of JSON, changed.
    pub(crate) fn with_json(self, change: impl FnOnce(&mut Value)) -> Self {
        let mut body = serde_json::from_slice(&self.body).unwrap();
        change(&mut body);
        self.with_body(&body.to_string())
    }

    /// A header after the body; the body is sent in chunks.
    pub(crate) fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self.header("Trailer", name).delivered(Delivery::Chunked(1 << 14))
    }

    pub(crate) fn delivered(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    pub(crate) fn delayed(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Compressed.
    pub(crate) fn gzip(mut self) -> Self {
        self.body = gzip(&self.body);
        self.header("Content-Encoding", "gzip")
    }

    /// Compressed, and the last bytes of it are missing; the length fits what is sent.
    pub(crate) fn cut_gzip(self, missing: usize) -> Self {
        let mut cut = self.gzip();
        cut.body.truncate(cut.body.len().saturating_sub(missing));
        cut
    }

    /// Sends it and says whether the connection can take another request.
    pub(super) fn send(self, wire: &mut Wire, is_head: bool) -> io::Result<bool> {
        if self.delivery == Delivery::Never {
            wire.pause(LIFETIME)?;
            return Ok(false);
        }
        if !self.delay.is_zero() {
            wire.pause(self.delay)?;
        }
        wire.write(self.head().as_bytes())?;
        if is_head {
            return Ok(true);
        }
        match self.delivery {
            Delivery::Whole => wire.write(&self.body)?,
            Delivery::Chunked(size) => self.send_chunks(wire, size)?,
            Delivery::Drip { bytes, every } => {
                for some in self.body.chunks(bytes) {
                    wire.write(some)?;
                    wire.pause(every)?;
                }
            }
            Delivery::Reset { after } => {
                wire.write(&self.body[..after.min(self.body.len())])?;
                // The client gets what was written before the connection goes.
                wire.pause(Duration::from_millis(20))?;
                wire.reset()?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Delivery::CloseEarly { after } => {
                wire.write(&self.body[..after.min(self.body.len())])?;
                return Ok(false);
            }
            Delivery::Never => {}
        }
        Ok(true)
    }

    fn head(&self) -> String {
        let headers: String =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = match self.delivery {
            Delivery::Chunked(_) => "Transfer-Encoding: chunked".to_owned(),
            _ => format!("Content-Length: {}", self.body.len()),
        };
        format!("HTTP/1.1 {} {}\r\n{headers}{length}\r\n\r\n", self.status, reason(self.status))
    }

    fn send_chunks(&self, wire: &mut Wire, size: usize) -> io::Result<()> {
        for chunk in self.body.chunks(size) {
            wire.write(format!("{:x}\r\n", chunk.len()).as_bytes())?;
            wire.write(chunk)?;
            wire.write(b"\r\n")?;
        }
        let trailers: String =
            self.trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        wire.write(format!("0\r\n{trailers}\r\n").as_bytes())
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
