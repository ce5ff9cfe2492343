//! Work that changed places: requests of a kind usually have so many spans of a site; some have more, and
//! requests that were open at the same time have as many fewer.
//!
//! Retries give more and failures give fewer, each by itself. What changed places fits into the hole that
//! it left: the next span of the request that lacks it starts when it ends. That has to happen so much
//! more often than at other times that p < 1e-6.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::processes::{LN_P_BALANCED, Placed, Process, Request, SITES_COMPARED, by_service, damaged};
use super::surroundings::{Gaps, Typical};
use super::{Break, Damaged, Explained, Facts, Place, sampled_requests};
use crate::causes::{Opinion, pool_callback};
use crate::corpus::assignment::{Candidate, assign};
use crate::corpus::composition::TOLERANCE_NS;
use crate::corpus::in_process::RequestKind;
use crate::corpus::matching::{CANDIDATES, Chance, LOOKED_AT, MOVES, chance, median};
use crate::corpus::requests::LocalSpan;
use crate::corpus::statistics::LN_IMPROBABLE;
use crate::finding::{Evidence, rate};
use crate::report::{Confidence, RateUnit, Severity};
use crate::store::SiteId;

/// A span stays where it is unless another request fits it twice as well: costs are logarithms.
const STAYS: f64 = std::f64::consts::LN_2;

/// Finds it.
pub(super) fn breaks(facts: &Facts<'_>, explained: &mut Explained) -> Vec<Break> {
    let rows = facts.deviations.requests.by_process();
    let processes = Process::all(rows, explained);
    let services = by_service(facts.names, &processes);
    services.values().filter_map(|own| of_service(facts, own)).collect()
}

fn of_service(facts: &Facts<'_>, processes: &[&Process<'_>]) -> Option<Break> {
    let mut sites: BTreeMap<SiteId, Vec<&Process<'_>>> = BTreeMap::new();
    for process in processes {
        for site in sites_compared(facts, process) {
            sites.entry(site).or_default().push(process);
        }
    }
    // All exchanges at once would need many times the room of the spans: they are made site by site.
    let chances: BTreeMap<SiteId, Chance> = sites
        .iter()
        .map(|(site, processes)| (*site, compared(&exchanges(facts, *site, processes))))
        .collect();
    if chances.values().all(|chance| chance.ln_p >= LN_IMPROBABLE) {
        return None;
    }
    let (mut spans, mut proofs, mut total, mut moved_by_site) = (Vec::new(), Vec::new(), 0, Vec::new());
    for (site, processes) in &sites {
        // What one pool is proven to do to one operation, it does to others.
        let chance = chances[site];
        if chance.ln_p >= LN_P_BALANCED {
            continue;
        }
        let exchanges = exchanges(facts, *site, processes);
        let proof = proof(facts, *site, &exchanges, chance);
        let moved: Vec<Damaged> = exchanges.iter().flat_map(|exchange| exchange.moved(facts)).collect();
        if moved.is_empty() {
            continue;
        }
        moved_by_site.push((moved.len(), *site));
        spans.extend(moved);
        proofs.push(proof);
        total += facts.corpus.profile(*site).spans;
    }
    // One pool is one break: it is reported at the site with most spans in other traces.
    let (_, leader) = moved_by_site.iter().copied().max_by_key(|(moved, site)| (*moved, Reverse(*site)))?;
    let title = match moved_by_site.len() {
        1 => "is in the traces of other requests".to_owned(),
        more => format!("and {} more are in the traces of other requests", more - 1),
    };
    let proof = proofs.remove(0);
    Some(Break {
        rule: "misattributed-span",
        from: None,
        to: Place::Site(leader),
        confidence: Confidence::High,
        severity: Severity::Error,
        cause: Some(Opinion { cause: &pool_callback::CAUSE, confidence: Confidence::High }),
        other_causes: Vec::new(),
        title,
        message: "Under load, work of one request is found in the trace of another that was open at the \
                  same time: one trace has too much of it, and the other lacks it."
            .to_owned(),
        rate: Some(rate(spans.len() as u64, total, RateUnit::Spans)),
        spans,
        proof,
        support: proofs.into_iter().chain(sampled_requests(facts)).collect(),
    })
}

/// The spans of one site in one process.
struct Exchange<'p, 'r> {
    requests: Vec<Counted<'p, 'r>>,
    typical: Typical,
    surplus: u64,
    deficit: u64,
}

/// A request and how many spans of the site it has and should have.
struct Counted<'p, 'r> {
    request: &'p Request<'r>,
    spans: Vec<&'r LocalSpan>,
    usual: u64,
    gaps: Gaps,
}

impl Counted<'_, '_> {
    fn surplus(&self) -> u64 {
        (self.spans.len() as u64).saturating_sub(self.usual)
    }

    fn deficit(&self) -> u64 {
        self.usual.saturating_sub(self.spans.len() as u64)
    }

    /// Whether a span fits where the request lacks one.
    fn fits(&self, typical: &Typical, span: &LocalSpan) -> bool {
        let entry = self.request.entry;
        entry.start_ns <= span.start_ns + TOLERANCE_NS
            && span.end_ns <= entry.end_ns + TOLERANCE_NS
            && typical.is_followed_as_usual(self.gaps.around(span))
    }
}

