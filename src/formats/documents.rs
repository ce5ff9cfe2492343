//! The envelopes in which documents leave Elasticsearch and OpenSearch, shared by the formats that
//! are stored there: bare documents, hits (`{"_source":…}`, as elasticdump writes them), answers of
//! `_search`, `_msearch` and `_mget`, bulk files with an action line before each document, and
//! arrays of any of these.
//!
//! Source: Elasticsearch's API reference of `_search`, `_mget` and `_bulk`.

use super::framing::{ArrayRule, JsonFraming};
use super::json::{Cursor, JsonError, Result, each_value};
use super::{Block, Head, Limits, RejectReason, SpanSink};

/// Documents stand in arrays under these keys.
pub(super) static FRAMING: JsonFraming = JsonFraming {
    arrays: &[
        ArrayRule { key: "responses", needs: None },
        ArrayRule { key: "hits", needs: None },
        ArrayRule { key: "docs", needs: None },
    ],
    context: &[],
    indivisible: &[],
    top_level_arrays: true,
};

/// Where the members of a document stand, as paths in a head.
const PLACES: [&str; 7] = [
    "",
    "_source/",
    "hits/hits/_source/",
    "rawResponse/hits/hits/_source/",
    "responses/hits/hits/_source/",
    "docs/_source/",
    "doc/",
];

/// Whether a document in any envelope has all of these members.
pub(super) fn has_all(head: &Head<'_>, members: &[&str]) -> bool {
    PLACES.iter().any(|place| members.iter().all(|member| head.has(&format!("{place}{member}"))))
}

/// Finds the documents of a block, and hands each to `document` with the cursor at its `{`.
pub(super) fn each_document<'a>(
    block: &'a Block,
    limits: &'a Limits,
    sink: &mut dyn SpanSink,
    mut document: impl FnMut(&mut Cursor<'a>, &mut dyn SpanSink) -> Result<()>,
) {
    each_value(block, limits, sink, |cursor, sink| value(block, cursor, sink, &mut document));
}

type Document<'d, 'a> = &'d mut dyn FnMut(&mut Cursor<'a>, &mut dyn SpanSink) -> Result<()>;

fn value<'a>(
    block: &Block,
    cursor: &mut Cursor<'a>,
    sink: &mut dyn SpanSink,
    document: Document<'_, 'a>,
) -> Result<()> {
    match cursor.peek() {
        Some(b'[') => cursor.array(|cursor| value(block, cursor, sink, document)).map(drop),
        Some(b'{') if is_envelope(cursor) => envelope(block, cursor, sink, document),
        Some(b'{') => document(cursor, sink),
        Some(_) if cursor.is_inside() => {
            let position = block.position(cursor.at());
            cursor.skip()?;
            sink.reject(position, RejectReason::NotAnObject);
            cursor.commit();
            Ok(())
        }
        _ => Err(JsonError::Unexpected("expected a JSON object or array")),
    }
}

/// Told by its first member, so that a document is read in one pass.
fn is_envelope(cursor: &Cursor<'_>) -> bool {
    let mut probe = cursor.clone();
    let mut is_envelope = false;
    // Only the first member is wanted; the error ends the walk.
    let _ = probe.object(|cursor, key| {
        is_envelope = match key {
            // An action of a bulk file has an object; a document could have a text under this name.
            "index" | "create" | "update" | "delete" | "doc" | "rawResponse" => cursor.peek() == Some(b'{'),
            "hits" | "took" | "timed_out" | "total" | "max_score" | "responses" | "docs" | "pit_id" => true,
            _ => key.starts_with('_'),
        };
        Err(JsonError::Ended)
    });
    is_envelope
}

fn envelope<'a>(
    block: &Block,
    cursor: &mut Cursor<'a>,
    sink: &mut dyn SpanSink,
    document: Document<'_, 'a>,
) -> Result<()> {
    let outcome = cursor.object(|cursor, key| match (key, cursor.peek()) {
        ("hits" | "responses" | "docs" | "rawResponse", Some(b'{' | b'[')) => {
            value(block, cursor, sink, document)
        }
        ("_source" | "doc", Some(b'{')) => document(cursor, sink),
        ("timed_out", _) => {
            if cursor.boolean()? == Some(true) {
                sink.partial("the search timed out");
            }
            Ok(())
        }
        ("_shards", Some(b'{')) => {
            let failed = failed_shards(cursor)?;
            if failed > 0 {
                sink.partial(&format!("{failed} shards did not answer the search"));
            }
            Ok(())
        }
        _ => cursor.skip(),
    });
    outcome.map(drop)
}

fn failed_shards(cursor: &mut Cursor<'_>) -> Result<u64> {
    let mut failed = 0;
    cursor.object(|cursor, key| {
        match key {
            "failed" => failed = cursor.unsigned()?.unwrap_or_default(),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(failed)
}
