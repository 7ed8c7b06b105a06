"""What profiles know of embedding: fitted to requests, found by model, and put beside the model that answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import exp, hypot, log, sqrt
from statistics import fmean, median, stdev
from typing import NamedTuple

from harness.core.embedding import EmbeddingCosts
from harness.errors import UserError
from harness.profiles.schema import Embedding, HeldOut, Profile, rounded
from harness.workload.schema import same_model

__all__ = [
    "EmbeddingFit",
    "EmbeddingSeen",
    "StretchFit",
    "embedding_of",
    "fit_embedding",
    "fit_stretch",
    "stretch_with",
]

RESAMPLED = 200
PARTS = ("request_s", "text_s", "token_s")
MEASURE_HALF = "slotwise calibrate ... --pair --embed"
LEAVE = "leave the candidate out"
STEADY = 0.25  # a stretch whose relative standard error is larger predicts nothing


class EmbeddingSeen(NamedTuple):
    """A request; its `texts` and `tokens` are those that were embedded since it was sent, others' before it too."""

    kind: str  # requests of one kind are repetitions
    texts: int
    tokens: int
    wall_s: float
    fitted: bool  # else it tests the fit


class EmbeddingFit(NamedTuple):
    """What requests cost, with the relative standard error of each part that is not 0."""

    costs: EmbeddingCosts
    standard_error: Mapping[str, float]
    held_out: HeldOut | None


def fit_embedding(seen: Sequence[EmbeddingSeen]) -> EmbeddingFit:
    """Fit `request_s + texts x text_s + tokens x token_s` to the median of each kind of request.

    Least squares on relative errors; no part is negative. Errors are those of fits to resampled repetitions.

    Raises:
        ValueError: fewer than three kinds of request were fitted.
    """
    kinds: dict[str, list[EmbeddingSeen]] = defaultdict(list)
    tests: dict[str, list[EmbeddingSeen]] = defaultdict(list)
    for one in seen:
        (kinds if one.fitted else tests)[one.kind].append(one)
    if len(kinds) < len(PARTS):
        raise ValueError(f"expected {len(PARTS)} kinds of request or more, found {len(kinds)}")
    values = _fit(list(kinds.values()))
    import numpy as np  # late: a prediction fits nothing

    generator = np.random.default_rng(0)
    drawn = [
        _fit([[of_kind[i] for i in generator.integers(len(of_kind), size=len(of_kind))] for of_kind in kinds.values()])
        for _ in range(RESAMPLED)
    ]
    errors = {
        part: float(f"{stdev(one[number] for one in drawn) / values[number]:.3g}")
        for number, part in enumerate(PARTS)
        if values[number] > 0
    }
    costs = EmbeddingCosts(*(rounded(value) for value in values))
    off = [abs(costs.alone_s(one.texts, one.tokens) / one.wall_s - 1) for of_kind in tests.values() for one in of_kind]
    held_out = None
    if off:
        held_out = HeldOut(
            calls=len(off), median_error=float(f"{median(off):.3g}"), worst_error=float(f"{max(off):.3g}")
        )
    return EmbeddingFit(costs, errors, held_out)


class StretchFit(NamedTuple):
    """By how much an answer and texts that are embedded take longer, each while the other is under way."""

    answers: float
    requests: float
    standard_error: float  # relative, of `stretch`

    @property
    def stretch(self) -> float:
        """The one factor that stands for both: their geometric mean."""
        return sqrt(self.answers * self.requests)


def fit_stretch(answers: Sequence[float], requests: Sequence[float]) -> StretchFit:
    """Fit the factor on every step of two models that are busy at once.

    The error is that of the mean of the logarithms, and half of what separates both sides: one factor stands for two.

    Args:
        answers: times of answers, each over that of one alone. `requests`: the same of texts; two of each, or more.
    """
    sides = [[log(one) for one in side] for side in (answers, requests)]
    (of_answers, of_requests) = (fmean(side) for side in sides)
    sampled = hypot(*(stdev(side) / sqrt(len(side)) for side in sides)) / 2
    error = hypot(sampled, (of_answers - of_requests) / 2)
    return StretchFit(exp(of_answers), exp(of_requests), float(f"{error:.3g}"))


def _fit(kinds: Sequence[Sequence[EmbeddingSeen]]) -> list[float]:
    rows = [[1.0, median(one.texts for one in kind), median(one.tokens for one in kind)] for kind in kinds]
    times_s = [median(one.wall_s for one in kind) for kind in kinds]
    import numpy as np

    from harness.profiles.text import solve

    return [float(value) for value in solve(np.array(rows), np.array(times_s))]


def embedding_of(profiles: Iterable[Profile], model: str, *, half: bool | None = None) -> Embedding:
    """Return what embedding with a model costs.

    Args:
        profiles: where it may stand.
        model: as a workload names it.
        half: whether its server has half of the cores; None = not to be checked.

    Raises:
        UserError: none of the profiles knows it, or only with another share of the cores.
    """
    known = list(profiles)
    for profile in known:
        found = profile.embedding
        if found is not None and same_model(found.model, model):
            if half is not None and half != found.half and profile.accelerator is None:
                raise UserError(
                    f'the cost of embedding with "{model}" in profile "{profile.name}" is that of a server with '
                    f"{_cores(found.half)}, and this one has {_cores(half)}: "
                    + (f"write `threads: half`, or {LEAVE}" if found.half else f"measure it: {MEASURE_HALF} {model}")
                )
            return found
    others = [one.embedding.model for one in known if one.embedding is not None]
    have = f"; it knows {', '.join(others)}" if others else ""
    names = " and ".join(f'"{one.name}"' for one in known)
    raise UserError(
        f'the cost of embedding with "{model}" is unknown: profile {names} has no `embedding` section for it{have}; '
        f"measure it: slotwise calibrate ... --embed {model}"
    )


def _cores(half: bool) -> str:
    return "half of the cores" if half else "all cores"


def stretch_with(embeddings: Iterable[Embedding], answering: int, busy: int) -> dict[int, float]:
    """Return the factors on every step where models that embed and models that answer share a machine.

    Args:
        embeddings: the models that embed.
        answering: how many models answer there.
        busy: how many models can be busy at the same time.

    Raises:
        UserError: it is not known: more than two models can be busy, or two that embed; or it is not steady.
    """
    if busy < 2:
        return {}
    (first, *others) = embeddings
    if others or answering != 1:
        raise UserError(
            f"how {answering + 1 + len(others)} models on one machine slow each other is not known where some of them "
            "embed; measure it, or give them machines of their own (`machine`)"
        )
    error = first.standard_error.get("stretch", 0.0)
    if error > STEADY:
        way = "" if first.half else f"give each half of the cores (`threads: half`, measured with {MEASURE_HALF}), or "
        raise UserError(
            f"how much answers and embedding with {first.model} slow each other is not steady on this machine: "
            f"{first.stretch / exp(2 * error):.1f} to {first.stretch * exp(2 * error):.1f} times; {way}{LEAVE}"
        )
    return {2: first.stretch}
