"""The monitor in a real browser: what it shows, and that anybody can use it."""

import itertools
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from cornerman.domain.money.ledger import CallEstimate, CallOutcome, CallScope
from cornerman.domain.traces import CallTrace, Recorded
from cornerman.runner import LaunchFolder
from cornerman.storage import ledger, traces
from tests.gateway.browser.sample_monitor import fill_training
from tests.gateway.serving import API_TOKEN, Served

pytestmark = pytest.mark.needs_browser
INKED = """() => [...document.querySelectorAll('.chart canvas')].map(canvas => {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return pixels.some((value, place) => place % 4 === 3 && value > 0);
})"""
# What charts write, and from where to where.
WRITTEN = """(() => {
  globalThis.written = [];
  const write = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, x, ...more) {
    const half = this.measureText(text).width / 2;
    written.push([String(text), x - half, x + half]);
    return write.call(this, text, x, ...more);
  };
})()"""
Open = Callable[..., Page]


def test_shows_everything_that_is_stored(open_page: Open, filled: Served) -> None:
    page = open_page(filled)
    expect(page.locator("#cards .card").first).to_contain_text("13")
    expect(page.locator("#training")).to_contain_text("3 of 3 epochs")
    expect(page.locator("#heatmap tbody tr")).to_have_count(4)
    expect(page.locator("#ladder tbody tr.agent")).to_contain_text("c0")
    expect(page.locator("#review article")).to_have_count(1)
    expect(page.locator("#difference ins").first).to_contain_text("Give a reason with every price")
    expect(page.locator("#simulated")).to_be_visible()
    assert page.evaluate(INKED) == [True, True]


def test_shows_an_evaluations_columns_and_the_cases_on_which_they_differ(
    open_page: Open, filled: Served
) -> None:
    page = open_page(filled)
    box = page.locator("#evaluated")
    expect(box).to_contain_text("not passed")
    expect(box).to_contain_text("worse than checkpoi with gpt-4o-mini by -0.3333")
    columns = box.get_by_role("region", name="Columns", exact=True).locator("tbody tr")
    expect(columns).to_have_count(2)
    expect(columns.first).to_contain_text("−0.333 (−0.600 to −0.100) against checkpoi")
    differing = box.get_by_role("region", name="Cases on which they differ").locator("tbody tr")
    expect(differing).to_have_count(1)
    expect(differing).to_contain_text("case-1")
    asked = list[str]()
    page.route("**/trace*", lambda route: (asked.append(route.request.url), route.fulfill(json=[])))
    differing.get_by_role("button", name="0.00").click()
    expect(page.get_by_role("dialog")).to_contain_text("Case case-1")
    assert [url.removeprefix(filled.url) for url in asked] == [
        "/api/runs/evaluate-sample/cases/case-1/trace?candidate=c0"
    ]


def test_asks_nobody_but_the_gateway(open_page: Open, filled: Served) -> None:
    page, asked = open_page(filled), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.wait_for_selector(".connection.on")
    assert [url for url in asked if not url.startswith((filled.url, "data:"))] == []


def test_empty_states_say_what_to_type(open_page: Open, gateway: Served) -> None:
    page = open_page(gateway)
    said = page.locator("code").all_inner_texts()
    assert {"cornerman battle", "cornerman train SPEC", "cornerman scout"} <= set(said)
    assert any(text.startswith("cornerman personas import") for text in said)


def test_commands_of_empty_states_name_the_workflow_that_is_shown(
    open_page: Open, gateway: Served
) -> None:
    page = open_page(gateway, "/admin/training-monitor?workflow=triage")
    said = set(page.locator("main code").all_inner_texts())
    assert {
        "cornerman battle --workflow triage",
        "cornerman personas import FILE --workflow triage",
    } <= said
    assert "cornerman battle" not in said


@pytest.mark.parametrize("width", [390, 1280])
def test_numbers_of_many_epochs_keep_apart(open_page: Open, gateway: Served, width: int) -> None:
    with gateway.db.writing() as session:
        fill_training(session, epochs=50)
    page = open_page(gateway, viewport={"width": width, "height": 900})
    page.add_init_script(WRITTEN)
    page.reload()
    page.wait_for_selector("#learning canvas")
    # A chart may have been drawn more than once.
    drawn = {text: (left, right) for text, left, right in page.evaluate("written")}
    numbers = sorted(drawn[text] for text in ("epoch 10", "20", "30", "40", "50"))
    assert all(before[1] < after[0] for before, after in itertools.pairwise(numbers))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page: Open, filled: Served, scheme: str) -> None:
    # The page's own policy blocks every foreign script, so the checker has to step around it.
    page = open_page(filled, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    found = [Axe().run(page)]
    page.locator("#feed .row").first.click()
    page.wait_for_selector("dialog .turns")
    found.append(Axe().run(page))
    page.keyboard.press("Escape")
    page.locator("#kill").click()
    found.append(Axe().run(page))
    assert [result.generate_report() for result in found if result.violations_count] == []


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_sticks_out_sideways(open_page: Open, filled: Served, width: int) -> None:
    page = open_page(filled, viewport={"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#feed .row").first.click()
    page.wait_for_selector("dialog .turns")
    assert page.evaluate("document.querySelector('dialog .body').scrollWidth") <= width


def test_a_transcript_opens_by_keyboard_and_gives_the_focus_back(
    open_page: Open, filled: Served
) -> None:
    page = open_page(filled)
    row = page.locator("[data-key=battle-batch-3-1]")
    row.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".turns > li")).to_have_count(2)
    expect(dialog.locator(".turns > li").nth(1).locator(".evidence")).to_contain_text(
        "value claimed"
    )
    expect(dialog.locator(".turns > li").nth(0)).to_contain_text("Not found in the turn it cites")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(row).to_be_focused()


