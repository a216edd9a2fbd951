"""A synchronous search in a thread, advanced one iteration per round of the training loop.

The thread never touches the lab. It asks, and the round that is being awaited does what it asks,
in the flow's own task: so cancellation, budgets and errors work as everywhere else, and nothing
that the searched-through library swallows can be lost.

`gepa`: the gepa package's `optimize` over this run's cases, one of its iterations per epoch.

Closed traps of gepa 0.1.4: its train and validation ids overlap, so ours carry their split; it
goes on after errors of the reflection model, so a stop ends its thread instead; it checks budgets
between iterations only, while the lab checks each call; its state is a pickle, so none is
written: a resumed run goes the same way again and finds its results stored.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from cornerman.domain.blame import shown_steps
from cornerman.domain.errors import BadInputError, LLMError
from cornerman.domain.training.candidates import Candidate, Prompts
from cornerman.domain.training.cases import Case, CaseResult, scores_by_case
from cornerman.domain.training.optimizer import Lab, Round
from cornerman.domain.training.search import refuse_rewrite
from cornerman.optimizers.feedback import shown_value, trainable, why, with_text


class SearchEndedError(BaseException):
    """Ends the thread. Not an Exception, since the library goes on after those."""


@dataclass
class _Request:
    work: Callable[[], Awaitable[Any]]
    reply: Future[Any] = field(default_factory=Future[Any])


@dataclass(frozen=True)
class _Paused:
    """The search has ended an iteration."""


@dataclass(frozen=True)
class _Ended:
    error: BaseException | None


class SteppedThread:
    """Runs `search(self)` in a daemon thread, one iteration for each `step`.

    Args:
        search: Calls `ask` for whatever needs the lab, and `pause` where an iteration begins.
        survivable: Errors of asked work that the search may go on after.
    """

    def __init__(
        self, search: Callable[[SteppedThread], None], survivable: tuple[type[Exception], ...]
    ) -> None:
        self._search = search
        self._survivable = survivable
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[_Request | _Paused | _Ended] = asyncio.Queue()
        self._go_on = threading.Semaphore(0)
        self._closed = threading.Event()
        # The flow's context goes along: what the thread schedules belongs to the flow's run.
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="cornerman-search", daemon=True
        )
        self._is_started = False

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    # -- in the event loop

    async def step(self) -> None:
        """Let the search run one iteration, doing what it asks for meanwhile.

        Raises:
            Exception: Whatever the asked work or the search itself raised; the thread has ended.
        """
        if self._is_started:
            self._go_on.release()
        else:
            self._is_started = True
            self._thread.start()
        try:
            while not isinstance(message := await self._inbox.get(), _Paused):
                if isinstance(message, _Ended):
                    raise message.error or RuntimeError("the search ended by itself")
                await self._serve(message)
        except BaseException:
            self.close()
            raise

    async def _serve(self, request: _Request) -> None:
        try:
            result = await request.work()
        except self._survivable as error:
            request.reply.set_exception(error)
        except BaseException:
            request.reply.set_exception(SearchEndedError())
            raise
        else:
            request.reply.set_result(result)

    def close(self) -> None:
        """End the thread at its next question or pause; from any thread, any number of times."""
        self._closed.set()
        self._go_on.release()

    # -- in the thread

    def ask(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Have the round await `work()` and return its result."""
        if self._closed.is_set():
            raise SearchEndedError
        request = _Request(work)
        self._post(request)
        return request.reply.result()

    def pause(self) -> None:
        """Tell that an iteration is over and wait for the next round."""
        self._post(_Paused())
        self._go_on.acquire()
        if self._closed.is_set():
            raise SearchEndedError

    def _post(self, message: _Request | _Paused | _Ended) -> None:
        try:
            self._loop.call_soon_threadsafe(self._inbox.put_nowait, message)
        except RuntimeError:
            # The loop is closed: nobody is left who could answer.
            raise SearchEndedError from None

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._search(self)
        except SearchEndedError:
            return
        except Exception as found:  # noqa: BLE001 - raised again by the round
            error = found
        if not self._closed.is_set():
            self._post(_Ended(error))


