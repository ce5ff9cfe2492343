//! Which clock is wrong: clocks that were compared with each other form a network, and the largest
//! part of it that agrees is taken as right.
//!
//! A clock that differs is measured against all clocks that are known by then, so that what holds
//! between two clocks that never met follows from the clocks between them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use petgraph::unionfind::UnionFind;

use super::course::{Course, Measured, course};
use super::{Bounds, ClockPairs, ClockReader, HOPS_FOR_OFFSET, Hop, level_interval};
use crate::store::Names;

/// Offsets below this are never judged: instrumentation ends and starts spans that much early or late.
const TOLERANCE_NS: i64 = 1_000_000;

/// Groups of clocks that are tried as the right ones, the largest first.
const GROUPS_TRIED: usize = 8;

/// A clock: that of one process, or that of a host when its processes have too few hops each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clock {
    /// Host, possibly empty.
    pub host: Box<str>,
    /// The process, or `None` for the host as a whole.
    pub process: Option<ClockReader>,
}

/// How a clock that is off stands to those that are right.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The clock.
    pub clock: Clock,
    /// The clock it has most hops with among those it was compared with.
    pub partner: Clock,
    /// How many it was compared with.
    pub partners: usize,
    /// Its offset over time: the clock minus the right ones.
    pub course: Course,
    /// The hops that say so, by time.
    pub hops: Vec<ComparedHop>,
    /// How many there are.
    pub pairs: usize,
    /// Of these, hops that allow the course.
    pub agreeing: usize,
    /// What its offset may be at the first and the last hop.
    pub ends: (Bounds, Bounds),
    /// Clocks that agree with each other and not with this one.
    pub right_clocks: usize,
    /// As many clocks or hosts speak against the others as against this one.
    pub is_ambiguous: bool,
    tolerance_ns: i64,
}

/// A clock that agrees with the others it was compared with.
#[derive(Clone, Debug)]
pub struct Agreeing {
    /// The clock.
    pub clock: Clock,
    /// What its offset may be.
    pub offset: Bounds,
    /// Hops that say so.
    pub pairs: usize,
    /// Hops that agree with one offset inside.
    pub agreeing: usize,
}

/// A hop as it bounds a clock's offset.
#[derive(Clone, Copy, Debug)]
pub struct ComparedHop {
    /// The hop.
    pub hop: Hop,
    /// What it says.
    pub measured: Measured,
}

/// All clocks that were compared.
#[derive(Debug, Default)]
pub struct ClockNetwork {
    /// Clocks that are off, by clock.
    pub standings: Vec<Standing>,
    /// Clocks that are taken as right, by clock.
    pub agreeing: Vec<Agreeing>,
    /// Offset over time by number of the resource, `None` where it is not known to be off.
    of_resource: Vec<Option<Course>>,
}

impl ClockNetwork {
    /// Compares the clocks.
    pub(in crate::corpus) fn of(pairs: &ClockPairs, names: &Names) -> Self {
        let comparison = Comparison::of(pairs, names);
        let mut network = Self::default();
        let mut courses: Vec<Option<Course>> = vec![None; comparison.clocks.len()];
        for component in comparison.components() {
            comparison.judge(&component, &mut network, &mut courses);
        }
        network.standings.sort_by(|one, other| one.clock.cmp(&other.clock));
        network.agreeing.sort_by(|one, other| one.clock.cmp(&other.clock));
        network.of_resource = names
            .resources
            .iter()
            .map(|resource| courses[comparison.number_of(&ClockReader::of(resource))?])
            .collect();
        network
    }

    /// What has to be added to a time that this resource's clock showed, so that it is that of the clocks
    /// that are right, ns. 0 where the clock is right or not known to be wrong.
    pub fn correction_ns(&self, resource: u32, at_ns: i64) -> i64 {
        self.course_of(resource).map_or(0, |course| -course.at_own(at_ns).middle_ns())
    }

    /// How far [`Self::correction_ns`] may be off, ns; 0 where nothing is corrected.
    pub fn uncertainty_ns(&self, resource: u32, at_ns: i64) -> i64 {
        self.course_of(resource).map_or(0, |course| course.at_own(at_ns).half_width_ns())
    }

