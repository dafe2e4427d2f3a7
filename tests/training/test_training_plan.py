"""Plans: reading a compiled program, counting its work, devices that are not there, and a plan by the command."""

import importlib.util
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from vlsm_jax.training.hardware import CHIPS
from vlsm_jax.training.planning import compiling, nvidia, topology
from vlsm_jax.training.planning.groups import exchange
from vlsm_jax.training.planning.hlo import Collective, Module, collectives, temporaries
from vlsm_jax.training.planning.roofline import roofline, traffic_of
from vlsm_jax.training.planning.topology import PlanError, find_target
from vlsm_jax.training.planning.work import count_work, without_unused

ROOT = Path(__file__).parents[2]
MESH = {"data": 2, "fsdp": 4, "tensor": 1}

# As XLA writes it: a loop of 5 that starts at 1 and holds a loop of 3 with a known length; a collective in two fusions.
PROGRAM = """HloModule jit_step, is_scheduled=true

%fused (p: f32[8]) -> bf16[32] {
  %p = f32[8]{0} parameter(0)
  ROOT %gather.2 = bf16[32]{0} all-gather(%p), channel_id=9, replica_groups=mesh['a'=2,'b'=4] {'b'}, dimensions={0}
}

%all-reduce-scatter.1 (whole: f32[64]) -> f32[16] {
  %whole = f32[64]{0} parameter(0)
  %reduce.2 = f32[64]{0} all-reduce(%whole), channel_id=7, replica_groups={{0,1,2,3},{4,5,6,7}}, to_apply=%add
  ROOT %part = f32[16]{0} dynamic-slice(%reduce.2), dynamic_slice_sizes={16}
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
  %fused.3 = f32[16]{0} fusion(%s), kind=kCustom, calls=%all-reduce-scatter.1
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
        ("reduce-scatter", ("fsdp",), 4, 256): 6,  # five of them an all-reduce in a fusion that cuts
    }


def test_a_loop_may_count_by_twos():
    """As XLA's loops of products do, unrolled, which send a kernel round a ring of devices piece by piece."""
    turn = """calls=%all-reduce-scatter.1
  %two = s32[]{:T(128)} constant(2)
  %count = s32[] get-tuple-element(%s), index=0
  %next = s32[] add(%count, %two)
  %rest = f32[64]{0} get-tuple-element(%s), index=1"""
    loop = """c={"known_trip_count":{"n":"3"}}
  ROOT %both = (s32[], f32[64]{0}) tuple(%next, %rest)
}

%cond"""
    program = PROGRAM.replace("calls=%all-reduce-scatter.1", turn, 1).replace(
        'c={"known_trip_count":{"n":"3"}}\n}\n\n%cond', loop
    )
    assert program.count("ROOT %both") == 1
    counts = {c.kind: c.count for c in collectives(Module.parse(program), MESH) if c.axes == ("fsdp",)}
    assert counts == {"all-reduce": 9, "all-gather": 3, "reduce-scatter": 4}  # 1, 3, 5 of less than 6


def test_a_loop_that_may_end_early_counts_as_often_as_it_may_run():
    """As that over chunks of the loss does: its condition has two limits, of which one is known, and may be fused."""
    condition = """  ROOT %less = pred[] fusion(%i, %last), kind=kLoop, calls=%fused_less
  %last = s32[] get-tuple-element(%s), index=1
}

%fused_less (b: s32[], a: s32[]) -> pred[] {
  %b = s32[] parameter(0)
  %a = s32[] parameter(1)
  %early = pred[] compare(%b, %a), direction=LT
  %six = s32[] constant(6)
  %late = pred[] compare(%b, %six), direction=LT
  ROOT %and = pred[] and(%early, %late)
"""
    program = PROGRAM.replace("  ROOT %less = pred[] compare(%i, %limit), direction=LT\n", condition)
    program = program.replace("  %limit = s32[]{:T(128)} constant(6)\n", "")
    assert collectives(Module.parse(program), MESH) == collectives(Module.parse(PROGRAM), MESH)


@pytest.mark.parametrize(
    ("groups", "group", "axes"),
    [
        ("mesh['a'=2,'b'=4] {'b'}", 4, ("fsdp",)),
        ("mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'a'}", 4, ("fsdp",)),
        ("mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'b'}", 2, ("data",)),
        ("mesh['a'=2,'b'=4], device_ids=(0,4,1,5,2,6,3,7) {'a'}", 2, ("fsdp",)),
        ("mesh['a'=2,'b'=4], device_ids=(0,4,1,5,2,6,3,7) {'b'}", 4, ("data", "fsdp")),
        ("[4,2]<=[2,4]T(1,0)", 2, ("data",)),
        ("{{0,1,2,3},{4,5,6,7}}", 4, ("fsdp",)),
        ("{}", 8, ("data", "fsdp")),
        ("{{0,8}}", 2, ("?",)),
    ],
)
def test_groups_are_told_by_mesh_axes(groups, group, axes):
    found = exchange(f"all-gather(%x), replica_groups={groups}, dimensions={{0}}", MESH)
    assert (found.group, found.axes) == (group, axes)


