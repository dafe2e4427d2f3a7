"""What contextdragconnection does for every pair of classes."""

import pytest

from vlsm_jax.simulator import build, classes, run
from vlsm_jax.simulator.library import FIXED_RESOURCE
from vlsm_jax.simulator.pairs import FLOW_PAIRS, Meaning, meaning
from vlsm_jax.simulator.tree import Node
from vlsm_jax.twin import Connection


def made(*objects: str) -> str:
    """Returns a script that creates objects given as "name:Class"."""
    pairs = (each.split(":", 1) for each in objects)
    return "".join(f'Object {name} = Object.create("{cls}"); {name}.name = "{name}";\n' for name, cls in pairs)


def connected(*objects: str, key: str = "A", then: str = ""):
    result = build(made(*objects) + f'contextdragconnection(a, b, "{key}");' + then)
    assert result.ok, result.diagnostics
    return result


FLOW = [
    ("Source", "Queue"), ("Queue", "Processor"), ("Processor", "Combiner"), ("Combiner", "Separator"),
    ("Separator", "MultiProcessor"), ("MultiProcessor", "Rack"), ("Rack", "FloorStorage"), ("FloorStorage", "BasicFR"),
    ("BasicFR", "Sink"), ("StraightConveyor", "Sink"), ("Queue", "CurvedConveyor"),
    ("StraightConveyor", "CurvedConveyor"),
]  # fmt: skip
TEAM = [("Dispatcher", "Operator"), ("Dispatcher", "Transporter"), ("Dispatcher", "Dispatcher"),
        ("Dispatcher", "Robot"), ("Dispatcher", "AGV"), ("Operator", "Dispatcher"),
        ("TaskExecuter", "Crane")]  # fmt: skip
TRAVEL = [("Operator", "NetworkNode"), ("NetworkNode", "Transporter"), ("Processor", "NetworkNode"),
          ("AGV", "ControlPoint"), ("ControlPoint", "Queue")]  # fmt: skip
PATH = [("NetworkNode", "NetworkNode"), ("ControlPoint", "ControlPoint")]


@pytest.mark.parametrize(("source", "target"), [*FLOW, *TEAM, *TRAVEL, *PATH])
def test_pairs_that_connect_with_a(source, target):
    result = connected(f"a:{source}", f"b:{target}")
    assert result.twin.connections == (Connection("a", "b", "A"),)
    assert not result.diagnostics


@pytest.mark.parametrize(
    ("source", "target", "hint"),
    [
        ("Processor", "Operator", '"S"'),
        ("Queue", "Transporter", '"S"'),
        ("Dispatcher", "Queue", '"S"'),
        ("Operator", "Processor", "UseTransport"),
        ("StraightConveyor", "Operator", '"S"'),
        ("StraightConveyor", "Station", "location"),
        ("StraightPath", "StraightPath", "StartLocation"),
        ("Dispatcher", "NetworkNode", "task executers"),
        ("VisualTool", "Operator", '"S"'),
    ],
)
def test_pairs_that_do_not_connect_with_a(source, target, hint):
    result = connected(f"a:{source}", f"b:{target}")
    assert result.twin.connections == ()
    (warning,) = result.diagnostics
    assert warning.code == "unsupported pair"
    assert f"'a' ({source})" in warning.message
    assert f"'b' ({target})" in warning.message
    assert hint in warning.hint
    assert warning.line == 3


@pytest.mark.parametrize("source", sorted(classes()))
@pytest.mark.parametrize("target", ["Queue", "Operator", "Dispatcher", "StraightConveyor", "NetworkNode"])
def test_every_pair_connects_or_is_named_in_a_warning(source, target):
    """The table of pairs decides, and nothing fails."""
    pair = Node("a", classes()[source]), Node("b", classes()[target])
    for key in "AS":
        result = connected(f"a:{source}", f"b:{target}", key=key)
        codes = [d.code for d in result.diagnostics]
        assert len(result.twin.connections) + codes.count("unsupported pair") == 1
        if key == "A":
            assert (codes.count("unsupported pair") == 0) == (meaning(*pair) is not None)


def test_items_flow_between_all_fixed_resources():
    assert FLOW_PAIRS[FIXED_RESOURCE, FIXED_RESOURCE] is Meaning.FLOW


def test_center_ports_on_both_sides():
    result = connected(
        "a:Processor", "b:Operator", key="S", then="print(a.centerObjects[1].name, b.centerObjects[1].name);"
    )
    assert result.output == ("b a",)
    assert result.twin.connections == (Connection("a", "b", "S"),)
    assert not result.diagnostics


@pytest.mark.parametrize(("draw", "remove"), [("A", "Q"), ("S", "W"), ("a", "q"), ("s", "w")])
def test_keys_that_remove(draw, remove):
    result = connected("a:Queue", "b:Queue", key=draw, then=f'contextdragconnection(a, b, "{remove}");')
    assert result.twin.connections == ()
    assert [d.code for d in result.diagnostics] == ["connection"] * (2 * draw.islower())


@pytest.mark.parametrize("key", ["D", "E", "d"])
def test_extended_connections_are_not_kept(key):
    result = connected("a:Queue", "b:Queue", key=key)
    assert [d.code for d in result.diagnostics] == ["unsupported"]
    assert result.twin.connections == ()


def test_remove_from_the_other_side_of_a_center_port():
    assert connected("a:Queue", "b:Operator", key="S", then='contextdragconnection(b, a, "W");').twin.connections == ()


