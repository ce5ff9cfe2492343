//! The structural scan: finds where JSON text can be cut, in one pass, without recursion and
//! without looking at more than brackets, strings and keys.

use memchr::{memchr, memchr3};

use super::JsonFraming;

/// Where the scanned text can be cut.
pub(super) enum Found {
    /// Nowhere yet.
    Nothing,
    /// Behind the last value at the top, or where a damaged value gives way to a new one.
    Top(usize),
    /// Between two elements of an array that may be cut.
    Inside(usize),
    /// The bracket at this index is nested too deeply.
    TooDeep(usize),
}

/// An open container on a path along which documents may be cut.
#[derive(Clone, Copy, Debug)]
struct Frame {
    is_array: bool,
    /// An object with nothing but objects around it.
    is_wrapper: bool,
    /// Length of the replay text before the key of this container.
    replay_before: usize,
    /// The latest key with its quotes; `(0, 0)` when it is not in the buffer.
    key: (usize, usize),
    /// Bit `i`: the member that rule `i` needs is complete.
    needs_seen: u32,
    /// A member was met behind which the object must not be cut.
    is_indivisible: bool,
    /// The rules from this one on are for arrays inside of it.
    first_rule: usize,
}

/// The state of the scan. All indexes are into the buffer of the splitter.
#[derive(Debug)]
pub(super) struct Scanner {
    max_depth: usize,
    at: usize,
    frames: Vec<Frame>,
    /// Closing brackets of the open containers below the frames, which cannot be cut.
    opaque: Vec<u8>,
    /// Start of the string that is open.
    string: Option<usize>,
    /// Last byte outside strings that is not white space; `"` for a string.
    last: u8,
    /// A bracket did not match: nothing is known until a line begins a new value.
    broken: bool,
    /// The text that opens `frames` again with what their elements cannot be understood without.
    replay: Vec<u8>,
    top_cut: Option<usize>,
    inside_cut: Option<usize>,
    /// `frames` and `replay` at `inside_cut`.
    saved_frames: Vec<Frame>,
    saved_replay: Vec<u8>,
    /// Up to here `saved_replay` equals `replay`.
    saved_len: usize,
}

impl Scanner {
    pub(super) const fn new(max_depth: usize) -> Self {
        Self {
            max_depth,
            at: 0,
            frames: Vec::new(),
            opaque: Vec::new(),
            string: None,
            last: 0,
            broken: false,
            replay: Vec::new(),
            top_cut: None,
            inside_cut: None,
            saved_frames: Vec::new(),
            saved_replay: Vec::new(),
            saved_len: 0,
        }
    }

    /// Whether nothing of a block that begins at the top was scanned yet.
    pub(super) const fn at_block_start(&self) -> bool {
        self.at == 0
    }

    /// Length of the replay text at the latest cut inside.
    pub(super) const fn replay_len(&self) -> usize {
        self.saved_replay.len()
    }

    /// Goes to the beginning of a buffer that starts at the top.
    pub(super) fn restart(&mut self) {
        self.forget();
        self.at = 0;
        self.top_cut = None;
        self.inside_cut = None;
        self.saved_replay.clear();
    }

    /// Goes to the beginning of a buffer that starts where the latest cut inside was made; returns
    /// the text that the buffer has to begin with.
    pub(super) fn resume_inside(&mut self) -> &[u8] {
        self.forget();
        self.frames.clone_from(&self.saved_frames);
        for frame in &mut self.frames {
            // Indexes into the buffer that is gone.
            frame.key = (0, 0);
        }
        self.replay.clone_from(&self.saved_replay);
        self.saved_len = self.replay.len();
        self.at = self.replay.len();
        self.inside_cut = None;
        self.last = b',';
        &self.replay
    }

    /// Appends the brackets that close what is open after [`Self::resume_inside`].
    pub(super) fn push_closing(&self, to: &mut Vec<u8>) -> usize {
        to.extend(self.frames.iter().rev().map(|frame| if frame.is_array { b']' } else { b'}' }));
        self.frames.len()
    }

    fn forget(&mut self) {
        self.frames.clear();
        self.opaque.clear();
        self.string = None;
        self.last = 0;
        self.broken = false;
        self.replay.clear();
        self.saved_len = 0;
    }