/// The sites of a process that may be exchanged, of many those with most spans.
fn sites_compared(facts: &Facts<'_>, process: &Process<'_>) -> Vec<SiteId> {
    let mut sites: Vec<(Reverse<u64>, SiteId)> =
        unbalanced(facts, process).into_iter().map(|(site, spans)| (Reverse(spans), site)).collect();
    sites.sort_unstable();
    sites.truncate(SITES_COMPARED);
    sites.into_iter().map(|(_, site)| site).collect()
}

/// Sites of which some requests of a process have too many spans and others too few; by how many, at
/// least.
fn unbalanced(facts: &Facts<'_>, process: &Process<'_>) -> BTreeMap<SiteId, u64> {
    let names = facts.names;
    let mut requests: BTreeMap<RequestKind, u64> = BTreeMap::new();
    let mut with: BTreeMap<(RequestKind, SiteId), u64> = BTreeMap::new();
    let mut balance: BTreeMap<SiteId, (u64, u64)> = BTreeMap::new();
    for request in &process.requests {
        let kind = request.entry.kind(names);
        *requests.entry(kind).or_default() += 1;
        let mut sites: Vec<SiteId> = request.spans.iter().map(|span| names.site_of(span.operation)).collect();
        sites.sort_unstable();
        for same in sites.chunk_by(|one, other| one == other) {
            *with.entry((kind, same[0])).or_default() += 1;
            let Some(usual) = facts.corpus.composition.usual(kind, same[0]) else { continue };
            let (surplus, deficit) = balance.entry(same[0]).or_default();
            *surplus += (same.len() as u64).saturating_sub(usual);
            *deficit += usual.saturating_sub(same.len() as u64);
        }
    }
    for ((kind, site), with) in with {
        let usual = facts.corpus.composition.usual(kind, site).unwrap_or(0);
        balance.entry(site).or_default().1 += (requests[&kind] - with) * usual;
    }
    let both = balance.into_iter().map(|(site, (surplus, deficit))| (site, surplus.min(deficit)));
    both.filter(|(_, both)| *both > 0).collect()
}

fn exchanges<'p, 'r>(
    facts: &Facts<'_>,
    site: SiteId,
    processes: &[&'p Process<'r>],
) -> Vec<Exchange<'p, 'r>> {
    processes.iter().filter_map(|process| exchange(facts, process, site)).collect()
}

fn exchange<'p, 'r>(facts: &Facts<'_>, process: &'p Process<'r>, site: SiteId) -> Option<Exchange<'p, 'r>> {
    let names = facts.names;
    let is_same = |span: &LocalSpan| names.site_of(span.operation) == site;
    let usual = |request: &Request<'_>| facts.corpus.composition.usual(request.entry.kind(names), site);
    let (mut surplus, mut deficit) = (0, 0);
    for request in &process.requests {
        let Some(usual) = usual(request) else { continue };
        let count = request.count(names, site);
        surplus += count.saturating_sub(usual);
        deficit += usual.saturating_sub(count);
    }
    if surplus == 0 || deficit == 0 {
        return None;
    }
    let counted = process.requests.iter().filter_map(|request| {
        Some(Counted {
            request,
            spans: request.spans.iter().copied().filter(|span| is_same(span)).collect(),
            usual: usual(request)?,
            gaps: Gaps::of(request, &|span| !is_same(span)),
        })
    });
    let typical = Typical::of_twins(names, site, &process.requests);
    Some(Exchange { requests: counted.collect(), typical, surplus, deficit })
}

/// What shows that spans of a site changed places, over all processes of a service.
fn proof(facts: &Facts<'_>, site: SiteId, exchanges: &[Exchange<'_, '_>], chance: Chance) -> Evidence {
    Evidence::Exchanged {
        operation: facts.names.site(site).name.to_string(),
        surplus: exchanges.iter().map(|exchange| exchange.surplus).sum(),
        deficit: exchanges.iter().map(|exchange| exchange.deficit).sum(),
        fitting: chance.paired,
        expected: chance.expected,
        p_exponent: (chance.ln_p / std::f64::consts::LN_10).ceil() as i64,
    }
}

/// The requests that lack a span of the site, with those into which one of the others fits.
fn compared(exchanges: &[Exchange<'_, '_>]) -> Chance {
    let (mut all, mut met, mut moved) = (0, 0, 0);
    for exchange in exchanges.iter().filter(|exchange| exchange.typical.is_known()) {
        let counts = exchange.compare();
        (all, met, moved) = (all + counts.0, met + counts.1, moved + counts.2);
    }
    chance(all, met, moved)
}