def test_the_same_pair_again_is_a_second_port():
    again = 'contextdragconnection(a, b, "S"); print(a.centerObjects.length, b.centerObjects.length);'
    result = connected("a:Queue", "b:Operator", key="S", then=again)
    assert result.output == ("2 2",)
    assert [d.code for d in result.diagnostics] == ["duplicate connection"]


@pytest.mark.parametrize("end", ["NULL", 'Model.find("x")', 'node("x")'])
def test_null_at_an_end(end):
    result = build(made("a:Queue") + f'contextdragconnection(a, {end}, "A"); contextdragconnection({end}, a, "S");')
    assert result.ok
    assert [d.code for d in result.diagnostics].count("null connection") == 2


@pytest.mark.parametrize("end", ["model()", 'Model.find("Tools")', 'library().find("?Queue")'])
def test_what_is_no_object_of_the_model_at_an_end(end):
    result = build(made("a:Queue") + f'contextdragconnection(a, {end}, "A");')
    assert [d.code for d in result.diagnostics] == ["connection"]


# --- Conveyors --------------------------------------------------------------------------------------------------------

BELT = ("a:Queue", "b:StraightConveyor", "c:CurvedConveyor", "d:Sink")


def test_transfers_of_conveyors_are_nodes_but_no_objects():
    script = """
    contextdragconnection(b, c, "A"); contextdragconnection(c, d, "A");
    print(b.subnodes.length, b.first.name, b.last.name, c.subnodes.length, c.first.name);
    print(a.outObjects[1].name, c.inObjects[1].name, isclasstype(b.first, "EntryTransfer"));
    """
    result = connected(*BELT, then=script)
    assert result.output == ("2 EntryTransfer1 Transfer1 1 ExitTransfer1", "b b 1")
    assert [o.name for o in result.twin.objects] == ["a", "b", "c", "d"]
    assert [(w.source, w.target) for w in result.twin.connections] == [("a", "b"), ("b", "c"), ("c", "d")]
    assert not result.diagnostics


def test_a_transfer_goes_with_its_connection():
    assert connected(*BELT, then='contextdragconnection(a, b, "Q"); print(b.subnodes.length);').output == ("0",)
    assert connected(*BELT, then="a.destroy(); print(b.subnodes.length);").output == ("0",)


def test_transfers_can_be_objects_of_their_own():
    result = connected("a:Queue", "b:Conveyor::EntryTransfer")
    assert result.twin.objects[1].cls == "EntryTransfer"
    assert len(result.twin.connections) == 1


# --- Networks ---------------------------------------------------------------------------------------------------------


def test_an_object_at_a_network_node_gets_no_port():
    """The node of a travel network is no place that items are sent to: ports keep their numbers."""
    script = """
    Object c = Object.create("Processor"); c.name = "c"; contextdragconnection(a, c, "A");
    print(a.outObjects.length, a.outObjects[1].name, b.inObjects.length, a.getProperty("NetworkNodes")[1].name);
    """
    result = connected("a:Queue", "b:NetworkNode", then=script)
    assert result.output == ("1 c 0 b",)
    assert result.twin.connections == (Connection("a", "b"), Connection("a", "c"))


@pytest.mark.parametrize(
    "remove", ['contextdragconnection(a, b, "Q");', 'contextdragconnection(b, a, "Q");', "b.destroy();"]
)
def test_leaving_a_network_node(remove):
    assert connected("a:Operator", "b:NetworkNode", then=remove).twin.connections == ()


# --- Old commands -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "connect",
    ["objectconnect(a, b);", "connect(a, 1, b, 1);", "connect(a, 0, b, 0);", "defaultdragconnection(a, b, 'A');"],
)
def test_old_commands_that_connect(connect):
    result = build(made("a:Queue", "b:Queue") + connect)
    assert result.twin.connections == (Connection("a", "b"),)
    assert not result.diagnostics


def test_connect_with_port_numbers_that_are_not_next():
    result = build(made("a:Queue", "b:Queue") + "connect(a, 3, b, 1);")
    assert [d.code for d in result.diagnostics] == ["connection"]
    assert "output port 3" in result.diagnostics[0].message


def test_connection_commands_that_flexsim_does_not_have():
    for name in ("objectdisconnect", "disconnect"):
        assert build(made("a:Queue", "b:Queue") + f"{name}(a, b);").diagnostics[0].code == "unknown command"


@pytest.mark.parametrize("key", ["A", "Q"])
def test_connections_drawn_or_removed_by_a_trigger_end_the_run_by_name(key):
    script = made("a:Source", "b:Sink", "d:Sink") + (
        'contextdragconnection(a, b, "A"); contextdragconnection(a, d, "A");'
        'b.setProperty("Triggers.OnEntry", "contextdragconnection(Model.find(\\"a\\"), Model.find(\\"d\\"), '
        f'\\"{key}\\");");'
    )
    report = run(script, until=1000)
    assert [(d.code, "connections" in d.message) for d in report.diagnostics] == [("unsupported", True)]


def test_port_numbers_at_the_other_end_of_a_connection():
    script = made("a:Queue", "b:Queue", "d:Queue") + (
        'contextdragconnection(a, d, "A"); contextdragconnection(b, a, "A"); contextdragconnection(b, d, "A");'
        "print(opipno(a, 1), opipno(b, 1), opipno(b, 2), ipopno(d, 1), ipopno(d, 2), opipno(b, 3), ipopno(d, 0));"
    )
    assert build(script).output == ("1 1 2 1 2 0 0",)
