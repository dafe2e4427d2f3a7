"""What a scheduler sees of a run that it tells to end: an exit status, a checkpoint, an end at once if it insists."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlsm_jax.training.preemption import EXIT_STATUS, notice_of_end

ROOT = Path(__file__).parents[2]


def test_the_first_signal_is_taken_and_the_second_ends_the_process():
    program = """
        import time
        from vlsm_jax.training.preemption import notice_of_end
        with notice_of_end() as reached:
            print("begun", reached(1), flush=True)
            while not reached(1):
                time.sleep(0.01)
            print("told", flush=True)
            time.sleep(60)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "begun False\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "told\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def test_without_a_signal_nothing_changes_and_other_threads_are_left_alone():
    before = signal.getsignal(signal.SIGTERM)
    with notice_of_end() as reached:
        assert signal.getsignal(signal.SIGTERM) is not before
        assert not reached(1)
    assert signal.getsignal(signal.SIGTERM) is before
    seen = []

    def elsewhere():
        with notice_of_end() as reached:
            seen.append((reached(1), signal.getsignal(signal.SIGTERM) is before))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [(False, True)]


def test_hosts_of_a_job_save_the_same_step_though_one_alone_is_told():
    program = """
        import os, signal, sys, time
        import jax
        jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
        from vlsm_jax.training.preemption import notice_of_end
        with notice_of_end() as reached:
            step = 1
            while not reached(step):
                if step == 5 and jax.process_index() == 1:
                    os.kill(os.getpid(), signal.SIGTERM)
                step += 1
                time.sleep(0.05 + 0.02 * jax.process_index())
        print(step)
        jax.distributed.shutdown()
    """
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), address, str(index)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
        )
        for index in range(2)
    ]
    try:
        one, other = (process.communicate(timeout=120)[0] for process in processes)
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0]
    assert one == other
    assert 5 < int(one) < 200


@pytest.fixture
def triplets(tmp_path):
    folder = tmp_path / "triplets"
    folder.mkdir()
    for split in ("train", "validation"):
        with (folder / f"{split}.jsonl").open("w") as file:
            for i in range(40):
                Image.fromarray(np.full((24, 24, 3), 6 * i, np.uint8)).save(folder / f"{i}.png")
                file.write(
                    json.dumps({"image": f"{i}.png", "prompt": f"line {i}", "response": "x = 1;" * (i + 1)}) + "\n"
                )
    return folder


def test_a_run_that_is_told_to_end_says_so_by_its_status(triplets, tmp_path):
    """All processes of the run get the signal, those that read data as well, as from `systemctl stop`."""
    command = [
        *(sys.executable, str(ROOT / "launch.py"), f"--config={ROOT / 'configs' / 'quickstart.py'}:smoke"),
        *(f"--workdir={tmp_path / 'run'}", f"--config.data.directory={triplets}", "--mode=train"),
        *("--config.train.steps=100000", "--config.train.checkpoint_every=100000"),
        *("--config.train.validate_every=100000", "--config.pipeline.batch_size=2", "--config.pipeline.workers=1"),
    ]
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=env, start_new_session=True)
    try:
        log, deadline = tmp_path / "run" / "metrics.jsonl", time.monotonic() + 240
        while not (log.exists() and '"train"' in log.read_text()):
            assert process.poll() is None, (tmp_path / "said").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(120) == EXIT_STATUS == 75, (tmp_path / "said").read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    (saved,) = [int(path.name) for path in (tmp_path / "run" / "checkpoints").iterdir() if path.name.isdigit()]
    text = (tmp_path / "said").read_text()
    assert f"step {saved} of 100000 is saved; run the same command again" in text
    assert "Traceback" not in text
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert max(steps) == saved
