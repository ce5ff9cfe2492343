//! How a stream of bytes is cut into blocks that end at record borders, so that blocks can be
//! decoded on all cores and no document has to be held in memory.

pub(super) mod log_lines;
mod scan;

use std::io::{self, Read};

use super::json::{is_object_line, log_prefix};
use super::table::{dialect, header_len, record_len};
use super::{Block, Limit, Limits};
use log_lines::LogLines;
use scan::{Found, Scanner};

/// Own bytes of a block, as a target: a record that crosses it makes the block longer. The raw
/// bytes and what is decoded from them together stay in the second-level cache of one core.
pub const BLOCK_BYTES: usize = 1 << 20;

/// The kind of framing a format has.
#[derive(Clone, Copy, Debug)]
pub enum Framing {
    /// JSON values: one, or many after the other.
    Json(&'static JsonFraming),
    /// Frames with a 4-byte big-endian length in front (Collector file exporter, `format: proto`).
    LengthPrefixed,
    /// Protobuf messages, each with its length as a varint in front (`writeDelimitedTo`).
    VarintPrefixed,
    /// A table with a header record, which every block begins with.
    Table,
    /// One protobuf message whose top-level fields can be decoded one by one.
    ProtobufFields,
}

impl Framing {
    /// Whether people can read such an input, so that a line number helps them.
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Json(_) | Self::Table)
    }
}

/// Where a JSON document may be cut.
#[derive(Debug)]
pub struct JsonFraming {
    /// Arrays, named by the key they stand under, between whose elements a cut may be made. Inside of
    /// one of them only those behind it in this list are cut. At most 32.
    pub arrays: &'static [ArrayRule],
    /// Members that the elements of these arrays cannot be understood without: after a cut they are
    /// repeated. Every other member is given out once.
    pub context: &'static [&'static str],
    /// Members that others of their object cannot be understood without, and that are too many to be
    /// repeated: an object that has one is not cut inside of it or behind it.
    pub indivisible: &'static [&'static str],
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

/// Why no further block follows. Everything that was read before has been given out as blocks.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// The reader failed.
    #[error("reading stopped at byte {position}: {source}")]
    Io {
        /// How many bytes were read before.
        position: u64,
        /// What the reader said.
        source: io::Error,
    },
    /// A bound was reached. When it is [`Limit::Depth`], the last block ends with the bracket that
    /// is too deep, so that a decoder with the same limits meets and names it as well.
    #[error("{} at byte {position}", limit.as_str())]
    Limit {
        /// Where: the bracket that is too deep, or the first byte of the record that is too long.
        position: u64,
        /// Which.
        limit: Limit,
    },
}

/// Cuts a stream of bytes into blocks.
///
/// The own bytes of all blocks are the input without gap or overlap, with two exceptions: where a
/// document was cut between two elements of an array, the comma between them is a space. Of a log,
/// lines are put right within their bytes, see `log_lines`.
#[derive(Debug)]
pub struct Splitter {
    framing: Framing,
    max_record: usize,
    block_bytes: usize,
    /// The next block: a replayed prefix, then own bytes.
    buffer: Vec<u8>,
    /// Length of the replayed prefix.
    replayed: usize,
    /// Position in the input of the first own byte.
    offset: u64,
    /// Own bytes to read before a cut is looked for.
    target: usize,
    ended: bool,
    stop: Option<SplitError>,
    scanner: Scanner,
    /// Buffers of blocks that are done with: new memory costs a page fault every 4 KiB.
    spare: Vec<Vec<u8>>,
    /// How the lines of JSON look, once the first that tells it was seen.
    lines: Option<Lines>,
    /// The buffer begins between two elements and the comma was not met yet.
    comma_due: bool,
    /// The header of a table, once it is complete.
    header: Option<Vec<u8>>,
    /// Undoes what a container runtime puts before the lines of JSON.
    logs: LogLines,
    /// How many lines that was since the latest block.
    undone: u64,
}

/// What the lines of JSON are.
#[derive(Clone, Copy, Debug)]
enum Lines {
    /// Each is a value.
    Values,
    /// Each is a value behind the prefix of a log, so a value ends with its line.
    Prefixed,
    /// Values have as many lines as they like.
    None,
}

/// What to do with the buffer.
enum Step {
    /// Give out the own bytes up to this index of the buffer; the rest begins a new record.
    Cut(usize),
    /// As above, but the cut is between two elements of an open array.
    CutInside(usize),
    /// Give out the own bytes up to this index; the rest begins with the header again.
    CutRow(usize),
    /// Read until there are this many own bytes.
    Read(usize),
    /// Give out the bytes up to this index and end with this limit at the position of the second.
    Stop(usize, usize, Limit),
    /// No border can be found any more: what follows is one record.
    Unframed,
}

