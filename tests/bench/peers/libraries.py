"""The same cases through each library, in a process of its own: `libraries.py LIBRARY CASES`.

Each function imports its library and builds what it needs, then evaluates once, by the library's
own entrance and with its ordinary model client; only that is measured here. The last line printed
is JSON: the figures and the versions. Nothing but the measured library and psutil is imported,
since all but Cornerman run in `.venv-peers`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench.training_load import AT_ONCE, Usage, run_here, training_request

MODEL = "gpt-4o-mini"


def _questions(cases: int) -> tuple[str, list[tuple[str, str]]]:
    """The prompt, and (question, expected answer) of each case, as Cornerman gets them."""
    request = training_request(cases)
    pairs = [
        (case["inputs"]["question"], case["expected_output"])
        for case in request["dataset"]["cases"]
    ]
    return request["prompts"]["system"]["text"], pairs


def cornerman(cases: int) -> dict[str, float]:
    """A training run of one epoch; its evaluation of the starting prompts is what is measured."""
    return asyncio.run(run_here(cases, seconds=0.0))


def pydantic_evals(cases: int) -> dict[str, float]:
    """A dataset with `EqualsExpected`, whose task makes the call with OpenAI's async client."""
    from openai import AsyncOpenAI
    from pydantic_evals import Case, Dataset
    from pydantic_evals.evaluators import EqualsExpected

    prompt, questions = _questions(cases)
    client = AsyncOpenAI()

    async def answer(question: str) -> str | None:
        messages: Any = [
            {"role": "system", "content": prompt},
            {"role": "user", "content": question},
        ]
        done = await client.chat.completions.create(model=MODEL, messages=messages)
        return done.choices[0].message.content

    dataset = Dataset(
        name="bench",
        cases=[
            Case(name=f"case {n}", inputs=question, expected_output=expected)
            for n, (question, expected) in enumerate(questions)
        ],
        evaluators=[EqualsExpected()],
    )

    async def run() -> tuple[Any, dict[str, float]]:
        usage = Usage()
        report = await dataset.evaluate(answer, max_concurrency=AT_ONCE, progress=False)
        return report, usage.end()

    report, taken = asyncio.run(run())
    right = sum(all(a.value for a in case.assertions.values()) for case in report.cases)
    assert right == cases, (right, report.failures)
    return taken


def dspy(cases: int) -> dict[str, float]:
    """`dspy.Evaluate` of a `dspy.Predict`, without dspy's cache, which would answer for it."""
    import dspy as library
    import litellm  # noqa: F401 - dspy would import it at its first call, for seconds

    prompt, questions = _questions(cases)
    library.configure(lm=library.LM(f"openai/{MODEL}", cache=False))
    program = library.Predict(library.Signature("question -> answer", prompt))
    examples = [
        library.Example(question=question, answer=expected).with_inputs("question")
        for question, expected in questions
    ]

    def is_right(example: Any, prediction: Any) -> bool:
        return example.answer == prediction.answer

    evaluate = library.Evaluate(
        devset=examples, metric=is_right, num_threads=AT_ONCE, display_progress=False
    )
    usage = Usage()
    result = evaluate(program)
    taken = usage.end()
    assert result.score == 100, result.score
    return taken


def inspect_ai(cases: int) -> dict[str, float]:
    """`eval` of a task with a system message, one `generate` and the scorer `exact`."""
    from inspect_ai import Task, eval
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import get_model
    from inspect_ai.scorer import exact
    from inspect_ai.solver import generate, system_message

    prompt, questions = _questions(cases)
    task = Task(
        dataset=MemoryDataset([Sample(input=q, target=expected) for q, expected in questions]),
        solver=[system_message(prompt), generate()],
        scorer=exact(),
    )
    model = get_model(f"openai/{MODEL}")
    usage = Usage()
    [log] = eval(
        task,
        model=model,
        display="none",
        max_samples=AT_ONCE,
        max_connections=AT_ONCE,
        log_dir=str(Path.home() / "logs"),
    )
    taken = usage.end()
    assert log.status == "success" and log.results is not None, log.error
    assert log.results.scores[0].metrics["mean"].value == 1, log.results
    return taken


# Each with the packages whose versions say what was measured.
LIBRARIES: dict[str, tuple[Callable[[int], dict[str, float]], tuple[str, ...]]] = {
    "cornerman": (cornerman, ("cornerman", "prefect", "openai")),
    "pydantic-evals": (pydantic_evals, ("pydantic-evals", "openai")),
    "dspy": (dspy, ("dspy", "litellm", "openai")),
    "inspect-ai": (inspect_ai, ("inspect-ai", "openai")),
}


def main() -> None:
    """Measure one library and print the figures."""
    run, packages = LIBRARIES[sys.argv[1]]
    figures = run(int(sys.argv[2]))
    versions = {package: version(package) for package in packages}
    print(json.dumps({"loop": figures, "versions": versions}), flush=True)


if __name__ == "__main__":
    main()
