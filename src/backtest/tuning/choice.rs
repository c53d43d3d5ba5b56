//! Which candidate is proposed.

use std::cmp::Reverse;

use super::Score;

/// A candidate, as far as the choice depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contender {
    /// How many settings it changes; the present settings change none.
    pub changes: usize,
    pub score: Score,
}

/// What comes of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The candidate at this place is better than the present settings.
    Adopt(usize),
    /// No candidate is better.
    Stay,
    /// Nothing was confirmed, so that the quietest candidate would win whatever it misses.
    NothingConfirmed,
    /// Each candidate loses a confirmed fault; this many are kept at most.
    NoneKeepsAll { most_kept: u64 },
}

/// The places of the candidates, the best first: what keeps most of the confirmed faults, of these what spares most false
/// alarms, then what changes the fewest settings, then what finds most of the missed faults, then the earlier one.
pub(crate) fn ranked(contenders: &[Contender]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..contenders.len()).collect();
    // The sort is stable.
    places.sort_by_key(|place| {
        let Contender { changes, score } = &contenders[*place];
        (
            Reverse(score.kept.count),
            Reverse(score.spared.count),
            *changes,
            Reverse(score.found.count),
        )
    });
    places
}

/// The candidate to adopt: one that keeps every confirmed fault, and by [`ranked`] the first of these.
pub(crate) fn choose(contenders: &[Contender]) -> Choice {
    let Some(best) = ranked(contenders).first().copied() else {
        return Choice::Stay;
    };
    let Contender { changes, score } = &contenders[best];
    if score.kept.of == 0 {
        Choice::NothingConfirmed
    } else if score.kept.count < score.kept.of {
        Choice::NoneKeepsAll {
            most_kept: score.kept.count,
        }
    } else if *changes == 0 {
        Choice::Stay
    } else {
        Choice::Adopt(best)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Share;
    use super::*;

    /// So many changes, and of three of each kind so many kept, spared and found.
    fn contender(changes: usize, kept: u64, spared: u64, found: u64) -> Contender {
        let share = |count| Share { count, of: 3 };
        Contender {
            changes,
            score: Score {
                alarms: 0,
                kept: share(kept),
                spared: share(spared),
                found: share(found),
            },
        }
    }

    #[test]
    fn what_keeps_every_fault_and_spares_most_is_adopted() {
        for (contenders, expected) in [
            (
                &[
                    contender(0, 3, 0, 0),
                    contender(1, 3, 2, 0),
                    contender(1, 2, 3, 3),
                ][..],
                Choice::Adopt(1),
            ),
            // Ties: the fewest changes, above all none; then what finds more; then the first.
            (&[contender(0, 3, 2, 0), contender(1, 3, 2, 3)], Choice::Stay),
            (
                &[
                    contender(0, 3, 0, 0),
                    contender(2, 3, 2, 3),
                    contender(1, 3, 2, 0),
                ],
                Choice::Adopt(2),
            ),
            (
                &[
                    contender(0, 3, 0, 0),
                    contender(1, 3, 2, 0),
                    contender(1, 3, 2, 1),
                ],
                Choice::Adopt(2),
            ),
            (
                &[
                    contender(0, 3, 0, 0),
                    contender(1, 3, 2, 1),
                    contender(1, 3, 2, 1),
                ],
                Choice::Adopt(1),
            ),
            // The present settings do not find again what they found once.
            (&[contender(0, 2, 3, 0), contender(1, 3, 0, 0)], Choice::Adopt(1)),
            (
                &[contender(0, 2, 0, 0), contender(1, 1, 3, 3)],
                Choice::NoneKeepsAll { most_kept: 2 },
            ),
        ] {
            assert_eq!(choose(contenders), expected, "{contenders:?}");
        }
    }

    #[test]
    fn without_a_confirmed_fault_nothing_is_chosen() {
        let spares = |count| {
            let mut contender = contender(count as usize, 0, count, 0);
            contender.score.kept = Share::default();
            contender
        };
        assert_eq!(choose(&[spares(0), spares(3)]), Choice::NothingConfirmed);
    }
}
