//! The gate: from findings and coverage to a verdict. The format of the report never changes it.

use crate::config::GateSettings;
use crate::report::{Confidence, Reason, Severity, Verdict};

/// What was read, as far as the gate cares.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// Traces that were judged.
    pub traces: u64,
    /// Traces that were not judged because they may still grow.
    pub settling_traces: u64,
    /// Span records.
    pub spans: u64,
    /// Rejected span objects.
    pub rejected: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes that could not be read, a cut last record aside.
    pub unreadable_bytes: u64,
    /// Traces that were not read whole.
    pub truncated_traces: u64,
    /// Inputs that a limit ended.
    pub limits_reached: u64,
    /// Inputs whose end could not be read (damaged compression, read errors).
    pub damaged_inputs: u64,
    /// Named inputs that could not be read or recognised: sentences.
    pub failures: Vec<String>,
    /// Why sources say that they answered only in part.
    pub partial_reasons: Vec<String>,
    /// The format that the user named.
    pub input_format: Option<String>,
    /// Reading was interrupted.
    pub interrupted: bool,
    /// What to look at when a backend found nothing.
    pub nothing_found: Option<String>,
    /// What the filter flags could have named, when they let nothing through.
    pub filter_hint: Option<String>,
}

impl GateSettings {
    /// Whether a finding of this severity and confidence fails the gate.
    pub fn fails(&self, severity: Severity, confidence: Confidence) -> bool {
        self.fail_on.is_some_and(|threshold| severity >= threshold) && confidence >= self.min_confidence
    }

    /// The verdict and its reasons. `failing` is how many findings fail the gate.
    pub fn judge(&self, failing: usize, readings: &Readings) -> (Verdict, Vec<Reason>) {
        let mut reasons: Vec<Reason> =
            readings.failures.iter().map(|failure| reason("input-error", failure.clone())).collect();
        let mut verdict = if reasons.is_empty() { Verdict::Pass } else { Verdict::Error };
        if failing > 0 {
            let breaks = if failing == 1 {
                "1 finding reaches".to_owned()
            } else {
                format!("{failing} findings reach")
            };
            let threshold = self.fail_on.map_or("never", Severity::as_str);
            reasons.push(reason("finding-at-gate", format!("{breaks} the gate (--fail-on {threshold})")));
            if verdict == Verdict::Pass {
                verdict = Verdict::Fail;
            }
        }
        let doubts = self.doubts(readings);
        if !doubts.is_empty() && verdict == Verdict::Pass {
            verdict = Verdict::Inconclusive;
        }
        reasons.extend(doubts);
        (verdict, reasons)
    }

    fn doubts(&self, readings: &Readings) -> Vec<Reason> {
        let mut doubts = Vec::new();
        if readings.interrupted {
            doubts.push(reason(
                "interrupted",
                "reading was interrupted; the report covers what was read".to_owned(),
            ));
        }
        if readings.traces == 0 {
            doubts.push(reason("no-traces", no_traces(readings)));
        } else if readings.traces < self.min_traces {
            let message =
                format!("{} traces were judged, --min-traces asks for {}", readings.traces, self.min_traces);
            doubts.push(reason("too-few-traces", message));
        }
        if !self.allow_partial {
            doubts.extend(
                self.partial(readings).map(|message| {
                    reason("partial-input", format!("{message}; --allow-partial accepts that"))
                }),
            );
        }
        doubts
    }

    /// Why the input is partial, if it is.
    fn partial(&self, readings: &Readings) -> Option<String> {
        let share = |part: u64, rest: u64| part as f64 / (part + rest).max(1) as f64;
        if readings.limits_reached > 0 {
            return Some("a limit ended the reading of an input".to_owned());
        }
        if readings.damaged_inputs > 0 {
            return Some("an input could not be read to its end".to_owned());
        }
        if readings.truncated_traces > 0 {
            let traces = match readings.truncated_traces {
                1 => "1 trace is cut".to_owned(),
                number => format!("{number} traces are cut"),
            };
            return Some(format!("{traces}, by the source or by the end of the input"));
        }
        if let [first, more @ ..] = readings.partial_reasons.as_slice() {
            let more = if more.is_empty() { String::new() } else { format!(" (and {} more)", more.len()) };
            return Some(format!("a source answered only in part: {first}{more}"));
        }
        let rejected = share(readings.rejected, readings.spans);
        if rejected > self.max_rejects {
            return Some(format!("{} % of the spans were rejected", percent(rejected)));
        }
        let unreadable =
            share(readings.unreadable_bytes, readings.bytes.saturating_sub(readings.unreadable_bytes));
        if unreadable > self.max_rejects {
            return Some(format!("{} % of the bytes could not be read", percent(unreadable)));
        }
        None
    }
}

