//! WHY: the catalogue of causes, and the weighing of evidence that gives a finding its cause.
//!
//! A cause is data: what it means, what speaks for and against it, what would settle it, what to
//! change in which language and library. To add one, write its file, add it to [`ALL`], and say in
//! `weighing`, a stage of `diagnosis` or a rule when it applies.

pub(crate) mod async_context_lost;
pub(crate) mod backend_limit;
pub(crate) mod caller_not_instrumented;
pub(crate) mod clock_drift;
pub(crate) mod clock_offset;
pub(crate) mod clock_step;
pub(crate) mod collector_refused;
pub(crate) mod consumer_loop_span;
pub(crate) mod context_manager_missing;
pub(crate) mod double_injection;
pub(crate) mod double_pipeline;
pub(crate) mod exit_without_flush;
pub(crate) mod export_queue_overflow;
pub(crate) mod export_retry;
pub(crate) mod external_caller;
pub(crate) mod header_stripped;
pub(crate) mod hop_not_exported;
pub(crate) mod library_not_instrumented;
pub(crate) mod message_batch_parent;
pub(crate) mod message_context_missing;
pub(crate) mod pool_callback;
pub(crate) mod process_crash;
pub(crate) mod propagator_mismatch;
pub(crate) mod sampler_mismatch;
pub(crate) mod scope_filtered;
pub(crate) mod seeded_ids;
pub(crate) mod service_not_instrumented;
pub(crate) mod span_never_ended;
pub(crate) mod span_not_activated;
pub(crate) mod sticky_context;
pub(crate) mod tail_sampling_split;
pub(crate) mod trace_id_reuse;
pub(crate) mod trace_id_truncated;
pub(crate) mod trace_restarted;
mod weighing;
pub(crate) mod window_edge;

pub use weighing::explain;

pub(crate) use double_pipeline::CAUSE as DOUBLE_PIPELINE;
pub(crate) use export_retry::CAUSE as EXPORT_RETRY;
pub(crate) use library_not_instrumented::CAUSE as LIBRARY_NOT_INSTRUMENTED;
pub(crate) use seeded_ids::CAUSE as SEEDED_IDS;

use crate::finding::Finding;
use crate::report::{Confidence, Remedy};
use crate::store::{Names, ServiceId};

/// All causes, by id.
pub static ALL: &[&Cause] = &[
    &async_context_lost::CAUSE,
    &backend_limit::CAUSE,
    &caller_not_instrumented::CAUSE,
    &clock_drift::CAUSE,
    &clock_offset::CAUSE,
    &clock_step::CAUSE,
    &collector_refused::CAUSE,
    &consumer_loop_span::CAUSE,
    &context_manager_missing::CAUSE,
    &double_injection::CAUSE,
    &double_pipeline::CAUSE,
    &exit_without_flush::CAUSE,
    &export_queue_overflow::CAUSE,
    &export_retry::CAUSE,
    &external_caller::CAUSE,
    &header_stripped::CAUSE,
    &hop_not_exported::CAUSE,
    &library_not_instrumented::CAUSE,
    &message_batch_parent::CAUSE,
    &message_context_missing::CAUSE,
    &pool_callback::CAUSE,
    &process_crash::CAUSE,
    &propagator_mismatch::CAUSE,
    &sampler_mismatch::CAUSE,
    &scope_filtered::CAUSE,
    &seeded_ids::CAUSE,
    &service_not_instrumented::CAUSE,
    &span_never_ended::CAUSE,
    &span_not_activated::CAUSE,
    &sticky_context::CAUSE,
    &tail_sampling_split::CAUSE,
    &trace_id_reuse::CAUSE,
    &trace_id_truncated::CAUSE,
    &trace_restarted::CAUSE,
    &window_edge::CAUSE,
];

/// A reason for which context is lost.
#[derive(Debug, PartialEq, Eq)]
pub struct Cause {
    /// Id, kebab-case; equals the file name with `_` for `-`.
    pub id: &'static str,
    /// Half a sentence, to stand behind a colon.
    pub summary: &'static str,
    /// What happens.
    pub what: &'static str,
    /// Evidence for it.
    pub speaks_for: &'static str,
    /// Evidence against it.
    pub speaks_against: &'static str,
    /// What would settle it.
    pub decides: &'static str,
    /// What to change, in one sentence.
    pub remedy: &'static str,
    /// How, the particular before the general.
    pub fixes: &'static [Fix],
    /// Traces in the trace notation that show it.
    pub example: &'static str,
}

