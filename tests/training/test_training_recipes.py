"""The recipes of docs/pods: read by bash and YAML, and run with stand-ins for srun, ssh and gcloud."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from absl import flags

import launch  # noqa: F401  (its flags)
from vlsm_jax.training.preemption import EXIT_STATUS

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "docs" / "pods"

PYTHON = f"""#!{sys.executable}
import json, os, sys
with open(os.environ["CALLS"], "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
sys.exit(int(os.environ.get("STATUS", "0")))
"""
STANDS_IN = {
    "srun": 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
    "scontrol": 'echo "[\\"scontrol\\", \\"$1\\", \\"$2\\"]" >>"$CALLS"',
    "ssh": 'bash -c "$2"',
    "gcloud": 'for last; do :; done; exec bash -c "${last#--command=}"',
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a recipe in a folder with a Python that only notes how it was called; returns the status and the calls."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    python = tmp_path / "vlsm_jax" / ".venv" / "bin" / "python"
    for path, text in [
        (python, PYTHON),
        *((tmp_path / "bin" / n, f"#!/bin/bash\n{t}\n") for n, t in STANDS_IN.items()),
    ]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run(recipe, *arguments, folder="vlsm_jax", **environment):
        done = subprocess.run(
            ["bash", str(RECIPES / recipe), *arguments],
            cwd=tmp_path / folder,
            env={**os.environ, **environment},
            timeout=60,
            check=False,
        )
        calls = tmp_path / "calls"
        return done.returncode, [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    return run


def check_command(arguments):
    """Every flag is one of launch.py's, and the config is there."""
    for argument in arguments:
        name, _, value = argument.removeprefix("--").partition("=")
        assert argument.startswith("--"), argument
        assert name.startswith("config.") or name in flags.FLAGS, argument
        if name == "config":
            assert (ROOT / value.partition(":")[0]).is_file()


ARGUMENTS = ("--config=configs/vlsm_1b.py:connector=mlp", "--workdir=/shared/my runs/1b", "--config.train.steps=5")


@pytest.mark.parametrize("recipe", sorted(p.name for p in RECIPES.iterdir() if p.suffix in (".sh", ".sbatch")))
def test_scripts_are_read_by_bash(recipe):
    subprocess.run(["bash", "-n", str(RECIPES / recipe)], check=True, timeout=60)


def test_slurm_goes_back_into_the_queue_when_it_was_told_to_end(run):
    status, calls = run("slurm.sbatch", *ARGUMENTS, SLURM_JOB_ID="17")
    assert (status, calls) == (0, [["launch.py", "--coordinator=auto", *ARGUMENTS]])
    check_command(calls[0][1:])
    status, calls = run("slurm.sbatch", *ARGUMENTS, SLURM_JOB_ID="17", STATUS=str(EXIT_STATUS))
    assert status == EXIT_STATUS
    assert calls[-1] == ["scontrol", "requeue", "17"]
    status, calls = run("slurm.sbatch", *ARGUMENTS, SLURM_JOB_ID="17", STATUS="1")
    assert status == 1
    assert calls[-1][0] == "launch.py"


def test_plain_hosts_get_their_numbers(run):
    status, calls = run("hosts.sh", *ARGUMENTS, HOSTS="one two three", PORT="9000")
    assert status == 0
    job = [["launch.py", "--coordinator=one:9000", f"--process_id={i}", "--process_count=3"] for i in range(3)]
    assert sorted(calls) == [[*start, *ARGUMENTS] for start in job]
    check_command(calls[0][1:])
    assert run("hosts.sh", *ARGUMENTS, HOSTS="one two", STATUS="1")[0] == 1


def test_tpu_vms_start_the_same_on_every_slice(run):
    status, calls = run("tpu_vm.sh", "start", *ARGUMENTS, folder=".", TPU="a b", ZONE="z")
    assert (status, calls) == (0, [["launch.py", "--coordinator=auto", *ARGUMENTS]] * 2)
    check_command(calls[0][1:])
    assert run("tpu_vm.sh", "begin", folder=".", TPU="a", ZONE="z")[0] == 2


@pytest.mark.parametrize("recipe", ["gke_tpu.yaml", "gke_gpu.yaml"])
def test_jobsets_start_launch_py_on_every_host(recipe):
    jobset = yaml.safe_load((RECIPES / recipe).read_text())
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    (job,) = jobset["spec"]["replicatedJobs"]
    spec = job["template"]["spec"]
    # One failure starts all of them again; a pod that was started again by itself would find no job to join.
    assert spec["backoffLimit"] == 0
    assert jobset["spec"]["failurePolicy"]["maxRestarts"] > 0
    assert spec["parallelism"] == spec["completions"]
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    assert container["command"] == ["python", "launch.py"]
    check_command(container["args"])
    said = dict(argument.removeprefix("--").split("=", 1) for argument in container["args"])
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert any(said["workdir"].startswith(mount) for mount in mounts)
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    ports = {port["containerPort"] for port in container["ports"]}
    if said["coordinator"] == "auto":
        assert 8482 in ports  # where jax's process 0 listens on TPUs
        assert "cloud.google.com/gke-tpu-topology" in pod["nodeSelector"]
        assert jobset["metadata"]["annotations"] == {
            "alpha.jobset.sigs.k8s.io/exclusive-topology": "cloud.google.com/gke-nodepool"
        }
    else:
        host, _, port = said["coordinator"].rpartition(":")
        name = jobset["metadata"]["name"]
        assert host == f"{name}-{job['name']}-0-0.{name}"
        assert jobset["spec"]["network"]["enableDNSHostnames"]
        assert int(port) in ports
        assert int(said["process_count"]) == spec["completions"] * job["replicas"]
        assert spec["completionMode"] == "Indexed"
        assert said["process_id"] == "$(JOB_COMPLETION_INDEX)"
        assert "JOB_COMPLETION_INDEX" in {variable["name"] for variable in container["env"]}
