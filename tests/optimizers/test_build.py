"""Choosing a strategy by name or by entrypoint."""

from __future__ import annotations

import sys

import pytest

from cornerman.domain.errors import BadInputError, EntrypointRefusedError
from cornerman.domain.training.optimizer import Lab, Round
from cornerman.optimizers import build_optimizer
from cornerman.optimizers.gepa import GepaOptimizer
from cornerman.optimizers.reflective import Reflective
from cornerman.optimizers.textual_gradient import TextualGradient
from tests.optimizers.scripted import SkillWorld, lab_of


class Appending:
    """A user's own strategy."""

    async def round(self, lab: Lab, epoch: int) -> Round:
        parent = lab.pool[-1]
        prompt = parent.prompts["system"]
        text = f"{prompt.text} Learn to {('bake', 'carve')[epoch % 2]}."
        prompts = {"system": prompt.model_copy(update={"text": text})}
        child = lab.propose(parent=parent, prompts=prompts, origin="appended")
        await lab.evaluate(child, lab.validation)
        await lab.decide(child, accepted=True, reason="always")
        return Round(child, accepted=True, reason="always")


class Nothing:
    """No strategy at all."""


@pytest.mark.parametrize(
    ("name", "kind"),
    [("reflective", Reflective), ("textual_gradient", TextualGradient), ("gepa", GepaOptimizer)],
)
def test_builds_the_named_ones(name: str, kind: type) -> None:
    assert isinstance(build_optimizer(name, []), kind)


async def test_runs_a_users_own_strategy() -> None:
    optimizer = build_optimizer(f"{__name__}:Appending", [__name__])
    lab = lab_of(SkillWorld())
    await lab.run(optimizer, epochs=3)
    assert [candidate.id for candidate in lab.pool] == ["c0", "c2-1", "c3-1"]
    assert lab.validation_score(lab.pool[-1]) == 3 / 8


def test_refuses_a_module_that_is_not_allowed() -> None:
    with pytest.raises(EntrypointRefusedError):
        build_optimizer(f"{__name__}:Appending", ["elsewhere"])


def test_refuses_what_has_no_round() -> None:
    with pytest.raises(BadInputError, match="async def round"):
        build_optimizer(f"{__name__}:Nothing", [__name__])


def test_says_how_to_install_gepa(monkeypatch: pytest.MonkeyPatch) -> None:
    # What Python itself looks up for a package that is not there.
    monkeypatch.setitem(sys.modules, "gepa", None)
    with pytest.raises(BadInputError) as caught:
        build_optimizer("gepa", [])
    assert "pip install 'cornerman[gepa]'" in caught.value.hint
