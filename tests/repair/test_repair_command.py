import json

import pytest
from test_repair_session import RIGHT, WRONG
from typer.testing import CliRunner

from vlsm_jax.cli import app


@pytest.fixture
def wrong(tmp_path):
    path = tmp_path / "line.fsx"
    path.write_text(WRONG)
    return path


def vlsm(*arguments, text=None):
    return CliRunner().invoke(app, ["repair", *map(str, arguments)], input=text)


def test_a_diff_with_reasons_is_shown_and_nothing_written(wrong):
    done = vlsm(wrong)
    assert done.exit_code == 0
    assert '-contextdragconection(source, sink, "A");\n+contextdragconnection(source, sink, "A");' in done.stdout
    assert "spelling: 'contextdragconection' is read as 'contextdragconnection'" in done.stdout
    assert "parse error, 1 finding -> ok, 0 findings" in done.stdout
    assert wrong.read_text() == WRONG


def test_out_and_in_place_write(wrong, tmp_path):
    assert vlsm(wrong, "--out", tmp_path / "new.fsx").exit_code == 0
    assert (wrong.read_text(), (tmp_path / "new.fsx").read_text()) == (WRONG, RIGHT)
    assert vlsm(wrong, "--in-place").exit_code == 0
    assert wrong.read_text() == RIGHT
    assert sorted(p.name for p in tmp_path.iterdir()) == ["line.fsx", "new.fsx"]


def test_json_has_edits_diff_and_both_states():
    done = vlsm("-", "--json", text=WRONG)
    found = json.loads(done.stdout)
    assert (found["ok"], found["changed"], found["needs"]) == (True, True, None)
    assert (found["before"]["level"], found["after"]["level"], found["after"]["problems"]) == ("names", "runs", 0)
    assert found["edits"][0]["changes"] == [{"start": WRONG.index("contextdrag"), "end": WRONG.index("(source, sink"),
                                             "text": "contextdragconnection"}]  # fmt: skip
    assert found["script"] == RIGHT


def test_what_no_rule_mends_says_that_only_a_model_could(wrong):
    wrong.write_text("Make me a factory, please")
    done = vlsm(wrong)
    assert done.exit_code == 1
    assert "no rule makes it better" in done.stdout
    assert "a model that rewrites scripts" in done.stdout


@pytest.mark.parametrize("options", [("--in-place", "--out", "x.fsx"), ("--prompt", "x", "--prompt-file", "y")])
def test_options_that_do_not_go_together(wrong, options):
    assert vlsm(wrong, *options).exit_code == 2


def test_in_place_takes_no_standard_input():
    assert vlsm("-", "--in-place", text=WRONG).exit_code == 2


def test_a_sketch_that_is_given_is_said_not_to_be_looked_at(wrong):
    assert "was not looked at" in vlsm(wrong, "--sketch", wrong).stdout
    assert vlsm(wrong, "--sketch", "nothing.png").exit_code == 2
