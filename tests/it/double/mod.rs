//! Doubles of backends: a small HTTP/1.1 server that controls every byte on the wire.
//!
//! A framework would repair what these tests have to break: lengths that lie, connections that end inside
//! an answer, answers that never come. So requests are read and answers are written by hand, one thread for
//! each connection. Every request is kept for assertions. A double ends when it is dropped, and no thread of
//! it waits longer than [`LIFETIME`].

mod answer;
mod faults;
pub(crate) mod jaeger;
pub(crate) mod signoz;
mod store;
mod tests;
mod tls;

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) use answer::{Answer, Delivery};
pub(crate) use faults::{Faulty, When};
pub(crate) use store::{Span, Store};
pub(crate) use tls::Authority;

/// No connection and no pause of a double lasts longer.
const LIFETIME: Duration = Duration::from_secs(60);

/// The longest request line or header line that is read.
const LINE: u64 = 64 * 1024;

/// What gives answers.
pub(crate) trait Handler: Send + Sync + 'static {
    fn answer(&self, request: &Request) -> Answer;
}

impl<F: Fn(&Request) -> Answer + Send + Sync + 'static> Handler for F {
    fn answer(&self, request: &Request) -> Answer {
        self(request)
    }
}

/// A request as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// As on the wire: a path, or a whole URL when the double is used as a proxy.
    pub(crate) target: String,
    /// Without query, percent-decoded.
    pub(crate) path: String,
    /// Decoded, in the order sent.
    pub(crate) query: Vec<(String, String)>,
    /// Names in lower case, in the order sent.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// When it had been read.
    pub(crate) at: Instant,
}

impl Request {
    /// The first value of a query parameter that is not empty.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut values = self.query.iter().filter(|(key, value)| key == name && !value.is_empty());
        values.next().map(|(_, value)| value.as_str())
    }

    /// The first value of a header; the name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Everything that was sent, to search for secrets.
    pub(crate) fn text(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        format!("{} {}\n{:?}\n{body}", self.method, self.target, self.headers)
    }
}

/// A running server.
pub(crate) struct Double {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    handler: Box<dyn Handler>,
    tls: Option<Arc<rustls::ServerConfig>>,
    requests: Mutex<Vec<Request>>,
    streams: Mutex<Vec<TcpStream>>,
    is_stopping: Mutex<bool>,
    stopped: Condvar,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
}

impl Double {
    /// Listens on a free port of the loopback interface.
    pub(crate) fn start(handler: impl Handler) -> Self {
        Self::listen(Box::new(handler), None)
    }

    /// The same behind TLS, with a certificate of this authority.
    pub(crate) fn start_tls(handler: impl Handler, authority: &Authority) -> Self {
        Self::listen(Box::new(handler), Some(authority.server()))
    }

    fn listen(handler: Box<dyn Handler>, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            handler,
            tls,
            requests: Mutex::default(),
            streams: Mutex::default(),
            is_stopping: Mutex::new(false),
            stopped: Condvar::new(),
            in_flight: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        let acceptor = thread::spawn(move || accept(&listener, &accepting));
        Self { address, scheme, shared, acceptor: Some(acceptor) }
    }

    /// Where it listens, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The same place under its name.
    pub(crate) fn url_by_name(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.address.port())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far, in the order in which they had been read.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The requests so far whose path begins like this.
    pub(crate) fn requests_to(&self, path: &str) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.path.starts_with(path));
        requests
    }

    /// How many requests were answered at the same time, at most.
    pub(crate) fn peak(&self) -> usize {
        self.shared.peak.load(Ordering::SeqCst)
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        *self.shared.is_stopping.lock().unwrap() = true;
        self.shared.stopped.notify_all();
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the acceptor, which then sees that it has to stop.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// A port on which nothing listens.
pub(crate) fn refused() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if *shared.is_stopping.lock().unwrap() {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(copy) = stream.try_clone() else { continue };
        shared.streams.lock().unwrap().push(copy);
        let shared = Arc::clone(shared);
        // A client that goes away is what some tests do; there is nobody to tell.
        thread::spawn(move || drop(serve(stream, &shared)));
    }
}

