"""Plans: reading a compiled program, counting its work, devices that are not there, and a plan by the command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from vlsm_jax.training.hardware import CHIPS
from vlsm_jax.training.planning import topology
from vlsm_jax.training.planning.hlo import Collective, Module, collectives, temporaries
from vlsm_jax.training.planning.roofline import roofline, traffic_of
from vlsm_jax.training.planning.topology import PlanError, find_target
from vlsm_jax.training.planning.work import count_work

ROOT = Path(__file__).parents[2]
MESH = {"data": 2, "fsdp": 4, "tensor": 1}

# As XLA writes it: a loop of 5 that starts at 1 and holds a loop of 3 with a known length; a collective in two fusions.
PROGRAM = """HloModule jit_step, is_scheduled=true

%fused (p: f32[8]) -> bf16[32] {
  %p = f32[8]{0} parameter(0)
  ROOT %gather.2 = bf16[32]{0} all-gather(%p), channel_id=9, replica_groups=mesh['a'=2,'b'=4] {'b'}, dimensions={0}
}

%inner_body (q: (s32[], f32[64])) -> (s32[], f32[64]) {
  %q = (s32[], f32[64]{0}) parameter(0)
  %x = f32[64]{0} get-tuple-element(%q), index=1
  %reduce.1 = f32[64]{0} all-reduce(%x), channel_id=3, replica_groups=[2,4]<=[8], to_apply=%add
  %piece.1 = bf16[32]{0} fusion(%x), kind=kCustom, calls=%fused
}

%inner_cond (q: (s32[], f32[64])) -> pred[] {
  %q = (s32[], f32[64]{0}) parameter(0)
}

%body (s: (s32[], f32[64])) -> (s32[], f32[64]) {
  %s = (s32[], f32[64]{0}) parameter(0)
  %piece.0 = bf16[32]{0} fusion(%s), kind=kCustom, calls=%fused
  %loop.2 = (s32[], f32[64]{0}) while(%s), condition=%inner_cond, body=%inner_body, c={"known_trip_count":{"n":"3"}}
}

%cond (s: (s32[], f32[64])) -> pred[] {
  %limit = s32[]{:T(128)} constant(6)
  %s = (s32[], f32[64]{0}) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  ROOT %less = pred[] compare(%i, %limit), direction=LT
}

