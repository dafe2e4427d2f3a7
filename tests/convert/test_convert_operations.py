"""Operations undo themselves, for any shape; the tables are sound as data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.operations import COPY, FLATTEN, LINEAR, LINEAR_FROM_HEADS, PATCH, PadRows
from convert.tables import CLIP_VISION, DECODERS, LINEAR_CONNECTOR, MLP_CONNECTOR, connector_layout
from vlsm_jax.models import ConnectorConfig

CASES = [
    (COPY, 1),
    (COPY, 2),
    (FLATTEN, 1),
    (FLATTEN, 2),
    (LINEAR, 2),
    (LINEAR, 3),
    (LINEAR_FROM_HEADS, 3),
    (PATCH, 4),
    (PadRows(COPY, 9), 2),
    (PadRows(LINEAR, 9), 2),
]


@pytest.mark.parametrize(("operation", "dimensions"), CASES)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_operations_undo_themselves(operation, dimensions, data):
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=dimensions, max_size=dimensions)))
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    there = operation.to_hf(array)
    assert there.shape == operation.hf_shape(shape)
    np.testing.assert_array_equal(operation.to_ours(there, shape), array)


def test_linear_is_a_transpose():
    """x @ kernel here is x @ weight.T there, heads unfolded in order."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(6, 5))  # [out = 3 heads of 2, in]
    x = rng.normal(size=5)
    kernel = LINEAR.to_ours(weight, (5, 3, 2))
    np.testing.assert_allclose(np.einsum("d,dnh->nh", x, kernel).ravel(), weight @ x)
    back = LINEAR_FROM_HEADS.to_ours(weight.T.copy(), (3, 2, 5))
    np.testing.assert_allclose(np.einsum("nh,nhd->d", (weight @ x).reshape(3, 2), back), weight.T @ (weight @ x))


def test_padded_rows_never_win():
    """A padded row scores the mean of the real scores, whatever the hidden state."""
    rng = np.random.default_rng(0)
    head = PadRows(LINEAR, 12).to_hf(rng.normal(size=(8, 10)).astype(np.float32))
    for _ in range(50):
        scores = head @ rng.normal(size=8)
        assert scores[10:].max() < scores[:10].max()
        np.testing.assert_allclose(scores[10:], scores[:10].mean(), atol=1e-5)


@pytest.mark.parametrize("table", [*DECODERS.values(), CLIP_VISION, LINEAR_CONNECTOR, MLP_CONNECTOR])
def test_tables_name_everything_once(table):
    assert len({entry.hf for entry in table}) == len(table)
    assert len({entry.ours for entry in table}) == len(table)
    for entry in table:
        assert entry.stacked == entry.ours.startswith("layers/"), entry


def test_connectors_that_llava_cannot_hold():
    assert connector_layout(ConnectorConfig("mlp", hidden=16), 16).entries == MLP_CONNECTOR
    with pytest.raises(ValueError, match=r"cannot hold a connector of kind 'mlp' with hidden=8"):
        connector_layout(ConnectorConfig("mlp", hidden=8), 16)
