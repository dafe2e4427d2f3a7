"""Packing, buckets, mixtures and plans: what follows from lengths alone."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsm_jax.data.buckets import GRAIN, bucket_lengths, fill_buckets
from vlsm_jax.data.mixture import Order
from vlsm_jax.data.packing import Filling, Packing, choose_packing, pack, waste
from vlsm_jax.data.plan import Place, Plan


@given(
    st.lists(st.integers(1, 64), min_size=1, max_size=120),
    st.builds(Packing, st.integers(1, 8), st.sampled_from(Filling), st.booleans()),
    st.sampled_from([5, 17, 1000]),
)
@settings(deadline=None, max_examples=120)
def test_packing_places_every_sample_once_within_both_limits(lengths, packing, window):
    lengths = np.asarray(lengths)
    rows = pack(lengths, 64, packing, window)
    assert sorted(rows.members.tolist()) == list(range(len(lengths)))
    for row in range(len(rows)):
        assert 1 <= len(rows[row]) <= packing.most
        assert lengths[rows[row]].sum() <= 64


def best_fit(lengths, capacity):
    """Best fit decreasing, as a packer without windows does it: its number of rows."""
    rooms = []
    for length in sorted(lengths, reverse=True):
        fitting = [room for room in rooms if room >= length]
        if fitting:
            rooms[rooms.index(min(fitting))] -= length
        else:
            rooms.append(capacity - length)
    return len(rooms)


@pytest.mark.parametrize(
    ("shape", "capacity"),
    [
        ("lognormal", 1024),
        ("lognormal", 4096),
        ("uniform", 512),
        ("uniform", 4096),
        ("two kinds", 1024),
        ("alike", 512),
    ],
)
def test_packing_wastes_little_with_hardly_more_places_than_samples(shape, capacity):
    rng = np.random.default_rng(0)
    lengths = {
        "lognormal": rng.lognormal(np.log(300), 0.4, 3000).astype(int) + 37,
        "uniform": rng.integers(100, 301, 3000),
        "two kinds": np.where(rng.random(3000) < 0.7, rng.integers(80, 160, 3000), rng.integers(400, 500, 3000)),
        "narrow": rng.normal(766, 95, 3000).astype(int),  # five fill a row to 93 %, and six seldom fit
        "alike": rng.normal(168, 6, 3000).astype(int),
    }[shape]
    lengths = lengths[lengths <= capacity]
    packing = choose_packing(lengths, capacity)
    rows = pack(lengths, capacity, packing)
    assert waste(rows, lengths, capacity) < 0.03
    assert len(rows) <= 1.01 * best_fit(lengths, capacity)  # which has no limit on samples
    assert packing.most <= 1.6 * capacity / lengths.mean() + 1


def test_packing_in_windows_is_nearly_as_full():
    lengths = np.random.default_rng(0).integers(100, 301, 8000)
    assert waste(pack(lengths, 1024, Packing(6, Filling.EVEN), window=1000), lengths, 1024) < 0.03


@pytest.mark.parametrize(("spread", "most"), [(0.5, 4), (0.45, 4), (0.5, 5)])
def test_few_places_are_filled_nearly_as_well_as_they_can_be(spread, most):
    """Rows of 4,096 with about three samples each: no packing needs fewer rows than positions and places ask for."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(np.log(1320 / np.exp(spread**2 / 2)), spread, 8000).astype(int), 330, 4096)
    needed = max(-(-lengths.sum() // 4096), -(-len(lengths) // most))
    assert len(pack(lengths, 4096, Packing(most))) < 1.012 * needed
    assert len(pack(lengths, 4096, Packing(most, Filling.FEWEST))) > len(pack(lengths, 4096, Packing(most)))


def test_what_cannot_be_packed_gets_no_places():
    # Two of these never fit into a row: room for a second picture would be encoded in vain.
    assert choose_packing(np.asarray([300, 310, 320] * 50), 512).most == 1


def test_bucket_lengths_pad_least():
    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 500, 300)

    def cost(edges):
        return np.asarray(edges)[np.searchsorted(edges, lengths)].sum()

    every = [*range(GRAIN, 500, GRAIN), 500]
    for count in (1, 2, 3):
        found = bucket_lengths(lengths, 500, count)
        assert len(found) <= count
        assert found[-1] >= lengths.max()
        tried = [c for c in itertools.combinations(every, count) if c[-1] >= lengths.max()]
        assert cost(found) == min(map(cost, tried))


@given(st.lists(st.integers(1, 200), min_size=1, max_size=60), st.integers(1, 5), st.integers(1, 7), st.booleans())
@settings(deadline=None, max_examples=60)
def test_batches_of_buckets_hold_every_sample_once(lengths, buckets, batch, shuffle):
    lengths = np.asarray(lengths)
    edges = bucket_lengths(lengths, 200, buckets)
    rows, widths = fill_buckets(lengths, edges, batch, np.random.default_rng(0) if shuffle else None)
    assert len(rows) == len(widths) == -(-len(rows) // batch) * batch
    assert sorted(rows.members.tolist()) == list(range(len(lengths)))
    for row in range(len(rows)):
        assert len(rows[row]) <= 1
        assert lengths[rows[row]].sum() <= widths[row]
    assert all(len(set(widths[i : i + batch])) == 1 for i in range(0, len(rows), batch))
    assert len(rows) - len(lengths) < batch  # one batch at most is not full
    assert len(set(widths)) <= buckets


def test_every_source_gives_its_share_of_every_round():
    order = Order([np.arange(100), np.arange(0, 60, 2)], (2.5, 7.5), seed=3, shuffle=True)
    counts = np.zeros((2, 100), int)
    for number in range(12):
        draws = order.round(number)
        assert abs((draws.source == 0).sum() - 32.5) <= 1
        np.add.at(counts, (draws.source, draws.index), 1)
    assert counts[0].sum() == 390
    assert counts[1].sum() == 1170
    # Epochs of a source run on through the rounds: its rows never differ by more than one.
    assert counts[0].max() - counts[0].min() == 1
    assert set(counts[1][0:60:2]) == {39}
    assert counts[1][1::2].sum() == 0


def make_plan(lengths, **changes):
    options = {"width": 256, "packed": True, "buckets": 1, "batch": 4, "seed": 0, "shuffle": True} | changes
    return Plan([lengths], (1.0,), **options)


@pytest.mark.parametrize("changes", [{}, {"packed": False}, {"packed": False, "buckets": 4}, {"shuffle": False}])
def test_any_row_can_be_read_without_those_before_it(changes):
    lengths = np.random.default_rng(1).integers(30, 280, 200)
    plan = make_plan(lengths, **changes)
    in_order, _ = plan.read(Place(0, 0), 500)  # several rounds
    for start in (0, 3, 160, 420, 77):
        rows, _ = make_plan(lengths, **changes).read(plan.place(Place(0, 0), start), 8)
        assert rows == in_order[start : start + 8]
    # As a worker process has it.
    assert pickle.loads(pickle.dumps(plan)).read(Place(1, 2), 9) == plan.read(Place(1, 2), 9)
    first = [sample for row in in_order[: plan.statistics(0)["rows"]] for sample in row]
    assert sorted(sample.index for sample in first) == np.flatnonzero(lengths <= 256).tolist()
    assert {sample.epoch for sample in first} == {0}


def test_rows_left_in_the_order_of_the_file_are_not_sorted_by_length():
    lengths = np.random.default_rng(1).integers(30, 257, 2000)
    plan = make_plan(lengths, shuffle=False)
    rows, _ = plan.read(Place(0, 0), 40)
    early = [sample.index for row in rows for sample in row[:1]]
    assert abs(lengths[early].mean() - lengths.mean()) < 60
    assert min(sample.index for sample in rows[0]) == 0


def test_a_digest_tells_plans_apart():
    lengths = np.random.default_rng(1).integers(30, 250, 50)
    other = lengths.copy()
    other[7] += 1
    plans = [
        make_plan(lengths),
        make_plan(other),
        make_plan(lengths, seed=1),
        make_plan(lengths, width=255),
        make_plan(lengths, shuffle=False),
        make_plan(lengths, packed=False),
        make_plan(lengths, packed=False, buckets=3),
        make_plan(lengths, packed=False, buckets=3, batch=8),
    ]
    assert len({plan.digest for plan in plans}) == len(plans)
    # Rows do not depend on the rows of a batch, where batches have no lengths of their own.
    assert make_plan(lengths, batch=8).digest == plans[0].digest
