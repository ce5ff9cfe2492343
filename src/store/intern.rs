//! Names become numbers. Each worker numbers what it meets in the order it meets it; the merge
//! numbers everything again in the order of content, so that no number depends on scheduling.
//!
//! Names are capped by content: when a (service, kind, scope) has more than [`NAME_CAP`] distinct
//! names, all of its names become templates, not the late ones; when even the templates are too
//! many, all become one name. Whether a worker noticed early or the merge noticed late, the result
//! is the same.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::model::boundary::Boundary;
use crate::model::resource::is_missing_service_name;
use crate::model::{Resource, Scope, SpanKind, names};

/// Most distinct names of one (service, kind, scope). Far above what routes, jobs and queries by
/// name amount to in one service, far below what ids in names amount to.
pub const NAME_CAP: usize = 4_096;

const TOO_MANY_NAMES: &str = "(too many names)";

/// Index into [`Names::operations`].
pub type OperationId = u32;
/// Index into [`Names::sites`].
pub type SiteId = u32;
/// Index into [`Names::services`].
pub type ServiceId = u32;

/// What the store keeps of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceInfo {
    /// `service.namespace`, possibly empty.
    pub namespace: Box<str>,
    /// `service.name`, or the mark that stands for a missing one.
    pub service: Box<str>,
    /// The process: `service.instance.id`, or the next best thing, possibly empty.
    pub instance: Box<str>,
    /// The machine whose clock the process reads, possibly empty.
    pub host: Box<str>,
    /// `deployment.environment.name`, possibly empty.
    pub environment: Box<str>,
    /// `service.version`, possibly empty.
    pub version: Box<str>,
    /// `telemetry.sdk.language`, possibly empty.
    pub sdk_language: Box<str>,
    /// `telemetry.sdk.version`, possibly empty.
    pub sdk_version: Box<str>,
}

impl ResourceInfo {
    fn of(resource: &Resource<'_>) -> Self {
        let text = |keys: &[&str]| Box::from(resource.text(keys));
        let number = |keys: &[&str]| {
            let value = crate::model::value::first_of(&resource.attributes, keys);
            value.and_then(crate::model::Value::to_text).unwrap_or_default().into_owned().into_boxed_str()
        };
        Self {
            namespace: text(&["service.namespace"]),
            service: text(&["service.name"]),
            instance: number(&[
                "service.instance.id",
                "k8s.pod.uid",
                "container.id",
                "k8s.pod.name",
                "process.pid",
            ]),
            // A node's clock is shared by its pods; the host name inside a container is the pod's.
            host: text(&["k8s.node.name", "host.id", "host.ip", "host.name", "hostname", "ip"]),
            environment: text(&["deployment.environment.name", "deployment.environment"]),
            version: text(&["service.version"]),
            sdk_language: text(&["telemetry.sdk.language"]),
            sdk_version: text(&["telemetry.sdk.version"]),
        }
    }

    /// Whether the service has no name of its own.
    pub fn is_unnamed(&self) -> bool {
        is_missing_service_name(&self.service)
    }
}

/// What the store keeps of a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeInfo {
    /// Name of the instrumentation library, possibly empty.
    pub name: Box<str>,
    /// Its version, possibly empty.
    pub version: Box<str>,
}

/// A service: namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// `service.namespace`, possibly empty.
    pub namespace: Box<str>,
    /// `service.name`, possibly empty or a mark.
    pub name: Box<str>,
}

/// What a span does, and where: resource, scope, kind and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// Index into [`Names::resources`].
    pub resource: u32,
    /// Index into [`Names::scopes`].
    pub scope: u32,
    /// Kind.
    pub kind: SpanKind,
    /// Index into [`Names::strings`].
    pub name: u32,
    /// Index into [`Names::sites`].
    pub site: SiteId,
}

/// A place in the code that makes spans, over all instances: what findings are about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// Index into [`Names::services`].
    pub service: ServiceId,
    /// Kind.
    pub kind: SpanKind,
    /// Normalised name.
    pub name: Box<str>,
    /// Name of the scope.
    pub scope: Box<str>,
}

/// What all numbers stand for. Every list is sorted by content.
#[derive(Debug, Default)]
pub struct Names {
    /// Span names.
    pub strings: Vec<Box<str>>,
    /// Resources.
    pub resources: Vec<ResourceInfo>,
    /// Scopes.
    pub scopes: Vec<ScopeInfo>,
    /// Services.
    pub services: Vec<Service>,
    /// Operations.
    pub operations: Vec<Operation>,
    /// Sites.
    pub sites: Vec<Site>,
    /// Boundaries.
    pub boundaries: Vec<Boundary<'static>>,
    /// How many names the (service, kind, scope) of each site has, with [`NAME_CAP`] + 1 for more.
    pub names_beside: Vec<usize>,
}

