"""Processes that find one another, or say why not; facts compared; one that fails ends all."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import pytest

import launch
from configs import quickstart
from vlsm_jax.data.triplets import Record
from vlsm_jax.training import distributed
from vlsm_jax.training.distributed import Processes, ProcessesError, describe_rows, start_processes

ROOT = Path(__file__).parents[2]


class Store:
    """What jax's coordination service keeps for all processes, here for threads."""

    def __init__(self):
        self._values, self._changed = {}, threading.Condition()

    def key_value_set(self, key, value):
        with self._changed:
            assert key not in self._values
            self._values[key] = value
            self._changed.notify_all()

    def blocking_key_value_get(self, key, timeout_in_ms):
        with self._changed:
            if not self._changed.wait_for(lambda: key in self._values, timeout_in_ms / 1000):
                raise jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED: GetKeyValue() timed out")
            return self._values[key]


def together(work, count=2, longest=20.0):
    """Returns what `work(processes)` gives or raises in each of `count` processes."""
    store = Store()

    def one(index):
        try:
            return work(Processes(index, count, store, longest=longest))
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_the_first_works_and_the_others_wait():
    worked = []

    def work(index):
        time.sleep(0.2)
        worked.append(index)
        return "done"

    assert together(lambda p: p.by_first("a thing", lambda: work(p.index)), count=3) == ["done"] * 3
    assert worked == [0]
    assert Processes().by_first("a thing", lambda: "alone") == "alone"


def test_who_waits_too_long_says_for_what(monkeypatch):
    monkeypatch.setattr(distributed, "_REMIND", 0.1)

    def work(processes):
        if processes.first:
            return None
        return processes.by_first("making the data", lambda: "never")

    _, error = together(work, longest=0.5)
    assert isinstance(error, ProcessesError)
    assert re.match(r"waited \d+ s for process 0: making the data\. It is alive .* --mode=data", str(error))


def test_processes_that_agree_go_on():
    assert together(lambda p: p.agree("the config", {"steps": 5}), count=4) == [None] * 4


def test_what_differs_is_named_with_its_processes():
    def work(processes):
        facts = {"config.train.steps": 5 + (processes.index == 2), "jax": "0.10.2"}
        if processes.index == 3:
            facts["config.train.extra"] = "x" * 200
        processes.agree("what they are", facts)

    errors = together(work, count=4)
    assert len({str(error) for error in errors}) == 1
    message = str(errors[0])
    assert "the 4 processes of this job do not agree on what they are" in message
    assert "  config.train.steps: 5 in processes 0, 1, 3, 6 in process 2\n" in message
    assert re.search(r'config\.train\.extra: missing in processes 0, 1, 2, "x{70,}\.\.\. in process 3', message)
    assert "jax" not in message


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda config: config.update_from_flattened_dict({"train.steps": 9}), "config.train.steps: 4 in process 0, 9"),
        (lambda config: config.update_from_flattened_dict({"seed": 1}), "config.seed: 0 in process 0, 1 in process 1"),
    ],
)
def test_hosts_with_another_config_are_refused(tmp_path, change, named):
    def work(processes):
        config = quickstart.get_config("smoke")
        if not processes.first:
            change(config)
        launch.run(config, tmp_path / "run", "train", processes)

    for error in together(work):
        assert isinstance(error, ProcessesError)
        assert named in str(error)
    assert not (tmp_path / "run" / "data").exists()


def test_a_workdir_that_is_not_shared_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "_SIGHT", 0.3)
    folders = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    for folder in folders:
        folder.mkdir(parents=True)
    first, second = together(lambda p: p.check_shared(folders[p.index]), longest=1.0)
    assert "is not the folder of that name that process 0 sees" in str(second)
    assert "process 1" in str(first)
    assert together(lambda p: p.check_shared(folders[0])) == [None, None]
    assert not list(folders[0].iterdir())


def test_another_data_set_has_another_description():
    rows = [Record(f"prompt {i}", "r", None, "", str(i), {}) for i in range(500)]
    assert describe_rows(rows) == describe_rows(list(rows))
    assert describe_rows(rows) != describe_rows(rows[:-1])
    changed = [row._replace(response="s") if i == 0 else row for i, row in enumerate(rows)]
    assert describe_rows(rows) != describe_rows(changed)
    assert describe_rows(rows).startswith("500 rows, ")