impl Splitter {
    /// A splitter at the beginning of an input.
    pub fn new(framing: Framing, limits: &Limits) -> Self {
        Self::with_block_bytes(framing, limits, BLOCK_BYTES)
    }

    /// A splitter whose blocks have about this many own bytes, in place of [`BLOCK_BYTES`]: with few,
    /// a small input meets every kind of cut.
    pub fn with_block_bytes(framing: Framing, limits: &Limits, block_bytes: usize) -> Self {
        Self {
            framing,
            max_record: limits.max_record,
            block_bytes,
            buffer: Vec::new(),
            replayed: 0,
            offset: 0,
            target: block_bytes,
            ended: false,
            stop: None,
            scanner: Scanner::new(limits.max_depth),
            spare: Vec::new(),
            lines: None,
            comma_due: false,
            header: None,
            logs: LogLines::default(),
            undone: 0,
        }
    }

    /// The next block, `None` at the end. After an error there are no further blocks.
    ///
    /// Reads until a block is full, so the blocks do not depend on how the reader cuts its bytes.
    pub fn next_block(&mut self, reader: &mut dyn Read) -> Result<Option<Block>, SplitError> {
        loop {
            self.fill(reader);
            if self.own_len() == 0 {
                return self.stop.take().map_or(Ok(None), Err);
            }
            if self.ended {
                return Ok(Some(self.take_rest()));
            }
            match self.step() {
                Step::Cut(end) => return Ok(Some(self.take_until(end))),
                Step::CutInside(end) => return Ok(Some(self.take_inside(end))),
                Step::CutRow(end) => return Ok(Some(self.take_rows(end))),
                Step::Read(own) => self.target = own.max(self.own_len() + 1),
                Step::Stop(end, at, limit) => {
                    self.stop_at(end, at, limit);
                    if self.own_len() > 0 {
                        return Ok(Some(self.take_rest()));
                    }
                }
                Step::Unframed if self.own_len() > self.max_record => {
                    self.stop_at(self.buffer.len(), self.replayed, Limit::Record);
                }
                Step::Unframed => self.target = self.own_len() + self.block_bytes,
            }
        }
    }

    /// Takes the buffer of a block back.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        // A giant record must not stay in memory for good.
        if buffer.capacity() <= 4 * self.block_bytes {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// An empty buffer for the next block.
    fn next_buffer(&mut self, begins_with: usize) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.reserve_exact(begins_with + self.block_bytes);
        buffer
    }

    fn own_len(&self) -> usize {
        self.buffer.len() - self.replayed
    }

    fn fill(&mut self, reader: &mut dyn Read) {
        let missing = self.target.saturating_sub(self.own_len());
        if self.ended || missing == 0 {
            return;
        }
        self.read_to(reader, missing);
        if !self.logs.is_known() && matches!(self.framing, Framing::Json(_)) {
            self.logs.look_at(&self.buffer);
            if self.logs.is_log() {
                *self.logs.waiting() = std::mem::take(&mut self.buffer);
            }
        }
        if self.logs.is_log() {
            self.settle_lines(reader);
        }
        self.blank_comma();
    }

    /// Reads until there are as many bytes as wanted, or the input ends.
    fn read_to(&mut self, reader: &mut dyn Read, missing: usize) {
        let into = if self.logs.is_log() { self.logs.waiting() } else { &mut self.buffer };
        // A hostile length must not reserve more than is really there.
        into.reserve_exact(missing.min(self.block_bytes));
        match reader.take(missing as u64).read_to_end(into) {
            Ok(read) => self.ended = read < missing,
            Err(source) => {
                self.ended = true;
                let read = self.own_len() + self.logs.waiting().len();
                self.stop = Some(SplitError::Io { position: self.offset + read as u64, source });
            }
        }
    }

    /// Reads on while all there is are parts of a line.
    fn settle_lines(&mut self, reader: &mut dyn Read) {
        loop {
            let is_last = self.ended || self.logs.waiting().len() > self.max_record;
            self.undone += self.logs.settle(&mut self.buffer, is_last);
            if is_last || self.own_len() >= self.target {
                return;
            }
            self.read_to(reader, self.target - self.own_len());
        }
    }

