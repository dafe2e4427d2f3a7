"""Whatever a script does, the tree stays one: parents and children agree, names find nodes, wires have ends."""

from hypothesis import given, settings
from hypothesis import strategies as st

from vlsm_jax.simulator import Budget, Dialect, Verdict, build
from vlsm_jax.simulator.building import build_world
from vlsm_jax.twin import Twin

CLASSES = (
    "Source",
    "Queue",
    "Processor",
    "Sink",
    "Operator",
    "Dispatcher",
    "Conveyor::StraightConveyor",
    "NetworkNode",
)
NAMES = ("A", "B", "Queue", "a/b", "A~2", "?x", "x+", '\\"q\\"', "MODEL:/A", "1")

_WHICH = st.integers(1, 8)
_KEYS = st.sampled_from("ASQWAAS")


def _step(pattern: str, *arguments) -> st.SearchStrategy[str]:
    """A statement over the objects; `ok(n)` stands for whether the n-th is there."""
    return st.builds(pattern.format, *arguments)


_CONNECT = _step('if (ok({0}) && ok({1})) contextdragconnection(all[{0}], all[{1}], "{2}");', _WHICH, _WHICH, _KEYS)
_STEPS = st.one_of(
    _CONNECT,
    _CONNECT,
    _CONNECT,
    _step('all.push(Object.create("{}"));', st.sampled_from(CLASSES)),
    _step('if (ok({0})) all[{0}].name = "{1}";', _WHICH, st.sampled_from(NAMES)),
    _step("if (ok({0})) all[{0}].destroy();", _WHICH),
    _step("if (ok({0})) all.push(all[{0}].copy());", _WHICH),
    _step("if (ok({0}) && ok({1}) && {0} < {1}) all[{1}].up = all[{0}];", _WHICH, _WHICH),
    _step("if (ok({0})) all[{0}].up = model();", _WHICH),
    _step("if (ok({0})) all[{0}].rank = {1};", _WHICH, st.integers(-2, 12)),
    _step("if (ok({0})) all[{0}].subnodes.clear();", _WHICH),
    _step('Model.find("{}");', st.sampled_from(NAMES)),
    _step("if (ok({0})) group.addMember(all[{0}]);", _WHICH),
)


@given(steps=st.lists(_STEPS, min_size=20, max_size=60))
@settings(deadline=None, max_examples=150)
def test_the_tree_stays_a_tree(steps):
    script = 'Array all; Group group = Tools.create("Group");\n'
    script += "".join(f'all.push(Object.create("{cls}"));\n' for cls in CLASSES) + "\n".join(steps)
    for number in range(1, 9):
        script = script.replace(f"ok({number})", f"(all.length >= {number} && objectexists(all[{number}]))")
    result, world = build_world(script, Budget(), Dialect())
    codes = {d.code for d in result.diagnostics}
    assert "internal error" not in codes, result.diagnostics
    assert result.verdict in (Verdict.OK, Verdict.BUILD_ERROR), (script, result.diagnostics)
    model = world.tree.model
    objects = world.tree.objects()
    for node in (model, *model.below()):
        assert all(child.parent is node for child in node.children)
        assert sorted(map(id, node.children)) == sorted(id(n) for name in node.names() for n in node.named(name))
        assert all(n.name == name for name in node.names() for n in node.named(name))
        assert [child.rank for child in node.children] == list(range(1, len(node.children) + 1))
    inside = set(objects)
    for node in objects:
        assert all(wire.source is node for wire in node.outputs)
        assert all(wire.target is node for wire in node.inputs)
        assert all(wire in wire.source.outputs for wire in node.inputs)
        assert all(wire in wire.target.inputs for wire in node.outputs)
        assert all(node in (wire.source, wire.target) for wire in node.centers)
        transfers = {wire.transfer for wire in (*node.inputs, *node.outputs) if wire.transfer is not None}
        assert {child for child in node.children if child.automatic} <= transfers
    for wire in world.tree.wires():
        assert {wire.source, wire.target} <= inside
    for tool in world.tree.tools.child("Groups").children:
        assert set(tool.members) <= inside
    if result.twin is not None:
        assert Twin.from_json(result.twin.to_json()) == result.twin
        assert len(result.twin.objects) == len(objects)


def test_old_commands_walk_through_variables_and_their_tables():
    script = """
Object c = Object.create("Combiner"); c.name = "C";
Object s1 = Object.create("Source"); s1.name = "S1"; Object s2 = Object.create("Source"); s2.name = "S2";
contextdragconnection(s1, c, "A"); contextdragconnection(s2, c, "A");
treenode list = getvarnode(c, "componentlist");
print(getname(list), content(list), getname(up(list)), getname(up(up(list))), content(first(list)));
setnodenum(rank(rank(list, 1), 1), 5);
print(getnodenum(last(last(list))), rank(list, 2), c.getProperty("ComponentsList"));
"""
    report = build(script)
    assert report.output == ("componentlist 1 variables C 1", "5 NULL Array[1]: {Array[1]: {5}}")


def test_the_component_list_of_a_combiner_has_a_row_per_component_port_wherever_it_is_read():
    sources = "".join(
        f'Object s{n} = Object.create("Source"); s{n}.name = "S{n}"; contextdragconnection(s{n}, c, "A");'
        for n in range(1, 4)
    )
    script = 'Object c = Object.create("Combiner"); print(c.getProperty("ComponentsList"));' + sources
    script += 'Table t = c.getProperty("ComponentsList"); print(t.numRows, t[2][1], c.find(">variables/componentlist")'
    script += '.subnodes.length); print(c.getProperty("ComponentsList"));'
    assert build(script).output == ("Array[0]: {}", "2 1 2", "Array[2]: {Array[1]: {1},Array[1]: {1}}")
