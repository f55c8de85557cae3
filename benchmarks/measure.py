"""Rounds of turns, and what they say: medians, and ratios within each round."""

from __future__ import annotations

import statistics

from contenders import CONTENDERS

FOREIGN = 0.08
"""A turn is disturbed when others took more than this share of its cores."""
FAR = 2.0
"""And when the cores stood so many times as far apart as at their nearest."""
TRIES = 2
"""How often a disturbed turn is taken again."""


def disturbed(one):
    """Whether a turn does not tell what the contender takes by itself."""
    return one["foreign"] >= FOREIGN or one["distance"] >= FAR


def turn(contestant, seconds, tries=TRIES):
    """A turn of a contestant: the first that nobody disturbs, or the least disturbed of some."""
    taken = []
    for _ in range(1 + tries):
        taken.append(contestant.turn(seconds))
        if "failed" in taken[-1]:
            return taken[-1]
        if not disturbed(taken[-1]):
            break
    return min(taken, key=lambda one: (disturbed(one), one["distance"] >= FAR, one["foreign"]))


def rounds(contestants, count, seconds):
    """The turns of each contestant: A B C, A B C, ... One that fails is not asked again.

    Once all tries of a turn were disturbed the machine is taken for busy, and none is repeated.
    """
    turns = {contestant.name: [] for contestant in contestants}
    tries = TRIES
    for _ in range(count):
        for contestant in contestants:
            before = turns[contestant.name]
            if before and "failed" in before[-1]:
                continue
            before.append(turn(contestant, seconds, tries))
            tries = 0 if disturbed(before[-1]) else tries
    return turns


def summary(turns):
    """For each contender the median of a step, and of its ratio to the best peer in each round.

    A row is marked disturbed when fewer than two of its turns were left alone.
    """
    rows = {}
    for name, taken in turns.items():
        failures = [one["failed"] for one in taken if "failed" in one]
        if failures or not taken:
            rows[name] = {"failed": failures[0] if failures else "no turn"}
            continue
        alone = [one["step"] for one in taken if not disturbed(one)]
        used = alone if len(alone) > 1 else [one["step"] for one in taken]
        rows[name] = {"step": statistics.median(used), "disturbed": len(alone) < 2}
    best = best_peer(rows)
    for name, row in rows.items():
        if best and "step" in row:
            row["ratio"] = ratio(turns[name], turns[best])
    return rows


def best_peer(rows):
    """The fastest contender that counts as a peer; None if there is none."""
    peers = [name for name, row in rows.items() if "step" in row and CONTENDERS[name].is_peer]
    return min(peers, key=lambda name: rows[name]["step"], default=None)


def ratio(turns, others):
    """The median over rounds of the ratio of steps; undisturbed rounds if there are any."""
    pairs = list(zip(turns, others, strict=True))
    alone = [pair for pair in pairs if not any(map(disturbed, pair))]
    return statistics.median(one["step"] / other["step"] for one, other in alone or pairs)