impl Exchange<'_, '_> {
    /// Requests that lack a span; those into which a span of a request with too many fits; and how often
    /// one does at other times.
    fn compare(&self) -> (u64, u64, u64) {
        let lacking: Vec<&Counted<'_, '_>> =
            self.requests.iter().filter(|request| request.deficit() > 0).collect();
        let surplus = self.requests.iter().filter(|request| request.surplus() > 0);
        let mut extra: Vec<&LocalSpan> = surplus.flat_map(|request| &request.spans).copied().collect();
        extra.sort_unstable_by_key(|span| (span.start_ns, span.trace_id, span.span_id));
        let mut open: Vec<i64> = lacking.iter().map(|lacks| lacks.request.entry.duration_ns()).collect();
        let step_ns = median(&mut open).max(TOLERANCE_NS);
        let meets = |lacks: &Counted<'_, '_>, moved_ns: i64| {
            let entry = lacks.request.entry;
            let from = extra.partition_point(|span| span.start_ns + moved_ns < entry.start_ns - TOLERANCE_NS);
            let open = extra[from..].iter().take(LOOKED_AT);
            let mut open = open.take_while(|span| span.start_ns + moved_ns <= entry.end_ns);
            open.any(|span| lacks.fits(&self.typical, &span.moved(moved_ns)))
        };
        let met = lacking.iter().filter(|lacks| meets(lacks, 0)).count() as u64;
        let moved = MOVES.iter().map(|times| step_ns.saturating_mul(*times));
        let moved = moved.map(|by| lacking.iter().filter(|lacks| meets(lacks, by)).count() as u64).sum();
        (lacking.len() as u64, met, moved)
    }

    /// The spans that have to change places, with the requests that they belong to.
    fn moved(&self, facts: &Facts<'_>) -> Vec<Damaged> {
        let free: Vec<usize> = (0..self.requests.len()).filter(|number| !self.is_settled(*number)).collect();
        let mut spans: Vec<(usize, &LocalSpan)> = free
            .iter()
            .flat_map(|number| self.requests[*number].spans.iter().map(|span| (*number, *span)))
            .collect();
        spans.sort_unstable_by_key(|(_, span)| (span.start_ns, span.trace_id, span.span_id));
        let mut slots: Vec<usize> = Vec::new();
        for number in &free {
            slots.extend((0..self.requests[*number].usual).map(|_| *number));
        }
        let longest_ns = free.iter().map(|number| self.requests[*number].request.entry.duration_ns()).max();
        let mut possible = Vec::new();
        let mut candidates = vec![0_u32; spans.len()];
        for (left, (own, span)) in spans.iter().enumerate() {
            for right in self.open_slots(&slots, span, longest_ns.unwrap_or(0), *own) {
                candidates[left] += u32::from(slots[right] != *own);
                let number = slots[right];
                let cost = self.typical.cost_after_waiting(self.requests[number].gaps.around(span));
                let cost = if number == *own { cost } else { cost + STAYS };
                possible.push(Candidate { left: left as u32, right: right as u32, cost });
            }
        }
        let assigned = assign(&possible, spans.len());
        let mut out_of: FxHashMap<usize, Vec<(usize, usize)>> = FxHashMap::default();
        for (left, right) in assigned {
            let (left, home) = (left as usize, slots[right as usize]);
            if spans[left].0 != home {
                out_of.entry(spans[left].0).or_default().push((left, home));
            }
        }
        let chains = self.chains(&out_of);
        let placed = chains.into_iter().map(|(left, home)| Placed {
            span: spans[left].1,
            home: Some(self.requests[home].request),
            candidates: candidates[left],
            is_clear: true,
        });
        placed.map(|placed| damaged(facts, &placed)).collect()
    }

    /// A request that has what it should, where it should be, takes no part.
    fn is_settled(&self, number: usize) -> bool {
        let own = &self.requests[number];
        own.surplus() == 0 && own.deficit() == 0 && own.spans.iter().all(|span| own.fits(&self.typical, span))
    }

    fn open_slots(&self, slots: &[usize], span: &LocalSpan, longest_ns: i64, own: usize) -> Vec<usize> {
        let entry = |slot: &usize| self.requests[*slot].request.entry;
        let end = slots.partition_point(|slot| entry(slot).start_ns <= span.start_ns + TOLERANCE_NS);
        let newest_first = (0..end).rev().take(LOOKED_AT);
        newest_first
            .take_while(|slot| entry(&slots[*slot]).start_ns >= span.start_ns - longest_ns - TOLERANCE_NS)
            .filter(|slot| span.end_ns <= entry(&slots[*slot]).end_ns + TOLERANCE_NS || slots[*slot] == own)
            .take(CANDIDATES)
            .collect()
    }

    /// Moves that begin at a request with too many: whoever got such a span may have given its own away.
    /// Exchanges among requests that lack nothing are no evidence of anything.
    fn chains(&self, out_of: &FxHashMap<usize, Vec<(usize, usize)>>) -> Vec<(usize, usize)> {
        let surplus = (0..self.requests.len()).filter(|number| self.requests[*number].surplus() > 0);
        let mut waiting: Vec<usize> = surplus.collect();
        let mut visited: BTreeSet<usize> = waiting.iter().copied().collect();
        let mut moves = Vec::new();
        while let Some(number) = waiting.pop() {
            for (left, home) in out_of.get(&number).into_iter().flatten() {
                moves.push((*left, *home));
                if visited.insert(*home) {
                    waiting.push(*home);
                }
            }
        }
        moves.sort_unstable();
        moves
    }
}
