"""The benchmark of plans: what it calls wrong, and that the committed lines and the table are as they should be."""

import copy
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import plan as plans
import plan_table

MIB = 2**20
GOOD = {
    "plan": "vlsm_7b@v5e:2x4",
    "compiler": "libtpu 1",
    "mesh": {"data": 1, "fsdp": 8, "tensor": 1},
    "memory": {"trained": 10, "frozen": 20, "optimizer": 20, "batch": 5, "temporary": 2**30, "peak": 2**30 + 55},
    "fits": True,
    "out_of_memory": "",
    "stacks": [],
    "work": {"flops": 1.5e15},
    "model_flops": 1e15,
    "sent": {"all-gather over fsdp": 100 * MIB, "all-reduce over data+fsdp": 2 * MIB},
    "implied_traffic": 100 * MIB,
}
REFUSED = {**GOOD, "plan": "vlsm_1b@v5e:1x1", "fits": False, "out_of_memory": "Used 18.6G of 15.75G hbm."}


def changed(line=GOOD, **parts):
    line = copy.deepcopy(line)
    for path, value in parts.items():
        *around, last = path.split("__")
        into = line
        for key in around:
            into = into[key]
        into[last] = value
    return line


def test_a_good_plan_and_a_refused_one():
    assert plans.check(GOOD, None) == plans.check(GOOD, GOOD) == plans.check(REFUSED, None) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (changed(fits=False, out_of_memory="Used 18G of 15.75G hbm."), "does not fit: Used 18G"),
        (changed(memory__temporary=9 * 2**30), "temporaries of 9.00 GiB are over the bound of"),
        (changed(memory__peak=2**31, memory__temporary=2**31), "peak went from 1,073,741,879 to .*: temporary"),
        (changed(stacks=[{"shape": [32, 4608, 4608]}]), "a kernel of all layers is unpacked or gathered at once"),
        (changed(sent={"all-gather over ?": 1}), "a collective along no axis of the mesh: all-gather over ?"),
        (changed(sent={"all-gather over fsdp": 200 * MIB}), "sends 209,715,200 bytes where the rules imply"),
        (changed(sent={"all-to-all over fsdp": 8 * MIB}), "all-to-all over fsdp went from 0 to 8,388,608 bytes"),
        (changed(work__flops=2e15), "arithmetic of 2.000e.15 FLOPs where 1.000e.15 are needed"),
        (changed(REFUSED, fits=True, out_of_memory=""), "should be refused for want of memory"),
        (changed(REFUSED, out_of_memory="error\nof many lines"), "in one line"),
    ],
)
def test_what_is_wrong_is_named(line, said):
    wrong = plans.check(line, GOOD)
    assert any(re.search(said, what) for what in wrong)


def test_another_compiler_is_named_with_what_changed():
    wrong = plans.check(changed(sent={"all-to-all over fsdp": 8 * MIB}, compiler="libtpu 2"), GOOD)
    assert wrong[-1] == "the compiler was libtpu 1 and is libtpu 2"
    assert plans.check(changed(compiler="libtpu 2"), GOOD) == []


def test_lines_that_are_wrong_are_nothing_to_compare_with():
    lines = [{"wrong": [], "n": 1}, {"wrong": ["something"], "n": 2}]
    assert plans.last_good(lines) == lines[0]
    assert plans.last_good(lines[1:]) is None


def test_plans_cover_8_to_1024_chips_of_each_kind():
    sizes = {}
    for name in plans.model_plans():
        kind, count = plan_table._place(name)
        sizes.setdefault((name.partition("@")[0], kind), set()).add(count)
    for model in plans.MODELS:
        for kind in ("v5e", "v5p", "v6e", "h100", "h200"):
            assert {8, 1024} <= sizes[model, kind]
    assert len(set(plans.model_plans())) == len(plans.model_plans())


def test_the_committed_lines_are_as_they_should_be(capsys):
    assert plans.check_again(), capsys.readouterr().out


def test_the_table_is_that_of_the_lines():
    written = plan_table.TABLE.read_text()
    assert written == plan_table.format_table(plans.latest(plans.read_results())), "python benchmarks/plan.py --table"