fn no_traces(readings: &Readings) -> String {
    let message = "no traces were judged; no data is not health";
    if let Some(hint) = readings.filter_hint.as_ref().filter(|_| readings.spans > 0) {
        return format!("{message}; {hint}");
    }
    if readings.settling_traces > 0 {
        return format!(
            "{message}; {} ended so short a time ago that spans may still come, ask again later or move the bound \
             with --settle",
            readings.settling_traces
        );
    }
    if let Some(hint) = readings.nothing_found.as_ref().filter(|_| readings.spans == 0) {
        return format!("{message}; {hint}");
    }
    match &readings.input_format {
        Some(format) if readings.spans == 0 => {
            format!("{message}; --input-format {format} may be wrong, without it the format is detected")
        }
        _ => message.to_owned(),
    }
}

fn reason(code: &str, message: String) -> Reason {
    Reason { code: code.to_owned(), message }
}

/// Two significant digits, never rounded to zero.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 { format!("{percent:.0}") } else { format!("{percent:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> Readings {
        Readings { traces: 10, spans: 100, bytes: 10_000, ..Readings::default() }
    }

    #[test]
    fn verdicts_in_their_order() {
        let gate = GateSettings::default();
        let verdict = |failing, readings: &Readings| gate.judge(failing, readings).0;
        assert_eq!(verdict(0, &healthy()), Verdict::Pass);
        assert_eq!(verdict(1, &healthy()), Verdict::Fail);
        assert_eq!(verdict(0, &Readings { traces: 0, ..healthy() }), Verdict::Inconclusive);
        assert_eq!(verdict(1, &Readings { rejected: 50, ..healthy() }), Verdict::Fail);
        assert_eq!(verdict(0, &Readings { rejected: 50, ..healthy() }), Verdict::Inconclusive);
        let failed = Readings { failures: vec!["x".to_owned()], ..healthy() };
        assert_eq!(verdict(1, &failed), Verdict::Error);
    }

    #[test]
    fn partial_input_can_be_accepted() {
        let gate = GateSettings { allow_partial: true, ..GateSettings::default() };
        assert_eq!(gate.judge(0, &Readings { limits_reached: 1, ..healthy() }).0, Verdict::Pass);
        assert_eq!(gate.judge(0, &Readings { traces: 0, ..healthy() }).0, Verdict::Inconclusive);
    }

    #[test]
    fn an_answer_in_part_is_partial_and_says_why() {
        let gate = GateSettings::default();
        let reasons = vec!["trace 1f: trace not found".to_owned(), "x".to_owned()];
        let readings = Readings { partial_reasons: reasons, ..healthy() };
        let (verdict, reasons) = gate.judge(0, &readings);
        assert_eq!((verdict, reasons[0].code.as_str()), (Verdict::Inconclusive, "partial-input"));
        assert!(reasons[0].message.contains("in part: trace 1f: trace not found (and 1 more);"));
        let cut = Readings { truncated_traces: 1, ..healthy() };
        assert!(gate.judge(0, &cut).1[0].message.starts_with("1 trace is cut, "));
    }

    #[test]
    fn no_spans_in_a_named_format_hint_at_the_format() {
        let message = |spans, format: Option<&str>| {
            let input_format = format.map(str::to_owned);
            let readings = Readings { traces: 0, spans, input_format, ..healthy() };
            let (verdict, reasons) = GateSettings::default().judge(0, &readings);
            assert_eq!(verdict, Verdict::Inconclusive);
            reasons[0].message.clone()
        };
        assert!(message(0, Some("jaeger-json")).contains("--input-format jaeger-json may be wrong"));
        assert!(!message(5, Some("jaeger-json")).contains("--input-format"));
        assert!(!message(0, None).contains("--input-format"));
    }

    #[test]
    fn traces_that_may_still_grow_are_no_traces() {
        let readings = Readings { traces: 0, settling_traces: 3, ..healthy() };
        let (verdict, reasons) = GateSettings::default().judge(0, &readings);
        assert_eq!(verdict, Verdict::Inconclusive);
        assert!(reasons[0].message.contains("3 ended so short a time ago"), "{}", reasons[0].message);
    }

    #[test]
    fn a_tenth_of_a_percent_may_be_unreadable() {
        let gate = GateSettings::default();
        let readings = |unreadable_bytes| Readings { unreadable_bytes, ..healthy() };
        assert_eq!(gate.judge(0, &readings(10)).0, Verdict::Pass);
        assert_eq!(gate.judge(0, &readings(11)).0, Verdict::Inconclusive);
    }
}
