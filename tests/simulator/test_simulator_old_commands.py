"""Every deprecated command beside its new form: both give the same, and that is what FlexSim's reference says."""

import pytest

from vlsm_jax.simulator import Verdict, build

MADE = """
Object q = Object.create("Queue"); q.name = "Q"; Object s = Object.create("Source"); s.name = "S";
Object k = Object.create("Sink"); k.name = "K";
"""


def printed(text: str) -> str:
    result = build(MADE + text)
    assert result.ok, [*map(str, result.diagnostics)]
    return "|".join(result.output)


def both(old: str, new: str, expected: str):
    return pytest.param(old, new, expected, id=old.partition("(")[0])


VALUE = 'q.L = 1; treenode l = q.labels["L"]; '
FLOW = 'contextdragconnection(s, q, "A"); contextdragconnection(q, k, "A"); contextdragconnection(q, k, "S"); '


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        both('createinstance(library().find("?Queue"), model()).name', 'Object.create("Queue").name', "Queue"),
        both("createcopy(q, model()).name", "q.copy().name", "Q2"),
        both("destroyobject(q); print(content(model()))", "q.destroy(); print(model().subnodes.length)", "3"),
        both("q.up = k; clearcontents(k); print(content(k))", "q.up = k; k.subnodes.clear(); print(content(k))", "0"),
        both('node("/Q", model()).name', 'model().find("/Q").name', "Q"),
        both('setname(q, "W"); print(getname(q))', 'q.name = "W"; print(q.name)', "W"),
        both('setnodename(q, "W"); print(getnodename(q))', 'q.name = "W"; print(q.name)', "W"),
        both("setloc(q, 1, 2, 3); print(xloc(q), yloc(q), zloc(q))",
             "q.location = Vec3(1, 2, 3); print(q.location.x, q.location.y, q.location.z)", "1 2 3"),
        both("setrot(q, 1, 2, 3); print(xrot(q), yrot(q), zrot(q))",
             "q.setRotation(1, 2, 3); print(q.rotation.x, q.rotation.y, q.rotation.z)", "1 2 3"),
        both("setsize(q, 1, 2, 3); print(xsize(q), ysize(q), zsize(q))",
             "q.size = [1, 2, 3]; print(q.size.x, q.size.y, q.size.z)", "1 2 3"),
        both('setvarnum(q, "maxcontent", 5); print(getvarnum(q, "maxcontent"))',
             'q.setProperty("MaxContent", 5); print(q.getProperty("MaxContent", 0))', "5"),
        both('print(getvarnode(q, "maxcontent").name, getvarnode(q, "maxcontent").value)',
             'q.setVariable("maxcontent", 1000); treenode v = q.find(">variables/maxcontent"); print(v.name, v.value)',
             "maxcontent 1000"),
        both('setlabel(q, "L", 5); print(getlabel(q, "L"))', 'q.L = 5; print(q.labels["L"].value)', "5"),
        both('addlabel(q, "L", 5); print(label(q, "L").value)', 'print(q.labels.assert("L", 5).value)', "5"),
        both('setlabelnum(q, "L", 5); print(getlabelnum(q, "L"))', 'q.L = 5; q.labels.assert("L", 9); print(q.L)', "5"),
        both('setlabelstr(q, "L", "x"); print(getlabelstr(q, "L"))', 'q.L = "x"; print(q.L)', "x"),
        both(FLOW + "print(inobject(q, 1).name, nrip(q))", FLOW + "print(q.inObjects[1].name, q.inObjects.length)",
             "S 1"),
        both(FLOW + "print(outobject(q, 1).name, nrop(q))", FLOW + "print(q.outObjects[1].name, q.outObjects.length)",
             "K 1"),
        both(FLOW + "print(centerobject(k, 1).name, nrcp(k))",
             FLOW + "print(k.centerObjects.toArray()[1].name, k.centerObjects.length)", "Q 1"),
        both("first(model()).name", "model().first.name", "Tools"),
        both("last(model()).name", "model().last.name", "K"),
        both("next(q).name", "q.next.name", "S"),
        both("prev(q).name", "q.prev.name", "Tools"),
        both("up(q).name", "q.up.name", "model"),
        both("rank(model(), 3).name", "model().subnodes[3].name", "S"),
        both("content(model())", "model().subnodes.length", "4"),
        both("getrank(s)", "s.rank", "3"),
        both("setrank(k, 2); print(rank(model(), 2).name)", 'k.rank = 2; print(model().subnodes[2].name)', "K"),
        both("transfernode(q, k); print(up(q).name)", "q.up = k; print(q.up.name)", "K"),
        both(VALUE + "setnodenum(l, 5); print(getnodenum(l))", VALUE + "l.value = 5; print(l.value)", "5"),
        both(VALUE + 'setnodestr(l, "x"); print(getnodestr(l))', VALUE + 'l.value = "x"; print(l.value)', "x"),
        both(VALUE + "set(l, 5); print(get(l))", VALUE + "l.value = 5; print(q.L)", "5"),
        both(VALUE + 'sets(l, "x"); print(gets(l))', VALUE + 'l.value = "x"; print(q.L)', "x"),
        both("setcolor(q, 0.5, 0.25, 0); print(q.color)", "q.color = Color(0.5, 0.25, 0); print(q.color)",
             "Color(0.5, 0.25, 0, 1)"),
        both('pt("a"); pd(2); pf(1.5); pr()', 'print("a" + 2 + 1.5)', "a21.5"),
        both('concat("a", "b")', '"a" + "b"', "ab"),
        both('stringlen("ab")', '"ab".length', "2"),
        both('stringtonum("2.5") + 1', '"2.5".toNum() + 1', "3.5"),
        both("numtostring(3.14159, 0, 2)", "string.fromNum(3.14159, 2)", "3.14"),
        both('stringcopy("abcd", 2, 2)', '"abcd".substr(2, 2)', "bc"),
        both("time()", "Model.time", "0"),
        both("statisticaltime()", "Model.statisticalTime", "0"),
        both("max(1, 3)", "Math.max(1, 3)", "3"),
        both("min(1, 3)", "Math.min(1, 3)", "1"),
        both("sqrt(16)", "Math.sqrt(16)", "4"),
        both("pow(2, 3)", "Math.pow(2, 3)", "8"),
        both("fabs(-2.5)", "Math.fabs(-2.5)", "2.5"),
        both("floor(2.7)", "Math.floor(2.7)", "2"),
        both("ceil(2.2)", "Math.ceil(2.2)", "3"),
        both("round(2.5)", "Math.round(2.5)", "3"),
        both("fmod(7.5, 2)", "Math.fmod(7.5, 2)", "1.5"),
        both('q.C = "return param(1) * 2;"; print(nodefunction(q.labels["C"], 4))',
             'q.C = "return param(1) * 2;"; print(q.labels["C"].evaluate(4))', "8"),
    ],
)  # fmt: skip
def test_old_command_and_new_form(old, new, expected):
    for text in (old, new):
        assert printed(text + ";" if "print(" in text or "pr()" in text else f"print({text});") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("print(hours(1), minutes(1), seconds(1), days(1));", "3600 60 1 86400", id="hours"),
        pytest.param("print(Math.floor(7.9) / 2, Math.ceil(6.1) / 2, Math.trunc(7.9) / 2, Math.sign(-7.9));",
                     "3 3 3 -1", id="Math gives ints"),
        pytest.param("print(Math.round(2.345, 2), Math.round(-2.5));", "2.35 -3", id="Math.round"),
        pytest.param("print(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, [1, 2]);",
                     "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 Array[2]: {1,2}", id="print"),
        pytest.param('pt("a"); print("b"); pr(); pc(65); pr(); pt("open");', "ab||A|open", id="pr"),
        pytest.param('print(msg("a", "b"), msg("a", "b", 1));', "a b|a b|1 1", id="msg"),
        pytest.param("stoptime(50); print(stoptime(-1)); stoptime(0, -1); print(stoptime(-1));", "50|0",
                     id="stoptime"),
        pytest.param("print(runspeed(4), getrunstate(), eventqty());", "4 0 0", id="runspeed"),
        pytest.param("resetmodel(1); reset(); go(1); step(); stop(1); fastforward(); print(time());", "0", id="go"),
        pytest.param('print(node("none", model()) == NULL, objectexists(node("none")), Model.find("none") == NULL);',
                     "0 0 1", id="node is SAFEREF"),
        pytest.param("q.size = Vec3(2, 2, 2); setloc(q, 5, 5, 1, 0.5, 0.5, 0.5); print(q.location.x, q.location.y, "
                     "q.location.z);", "4 6 0", id="setloc with factors"),
        pytest.param("q.size = Vec3(2, 4, 6); q.setLocation(Vec3(5, 5, 1), Vec3(0, 1, 0)); print(q.location.y, "
                     "q.getLocation(1, 0, 1).x, q.getLocation(0, 0.5, 0).y, q.getLocation(0, 0, 1).z);", "9 7 7 7",
                     id="size extends to +x -y +z"),
        pytest.param("q.setSize(Vec3(4, 5, 6)); q.setRotation(Vec3(7, 8, 9)); print(q.size.y, q.rotation.z);", "5 9",
                     id="setSize of a Vec3"),
        pytest.param('print(createcopy(q, model(), 1).name, q.copy(k).up.name);', "Q K", id="createcopy samename"),
        pytest.param("print(q.first, q.last, first(q), k.next);", "NULL NULL NULL NULL", id="first is NULL"),
        pytest.param('print(q.labels["none"], getlabel(q, "none"), q.labels.length);', "NULL NULL 0", id="labels"),
        pytest.param(VALUE + 'l.destroy(); print(q.L?, objectexists(q.labels["L"]));', "NULL 0", id="destroy label"),
        pytest.param(VALUE + 'print(l == q.labels["L"], l.name, q.find(">labels/L") == q.find(">labels/L"));',
                     "1 L 1", id="label as treenode"),
        pytest.param("q.flags.showName = 0; q.flags.isSelected = 1; print(q.flags.showName, q.flags.isSelected);",
                     "0 1", id="flags"),
        pytest.param("print(WARMUP_TIME_NODE, getmodelunit(LENGTH_MULTIPLE), getmodelunit(STOP_TIME_NODE).name);",
                     "82 1 StopTime", id="getmodelunit"),
        pytest.param('print(executestring("2 * 3"), executestring("return param(1) + 1;", q, q, 4));', "6 5",
                     id="executestring"),
    ],
)  # fmt: skip
def test_command(text, expected):
    assert printed(text) == expected


