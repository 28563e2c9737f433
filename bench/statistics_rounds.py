# SPDX-License-Identifier: MIT
"""Medians and ratios over rounds, with bootstrap intervals.

A round holds one measurement of every contestant, taken within seconds of each other. Rounds are resampled whole, so that what
slowed a round down (a neighbour, a clock change) hits both sides of a ratio.
"""

import random
import statistics

RESAMPLES = 2000
COVERAGE = 0.95


def interval(rounds, statistic):
    """[low, high] of statistic(rounds) under resampling; statistic may return None for what has no answer.
    None if there are too few rounds (under 3) or answers."""
    if len(rounds) < 3:
        return None
    rng = random.Random(1)  # the same data give the same interval
    answers = [statistic(rng.choices(rounds, k=len(rounds))) for _ in range(RESAMPLES)]
    answers = sorted(a for a in answers if a is not None)
    if len(answers) < RESAMPLES / 2:
        return None
    tail = (1 - COVERAGE) / 2
    return [answers[int(tail * len(answers))], answers[int((1 - tail) * len(answers)) - 1]]


def median(values):
    """{"median", "interval", "min", "max", "n"} of plain numbers, None of none"""
    if not values:
        return None
    return {"median": statistics.median(values), "interval": interval(values, statistics.median),
            "min": min(values), "max": max(values), "n": len(values)}


def ratio(pairs):
    """Median of the numerators over median of the denominators: {"median", "interval", "n"}, None of none.
    A ratio per round would explode when a noisy denominator comes near zero."""
    def of(sample):
        above, below = (statistics.median(side) for side in zip(*sample))
        return above / below if below > 0 else None
    if not pairs or of(pairs) is None:
        return None
    return {"median": of(pairs), "interval": interval(pairs, of), "n": len(pairs)}
