//! Filter expressions: the part of `grammar/FilterQuery.g4` that asks about single keys.

use std::collections::BTreeSet;

use super::{as_text, bare, field};
use crate::double::Span;

/// What a span has to fulfil.
#[derive(Debug)]
pub(super) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Compare { key: String, operator: Operator, values: Vec<String> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    In,
    NotIn,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Exists,
}

impl Filter {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        if tokens.is_empty() {
            return Ok(Self::All(Vec::new()));
        }
        let mut parser = Parser { tokens: &tokens, at: 0 };
        let filter = parser.any()?;
        if parser.at < tokens.len() { Err(syntax_error()) } else { Ok(filter) }
    }

    pub(super) fn matches(&self, span: &Span) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(span)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(span)),
            Self::Not(part) => !part.matches(span),
            Self::Compare { key, operator, values } => compare(value(span, key), *operator, values),
        }
    }

    /// The trace ids that are asked for, wherever they stand.
    pub(super) fn trace_ids(&self) -> BTreeSet<String> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::trace_ids).collect(),
            Self::Not(part) => part.trace_ids(),
            Self::Compare { key, operator: Operator::Equal | Operator::In, values } if key == "trace_id" => {
                values.iter().cloned().collect()
            }
            Self::Compare { .. } => BTreeSet::new(),
        }
    }

    /// Refuses keys that no span has.
    pub(super) fn check_keys(&self, spans: &[Span]) -> Result<(), String> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().try_for_each(|part| part.check_keys(spans)),
            Self::Not(part) => part.check_keys(spans),
            Self::Compare { key, .. } => {
                if spans.is_empty() || spans.iter().any(|span| value(span, key).is_some()) {
                    return Ok(());
                }
                Err(format!("{}: key `{key}` not found", syntax_error()))
            }
        }
    }
}

fn syntax_error() -> String {
    "Found 1 syntax errors while parsing the search expression.".to_owned()
}

fn value(span: &Span, key: &str) -> Option<String> {
    let field = field(span, key).map(|value| as_text(&value));
    field.or_else(|| span.attribute(key)).or_else(|| span.resource_attribute(key))
}

fn compare(value: Option<String>, operator: Operator, wanted: &[String]) -> bool {
    let Some(value) = value else { return matches!(operator, Operator::NotEqual | Operator::NotIn) };
    let order = || {
        let numbers = (value.parse::<f64>().ok()?, wanted.first()?.parse::<f64>().ok()?);
        numbers.0.partial_cmp(&numbers.1)
    };
    match operator {
        Operator::Equal | Operator::In => wanted.contains(&value),
        Operator::NotEqual | Operator::NotIn => !wanted.contains(&value),
        Operator::Less => order().is_some_and(std::cmp::Ordering::is_lt),
        Operator::LessOrEqual => order().is_some_and(std::cmp::Ordering::is_le),
        Operator::Greater => order().is_some_and(std::cmp::Ordering::is_gt),
        Operator::GreaterOrEqual => order().is_some_and(std::cmp::Ordering::is_ge),
        Operator::Exists => true,
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Sign(String),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => {
                let (inner, length) = quoted(rest, first).ok_or_else(syntax_error)?;
                tokens.push(Token::Quoted(inner));
                length
            }
            '(' | ')' | '[' | ']' | ',' => {
                tokens.push(Token::Sign(first.to_string()));
                1
            }
            '=' | '!' | '<' | '>' => {
                let length = rest.find(|c| !"=!<>".contains(c)).unwrap_or(rest.len());
                tokens.push(Token::Sign(rest[..length].to_owned()));
                length
            }
            _ => {
                let end = |c: char| c.is_whitespace() || "()[],=!<>'\"".contains(c);
                let length = rest.find(end).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..length].to_owned()));
                length
            }
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// What stands in quotes, with `\` before a quote undone, and how long it was.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut inner = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => inner.push(characters.next()?.1),
            _ if character == quote => return Some((inner, at + 1)),
            _ => inner.push(character),
        }
    }
    None
}

struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Filter, String> {
        let mut parts = vec![self.all()?];
        while self.takes_word("OR") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::Any(parts) })
    }

    fn all(&mut self) -> Result<Filter, String> {
        let mut parts = vec![self.one()?];
        while self.takes_word("AND") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::All(parts) })
    }

    fn one(&mut self) -> Result<Filter, String> {
        if self.takes_word("NOT") {
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        if self.takes_sign("(") {
            let inner = self.any()?;
            return if self.takes_sign(")") { Ok(inner) } else { Err(syntax_error()) };
        }
        let Some(Token::Word(key)) = self.next() else { return Err(syntax_error()) };
        let key = bare(key).to_owned();
        let operator = self.operator()?;
        let values = match operator {
            Operator::Exists => Vec::new(),
            Operator::In | Operator::NotIn => self.list()?,
            _ => vec![self.value()?],
        };
        Ok(Filter::Compare { key, operator, values })
    }

    fn operator(&mut self) -> Result<Operator, String> {
        let is_negated = self.takes_word("NOT");
        let operator = match self.next() {
            Some(Token::Sign(sign)) => match sign.as_str() {
                "=" | "==" => Operator::Equal,
                "!=" | "<>" => Operator::NotEqual,
                "<" => Operator::Less,
                "<=" => Operator::LessOrEqual,
                ">" => Operator::Greater,
                ">=" => Operator::GreaterOrEqual,
                _ => return Err(syntax_error()),
            },
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("IN") && is_negated => Operator::NotIn,
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("IN") => Operator::In,
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("EXISTS") => Operator::Exists,
            _ => return Err(syntax_error()),
        };
        Ok(operator)
    }

    fn list(&mut self) -> Result<Vec<String>, String> {
        if !self.takes_sign("(") && !self.takes_sign("[") {
            return Err(syntax_error());
        }
        let mut values = vec![self.value()?];
        while self.takes_sign(",") {
            values.push(self.value()?);
        }
        if self.takes_sign(")") || self.takes_sign("]") { Ok(values) } else { Err(syntax_error()) }
    }

    fn value(&mut self) -> Result<String, String> {
        match self.next() {
            Some(Token::Quoted(text) | Token::Word(text)) => Ok(text.clone()),
            _ => Err(syntax_error()),
        }
    }

    fn next(&mut self) -> Option<&Token> {
        self.at += 1;
        self.tokens.get(self.at - 1)
    }

    fn takes_word(&mut self, wanted: &str) -> bool {
        let is_there =
            matches!(self.tokens.get(self.at), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
        self.at += usize::from(is_there);
        is_there
    }

    fn takes_sign(&mut self, wanted: &str) -> bool {
        let is_there = matches!(self.tokens.get(self.at), Some(Token::Sign(sign)) if sign == wanted);
        self.at += usize::from(is_there);
        is_there
    }
}