@pytest.mark.parametrize(
    ("name", "rgb"),
    [
        ("red", "1, 0, 0"), ("green", "0, 1, 0"), ("blue", "0, 0, 1"), ("yellow", "1, 1, 0"),
        ("orange", "1, 0.5, 0"), ("purple", "0.5, 0, 0.5"), ("lime", "0.5, 1, 0"), ("pink", "1, 0.5, 0.75"),
        ("gray", "0.5, 0.5, 0.5"), ("teal", "0, 0.5, 0.5"), ("aqua", "0, 1, 1"), ("brown", "0.5, 0.25, 0"),
        ("lightBlue", "0.5, 0.75, 1"), ("silver", "0.75, 0.75, 0.75"), ("white", "1, 1, 1"), ("black", "0, 0, 0"),
    ],
)  # fmt: skip
def test_color_by_name(name, rgb):
    assert (
        printed(f"print(Color.{name}); color{name.lower()}(q); print(q.color);") == f"Color({rgb}, 1)|Color({rgb}, 1)"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model().subnodes[9];", "Array index out of bounds"),
        ("q.Missing;", 'Property "Missing": Label does not exist'),
        ('Object none; getlabel(none, "L");', "Attempting to access a label on an object that does not exist."),
        ("q.properties.MaxContent;", 'Property "properties": Label does not exist'),
        ("Object none; none.last;", "last of NULL"),
        ("Map m; m.Missing;", "the Map has no key 'Missing'"),
        ('q.L = 1; Object o = q.labels["L"];', "invalid cast exception"),
        ("getvarnum(q, 1);", "variables by number are not supported"),
        ("runfunction(1);", "the command runfunction is not supported"),
        ("assertattribute(q, \"x\", 1);", "the command assertattribute is not supported"),
    ],
)  # fmt: skip
def test_exceptions_and_what_is_not_supported(text, message):
    result = build(MADE + text)
    assert (result.verdict, result.diagnostics[0].message) == (Verdict.BUILD_ERROR, message)