impl Names {
    /// The operation with this number.
    pub fn operation(&self, id: OperationId) -> &Operation {
        &self.operations[id as usize]
    }

    /// The resource of an operation.
    pub fn resource_of(&self, id: OperationId) -> &ResourceInfo {
        &self.resources[self.operation(id).resource as usize]
    }

    /// The scope of an operation.
    pub fn scope_of(&self, id: OperationId) -> &ScopeInfo {
        &self.scopes[self.operation(id).scope as usize]
    }

    /// The span name of an operation.
    pub fn name_of(&self, id: OperationId) -> &str {
        &self.strings[self.operation(id).name as usize]
    }

    /// The site of an operation.
    pub fn site_of(&self, id: OperationId) -> SiteId {
        self.operation(id).site
    }

    /// The site with this number.
    pub fn site(&self, id: SiteId) -> &Site {
        &self.sites[id as usize]
    }

    /// The sites of a service.
    pub fn sites_of(&self, service: ServiceId) -> impl Iterator<Item = SiteId> + '_ {
        let start = self.sites.partition_point(|site| site.service < service);
        let len = self.sites[start..].partition_point(|site| site.service == service);
        (start..start + len).map(|site| site as SiteId)
    }

    /// The service of a site.
    pub fn service_of_site(&self, id: SiteId) -> &Service {
        &self.services[self.site(id).service as usize]
    }
}

/// From a worker's numbers to the final ones.
#[derive(Debug, Default)]
pub struct Translation {
    /// Operations.
    pub operations: Vec<OperationId>,
    /// Boundaries.
    pub boundaries: Vec<u32>,
}

/// Numbers what one worker meets.
#[derive(Debug, Default)]
pub struct Interner {
    resources: Numbered<ResourceInfo>,
    /// Numbers of resources by a hash of their attributes as given: the fast way for the
    /// thousandth copy of one resource.
    resources_by_hash: HashMap<u64, u32, foldhash::fast::RandomState>,
    scopes: Numbered<ScopeInfo>,
    operations: Vec<WorkerOperation>,
    operations_by_hash: HashTable<u32>,
    groups: HashMap<Group, DistinctNames, foldhash::fast::RandomState>,
    boundaries: Vec<Boundary<'static>>,
    boundaries_by_hash: HashTable<u32>,
}

#[derive(Debug)]
struct WorkerOperation {
    resource: u32,
    scope: u32,
    kind: SpanKind,
    name: Box<str>,
}

impl WorkerOperation {
    fn hash(&self) -> u64 {
        operation_hash(self.resource, self.scope, self.kind, &self.name)
    }
}

fn operation_hash(resource: u32, scope: u32, kind: SpanKind, name: &str) -> u64 {
    let place = u64::from(resource) << 32 | u64::from(scope) << 3 | kind as u64;
    let mixed = (xxh3_64(name.as_bytes()) ^ place).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The resource is only in the upper half so far, and a table looks at the lower one.
    mixed ^ mixed >> 32
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Group {
    service: Service,
    kind: SpanKind,
    scope: ScopeInfo,
}

/// How the names of a group have to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Spelling {
    #[default]
    Full,
    Template,
    One,
}

impl Spelling {
    fn write(self, name: &str) -> Box<str> {
        match self {
            Self::Full => Box::from(name),
            Self::Template => Box::from(&*names::normalise(name)),
            Self::One => Box::from(TOO_MANY_NAMES),
        }
    }
}

/// The distinct names of a group as far as they have to be known.
#[derive(Debug, Default)]
struct DistinctNames {
    spelling: Spelling,
    seen: HashSet<Box<str>, foldhash::fast::RandomState>,
}

impl DistinctNames {
    /// Takes a name in; returns how it has to be written from now on.
    fn add(&mut self, name: &str) -> Spelling {
        if self.spelling == Spelling::One {
            return Spelling::One;
        }
        self.seen.insert(self.spelling.write(name));
        while self.seen.len() > NAME_CAP {
            self.coarsen();
        }
        self.spelling
    }

    fn coarsen(&mut self) {
        self.spelling = match self.spelling {
            Spelling::Full => Spelling::Template,
            Spelling::Template | Spelling::One => Spelling::One,
        };
        #[expect(clippy::iter_over_hash_type, reason = "a set is made from a set")]
        for name in std::mem::take(&mut self.seen) {
            self.seen.insert(self.spelling.write(&name));
        }
    }
}

impl Interner {
    /// The number of a resource.
    pub fn resource(&mut self, resource: &Resource<'_>, hash: u64) -> u32 {
        if let Some(number) = self.resources_by_hash.get(&hash) {
            return *number;
        }
        let number = self.resources.number(ResourceInfo::of(resource));
        self.resources_by_hash.insert(hash, number);
        number
    }

