"""Two processes of four devices each, as two hosts would be: killed, told to end, and gone on with by one process."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlsm_jax.training.preemption import EXIT_STATUS

pytestmark = pytest.mark.timeout(1200)  # of a machine with much else to do

ROOT = Path(__file__).parents[2]
STEPS = 15
SMALL = (
    f"--config.train.steps={STEPS}",
    "--config.train.checkpoint_every=3",
    "--config.train.keep_checkpoints=9",
    "--config.train.validate_every=99",
    "--config.train.log_every=3",
    "--config.pipeline.sequence_length=96",
    "--config.pipeline.batch_size=8",
    "--config.data.vocab_size=320",
    "--config.model.vision.image_size=64",
    "--config.model.vision.num_hidden_layers=1",
    # Parameters go over all eight devices, and so between the processes.
    "--config.mesh.data=1",
    "--config.mesh.fsdp=8",
)


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("triplets")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for split, count in (("train", 60), ("validation", 8)):
        with (folder / f"{split}.jsonl").open("w") as file:
            for i in range(count):
                image = f"images/{split}{i}.png"
                Image.fromarray(rng.integers(0, 256, (48, 96, 3)).astype(np.uint8)).save(folder / image)
                prompt = "A queue and a sink " * int(rng.integers(1, 6))
                response = f'Object q{i} = Object.create("Queue");' * int(rng.integers(1, 3))
                file.write(json.dumps({"image": image, "prompt": prompt, "response": response}) + "\n")
    return folder


class Job:
    """launch.py in processes that share a work folder; their output goes to files beside it."""

    def __init__(self, triplets, workdir, *options, processes=2, devices=4, **more):
        self.workdir, self.processes, self.logs = workdir, [], []
        workdir.mkdir(parents=True, exist_ok=True)
        env = {
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}",
            **more,
        }
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{listening.getsockname()[1]}"
        for index in range(processes):
            command = [sys.executable, str(ROOT / "launch.py"), f"--config={ROOT}/configs/quickstart.py:smoke"]
            command += [f"--workdir={workdir}", f"--config.data.directory={triplets}", "--mode=train", *SMALL, *options]
            if processes > 1:
                command += [f"--coordinator={address}", f"--process_id={index}", f"--process_count={processes}"]
            self.logs.append(workdir.with_name(f"{workdir.name}-{len(list(workdir.parent.glob('*.log')))}.log"))
            with self.logs[-1].open("w") as log:
                self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=env))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in self.processes:
            process.kill()
            process.wait()

    def until(self, seen):
        """Returns when `seen()`; a checkpoint is whole when its folder has its final name."""
        limit = time.monotonic() + 500
        while not seen():
            assert all(process.poll() is None for process in self.processes), self.said()
            assert time.monotonic() < limit, self.said()
            time.sleep(0.01)

    def saved(self):
        return sorted(int(path.name) for path in self.workdir.glob("checkpoints/*") if path.name.isdigit())

    def end(self, seconds=500):
        """Returns the exit statuses."""
        return [process.wait(seconds) for process in self.processes]

    def said(self, index=None):
        return "\n".join(log.read_text() for log in (self.logs if index is None else self.logs[index : index + 1]))


def losses(workdir):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [(row["step"], row["loss"]) for row in rows if row["kind"] == "train"]


@pytest.fixture(scope="module")
def uninterrupted(triplets, shared_programs, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("uninterrupted") / "run"
    with Job(triplets, workdir, **shared_programs) as job:
        assert job.end() == [0, 0], job.said()
    return losses(workdir)


@pytest.fixture(scope="module")
def killed(triplets, uninterrupted, tmp_path_factory):
    """A job of which one process was killed: its folder, and the step of its last checkpoint."""
    workdir = tmp_path_factory.mktemp("killed") / "run"
    with Job(triplets, workdir) as job:
        job.until(job.saved)
        job.processes[0].send_signal(signal.SIGKILL)
        began = time.monotonic()
        assert job.end(200)[1] > 0 or job.processes[1].returncode == -signal.SIGABRT
        assert time.monotonic() - began < 60
        assert re.search("has lost another one|first process is gone|another task died", job.said(1)), job.said(1)
    assert losses(workdir)[-1][0] < STEPS, "too quick: nothing was interrupted"
    return workdir


@pytest.fixture(scope="module")
def told_to_end(triplets, killed):
    """The same job started again, and told to end through one of its processes: the step that it saved."""
    with Job(triplets, killed) as job:
        # While the step is compiled: so there are steps left when all have agreed where to end.
        job.until(lambda: "going on from the checkpoint of step" in job.said(0))
        job.processes[1].send_signal(signal.SIGTERM)
        assert job.end() == [EXIT_STATUS] * 2, job.said()
        (step,) = re.findall(rf"told to end \(SIGTERM\): step (\d+) of {STEPS} is saved", job.said(1))
        assert max(job.saved()) == int(step) < STEPS
    return int(step)


def test_uninterrupted_losses_are_finite_and_fall(uninterrupted):
    assert [step for step, _ in uninterrupted] == list(range(1, STEPS + 1))
    assert np.isfinite(uninterrupted).all()
    assert uninterrupted[-1][1] < 0.7 * uninterrupted[0][1]


def test_a_job_told_to_end_goes_on_after_a_kill_and_saves_first(uninterrupted, killed, told_to_end):
    found = losses(killed)
    assert found[-1][0] == told_to_end
    assert found == uninterrupted[:told_to_end]


def test_two_processes_finish_what_they_began(triplets, uninterrupted, shared_programs, killed, told_to_end):
    with Job(triplets, shutil.copytree(killed, killed.with_name("two")), **shared_programs) as job:
        assert job.end() == [0, 0], job.said()
    assert losses(job.workdir) == uninterrupted


def test_one_process_of_eight_devices_finishes_what_two_of_four_began(triplets, uninterrupted, killed, told_to_end):
    with Job(triplets, shutil.copytree(killed, killed.with_name("one")), processes=1, devices=8) as job:
        assert job.end() == [0], job.said()
    found = losses(job.workdir)
    assert found[:told_to_end] == uninterrupted[:told_to_end]
    assert [step for step, _ in found] == list(range(1, STEPS + 1))
    np.testing.assert_allclose([loss for _, loss in found], [loss for _, loss in uninterrupted], rtol=1e-5)
