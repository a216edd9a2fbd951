"""Whatever order calls come in, no budget is passed and no picodollar is lost."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from cornerman.domain.errors import BudgetExceededError
from cornerman.domain.money.ledger import CallOutcome
from cornerman.storage import ledger, runs, workflows
from cornerman.storage.database import Database
from cornerman.storage.tables import budgets, llm_calls
from tests.storage.samples import estimate, scope

LIMITS = {"day": 100, "run:a": 40, "run:b": 70}
SCOPES = [{"day"}, {"day", "run:a"}, {"day", "run:b"}, {"run:a"}]

amounts = st.integers(0, 60)
steps = st.one_of(
    st.tuples(st.just("reserve"), st.sampled_from(range(len(SCOPES))), amounts),
    st.tuples(st.just("settle"), st.integers(0, 20), st.floats(0, 1)),
    st.tuples(st.just("abandon"), st.sampled_from(["a", "b"]), st.none()),
)


def check_books(session: Any) -> None:
    calls = session.execute(select(llm_calls)).all()
    for budget in session.execute(select(budgets)):
        mine = [call for call in calls if budget.name in call.budgets]
        assert budget.spent_pico == sum(call.cost_pico for call in mine)
        in_flight = [call.reserved_pico for call in mine if call.status == "reserved"]
        assert budget.reserved_pico == sum(in_flight)
        assert budget.spent_pico + budget.reserved_pico <= budget.limit_pico == LIMITS[budget.name]


class Books:
    """Applies steps, as several runs would in some order."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.made = list[tuple[str, int]]()

    def apply(self, step: tuple[Any, Any, Any]) -> None:
        getattr(self, step[0])(*step[1:])

    def reserve(self, which: int, worst: int) -> None:
        limits = {name: LIMITS[name] for name in SCOPES[which]}
        run_id = "b" if "run:b" in limits else "a"
        try:
            call = scope(limits, run_id=run_id)
            call_id = ledger.reserve_call(self.session, call, estimate(worst))
        except BudgetExceededError as error:
            # It is never refused while it could still fit.
            assert error.spent_usd + error.needed_usd > error.limit_usd
            return
        if call_id is not None:
            self.made.append((call_id, worst))

    def settle(self, which: int, share: float) -> None:
        if self.made:
            call_id, worst = self.made[which % len(self.made)]
            outcome = CallOutcome("ok", cost_pico=int(worst * share))
            ledger.settle_call(self.session, call_id, outcome)

    def abandon(self, run_id: str, _: None) -> None:
        ledger.settle_run_calls(self.session, run_id)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(steps=st.lists(steps, min_size=5, max_size=40))
def test_budgets_are_never_passed_and_always_add_up(db: Database, steps: list[Any]):
    # Thrown away at the end, so that each example begins with nothing.
    with db.reading() as session:
        workflows.create_workflow(session, "w")
        for run_id in ("a", "b"):
            given: dict[str, Any] = {"request": {}, "random_state": {}, "simulated": True}
            runs.create_run(session, run_id=run_id, kind="train", workflow_id="w", **given)
        books = Books(session)
        for step in steps:
            books.apply(step)
            check_books(session)
