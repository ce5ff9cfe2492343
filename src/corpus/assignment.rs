//! One-to-one assignment of least cost between two sides of which every member has few candidates.

use petgraph::unionfind::UnionFind;

/// A possible pair: number on the left, number on the right, cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) left: u32,
    pub(crate) right: u32,
    pub(crate) cost: f64,
}

/// Conflicts up to this many members on either side are solved exactly: the work grows with the cube,
/// and 64 still is 0.3 million steps. Larger ones are filled with the cheapest pair first.
const SOLVED_EXACTLY: usize = 64;

/// Costs more than any pair, so that as many as possible are paired.
const FORBIDDEN: f64 = 1e9;

/// Pairs of left and right. Candidates that share a member are one conflict; conflicts do not touch
/// each other, so each is solved by itself. Of equal costs the smaller numbers win.
pub(crate) fn assign(candidates: &[Candidate], left: usize) -> Vec<(u32, u32)> {
    // Few on the left may have candidates anywhere among many on the right.
    let mut rights: Vec<u32> = candidates.iter().map(|candidate| candidate.right).collect();
    rights.sort_unstable();
    rights.dedup();
    let mut union = UnionFind::<u32>::new(left + rights.len());
    for candidate in candidates {
        let right = rights.partition_point(|right| *right < candidate.right);
        union.union(candidate.left, (left + right) as u32);
    }
    let mut conflicts: Vec<(u32, &Candidate)> =
        candidates.iter().map(|candidate| (union.find(candidate.left), candidate)).collect();
    conflicts.sort_by_key(|(conflict, candidate)| (*conflict, candidate.left, candidate.right));
    let mut pairs = Vec::new();
    for conflict in conflicts.chunk_by(|one, other| one.0 == other.0) {
        let conflict: Vec<Candidate> = conflict.iter().map(|(_, candidate)| **candidate).collect();
        solve(&conflict, &mut pairs);
    }
    pairs.sort_unstable();
    pairs
}

fn solve(conflict: &[Candidate], pairs: &mut Vec<(u32, u32)>) {
    let members = |of: fn(&Candidate) -> u32| {
        let mut members: Vec<u32> = conflict.iter().map(of).collect();
        members.sort_unstable();
        members.dedup();
        members
    };
    let (left, right) = (members(|candidate| candidate.left), members(|candidate| candidate.right));
    if left.len().max(right.len()) > SOLVED_EXACTLY {
        cheapest_first(conflict, pairs);
        return;
    }
    // The rows are the shorter side.
    let is_turned = left.len() > right.len();
    let (rows, columns) = if is_turned { (&right, &left) } else { (&left, &right) };
    let mut costs = vec![vec![FORBIDDEN; columns.len()]; rows.len()];
    for candidate in conflict {
        let ends = (candidate.left, candidate.right);
        let (row, column) = if is_turned { (ends.1, ends.0) } else { ends };
        let (row, column) =
            (rows.partition_point(|at| *at < row), columns.partition_point(|at| *at < column));
        costs[row][column] = costs[row][column].min(candidate.cost);
    }
    for (row, column) in least_cost(&costs).into_iter().enumerate() {
        if costs[row][column] < FORBIDDEN {
            let (row, column) = (rows[row], columns[column]);
            pairs.push(if is_turned { (column, row) } else { (row, column) });
        }
    }
}

fn cheapest_first(conflict: &[Candidate], pairs: &mut Vec<(u32, u32)>) {
    let mut sorted = conflict.to_vec();
    sorted.sort_by(|one, other| {
        one.cost.total_cmp(&other.cost).then((one.left, one.right).cmp(&(other.left, other.right)))
    });
    let most = |of: fn(&Candidate) -> u32| conflict.iter().map(of).max().unwrap_or_default() as usize + 1;
    let (least_left, least_right) =
        conflict.iter().fold((u32::MAX, u32::MAX), |(l, r), c| (l.min(c.left), r.min(c.right)));
    let mut left = vec![false; most(|candidate| candidate.left) - least_left as usize];
    let mut right = vec![false; most(|candidate| candidate.right) - least_right as usize];
    for candidate in sorted {
        let taken = (
            &mut left[(candidate.left - least_left) as usize],
            &mut right[(candidate.right - least_right) as usize],
        );
        if !*taken.0 && !*taken.1 {
            (*taken.0, *taken.1) = (true, true);
            pairs.push((candidate.left, candidate.right));
        }
    }
}