def test_groups_are_told_by_slices():
    def crossed(groups, slices):
        return exchange(f"all-reduce(%x), replica_groups={groups}", MESH, slices)

    assert crossed("{{0,1,2,3},{4,5,6,7}}", 2) == (4, ("fsdp",), 1)
    assert crossed("{{0,4},{1,5},{2,6},{3,7}}", 2) == (2, ("data",), 2)
    assert crossed("{{0,1,2,3},{4,5,6,7}}", 4) == (4, ("fsdp",), 2)
    assert crossed("{}", 4) == (8, ("data", "fsdp"), 4)


def test_what_hosts_of_tpus_send_to_other_slices_is_a_collective():
    send = """ENTRY %main (w: f32[64]) -> f32[64] {
  %w = f32[64]{0} parameter(0)
  %send = (f32[64]{0}, u32[], token[]) send(%w, %t), channel_id=3, a={_xla_megascale_transfer_type="KIND"}
}
"""
    found = [collectives(Module.parse(send.replace("KIND", kind)), MESH, 2) for kind in ("ALL_REDUCE", "ALL_GATHER")]
    assert found == [
        [Collective("all-reduce", ("data",), 2, 256, 1, "f32", "", 2)],
        [Collective("all-gather", ("data",), 2, 512, 1, "f32", "", 2)],
    ]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("Used 18.5G of 15.75G hbm. Exceeded hbm capacity by 2.75G.", 18.5),
        ("RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO temporaries (19.25G) exceeds "
         "available HBM (15.75G).", 19.25),
    ],
)  # fmt: skip
def test_what_a_compiler_wants_when_it_finds_no_room(said, wanted):
    line = compiling._out_of_memory(f"RESOURCE_EXHAUSTED: first\n{said}\nmore")
    assert line == said
    assert compiling._wanted(line) == wanted * 2**30


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


def test_work_that_nothing_depends_on_is_not_counted():
    """A gradient that a loop adds up, and that nobody asks for."""
    ws, x = jnp.ones((5, 16, 16)), jnp.ones((8, 16))
    product = 2 * 8 * 16 * 16

    def both(ws, x):
        def add(carry, w):
            y, unasked = carry
            return (y @ w, unasked + y.T @ y), None

        return jax.lax.scan(add, (x, jnp.zeros((16, 16))), ws)[0]

    program = jax.make_jaxpr(lambda ws, x: both(ws, x)[0])(ws, x)
    assert count_work(program).flops == 2 * 5 * product
    assert count_work(without_unused(program)).flops == 5 * product


def test_of_layers_of_two_kinds_each_counts_by_its_share():
    def step(ws, x):
        def layer(x, each):
            w, is_global = each
            return jax.lax.cond(is_global, lambda x: x @ w @ w @ w, lambda x: x @ w, x), None

        return jax.lax.scan(layer, x, (ws, jnp.arange(6) % 3 == 0))[0]

    ws, x = jax.ShapeDtypeStruct((6, 32, 32), "float32"), jax.ShapeDtypeStruct((7, 32), "float32")
    product, program = 2 * 7 * 32 * 32, jax.make_jaxpr(step)(ws, x)
    assert count_work(program).flops == 6 * 3 * product  # not known: at most so many
    assert count_work(program, 2 / 6).flops == pytest.approx((2 * 3 + 4 * 1) * product)


def test_fused_attention_is_counted_by_its_shapes():
    shapes = ((2, 96, 8, 64), (2, 96, 4, 64))
    invars = [types.SimpleNamespace(aval=jax.ShapeDtypeStruct(shape, jnp.bfloat16)) for shape in shapes]

    def work(name, mask_type):
        primitive = types.SimpleNamespace(name=f"dot_product_attention_{name}_wrapper")
        equation = types.SimpleNamespace(primitive=primitive, invars=invars, params={"mask_type": mask_type})
        return count_work(types.SimpleNamespace(eqns=[equation])).kernels

    product = 2 * 2 * 8 * 96 * 96 * 64
    assert work("fwd", "MaskType.NO_MASK") == 2 * product
    assert work("fwd", "MaskType.CAUSAL") == product
    assert work("bwd", "MaskType.PADDING_CAUSAL") == 2.5 * product