# --- Start ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", 1, 2), "--process_id=1 --process_count=2 is said with --coordinator=host:port only"),
        (("auto", 1, None), "is said with --coordinator=host:port only"),
        (("10.0.0.1", 0, 2), "'10.0.0.1' is neither 'auto' nor host:port"),
        (("10.0.0.1:8476", 2, 2), "--process_id=2 --process_count=2: say which process of how many, 0 to count - 1"),
        (("10.0.0.1:8476", None, 2), "say which process of how many"),
        (("10.0.0.1:8476", 0, 2, 0), "--patience=0 is not a number of seconds"),
        (("auto", None, None), "--coordinator=auto: jax finds none of a SLURM step, Open MPI"),
    ],
)
def test_arguments_that_make_no_job(monkeypatch, arguments, message):
    mpi = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK")
    for name in ("SLURM_JOB_ID", *mpi, "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    # A backend may be there already in this process, which jax refuses before it looks at anything else.
    monkeypatch.setattr(jax.distributed, "initialize", jax._src.distributed.global_state.initialize)
    with pytest.raises(ProcessesError, match=re.escape(message)):
        start_processes(*arguments)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"SLURM_STEP_NUM_TASKS": "4"}, "SLURM started 4 processes"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "Open MPI started 2 processes"),
        ({"TPU_WORKER_HOSTNAMES": "a,b", "MEGASCALE_NUM_SLICES": "3"}, "the TPU launcher started 6 processes"),
    ],
)
def test_one_of_several_does_not_train_by_itself(monkeypatch, environment, named):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ProcessesError, match=rf"{named}.*--coordinator=auto makes them one job"):
        start_processes()


def test_alone_without_a_coordinator(monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert start_processes() == Processes()


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


PROGRAM = """
import sys, time
from vlsm_jax.training.distributed import ProcessesError, start_processes
{body}
"""


def start(body, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
    )


def test_nobody_listens():
    process = start(f"start_processes('127.0.0.1:{free_port()}', 1, 2, 1)")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "error: process 1 of 2 waited 1 s for the others. Nobody listens at 127.0.0.1:" in said
    assert "(Connection refused)" in said


def test_not_all_come():
    process = start(f"start_processes('localhost:{free_port()}', 0, 2, 2)")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert re.search(r"Process 0 listens at localhost:\d+, and not all came: start as many as", said)


SLURM = """
processes = start_processes('auto', patience=120)
print(processes.index, processes.count, flush=True)
try:
    processes.agree('what they are', {'count': processes.count, 'seed': processes.index})
except ProcessesError as error:
    processes.fail(f'error: {error}')
"""


def test_slurm_tells_who_the_others_are_and_all_end_together():
    # What srun sets, as jax reads it; the host is this one.
    job = {"SLURM_JOB_ID": str(free_port()), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    job |= {"SLURM_STEP_TASKS_PER_NODE": "2", "JAX_COORDINATOR_PORT": str(free_port())}
    ends = [start(SLURM, **job, SLURM_PROCID=str(i), SLURM_LOCALID=str(i)) for i in range(2)]
    said = [process.communicate(timeout=240) for process in ends]
    for i, (process, (out, err)) in enumerate(zip(ends, said, strict=True)):
        assert out.split() == [str(i), "2"], err
        assert process.returncode == 1
        assert "seed: 0 in process 0, 1 in process 1" in err


WAITING = """
processes = start_processes('127.0.0.1:{port}', {index}, 2, 30)
print('here', flush=True)
processes.by_first('a long thing', lambda: time.sleep(600) or '')
"""


@pytest.mark.parametrize("killed", [0, 1])
def test_a_process_that_is_killed_ends_the_other(killed):
    port = free_port()
    both = [start(WAITING.format(port=port, index=i)) for i in range(2)]
    try:
        for process in both:
            assert process.stdout.readline() == "here\n"
        both[killed].send_signal(signal.SIGKILL)
        began = time.monotonic()
        _, said = both[1 - killed].communicate(timeout=90)
        assert time.monotonic() - began < 60  # ten seconds of silence, and what a busy machine adds
        assert both[1 - killed].returncode != 0
        dead = (r"first process is gone|another task died", r"unhealthy \(stopped sending heartbeats\):\s+1")
        wanted = dead[killed]
        assert re.search(wanted, said), said
    finally:
        for process in both:
            process.kill()
            process.wait()