# --- Paths ------------------------------------------------------------------------------------------------------------

NESTED = "k.up = q; q.P = s; "


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param('Model.find("Q/K").name', "K", id="sub-tree"),
        pytest.param('q.find("/K").name', "K", id="leading slash"),
        pytest.param('Model.find("Q>variables/maxcontent").name', "maxcontent", id="attribute tree"),
        pytest.param('q.find("../S").name', "S", id="parent"),
        pytest.param('q.find("K~1").name', "K", id="number of a name"),
        pytest.param('model().find("?K").name', "K", id="recursive search"),
        pytest.param('q.find(">labels/P+").name', "S", id="follow a pointer"),
        pytest.param('q.find("1").name', "K", id="rank"),
        pytest.param('Model.find("\\"Q\\"/K").name', "K", id="quoted"),
        pytest.param('node("MODEL:/Q/K").name', "K", id="MODEL root"),
        pytest.param('node("MAIN:/project/model/Q").name', "Q", id="MAIN root"),
        pytest.param('maintree().find("project/model/Q").name', "Q", id="maintree"),
        pytest.param("model().subnodes[1].name", "Tools", id="Tools come first"),
    ],
)
def test_path(path, expected):
    assert printed(NESTED + f"print({path});") == expected


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("VIEW:/active", "there are no views here"),
        ("Q>variables@", "there are no views here"),
        ("Q>variables/sendtoport$flexscript$", "compiled code has no node here"),
    ],
)
def test_path_that_leads_to_what_is_not_here(path, hint):
    result = build(MADE + f'print(Model.find("{path}"));')
    assert result.output == ("NULL",)
    assert [d.code for d in result.diagnostics] == ["not found"]
    assert hint in result.diagnostics[0].hint