def test_a_ring_sends_what_it_must():
    gather = Collective("all-gather", ("fsdp",), 4, 1000, 3, "bf16", "")
    assert traffic_of(gather) == 750
    assert traffic_of(gather._replace(kind="all-reduce")) == 1500
    chip = CHIPS["v5e"]
    bound = roofline(chip, (4, 4), flops=chip.flops, traffic=2 * chip.bandwidth, moved=[gather])
    assert (bound.arithmetic, bound.memory) == (1, 2)
    assert bound.network == pytest.approx(3 * 750 / 9e10)  # two links, neither dimension long enough for a ring
    assert bound.overlapped == 2
    assert bound.serial == pytest.approx(2 + bound.network)
    ring = roofline(chip, (16, 16), flops=0, traffic=0, moved=[gather])
    assert ring.network == pytest.approx(bound.network / 2)


def test_what_crosses_slices_goes_by_the_network_of_the_data_centre():
    def seconds(kind, group, slices):
        moved = Collective(kind, ("data",), group, 1000, 1, "bf16", "", slices)
        return roofline(chip, (8,), flops=0, traffic=0, moved=[moved]).network

    chip = CHIPS["h200"]
    assert seconds("all-gather", 4, 4) == pytest.approx(750 / chip.network)
    # Of 8 devices in 2 nodes, 4 in each put a quarter of the array each across.
    assert seconds("all-reduce", 8, 2) == pytest.approx(1500 / chip.link + 250 / chip.network)
    assert seconds("all-reduce", 8, 1) == pytest.approx(1750 / chip.link)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v5e-16", "not of the form <kind>:<shape>"),
        ("cpu:0", "has no devices"),
        ("v5e:4x4*0", "has no devices"),
        ("v9:4x4", "'v9' is not one of cpu, v4, v5e.*h100, h200"),
        ("a100:8", "'a100' is not one of"),
        ("h200:16", r"a node has 1 to 8 GPUs, as in h200:8; h200:8\*4 are four nodes"),
        ("h100:2x4", "a node has 1 to 8 GPUs"),
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


def test_a_compiler_for_gpus_that_is_not_installed_is_named(monkeypatch):
    there = {"jax_plugins.xla_cuda12", "jax_cuda12_plugin", "nvidia.cuda_nvcc"}
    monkeypatch.setattr(nvidia, "_there", lambda module: module in there)
    with pytest.raises(PlanError, match=r"pip install --no-deps --target=cuda nvidia-cudnn-cu12; then PYTHONPATH=cuda"):
        find_target("h200:8")
    there.clear()
    with pytest.raises(PlanError, match=rf"jax-cuda12-plugin=={jax.__version__} nvidia-cuda-nvcc-cu12"):
        find_target("h100:8*2")


def test_a_share_of_a_cards_memory_that_is_no_number(monkeypatch):
    monkeypatch.setattr(nvidia, "missing", lambda: ())
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "most")
    with pytest.raises(PlanError, match="MEM_FRACTION=most; a share"):
        find_target("h200:8")


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
        "--config.optimizer.name=adamw",
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


@pytest.mark.skipif(bool(nvidia.missing()), reason="needs XLA's compiler for GPUs")
def test_the_command_plans_for_gpus(tmp_path):
    sizes = ("--config.pipeline.batch_size=16", "--config.pipeline.sequence_length=128", "--config.mesh.fsdp=8")
    more = ("--config.model.compute_dtype=bfloat16", "--config.model.vision.image_size=64")
    done = plan(tmp_path, "--topology=h100:8*2", *sizes, *more)
    assert done.returncode == 0, done.stderr
    assert "kernels are not tuned" in done.stdout
    made = json.loads((tmp_path / "plan-h100-8-times-2.json").read_text())
    assert made["devices"] == 16
    assert made["fits"]
    assert made["bound"]["network"] > 0


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="needs the compiler for TPUs")
def test_the_command_plans_for_slices_of_tpus(tmp_path):
    sizes = ("--config.pipeline.batch_size=16", "--config.pipeline.sequence_length=128", "--config.mesh.fsdp=4")
    done = plan(tmp_path, "--topology=v5e:2x2*2", *sizes, "--config.model.vision.image_size=64")
    assert done.returncode == 0, done.stderr
    made = json.loads((tmp_path / "plan-v5e-2x2-times-2.json").read_text())
    assert made["mesh"] == {"data": 2, "fsdp": 4, "tensor": 1}
    axes = {axis for c in made["collectives"] for axis in c["axes"]}
    assert axes == {"data", "fsdp"}


def test_a_batch_that_does_not_divide_is_refused(tmp_path):
    done = plan(tmp_path, "--topology=cpu:8", "--config.pipeline.batch_size=9")
    assert done.returncode == 1
    assert "pipeline.batch_size=9 is not a multiple of" in done.stderr
    assert "Traceback" not in done.stderr