/// Answers one request after the other until either side has enough.
fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(LIFETIME))?;
    stream.set_write_timeout(Some(LIFETIME))?;
    stream.set_nodelay(true)?;
    let socket = stream.try_clone()?;
    let _forget = Forget { address: stream.peer_addr()?, shared };
    let duplex: Box<dyn Duplex> = match &shared.tls {
        None if is_handshake(&stream)? => return refuse(stream, BAD_REQUEST),
        None => Box::new(stream),
        Some(_) if !is_handshake(&stream)? => return refuse(stream, PLAIN_TO_TLS),
        Some(config) => {
            let connection = rustls::ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
            Box::new(rustls::StreamOwned::new(connection, stream))
        }
    };
    let mut wire = Wire { duplex: BufReader::new(duplex), socket, shared };
    while let Some(request) = read_request(&mut wire.duplex)? {
        let is_head = request.method == "HEAD";
        shared.requests.lock().unwrap().push(request.clone());
        let in_flight = shared.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        shared.peak.fetch_max(in_flight, Ordering::SeqCst);
        let may_go_on = shared.handler.answer(&request).send(&mut wire, is_head);
        shared.in_flight.fetch_sub(1, Ordering::SeqCst);
        if !may_go_on? {
            break;
        }
    }
    Ok(())
}

/// What `net/http` of Go says to plain text where it expects TLS, and to TLS where it expects plain text.
const PLAIN_TO_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\n\r\n400 Bad Request";

/// Whether what a client begins with is a record of TLS.
fn is_handshake(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    stream.peek(&mut first)?;
    Ok(first == [0x16])
}

/// Says why, after reading: a socket that is closed with something unread resets the connection.
fn refuse(mut stream: TcpStream, words: &[u8]) -> io::Result<()> {
    let _ = stream.read(&mut [0; 4096])?;
    stream.write_all(words)
}

/// Lets go of the double's copy of a socket, so that it closes when its thread ends.
struct Forget<'s> {
    address: SocketAddr,
    shared: &'s Shared,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let mut streams = self.shared.streams.lock().unwrap();
        streams.retain(|stream| stream.peer_addr().ok() != Some(self.address));
    }
}

trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// One connection: what is read and written, and the socket below it.
struct Wire<'s> {
    duplex: BufReader<Box<dyn Duplex>>,
    socket: TcpStream,
    shared: &'s Shared,
}

impl Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.duplex.get_mut().write_all(bytes)?;
        self.duplex.get_mut().flush()
    }

    /// Waits, unless the double ends first.
    fn pause(&self, time: Duration) -> io::Result<()> {
        let is_stopping = self.shared.is_stopping.lock().unwrap();
        let (is_stopping, _) = self
            .shared
            .stopped
            .wait_timeout_while(is_stopping, time.min(LIFETIME), |is_stopping| !*is_stopping)
            .unwrap();
        if *is_stopping { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }

    /// Makes the coming end of the connection a reset.
    fn reset(&self) -> io::Result<()> {
        socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO))
    }
}

fn read_request(input: &mut BufReader<Box<dyn Duplex>>) -> io::Result<Option<Request>> {
    let line = read_line(input)?;
    if line.is_empty() {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut headers = Vec::new();
    loop {
        let line = read_line(input)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(Ok(0), |(_, value)| value.parse()).map_err(io::Error::other)?;
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    let (path, query) = split_target(target);
    let (method, target, at) = (method.to_owned(), target.to_owned(), Instant::now());
    Ok(Some(Request { method, target, path, query, headers, body, at }))
}

/// A line without its end; empty at the end of the stream.
fn read_line(input: &mut BufReader<Box<dyn Duplex>>) -> io::Result<String> {
    let mut line = String::new();
    input.take(LINE).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Path and query of a request target, decoded.
fn split_target(target: &str) -> (String, Vec<(String, String)>) {
    let target = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
    });
    (decode(path), pairs.collect())
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.filter(|_| first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
