import json
import subprocess
import sys
import textwrap

import grain
import jax.numpy as jnp
import numpy as np
import pytest

from vlsm_jax.training.checkpoints import CheckpointError, Checkpoints
from vlsm_jax.training.logs import MetricsFile, read_metrics


def iterator():
    return iter(grain.MapDataset.range(100).to_iter_dataset())


def test_state_data_position_and_facts_come_back(tmp_path):
    data, state = iterator(), {"a": {"b": jnp.arange(6.0)}, "step": jnp.int32(3)}
    first = [next(data) for _ in range(4)]
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(3, state, data, {"config": {"lr": 0.1}})
    checkpoints.close()
    assert first == [0, 1, 2, 3]
    # As another process would read it.
    data = iterator()
    step, restored, facts = Checkpoints(tmp_path).restore(state, data)
    assert step == 3
    np.testing.assert_array_equal(restored["a"]["b"], state["a"]["b"])
    assert next(data) == 4
    assert facts == {"config": {"lr": 0.1}}


def test_a_checkpoint_of_another_shape_is_named(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, {"kept": jnp.zeros(2), "gone": jnp.zeros(1), "size": jnp.zeros((2, 3))}, iterator(), {})
    checkpoints.wait()
    with pytest.raises(CheckpointError) as error:
        checkpoints.restore({"kept": jnp.zeros(2), "new": jnp.zeros(1), "size": jnp.zeros((2, 4))}, None)
    message = str(error.value)
    assert "gone: checkpoint only" in message
    assert "new: config only" in message
    assert "size: checkpoint [2, 3], config [2, 4]" in message
    assert "kept" not in message
    assert "--workdir" in message


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="no complete checkpoint in"):
        Checkpoints(tmp_path / "new").restore({}, None)


def test_a_full_disk_leaves_the_earlier_checkpoint_whole(tmp_path):
    """The operating system itself refuses the write: no file of the process may grow past the limit."""
    program = """
        import resource, signal, sys
        import grain, jax.numpy as jnp, numpy as np
        from vlsm_jax.training.checkpoints import CheckpointError, Checkpoints
        data = iter(grain.MapDataset.range(10).to_iter_dataset())
        checkpoints = Checkpoints(sys.argv[1])
        checkpoints.save(1, {"x": jnp.zeros(8)}, data, {})
        checkpoints.wait()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        noise = np.random.default_rng(0).normal(size=1_000_000)  # does not compress
        try:
            checkpoints.save(2, {"x": jnp.asarray(noise)}, data, {})
            checkpoints.wait()
        except CheckpointError as error:
            print("refused:", error)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "refused: the checkpoint of step 2 could not be written" in done.stdout, done.stdout + done.stderr
    assert "the disk is full" in done.stdout
    assert "\n" not in done.stdout.strip()
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest_step == 1
    _, state, _ = checkpoints.restore({"x": jnp.ones(8)}, None)
    np.testing.assert_array_equal(state["x"], np.zeros(8))


def test_metrics_go_on_from_the_step_resumed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsFile(path)
    for step in (1, 2, 3):
        log.write(step, "train", loss=float(step))
    log.close()
    with path.open("a") as file:
        file.write('{"step": 4, "kind": "tr')  # a kill in the middle of a line
    log = MetricsFile(path, resume_step=2)
    log.write(3, "train", loss=30.0)
    log.close()
    assert [(row["step"], row["loss"]) for row in read_metrics(path)] == [(1, 1.0), (2, 2.0), (3, 30.0)]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_reading_only_writes_nothing(tmp_path):
    with pytest.raises(CheckpointError, match=r"no complete checkpoint in .*; train first"):
        Checkpoints(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()
    begun = tmp_path / "7.orbax-checkpoint-tmp-1"
    begun.mkdir()
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.latest_step is None
    assert begun.exists()