    /// Scans what was added to the buffer since the last call.
    pub(super) fn scan(&mut self, bytes: &[u8], rules: &JsonFraming) -> Found {
        while self.at < bytes.len() {
            let waits = if self.broken {
                self.skip_broken(bytes)
            } else if self.string.is_some() {
                self.skip_string(bytes)
            } else {
                match self.structure(bytes, rules) {
                    Ok(waits) => waits,
                    Err(at) => return Found::TooDeep(at),
                }
            };
            if waits {
                break;
            }
        }
        match (self.top_cut, self.inside_cut) {
            (Some(at), _) => Found::Top(at),
            (None, Some(at)) => Found::Inside(at),
            (None, None) => Found::Nothing,
        }
    }

    /// Takes one byte outside strings. Returns whether more bytes are needed to go on, or the index
    /// of a bracket that is too deep.
    fn structure(&mut self, bytes: &[u8], rules: &JsonFraming) -> Result<bool, usize> {
        let byte = bytes[self.at];
        match byte {
            b'\n' if self.depth() > 0 => return Ok(self.newline(bytes)),
            b' ' | b'\t' | b'\r' | b'\n' | 0 | 0x1e => {
                if self.depth() == 0 {
                    self.top_cut = Some(self.at + 1);
                }
                self.at += 1;
                return Ok(false);
            }
            b'"' => {
                self.string = Some(self.at);
                self.at += 1;
                return Ok(false);
            }
            b'{' => self.open(bytes, rules, b'}')?,
            b'[' => self.open(bytes, rules, b']')?,
            b'}' | b']' => self.close(byte),
            b',' => self.member_ends(bytes, rules),
            _ => {}
        }
        self.last = byte;
        self.at += 1;
        Ok(false)
    }

    fn depth(&self) -> usize {
        self.frames.len() + self.opaque.len()
    }

    fn skip_string(&mut self, bytes: &[u8]) -> bool {
        let Some(found) = memchr3(b'"', b'\\', b'\n', &bytes[self.at..]) else {
            self.at = bytes.len();
            return true;
        };
        self.at += found;
        match bytes[self.at] {
            b'\n' => return self.newline(bytes),
            b'\\' if self.at + 1 == bytes.len() => return true,
            b'\\' => self.at += 2,
            _ => self.string_ends(),
        }
        false
    }

    fn string_ends(&mut self) {
        let start = self.string.take().unwrap_or(self.at);
        let is_key = matches!(self.last, b'{' | b',');
        self.last = b'"';
        self.at += 1;
        if !self.opaque.is_empty() || !is_key {
            return;
        }
        if let Some(object) = self.frames.last_mut().filter(|frame| !frame.is_array) {
            object.key = (start, self.at);
        }
    }

    /// Notes which member of an object on the path is complete, and keeps it for the replay if others
    /// cannot be understood without it.
    fn member_ends(&mut self, bytes: &[u8], rules: &JsonFraming) {
        if !self.opaque.is_empty() {
            return;
        }
        let Some(object) = self.frames.last_mut().filter(|frame| !frame.is_array) else {
            return;
        };
        // Taken, because in damaged JSON a second comma may follow.
        let (start, end) = std::mem::take(&mut object.key);
        let key = key_text(bytes, (start, end));
        object.is_indivisible |= rules.indivisible.iter().any(|member| member.as_bytes() == key);
        for (index, rule) in rules.arrays.iter().enumerate().take(32) {
            if rule.needs.is_some_and(|needs| needs.as_bytes() == key) {
                object.needs_seen |= 1 << index;
            }
        }
        if rules.context.iter().any(|context| context.as_bytes() == key) {
            self.replay.extend_from_slice(&bytes[start..=self.at]);
        }
    }

    fn open(&mut self, bytes: &[u8], rules: &JsonFraming, closer: u8) -> Result<(), usize> {
        if self.depth() >= self.max_depth {
            return Err(self.at);
        }
        let is_array = closer == b']';
        let Some(first_rule) = self.path_rule(bytes, rules, is_array) else {
            self.opaque.push(closer);
            return Ok(());
        };
        let is_wrapper = !is_array && self.frames.last().is_none_or(|parent| parent.is_wrapper);
        let parent = self.frames.last().filter(|parent| !parent.is_array);
        let from = parent.map_or(self.at, |parent| parent.key.0);
        self.frames.push(Frame {
            is_array,
            is_wrapper,
            replay_before: self.replay.len(),
            key: (0, 0),
            needs_seen: 0,
            is_indivisible: false,
            first_rule,
        });
        self.replay.extend_from_slice(&bytes[from..=self.at]);
        Ok(())
    }