    /// The greatest correction of any clock at the times of its hops, with what it may be off, ns.
    pub fn largest_correction_ns(&self) -> i64 {
        let offset = |standing: &Standing| {
            let at = standing.hops.iter().map(|hop| hop.measured.at_ns);
            let offsets = at.map(|at_ns| standing.course.at(at_ns));
            let greatest = offsets.map(|offset| offset.middle_ns().saturating_abs() + offset.half_width_ns());
            greatest.max().unwrap_or(0)
        };
        self.standings.iter().map(offset).max().unwrap_or(0)
    }

    fn course_of(&self, resource: u32) -> Option<&Course> {
        self.of_resource.get(resource as usize)?.as_ref()
    }

    /// Gives the memory of the hops back.
    pub(in crate::corpus) fn forget_samples(&mut self) {
        for standing in &mut self.standings {
            standing.hops = Vec::new();
        }
    }
}

impl Clock {
    fn of_process(reader: &ClockReader) -> Self {
        Self { host: reader.host.clone(), process: Some(reader.clone()) }
    }

    fn of_host(reader: &ClockReader) -> Self {
        Self { host: reader.host.clone(), process: None }
    }

    /// A name for people.
    pub fn label(&self) -> String {
        match &self.process {
            Some(process) if self.host.is_empty() => process.service.to_string(),
            Some(process) => format!("{} on {}", process.service, self.host),
            None => format!("host {}", self.host),
        }
    }

    /// What tells the machines of two clocks apart; processes without a host may run anywhere.
    fn machine(&self) -> (&str, Option<&ClockReader>) {
        if self.host.is_empty() { ("", self.process.as_ref()) } else { (&self.host, None) }
    }
}

impl Standing {
    /// The hops that do not allow that the clocks agree.
    pub fn shifted(&self) -> impl Iterator<Item = &Hop> {
        self.hops.iter().filter(|hop| !hop.measured.bounds.allows(0)).map(|hop| &hop.hop)
    }

    fn is_like(&self, other: &Self) -> bool {
        let tolerance_ns = self.tolerance_ns.max(other.tolerance_ns);
        let ends =
            [self, other].into_iter().flat_map(|standing| [standing.hops.first(), standing.hops.last()]);
        std::mem::discriminant(&self.course) == std::mem::discriminant(&other.course)
            && ends.flatten().all(|hop| {
                let at_ns = hop.measured.at_ns;
                self.course.at(at_ns).widened(tolerance_ns).overlaps(other.course.at(at_ns))
            })
    }
}

/// The hops between two clocks: each with whether the second of them is the caller's.
#[derive(Default)]
struct Bundle {
    hops: Vec<(Hop, bool)>,
    tolerance_ns: i64,
}

impl Bundle {
    /// The hops as they bound the offset of one of the clocks, where that of the other is known.
    fn seen_from(&self, known_is_second: bool, known: Option<&Course>) -> impl Iterator<Item = ComparedHop> {
        self.hops.iter().map(move |(hop, second_calls)| {
            let Bounds { low_ns, high_ns } = hop.bounds();
            let (bounds, at_ns) = if known_is_second == *second_calls {
                (Bounds { low_ns, high_ns }, hop.start_ns)
            } else {
                (Bounds { low_ns: -high_ns, high_ns: -low_ns }, hop.server_start_ns())
            };
            let known = known.map_or(Bounds { low_ns: 0, high_ns: 0 }, |course| course.at_own(at_ns));
            let offset_ns = known.middle_ns();
            let bounds = bounds.moved(offset_ns).widened(known.half_width_ns());
            ComparedHop { hop: *hop, measured: Measured { at_ns: at_ns - offset_ns, bounds } }
        })
    }

    fn course(&self) -> Option<Course> {
        let mut measured: Vec<Measured> = self.seen_from(false, None).map(|hop| hop.measured).collect();
        course(&mut measured, self.tolerance_ns)
    }
}

