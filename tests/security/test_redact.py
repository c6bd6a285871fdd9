"""What is taken for a secret, and what stands in its place."""

from __future__ import annotations

import json
import pickle

import pytest

import evo
from evo.config import parse_config
from evo.redact import Filled, redact, redacted
from evo.registry import build
from evo.spec import spec_of
from evo.versions import version_of

KEY = 'sk-9f8e7d"6c5b4a/=='


class Client(evo.Problem):
    space = evo.Box(-1.0, 1.0, size=2)
    objectives = (evo.Minimize("height"),)

    def __init__(self, login: str = "", model: str = "small", retries: int = 1, api_key: str = "") -> None:
        self.login, self.model, self.retries, self.api_key = login, model, retries, api_key

    def evaluate(self, x):
        return evo.Evaluation([float((x**2).sum())])


NAME = f"{__name__}:Client"


@pytest.mark.parametrize("name", ["API_KEY", "OPENAI_API_KEY", "HF_TOKEN", "db_password", "APIKEY", "AWS_SECRET_2"])
def test_values_of_variables_that_sound_like_secrets_are_called_by_their_names(name, monkeypatch):
    monkeypatch.setenv(name, KEY)
    text = f"raw {KEY}, quoted {KEY!r}, JSON {json.dumps(KEY)}, address ?key=sk-9f8e7d%226c5b4a%2F%3D%3D."
    assert redact(text) == f"raw [{name}], quoted '[{name}]', JSON \"[{name}]\", address ?key=[{name}]."


@pytest.mark.parametrize("name", ["KEYBOARD", "TOKENIZERS_PARALLELISM", "SECRET_PATH", "HOME_2"])
def test_other_variables_are_left_alone(name, monkeypatch):
    monkeypatch.setenv(name, KEY)
    assert redact(KEY) == KEY


def test_a_short_value_is_a_word_and_no_secret(monkeypatch):
    monkeypatch.setenv("API_KEY", "none")
    assert redact("none of them") == "none of them"


def test_of_two_secrets_the_longer_is_found_whole(monkeypatch):
    monkeypatch.setenv("A_KEY", "0123456789")
    monkeypatch.setenv("B_KEY", "0123456789abc")
    assert redact("0123456789abc 0123456789") == "[B_KEY] [A_KEY]"


def test_a_document_keeps_its_form(monkeypatch):
    monkeypatch.setenv("PIN_TOKEN", "12345678")
    document = {"12345678": [12345678, "at 12345678", None, {"deep": ("12345678",)}]}
    assert redacted(document) == {"12345678": [12345678, "at [PIN_TOKEN]", None, {"deep": ["[PIN_TOKEN]"]}]}


@pytest.mark.parametrize("word", ["objectives", "measures", "map_elites", "iso_line", "evaluations", __file__])
def test_a_word_or_a_path_in_such_a_variable_spoils_no_run_file(word, monkeypatch, tmp_path):
    monkeypatch.setenv("SORT_KEY", word)
    evo.search(Client(login=word), evo.Genetic(10), evaluations=40, run_dir=tmp_path / "run")
    assert redact(f"at {word}") == f"at {word}"
    assert evo.resume(tmp_path / "run", Client(login=word), evaluations=60).evaluations == 60


def test_a_parameter_can_be_taken_from_the_environment_and_stays_a_reference(monkeypatch):
    monkeypatch.setenv("MY_LOGIN", "somebody")
    problem = build("problems", {"type": NAME, "login": "${MY_LOGIN}"})
    assert problem.login == "somebody"
    assert spec_of(problem)["params"] == {"login": "${MY_LOGIN}"}
    assert redact("I am somebody") == "I am [MY_LOGIN]"
    assert redacted({"kind": "somebody"}) == {"kind": "somebody"}, "a word may be structure"
    copy = pickle.loads(pickle.dumps(problem))
    assert spec_of(copy) == spec_of(problem)


def test_another_key_is_the_same_evaluator(monkeypatch):
    versions = set()
    for value in ("somebody", "somebody else"):
        monkeypatch.setenv("MY_LOGIN", value)
        versions.add(version_of(build("problems", {"type": NAME, "login": "${MY_LOGIN}"})))
    assert len(versions) == 1


def test_a_key_that_python_hands_over_is_stored_as_a_reference(monkeypatch):
    monkeypatch.setenv("MY_API_KEY", KEY)
    stored = spec_of(Client(api_key=KEY))
    assert stored["params"] == {"api_key": "${MY_API_KEY}"}
    again = build("problems", stored)
    assert again.api_key == KEY
    assert isinstance(again.api_key, Filled)


def test_a_key_inside_a_longer_text_is_not_stored_at_all(monkeypatch):
    monkeypatch.setenv("MY_API_KEY", KEY)
    with pytest.raises(evo.ConfigError, match="MY_API_KEY") as caught:
        spec_of(Client(login=f"https://host?{KEY}"))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"login": "${NOT_THERE}"}, r"problem\.login: \$\{NOT_THERE\}: the environment variable NOT_THERE is not set"),
        ({"retries": "${MY_COUNT}"}, r"problem\.retries: \$\{MY_COUNT\} stands for text"),
        ({"api_key": "sk-in-the-clear"}, r"problem\.api_key: a secret in the clear"),
    ],
)
def test_what_cannot_be_filled_in_is_refused_by_name(given, said, monkeypatch):
    monkeypatch.setenv("MY_COUNT", "3")
    with pytest.raises(evo.ConfigError, match=said) as caught:
        parse_config({"problem": {"type": NAME, **given}, "algorithm": "random"}).built  # noqa: B018
    assert "sk-in-the-clear" not in str(caught.value)


def test_a_long_key_in_the_wrong_place_is_not_quoted_in_part(monkeypatch):
    key = "sk-" + "x1y2" * 40
    monkeypatch.setenv("MY_API_KEY", key)
    with pytest.raises(evo.ConfigError, match=r"got '\[MY_API_KEY\]'"):
        build("problems", {"type": NAME, "retries": key})