    /// Replaces the comma at which the document was cut, which must not follow the replayed `[`.
    fn blank_comma(&mut self) {
        if !self.comma_due {
            return;
        }
        let own = &mut self.buffer[self.replayed..];
        let Some(first) = own.iter_mut().find(|byte| !byte.is_ascii_whitespace()) else {
            return;
        };
        if *first == b',' {
            *first = b' ';
        }
        self.comma_due = false;
    }

    fn stop_at(&mut self, end: usize, at: usize, limit: Limit) {
        let position = self.offset + (at - self.replayed) as u64;
        self.buffer.truncate(end);
        self.ended = true;
        self.stop = Some(SplitError::Limit { position, limit });
    }

    fn step(&mut self) -> Step {
        match self.framing {
            Framing::Json(rules) => self.json_step(rules),
            Framing::LengthPrefixed => self.frames_step(length_prefixed_end),
            Framing::VarintPrefixed => self.frames_step(varint_prefixed_end),
            Framing::Table => self.table_step(),
            Framing::ProtobufFields => self.frames_step(protobuf_field_end),
        }
    }

    fn json_step(&mut self, rules: &'static JsonFraming) -> Step {
        if self.scanner.at_block_start()
            && let Some(end) = match self.lines() {
                Lines::Values => last_line_border(&self.buffer),
                Lines::Prefixed => memchr::memrchr(b'\n', &self.buffer).map(|newline| newline + 1),
                Lines::None => None,
            }
        {
            return Step::Cut(end);
        }
        match self.scanner.scan(&self.buffer, rules) {
            Found::TooDeep(at) => Step::Stop(at + 1, at, Limit::Depth),
            Found::Top(end) => Step::Cut(end),
            Found::Inside(end) if self.scanner.replay_len() <= self.max_record => Step::CutInside(end),
            _ if self.own_len() > self.max_record => {
                Step::Stop(self.buffer.len(), self.replayed, Limit::Record)
            }
            _ => Step::Read(self.own_len() + self.block_bytes),
        }
    }

    fn lines(&mut self) -> Lines {
        if self.lines.is_none() {
            self.lines = scan::first_line_is_value(&self.buffer)
                .map(|is_value| if is_value { Lines::Values } else { prefixed_lines(&self.buffer) });
        }
        self.lines.unwrap_or(Lines::None)
    }

    fn frames_step(&self, record_end: fn(&[u8]) -> RecordEnd) -> Step {
        let mut at = 0;
        loop {
            match record_end(&self.buffer[at..]) {
                RecordEnd::At(len) if len > self.max_record as u64 => {
                    return Step::Stop(at, at, Limit::Record);
                }
                RecordEnd::At(len) if len <= (self.buffer.len() - at) as u64 => at += len as usize,
                _ if at > 0 => return Step::Cut(at),
                RecordEnd::At(len) => return Step::Read(len as usize),
                RecordEnd::Cut => return Step::Read(self.own_len() + self.block_bytes),
                RecordEnd::Broken => return Step::Unframed,
            }
        }
    }

    /// Cuts behind the last record that is complete.
    fn table_step(&mut self) -> Step {
        if self.header.is_none() {
            self.header = header_len(&self.buffer).map(|end| self.buffer[..end].to_vec());
        }
        let Some(header) = &self.header else {
            return self.read_on();
        };
        let dialect = dialect(header);
        let mut end = header.len();
        while let Some(len) = record_len(&self.buffer[end..], dialect) {
            end += len;
        }
        if end == header.len() { self.read_on() } else { Step::CutRow(end) }
    }

    fn read_on(&self) -> Step {
        if self.own_len() > self.max_record {
            return Step::Stop(self.buffer.len(), self.replayed, Limit::Record);
        }
        Step::Read(self.own_len() + self.block_bytes)
    }

    fn take_rows(&mut self, end: usize) -> Block {
        let mut next = self.header.clone().unwrap_or_default();
        let replayed = next.len();
        next.extend_from_slice(&self.buffer[end..]);
        self.buffer.truncate(end);
        // At least as many own bytes as replayed ones: what is decoded stays linear in the input.
        self.target = self.block_bytes.max(replayed);
        self.take(next, replayed, 0)
    }

    fn take_rest(&mut self) -> Block {
        self.take_until(self.buffer.len())
    }

    fn take_until(&mut self, end: usize) -> Block {
        let mut rest = self.next_buffer(self.buffer.len() - end);
        rest.extend_from_slice(&self.buffer[end..]);
        self.buffer.truncate(end);
        self.scanner.restart();
        self.target = self.block_bytes;
        self.take(rest, 0, 0)
    }

