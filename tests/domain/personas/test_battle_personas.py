"""Built-in personas and workflows, and personas read from files."""

import json
from pathlib import Path

import pytest

from cornerman.domain.battles.workflows import parse_workflow, scenario_for
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.personas import persona_id, same_persona
from cornerman.domain.personas.files import (
    import_personas,
    parse_personas,
    parse_personas_file,
    without_known,
)
from cornerman.domain.personas.sotopia import target_price
from cornerman.personas import builtin_personas
from cornerman.workflows import builtin_workflow, builtin_workflow_ids


@pytest.mark.parametrize(("workflow", "count"), [("negotiation", 24), ("support", 12)])
def test_ships_distinct_personas_of_all_difficulties(workflow: str, count: int):
    personas = builtin_personas(workflow)
    assert len(personas) == len({p.id for p in personas}) == count
    assert len(without_known(personas, [])) == count
    assert {p.difficulty for p in personas} == {1, 2, 3, 4, 5}
    for persona in personas:
        assert persona.source == "builtin" and persona.workflow_id == workflow
        assert 3 <= persona.system_prompt.count(". ") + 1 <= 6
        assert "goal is" in persona.system_prompt
        assert persona.attack_patterns and persona.characteristics


@pytest.mark.parametrize("workflow_id", ["negotiation", "support"])
def test_ships_workflows_with_something_to_train(workflow_id: str):
    assert workflow_id in builtin_workflow_ids()
    workflow = builtin_workflow(workflow_id)
    assert workflow.prompts[workflow.agent_prompt].requires_grad
    assert len({s.id for s in workflow.scenarios}) == len(workflow.scenarios) >= 4


def test_goals_of_the_built_in_negotiations_name_their_targets():
    for scenario in builtin_workflow("negotiation").scenarios:
        targets = scenario.price_targets
        assert targets is not None
        assert target_price(scenario.agent_goal) == targets.agent_target
        assert target_price(scenario.persona_goal) == targets.persona_target


def test_an_unknown_workflow_names_those_that_exist():
    with pytest.raises(NotFoundError, match="negotiation, support"):
        builtin_workflow("chess")


@pytest.mark.parametrize(
    ("text", "field"), [("a: [", ""), ("id: x\nname: y", "rubric"), ("- 1", "")]
)
def test_a_bad_workflow_file_names_the_field(text: str, field: str):
    with pytest.raises(BadInputError) as caught:
        parse_workflow(text)
    assert caught.value.field == field


def test_a_scenario_is_drawn_by_seed():
    workflow, persona = builtin_workflow("negotiation"), builtin_personas("negotiation")[0]
    drawn = [scenario_for(workflow, persona, seed).id for seed in range(40)]
    assert drawn == [scenario_for(workflow, persona, seed).id for seed in range(40)]
    assert len(set(drawn)) > 2


JSONL = """
{"name": "Ann", "system_prompt": "You are Ann.", "difficulty": 2, "attack_patterns": ["waits"]}
{"name": "Bob", "system_prompt": "You are Bob.", "workflow_id": "support"}
"""


def test_reads_jsonl_and_gives_the_same_ids_each_time():
    first, second = parse_personas(JSONL), parse_personas(JSONL)
    assert first == second
    assert [p.workflow_id for p in first] == ["negotiation", "support"]
    assert first[0].id == persona_id("negotiation", "Ann")
    assert first[0].source == "import"


