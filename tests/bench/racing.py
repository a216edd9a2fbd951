"""`python -m tests.bench.racing`: how often a race loses its best set, and what that costs.

Cases differ in how hard they are, and sets in how good: a set's chance on a case is the logistic
of its quality minus the case's difficulty. Writes nothing; design/racing.md has the figures.
"""

from __future__ import annotations

import math
import random
from statistics import fmean

from cornerman.domain.training.racing import (
    FINALISTS,
    FIRST_LAP,
    is_hopeless,
    mean_of,
    race_cases,
    rungs,
    survivors,
)

RACES = 4_000
HARDNESS = 1.5


def chance(quality: float, difficulty: float) -> float:
    """Of a right answer."""
    return 1 / (1 + math.exp(difficulty - quality))


def expected(quality: float) -> float:
    """A set's true score: the mean chance over difficulties."""
    points = [HARDNESS * (n / 50 - 1) * 2 for n in range(101)]
    weights = [math.exp(-((p / HARDNESS) ** 2) / 2) for p in points]
    total = sum(weights)
    return sum(w * chance(quality, p) for w, p in zip(weights, points, strict=True)) / total


def race(rng: random.Random, racers: int, cases: int, spread: float) -> tuple[float, float, float]:
    """True scores of the winner, of the best racer, and of the winner had all run everything."""
    qualities = [rng.gauss(0.0, spread) for _ in range(racers)]
    difficulties = [rng.gauss(0.0, HARDNESS) for _ in range(cases)]
    answers = {
        str(n): {
            str(place): float(rng.random() < chance(quality, difficulty))
            for place, difficulty in enumerate(difficulties)
        }
        for n, quality in enumerate(qualities)
    }
    field = list(answers)
    laps = rungs(cases, FIRST_LAP)
    for number, length in enumerate(laps):
        seen = {str(place) for place in range(length)}
        scores = {n: {c: s for c, s in answers[n].items() if c in seen} for n in field}
        last = number == len(laps) - 1
        most = FINALISTS if last else max(FINALISTS, (len(field) + 1) // 2)
        field = survivors(scores, most)
    winner = max(field, key=lambda n: mean_of(answers[n]))
    everything = max(answers, key=lambda n: mean_of(answers[n]))
    return (
        expected(qualities[int(winner)]),
        max(expected(quality) for quality in qualities),
        expected(qualities[int(everything)]),
    )


def dropped_at_half(rng: random.Random, cases: int, lead: float) -> bool:
    """Whether a rewrite that is better by so much is called hopeless after half of the cases."""
    difficulties = [rng.gauss(0.0, HARDNESS) for _ in range(cases // 2)]

    def run(quality: float) -> dict[str, float]:
        return {
            str(n): float(rng.random() < chance(quality, difficulty))
            for n, difficulty in enumerate(difficulties)
        }

    return is_hopeless(run(lead), run(0.0))


def main() -> None:
    """Print the figures."""
    rng = random.Random(1)
    print("racers  cases  cases run  all would be  winner  best  had all run")
    for racers in (8, 12):
        for cases in (12, 24, 48):
            found = [race(rng, racers, cases, spread=0.8) for _ in range(RACES)]
            winner, best, everything = (fmean(column) for column in zip(*found, strict=True))
            most = race_cases(racers, cases)
            print(
                f"{racers:6d} {cases:6d} {most:10d} {racers * cases:13d} "
                f"{winner:7.3f} {best:5.3f} {everything:12.3f}"
            )
    print("\nvalidation cases, true gain of a rewrite: share called hopeless at half")
    for cases in (12, 24, 48):
        for lead in (-1.0, -0.5, 0.0, 0.25, 0.5):
            share = fmean(dropped_at_half(rng, cases, lead) for _ in range(RACES))
            gain = expected(lead) - expected(0.0)
            print(f"{cases:4d}  {gain:+.3f}  {share:.4f}")


if __name__ == "__main__":
    main()
