"""Optimizers: strategies that rewrite prompts, chosen by name; also the example for your own.

A strategy is a class with `async def round(self, lab, epoch) -> Round`; see
`cornerman.domain.training.optimizer` for what a lab offers. Name yours as `optimizer.strategy:
"your_module:YourStrategy"`, with the module on the allow-list `EVALUATOR_MODULES`.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from cornerman.domain.entrypoints import load_entrypoint
from cornerman.domain.errors import BadInputError
from cornerman.domain.training.optimizer import Optimizer
from cornerman.optimizers.few_shot import FewShot
from cornerman.optimizers.reflective import Reflective
from cornerman.optimizers.textual_gradient import TextualGradient

_FIELD = "optimizer.strategy"


def build_optimizer(strategy: str, allowed: Sequence[str]) -> Optimizer:
    """Make the strategy of that name, or of that entrypoint.

    Raises:
        EntrypointRefusedError: Its module is not on the allow-list; it was not imported.
        BadInputError: It has no `round`, or the extra that it needs is not installed.
    """
    if strategy == "reflective":
        return Reflective()
    if strategy == "few_shot":
        return FewShot()
    if strategy == "textual_gradient":
        return TextualGradient()
    if strategy == "gepa":
        # The package is an extra, and importing it costs every run a little.
        from cornerman.optimizers.gepa import GepaOptimizer

        return GepaOptimizer()
    found: Any = load_entrypoint(strategy, allowed, _FIELD)
    made: Any = found() if inspect.isclass(found) else found
    if not inspect.iscoroutinefunction(getattr(made, "round", None)):
        raise BadInputError(
            f"{_FIELD}: {strategy!r} has no `async def round(self, lab, epoch)`.", field=_FIELD
        )
    return made