def test_reads_csv_with_lists_in_cells():
    text = (
        "name,system_prompt,attack_patterns,characteristics,difficulty\r\n"
        'Ann,"You are Ann,\nin two lines.",waits; sighs,"[""kind"", ""slow""]",4\r\n'
        "Bob,You are Bob.,,,\r\n"
    )
    ann, bob = parse_personas(text)
    assert (ann.attack_patterns, ann.characteristics) == (["waits", "sighs"], ["kind", "slow"])
    assert (ann.difficulty, bob.difficulty, bob.attack_patterns) == (4, 3, [])


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ('{"name": "Ann"}', "system_prompt", "line 1"),
        ('{"system_prompt": "x"}', "name", "line 1"),
        ('{"name": "A", "system_prompt": "x"}\n{"name"', "file", "line 2"),
        ('{"name": "A", "system_prompt": "x", "difficulty": 9}', "difficulty", "9"),
        ('{"name": "A", "system_prompt": "x", "mood": 1}', "mood", "mood"),
        (
            '{"name": "A", "system_prompt": "x"}\n{"name": "A", "system_prompt": "y"}',
            "id",
            "line 2",
        ),
        ("[1]", "line 1", "object"),
        ("", "file", "no persona"),
        ("name,system_prompt\nAnn,x,y\n", "line 2", "line 2"),
        ("name,age\nAnn,3\n", "system_prompt", "line 2"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_field(text: str, field: str, says: str):
    with pytest.raises(BadInputError) as caught:
        parse_personas(text, name="mine.jsonl")
    assert caught.value.field == field
    assert says in caught.value.message and "mine.jsonl" in caught.value.message


def test_a_missing_file_and_bad_bytes_are_bad_input(tmp_path: Path):
    (tmp_path / "bad").write_bytes(b"\xff\xfe\x00x")
    for path in (tmp_path / "absent", tmp_path / "bad", tmp_path):
        with pytest.raises(BadInputError, match="UTF-8"):
            parse_personas_file(path)


def test_type_and_is_active_are_understood_as_lists_and_older_tables_have_them():
    rows = "name,system_prompt,type,is_active\nAda,Haggle.,haggler,false\n"
    (ada,) = parse_personas(rows)
    assert (ada.persona_type, ada.active) == ("haggler", False)


def test_generated_duplicates_are_refused_by_name_and_by_prompt():
    known = parse_personas(JSONL)[:1]
    rows = [
        {"name": "ANN", "system_prompt": "Other."},
        {"name": "Cid", "system_prompt": "you are  ann."},
        {"name": "Dee", "system_prompt": "You are Dee."},
    ]
    fresh = without_known(import_personas(rows, source="generated"), known)
    assert [(p.name, p.source) for p in fresh] == [("Dee", "generated")]


def test_names_in_other_scripts_stay_apart():
    a, b = import_personas([{"name": n, "system_prompt": n} for n in ("小明", "小红")])
    assert a.id != b.id and not same_persona(a, b)


PROFILE = {
    "agent_id": "A1",
    "first_name": "Ada",
    "last_name": "Quill",
    "age": 30,
    "occupation": "Baker",
    "public_info": "Ada bakes.",
    "big_five": "Agreeableness - Low; Neuroticism - High",
    "secret": "Cannot bake",
    "decision_making_style": "Quick",
}
BARGAIN = {
    "env_id": "E1",
    "codename": "c0",
    "source": "craigslist_bargains",
    "scenario": "One person sells a lamp for $40.00.",
    "agent_goals": [
        "You are the seller. Your target price is $30.5.",
        "As the buyer, your target price is set at $20. You will be penalized above $25.",
    ],
}


def test_a_sotopia_profile_becomes_a_buyer_in_a_paired_scenario():
    (persona,) = parse_personas(json.dumps(PROFILE), environments=json.dumps(BARGAIN), combos="")
    assert persona.scenario is not None and persona.scenario.price_targets is not None
    targets = persona.scenario.price_targets
    assert (targets.asking, targets.buyer_target, targets.seller_target) == (40, 20, 30.5)
    assert persona.scenario.agent_role == "the seller"
    assert "As the buyer" in persona.scenario.persona_goal
    assert "Cannot bake" in persona.system_prompt and persona.difficulty == 4


def test_a_sotopia_goal_without_a_price_is_refused():
    bad = {**BARGAIN, "agent_goals": ["You are the seller.", "You are the buyer."]}
    with pytest.raises(BadInputError, match=r"environment_profiles.jsonl, line 1.*target price"):
        parse_personas(json.dumps(PROFILE), environments=json.dumps(bad))


@pytest.mark.needs_shared_data
def test_the_real_profiles_meet_every_real_bargain(shared_data: Path):
    personas = parse_personas_file(shared_data / "sotopia" / "agent_profiles.jsonl")
    scenarios = {p.scenario.id: p.scenario for p in personas if p.scenario is not None}
    targets = {s.metadata["codename"][-2:]: s.price_targets for s in scenarios.values()}
    assert len({p.id for p in personas}) == 40 and len(scenarios) == 10
    pairs = {k: (t.buyer_target, t.seller_target) for k, t in sorted(targets.items()) if t}
    assert pairs == {
        "00": (454, 610),
        "01": (174, 263),
        "02": (152, 172.5),
        "03": (14, 17.3),
        "04": (9, 8),
        "05": (112, 76.9),
        "06": (4600, 3260),
        "07": (30, 58.6),
        "08": (418, 312),
        "09": (46, 26.5),
    }
    assert all(t is not None and t.asking for t in targets.values())