/// One change that helps.
#[derive(Debug, PartialEq, Eq)]
pub struct Fix {
    /// Where.
    pub at: At,
    /// `telemetry.sdk.language` that it is for, or nothing for any.
    pub language: &'static str,
    /// Part of the name of the instrumentation scope that it is for, or nothing for any.
    pub scope: &'static str,
    /// What to do.
    pub step: &'static str,
    /// Setting or code, or nothing.
    pub code: &'static str,
}

/// Where a change is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// In the calling or sending service.
    Caller,
    /// In the called or receiving service.
    Callee,
    /// Between the two, or everywhere.
    Between,
}

/// A cause, and how sure it is the reason.
#[derive(Clone, Copy, Debug)]
pub struct Opinion {
    /// The cause.
    pub cause: &'static Cause,
    /// How sure.
    pub confidence: Confidence,
}

/// The software of one side of a hop.
#[derive(Clone, Copy, Debug, Default)]
struct Software<'n> {
    /// `telemetry.sdk.language`, possibly empty.
    language: &'n str,
    /// Name of the instrumentation scope, possibly empty.
    scope: &'n str,
}

impl Fix {
    fn suits(&self, caller: Software<'_>, callee: Software<'_>) -> bool {
        let side = match self.at {
            At::Caller => caller,
            At::Callee => callee,
            At::Between => return true,
        };
        (self.language.is_empty() || self.language == side.language) && side.scope.contains(self.scope)
    }
}

impl Cause {
    /// What to change in this software. Where nothing fits the language, everything is said.
    fn remedy(&self, caller: Software<'_>, callee: Software<'_>) -> Remedy {
        let fitting: Vec<&Fix> = self.fixes.iter().filter(|fix| fix.suits(caller, callee)).collect();
        let fixes = if fitting.is_empty() { self.fixes.iter().collect() } else { fitting };
        let code = fixes.iter().find(|fix| !fix.code.is_empty()).map(|fix| fix.code.to_owned());
        Remedy {
            summary: self.remedy.to_owned(),
            steps: fixes.iter().map(|fix| fix.step.to_owned()).collect(),
            code,
            links: Vec::new(),
        }
    }
}

/// Gives a finding about one service its cause, and the remedy for the software of that service.
pub(crate) fn blame(
    names: &Names,
    finding: &mut Finding,
    service: ServiceId,
    leading: Opinion,
    others: Vec<Opinion>,
) {
    let of_service =
        names.operations.iter().filter(|operation| names.site(operation.site).service == service);
    let languages = of_service.map(|operation| &*names.resources[operation.resource as usize].sdk_language);
    let scope = finding.scope.as_ref().map_or("", |scope| scope.name.as_str());
    let software = Software { language: languages.max().unwrap_or_default(), scope };
    finding.remedy = leading.cause.remedy(Software::default(), software);
    finding.decides = Some(leading.cause.decides.to_owned());
    finding.cause = Some(leading);
    finding.other_causes = others;
}

/// The cause with this id.
pub fn cause(id: &str) -> Option<&'static Cause> {
    ALL.iter().copied().find(|cause| cause.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::analyzers::notation;

    #[test]
    fn the_directory_is_the_catalogue() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/causes");
        let files: BTreeSet<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().replace('_', "-"))
            .filter(|name| !matches!(name.as_str(), "mod" | "weighing"))
            .collect();
        let known: Vec<String> = ALL.iter().map(|cause| cause.id.to_owned()).collect();
        assert_eq!(known, files.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn every_cause_explains_itself() {
        for cause in ALL {
            for text in [cause.summary, cause.what, cause.speaks_for, cause.speaks_against, cause.decides] {
                assert!(text.len() > 20, "{}: {text}", cause.id);
            }
            assert!(cause.fixes.iter().any(|fix| fix.language.is_empty()), "{}: a general fix", cause.id);
        }
    }

    #[test]
    fn every_example_shows_its_cause() {
        for cause in ALL {
            notation::check(cause.example);
            assert!(cause.example.contains(&format!("({})", cause.id)), "{}", cause.id);
        }
    }

    #[test]
    fn remedies_are_those_of_language_and_library() {
        let cause = &message_context_missing::CAUSE;
        let node = Software { language: "nodejs", scope: "bullmq" };
        let remedy = cause.remedy(node, Software::default());
        assert!(remedy.steps[0].starts_with("BullMQ"), "{:?}", remedy.steps);
        assert!(remedy.code.unwrap().contains("queue.add"));
        assert!(!remedy.steps.iter().any(|step| step.starts_with("Celery") || step.starts_with("kafkajs")));
        let unknown = cause.remedy(Software::default(), Software::default());
        assert!(unknown.steps.iter().all(|step| step.starts_with("Check that broker")));
    }
}
