//! Opens inputs and takes one layer of compression off, told from the bytes and not from the name.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::{Input, InputKind, SourceError};
use crate::formats::{Limit, Limits};

/// Bytes at the beginning that formats are told from.
const HEAD_BYTES: usize = 64 << 10;

/// A decoder that meets damage may lose what it decoded in the same call, so calls are short.
const DECODE_BYTES: usize = 16 << 10;

const GZIP_MAGIC: &[u8] = b"\x1f\x8b";
const ZSTD_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

/// How an input is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
}

impl Compression {
    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    fn of(head: &[u8]) -> Option<Self> {
        if head.starts_with(GZIP_MAGIC) {
            return Some(Self::Gzip);
        }
        head.starts_with(ZSTD_MAGIC).then_some(Self::Zstd)
    }
}

/// What is wrong with a compressed stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It ends too early.
    Cut,
    /// It cannot be decompressed on; the text is what the decoder says.
    Corrupt(String),
}

/// A problem that ends an input; travels inside an [`io::Error`] behind all bytes before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadProblem {
    /// The compressed stream is damaged.
    #[error("{}", match .0 { Damage::Cut => "compressed data is cut", Damage::Corrupt(reason) => reason })]
    Damaged(Damage),
    /// [`Limits::max_decompressed`] was reached.
    #[error("{}", Limit::Decompressed.as_str())]
    TooLong,
}

impl ReadProblem {
    /// The problem that an error carries.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// An open input; reading it gives decompressed bytes from the beginning.
pub struct Opened<'s> {
    /// The first decompressed bytes, up to 64 KiB. They are read again from the stream.
    pub head: Vec<u8>,
    /// How it is compressed.
    pub compression: Option<Compression>,
    /// Whether it can be opened again and gives the same bytes.
    pub repeatable: bool,
    /// Bytes on disk.
    pub file_size: Option<u64>,
    /// Bytes that were read so far, as stored.
    pub stored: StoredBytes,
    replay: Cursor<Vec<u8>>,
    /// Met while the head was read.
    problem: Option<io::Error>,
    stream: Box<dyn Read + Send + 's>,
}

impl std::fmt::Debug for Opened<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Opened")
            .field("compression", &self.compression)
            .field("repeatable", &self.repeatable)
            .field("file_size", &self.file_size)
            .finish_non_exhaustive()
    }
}

impl Read for Opened<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let len = self.replay.read(into)?;
        if len > 0 {
            return Ok(len);
        }
        if !self.replay.get_ref().is_empty() {
            self.replay = Cursor::default();
        }
        self.problem.take().map_or_else(|| self.stream.read(into), Err)
    }
}

/// Counts bytes as they are stored, before any decompression.
#[derive(Clone, Debug, Default)]
pub struct StoredBytes(Arc<AtomicU64>);

impl StoredBytes {
    /// How many were read so far.
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Counted<'s> {
    stream: Box<dyn Read + Send + 's>,
    stored: StoredBytes,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.stream.read(into)?;
        self.stored.0.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}

/// Opens an input and reads its first bytes.
pub fn open(input: &Input, limits: &Limits) -> Result<Opened<'static>, SourceError> {
    let path = match &input.kind {
        InputKind::Stdin => return open_stream(input, Box::new(io::stdin()), limits),
        InputKind::Memory(bytes) => {
            let mut opened = open_stream(input, Box::new(*bytes), limits)?;
            opened.repeatable = true;
            opened.file_size = Some(bytes.len() as u64);
            return Ok(opened);
        }
        InputKind::Backend(_) => return Err(SourceError::io(&input.path, io::ErrorKind::Unsupported.into())),
        InputKind::File(path) => path,
    };
    let failed = |error| SourceError::io(&input.path, error);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    let mut opened = open_stream(input, Box::new(file), limits)?;
    opened.repeatable = metadata.is_file();
    opened.file_size = metadata.is_file().then_some(metadata.len());
    Ok(opened)
}

