import base64
import dataclasses
import hashlib
import json
import re

import pytest
from page_reader import PageReader
from sample_report import sample_battles, sample_report, sample_training

from cornerman.report import Report, render_report
from cornerman.report.model import BattleSection, Estimate, Improvement, TrainingSection

WHEN = "2026-03-09T14:05:31+00:00"


def page(report: Report) -> PageReader:
    return PageReader(render_report(report))


def test_the_demo_stays_under_600_kilobytes() -> None:
    assert len(render_report(sample_report()).encode()) < 600_000


def test_every_tag_is_closed_where_it_was_opened() -> None:
    assert page(sample_report()).unbalanced == []


def test_the_model_can_be_written_as_json() -> None:
    assert json.loads(json.dumps(dataclasses.asdict(sample_report())))["title"]


def test_nothing_on_the_page_points_outside() -> None:
    reader = page(sample_report())
    addresses = [v for _, name, v in reader.attributes if name in {"src", "href", "action"}]
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert not re.search(r"url\(|@import", "".join(reader.styles))


def test_the_policy_names_style_and_script_by_their_hashes() -> None:
    reader = page(sample_report())
    policy = next(v for _, name, v in reader.attributes if name == "content" and "none" in v)
    for text in (reader.styles[0], reader.scripts[-1]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_no_inline_style_or_handler_that_the_policy_would_block() -> None:
    names = {name for _, name, _ in page(sample_report()).attributes}
    assert not [name for name in names if name == "style" or name.startswith("on")]


def test_ids_are_unique_and_links_lead_to_them() -> None:
    reader = page(sample_report())
    ids = [value for _, name, value in reader.attributes if name == "id"]
    links = [v[1:] for _, name, v in reader.attributes if name == "href" and v[0] == "#"]
    assert len(ids) == len(set(ids))
    assert set(links) <= set(ids)


def test_shows_the_test_score_before_and_after_with_its_interval() -> None:
    text = page(sample_report()).text
    assert "0.351 to 0.722" in text
    assert "+0.292" in text
    assert "better with 95% confidence" in text


def test_says_when_a_gain_may_be_chance() -> None:
    training = dataclasses.replace(sample_training(), improvement=Improvement(0.05, -0.1, 0.2, 24))
    assert "may be chance" in page(Report(title="t", generated_at=WHEN, training=training)).text


def test_marks_every_transcript_of_a_simulated_report() -> None:
    html = render_report(sample_report(simulated=True))
    battles = html.split('<details class="battle"')[1:]
    assert len(battles) == 5
    assert all('class="sim"' in battle.split("</summary>")[0] for battle in battles)


def test_a_real_report_says_simulated_nowhere() -> None:
    report = dataclasses.replace(sample_report(simulated=False), notes=[])
    assert "simulated" not in page(report).text.lower()


def test_evidence_stands_in_the_turn_that_it_cites() -> None:
    html = render_report(sample_report())
    turn = re.search(r'<li id="battle-1-turn-3".*?</li>', html, re.S)
    assert turn
    assert "Composure" in turn[0]
    assert "stands in this turn" in turn[0]


def test_says_when_evidence_is_not_in_its_turn() -> None:
    assert page(sample_report()).text.count("Not found in the turn it cites") == 1


def test_an_unscored_battle_is_not_a_zero() -> None:
    html = render_report(sample_report())
    summary = html.split('id="battle-5"')[1].split("</summary>")[0]
    assert "unscored" in summary


def test_an_empty_report_says_what_to_type() -> None:
    assert "cornerman demo" in page(Report(title="t", generated_at=WHEN)).text


def test_an_empty_run_says_what_to_type_in_every_section() -> None:
    report = Report(title="t", generated_at=WHEN, training=TrainingSection(run_id="run_1"))
    text = page(report).text
    for command in ("train SPEC --resume run_1", "checkpoints list", "checkpoints diff", "battle"):
        assert f"cornerman {command}" in text


def test_an_empty_batch_says_what_to_type_in_every_section() -> None:
    report = Report(title="t", generated_at=WHEN, battles=BattleSection(batch_id="batch_1"))
    text = page(report).text
    for command in ("personas import FILE", "battle", "scout", "train SPEC"):
        assert f"cornerman {command}" in text


@pytest.mark.parametrize("part", ["training", "battles"])
def test_one_part_alone_renders(part: str) -> None:
    report = dataclasses.replace(sample_report(), **{part: None})
    assert page(report).unbalanced == []


def test_numbers_that_are_none_or_not_finite_become_a_dash() -> None:
    training = dataclasses.replace(
        sample_training(),
        seed_test=Estimate(float("nan"), float("-inf"), None, 0),
        cost_over_time=[(0.0, float("nan")), (1.0, 0.01)],
        budget_usd=float("inf"),
    )
    html = render_report(Report(title="t", generated_at=WHEN, training=training))
    assert not re.search(r"\b(nan|inf|NaN|Infinity)\b", PageReader(html).text)


def test_rows_of_the_difficulty_grid_start_with_the_hardest() -> None:
    html = render_report(sample_report())
    grid = html.split('id="difficulty"')[1].split("</section>")[0]
    names = re.findall(r'<th scope="row"><bdi>(.*?)</bdi>', grid)
    assert names[0] == "Angry customer"
    assert names[-1] == "Silent type"


def test_the_grid_shows_a_personas_means_for_the_batchs_metrics() -> None:
    from cornerman.report.sections import heat_rows

    rows = [dataclasses.replace(sample_battles().difficulty[0], metrics={"Composure": 40.0})]
    (row,) = heat_rows(dataclasses.replace(sample_battles(), difficulty=rows))
    assert [cell.score for cell in row.cells[1:]] == [40.0, None, None, None]
