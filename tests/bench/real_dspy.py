"""DSPy's few-shot optimizers on the cases of `make bench-real`, as its documentation has them."""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import dataclass
from typing import Any

from cornerman.domain.training.cases import Case
from tests.bench.real_tasks import Task, is_right

# Its chat format writes the field's name before the answer, and a mark after it.
_MAX_TOKENS = 48
_MOST_DEMOS = 8
_BOOTSTRAPPED = 4
# Zero-shot, labels alone and an unshuffled bootstrap come before the random ones.
_FIXED = 3


@dataclass(frozen=True)
class Found:
    """Test score by budget of model calls, and the calls that were made in the end."""

    scores: dict[int, float]
    calls: int


def random_search(task: Task, address: str, budgets: tuple[int, ...], seed: int) -> Found:
    """BootstrapFewShotWithRandomSearch, cut at each budget: the best program validated by then."""
    import dspy

    lm, metric = _set_up(address, task)
    count = max(budgets) // len(task.split.validation) - _FIXED
    ends: list[int] = []
    asked = 0

    def counting(example: Any, prediction: Any, trace: Any = None) -> bool:
        nonlocal asked
        if trace is None:
            asked += 1
            if asked % len(task.split.validation) == 0:
                ends.append(len(lm.history))
        return metric(example, prediction, trace)

    optimizer = dspy.BootstrapFewShotWithRandomSearch(
        metric=counting,
        max_bootstrapped_demos=_BOOTSTRAPPED,
        max_labeled_demos=_MOST_DEMOS,
        num_candidate_programs=count,
        num_threads=2,
        max_errors=10_000,
    )
    student = _student(task)
    with _quiet():
        best = optimizer.compile(
            student,
            trainset=[_example(task, case, seed) for case in task.split.train],
            valset=[_example(task, case, seed) for case in task.split.validation],
        )
    calls = len(lm.history)
    by_seed = sorted(best.candidate_programs, key=lambda held: held["seed"])
    scores: dict[int, float] = {}
    for budget in budgets:
        done = [held for held, end in zip(by_seed, ends, strict=False) if end <= budget]
        chosen = max(done, key=lambda held: held["score"])["program"] if done else student
        scores[budget] = _tested(task, chosen)
    return Found(scores, calls)


def labeled(task: Task, address: str, seed: int) -> float:
    """LabeledFewShot: eight train cases, as they come."""
    import dspy

    _set_up(address, task)
    examples = [_example(task, case, seed) for case in task.split.train]
    program = dspy.LabeledFewShot(k=_MOST_DEMOS).compile(_student(task), trainset=examples)
    return _tested(task, program)


def _set_up(address: str, task: Task) -> tuple[Any, Any]:
    import dspy

    for name in ("dspy", "LiteLLM"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    lm = dspy.LM(
        "openai/smollm2",
        api_base=address,
        api_key="none",
        temperature=0.0,
        max_tokens=_MAX_TOKENS,
        cache=False,
        num_retries=0,
    )
    dspy.configure(lm=lm)

    def metric(example: Any, prediction: Any, _trace: Any = None) -> bool:
        return is_right(example.answer, getattr(prediction, "answer", ""))

    return lm, metric


def _student(task: Task) -> Any:
    import dspy

    [field] = task.split.train[0].inputs
    signature = dspy.Signature(f"{field} -> answer", task.prompts["system"].text)
    return dspy.Predict(signature)


def _example(task: Task, case: Case, seed: int) -> Any:
    import dspy

    del task, seed
    return dspy.Example(**case.inputs, answer=case.expected_output).with_inputs(*case.inputs)


def _tested(task: Task, program: Any) -> float:
    right = 0
    with _quiet():
        for case in task.split.test:
            # An answer in no format of its own is an error there, and wrong here.
            with contextlib.suppress(Exception):
                said = program(**case.inputs)
                right += is_right(case.expected_output, said.answer)
    return right / len(task.split.test)


@contextlib.contextmanager
def _quiet() -> Any:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