/// Like [`open`], for bytes from anywhere; they cannot be read a second time.
pub fn open_stream<'s>(
    input: &Input,
    stream: Box<dyn Read + Send + 's>,
    limits: &Limits,
) -> Result<Opened<'s>, SourceError> {
    let mut magic = Vec::with_capacity(ZSTD_MAGIC.len());
    let stored = StoredBytes::default();
    let mut stream = Counted { stream, stored: stored.clone() };
    let read = stream.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic);
    read.map_err(|error| SourceError::io(&input.path, error))?;
    let compression = Compression::of(&magic);
    let whole = Cursor::new(magic).chain(stream);
    let stream = decompressed(whole, compression, limits.max_decompressed)
        .map_err(|error| SourceError::io(&input.path, error))?;
    let mut opened = Opened {
        head: Vec::new(),
        compression,
        repeatable: false,
        file_size: None,
        stored,
        replay: Cursor::default(),
        problem: None,
        stream,
    };
    let mut head = Vec::new();
    opened.problem = opened.stream.as_mut().take(HEAD_BYTES as u64).read_to_end(&mut head).err();
    opened.replay = Cursor::new(head.clone());
    opened.head = head;
    Ok(opened)
}

fn decompressed<'s>(
    stream: impl Read + Send + 's,
    compression: Option<Compression>,
    max_bytes: u64,
) -> io::Result<Box<dyn Read + Send + 's>> {
    let decoder: Box<dyn Read + Send + 's> = match compression {
        None => return Ok(Box::new(stream)),
        Some(Compression::Gzip) => {
            Box::new(MultiGzDecoder::new(BufReader::with_capacity(DECODE_BYTES, stream)))
        }
        Some(Compression::Zstd) => {
            Box::new(zstd::Decoder::with_buffer(BufReader::with_capacity(DECODE_BYTES, stream))?)
        }
    };
    Ok(Box::new(Guarded { decoder, left: max_bytes, ended: false }))
}

/// Bounds what a decoder gives and says what its errors mean.
struct Guarded<'s> {
    decoder: Box<dyn Read + Send + 's>,
    left: u64,
    ended: bool,
}

impl Read for Guarded<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.ended || into.is_empty() {
            return Ok(0);
        }
        let len = into.len().min(DECODE_BYTES).min(self.left.max(1) as usize);
        let result = self.decoder.read(&mut into[..len]).map_err(explain);
        self.ended = match &result {
            Ok(len) => *len == 0,
            Err(error) => error.kind() != io::ErrorKind::Interrupted,
        };
        let len = result?;
        if len as u64 > self.left {
            self.ended = true;
            return Err(io::Error::other(ReadProblem::TooLong));
        }
        self.left -= len as u64;
        Ok(len)
    }
}