def test_a_transcript_shows_what_the_agent_called_and_what_was_checked(
    open_page: Open, filled: Served
) -> None:
    page = open_page(filled)
    page.locator("[data-key=battle-batch-3-1]").click()
    turns = page.get_by_role("dialog").locator(".turns > li")
    expect(turns.nth(0).locator(".tools")).to_have_count(0)
    tools = turns.nth(1).locator(".tools > li")
    expect(tools).to_have_count(2)
    expect(tools.nth(0)).to_contain_text("in stock")
    expect(tools.nth(0)).to_contain_text("<script>")
    expect(tools.nth(1)).to_have_class("failed")
    expect(tools.nth(1)).to_contain_text("no funds")
    expect(page.get_by_role("dialog").locator(".facts")).to_contain_text("it looked <b>twice</b>")
    assert page.evaluate("window.hacked") is None


def test_prompts_of_any_two_checkpoints_are_compared(open_page: Open, filled: Served) -> None:
    page = open_page(filled)
    page.get_by_label("From", exact=True).select_option("checkpoint-2")
    page.get_by_label("To", exact=True).select_option("checkpoint-1")
    expect(page.locator("#difference del").first).to_contain_text("Give a reason with every price")
    expect(page.locator("#difference ins")).to_have_count(0)


def test_a_breakthrough_is_reviewed_and_rejected_with_a_reason(
    open_page: Open, filled: Served
) -> None:
    page = open_page(filled)
    page.get_by_role("button", name="Mark reviewed: Reasons first").click()
    page.get_by_role("button", name="Reject: Reasons first").click()
    page.get_by_label("Reason (optional)").fill("It is a bluff.")
    page.get_by_role("dialog").get_by_role("button", name="Reject").click()
    expect(page.locator("#review article")).to_contain_text("rejected")
    found = filled.http.get("/api/breakthroughs").json()["breakthroughs"][0]
    assert found["status"] == "rejected"


def test_promoting_a_breakthrough_begins_its_trial(open_page: Open, filled: Served) -> None:
    page = open_page(filled)
    page.get_by_role("button", name="Mark reviewed: Reasons first").click()
    page.get_by_role("button", name="Promote: Reasons first").click()
    page.get_by_role("dialog").get_by_role("button", name="Promote").click()
    expect(page.locator("#review")).to_contain_text("on trial")
    launches = LaunchFolder(filled.settings.home)
    run_id = page.locator("#review .aside .mono").inner_text()
    assert launches.run_ids() == [run_id]
    launches.kill(run_id)
    launches.remove(run_id)


def test_the_token_opens_the_door_and_a_wrong_one_does_not(browser: object, filled: Served) -> None:
    page = browser.new_context().new_page()
    page.goto(f"{filled.url}/admin/training-monitor")
    page.get_by_label("API token").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("API token").fill(API_TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#cards .card")).to_have_count(4)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API token")).to_be_visible()


def test_a_cases_model_calls_open_as_steps(open_page: Open, filled: Served) -> None:
    scope = CallScope("train-sample", "case:c0/late-parcel/0", {"run:train-sample": 10**12})
    tool = {"id": "t1", "name": "<b>look_up</b>", "arguments": {"parcel": 7}}
    asked = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Where is it?"}]
    with filled.db.writing() as session:
        for trace in (
            CallTrace("agent", "m", ("system",), asked, tool_calls=[tool]),
            CallTrace("agent", "m", (), asked, response={"role": "assistant", "content": "Here."}),
        ):
            call = ledger.reserve_call(session, scope, CallEstimate("agent", "m", 1, 100))
            assert call is not None
            ledger.settle_call(session, call, CallOutcome("ok", 12, 0, 3, 50, 40.0))
            traces.create_trace(session, call, Recorded(scope, trace))
    page = open_page(filled)
    page.get_by_role("button", name="late-parcel").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("details")).to_have_count(2)
    first = dialog.locator("details").first
    expect(first).to_contain_text("12 + 3 tokens")
    first.locator("summary").click()
    expect(first).to_contain_text("Be kind.")
    expect(first).to_contain_text("<b>look_up</b>")
    dialog.locator("details").nth(1).locator("summary").click()
    expect(dialog.locator("details").nth(1)).to_contain_text("Here.")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_a_battles_transcript_leads_to_its_calls(open_page: Open, filled: Served) -> None:
    page = open_page(filled)
    page.locator("[data-key=battle-batch-3-1]").click()
    expect(page.get_by_role("button", name="Model calls")).to_be_visible()
