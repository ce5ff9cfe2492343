//! Runs of the lab (`fixtures/lab`) as fixtures: what was exported, what is true about it, and what has
//! to be said about it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A folder below `fixtures/` with a `case.toml`.
#[derive(Debug)]
pub(crate) struct LabCase {
    /// Its path below `fixtures/`: a cause or rule, and `<fault>-<topology>`.
    pub(crate) name: String,
    /// The exported traces, as a path from the root of the repository.
    pub(crate) traces: String,
    pub(crate) description: Description,
    pub(crate) affected: Vec<Affected>,
}

/// `case.toml`, as `fixtures/lab/run` writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    pub(crate) fault: String,
    pub(crate) group: String,
    pub(crate) topology: String,
    /// What was done.
    pub(crate) does: String,
    /// What the exported data shows, in a sentence.
    pub(crate) shows: String,
    /// The services in which the fault is.
    #[serde(default)]
    pub(crate) place: Vec<String>,
    pub(crate) expect: Expect,
    pub(crate) run: Run,
    /// Counts that anybody can take from the exported data.
    pub(crate) measured: BTreeMap<String, u64>,
    #[serde(default)]
    pub(crate) damage: Vec<Damage>,
    #[serde(default)]
    pub(crate) lost: Vec<Lost>,
    pub(crate) versions: Versions,
}

/// What the tool has to say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// Nothing of severity warning or error.
    pub(crate) silent: bool,
    /// Rules that fit.
    #[serde(default)]
    pub(crate) rules: Vec<String>,
    /// Rules that are true as well, and not asked for.
    #[serde(default)]
    pub(crate) also: Vec<String>,
    /// Causes that fit; empty where the rule says it all.
    #[serde(default)]
    pub(crate) causes: Vec<String>,
    /// `error` when it is not given.
    pub(crate) severity: Option<String>,
    /// Services one of which has to be named as `from`.
    #[serde(default)]
    pub(crate) from: Vec<String>,
    /// Services one of which has to be named as `to`.
    #[serde(default)]
    pub(crate) to: Vec<String>,
    /// Services one of which has to be named on either side.
    #[serde(default)]
    pub(crate) service: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    pub(crate) requests: u64,
    /// The share of requests on which the fault was on; all, when it is not given.
    pub(crate) share: Option<f64>,
    /// The requests on which it really did something.
    pub(crate) fired: Option<u64>,
    /// How often each status was answered; 0 is no answer.
    pub(crate) statuses: BTreeMap<String, u64>,
}

/// Affected spans of one kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Damage {
    pub(crate) how: String,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) parent_service: Option<String>,
    pub(crate) parent_name: Option<String>,
    pub(crate) why: Option<String>,
    pub(crate) spans: u64,
}

/// Spans of one kind that existed and are not in the data.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lost {
    pub(crate) service: String,
    /// A span that was not sampled may have none.
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) why: String,
    pub(crate) spans: u64,
}

/// What made the spans.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Versions {
    pub(crate) node: String,
    pub(crate) python: String,
    pub(crate) redis: String,
    pub(crate) npm: Vec<String>,
    pub(crate) pypi: Vec<String>,
}

/// A line of `truth.jsonl.zst`: an exported span to which something happened.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Affected {
    /// `trace id:span id`
    pub(crate) span: String,
    /// What happened.
    pub(crate) how: How,
    pub(crate) service: String,
    pub(crate) name: String,
    /// The true parent, as `trace id:span id`, where an edge is broken.
    pub(crate) parent: Option<String>,
    /// Whether the true parent is in the data.
    pub(crate) exported: Option<bool>,
    /// Why the parent is not in the data.
    pub(crate) why: Option<String>,
}

/// What happened to a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum How {
    /// It is a root and truly has a parent.
    BecameRoot,
    /// Its true parent is in another trace.
    OtherTrace,
    /// Its true parent is in its trace, and not among its ancestors.
    OtherParent,
    /// It truly is a root and has a parent.
    Attached,
    /// Its parent is not in the data.
    MissingParent,
    /// Another span has its ids.
    IdCollision,
    /// Its span id is in other traces as well.
    SpanIdReused,
    /// It is there more than once.
    Duplicate,
    NegativeDuration,
    DroppedAttributes,
    /// A call or message whose other side existed and is not in the data. The span itself is whole.
    Unanswered,
}

impl LabCase {
    /// Reads the case in a folder below `fixtures/`; `None` where there is no `case.toml`.
    fn read(root: &Path, name: &str) -> Option<Self> {
        let folder = Path::new("fixtures").join(name);
        let description = std::fs::read_to_string(root.join(&folder).join("case.toml")).ok()?;
        let description = toml::from_str(&description).unwrap_or_else(|error| panic!("{name}: {error}"));
        let truth = std::fs::File::open(root.join(&folder).join("truth.jsonl.zst")).unwrap();
        let mut text = String::new();
        zstd::Decoder::new(truth).unwrap().read_to_string(&mut text).unwrap();
        let lines = text.lines().map(serde_json::from_str);
        let affected = lines.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{name}: {error}"));
        let traces = folder.join("traces.jsonl.zst").to_str().unwrap().to_owned();
        Some(Self { name: name.to_owned(), traces, description, affected })
    }
}

/// The spans that a finding has to list: the damaged ones, or the calls without an answer where no
/// span is damaged.
pub(crate) fn to_be_found(affected: &[Affected]) -> Vec<&Affected> {
    let (calls, damaged): (Vec<_>, Vec<_>) =
        affected.iter().partition(|affected| affected.how == How::Unanswered);
    if damaged.is_empty() { calls } else { damaged }
}

/// All runs of the lab below `fixtures/` of the repository in `root`, by name.
pub(crate) fn lab_cases(root: &Path) -> Vec<LabCase> {
    let mut names: Vec<String> = Vec::new();
    for family in folders(&root.join("fixtures")) {
        // The lab itself, with everything that is installed in it.
        if family.ends_with("lab") {
            continue;
        }
        let family_name = family.file_name().unwrap().to_str().unwrap();
        let below = folders(&family).into_iter();
        names.extend(
            below.map(|case| format!("{family_name}/{}", case.file_name().unwrap().to_str().unwrap())),
        );
    }
    names.sort_unstable();
    names.iter().filter_map(|name| LabCase::read(root, name)).collect()
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(of).unwrap().map(|entry| entry.unwrap());
    entries.filter(|entry| entry.file_type().unwrap().is_dir()).map(|entry| entry.path()).collect()
}
