"""Arrays and maps: methods, sharing, old array types."""

import pytest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Array a = Array(3); return a.length;", 3),
        ("Array a; a.length = 2; return a;", [None, None]),
        ("Array a = [1]; a.push(2, 3); return a;", [1, 2, 3]),
        ("Array a = [1, 2]; return a.pop() * 10 + a.length;", 21),
        ("Array a = [1, 2]; return a.shift() * 10 + a[1];", 12),
        ("Array a = [3]; a.unshift(1, 2); return a;", [1, 2, 3]),
        ("Array a = [1]; a.append([2, 3]); return a;", [1, 2, 3]),
        ("Array a = [1]; Array b = a.concat([2], 3); return a.length * 10 + b.length;", 13),
        ("Array a = [1, 2, 3]; a.fill(0, 2, 3); return a;", [1, 0, 3]),
        ('return ["a", "b", "a"].indexOf("b") * 10 + ["a"].indexOf("z");', 19),
        ("return [1, 2, 1].lastIndexOf(1);", 3),
        ("return [1, 2].includes(2);", 1),
        ('return [1, "b"].join("-") + [1, 2].join();', "1-b12"),
        ("return [1, 2, 3].reverse();", [3, 2, 1]),
        ("return [1, 2, 3, 4].slice(2, 4);", [2, 3]),
        ("return [1, 2, 3].slice(-2);", [2, 3]),
        ('return ["b", "a"].sort();', ["a", "b"]),
        ("Array a = [1, 2, 3]; Array out = a.splice(2, 1, [8, 9]); return [a, out];", [[1, 8, 9, 3], [2]]),
        ("Array a = [[1, 2], [3]]; a[1][2] = 7; return a;", [[1, 7], [3]]),
        ("Array a = [1, 2]; a[1]++; ++a[2]; a[1] += 5; return a;", [7, 3]),
        ("Array a = [5]; return a[1]++ * 10 + a[1];", 56),
    ],
)
def test_array_methods(returned, text, expected):
    assert returned(text) == expected


def test_array_by_reference_and_clone_by_value(returned):
    text = "Array a = [1, [2]]; Array b = a; Array c = a.clone(); b[2][1] = 9; return [a[2][1], c[2][1]];"
    assert returned(text) == [9, 2]
    assert returned("Array a = [1]; a.push(a); Array b = a.clone(); return b[2][2][1];") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Array a = [1]; a[2];", "Array index out of bounds"),
        ("Array a = [1]; a[0] = 1;", "Array index out of bounds"),
        ("Array a; a[1];", "Accessing element in empty array"),
        ("Array a; a.pop();", "Popping from empty array"),
        ("[1].slice(5, 6);", "Index out of bounds on array slice() method"),
        ("Variant v; v[1];", "Invalid variant type used with [] array operator"),
    ],
)
def test_array_exceptions_in_the_engines_words(failed, text, message):
    assert failed(text).message == message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("intarray x = makearray(3); x[2] = 5; return x;", [0, 5, 0]),
        ("doublearray x = makearray(1); return x[1] + 0.5;", 0.5),
        ('stringarray x = makearray(1); return x[1] + "a";', "a"),
        ("treenodearray x = makearray(1); return x[1] == NULL;", 1),
        ("intarray x = makearray(2); fillarray(x, 7, 8); return x[1] + x[2] + arraysize(x);", 17),
        ("int a[3]; a[2] = 4; return a;", [0, 4, 0]),
        ('string s[2]; return s[1] + "x" + s.length;', "x2"),
        ('string names[] = {"a", "b"}; return names[2];', "b"),
        ("double d[2], e; return d.length + e;", 2),
    ],
)
def test_old_and_c_like_arrays(returned, text, expected):
    assert returned(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Map m; m["a"] = 1; m.b = 2; return m.a * 10 + m["b"];', 12),
        ("Map m; m[1]; m[2]; return m.keys;", [1, 2]),  # reading an element adds its key
        ("Map m; m[5]; return m[5] == nullvar;", 1),
        ('Map m; m["k"]++; return m["k"];', 1),
        ("Map m; m[1] = 10; var iter = m.find(1); return iter ? iter.key + iter.value : -1;", 11),
        ("Map m; var iter = m.find(1); return iter ? 1 : 0;", 0),
        (
            "Map m; m[1] = 2; m[3] = 4; int n;"
            " for (var it = m.begin(); it != m.end(); it++) n += it.key * it.value; return n;",
            14,
        ),
        ("Map m; m[1] = 2; var it = m.find(1); it.value = 9; return m[1];", 9),
        ("Map m; m[1] = 2; m.remove(1); return m.values.length;", 0),
        ("Map m; m[1] = [2]; Map n = m.clone(); n[1][1] = 5; return m[1][1];", 2),
        ("Map m; m[1] = 1; Map n = m; n[2] = 2; return m.length;", 2),
    ],
)
def test_map(returned, text, expected):
    assert returned(text) == expected


def test_map_exceptions(failed):
    assert failed("Map m; m.Missing;").code == "map key"
    assert failed("Map m; m.end().key;").code == "map key"
    assert failed("Map m; m[[1]] = 2;").message == "Array cannot be the key of a Map"


def test_map_dynamic_property_with_question_mark_gives_null(returned):
    assert returned("Map m; return m.Missing? == nullvar;") == 1