/// Tells damage in the compressed data from a disk or pipe that fails.
fn explain(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Interrupted {
        return error;
    }
    let damage = match error.kind() {
        io::ErrorKind::UnexpectedEof => Damage::Cut,
        _ => Damage::Corrupt(error.to_string()),
    };
    io::Error::other(ReadProblem::Damaged(damage))
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write as _;

    use super::*;

    pub(in crate::sources) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    pub(in crate::sources) fn zstd(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    pub(in crate::sources) fn file(bytes: &[u8]) -> (tempfile::NamedTempFile, Input) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let kind = InputKind::File(file.path().to_owned());
        (file, Input { path: "given".to_owned(), kind, named: true })
    }

    /// Lines that do not compress away.
    pub(in crate::sources) fn lines(count: u64) -> Vec<u8> {
        let line = |id: u64| format!("{{\"id\":\"{:016x}\"}}\n", id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (0..count).flat_map(|id| line(id).into_bytes()).collect()
    }

    fn read(bytes: &[u8], limits: &Limits) -> (Opened<'static>, Vec<u8>, Option<io::Error>) {
        let (_file, input) = file(bytes);
        let mut opened = open(&input, limits).unwrap();
        let mut all = Vec::new();
        let error = opened.read_to_end(&mut all).err();
        (opened, all, error)
    }

    #[test]
    fn plain_gzip_and_zstd_give_the_same_bytes() {
        let bytes = lines(10_000);
        let (half, rest) = bytes.split_at(100_001);
        let cases = [
            (None, bytes.clone()),
            (Some(Compression::Gzip), [gzip(half), gzip(b""), gzip(rest)].concat()),
            (Some(Compression::Zstd), [zstd(half), zstd(b""), zstd(rest)].concat()),
        ];
        for (compression, stored) in cases {
            let (opened, all, error) = read(&stored, &Limits::default());
            assert!(error.is_none(), "{error:?}");
            assert_eq!(opened.compression, compression);
            assert!(all == bytes);
            assert!(opened.head == bytes[..HEAD_BYTES]);
            assert_eq!(opened.file_size, Some(stored.len() as u64));
            assert!(opened.repeatable);
        }
    }

    #[test]
    fn a_cut_stream_gives_what_is_before_the_cut() {
        let bytes = lines(20_000);
        for stored in [gzip(&bytes), zstd(&bytes)] {
            let (_, all, error) = read(&stored[..stored.len() / 2], &Limits::default());
            let problem = error.as_ref().and_then(ReadProblem::of);
            assert_eq!(problem, Some(&ReadProblem::Damaged(Damage::Cut)));
            assert!(all.len() > bytes.len() / 4 && bytes.starts_with(&all), "{}", all.len());
        }
    }

    #[test]
    fn a_corrupt_stream_gives_what_is_before_the_damage() {
        let bytes = lines(20_000);
        for stored in [gzip(&bytes), zstd(&bytes)] {
            let mut damaged = stored.clone();
            let middle = damaged.len() / 2;
            damaged[middle..middle + 64].fill(0xff);
            let (_, all, error) = read(&damaged, &Limits::default());
            let problem = error.as_ref().and_then(ReadProblem::of);
            assert!(matches!(problem, Some(ReadProblem::Damaged(_))), "{error:?}");
            assert!(!all.is_empty());
        }
    }

    #[test]
    fn a_bomb_is_ended_by_the_limit() {
        let zeros = vec![0_u8; 50 << 20];
        let limits = Limits { max_decompressed: 1 << 20, ..Limits::default() };
        for stored in [gzip(&zeros), zstd(&zeros)] {
            let (_, all, error) = read(&stored, &limits);
            assert_eq!(error.as_ref().and_then(ReadProblem::of), Some(&ReadProblem::TooLong));
            assert_eq!(all.len(), 1 << 20);
        }
        let exact = Limits { max_decompressed: 50 << 20, ..Limits::default() };
        assert!(read(&gzip(&zeros), &exact).2.is_none());
    }

    #[test]
    fn short_and_missing_files() {
        for bytes in [&b""[..], b"\x1f", b"{}"] {
            let (opened, all, error) = read(bytes, &Limits::default());
            assert!(error.is_none() && all == bytes && opened.head == bytes);
        }
        let missing = Input { path: "x".to_owned(), kind: InputKind::File("/nowhere/x".into()), named: true };
        assert!(open(&missing, &Limits::default()).is_err());
        let folder = Input { path: "/".to_owned(), kind: InputKind::File("/".into()), named: true };
        assert!(open(&folder, &Limits::default()).unwrap_err().to_string().contains("folder"));
    }

    #[test]
    fn memory_can_be_read_again_and_streams_cannot() {
        let input = Input { path: "demo".to_owned(), kind: InputKind::Memory(b"{}"), named: true };
        assert!(open(&input, &Limits::default()).unwrap().repeatable);
        assert!(!open_stream(&input, Box::new(&b"{}"[..]), &Limits::default()).unwrap().repeatable);
    }

    #[test]
    fn counts_bytes_as_they_are_stored() {
        let stored = gzip(&lines(1000));
        let (_file, input) = file(&stored);
        assert_eq!(input.size(), Some(stored.len() as u64));
        let mut opened = open(&input, &Limits::default()).unwrap();
        let counter = opened.stored.clone();
        io::copy(&mut opened, &mut io::sink()).unwrap();
        assert_eq!(counter.read(), stored.len() as u64);
    }
}
