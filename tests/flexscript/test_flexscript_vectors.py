"""Vec2, Vec3, Vec4, Color and DateTime."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Vec3 v = Vec3(1, 2, 3) + Vec3(1, 1, 1); return [v.x, v.y, v.z];", [2, 3, 4]),
        ("Vec3 v = Vec3(5, 5, 5) - [1, 2, 3]; return v.toArray();", [4, 3, 2]),
        ("Vec3 v = Vec3(1, 2, 3) * 2; return v.toArray();", [2, 4, 6]),
        ("Vec3 v = Vec3(1, 2, 3) * Vec3(2, 3, 4); return v.toArray();", [2, 6, 12]),
        ("Vec3 v = Vec3(2, 4, 6) / 2; return v.toArray();", [1, 2, 3]),
        ("Vec3 v = -Vec3(1, 2, 3); return v.z;", -3),
        ("Vec3 v = Vec3(1, 2, 3); v += Vec3(1, 1, 1); v -= [0, 0, 4]; return v.toArray();", [2, 3, 0]),
        ("return Vec3(1, 2, 3) == Vec3(1, 2, 3);", 1),
        ("return Vec3(1, 2, 3) != Vec3(1, 2, 4);", 1),
        ("return Vec3(7).toArray();", [7, 7, 7]),
        ("return Vec3(3, 4, 0).magnitude;", 5),
        ("return Vec3(3, 0, 0).normalized.x;", 1),
        ("return Vec3(1, 2, 3).dot(Vec3(4, 5, 6));", 32),
        ("return Vec3(1, 0, 0).cross(Vec3(0, 1, 0)).z;", 1),
        ("return Vec3(0, 0, 0).lerp(Vec3(10, 0, 0), 0.3).x;", 3),
        ("return Vec3(1, 0, 0).angle(Vec3(0, 1, 0));", 90),
        ("Vec3 v = Vec3(1, 2, 3); return v[2];", 2),
        ("Vec3 v = Vec3(1, 2, 3); Vec3 w = v; w.x = 9; return v.x;", 1),
        ("Vec2 v = Vec2(3, 4); return v.magnitude + v.x;", 8),
        ("Vec2 v = Vec2(1, 0); return Math.round(v.rotate(90).y, 6);", 1),
        ("Vec2 v = Vec2(1, 2) + Vec2(1, 1); v.y++; return v.toArray();", [2, 4]),
        ("Vec4 v = Vec4(1, 2, 3, 4); v.w *= 2; return v.toArray();", [1, 2, 3, 8]),
        ("Vec4 v = Vec4(2) / Vec4(1, 2, 4, 8); return v.toArray();", [2, 1, 0.5, 0.25]),
        ("Color c = Color(1, 0.5, 0); return [c.r, c.g, c.b, c.a];", [1, 0.5, 0, 1]),
        ("Color c = Color.red.lerp(Color.blue, 0.25); return [c.r, c.b];", [0.75, 0.25]),
        ("return Color.red + Color.green == Color(1, 1, 0, 2);", 1),
        ("return Color.byNumber(3) == Color.byNumber(3);", 1),
        ("Color c = Color.lightBlue; c.a = 0.5; return Color.lightBlue.a * 10 + c.a;", 10.5),
    ],
)
def test_vectors_and_colors(returned, text, expected):
    assert returned(text) == expected


def test_color_random_comes_from_the_draws_of_the_world(returned, clock):
    assert returned("Color c = Color.random(); return [c.r, c.g, c.b];", world=clock) == [0.125, 0.25, 0.375]


@pytest.mark.parametrize("text", ["Vec3(1, 2, 3) / 0;", "Color.red / 0;"])
def test_division_by_zero_in_the_engines_words(failed, text):
    assert failed(text).message == "Divide by zero error: denominator is 0"


@pytest.mark.parametrize("text", ["Vec3 v = 5;", 'Vec3 v = "a";', "Vec3(1, 2, 3) + 1;", "Vec3(1, 2, 3) + Vec2(1, 2);"])
def test_vectors_take_vectors_and_arrays_only(evaluate, text):
    outcome = evaluate(text)
    assert outcome.fault is not None or outcome.codes


SECOND = 'DateTime d = DateTime("2024-02-29 13:05:09"); '


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("return [d.year, d.month, d.day, d.hour, d.minute, d.second];", [2024, 2, 29, 13, 5, 9]),
        ("return d.dayOfWeek;", 5),
        ('return d.toString("%d.%m.%Y");', "29.02.2024"),
        ('return d.toString("dd.MM.yyyy HH:mm");', "29.02.2024 13:05"),
        ("return d.toString();", "2024-02-29 13:05:09"),
        ("d += DateTime.days(1); return d.toString();", "2024-03-01 13:05:09"),
        ("d = d - DateTime.hours(14); return d.day;", 28),
        ('DateTime e = DateTime("2024-03-02 13:05:09"); return (e - d).totalDays;', 2),
        ("return d > DateTime.compose(2024, 1, 1);", 1),
        ("return d == DateTime(d.value);", 1),
        ('return DateTime("1.3.2024", "%d.%m.%Y").month;', 3),
        ("return DateTime(86400).day;", 2),
        ("return DateTime.minutes(90).totalHours;", 1.5),
        ("return DateTime.fromExcelTime(45351).toString();", "2024-02-29 00:00:00"),
        ("double seconds = DateTime.minutes(2); return seconds;", 120),
    ],
)
def test_datetime(returned, text, expected):
    assert returned(SECOND + text) == expected


@pytest.mark.parametrize(
    "text",
    ['DateTime("yesterday");', "DateTime.compose(2024, 13, 1);", 'DateTime(0).toString("%Q");', "DateTime(-1).year;"],
)
def test_datetime_that_is_none(failed, text):
    assert failed(text).code in ("date", "argument")


@given(
    st.datetimes(datetime.datetime(1601, 1, 1), datetime.datetime(9990, 1, 1)).map(lambda d: d.replace(microsecond=0))
)
def test_datetime_reads_back_what_it_writes(moment):
    from vlsm_jax.flexscript.datetimes import new_datetime

    text = moment.strftime("%Y-%m-%d %H:%M:%S").rjust(19, "0")
    assert str(new_datetime(text)) == text