/// What two clocks are to each other, on their hops alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Agree,
    Differ,
    /// Too few hops, or hops that contradict each other.
    Unclear,
}

/// All clocks and what was measured between them.
struct Comparison {
    clocks: Vec<Clock>,
    bundles: Vec<((usize, usize), Bundle, Relation)>,
    /// Numbers of the bundles of each clock.
    around: Vec<Vec<usize>>,
}

/// What follows when a group of clocks is taken as right.
struct Solution {
    /// Clocks that agree.
    right: BTreeSet<usize>,
    /// Clocks that are off.
    off: BTreeMap<usize, (Course, Vec<ComparedHop>)>,
}

impl Comparison {
    fn of(pairs: &ClockPairs, names: &Names) -> Self {
        let by_readers = pairs.by_readers(names);
        let mut counts: BTreeMap<(&ClockReader, &ClockReader), usize> = BTreeMap::new();
        for ((caller, callee), paired) in &by_readers {
            *counts.entry((caller.min(callee), caller.max(callee))).or_default() += paired.hops.len();
        }
        let mut measurable: BTreeSet<&ClockReader> = BTreeSet::new();
        for ((one, other), count) in counts {
            if count >= HOPS_FOR_OFFSET {
                measurable.extend([one, other]);
            }
        }
        let clock = |reader: &ClockReader| {
            let is_alone = measurable.contains(reader) || reader.host.is_empty();
            if is_alone { Clock::of_process(reader) } else { Clock::of_host(reader) }
        };
        let mut bundles: BTreeMap<(Clock, Clock), Bundle> = BTreeMap::new();
        for ((caller, callee), paired) in &by_readers {
            let (caller, callee) = (clock(caller), clock(callee));
            if caller == callee {
                continue;
            }
            let second_calls = callee < caller;
            let clocks = if second_calls { (callee, caller) } else { (caller, callee) };
            let bundle = bundles.entry(clocks).or_default();
            bundle.hops.extend(paired.hops.iter().map(|hop| (*hop, second_calls)));
            // Each of start and end may be off by a step of the times on either side.
            let tolerance_ns = TOLERANCE_NS.max(3 * paired.resolution_ns);
            bundle.tolerance_ns = bundle.tolerance_ns.max(tolerance_ns);
        }
        Self::new(bundles)
    }

    fn new(bundles: BTreeMap<(Clock, Clock), Bundle>) -> Self {
        let clocks: BTreeSet<&Clock> = bundles.keys().flat_map(|(one, other)| [one, other]).collect();
        let clocks: Vec<Clock> = clocks.into_iter().cloned().collect();
        let number = |clock: &Clock| clocks.partition_point(|other| other < clock);
        let mut around = vec![Vec::new(); clocks.len()];
        let bundles: Vec<_> = bundles
            .into_iter()
            .enumerate()
            .map(|(index, ((one, other), bundle))| {
                let ends = (number(&one), number(&other));
                around[ends.0].push(index);
                around[ends.1].push(index);
                let relation = match bundle.course() {
                    None => Relation::Unclear,
                    Some(course) if course.is_zero(bundle.tolerance_ns) => Relation::Agree,
                    Some(_) => Relation::Differ,
                };
                (ends, bundle, relation)
            })
            .collect();
        Self { clocks, bundles, around }
    }

    /// The clock of a process: its own, or its host's.
    fn number_of(&self, reader: &ClockReader) -> Option<usize> {
        let find = |clock: &Clock| self.clocks.binary_search(clock).ok();
        find(&Clock::of_process(reader)).or_else(|| find(&Clock::of_host(reader)))
    }

    fn joined(&self, is_wanted: impl Fn(Relation) -> bool) -> Vec<Vec<usize>> {
        let mut union = UnionFind::new(self.clocks.len());
        for ((one, other), ..) in self.bundles.iter().filter(|(.., relation)| is_wanted(*relation)) {
            union.union(*one, *other);
        }
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for number in 0..self.clocks.len() {
            groups.entry(union.find(number)).or_default().push(number);
        }
        groups.into_values().collect()
    }

