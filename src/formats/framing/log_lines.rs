//! What a container runtime puts before the lines that a program prints, undone in place.
//!
//! One line that is a JSON object by itself is left as it is: [`super::super::json`] steps over what
//! stands before it. Here the lines are put right of which a JSON value needs several: values that are
//! printed over many lines, and long lines that the runtime cut into parts. What follows moves to the
//! front and spaces fill the end, so that no byte is added or taken and blocks still tell where in the
//! input they stand.
//!
//! Sources: Kubernetes, `pkg/kubelet/kuberuntime/logs/logs.go` (`<time> <stream> <P|F> <text>`);
//! `docker logs --timestamps`; `docker compose logs`; `kubectl logs --prefix`.

use std::ops::Range;

use memchr::memchr;

/// How many bytes at the beginning of an input decide whether it is a log.
const LOOKED_AT: usize = 16 << 10;

/// Longest name before a `|` or in brackets.
const MOST_NAME: usize = 256;

/// Undoes the prefixes of the lines of one input, as they come in.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct LogLines {
    /// `None` until the beginning was seen.
    is_log: Option<bool>,
    waiting: Vec<u8>,
    /// Lines before this index of what waits were looked at.
    looked_to: usize,
}

/// A line behind its prefixes.
#[derive(Clone, Copy)]
struct Line {
    /// Where its text begins.
    text: usize,
    /// Whether its text goes on in the next line.
    is_partial: bool,
}

impl LogLines {
    /// Looks at the first bytes of an input; whether it is a log is known from then on.
    pub(in super::super) fn look_at(&mut self, bytes: &[u8]) {
        self.is_log.get_or_insert_with(|| is_log(bytes));
    }

    /// Whether the first bytes were seen.
    pub(in super::super) const fn is_known(&self) -> bool {
        self.is_log.is_some()
    }

    /// Whether lines have to be put right.
    pub(in super::super) fn is_log(&self) -> bool {
        self.is_log == Some(true)
    }

    /// Read, but not put right yet: a line without an end, or parts of a line without the last.
    pub(in super::super) const fn waiting(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    /// Moves what can be put right to the end of `into`, all of it when nothing follows. Returns how
    /// many lines were changed.
    pub(in super::super) fn settle(&mut self, into: &mut Vec<u8>, is_last: bool) -> u64 {
        let end = if is_last { self.waiting.len() } else { self.settled_len() };
        self.looked_to = self.looked_to.max(end) - end;
        let changed = put_right(&mut self.waiting[..end]);
        into.extend_from_slice(&self.waiting[..end]);
        self.waiting.drain(..end);
        changed
    }

    /// Up to the end of the last line that is complete and not the part of another. Looks at every line
    /// once, however many parts a line has.
    fn settled_len(&mut self) -> usize {
        let mut settled = 0;
        while let Some(newline) = memchr(b'\n', &self.waiting[self.looked_to..]) {
            let end = self.looked_to + newline + 1;
            let line = line_of(&self.waiting[self.looked_to..end]);
            self.looked_to = end;
            if line.is_none_or(|line| !line.is_partial) {
                settled = end;
            }
        }
        settled
    }
}

/// A copy that is put right of some bytes at the beginning of an input; `None` when there is nothing
/// to put right.
pub(in super::super) fn undone(bytes: &[u8]) -> Option<Vec<u8>> {
    if !is_log(bytes) {
        return None;
    }
    let mut copy = bytes.to_vec();
    (put_right(&mut copy) > 0).then_some(copy)
}

/// Whether a value begins behind a prefix.
fn is_log(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(LOOKED_AT)];
    head.split(|byte| *byte == b'\n').any(|line| {
        line_of(line).is_some_and(|found| matches!(line[found.text..].trim_ascii_start(), [b'{', ..]))
    })
}

/// Returns how many lines were changed.
fn put_right(bytes: &mut [u8]) -> u64 {
    let (mut at, mut changed) = (0, 0);
    while at < bytes.len() {
        let end = line_end(bytes, at);
        let line = line_of(&bytes[at..end]);
        at = match line {
            Some(line) if line.is_partial => {
                let (behind, parts) = join(bytes, at..end);
                changed += parts;
                behind
            }
            Some(line) => {
                changed += u64::from(move_to_front(&mut bytes[at..end], line.text));
                end
            }
            None => end,
        };
    }
    changed
}

/// Puts the parts of a line together; returns where the next line begins, and how many parts there
/// were.
fn join(bytes: &mut [u8], first: Range<usize>) -> (usize, u64) {
    let (mut to, mut at, mut parts) = (first.start, first.start, 0);
    loop {
        let end = line_end(bytes, at);
        let Some(line) = line_of(&bytes[at..end]) else { break };
        let text = at + line.text..at + text_end(&bytes[at..end]);
        let len = text.len();
        bytes.copy_within(text, to);
        to += len;
        parts += 1;
        at = end;
        if !line.is_partial {
            break;
        }
    }
    fill(&mut bytes[to..at]);
    (at, parts)
}

/// Moves a text to the front of its line, unless it is a JSON object by itself.
fn move_to_front(line: &mut [u8], text: usize) -> bool {
    let end = text_end(line);
    if line[text..end].starts_with(b"{") && line[text..end].trim_ascii_end().ends_with(b"}") {
        return false;
    }
    line.copy_within(text..end, 0);
    fill(&mut line[end - text..]);
    true
}