    fn take_inside(&mut self, end: usize) -> Block {
        let mut next = self.next_buffer(self.scanner.replay_len() + self.buffer.len() - end);
        let replay = self.scanner.resume_inside();
        next.extend_from_slice(replay);
        next.extend_from_slice(&self.buffer[end..]);
        let replayed = replay.len();
        self.buffer.truncate(end);
        let closing = self.scanner.push_closing(&mut self.buffer);
        // At least as many own bytes as replayed ones: what is decoded stays linear in the input.
        self.target = self.block_bytes.max(replayed);
        self.comma_due = true;
        let block = self.take(next, replayed, closing);
        self.blank_comma();
        block
    }

    fn take(&mut self, next: Vec<u8>, replayed: usize, closing: usize) -> Block {
        let bytes = std::mem::replace(&mut self.buffer, next);
        let undone = std::mem::take(&mut self.undone);
        let block = Block { bytes, offset: self.offset, replayed: self.replayed, closing, undone };
        self.offset = block.end();
        self.replayed = replayed;
        block
    }
}

/// Lines without a brace tell nothing: a program may say that it starts before it exports.
fn prefixed_lines(bytes: &[u8]) -> Lines {
    let limits = Limits::default();
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let telling =
        lines.find(|line| line.ends_with(b"\n") && line.iter().any(|byte| matches!(byte, b'{' | b'[')));
    match telling.and_then(|line| Some(&line[log_prefix(line)?..])) {
        Some(object) if is_object_line(object, &limits) => Lines::Prefixed,
        _ => Lines::None,
    }
}

/// Behind the last newline after which a line begins like a JSON value does. Inside a value that is
/// printed over several lines there is none such, because its inner lines are indented or close it.
fn last_line_border(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len().checked_sub(1)?;
    while let Some(newline) = memchr::memrchr(b'\n', &bytes[..end]) {
        if matches!(bytes[newline + 1], b'{' | b'[') {
            return Some(newline + 1);
        }
        end = newline;
    }
    None
}

/// Where the record at the beginning of some bytes ends.
enum RecordEnd {
    /// After this many bytes.
    At(u64),
    /// The bytes end before its length is known.
    Cut,
    /// This is no record.
    Broken,
}

fn length_prefixed_end(bytes: &[u8]) -> RecordEnd {
    bytes
        .first_chunk()
        .map_or(RecordEnd::Cut, |length| RecordEnd::At(4 + u64::from(u32::from_be_bytes(*length))))
}

fn varint_prefixed_end(bytes: &[u8]) -> RecordEnd {
    match varint(bytes) {
        Varint::Value(length, len) => length.checked_add(len as u64).map_or(RecordEnd::Broken, RecordEnd::At),
        Varint::Cut => RecordEnd::Cut,
        Varint::Broken => RecordEnd::Broken,
    }
}

fn protobuf_field_end(bytes: &[u8]) -> RecordEnd {
    let (tag, after_tag) = match varint(bytes) {
        Varint::Value(tag, len) => (tag, len),
        Varint::Cut => return RecordEnd::Cut,
        Varint::Broken => return RecordEnd::Broken,
    };
    if tag >> 3 == 0 {
        return RecordEnd::Broken;
    }
    let body = match (tag & 7, varint(&bytes[after_tag..])) {
        (1, _) => Some(8),
        (5, _) => Some(4),
        (0, Varint::Value(_, len)) => Some(len as u64),
        (2, Varint::Value(length, len)) => length.checked_add(len as u64),
        (0 | 2, Varint::Cut) => return RecordEnd::Cut,
        _ => None,
    };
    body.and_then(|body| body.checked_add(after_tag as u64)).map_or(RecordEnd::Broken, RecordEnd::At)
}

/// What begins some bytes that should begin with a varint.
pub(super) enum Varint {
    /// The number and how many bytes it takes.
    Value(u64, usize),
    /// The bytes end inside it.
    Cut,
    /// It is too long for a number of 64 bits.
    Broken,
}

/// Longest varint of 64 bits.
/// Source: <https://protobuf.dev/programming-guides/encoding/#varints>.
const VARINT_BYTES: usize = 10;

/// Reads a varint.
pub(super) fn varint(bytes: &[u8]) -> Varint {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(VARINT_BYTES).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Varint::Value(value, index + 1);
        }
    }
    if bytes.len() < VARINT_BYTES { Varint::Cut } else { Varint::Broken }
}

#[cfg(test)]
mod tests;