    /// Clocks that were compared with each other, directly or over others.
    fn components(&self) -> Vec<Vec<usize>> {
        self.joined(|_| true)
    }

    fn judge(&self, component: &[usize], network: &mut ClockNetwork, courses: &mut [Option<Course>]) {
        // Two clocks whose hops give no course may still have one against all others together.
        let agrees = |index: &usize| {
            let (_, bundle, relation) = &self.bundles[*index];
            *relation == Relation::Agree || bundle.hops.len() < HOPS_FOR_OFFSET
        };
        if component.iter().flat_map(|clock| &self.around[*clock]).all(agrees) {
            network.agreeing.extend(component.iter().filter_map(|clock| self.agreeing(*clock, None)));
            return;
        }
        let Some((solution, is_ambiguous)) = self.best_solution(component) else { return };
        for clock in &solution.right {
            network.agreeing.extend(self.agreeing(*clock, Some(&solution.right)));
        }
        for (clock, (course, _)) in &solution.off {
            courses[*clock] = Some(*course);
        }
        let right_clocks = solution.right.len();
        let right_hosts: BTreeSet<&str> =
            solution.right.iter().map(|clock| &*self.clocks[*clock].host).collect();
        let standings = solution.off.iter().map(|(clock, (course, hops))| {
            let (partner, partners, tolerance_ns) = self.partners(*clock, &solution);
            Standing {
                clock: self.clocks[*clock].clone(),
                partner: self.clocks[partner].clone(),
                partners,
                course: *course,
                hops: hops.clone(),
                pairs: hops.len(),
                agreeing: agreeing(*course, hops, tolerance_ns),
                ends: ends(*course, hops),
                right_clocks,
                is_ambiguous,
                tolerance_ns,
            }
        });
        let standings = of_whole_hosts(standings.collect(), &right_hosts);
        network.standings.extend(standings);
    }

    /// What a clock that agrees was compared with: all others, or only those that are right.
    fn agreeing(&self, clock: usize, right: Option<&BTreeSet<usize>>) -> Option<Agreeing> {
        let mut bounds = Vec::new();
        for index in &self.around[clock] {
            let ((one, other), bundle, _) = &self.bundles[*index];
            let partner = if *one == clock { *other } else { *one };
            if right.is_none_or(|right| right.contains(&partner)) {
                bounds.extend(bundle.seen_from(partner == *other, None).map(|hop| hop.measured.bounds));
            }
        }
        let interval = level_interval(&bounds).filter(|interval| interval.pairs >= HOPS_FOR_OFFSET)?;
        Some(Agreeing {
            clock: self.clocks[clock].clone(),
            offset: interval.bounds,
            pairs: interval.pairs,
            agreeing: interval.agreeing,
        })
    }

    /// The known clock with most hops, how many known ones there are, and the coarsest tolerance.
    fn partners(&self, clock: usize, solution: &Solution) -> (usize, usize, i64) {
        let mut partners: Vec<(Reverse<usize>, usize)> = Vec::new();
        let mut tolerance_ns = TOLERANCE_NS;
        for index in &self.around[clock] {
            let ((one, other), bundle, _) = &self.bundles[*index];
            let partner = if *one == clock { *other } else { *one };
            if solution.right.contains(&partner) || solution.off.contains_key(&partner) {
                partners.push((Reverse(bundle.hops.len()), partner));
                tolerance_ns = tolerance_ns.max(bundle.tolerance_ns);
            }
        }
        let first = |is_right: bool| {
            partners.iter().filter(|(_, partner)| solution.right.contains(partner) == is_right).min()
        };
        let (_, partner) = first(true).or_else(|| first(false)).copied().unwrap_or((Reverse(0), clock));
        (partner, partners.len(), tolerance_ns)
    }

