//! Why a clock is off, and why spans end before they start.

use std::collections::BTreeSet;

use crate::causes::{Opinion, Software, clock_drift, clock_offset, clock_step};
use crate::finding::{Evidence, Finding};
use crate::report::Confidence;

/// Services whose spans end before they start because the clock was set, by namespace and name.
pub(super) type SetBack = BTreeSet<(Option<String>, Option<String>)>;

/// The services of which the clock was certainly set.
pub(super) fn set_back(findings: &[Finding]) -> SetBack {
    let negative =
        findings.iter().filter(|finding| matches!(finding.proof, Evidence::EndsBeforeStart { .. }));
    negative
        .filter(|finding| of_negative_durations(finding) == Confidence::High)
        .filter_map(|finding| finding.to.as_ref())
        .map(|side| (side.namespace.clone(), side.service.clone()))
        .collect()
}

/// The cause of a finding about a clock, if it is one.
pub(super) fn explain(finding: &mut Finding, set_back: &SetBack) {
    let Some(opinion) = opinion(finding, set_back) else { return };
    let Opinion { cause, .. } = opinion;
    finding.remedy = cause.remedy(Software::default(), Software::default());
    finding.decides.get_or_insert_with(|| cause.decides.to_owned());
    finding.cause = Some(opinion);
}

fn opinion(finding: &Finding, set_back: &SetBack) -> Option<Opinion> {
    // The course that was found is the cause; it is as sure as the finding.
    let confidence = finding.confidence;
    match finding.proof {
        // What is off most of the time and was set meanwhile is set again and again.
        Evidence::ClockOffset { .. } if is_among(finding, set_back) => {
            Some(Opinion { cause: &clock_step::CAUSE, confidence })
        }
        Evidence::ClockOffset { .. } => Some(Opinion { cause: &clock_offset::CAUSE, confidence }),
        Evidence::ClockStep { .. } => Some(Opinion { cause: &clock_step::CAUSE, confidence }),
        Evidence::ClockDrift { .. } => Some(Opinion { cause: &clock_drift::CAUSE, confidence }),
        Evidence::EndsBeforeStart { .. } => {
            let confidence = of_negative_durations(finding);
            Some(Opinion { cause: &clock_step::CAUSE, confidence })
        }
        _ => None,
    }
}

fn is_among(finding: &Finding, set_back: &SetBack) -> bool {
    let side = finding.to.as_ref();
    side.is_some_and(|side| set_back.contains(&(side.namespace.clone(), side.service.clone())))
}

/// A clock that is set back hits what is open at that moment: few spans, of any operation. Spans of one
/// operation of which all are wrong have their times from code.
fn of_negative_durations(finding: &Finding) -> Confidence {
    let reads_the_clock_twice = finding
        .support
        .iter()
        .any(|evidence| matches!(evidence, Evidence::ClockOfSpans { reads_it_twice: Some(true), .. }));
    let is_one_operation = finding.support.iter().any(
        |evidence| matches!(evidence, Evidence::SeenAt { operations, others: 0 } if operations.len() == 1),
    );
    let are_most = finding.rate.as_ref().is_some_and(|rate| rate.value > 0.5);
    match (reads_the_clock_twice, is_one_operation && are_most && finding.spans > 1) {
        (true, false) => Confidence::High,
        _ => Confidence::Medium,
    }
}
