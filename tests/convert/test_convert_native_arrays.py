"""Arrays written and read layer by layer are those of an ordinary checkpoint of Orbax."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from convert import CheckpointError
from convert.native_arrays import Announced, Piece, open_arrays, write_arrays
from vlsm_jax.sharding import make_mesh

ARRAYS = {
    "layers/up/kernel": np.arange(96, dtype=np.float32).astype(ml_dtypes.bfloat16).reshape(4, 6, 4),
    "layers/up/offset": np.arange(4, dtype=np.float32),
    "table": np.arange(10, dtype=np.uint8).reshape(5, 2),
}
STACKED = {path for path in ARRAYS if path.startswith("layers/")}


def announced():
    return {path: Announced(array.shape, array.dtype, path in STACKED) for path, array in ARRAYS.items()}


def pieces():
    for layer in (2, 0, 3, 1):  # in no order
        yield from (Piece(path, layer, ARRAYS[path][layer]) for path in sorted(STACKED))
    yield Piece("table", None, ARRAYS["table"])


@pytest.fixture
def folder(tmp_path):
    write_arrays(tmp_path / "params", announced(), pieces())
    return tmp_path / "params"


def same(found, wanted):
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    assert np.asarray(found).tobytes() == wanted.tobytes()


def test_orbax_restores_what_came_in_pieces_and_where_it_is_told(folder):
    mesh = make_mesh(devices=jax.devices()[:1])
    place = NamedSharding(mesh, PartitionSpec())
    nested = {"layers": {"up": {}}}
    for path, array in ARRAYS.items():
        target = jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=place)
        (nested["layers"]["up"] if "/" in path else nested)[path.rsplit("/", 1)[-1]] = target
    with ocp.StandardCheckpointer() as checkpointer:
        found = checkpointer.restore(folder, nested)
        stored = checkpointer.metadata(folder).item_metadata.tree
    for path, array in ((p, a) for p, a in ARRAYS.items() if "/" in p):
        same(found["layers"]["up"][path.rsplit("/", 1)[1]], array)
    same(found["table"], ARRAYS["table"])
    assert found["table"].sharding == place
    assert stored["layers"]["up"]["kernel"].storage.chunk_shape == (1, 6, 4)


def test_layers_are_read_one_at_a_time(folder):
    found = open_arrays(folder)
    assert found.keys() == ARRAYS.keys()
    for path, array in ARRAYS.items():
        same(found[path], array)
        assert (found[path].ndim, found[path].nbytes) == (array.ndim, array.nbytes)
    for layer in range(4):
        for path in STACKED:
            same(found[path][layer], np.asarray(ARRAYS[path][layer]))


def test_arrays_that_orbax_wrote_in_one_piece_are_read_as_well(tmp_path):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "params", {"layers": {"up": jnp.asarray(ARRAYS["layers/up/kernel"])}})
    found = open_arrays(tmp_path / "params")["layers/up"]
    same(found, ARRAYS["layers/up/kernel"])
    same(found[3], ARRAYS["layers/up/kernel"][3])


def test_a_piece_too_few_too_many_or_of_another_shape_leaves_no_folder(tmp_path):
    everything = list(pieces())
    for wrong, said in (
        (everything[1:], "nothing came for 1 pieces"),
        ([*everything, everything[0]], "or comes twice"),
        ([everything[0]._replace(value=np.zeros((6, 5)))], r"layer 2 of shape \(6, 5\)"),
    ):
        with pytest.raises(ValueError, match=said):
            write_arrays(tmp_path / "params", announced(), wrong)
        assert not (tmp_path / "params").exists()


def test_what_a_source_raises_is_told_and_leaves_no_folder(tmp_path):
    def broken():
        yield from list(pieces())[:3]
        raise CheckpointError("model.safetensors: b is cut off")

    with pytest.raises(CheckpointError, match=r"model\.safetensors: b is cut off"):
        write_arrays(tmp_path / "params", announced(), broken())
    assert not (tmp_path / "params").exists()


def test_damage_is_named_with_its_array(tmp_path):
    array = np.zeros((2, 4096), np.float32)  # smaller ones stand among the names
    made = {"layers/down": Announced(array.shape, array.dtype, True)}
    write_arrays(tmp_path / "params", made, [Piece("layers/down", layer, array[layer]) for layer in range(2)])
    found = open_arrays(tmp_path / "params")
    for path in (tmp_path / "params").rglob("d/*"):
        path.unlink()
    with pytest.raises(CheckpointError, match=r"params: layers\.down: damaged"):
        found["layers/down"][1]
