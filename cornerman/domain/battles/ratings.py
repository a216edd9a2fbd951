"""How strong agent versions and personas are, on one scale, and whether a version got worse."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from cornerman.domain.battles import Battle
from cornerman.domain.statistics import FEWEST_TELLING_PAIRS, PairedInterval, paired_improvement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PlayerKind = Literal["agent", "persona"]
Player = tuple[PlayerKind, str]

# The Elo scale: 400 points are odds of 10 to 1.
POINTS_PER_LOGIT = 400 / math.log(10)
MEAN_RATING = 1000.0
_TOLERANCE = 1e-6
_MAX_ITERATIONS = 2_000


@dataclass(frozen=True)
class Rating:
    """A player's place on the scale: 1000 is an even match with the field, 400 up is 10 to 1.

    Args:
        low, high: 95% bootstrap interval over battles.
        battles: Rated battles behind it.
    """

    kind: PlayerKind
    id: str
    rating: float
    low: float
    high: float
    battles: int


@dataclass(frozen=True)
class RegressionAlert:
    """A new version is worse. Differences are after minus before, in points of the score."""

    difference: float
    low: float
    high: float
    before_mean: float
    after_mean: float
    personas: int
    confidence: float


def rate(battles: Iterable[Battle], *, seed: int = 0, resamples: int = 200) -> list[Rating]:
    """Rate agent versions and personas from the rated battles, the strongest first.

    A Bradley-Terry model (fitted with choix's I-LSR): a battle scored s is s/100 of a win for the
    agent version and 1 - s/100 for the persona. Each player also draws one battle against a
    phantom of strength 1000; that regularises players who only won or only lost and joins groups
    that never met. The intervals come from battles drawn again with replacement.
    """
    rated = sorted((b for b in battles if b.rated), key=lambda b: b.id)
    if not rated:
        return []
    import numpy as np

    agents: list[Player] = [("agent", name) for name in sorted({b.agent_version for b in rated})]
    others: list[Player] = [("persona", name) for name in sorted({b.persona_id for b in rated})]
    players = agents + others
    place = {player: index for index, player in enumerate(players)}
    games = _games(rated, place)
    point = _fit(games, np.ones(len(rated)), len(players), None)
    rng = np.random.default_rng(random.Random(f"{seed}/ratings").getrandbits(64))
    even = np.full(len(rated), 1 / len(rated))
    draws = np.array(
        [
            _fit(games, rng.multinomial(len(rated), even).astype(float), len(players), point)
            for _ in range(resamples)
        ]
        or [point]
    )
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    counts = np.bincount(games.agents, minlength=len(players)) + np.bincount(
        games.personas, minlength=len(players)
    )
    ratings = [
        Rating(
            kind=kind,
            id=name,
            rating=_points(point[i]),
            low=min(_points(low[i]), _points(point[i])),
            high=max(_points(high[i]), _points(point[i])),
            battles=int(counts[i]),
        )
        for i, (kind, name) in enumerate(players)
    ]
    return sorted(ratings, key=lambda r: (-r.rating, r.kind, r.id))


@dataclass(frozen=True)
class _Games:
    agents: NDArray[np.intp]
    personas: NDArray[np.intp]
    shares: NDArray[np.float64]


def _games(rated: Sequence[Battle], place: Mapping[Player, int]) -> _Games:
    import numpy as np

    return _Games(
        agents=np.array([place["agent", b.agent_version] for b in rated], dtype=np.intp),
        personas=np.array([place["persona", b.persona_id] for b in rated], dtype=np.intp),
        shares=np.array([(b.score or 0.0) / 100 for b in rated]),
    )


def _fit(
    games: _Games,
    weights: NDArray[np.float64],
    players: int,
    start: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Strengths in logits relative to the phantom, which stands last in the matrix."""
    import choix
    import numpy as np

    wins = np.zeros((players + 1, players + 1))
    np.add.at(wins, (games.agents, games.personas), weights * games.shares)
    np.add.at(wins, (games.personas, games.agents), weights * (1 - games.shares))
    wins[:players, players] = wins[players, :players] = 0.5
    initial = None if start is None else np.append(start, 0.0)
    strengths = choix.ilsr_pairwise_dense(
        wins, initial_params=initial, max_iter=_MAX_ITERATIONS, tol=_TOLERANCE
    )
    return strengths[:players] - strengths[players]


def _points(logit: float) -> float:
    return MEAN_RATING + POINTS_PER_LOGIT * float(logit)


def regression(
    before: Mapping[str, Sequence[float]],
    after: Mapping[str, Sequence[float]],
    *,
    confidence: float = 0.95,
    min_personas: int = 5,
    resamples: int = 2_000,
    seed: int = 0,
) -> RegressionAlert | None:
    """Whether a new version is worse than the one before with the given confidence.

    Personas that both met are paired by their mean scores, and the mean of the differences is
    bootstrapped over personas. With few personas the plain percentile interval is too short, so
    the percentiles are expanded as in Hesterberg 2015 ("What Teachers Should Know About the
    Bootstrap", section 5.3).

    Args:
        before, after: Scores by persona id.
        min_personas: With fewer shared personas nothing is claimed.

    Returns:
        None unless the upper end of the one-sided interval lies below 0.
    """
    shared = sorted(p for p in before.keys() & after.keys() if before[p] and after[p])
    n = len(shared)
    if n < max(min_personas, 2):
        return None
    import numpy as np
    from scipy.stats import norm, t

    olds = np.array([fmean(before[p]) for p in shared])
    news = np.array([fmean(after[p]) for p in shared])
    rng = np.random.default_rng(random.Random(f"{seed}/regression").getrandbits(64))
    means = (news - olds)[rng.integers(0, n, size=(resamples, n))].mean(axis=1)
    tail = float(norm.cdf(math.sqrt(n / (n - 1)) * t.ppf(1 - confidence, n - 1)))
    low, high = np.quantile(means, [tail, 1 - tail])
    if high >= 0:
        return None
    return RegressionAlert(
        difference=float((news - olds).mean()),
        low=float(low),
        high=float(high),
        before_mean=float(olds.mean()),
        after_mean=float(news.mean()),
        personas=n,
        confidence=confidence,
    )


def scores_by_persona(battles: Iterable[Battle], agent_version: str) -> dict[str, list[float]]:
    """The rated scores of one agent version, by persona id."""
    scores: dict[str, list[float]] = {}
    for battle in battles:
        if battle.rated and battle.score is not None and battle.agent_version == agent_version:
            scores.setdefault(battle.persona_id, []).append(battle.score)
    return scores


def change_since(
    before: Iterable[Battle], after: Iterable[Battle], seed: int = 0
) -> PairedInterval:
    """How much better a batch went than the one that it repeats, paired by persona, 0 to 100."""
    return paired_improvement(_by_persona(before), _by_persona(after), seed, scale=100)


def nothing_differs(before: Iterable[Battle], after: Iterable[Battle]) -> bool:
    """Whether every persona met in both has the same score; an interval says nothing then."""
    first, second = _by_persona(before), _by_persona(after)
    shared = first.keys() & second.keys()
    return bool(shared) and all(first[name] == second[name] for name in shared)


def change_finding(change: PairedInterval, *, unchanged: bool = False) -> str:
    """What such a change shows, in a sentence.

    Args:
        unchanged: See `nothing_differs`.
    """
    if unchanged:
        return "No battle went better or worse."
    if change.better or change.worse:
        which = "better" if change.better else "worse"
        return f"The interval excludes zero: {which} with 95% confidence."
    if change.n < FEWEST_TELLING_PAIRS:
        people = "1 persona shows" if change.n == 1 else f"{change.n} personas show"
        return (
            f"{people} nothing for sure, even where each goes better; {FEWEST_TELLING_PAIRS} or "
            "more could."
        )
    return "The interval includes zero: this may be chance."


def _by_persona(battles: Iterable[Battle]) -> dict[str, float]:
    return {
        battle.persona_id: battle.score
        for battle in battles
        if battle.rated and battle.score is not None and battle.confirms is None
    }