/// Spaces to the end of a line, which stays the end of a line if it was.
fn fill(bytes: &mut [u8]) {
    let is_ended = bytes.ends_with(b"\n");
    bytes.fill(b' ');
    if let Some(last) = bytes.last_mut().filter(|_| is_ended) {
        *last = b'\n';
    }
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |newline| from + newline + 1)
}

fn text_end(line: &[u8]) -> usize {
    line.strip_suffix(b"\n").unwrap_or(line).len()
}

/// The line behind its prefixes, `None` when it has none.
fn line_of(line: &[u8]) -> Option<Line> {
    let named = name_len(line);
    let timed = time_len(&line[named..]);
    if timed == 0 {
        return (named > 0).then_some(Line { text: named, is_partial: false });
    }
    let at = named + timed;
    let Some((is_partial, len)) = stream_len(&line[at..]) else {
        return Some(Line { text: at, is_partial: false });
    };
    Some(Line { text: at + len, is_partial })
}

/// Length of `name | ` or `[pod/name/container] `.
fn name_len(line: &[u8]) -> usize {
    let head = &line[..line.len().min(MOST_NAME)];
    if head.starts_with(b"[") {
        let end = memchr(b']', head)
            .filter(|end| head[..*end].starts_with(b"[pod/") && head.get(end + 1) == Some(&b' '));
        return end.map_or(0, |end| end + 2);
    }
    let name = head.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte)).count();
    let blanks = head[name..].iter().take_while(|byte| **byte == b' ').count();
    let bar = name + blanks;
    // A blank line of the program has nothing behind the bar.
    if name == 0 || head.get(bar) != Some(&b'|') || !matches!(head.get(bar + 1), None | Some(b' ' | b'\n')) {
        return 0;
    }
    bar + 1 + usize::from(head.get(bar + 1) == Some(&b' '))
}

/// Length of `2026-01-01T00:00:00.000000001Z `, in UTC or with an offset.
fn time_len(line: &[u8]) -> usize {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let is_time = line.len() > SHAPE.len()
        && SHAPE.iter().zip(line).all(|(wanted, found)| match wanted {
            b'0' => found.is_ascii_digit(),
            wanted => wanted == found,
        });
    if !is_time {
        return 0;
    }
    let rest = &line[SHAPE.len()..];
    let zone = rest.iter().take_while(|byte| byte.is_ascii_digit() || b".Z+-:".contains(byte)).count();
    if zone == 0 || rest.get(zone) != Some(&b' ') { 0 } else { SHAPE.len() + zone + 1 }
}

/// Whether `stdout P ` stands here rather than `stdout F `, and its length.
fn stream_len(line: &[u8]) -> Option<(bool, usize)> {
    let rest = line.strip_prefix(b"stdout ").or_else(|| line.strip_prefix(b"stderr "))?;
    let tag = memchr(b' ', rest)?;
    // More tags may follow behind a colon.
    let is_partial = match rest[..tag].split(|byte| *byte == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    Some((is_partial, line.len() - rest.len() + tag + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRI: &str = "2026-01-01T00:00:00.000000001Z stdout ";

    fn settled(text: &str) -> (String, u64) {
        let mut copy = text.as_bytes().to_vec();
        let changed = put_right(&mut copy);
        assert_eq!(copy.len(), text.len());
        let lines = String::from_utf8(copy).unwrap();
        (lines.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"), changed)
    }

    #[test]
    fn parts_of_a_line_become_one() {
        let text = format!("{CRI}P {{\"a\":\"b\n{CRI}P :T c\n{CRI}F d\"}}\n{CRI}F {{\"e\":1}}\n");
        let (found, changed) = settled(&text);
        assert_eq!(found, format!("{{\"a\":\"b:T cd\"}}\n{CRI}F {{\"e\":1}}"));
        assert_eq!(changed, 3);
        assert!(is_log(text.as_bytes()));
    }

    #[test]
    fn values_over_many_lines_lose_every_prefix() {
        let value = "{\n    \"a\": {\n        \"b\": 1\n    }\n}";
        for prefix in [
            format!("{CRI}F "),
            "2026-01-01T00:00:00+02:00 ".to_owned(),
            "shop-1  | ".to_owned(),
            "[pod/shop-7d9/main] ".to_owned(),
            "shop-1  | 2026-01-01T00:00:00Z ".to_owned(),
        ] {
            let text = format!("{prefix}{}\n", value.replace('\n', &format!("\n{prefix}")));
            assert_eq!(settled(&text), (value.to_owned(), 5), "{prefix}");
            assert_eq!(undone(text.as_bytes()).map(|bytes| bytes.len()), Some(text.len()));
        }
    }

    #[test]
    fn what_has_no_prefix_stays() {
        for text in [
            "{\"a\":\"x | y\"}\n",
            "a | b\nc | d\n",
            "2026-01-01 00:00:00 {\"a\":1}\n",
            "[INFO] {\"a\":1}\n",
            "2026-01-01T00:00:00Z,1,2\n",
        ] {
            assert!(undone(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_come() {
        let text = format!(
            "{CRI}P {{\"a\":\n{CRI}P 1,\n{CRI}F \"b\":2}}\n{CRI}F {{\n{CRI}F  \"c\":3}}\n{CRI}P {{\"d\""
        );
        let mut whole = text.as_bytes().to_vec();
        put_right(&mut whole);
        for step in 1..90 {
            let (mut lines, mut found) = (LogLines { is_log: Some(true), ..LogLines::default() }, Vec::new());
            for piece in text.as_bytes().chunks(step) {
                lines.waiting().extend_from_slice(piece);
                lines.settle(&mut found, false);
            }
            lines.settle(&mut found, true);
            assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(&whole), "{step}");
        }
    }
}