    /// The group of clocks that, taken as right, most clocks agree with; and whether another group has
    /// as much to say for itself.
    fn best_solution(&self, component: &[usize]) -> Option<(Solution, bool)> {
        let solutions: Vec<Solution> =
            self.groups(component).into_iter().map(|group| self.solve(component, group)).collect();
        // Of equals the first, which is the group with most hops.
        let best = (0..solutions.len()).rev().max_by_key(|index| self.weight(&solutions[*index]))?;
        let (hosts, clocks, explained) = self.weight(&solutions[best]);
        let machines = |solution: &Solution| -> BTreeSet<_> {
            solution.right.iter().map(|clock| self.clocks[*clock].machine()).collect()
        };
        let own_machines = machines(&solutions[best]);
        let is_ambiguous = solutions.iter().any(|rival| {
            let weight = self.weight(rival);
            let are_apart = rival.right.is_disjoint(&solutions[best].right);
            let is_as_heavy = weight.0 == hosts && weight.2 == explained;
            // Processes of one host read one clock, and are no more than one witness.
            are_apart && is_as_heavy && (weight.1 == clocks || machines(rival).is_disjoint(&own_machines))
        });
        solutions.into_iter().nth(best).map(|solution| (solution, is_ambiguous))
    }

    /// Hosts and clocks that agree, and clocks about which something is known.
    fn weight(&self, solution: &Solution) -> (usize, usize, usize) {
        let machines: BTreeSet<_> =
            solution.right.iter().map(|clock| self.clocks[*clock].machine()).collect();
        (machines.len(), solution.right.len(), solution.right.len() + solution.off.len())
    }

    /// Groups of clocks that agree with each other, the largest first.
    fn groups(&self, component: &[usize]) -> Vec<BTreeSet<usize>> {
        let members: BTreeSet<usize> = component.iter().copied().collect();
        let agreeing = self.joined(|relation| relation == Relation::Agree);
        let mut groups: Vec<BTreeSet<usize>> = Vec::new();
        for group in agreeing.into_iter().filter(|group| members.contains(&group[0])) {
            let mut group: BTreeSet<usize> = group.into_iter().collect();
            while let Some(odd) = self.most_contradicting(&group) {
                group.remove(&odd);
                groups.push(BTreeSet::from([odd]));
            }
            groups.push(group);
        }
        let hops = |group: &BTreeSet<usize>| -> usize {
            let bundles = group.iter().flat_map(|clock| &self.around[*clock]);
            bundles.map(|index| self.bundles[*index].1.hops.len()).sum()
        };
        groups.sort_by_cached_key(|group| {
            let machines: BTreeSet<_> = group.iter().map(|clock| self.clocks[*clock].machine()).collect();
            (Reverse(machines.len()), Reverse(group.len()), Reverse(hops(group)), group.first().copied())
        });
        groups.truncate(GROUPS_TRIED);
        groups
    }

    /// The member of a group that differs from other members in the greatest share of its hops.
    fn most_contradicting(&self, group: &BTreeSet<usize>) -> Option<usize> {
        let share = |clock: usize| {
            let (mut differing, mut all) = (0_usize, 0_usize);
            for index in &self.around[clock] {
                let ((one, other), bundle, relation) = &self.bundles[*index];
                let partner = if *one == clock { *other } else { *one };
                if !group.contains(&partner) {
                    continue;
                }
                all += bundle.hops.len();
                differing += if *relation == Relation::Differ { bundle.hops.len() } else { 0 };
            }
            (differing > 0).then(|| differing as f64 / all as f64)
        };
        let shares = group.iter().filter_map(|clock| Some((share(*clock)?, Reverse(*clock))));
        shares
            .max_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)))
            .map(|(_, clock)| clock.0)
    }

    /// Measures all other clocks, those with most hops to known ones first.
    fn solve(&self, component: &[usize], right: BTreeSet<usize>) -> Solution {
        let members: BTreeSet<usize> = component.iter().copied().collect();
        let mut solution = Solution { right, off: BTreeMap::new() };
        let mut reached: BTreeMap<usize, usize> = BTreeMap::new();
        let mut queue: BTreeSet<(Reverse<usize>, usize)> = BTreeSet::new();
        let mut done: BTreeSet<usize> = solution.right.clone();
        let mut news: Vec<usize> = solution.right.iter().copied().collect();
        loop {
            for clock in news.drain(..) {
                for index in &self.around[clock] {
                    let ((one, other), bundle, _) = &self.bundles[*index];
                    let partner = if *one == clock { *other } else { *one };
                    if done.contains(&partner) || !members.contains(&partner) {
                        continue;
                    }
                    let hops = reached.entry(partner).or_default();
                    queue.remove(&(Reverse(*hops), partner));
                    *hops += bundle.hops.len();
                    queue.insert((Reverse(*hops), partner));
                }
            }
            let Some((_, clock)) = queue.pop_first() else { return solution };
            done.insert(clock);
            if self.measure(clock, &mut solution) {
                news.push(clock);
            }
        }
    }

    /// Measures a clock against all that are known; says whether it is known now.
    fn measure(&self, clock: usize, solution: &mut Solution) -> bool {
        let mut hops: Vec<ComparedHop> = Vec::new();
        let mut tolerance_ns = TOLERANCE_NS;
        for index in &self.around[clock] {
            let ((one, other), bundle, _) = &self.bundles[*index];
            let partner = if *one == clock { *other } else { *one };
            let known = solution.off.get(&partner).map(|(course, _)| course);
            if known.is_none() && !solution.right.contains(&partner) {
                continue;
            }
            hops.extend(bundle.seen_from(partner == *other, known));
            tolerance_ns = tolerance_ns.max(bundle.tolerance_ns);
        }
        let Some(course) = course_of(&mut hops, tolerance_ns) else { return false };
        if course.is_zero(tolerance_ns) {
            solution.right.insert(clock);
        } else {
            solution.off.insert(clock, (course, hops));
        }
        true
    }
}

