"""Files read and written tensor by tensor are those that safetensors writes."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from convert import CheckpointError
from convert.checkpoint_reader import DTYPES, CheckpointReader
from convert.checkpoint_writer import PendingTensor, write_checkpoint


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    made = {
        f'é{k}"x.{code}': (rng.standard_normal((3, i + 1)) * 9).astype(dtype)
        for i, (code, dtype) in enumerate(DTYPES.items())
        for k in range(2)
    }
    return made | {"empty": np.zeros((0, 3), np.float32), "scalar": np.array(3, np.float32)}


def test_bytes_of_a_file_are_those_of_safetensors(arrays, tmp_path):
    save_file(arrays, tmp_path / "theirs", metadata={"format": "pt"})
    # What is transposed in memory is written in the order of its axes.
    turned = {name: np.asarray(array, order="F") for name, array in arrays.items()}
    write_checkpoint(tmp_path, [PendingTensor(n, a.shape, a.dtype, lambda a=a: a) for n, a in turned.items()])
    assert (tmp_path / "theirs").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


def test_tensors_are_read_as_safetensors_reads_them(arrays, tmp_path):
    save_file(arrays, tmp_path / "model.safetensors")
    reader, theirs = CheckpointReader(tmp_path), load_file(tmp_path / "model.safetensors")
    assert sorted(reader.names) == sorted(theirs)
    for name, array in theirs.items():
        found = reader.read(name)
        assert (found.shape, found.dtype) == (array.shape, array.dtype)
        assert found.tobytes() == array.tobytes()


def test_a_file_cut_while_it_is_read_is_named(tmp_path):
    save_file({"a": np.zeros(8, np.float32), "b": np.zeros(8, np.float32)}, tmp_path / "model.safetensors")
    reader = CheckpointReader(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-20])
    reader.read("a")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: b is cut off"):
        reader.read("b")


def test_a_tensor_of_another_shape_than_announced_leaves_no_file(tmp_path):
    pending = PendingTensor("a", (2, 3), np.dtype(np.float32), lambda: np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"a was announced as \(2, 3\)"):
        write_checkpoint(tmp_path, [pending])
    assert not list(tmp_path.iterdir())