    /// The number of a scope.
    pub fn scope(&mut self, scope: &Scope<'_>) -> u32 {
        self.scopes.number(ScopeInfo { name: Box::from(&*scope.name), version: Box::from(&*scope.version) })
    }

    /// The number of an operation.
    pub fn operation(&mut self, resource: u32, scope: u32, kind: SpanKind, name: &str) -> u32 {
        if let Some(number) = self.find_operation(resource, scope, kind, name) {
            return number;
        }
        let info = &self.resources.items[resource as usize];
        let group = Group {
            service: Service { namespace: info.namespace.clone(), name: info.service.clone() },
            kind,
            scope: self.scopes.items[scope as usize].clone(),
        };
        let spelling = self.groups.entry(group).or_default().add(name);
        let name = spelling.write(name);
        if let Some(number) = self.find_operation(resource, scope, kind, &name) {
            return number;
        }
        let number = self.operations.len() as u32;
        let operation = WorkerOperation { resource, scope, kind, name };
        let operations = &self.operations;
        self.operations_by_hash
            .insert_unique(operation.hash(), number, |other| operations[*other as usize].hash());
        self.operations.push(operation);
        number
    }

    fn find_operation(&self, resource: u32, scope: u32, kind: SpanKind, name: &str) -> Option<u32> {
        let hash = operation_hash(resource, scope, kind, name);
        let found = self.operations_by_hash.find(hash, |number| {
            let operation = &self.operations[*number as usize];
            operation.resource == resource
                && operation.scope == scope
                && operation.kind == kind
                && *operation.name == *name
        });
        found.copied()
    }

    /// The number of a boundary.
    pub fn boundary(&mut self, boundary: &Boundary<'_>) -> u32 {
        let boundaries = &self.boundaries;
        let hash = boundary.hash();
        let found = self.boundaries_by_hash.find(hash, |number| boundaries[*number as usize] == *boundary);
        if let Some(number) = found {
            return *number;
        }
        let number = boundaries.len() as u32;
        self.boundaries_by_hash.insert_unique(hash, number, |other| boundaries[*other as usize].hash());
        self.boundaries.push(boundary.clone().into_owned());
        number
    }
}

/// Distinct values in the order of their first appearance.
#[derive(Debug)]
struct Numbered<T> {
    items: Vec<T>,
    numbers: HashMap<T, u32, foldhash::fast::RandomState>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { items: Vec::new(), numbers: HashMap::default() }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Numbered<T> {
    fn number(&mut self, item: T) -> u32 {
        if let Some(number) = self.numbers.get(&item) {
            return *number;
        }
        let number = self.items.len() as u32;
        self.items.push(item.clone());
        self.numbers.insert(item, number);
        number
    }
}

/// Gives everything its final number.
pub(super) fn merge(workers: &[Interner]) -> (Names, Vec<Translation>) {
    let resources = sorted(workers.iter().flat_map(|worker| &worker.resources.items));
    let scopes = sorted(workers.iter().flat_map(|worker| &worker.scopes.items));
    let boundaries = sorted(workers.iter().flat_map(|worker| &worker.boundaries));
    let services = sorted(&resources.iter().map(service_of).collect::<Vec<_>>());
    let spellings = spellings(workers);

    let mut drafts = Vec::new();
    for worker in workers {
        drafts.push(worker.final_operations(&resources, &scopes, &services, &spellings));
    }
    let all = || drafts.iter().flatten();
    let strings = sorted(all().map(|draft| &draft.name));
    let sites = sorted(all().map(|draft| &draft.site));
    let number = |draft: &Draft| Operation {
        resource: draft.resource,
        scope: draft.scope,
        kind: draft.site.kind,
        name: position(&strings, &draft.name),
        site: position(&sites, &draft.site),
    };
    let operations: Vec<Operation> = all().map(number).collect::<BTreeSet<_>>().into_iter().collect();

    let translations = workers.iter().zip(&drafts).map(|(worker, drafts)| Translation {
        operations: drafts.iter().map(|draft| position(&operations, &number(draft))).collect(),
        boundaries: worker.boundaries.iter().map(|item| position(&boundaries, item)).collect(),
    });
    let translations = translations.collect();
    let mut names_beside = vec![0; sites.len()];
    for draft in all() {
        let names = &mut names_beside[position(&sites, &draft.site) as usize];
        *names = (*names).max(draft.names_beside);
    }
    let names = Names { strings, resources, scopes, services, operations, sites, boundaries, names_beside };
    (names, translations)
}

/// An operation with its final resource, scope and name.
struct Draft {
    resource: u32,
    scope: u32,
    name: Box<str>,
    site: Site,
    /// How many names its group has.
    names_beside: usize,
}

impl Interner {
    fn final_operations(
        &self,
        resources: &[ResourceInfo],
        scopes: &[ScopeInfo],
        services: &[Service],
        spellings: &BTreeMap<Group, (Spelling, usize)>,
    ) -> Vec<Draft> {
        let operations = self.operations.iter().map(|operation| {
            let group = self.group_of(operation);
            let (spelling, names_beside) = spellings.get(&group).copied().unwrap_or_default();
            let name = spelling.write(&operation.name);
            let site = Site {
                service: position(services, &group.service),
                kind: operation.kind,
                name: Box::from(&*names::normalise(&name)),
                scope: group.scope.name.clone(),
            };
            let resource = &self.resources.items[operation.resource as usize];
            Draft {
                resource: position(resources, resource),
                scope: position(scopes, &group.scope),
                name,
                site,
                names_beside,
            }
        });
        operations.collect()
    }