    /// The first rule for arrays inside the container that begins here; `None` when a document must not
    /// be cut inside of it.
    fn path_rule(&self, bytes: &[u8], rules: &JsonFraming, is_array: bool) -> Option<usize> {
        if !self.opaque.is_empty() {
            return None;
        }
        let Some(parent) = self.frames.last() else {
            return (!is_array || rules.top_level_arrays).then_some(0);
        };
        let is_on_path = match (parent.is_array, is_array) {
            (true, true) => self.frames.len() == 1 && rules.top_level_arrays,
            (true, false) => true,
            (false, _) if self.last != b':' || !may_divide(bytes, rules, parent) => false,
            (false, false) => parent.is_wrapper,
            (false, true) => return rule_of_array(bytes, rules, parent).map(|rule| rule + 1),
        };
        is_on_path.then_some(parent.first_rule)
    }

    fn close(&mut self, byte: u8) {
        if let Some(expected) = self.opaque.pop() {
            self.broken = expected != byte;
        } else if let Some(frame) = self.frames.pop() {
            self.broken = frame.is_array != (byte == b']');
            self.replay.truncate(frame.replay_before);
            self.saved_len = self.saved_len.min(frame.replay_before);
        }
        if !self.broken && self.opaque.is_empty() {
            self.value_ends();
        }
    }

    fn value_ends(&mut self) {
        let end = self.at + 1;
        match self.frames.last() {
            None => self.top_cut = Some(end),
            Some(parent) if parent.is_array && self.top_cut.is_none() => {
                self.inside_cut = Some(end);
                self.saved_frames.clone_from(&self.frames);
                self.saved_replay.truncate(self.saved_len);
                self.saved_replay.extend_from_slice(&self.replay[self.saved_len..]);
                self.saved_len = self.replay.len();
            }
            Some(_) => {}
        }
    }

    /// Looks at a newline inside a value: a line that begins a value where none can stand is the
    /// next record after a damaged one.
    fn newline(&mut self, bytes: &[u8]) -> bool {
        let begins_value = match bytes.get(self.at + 1..).unwrap_or_default() {
            [] => return true,
            // A string may hold unescaped line breaks, so a bracket alone proves nothing there.
            [b'{'] if self.string.is_some() => return true,
            [b'{', next, ..] if self.string.is_some() => *next == b'"',
            [first, ..] => matches!(first, b'{' | b'[') && self.string.is_none(),
        };
        if begins_value && !self.value_may_follow() {
            self.forget();
            self.top_cut = Some(self.at + 1);
        }
        self.at += 1;
        false
    }

    fn value_may_follow(&self) -> bool {
        if self.string.is_some() || self.broken {
            return false;
        }
        let in_array = match self.opaque.last() {
            Some(closer) => *closer == b']',
            None => self.frames.last().is_some_and(|frame| frame.is_array),
        };
        if in_array { matches!(self.last, b'[' | b',') } else { self.last == b':' }
    }

    fn skip_broken(&mut self, bytes: &[u8]) -> bool {
        let Some(found) = memchr(b'\n', &bytes[self.at..]) else {
            self.at = bytes.len();
            return true;
        };
        self.at += found;
        self.newline(bytes)
    }
}

/// Whether a cut may be made inside the member of this object that begins here.
fn may_divide(bytes: &[u8], rules: &JsonFraming, object: &Frame) -> bool {
    let key = key_text(bytes, object.key);
    object.key != (0, 0)
        && !object.is_indivisible
        && rules.indivisible.iter().all(|member| member.as_bytes() != key)
}

/// The rule for the array that begins here in this object, if it may be cut.
fn rule_of_array(bytes: &[u8], rules: &JsonFraming, object: &Frame) -> Option<usize> {
    let key = key_text(bytes, object.key);
    let mut candidates = rules.arrays.iter().enumerate().take(32).skip(object.first_rule);
    let found = candidates.find(|(index, rule)| {
        rule.key.as_bytes() == key && (rule.needs.is_none() || object.needs_seen & (1 << index) != 0)
    });
    found.map(|(index, _)| index)
}

fn key_text(bytes: &[u8], (start, end): (usize, usize)) -> &[u8] {
    bytes.get(start + 1..end.saturating_sub(1)).unwrap_or_default()
}

const NO_CUTS: JsonFraming =
    JsonFraming { arrays: &[], context: &[], indivisible: &[], top_level_arrays: false };

/// Whether the first line with text is one complete JSON container, `None` while that line is not
/// complete.
pub(super) fn first_line_is_value(bytes: &[u8]) -> Option<bool> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let end = start + memchr(b'\n', &bytes[start..])?;
    let line = bytes[start..end].trim_ascii_end();
    let mut scanner = Scanner::new(usize::MAX);
    let found = scanner.scan(line, &NO_CUTS);
    Some(matches!(found, Found::Top(end) if end == line.len()) && matches!(line[0], b'{' | b'['))
}