/// The column of each row in the assignment of least total cost; not more rows than columns.
/// Kuhn's method with potentials, one shortest augmenting path a row (H. W. Kuhn 1955; J. Munkres
/// 1957), in time rows² × columns.
fn least_cost(costs: &[Vec<f64>]) -> Vec<usize> {
    let columns = costs.first().map_or(0, Vec::len);
    // Column 0 is where each row begins; real columns count from 1, as rows do.
    let mut row_of = vec![0_usize; columns + 1];
    let (mut row_potential, mut column_potential) = (vec![0.0; costs.len() + 1], vec![0.0; columns + 1]);
    for row in 1..=costs.len() {
        row_of[0] = row;
        let mut slack = vec![f64::INFINITY; columns + 1];
        let mut came_from = vec![0_usize; columns + 1];
        let mut is_reached = vec![false; columns + 1];
        let mut at = 0;
        while row_of[at] != 0 {
            is_reached[at] = true;
            let current = row_of[at];
            let (mut nearest, mut distance) = (0, f64::INFINITY);
            for column in 1..=columns {
                if is_reached[column] {
                    continue;
                }
                let reduced =
                    costs[current - 1][column - 1] - row_potential[current] - column_potential[column];
                if reduced < slack[column] {
                    (slack[column], came_from[column]) = (reduced, at);
                }
                if slack[column] < distance {
                    (distance, nearest) = (slack[column], column);
                }
            }
            for column in 0..=columns {
                if is_reached[column] {
                    row_potential[row_of[column]] += distance;
                    column_potential[column] -= distance;
                } else {
                    slack[column] -= distance;
                }
            }
            at = nearest;
        }
        while at != 0 {
            row_of[at] = row_of[came_from[at]];
            at = came_from[at];
        }
    }
    let mut column_of = vec![0; costs.len()];
    for (column, row) in row_of.iter().enumerate().skip(1).filter(|(_, row)| **row > 0) {
        column_of[row - 1] = column - 1;
    }
    column_of
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidates(costs: &[(u32, u32, f64)]) -> Vec<Candidate> {
        costs
            .iter()
            .map(|(left, right, cost)| Candidate { left: *left, right: *right, cost: *cost })
            .collect()
    }

    #[test]
    fn a_conflict_is_solved_as_a_whole() {
        // The cheapest pair first would leave (1, 1) for 100.
        let found = assign(&candidates(&[(0, 0, 1.0), (0, 1, 2.0), (1, 0, 3.0), (1, 1, 100.0)]), 2);
        assert_eq!(found, [(0, 1), (1, 0)]);
    }

    #[test]
    fn as_many_as_possible_are_paired() {
        let found = assign(&candidates(&[(0, 0, 0.0), (0, 1, 50.0), (1, 0, 50.0)]), 2);
        assert_eq!(found, [(0, 1), (1, 0)]);
        assert_eq!(assign(&candidates(&[(0, 0, 5.0), (1, 0, 4.0), (2, 0, 6.0)]), 3), [(1, 0)]);
        assert_eq!(assign(&[], 3), []);
    }

    #[test]
    fn a_conflict_of_any_size_ends() {
        let many: Vec<(u32, u32, f64)> = (0..3_000).flat_map(|n| [(n, n, 1.0), (n, n + 1, 2.0)]).collect();
        let found = assign(&candidates(&many), 3_000);
        assert_eq!(found.len(), 3_000);
    }

    /// Least cost by trying all orders.
    fn by_trial(costs: &[Vec<f64>], row: usize, taken: &mut Vec<bool>) -> f64 {
        let Some(own) = costs.get(row) else { return 0.0 };
        let mut least = f64::INFINITY;
        for column in 0..own.len() {
            if !taken[column] {
                taken[column] = true;
                least = least.min(own[column] + by_trial(costs, row + 1, taken));
                taken[column] = false;
            }
        }
        least
    }

    proptest! {
        #[test]
        fn nothing_is_cheaper(costs in prop::collection::vec(prop::collection::vec(0_u8..50, 5), 1..=5)) {
            let costs: Vec<Vec<f64>> =
                costs.iter().map(|row| row.iter().copied().map(f64::from).collect()).collect();
            let found: f64 = least_cost(&costs).iter().zip(&costs).map(|(column, row)| row[*column]).sum();
            prop_assert!((found - by_trial(&costs, 0, &mut vec![false; 5])).abs() < 1e-9);
        }
    }
}
