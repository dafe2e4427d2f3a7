"""What an adaptation changed, sample by sample."""

import json

import pytest

from vlsm_jax.evaluation.comparison import COMPARED, compare, tell_change
from vlsm_jax.evaluation.table import Evaluated, Row
from vlsm_jax.metrics import score_pair

SCRIPT = """Object a = Object.create("Source");
a.name = "In";
Object b = Object.create("Sink");
b.name = "Out";
"""
WIRED = SCRIPT + 'contextdragconnection(a, b, "A");\n'
BROKEN = SCRIPT + "contextdragconnection(a, b\n"
SCORES = {name: score_pair(WIRED, text) for name, text in (("right", WIRED), ("loose", SCRIPT), ("broken", BROKEN))}


def side(split, **scores):
    return Evaluated(split, "greedy", [Row(name, SCORES[kind], {}) for name, kind in scores.items()])


def test_samples_are_compared_with_themselves(tmp_path, capsys):
    before = ("nano", [side("test", a="broken", b="loose", c="right", d="right"), side("other", a="right")])
    after = ("adapted", [side("test", c="right", b="right", a="right", e="broken")])
    found = compare(before, after)
    assert [(one.split, one.measure, one.n) for one in found.changes] == [("test", name, 3) for name in COMPARED]
    esr = found.changes[COMPARED.index("esr")]
    assert (esr.before.mean, esr.after.mean, esr.difference.mean) == pytest.approx((1 / 3, 1.0, 2 / 3))
    svr = found.changes[0]
    gain = 1 - (0 + SCORES["loose"].svr + 1) / 3
    assert svr.difference.mean == pytest.approx(gain)
    assert 0 <= svr.difference.low < gain < svr.difference.high
    tell_change(before, after, tmp_path)
    assert "| ESR | 0.333 " in (told := capsys.readouterr().out)
    assert "+0.667" in told
    assert json.loads((tmp_path / "comparison.json").read_text())["changes"][0]["after"]["mean"] == 1
    assert (tmp_path / "comparison.md").read_text().startswith("Before: nano. After: adapted.")


def test_nothing_in_common_is_nothing_to_compare():
    assert compare(("a", [side("test", a="right")]), ("b", [side("iid", a="right")])).changes == ()
    assert compare(("a", [side("test", a="right")]), ("b", [side("test", b="right")])).changes == ()
