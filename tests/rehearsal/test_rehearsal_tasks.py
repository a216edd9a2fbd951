"""General tasks are answered as well as simple code can."""

from __future__ import annotations

import pytest

from cornerman.rehearsal.landscapes import find_landscape, text_of_input
from cornerman.rehearsal.roles import agent
from tests.rehearsal.rehearsal_client import reply

CAREFUL = "Answer with the answer only, no other words. Work step by step. Count only those asked."


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("I have two apples, a bed, and a plum. How many fruits do I have?", "counting"),
        ("not ( True ) and ( True ) is", "boolean"),
        ("Sort the following words alphabetically: List: pear fig apple", "sorting"),
        ("Which one?\nOptions:\n(A) this\n(B) that", "choice"),
        ("Opening stock of milk: 20 l. We sold 5 l. What is the closing stock?", "stock"),
        ("A robe takes 2 bolts and 1 more. How many bolts in total?", "word_problem"),
    ],
)
def test_knows_a_task_by_its_shape(text: str, task: str):
    found = find_landscape("Answer the question.", text)
    assert found is not None
    assert found.name == task


def _most_common(text: str, prompt: str = CAREFUL) -> str:
    # One case in fourteen is misread for each server seed; the majority is the agent's reading.
    answers = [reply("agent", prompt, text, server_seed=seed) for seed in range(9)]
    return max(set(answers), key=answers.count)


def test_solves_what_code_can_solve():
    assert _most_common("I have two apples, a bed, and a plum. How many fruits do I have?") == "3"
    assert _most_common("not ( True ) and ( True ) is") == "False"
    assert _most_common("True or not not ( False ) and False is") == "True"
    words = "Sort the following words alphabetically: List: pear fig apple"
    assert _most_common(words) == "apple fig pear"
    stock = "Opening stock of milk: 20 l. We sold 500 ml. What is the closing stock?"
    assert _most_common(stock, "Number only. Convert to the same unit first.") == "19.5"


def test_ends_a_word_problem_with_the_mark_when_asked():
    text = "A robe takes 2 bolts and 1 more. How many bolts in total?"
    assert reply("agent", "End with '#### N'.", text).endswith("\n#### 3")


def test_chooses_among_listed_intents_by_their_words():
    prompt = "Choose: card_arrival, lost_or_stolen_card, exchange_rate. Label only, as written."
    answers = {reply("agent", prompt, "When will my card arrive?", server_seed=s) for s in range(9)}
    assert "card_arrival" in answers


def test_reads_the_input_out_of_json_tags_and_fields():
    for content in ('{"message": "hi there"}', "<message>hi there</message>", "Message: hi there"):
        assert text_of_input(content) == "hi there"


def test_says_that_it_is_simulated_when_it_knows_no_task():
    assert reply("agent", "", "lorem ipsum").startswith("(simulated)")
    assert agent.__doc__
