//! Text from traces, made safe and fit for a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

/// Stands for what was cut off.
pub const ELLIPSIS: char = '…';

/// Whether a character can move the cursor, start an escape sequence, reorder or hide text.
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{061C}' | '\u{180E}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E007F}')
}

/// Makes text safe for a terminal and a single line: harmful characters become visible escapes.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_harmful(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Makes text safe and cuts it to so many columns.
pub fn fit(text: &str, columns: usize) -> String {
    let text = clean(text);
    if within(&text, columns) {
        return text.into_owned();
    }
    let mut out = prefix(&text, columns.saturating_sub(1)).to_owned();
    if columns > 0 {
        out.push(ELLIPSIS);
    }
    out
}

/// Makes text safe, cuts it to so many columns and fills it up with blanks.
pub fn fit_padded(text: &str, columns: usize) -> String {
    let mut out = fit(text, columns);
    let missing = columns.saturating_sub(width(&out));
    out.extend(std::iter::repeat_n(' ', missing));
    out
}

/// The length is bounded besides the width, because combining marks take no column.
fn within(text: &str, columns: usize) -> bool {
    text.len() <= columns * 16 && width(text) <= columns
}

/// The longest beginning that takes at most so many columns.
fn prefix(text: &str, columns: usize) -> &str {
    let mut end = 0;
    for (start, c) in text.char_indices() {
        let next = start + c.len_utf8();
        if !within(&text[..next], columns) {
            break;
        }
        end = next;
    }
    &text[..end]
}

/// Makes text safe and breaks it into lines of at most so many columns, at blanks where there are
/// any. An empty text has no lines.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(8);
    let text = clean(text);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word = word;
        if !line.is_empty() && within(&line, columns.saturating_sub(1 + width(word))) {
            line.push(' ');
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        while !within(word, columns) {
            let piece = prefix(word, columns);
            // Only a single character wider than the line has no beginning that fits.
            let cut =
                if piece.is_empty() { word.chars().next().map_or(0, char::len_utf8) } else { piece.len() };
            lines.push(word[..cut].to_owned());
            word = &word[cut..];
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A whole number with thin groups: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 span`, `2 spans`.
pub fn plural(number: u64, singular: &str, plural: &str) -> String {
    format!("{} {}", count(number), if number == 1 { singular } else { plural })
}

/// A share for people: never `0 %` for something and never `100 %` for not everything.
pub fn percent(affected: u64, total: u64) -> String {
    if total == 0 {
        return "–".to_owned();
    }
    let value = affected as f64 * 100.0 / total as f64;
    if affected == 0 || affected == total {
        return format!("{value:.0} %");
    }
    match value {
        v if v < 0.01 => "<0.01 %".to_owned(),
        v if v < 1.0 => format!("{v:.2} %"),
        v if v < 9.95 => format!("{v:.1} %"),
        v if v < 99.0 => format!("{v:.0} %"),
        v if v < 99.9 => format!("{v:.1} %"),
        _ => ">99.9 %".to_owned(),
    }
}

/// Quotes a word for a POSIX shell. Characters that would not survive copying become `$'…'`
/// escapes; a leading `-` would be taken for an option.
pub fn shell_word(word: &str) -> String {
    if word == "-" {
        return word.to_owned();
    }
    let word = if word.starts_with('-') { Cow::Owned(format!("./{word}")) } else { Cow::Borrowed(word) };
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./,:@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    if !word.contains(is_harmful) {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let mut out = String::from("$'");
    for c in word.chars() {
        match c {
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            c if is_harmful(c) => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    // Octal takes at most three digits, so a digit that follows is not swallowed.
                    let _ = write!(out, "\\{byte:03o}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn controls_become_visible() {
        assert_eq!(clean("plain ü 漢 text"), "plain ü 漢 text");
        assert_eq!(clean("a\nb\tc\r"), "a\\nb\\tc\\r");
        assert_eq!(clean("\u{1b}[31mred\u{7f}\u{9b}"), "\\u{1b}[31mred\\u{7f}\\u{9b}");
        assert_eq!(clean("a\u{202e}b\u{200b}"), "a\\u{202e}b\\u{200b}");
    }

    #[test]
    fn cuts_by_columns() {
        assert_eq!(fit("orders process", 8), "orders …");
        assert_eq!(fit("orders", 6), "orders");
        assert_eq!(fit("漢字漢字", 5), "漢字…");
        assert_eq!(fit("x", 0), "");
        assert_eq!(fit_padded("ab", 4), "ab  ");
    }

    #[test]
    fn wraps_at_blanks_and_splits_what_is_too_long() {
        assert_eq!(wrap("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("0123456789abc d", 10), ["0123456789", "abc d"]);
        assert!(wrap("  ", 10).is_empty());
    }

    #[test]
    fn shares_never_round_to_nothing_or_everything() {
        assert_eq!(percent(0, 10), "0 %");
        assert_eq!(percent(10, 10), "100 %");
        assert_eq!(percent(1, 1_000_000), "<0.01 %");
        assert_eq!(percent(999_999, 1_000_000), ">99.9 %");
        assert_eq!(percent(42, 186), "23 %");
        assert_eq!(percent(1, 0), "–");
    }

    #[test]
    fn groups_thousands() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(plural(1, "span", "spans"), "1 span");
    }

    #[test]
    fn shell_words_are_safe() {
        assert_eq!(shell_word("traces/a.jsonl"), "traces/a.jsonl");
        assert_eq!(shell_word("my file.json"), "'my file.json'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word("$(rm -rf ~)"), "'$(rm -rf ~)'");
        assert_eq!(shell_word("-v"), "./-v");
        assert_eq!(shell_word("-"), "-");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("a\nb'\u{1b}7"), r"$'a\012b\'\0337'");
    }

    #[cfg(unix)]
    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for word in ["a b", "it's", "$HOME `id` \"x\" !1 \\", "*?[a]", "~", "a;b|c&d>e", "ünï 漢"] {
            let script = format!("printf %s {}", shell_word(word));
            let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_handled(text in "\\PC*|[\\x00-\\u{300}]*|.*", columns in 0_usize..90) {
            let cleaned = clean(&text);
            prop_assert!(!cleaned.contains(is_harmful));
            prop_assert!(width(&fit(&text, columns)) <= columns);
            prop_assert!(width(&fit_padded(&text, columns)) == columns);
            for line in wrap(&text, columns) {
                prop_assert!(width(&line) <= columns.max(8));
            }
            prop_assert!(!shell_word(&text).contains(is_harmful));
        }
    }
}
