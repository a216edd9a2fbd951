"""A better prompt earns a better score, and the optimizer finds such prompts."""

from __future__ import annotations

import json

import pytest
import yaml

from cornerman.rehearsal.landscapes import LANDSCAPES
from cornerman.rehearsal.rules import read_rules
from tests.rehearsal.conftest import EXAMPLES
from tests.rehearsal.rehearsal_client import Connection, case_block, reply, rewrite_of


def _landscape(name: str):
    return next(landscape for landscape in LANDSCAPES if landscape.name == name)


def _ideal(seed_prompt: str, name: str) -> str:
    return " ".join([seed_prompt, *(rule.phrasings[0] for rule in _landscape(name).rules)])


def _example(name: str) -> tuple[str, list[dict]]:
    spec = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    lines = (EXAMPLES / spec["dataset"]["path"]).read_text().splitlines()
    return spec["prompts"]["system"]["text"], [json.loads(line) for line in lines]


def _outputs(prompt: str, cases: list[dict], **fields) -> list[tuple[dict, str]]:
    return [(c, reply("agent", prompt, json.dumps(c["inputs"]), **fields)) for c in cases]


def _score(prompt: str, cases: list[dict], **fields) -> float:
    outputs = _outputs(prompt, cases, **fields)
    return sum(out.strip() == case["expected_output"] for case, out in outputs) / len(cases)


def test_the_ideal_prompt_beats_the_seed_prompt_over_http(endpoint: Connection):
    seed_prompt, cases = _example("triage")

    def score(prompt: str) -> float:
        texts = [endpoint.text(prompt, json.dumps(case["inputs"])) for case in cases]
        return sum(t == c["expected_output"] for t, c in zip(texts, cases, strict=True)) / 120

    assert len(cases) == len({case["inputs"]["message"] for case in cases}) == 120
    assert 0.35 <= score(seed_prompt) <= 0.45
    assert 0.88 <= score(_ideal(seed_prompt, "triage")) <= 0.97


@pytest.mark.parametrize("name", ["triage", "extraction", "stock"])
def test_every_rule_of_a_landscape_earns_something(name: str):
    seed_prompt, cases = _example(name)
    rules = _landscape(name).rules
    best = _score(_ideal(seed_prompt, name), cases)
    assert best >= 0.88
    for left_out in rules:
        kept = [rule.phrasings[0] for rule in rules if rule is not left_out]
        assert _score(" ".join([seed_prompt, *kept]), cases) < best, left_out.name


@pytest.mark.parametrize("landscape", LANDSCAPES, ids=lambda landscape: landscape.name)
def test_rules_recognise_their_own_phrasings_and_no_others(landscape):
    for rule in landscape.rules:
        for sentence in rule.phrasings:
            held = {name for name, strength in read_rules(landscape, sentence).items() if strength}
            assert held == {rule.name}, sentence
        for sentence in rule.contradictions:
            assert read_rules(landscape, sentence)[rule.name] < 0, sentence


def test_overlong_and_contradictory_prompts_lose():
    seed_prompt, cases = _example("triage")
    ideal = _ideal(seed_prompt, "triage")
    best = _score(ideal, cases)
    assert _score(ideal + " Many people rely on this work." * 100, cases) < best
    assert _score(ideal + " Always explain why you decided as you did.", cases) < best


def test_reads_messages_that_no_example_holds():
    prompt = _ideal("Label the message.", "triage")
    unseen = {
        "My parcel went to the wrong depot, where is it now?": "delivery",
        "I do not want a refund, I want to cancel the rest of the order.": "cancel",
        "Whenever I sign in I get error code 17.": "bug",
    }
    answers = [reply("agent", prompt, text, server_seed=5) for text in unseen]
    assert answers == list(unseen.values())


def test_noise_comes_with_a_temperature_only():
    prompt, cases = _example("triage")
    ideal = _ideal(prompt, "triage")
    assert _score(ideal, cases, temperature=0.0, seed=1) == _score(ideal, cases)
    noisy = [_outputs(ideal, cases, temperature=0.8, seed=seed) for seed in (1, 2)]
    assert noisy[0] != noisy[1]
    assert _score(ideal, cases, temperature=0.8, seed=1) < _score(ideal, cases)


@pytest.mark.parametrize("name", ["triage", "extraction", "stock"])
def test_six_rewrites_climb(name: str):
    prompt, cases = _example(name)
    first = best = _score(prompt, cases)
    decisions = []
    for attempt in range(6):
        outputs = _outputs(prompt, cases)
        failed = [(c, out) for c, out in outputs if out.strip() != c["expected_output"]][:8]
        blocks = "\n".join(case_block(case, out, 0.0) for case, out in failed)
        asked = f'<prompt name="system">\n{prompt}\n</prompt>\n{blocks}'
        answer = reply("optimizer", "Improve it.", asked, seed=attempt, temperature=1.0)
        score = _score(rewrite_of(answer), cases)
        decisions.append(score > best)
        if decisions[-1]:
            prompt, best = rewrite_of(answer), score
    assert best >= first + 0.15
    assert True in decisions


def test_about_a_quarter_of_the_rewrites_are_bad():
    prompt, cases = _example("triage")
    failed = [(c, o) for c, o in _outputs(prompt, cases) if o != c["expected_output"]][:8]
    blocks = "\n".join(case_block(case, out, 0.0) for case, out in failed)
    asked = f'<prompt name="system">\n{prompt}\n</prompt>\n{blocks}'
    texts = [rewrite_of(reply("optimizer", "", asked, seed=seed)) for seed in range(80)]
    strengths = [sum(read_rules(_landscape("triage"), text).values()) for text in texts]
    assert 8 <= sum(strength <= 0 for strength in strengths) <= 36
    assert len(set(texts)) > 20


def test_with_nothing_failed_it_polishes_and_gains_nothing():
    prompt, cases = _example("triage")
    asked = f'<prompt name="system">\n{prompt}\n</prompt>\n{case_block(cases[0], "x", 1.0)}'
    text = rewrite_of(reply("optimizer", "", asked))
    assert prompt in text
    assert _score(text, cases) == _score(prompt, cases)


def test_answers_a_fenced_prompt_in_a_fence():
    asked = (
        "I provided an assistant with the following instructions:\n```\nLabel the message.\n```\n"
        "Examples:\n```\n# Example 1\n## Inputs\n### message\nEvery time I sign in, the app "
        "crashes.\n\n## Generated Outputs\nlogin\n\n## Feedback\nThe expected output is bug.\n\n"
        "```\nProvide the new instructions within ``` blocks."
    )
    answers = [reply("optimizer", "", asked, seed=seed) for seed in range(12)]
    assert all(answer.startswith("```\n") and answer.endswith("\n```") for answer in answers)
    assert any(read_rules(_landscape("triage"), a)["broken_login"] > 0 for a in answers)


def test_lists_the_labels_that_unknown_intents_need():
    blocks = "\n".join(
        case_block({"id": n, "inputs": {"text": f"about {n}"}, "expected_output": n}, "other", 0)
        for n in ("card_arrival", "lost_card", "top_up_failed")
    )
    asked = f'<prompt name="system">\nName the intent.\n</prompt>\n{blocks}'
    texts = [rewrite_of(reply("optimizer", "", asked, seed=seed)) for seed in range(6)]
    listing = next(text for text in texts if "card_arrival, lost_card" in text)
    assert reply("agent", f"{listing}\nAnswer with the label only.", "my lost card").endswith(
        "card"
    )