ENTRY %main (w: f32[1024,512]) -> f32[64] {
  %w = f32[1024,512]{1,0} parameter(0)
  %one = s32[] constant(1)
  %start = f32[64]{0} broadcast(%w), dimensions={}
  %pair = (s32[], f32[64]{0}) tuple(%one, %start)
  %loop.1 = (s32[], f32[64]{0}) while(%pair), condition=%cond, body=%body
  %wide = bf16[2048,512]{1,0} convert(%w), metadata={op_name="jit(step)/widen"}
  %shift = f32[64]{0} collective-permute(%start), channel_id=4, source_target_pairs={{0,4},{1,5},{2,6},{3,7},{4,0}}
  %sums = (f32[16]{0}, f32[4]{0}) all-reduce(%start, %start), channel_id=5, replica_groups={{0,4},{1,5},{2,6},{3,7}}
  ROOT %scatter = f32[16]{0} reduce-scatter(%start), channel_id=6, replica_groups=[2,4]<=[8], dimensions={0}
}
"""


def test_collectives_count_as_often_as_their_loops_run():
    found = {(c.kind, c.axes, c.group, c.bytes): c.count for c in collectives(Module.parse(PROGRAM), MESH)}
    assert found == {
        ("all-reduce", ("fsdp",), 4, 256): 15,
        ("all-gather", ("fsdp",), 4, 64): 5,  # in two pieces, one of them in the inner loop: one gather
        ("collective-permute", ("data",), 2, 256): 1,
        ("all-reduce", ("data",), 2, 80): 1,
        ("reduce-scatter", ("fsdp",), 4, 256): 1,
    }


def test_the_largest_arrays_are_those_the_step_makes():
    found = temporaries(Module.parse(PROGRAM), least=2**20)
    assert [(t.bytes, t.dtype, t.shape, t.opcode, t.source) for t in found] == [
        (2**21, "bf16", (2048, 512), "convert", "jit(step)/widen")
    ]


def test_work_is_counted_as_often_as_it_runs():
    def layer(x, w):
        return jnp.tanh(x @ w), None

    def loss(ws, x):
        return jax.lax.scan(jax.checkpoint(layer), x, ws)[0].sum()

    ws, x = jax.ShapeDtypeStruct((5, 32, 32), "float32"), jax.ShapeDtypeStruct((7, 32), "float32")
    product = 2 * 7 * 32 * 32
    assert count_work(jax.make_jaxpr(loss)(ws, x)).flops == 5 * product
    # Forward, forward again, and two products backward.
    assert count_work(jax.make_jaxpr(jax.grad(loss, (0, 1)))(ws, x)).flops == 4 * 5 * product


def test_a_ring_sends_what_it_must():
    gather = Collective("all-gather", ("fsdp",), 4, 1000, 3, "bf16", "")
    assert traffic_of(gather) == 750
    assert traffic_of(gather._replace(kind="all-reduce")) == 1500
    chip = CHIPS["v5e"]
    bound = roofline(chip, (4, 4), 1, flops=chip.flops, traffic=2 * chip.bandwidth, moved=[gather])
    assert (bound.arithmetic, bound.memory) == (1, 2)
    assert bound.network == pytest.approx(3 * 750 / 9e10)  # two links, neither dimension long enough for a ring
    assert bound.overlapped == 2
    assert bound.serial == pytest.approx(2 + bound.network)
    ring = roofline(chip, (16, 16), 1, flops=0, traffic=0, moved=[gather])
    assert ring.network == pytest.approx(bound.network / 2)
    # Between slices, by the network of the data centre.
    crossing = roofline(chip, (4, 4), 2, flops=0, traffic=0, moved=[gather._replace(axes=("data",))])
    assert crossing.network == pytest.approx(3 * 750 / chip.network)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v5e-16", "not of the form <kind>:<shape>"),
        ("v9:4x4", "'v9' is not one of cpu, v4, v5e"),
        ("h200:8", "no plans for NVIDIA GPUs; --topology=cpu:8"),
        ("cpu:4096", "jax has started with . CPU devices already"),
    ],
)
def test_topologies_that_cannot_be(name, said):
    jax.devices()
    with pytest.raises(PlanError, match=said):
        find_target(name)


def test_a_compiler_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(topology.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PlanError, match=r"pip install 'vlsm_jax\[plan\]'.*--topology=cpu:8"):
        find_target("v5e:4x4")


def plan(workdir, *options):
    command = [sys.executable, str(ROOT / "launch.py"), f"--config={ROOT}/configs/quickstart.py:smoke"]
    command += [f"--workdir={workdir}", "--mode=plan", *options]
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=500, check=False)


def test_the_command_plans_for_simulated_devices(tmp_path):
    sizes = (
        "--config.pipeline.batch_size=8",
        "--config.pipeline.sequence_length=96",
        "--config.model.vision.image_size=64",
    )
    done = plan(tmp_path, "--topology=cpu:8", *sizes, "--config.mesh.fsdp=4")
    assert done.returncode == 0, done.stderr
    assert "devices  cpu:8: 8 (data 2, fsdp 4, tensor 1)" in done.stdout
    made = json.loads((tmp_path / "plan-cpu-8.json").read_text())
    assert made["trained_parameters"] == made["parameters"]
    # Parameters are spread over four of the eight, Adam's two moments with them.
    memory = made["memory"]
    assert made["parameters"] < memory["trained"] < 1.1 * made["parameters"]
    assert memory["optimizer"] == pytest.approx(2 * memory["trained"], rel=1e-3)
    assert memory["peak"] >= memory["temporary"] > 0
    assert {axis for c in made["collectives"] for axis in c["axes"]} <= {"data", "fsdp"}
    assert 0.9 < made["work"]["products"] / made["model_flops"] < 1.2
    assert not (tmp_path / "checkpoints").exists()


def test_a_batch_that_does_not_divide_is_refused(tmp_path):
    done = plan(tmp_path, "--topology=cpu:8", "--config.pipeline.batch_size=9")
    assert done.returncode == 1
    assert "pipeline.batch_size=9 is not a multiple of" in done.stderr
    assert "Traceback" not in done.stderr
