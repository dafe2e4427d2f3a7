"""Names that scripts often use and FlexSim does not have, with what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

_CREATE = 'use Object.create("Processor") or createinstance(library().find("?Processor"), model())'
_CONNECT = 'use contextdragconnection(from, to, "A") for flow and "S" for a center port'
_TIME = "use time() or Model.time"
_PROPERTY = 'use obj.setProperty("MaxContent", 10) and obj.getProperty("MaxContent")'
_NAME = 'use obj.name = "Oven"'
_LABEL = "use obj.Label to read and obj.Label = value to write a label"
_STOP = "use stoptime(t)"
_FIND = 'use Model.find("Oven")'
_PRINT = "use print(...)"
_TEXT = "use string.fromNum(x) or numtostring(x)"
_NUMBER = "use text.toNum() or stringtonum(text)"
_RUN = "use resetmodel(); and go();"
_PLACE = "use setloc(obj, x, y, z) or obj.location = Vec3(x, y, z)"

COMMANDS: Mapping[str, str] = MappingProxyType({
    **dict.fromkeys(("createObject", "createobject", "newObject", "newobject", "create", "addObject", "addobject",
                     "makeObject", "insertobject", "createinstanceof", "CreateObject", "spawn"), _CREATE),
    **dict.fromkeys(("connectPorts", "connectports", "connectobjects", "connectObjects", "connectObject",
                     "connectobject", "connectOutput", "addConnection", "addconnection", "createconnection",
                     "createConnection", "makeconnection", "linkObjects", "linkobjects", "dragconnection",
                     "contextDragConnection", "contextconnect", "portconnect", "connectport", "connectto"), _CONNECT),
    **dict.fromkeys(("simtime", "simTime", "getmodeltime", "getModelTime", "getTime", "gettime", "currenttime",
                     "modeltime", "now", "clock"), _TIME),
    **dict.fromkeys(("setproperty", "setProperty", "setProp", "setattribute", "setparameter", "setParameter"),
                    _PROPERTY),
    **dict.fromkeys(("getproperty", "getProperty", "getattribute", "getparameter"), _PROPERTY),
    **dict.fromkeys(("setobjectname", "setObjectName", "setName", "rename", "renameobject", "getName"), _NAME),
    **dict.fromkeys(("setstoptime", "setStopTime", "setruntime", "setRunTime", "setsimtime", "setendtime",
                     "setmodelstoptime", "runlength"), _STOP),
    **dict.fromkeys(("findobject", "findObject", "getobject", "getObject", "find", "getobjectbyname", "objectbyname",
                     "findnode", "getnode"), _FIND),
    **dict.fromkeys(("printf", "println", "log_message", "console", "echo", "trace", "cout", "alert"), _PRINT),
    **dict.fromkeys(("str", "toString", "tostr", "num2str", "numToString", "numtostr", "itoa", "String"), _TEXT),
    **dict.fromkeys(("parseFloat", "parseInt", "atoi", "atof", "tonumber", "toNum", "stringToNum", "strtonum"),
                    _NUMBER),
    **dict.fromkeys(("run", "runmodel", "runModel", "startmodel", "startModel", "simulate", "runsimulation",
                     "gomodel", "start"), _RUN),
    **dict.fromkeys(("setlocation", "setLocation", "setposition", "setPosition", "moveto", "setxyz", "placeobject"),
                    _PLACE),
    **dict.fromkeys(("setSize",), "use setsize(obj, x, y, z) or obj.size = Vec3(x, y, z)"),
    **dict.fromkeys(("setLabel", "getLabel", "addLabel"), _LABEL),
    **dict.fromkeys(("random", "rand", "randint", "uniformint"), "use uniform(min, max) or duniform(min, max)"),
    **dict.fromkeys(("exponentialdist", "expo", "expon"), "use exponential(0, mean)"),
    **dict.fromkeys(("gaussian", "norm", "normaldist"), "use normal(mean, stddev)"),
    **dict.fromkeys(("triangle", "tri", "triang"), "use triangular(min, max, mode)"),
    **dict.fromkeys(("len", "size", "length", "count_elements"), "use array.length or text.length"),
    **dict.fromkeys(("ln",), "use Math.log(x), the natural logarithm"),
    **dict.fromkeys(("strlen",), "use text.length or stringlen(text)"),
    **dict.fromkeys(("strcmp",), "use == or stringcompare(a, b)"),
    **dict.fromkeys(("strcat", "sprintf", "format", "stringconcat"), "use + or concat(a, b)"),
    **dict.fromkeys(("deleteobject", "deleteObject", "removeobject", "destroy", "deletenode"),
                    "use obj.destroy() or destroyobject(obj)"),
    **dict.fromkeys(("abs",), "use Math.fabs(x) or fabs(x)"),
    **dict.fromkeys(("ceiling",), "use Math.ceil(x) or ceil(x)"),
    **dict.fromkeys(("exists", "nodeexists", "isnull", "isNull"), "use objectexists(obj), or if (obj)"),
})  # fmt: skip

METHODS: Mapping[str, str] = MappingProxyType({
    **dict.fromkeys(("outputConnect", "inputConnect", "connect", "connectTo", "connectOutput", "connectInput",
                     "addOutput", "addInput", "linkTo", "connectPort", "centerConnect", "contextDragConnection"),
                    _CONNECT),
    **dict.fromkeys(("getLabel", "setLabel", "addLabel", "label", "getlabel", "setlabel"), _LABEL),
    **dict.fromkeys(("setname", "rename", "getName", "getname"), _NAME),
    **dict.fromkeys(("setloc", "setPosition", "moveTo", "setLoc", "setXYZ"),
                    "use obj.setLocation(x, y, z) or obj.location = Vec3(x, y, z)"),
    **dict.fromkeys(("setProp", "setprop", "setproperty", "set", "setParameter", "setAttribute", "setVar"), _PROPERTY),
    **dict.fromkeys(("get", "getprop", "getproperty", "getParameter", "getAttribute", "getVar"), _PROPERTY),
    **dict.fromkeys(("delete", "remove_", "destroyObject"), "use obj.destroy()"),
    **dict.fromkeys(("size", "count", "getLength", "numElements"), "use array.length, without parentheses"),
    **dict.fromkeys(("append_", "add", "insert", "addItem", "push_back"), "use array.push(value)"),
    **dict.fromkeys(("toString", "str"), _TEXT),
    **dict.fromkeys(("substring", "mid", "left"), "use text.substr(start, length) or text.slice(start, end), from 1"),
    **dict.fromkeys(("toLower", "lower"), "use text.toLowerCase()"),
    **dict.fromkeys(("toUpper", "upper"), "use text.toUpperCase()"),
    **dict.fromkeys(("contains", "containsKey", "hasKey"), "use text.includes(part), or map.find(key)"),
    **dict.fromkeys(("parseFloat", "toNumber", "toInt", "toFloat"), "use text.toNum()"),
    **dict.fromkeys(("getOutput", "getInput"), "use obj.outObjects[n] and obj.inObjects[n]"),
})  # fmt: skip

PROPERTIES: Mapping[str, str] = MappingProxyType({
    **dict.fromkeys(("size", "count", "Length", "len"), "use .length"),
    **dict.fromkeys(("Name", "label_name"), "use .name"),
    **dict.fromkeys(("position", "pos", "loc"), "use .location"),
    **dict.fromkeys(("outputs", "outputPorts", "outports"), "use .outObjects"),
    **dict.fromkeys(("inputs", "inputPorts", "inports"), "use .inObjects"),
})  # fmt: skip

TYPES: Mapping[str, str] = MappingProxyType({
    **dict.fromkeys(("bool", "boolean", "Boolean", "long", "short", "integer", "Integer", "unsigned", "size_t", "Int"),
                    "use int"),
    **dict.fromkeys(("float", "Float", "real", "number", "Number", "num", "Double"), "use double"),
    **dict.fromkeys(("String", "str", "char", "std.string", "text", "Text"), "use string"),
    **dict.fromkeys(("auto", "let", "const", "dynamic", "any", "val"), "use var"),
    **dict.fromkeys(("list", "vector", "std.vector", "array", "tuple", "ArrayList"), "use Array"),
    **dict.fromkeys(("dict", "map", "Dictionary", "HashMap", "std.map"), "use Map"),
    **dict.fromkeys(("object", "obj", "FlexSimObject", "Node", "node", "fsnode", "Treenode", "TreeNode"),
                    "use Object for an object, treenode for any node"),
    **dict.fromkeys(("void", "def", "function", "func", "sub"), "a script defines no functions"),
    **dict.fromkeys(("Source", "Queue", "Processor", "Sink", "Operator", "Combiner", "Separator", "Rack", "Robot"),
                    'use Object: Object x = Object.create("Processor");'),
})  # fmt: skip

NAMES: Mapping[str, str] = MappingProxyType({
    **dict.fromkeys(("null", "None", "nullptr", "nil", "undefined", "Null"), "write NULL, or nullvar"),
    **dict.fromkeys(("True", "False"), "write 1 or 0, true or false"),
    **dict.fromkeys(("this", "self"), "declare it first: Object current = ownerobject(c);"),
    **dict.fromkeys(("console", "System", "logger", "Console"), _PRINT),
})  # fmt: skip

KEYWORDS: Mapping[str, str] = MappingProxyType({
    "elif": "write else if (condition) { ... }", "elseif": "write else if (condition) { ... }",
    "foreach": "count with an index: for (int i = 1; i <= x.length; i++)", "then": "remove then",
    "unless": "write if (!condition) { ... }", "until": "write while (!condition) { ... }",
    "catch": "the language has no exceptions that a script could catch", "new": "write Object.create(\"Processor\")",
    "try": "the language has no exceptions that a script could catch",
    "class": "the language has no classes of a script's own", "struct": "use a Map", "const": "use #define NAME value",
    "static": "use a label, which keeps its value", "goto": "use a loop with break and continue",
    "function": "write its statements where needed",
})  # fmt: skip

# --- Arguments that were probably meant in another order --------------------------------------------------------------


def _unordered(low: int, high: int) -> Callable[[list], bool]:
    return lambda values: values[low] > values[high]


ORDERED: Mapping[str, tuple[tuple[int, Callable[[list], bool], str], ...]] = MappingProxyType({
    "triangular": ((3, lambda v: not v[0] <= v[2] <= v[1], "triangular takes (min, max, mode)"),),
    "uniform": ((2, _unordered(0, 1), "uniform takes (min, max)"),),
    "duniform": ((2, _unordered(0, 1), "duniform takes (min, max)"),),
    "beta": ((2, _unordered(0, 1), "beta takes (min, max, shape1, shape2)"),),
    "johnsonbounded": ((2, _unordered(0, 1), "johnsonbounded takes (min, max, shape1, shape2)"),),
    "normal": ((2, lambda v: v[1] < 0, "normal takes (mean, stddev)"),),
    "exponential": ((2, lambda v: v[1] == 0 and v[0] > 0, "exponential takes (location, scale): (0, mean)"),),
    "bernoulli": ((1, lambda v: 0 < v[0] < 1, "bernoulli takes a percentage: (0 to 100, succeed value, fail value)"),),
    "binomial": ((2, lambda v: 0 < v[1] < 1, "binomial takes a percentage: (trials, 0 to 100)"),),
})  # fmt: skip
"""For a command: how many arguments are looked at, when they look wrong, and what the command takes."""


def suspicious(name: str, values: list[Any]) -> str:
    """Returns what a command takes where its constant arguments cannot have been meant in the order given, else "".

    Args:
      name: of the command.
      values: the arguments; None for one that is not a constant number.
    """
    for count, test, hint in ORDERED.get(name, ()):
        checked = values[:count]
        if len(checked) >= count and all(isinstance(value, (int, float)) for value in checked) and test(checked):
            return hint
    return ""
