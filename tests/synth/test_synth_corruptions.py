import json

import pytest

from vlsm_jax.simulator import Verdict, build, check
from vlsm_jax.synth.corruption_kinds import WITH_PROMPT
from vlsm_jax.synth.corruptions import KINDS, make_corruption, write_corruptions
from vlsm_jax.synth.splits import Split


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_fault_is_one_place_and_shows(kind):
    found = make_corruption(11, 0, kind=kind)
    end = found.start + len(found.removed)
    assert found.original[found.start : end] == found.removed
    assert found.script == found.original[: found.start] + found.put + found.original[end:]
    assert build(found.original).twin == found.twin
    report = check(found.script)
    assert (report.verdict, report.diagnostics) == (found.verdict, found.diagnostics)
    assert report.verdict is not Verdict.OK or report.diagnostics or report.twin != found.twin
    assert bool(found.prompt) == (kind in WITH_PROMPT)


def test_the_same_number_gives_the_same_fault_and_another_split_another_factory():
    one, again = make_corruption(11, 5), make_corruption(11, 5)
    assert one.row() == again.row()
    assert make_corruption(11, 5, split=Split.IID).original != one.original
    assert one.kind == KINDS[5]


def test_a_wrong_number_is_not_in_the_prompt_and_the_right_one_is():
    found = make_corruption(11, 1, kind="wrong number")
    assert found.removed in found.prompt.replace(",", " ").split() or f" {found.removed}" in found.prompt
    assert f" {found.put} " not in found.prompt


def test_a_file_has_a_row_for_each_with_what_is_wrong_and_what_is_right(tmp_path):
    path = tmp_path / "faults.jsonl"
    assert write_corruptions(path, 4, 11) == 4
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == [make_corruption(11, n).row() for n in range(4)]
    assert rows[0]["diagnostics"][0]["code"] == "unknown command"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("arguments", [(-1, 0), (0, -1)])
def test_negative_seeds_are_refused(arguments):
    with pytest.raises(ValueError, match="must not be negative"):
        make_corruption(*arguments)


def test_an_unknown_kind_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="missing brace"):
        make_corruption(0, 0, kind="nothing")