fn course_of(hops: &mut [ComparedHop], tolerance_ns: i64) -> Option<Course> {
    hops.sort_unstable_by_key(|hop| (hop.measured.at_ns, hop.hop));
    let mut measured: Vec<Measured> = hops.iter().map(|hop| hop.measured).collect();
    course(&mut measured, tolerance_ns)
}

fn agreeing(course: Course, hops: &[ComparedHop], tolerance_ns: i64) -> usize {
    let measured: Vec<Measured> = hops.iter().map(|hop| hop.measured).collect();
    course.agreeing(&measured, tolerance_ns)
}

fn ends(course: Course, hops: &[ComparedHop]) -> (Bounds, Bounds) {
    let at = |hop: Option<&ComparedHop>| course.at(hop.map_or(0, |hop| hop.measured.at_ns));
    (at(hops.first()), at(hops.last()))
}

/// Joins the clocks of processes whose whole host is off in the same way.
fn of_whole_hosts(standings: Vec<Standing>, right_hosts: &BTreeSet<&str>) -> Vec<Standing> {
    let mut by_host: BTreeMap<Box<str>, Vec<Standing>> = BTreeMap::new();
    let mut all = Vec::new();
    for standing in standings {
        let host = &standing.clock.host;
        if host.is_empty() || right_hosts.contains(&**host) {
            all.push(standing);
        } else {
            by_host.entry(host.clone()).or_default().push(standing);
        }
    }
    for members in by_host.into_values() {
        match whole_host(&members) {
            Some(whole) => all.push(whole),
            None => all.extend(members),
        }
    }
    all
}

fn whole_host(members: &[Standing]) -> Option<Standing> {
    let [first, others @ ..] = members else { return None };
    if others.is_empty() || !others.iter().all(|other| first.is_like(other)) {
        return None;
    }
    let tolerance_ns = members.iter().map(|member| member.tolerance_ns).max()?;
    let mut hops: Vec<ComparedHop> = members.iter().flat_map(|member| &member.hops).copied().collect();
    let course = course_of(&mut hops, tolerance_ns)?;
    let main = members.iter().rev().max_by_key(|member| member.hops.len())?;
    Some(Standing {
        clock: Clock { host: first.clock.host.clone(), process: None },
        partners: members.iter().map(|member| member.partners).max()?,
        course,
        pairs: hops.len(),
        agreeing: agreeing(course, &hops, tolerance_ns),
        ends: ends(course, &hops),
        hops,
        tolerance_ns,
        ..main.clone()
    })
}