    fn group_of(&self, operation: &WorkerOperation) -> Group {
        Group {
            service: service_of(&self.resources.items[operation.resource as usize]),
            kind: operation.kind,
            scope: self.scopes.items[operation.scope as usize].clone(),
        }
    }
}

/// How the names of each group have to be written, and how many there are, over all workers.
fn spellings(workers: &[Interner]) -> BTreeMap<Group, (Spelling, usize)> {
    let mut union: BTreeMap<Group, DistinctNames> = BTreeMap::new();
    for worker in workers {
        for operation in &worker.operations {
            let group = worker.group_of(operation);
            let spelling = worker.groups.get(&group).map_or(Spelling::Full, |names| names.spelling);
            let names = union.entry(group).or_default();
            while names.spelling < spelling {
                names.coarsen();
            }
            names.add(&operation.name);
        }
    }
    let count = |names: &DistinctNames| match names.spelling {
        Spelling::Full => names.seen.len(),
        Spelling::Template | Spelling::One => NAME_CAP + 1,
    };
    union.into_iter().map(|(group, names)| (group, (names.spelling, count(&names)))).collect()
}

fn service_of(resource: &ResourceInfo) -> Service {
    Service { namespace: resource.namespace.clone(), name: resource.service.clone() }
}

fn sorted<'i, T: Ord + Clone + 'i>(items: impl IntoIterator<Item = &'i T>) -> Vec<T> {
    items.into_iter().collect::<BTreeSet<_>>().into_iter().cloned().collect()
}

/// Position of an item that is known to be in the sorted list.
fn position<T: Ord>(sorted: &[T], item: &T) -> u32 {
    sorted.partition_point(|other| other < item) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Attribute, Value};

    fn resource(service: &'static str) -> Resource<'static> {
        let attribute = |key: &'static str, value: &'static str| Attribute {
            key: key.into(),
            value: Value::String(value.into()),
        };
        Resource { attributes: vec![attribute("service.name", service)], dropped_attributes: 0 }
    }

    fn worker(names: &[String]) -> Interner {
        let mut interner = Interner::default();
        let resource = interner.resource(&resource("web"), 1);
        let scope = interner.scope(&Scope::default());
        for name in names {
            interner.operation(resource, scope, SpanKind::Server, name);
        }
        interner
    }

    #[test]
    fn numbers_do_not_depend_on_the_order_of_work() {
        let names: Vec<String> = ["c", "a", "b", "a"].map(String::from).to_vec();
        let (one, _) = merge(&[worker(&names)]);
        let (two, _) = merge(&[worker(&names[2..]), worker(&names[..2])]);
        assert_eq!(one.strings, two.strings);
        assert_eq!(one.operations, two.operations);
        assert_eq!(one.sites, two.sites);
    }

    #[test]
    fn too_many_names_become_templates_whoever_notices() {
        let names: Vec<String> = (0..=NAME_CAP).map(|id| format!("GET /users/{id}")).collect();
        let (noticed_by_worker, _) = merge(&[worker(&names)]);
        let half = names.len() / 2;
        let (noticed_by_merge, _) = merge(&[worker(&names[..half]), worker(&names[half..])]);
        assert_eq!(noticed_by_worker.strings, vec![Box::from("GET /users/{n}")]);
        assert_eq!(noticed_by_merge.strings, noticed_by_worker.strings);
    }

    #[test]
    fn too_many_templates_become_one_name() {
        let letters = |mut id: usize| {
            let mut word = String::new();
            for _ in 0..4 {
                word.push(char::from(b'a' + (id % 26) as u8));
                id /= 26;
            }
            word
        };
        let names: Vec<String> = (0..=NAME_CAP).map(letters).collect();
        let (merged, _) = merge(&[worker(&names[..9]), worker(&names[9..])]);
        assert_eq!(merged.strings, vec![Box::from(TOO_MANY_NAMES)]);
    }
}