class GepaOptimizer:
    """The strategy `gepa`, with the package's own defaults.

    Raises:
        BadInputError: The package is not installed.
    """

    def __init__(self) -> None:
        if find_spec("gepa") is None:
            raise BadInputError(
                "optimizer.strategy: 'gepa' needs the package gepa, which is not installed.",
                field="optimizer.strategy",
                hint="Type: pip install 'cornerman[gepa]'",
            )
        self._search: GepaSearch | None = None

    async def round(self, lab: Lab, epoch: int) -> Round:
        if self._search is None:
            self._search = GepaSearch(lab)
            # Rounds just stop being asked for at a run's end; the thread must not outlive it.
            weakref.finalize(self, self._search.close)
        return await self._search.next_round()


class CaseLoader:
    """gepa's data loader over one split; ids are `train:ID` or `validation:ID`."""

    def __init__(self, split: str, cases: Sequence[Case]) -> None:
        self._cases = {f"{split}:{case.id}": case for case in cases}

    def all_ids(self) -> list[str]:
        return list(self._cases)

    def fetch(self, ids: Sequence[str]) -> list[Case]:
        return [self._cases[name] for name in ids]

    def __len__(self) -> int:
        return len(self._cases)


class GepaSearch:
    """One run of gepa's `optimize`: its adapter, its reflection model, its logger, its callback."""

    # gepa asks for this name; None: its own reflection prompt is used.
    propose_new_texts: Any = None

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._start = lab.pool[0]
        self._names = trainable(self._start.prompts)
        self._known: dict[tuple[str, ...], Candidate] = {
            self._key(self._start.prompts): self._start
        }
        self._parent = self._start
        self._seed = lab.rng("gepa").randrange(2**31)
        self._thread = SteppedThread(self._optimize, survivable=(LLMError,))
        self._begin_round()

    def close(self) -> None:
        """End the thread."""
        self._thread.close()

    def _begin_round(self) -> None:
        self._child: Candidate | None = None
        self._reason = "gepa proposed nothing"
        self._accepted = False
        self._rewriting = ""
        self._reflections: dict[str, str | LLMError] = {}

    async def next_round(self) -> Round:
        """Let gepa run its next iteration.

        Raises:
            StopError: The run must start no more work.
        """
        self._begin_round()
        await self._thread.step()
        if self._child is not None:
            await self._lab.decide(self._child, accepted=self._accepted, reason=self._reason)
        return Round(self._child, accepted=self._accepted, reason=self._reason)

    # -- in gepa's thread

    def _optimize(self, thread: SteppedThread) -> None:
        # Importing the package costs every run a little, so only a run that wants it pays.
        from gepa.api import optimize

        # gepa calls only the hooks that a callback has, though its type asks for all.
        hooks: Any = self

        optimize(
            seed_candidate={name: self._start.prompts[name].text for name in self._names},
            trainset=CaseLoader("train", self._lab.train),
            valset=CaseLoader("validation", self._lab.validation),
            adapter=self,
            reflection_lm=self._reflect,
            stop_callbacks=self._between_iterations(),
            callbacks=[hooks],
            logger=self,
            seed=self._seed,
            run_dir=None,
            raise_on_exception=True,
        )

    def _between_iterations(self) -> Any:
        is_first = True

        def stop(_state: Any) -> bool:
            nonlocal is_first
            # It is asked before the first iteration too, which belongs to the round under way.
            if not is_first:
                self._thread.pause()
            is_first = False
            return False

        return stop

    def log(self, message: str) -> None:
        """gepa's log lines say nothing that the run's events do not."""

    def evaluate(
        self, batch: list[Case], candidate: dict[str, str], capture_traces: bool = False
    ) -> Any:
        """Run cases; a case without a score counts 0, since gepa knows only numbers."""
        from gepa.core.adapter import EvaluationBatch

        results: list[CaseResult] = self._thread.ask(lambda: self._evaluated(candidate, batch))
        scores = scores_by_case(results)
        first = {result.case.id: result for result in results if result.repeat == 0}
        return EvaluationBatch(
            outputs=[first[case.id].output for case in batch],
            scores=[scores.get(case.id, 0.0) for case in batch],
            trajectories=[first[case.id] for case in batch] if capture_traces else None,
        )

    async def _evaluated(self, texts: Mapping[str, str], cases: Sequence[Case]) -> list[CaseResult]:
        return await self._lab.evaluate(self._candidate_of(texts), cases)

    def _candidate_of(self, texts: Mapping[str, str]) -> Candidate:
        prompts = self._start.prompts
        for name in self._names:
            prompts = with_text(prompts, name, texts[name])
        key = self._key(prompts)
        if key not in self._known:
            origin = f"gepa's rewrite of {self._rewriting}"
            self._known[key] = self._child = self._lab.propose(
                parent=self._parent, prompts=prompts, origin=origin
            )
        return self._known[key]

    def _key(self, prompts: Prompts) -> tuple[str, ...]:
        return tuple(prompts[name].text for name in self._names)

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """What the reflection model reads of each case."""
        self._rewriting = components_to_update[0]
        self._rewritten = candidate[self._rewriting]
        results: list[CaseResult] = eval_batch.trajectories
        told: list[str] = self._thread.ask(lambda: self._steps(results))
        records = [_record(result, steps) for result, steps in zip(results, told, strict=True)]
        return dict.fromkeys(components_to_update, records)

    async def _steps(self, results: Sequence[CaseResult]) -> list[str]:
        return [shown_steps(await self._lab.steps(result)) for result in results]

    def _reflect(self, prompt: Any) -> str:
        """gepa's reflection model; a refused rewrite is answered with the old text, for free."""
        # gepa asks again after an error, though the client has retried already.
        if prompt not in self._reflections:
            key = f"gepa/{len(self._reflections)}"
            messages = [{"role": "user", "content": str(prompt)}]
            try:
                self._reflections[prompt] = self._thread.ask(
                    lambda: self._lab.rewrite(key, messages)
                )
            except LLMError as error:
                self._reflections[prompt] = error
                self._reason = f"no rewrite: {error.message}"
        answer = self._reflections[prompt]
        if isinstance(answer, LLMError):
            raise answer
        return self._checked(answer)

    def _checked(self, answer: str) -> str:
        from gepa.strategies.instruction_proposal import InstructionProposalSignature

        text = InstructionProposalSignature.output_extractor(answer.strip())["new_instruction"]
        refusal = refuse_rewrite(text, self._rewritten, self._lab.train)
        if refusal is None:
            return answer
        self._reason = f"1 rewrite refused: {refusal}"
        return f"```\n{self._rewritten}\n```"

    # -- gepa's callbacks; what they raise is lost, so they only remember

    def on_candidate_selected(self, event: Mapping[str, Any]) -> None:
        prompts = self._start.prompts
        for name in self._names:
            prompts = with_text(prompts, name, event["candidate"][name])
        self._parent = self._known[self._key(prompts)]

    def on_evaluation_skipped(self, event: Mapping[str, Any]) -> None:
        self._reason = f"nothing to learn from this minibatch: {event['reason']}"

    def on_candidate_accepted(self, event: Mapping[str, Any]) -> None:
        self._accepted = self._child is not None
        self._reason = f"gepa accepted it: minibatch score {event['new_score']:g}"

    def on_candidate_rejected(self, event: Mapping[str, Any]) -> None:
        if self._child is not None:
            self._reason = str(event["reason"])


def _record(result: CaseResult, steps: str) -> dict[str, Any]:
    told = {"What the agent did": steps} if steps else {}
    return told | {
        "Inputs": {name: shown_value(value) for name, value in result.case.inputs.items()},
        "Generated Outputs": shown_value(result.output),
        "Expected Output": shown_value(result.case.expected_output),
        "Score": "none" if result.score is None else f"{result.score:g}",
        "Feedback": why(result),
    }
