"""Asking a judge about labelled cases: at once as many as cases may run, nothing paid twice.

What a judge of ours said of a case is kept under what it was asked: its words, its model, where
that answers, and the case. So a check that is stopped or killed goes on where it was, and the next
run with the same judge and file pays for what is new in it alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from cornerman.clients.llm import LLM
from cornerman.domain.aio import Deadline, TimeUpError, within
from cornerman.domain.battles.workflows import Workflow
from cornerman.domain.entrypoints import BUILTIN_EVALUATORS
from cornerman.domain.errors import BadInputError, LLMError, StopError
from cornerman.domain.judges.labels import LabelledCase, Labels
from cornerman.domain.money.ledger import CallScope
from cornerman.domain.personas import Persona, Scenario
from cornerman.domain.runs import judge_subject
from cornerman.domain.secrets import redact
from cornerman.domain.training import EvaluatorOptions
from cornerman.domain.training.cases import EvaluationContext, Score
from cornerman.evaluators.base import EvaluatorFailure, build_evaluator
from cornerman.evaluators.llm_judge import SYSTEM
from cornerman.settings import Settings
from cornerman.storage import steps
from cornerman.storage.database import Database
from cornerman.tasks.battle_calls import Stage, ask_referee
from cornerman.tasks.judge import JUDGE_MAX_TOKENS, judge_chat, judging
from cornerman.tasks.meter import telling_waits
from cornerman.tasks.metering import AgentMetering, calling_for
from cornerman.tasks.slots import SharedSlots

# The form of what is kept: another one is asked for anew.
_FORM = 1
Ask = Callable[[LabelledCase, CallScope], Awaitable[Score]]


class JudgingRun(Protocol):
    """What asking needs of a run: a training run's context, or a check's."""

    @property
    def run_id(self) -> str: ...

    @property
    def db(self) -> Database: ...

    @property
    def slots(self) -> SharedSlots: ...

    @property
    def metering(self) -> AgentMetering | None: ...

    def scope(self, subject: str) -> CallScope: ...

    def check(self) -> None: ...

    def stop(self, reason: StopError) -> None: ...


@dataclass(frozen=True)
class LabelJudge:
    """A judge that can be asked about labelled cases.

    Args:
        facts: Which one it is, for documents and events.
        ask: Its score of a case, or an error of the kinds that `ask_judge` names.
        identity: All that its answer to a case depends on; None where nobody can know that, as
            with a user's own code.
    """

    facts: dict[str, Any]
    ask: Ask
    identity: Callable[[LabelledCase], Any]


@dataclass(frozen=True)
class JudgedCase:
    """What became of one labelled case; without a score, `error` says why."""

    labelled: LabelledCase
    score: float | None
    reason: str = ""
    error: str = ""
    remembered: bool = False


def evaluator_judge(
    options: EvaluatorOptions, llm: LLM, settings: Settings, endpoint: str, *, field: str
) -> LabelJudge:
    """The judge that an evaluator of a training request is.

    Args:
        endpoint: Name of where the model answers.
        field: The evaluator's path in the request, for messages.

    Raises:
        BadInputError: It cannot be made.
    """
    evaluate = build_evaluator(
        options,
        allowed=list(settings.evaluator_modules),
        chat=judge_chat(llm, settings),
        field=field,
    )
    model = settings.model_for("judge")
    # What has no path to a model is asked again for nothing.
    is_judge = (
        BUILTIN_EVALUATORS.get(options.entrypoint, options.entrypoint)
        == (BUILTIN_EVALUATORS["llm_judge"])
    )
    judge = ["llm_judge", SYSTEM, options.config, model, endpoint, JUDGE_MAX_TOKENS]

    async def ask(labelled: LabelledCase, scope: CallScope) -> Score:
        case = labelled.case
        context = EvaluationContext(
            inputs=case.inputs,
            output=labelled.output,
            expected_output=case.expected_output,
            metadata=case.metadata,
            duration_ms=0.0,
            state=labelled.output,
        )
        with judging(lambda: scope):
            return await evaluate(context)

    def identity(labelled: LabelledCase) -> Any:
        case = labelled.case
        return [*judge, case.inputs, labelled.output, case.expected_output] if is_judge else None

    facts = {"evaluator": options.id, "entrypoint": options.entrypoint}
    return LabelJudge(facts | ({"model": model} if is_judge else {}), ask, identity)


def referee_judge(
    workflow: Workflow, labels: Labels, llm: LLM, settings: Settings, endpoint: str
) -> LabelJudge:
    """The judge that a workflow's referee is.

    Raises:
        BadInputError: A case names a situation that the workflow does not have.
    """
    stages = {one.case.id: _stage(workflow, one, settings) for one in labels.cases}

    async def ask(labelled: LabelledCase, scope: CallScope) -> Score:
        verdict = await ask_referee(llm, scope, stages[labelled.case.id], labelled.turns)
        if verdict is None:
            raise LLMError("The referee gave no verdict, asked twice.", kind="schema")
        return Score(verdict.score / 100, verdict.rationale or None)

    def identity(labelled: LabelledCase) -> Any:
        request = stages[labelled.case.id].referee_request(labelled.turns, 1)
        said = [request.messages, request.max_tokens, request.response_format]
        return ["referee", request.model, endpoint, *said]

    facts = {"referee": workflow.id, "model": settings.model_for("referee")}
    return LabelJudge(facts, ask, identity)


def _stage(workflow: Workflow, labelled: LabelledCase, settings: Settings) -> Stage:
    # The order of the sides is drawn by the persona's id, so that none of them wins by its place;
    # by the talk, so that it is asked the same wherever in the file the talk stands.
    said = json.dumps([[turn.speaker, turn.text] for turn in labelled.turns])
    drawn = hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:12]
    persona = Persona(id=drawn, name="Somebody", system_prompt="-")
    return Stage(
        settings=settings,
        workflow=workflow,
        limits=workflow.limits,
        prompts={},
        persona=persona,
        scenario=_scene(workflow, labelled),
        seed=0,
    )


def _scene(workflow: Workflow, labelled: LabelledCase) -> Scenario:
    given = labelled.scenario
    if isinstance(given, Scenario):
        return given
    if given is None:
        return workflow.scenarios[0]
    found = next((scene for scene in workflow.scenarios if scene.id == given), None)
    if found is None:
        known = ", ".join(scene.id for scene in workflow.scenarios)
        raise BadInputError(
            f"scenario: case {labelled.case.id!r} names {given!r}; workflow {workflow.id} has: "
            f"{known}.",
            field="scenario",
            hint='Or give it whole: {"description", "agent_goal", "persona_goal"}',
        )
    return found


class JudgePanel:
    """Asks one judge about labelled cases; holds what it has said so far.

    Args:
        timeout_seconds: For one case, without waiting for money.
        fresh: Ask again about what is remembered.
        told: Called with each case as it is judged.
    """

    def __init__(
        self,
        run: JudgingRun,
        judge: LabelJudge,
        cases: Sequence[LabelledCase],
        *,
        timeout_seconds: float,
        fresh: bool = False,
        told: Callable[[JudgedCase], Awaitable[None]] | None = None,
    ) -> None:
        self._run = run
        self._judge = judge
        self._cases = cases
        self._timeout_seconds = timeout_seconds
        self._fresh = fresh
        self._told = told
        self._judged = dict[str, JudgedCase]()

    @property
    def judged(self) -> list[JudgedCase]:
        """What was said, in the file's order; cases that were not come to are left out."""
        return [self._judged[one.case.id] for one in self._cases if one.case.id in self._judged]

    async def ask_all(self) -> None:
        """Ask about every case, as many at once as there are slots.

        Raises:
            StopError: No more work may be started; what was judged before is kept.
        """
        await self._recall()
        waiting = iter([one for one in self._cases if one.case.id not in self._judged])
        errors = list[Exception]()

        async def work() -> None:
            for labelled in waiting:
                if errors:
                    return
                try:
                    async with self._run.slots:
                        self._run.check()
                        await self._keep(await self._ask(labelled))
                except Exception as error:  # noqa: BLE001 - raised below, once all are at rest
                    errors.append(error)

        width = min(self._run.slots.most, len(self._cases))
        await asyncio.gather(*(work() for _ in range(width)))
        if errors:
            stop = next((e for e in errors if isinstance(e, StopError)), None)
            if stop is not None:
                self._run.stop(stop)
            raise stop or errors[0]

    async def _recall(self) -> None:
        """Take what was said before, of the same by the same."""
        if self._fresh:
            return
        keys = [(key, one) for one in self._cases if (key := self._key(one)) is not None]
        stored = await self._run.db.read(steps.read_cached_answers, [key for key, _ in keys])
        for key, labelled in keys:
            if key in stored:
                held = json.loads(stored[key])
                known = JudgedCase(labelled, held["score"], held["reason"], remembered=True)
                self._judged[labelled.case.id] = known
                await self._tell(known)

    def _key(self, labelled: LabelledCase) -> str | None:
        identity = self._judge.identity(labelled)
        if identity is None:
            return None
        text = json.dumps([_FORM, identity], sort_keys=True, default=str)
        return f"judge:{hashlib.sha256(text.encode()).hexdigest()}"

    async def _keep(self, judged: JudgedCase) -> None:
        self._judged[judged.labelled.case.id] = judged
        key = self._key(judged.labelled)
        if key is not None and judged.score is not None:
            said = json.dumps({"score": judged.score, "reason": judged.reason})
            await self._run.db.write(steps.replace_cached_answer, key, said)
        await self._tell(judged)

    async def _tell(self, judged: JudgedCase) -> None:
        if self._told is not None:
            await self._told(judged)

    async def _ask(self, labelled: LabelledCase) -> JudgedCase:
        """One case's score, or why there is none."""
        deadline = Deadline(self._timeout_seconds)
        subject = judge_subject(labelled.case.id)
        metering = self._run.metering
        key = metering and metering.key(subject, prompts=None, extend=deadline.extend, role="judge")
        is_well = False
        try:
            with telling_waits(deadline.extend), calling_for(key) if key else nullcontext():
                asking = self._judge.ask(labelled, self._run.scope(subject))
                score = await within(deadline, _awaited(asking))
            is_well = True
        except TimeUpError:
            return JudgedCase(labelled, None, error=f"no verdict in {self._timeout_seconds:g} s")
        except (EvaluatorFailure, LLMError) as error:
            return JudgedCase(labelled, None, error=redact(str(error)))
        finally:
            if key:
                await key.close(drain=is_well)
        if key and key.refused is not None:
            raise key.refused
        return JudgedCase(labelled, score.value, redact(score.reason or ""))


async def _awaited(asking: Awaitable[Score]) -> Score:
    return await asking
