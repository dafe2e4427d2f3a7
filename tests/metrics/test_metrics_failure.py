"""Every failing script has one label, and every code of the language and the simulator is mapped."""

import ast
from pathlib import Path

import pytest

import vlsm_jax
from vlsm_jax.flexscript import Diagnostic, Severity
from vlsm_jax.metrics import LABELS, Failure, failure, failure_counts, failure_of
from vlsm_jax.simulator import Budget, Verdict, run

PACKAGE = Path(vlsm_jax.__file__).parent
# Names of functions that take a code as their first argument, or by the keyword `code`.
GIVERS = {"warn", "error", "note", "diagnostic", "Diagnostic"}
KEYWORD_GIVERS = {"Fault", "Unsupported", "OutOfBudget", "super", "__init__"}


def codes_in_source() -> dict[str, str]:
    """Returns every code that the sources name, with where."""
    found = {}
    for folder in ("flexscript", "simulator"):
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                places = []
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    places += node.args[:1] if name in GIVERS else []
                    places += [keyword.value for keyword in node.keywords if keyword.arg == "code"]
                elif isinstance(node, ast.FunctionDef):
                    pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                    places += [default for argument, default in pairs if argument.arg == "code"]
                for place in places:
                    for constant in ast.walk(place) if place is not None else ():
                        if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                            found[constant.value] = f"{path.relative_to(PACKAGE)}:{node.lineno}"
    return found


def test_every_code_in_the_sources_has_a_label():
    found = codes_in_source()
    assert len(found) > 35, found  # the search itself works
    assert {"syntax", "null reference", "wiring", "exception", "internal error"} <= set(found)
    unmapped = {code: where for code, where in found.items() if code not in LABELS}
    assert not unmapped, "give these codes a label in vlsm_jax/metrics/failure.py"


def test_labels_are_a_fixed_list():
    assert [label.value for label in Failure] == [
        "parse", "unknown name", "null reference", "type", "argument", "index", "value", "exception", "wiring",
        "starved", "blocked", "deadlock", "no flow", "unsupported", "budget", "internal",
    ]  # fmt: skip
    assert set(LABELS.values()) == set(Failure)


LINE = """
Object a = Object.create("Source"); a.name = "In";
Object b = Object.create("Processor"); b.name = "Mill";
Object c = Object.create("Sink"); c.name = "Out";
contextdragconnection(a, b, "A");
contextdragconnection(b, c, "A");
"""


@pytest.mark.parametrize(
    ("script", "label"),
    [
        ("Object a = = 3;", "parse"),
        (LINE + "frobnicate(1);", "unknown name"),
        (LINE + "x = 3;", "unknown name"),
        (LINE + 'Object.create("Sourse");', "unknown name"),
        (LINE + 'Object n = Model.find("none"); n.name = "x";', "null reference"),
        (LINE + "Array x = [1]; x[3] = x[2];", "index"),
        (LINE + "int x = 1 / 0;", "exception"),
        (LINE + 'b.setProperty("ProcessTime", "return normal(5, -1);");', "value"),
        (LINE.replace('contextdragconnection(b, c, "A");', ""), "wiring"),
        (LINE + 'b.setProperty("ProcessTime", 100000);', "no flow"),
        (LINE + 'b.setProperty("SendToPort", -1);', "blocked"),
        (LINE + 'a.setProperty("InterArrivalTime", 100000);', "starved"),
        (LINE + 'contextdragconnection(b, b, "A"); b.setProperty("SendToPort", 2);', "deadlock"),
        (LINE + "while (1) {}", "budget"),
    ],
)
def test_labels_of_scripts(script, label):
    report = run(script, until=3600.0, budget=Budget(steps=10_000))
    assert failure(report) is Failure(label), [str(d) for d in report.diagnostics]


def test_a_script_that_runs_has_no_label():
    assert failure(run(LINE, until=3600.0)) is None


def test_the_first_error_decides_and_warnings_do_not():
    warning = Diagnostic("unknown property", Severity.WARNING, "x")
    first = Diagnostic("type", Severity.ERROR, "x")
    second = Diagnostic("array index", Severity.ERROR, "x")
    assert failure_of("build error", [warning, first, second]) is Failure.TYPE
    assert failure_of("wiring", [first]) is Failure.WIRING
    assert failure_of("build error", [warning]) is Failure.EXCEPTION
    for verdict in Verdict:
        assert (failure_of(verdict.value, []) is None) == (verdict is Verdict.OK)
    with pytest.raises(ValueError, match="no verdict 'fine'"):
        failure_of("fine", [])


def test_counts_put_the_most_frequent_first():
    counts = failure_counts([None, Failure.WIRING, Failure.TYPE, Failure.WIRING, Failure.PARSE, None])
    assert list(counts.items()) == [(Failure.WIRING, 2), (Failure.PARSE, 1), (Failure.TYPE, 1)]
