//! Finds what somebody meant to type.

/// The candidate nearest to `word`, if it is near enough to be meant: the first that begins with
/// it, or one with few other characters.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    if word.len() > 2
        && let Some(longer) = candidates.clone().into_iter().find(|candidate| candidate.starts_with(word))
    {
        return Some(longer);
    }
    let most = word.chars().count().div_ceil(3);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?`, or nothing.
pub(crate) fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    nearest(word, candidates).map_or_else(String::new, |candidate| format!("; did you mean `{candidate}`?"))
}

/// Number of characters to insert, delete or replace.
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    // Beyond this length nothing is near, and the table must not grow with what is typed.
    for (index, a) in left.chars().take(100).enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let rules = ["orphan-span", "duplicate-span", "clock-skew"];
        assert_eq!(nearest("orphan-spans", rules), Some("orphan-span"));
        assert_eq!(nearest("ophan-span", rules), Some("orphan-span"));
        assert_eq!(nearest("clockskew", rules), Some("clock-skew"));
        assert_eq!(nearest("orphan", rules), Some("orphan-span"));
        assert_eq!(nearest("something", rules), None);
        assert_eq!(nearest("", rules), None);
    }
}
