"""Training: mesh, data, model, restore, steps. Reads from top to bottom."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vlsm_jax.data.mixture import Mixture, sources_of
from vlsm_jax.data.pipeline import Batch, PipelineConfig, make_dataset
from vlsm_jax.data.tokenizer import Tokenizer
from vlsm_jax.data.triplets import TripletSource
from vlsm_jax.sharding import batch_sharding, batch_share
from vlsm_jax.training.checkpoints import Checkpoints, Which, to_json
from vlsm_jax.training.compiler_memory import compiler_options
from vlsm_jax.training.config import ConfigError
from vlsm_jax.training.flops import StepFlops
from vlsm_jax.training.frozen_features import keep_features
from vlsm_jax.training.guard import LossGuard
from vlsm_jax.training.network import Network, Params
from vlsm_jax.training.optimizer import OptimizerConfig, check_pattern, make_optimizer, path_name, split_frozen
from vlsm_jax.training.parameters import describe_parameters
from vlsm_jax.training.preemption import Preempted, notice_of_end
from vlsm_jax.training.preflight import changed_settings, check_rows
from vlsm_jax.training.recording import LogConfig, Recorder, describe_peak
from vlsm_jax.training.step import BatchLoss, TrainState, make_train_step, make_validation_step
from vlsm_jax.version import __version__

_AHEAD = 2
"""Steps that may wait for the device: it never idles, and one that is to end has no more than these to finish."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How long, how often, and what is trained.

    Attributes:
      steps: optimizer updates.
      accumulation: microbatches a batch is cut into.
      trainable: (regular expression, trained or frozen) over parameter paths; exhaustive, the first match decides.
      frozen_dtype: what frozen parameters are kept in, statistics of quantised kernels apart; "" leaves them as they
        are. "bfloat16" halves them, and changes nothing where that is what is computed in.
      features: folder where the features of a frozen encoder are kept, each picture's computed once (16 bits; see
        data/features.py for how much disk that is); "" runs the encoder in every step.
      log_every, validate_every, checkpoint_every: in steps. Before a checkpoint there is always a validation.
      validation_batches: how many, the same ones each time.
      keep_checkpoints: the newest this many stay, and the one with the lowest validation loss.
      most_skipped: updates whose loss or gradients are not finite are left out; so many in a row end the run.
      visual_targets: what a visual token is to say by its sketch's annotation counts as much as so many tokens of a
        response; 0: annotations are not read, and no triplet has to have one.
      responses: False: the encoder is trained alone, on what visual tokens are to say. The decoder does not run, and is
        to be frozen, but for its embeddings: visual tokens learn to be like them, and they may learn to differ.
      seed: of the initial parameters.
    """

    steps: int
    accumulation: int = 1
    trainable: Sequence[tuple[str, bool]] = ((r".*", True),)
    frozen_dtype: str = ""
    features: str = ""
    log_every: int = 10
    validate_every: int = 100
    validation_batches: int = 4
    checkpoint_every: int = 100
    keep_checkpoints: int = 2
    most_skipped: int = 5
    visual_targets: float = 0.0
    responses: bool = True
    seed: int = 0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and field.name != "seed" and value < 1:
                raise ValueError(f"{field.name}={value} is below 1")
        if self.visual_targets < 0:
            raise ValueError(f"visual_targets={self.visual_targets:g} is below 0")
        if not self.responses and not self.visual_targets:
            raise ValueError("responses=False leaves nothing to learn while visual_targets=0; set that to 1")
        for rule in self.trainable:
            if isinstance(rule, str) or len(rule) != 2 or not isinstance(rule[0], str) or type(rule[1]) is not bool:
                raise ValueError(f"trainable: {rule!r}; each rule is a regular expression and True or False")
            check_pattern("trainable", rule[0])


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What training leaves behind.

    Attributes:
      params: all parameters, frozen ones included, on the mesh.
      steps: updates done in all.
      seconds: wall time of this process's share of the training, compilation included.
    """

    params: Params
    steps: int
    seconds: float


def train(
    network: Network,
    tokenizer: Tokenizer,
    *,
    train_data: TripletSource | Mixture,
    validation_data: TripletSource,
    pipeline: PipelineConfig,
    optimizer_config: OptimizerConfig,
    config: TrainConfig,
    mesh: Mesh,
    workdir: Path,
    facts: dict[str, Any],
    log: LogConfig = LogConfig(),
    initial_params: Callable[[], Params] | None = None,
) -> TrainResult:
    """Trains until `config.steps`, going on from the newest checkpoint in `workdir`.

    The same seed, config and mesh give the same losses, whether or not the run was interrupted.

    Args:
      network: the model without parameters.
      tokenizer: turns triplets into ids.
      train_data, validation_data: the rows; those of training from one source or several.
      pipeline: how rows become batches.
      optimizer_config, config: see there.
      mesh: devices; the batch is spread over `data` and `fsdp`.
      workdir: holds `checkpoints/`, `metrics.jsonl` and what else is recorded.
      facts: the resolved config and whatever else should stand in every checkpoint.
      log: where metrics go.
      initial_params: where a new run starts; None draws fresh parameters from `config.seed`.

    Raises:
      CheckpointError: a checkpoint does not fit this config, or cannot be written.
      DataError: the data does not fit this config.
      NonFiniteLoss: loss or gradients were not finite in too many updates in a row.
      Preempted: SIGTERM came, and the state is saved.
    """
    workdir = Path(workdir)
    lead = jax.process_index() == 0
    check_batch(pipeline.batch_size, config.accumulation, mesh)

    # --- State: what it is like, and whether that of the checkpoint is ------------------------------------------------
    optimizer = make_optimizer(optimizer_config, config.steps)
    plan = StatePlan.create(network, optimizer, config.trainable, mesh, config.frozen_dtype)
    check_objective(config, pipeline, network, plan)
    if lead:
        logging.info("parameters\n%s\n%s", describe_parameters(network, plan.abstract, mesh), plan.freeze_table)
    facts = to_json({**facts, **environment_facts()})
    with Checkpoints(workdir / "checkpoints", keep=config.keep_checkpoints) as checkpoints:
        checkpoints.check(plan.abstract)

        # --- Data -----------------------------------------------------------------------------------------------------
        shard = dict(zip(("shard_index", "shard_count"), batch_share(mesh), strict=True))
        dataset = make_dataset(train_data, tokenizer, pipeline, **shard)
        check_rows(dataset, pipeline.batch_size)
        batches = iter(dataset)
        validation = make_dataset(validation_data, tokenizer, pipeline, shuffle=False, **shard)

        # --- State ----------------------------------------------------------------------------------------------------
        first = checkpoints.latest_step or 0
        if first:
            first, state, before = checkpoints.restore(plan.abstract, batches)
            logging.info("going on from the checkpoint of step %d%s", first, _best_so_far(checkpoints))
            then, now = (
                {**told.get("config", {}), **({"triplets": told["triplets"]} if told.get("triplets") else {})}
                for told in (before, facts)
            )
            if changed := changed_settings(then, now):
                logging.warning("going on with other settings than the checkpoint's:\n  %s", "\n  ".join(changed))
        else:
            if initial_params is not None:
                state = jax.jit(plan.start, out_shardings=plan.shardings)(initial_params())
            else:
                state = jax.jit(lambda seed: plan.start(network.init(seed)), out_shardings=plan.shardings)(config.seed)
            checkpoints.begin(state)
        if config.features:
            everything = {**state.frozen, **state.trained}
            kept = keep_features(
                network,
                everything,
                (*sources_of(train_data), validation_data),
                fit=pipeline.fit,
                root=Path(config.features),
                trained=state.trained,
            )
            place = batches.get_state()
            batches = iter(make_dataset(train_data, tokenizer, pipeline, **shard, features=kept))
            batches.set_state(place)
            validation = make_dataset(validation_data, tokenizer, pipeline, shuffle=False, **shard, features=kept)
        flops = StepFlops.create(
            network,
            plan.abstract.trained,
            features=bool(config.features),
            responses=config.responses,
            kept_patches=pipeline.kept_patches,
        )
        if lead:
            logging.info("%s; %s", flops.describe(pipeline.sequence_length), describe_peak(mesh))
        shares = shard["shard_count"]
        with Recorder(
            workdir, first, config.steps, flops=flops, mesh=mesh, shares=shares, config=log, facts=facts
        ) as recorder:
            return _run_steps(
                network, optimizer, plan, state, first, batches, validation, config, mesh, checkpoints, recorder, facts
            )


def _best_so_far(checkpoints: Checkpoints) -> str:
    best = checkpoints.best
    return "" if best is None else f"; the best so far is that of step {best[0]}, validation loss {best[1]:.4f}"


def _run_steps(
    network: Network,
    optimizer: optax.GradientTransformation,
    plan: StatePlan,
    state: TrainState,
    first: int,
    batches: Iterator,
    validation: Any,
    config: TrainConfig,
    mesh: Mesh,
    checkpoints: Checkpoints,
    recorder: Recorder,
    facts: dict[str, Any],
) -> TrainResult:
    """Trains from step `first` to the last."""
    rows = batch_sharding(mesh)
    replicated = NamedSharding(mesh, PartitionSpec())
    step_fn = jit_train_step(network, optimizer, plan, config, mesh)
    validation_fn = jax.jit(
        make_validation_step(network.merge, responses=config.responses),
        in_shardings=(plan.shardings, rows),
        out_shardings=replicated,
    )
    guard = LossGuard(config.most_skipped, batches.names_at, recorder.note)
    behind: collections.deque[Any] = collections.deque(maxlen=_AHEAD)
    began = time.monotonic()
    with jax.set_mesh(mesh), contextlib.ExitStack() as stack:
        stack.callback(close_iterator, batches)
        recorder.start_window()
        reached = stack.enter_context(notice_of_end())
        for step in range(first + 1, config.steps + 1):
            guard.expect(step, batches.get_state())
            host_batch = recorder.fetch(step, batches)
            state, step_metrics = step_fn(state, to_device(host_batch, rows))
            recorder.add(step, step_metrics, host_batch)
            if len(behind) == _AHEAD:
                jax.block_until_ready(behind.popleft())
            behind.append(step_metrics)
            last_step, saving = step == config.steps, step % config.checkpoint_every == 0
            told = reached(step)
            if step % config.log_every == 0 or last_step or saving or told or step == first + 1:
                # Reading the metrics waits for the device, so it is done once for many steps; and always before a
                # checkpoint, which must not be ahead of the log.
                for at, value in recorder.read():
                    recorder.write(at, value)
                    guard.see(at, value, state)
                recorder.end_window()
            loss = None
            # Whoever is told to end may have seconds: the checkpoint goes without a validation.
            if last_step or ((step % config.validate_every == 0 or saving) and not told):
                total = validate(validation_fn, state, validation, config.validation_batches, rows)
                recorder.validated(step, total)
                loss = total["loss"]
            if saving or last_step or told:
                checkpoints.save(step, state, batches, facts, loss)
            if told:
                checkpoints.wait()
                raise Preempted(step, config.steps)
    return TrainResult({**state.frozen, **state.trained}, int(state.step), time.monotonic() - began)


def jit_train_step(
    network: Network,
    optimizer: optax.GradientTransformation,
    plan: StatePlan,
    config: TrainConfig,
    mesh: Mesh,
) -> Callable[[TrainState, Batch], tuple[TrainState, Any]]:
    """Returns the step that training runs and planning compiles; it takes the state for its own."""
    return jax.jit(
        make_train_step(network.merge, optimizer, config.accumulation, config.visual_targets, config.responses),
        in_shardings=(plan.shardings, batch_sharding(mesh)),
        out_shardings=(plan.shardings, NamedSharding(mesh, PartitionSpec())),
        donate_argnums=0,
        compiler_options=compiler_options(network.remat, mesh.devices.flat[0].platform),
    )


def check_objective(config: TrainConfig, pipeline: PipelineConfig, network: Network, plan: StatePlan) -> None:
    """Raises ConfigError where an encoder that is trained alone is none, or something else is to be trained with it.

    Or where a decoder would learn behind patches that are chosen by an annotation, which nobody has who asks it later.
    """
    if config.responses:
        if pipeline.kept_patches:
            raise ConfigError(
                f"pipeline.kept_patches={pipeline.kept_patches} is for an encoder alone (train.responses=False); set "
                "it to 0, and model.seen_patches to how many patches are enough for encoder and decoder"
            )
        return
    if network.config.vision is None:
        raise ConfigError("train.responses=False trains an encoder, and model.vision=None; give the model one")
    taught = ("vision/", "connector/", "decoder/embedding/")  # the last is what visual tokens are to be like
    others = sorted(name for name in plan.abstract.trained if not name.startswith(taught))
    if others:
        raise ConfigError(
            f"train.responses=False trains an encoder alone, and train.trainable has {others[0]} and "
            f"{len(others) - 1} more trained, which would only decay; freeze what is not of {', '.join(taught)}"
        )


def validate(
    validation_fn: Callable[[TrainState, Batch], BatchLoss],
    state: TrainState,
    data: Any,
    batches: int,
    rows: NamedSharding,
) -> dict[str, float]:
    """Returns loss (nats per response token) and accuracy over the first `batches` batches of `data`.

    Where visual tokens have targets, `visual_loss` (nats per target) and `visual_accuracy`, too; where an encoder is
    trained alone, these are loss and accuracy.
    """
    total = BatchLoss.zero()
    iterator = iter(data)
    for _ in range(batches):
        total = total + validation_fn(state, to_device(next(iterator), rows))
    close_iterator(iterator)
    total = jax.device_get(total)
    text, visual = total
    weight, seen = max(float(text.weight), 1.0), float(visual.weight)
    out = {"loss": float(text.loss) / weight, "accuracy": float(text.correct) / weight, "tokens": float(text.targets)}
    if seen:
        out |= {"visual_loss": float(visual.loss) / seen, "visual_accuracy": float(visual.correct) / seen}
    return out


def to_device(batch: dict[str, np.ndarray], sharding: NamedSharding) -> Batch:
    """Returns this host's rows as a part of the global batch."""
    return Batch(**{k: jax.make_array_from_process_local_data(sharding, v) for k, v in batch.items()})


def close_iterator(iterator: Iterator) -> None:
    """Ends the threads and processes behind a grain iterator, if it has any."""
    close = getattr(iterator, "close", None)
    if close is not None:
        close()


class StatePlan(NamedTuple):
    """What a `TrainState` looks like and where it lies, before there is one.

    Attributes:
      start: parameters to the state of step 0.
      abstract: shapes, dtypes and places.
      shardings: places alone.
      freeze_table: what is trained and what is frozen, for the log.
    """

    start: Callable[[Params], TrainState]
    abstract: TrainState
    shardings: TrainState
    freeze_table: str

    @classmethod
    def create(
        cls,
        network: Network,
        optimizer: optax.GradientTransformation,
        trainable: Sequence[tuple[str, bool]],
        mesh: Mesh,
        frozen_dtype: str = "",
    ) -> StatePlan:
        """Returns the plan; optimizer moments lie where their parameters do.

        Raises:
          ConfigError: see `split_frozen`, `Network.check_trained`; or `frozen_dtype` is no floating dtype.
        """
        trained, frozen, freeze_table = split_frozen(network.shapes, trainable)
        network.check_trained(trained)
        if frozen_dtype not in ("", "float32", "bfloat16"):
            raise ConfigError(
                f"train.frozen_dtype={frozen_dtype!r}; choose 'float32', 'bfloat16' or '' for as they are"
            )
        quantised = network.quantised_names

        def keep(name: str, value: jax.Array) -> jax.Array:
            return value.astype(frozen_dtype) if frozen_dtype and name not in quantised else value

        def start(params: Params) -> TrainState:
            mine = {name: params[name] for name in trained}
            others = {name: keep(name, params[name]) for name in frozen}
            return TrainState(jnp.zeros((), jnp.int32), mine, others, optimizer.init(mine))

        shapes = jax.eval_shape(start, network.shapes)
        places = network.shardings(mesh)
        whole = NamedSharding(mesh, PartitionSpec())
        mine = {name: places[name] for name in trained}
        # A moment stands below its parameter's name, wherever in the optimizer's state that is.
        moments = jax.tree_util.tree_map_with_path(
            lambda path, _: mine.get(path_name(path[-1:]), whole), shapes.optimizer
        )
        shardings = TrainState(whole, mine, {name: places[name] for name in frozen}, moments)
        abstract = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, shardings)
        return cls(start, abstract, shardings, freeze_table)


def restore_params(
    network: Network,
    optimizer_config: OptimizerConfig,
    config: TrainConfig,
    mesh: Mesh,
    workdir: Path,
    which: Which = "last",
) -> tuple[Params, int]:
    """Returns the parameters of the newest or the best checkpoint in `workdir`, on `mesh`, and its step.

    Raises:
      CheckpointError: there is none, or it was written by another model, or none was validated.
    """
    optimizer = make_optimizer(optimizer_config, config.steps)
    plan = StatePlan.create(network, optimizer, config.trainable, mesh, config.frozen_dtype)
    with Checkpoints(Path(workdir) / "checkpoints", read_only=True) as checkpoints:
        step, state, _ = checkpoints.restore(plan.abstract, None, checkpoints.step_of(which))
    return {**state.frozen, **state.trained}, step


def environment_facts() -> dict[str, Any]:
    """Returns versions, git revision and devices, for checkpoints and reports."""
    return {**code_facts(), "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}"}


def code_facts() -> dict[str, Any]:
    """Returns versions and git revision, which hosts of a job must have in common; asks for no device."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
        revision = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        revision = ""
    return {
        "vlsm_jax": __version__,
        "jax": jax.__version__,
        "flax": flax.__version__,
        "python": platform.python_version(),
        "revision": revision,
    }


def check_batch(batch_size: int, accumulation: int, mesh: Mesh) -> None:
    """Raises ConfigError when a batch does not divide among microbatches and devices."""
    spread = mesh.shape["data"] * mesh.shape["fsdp"]
    if batch_size % (accumulation * spread):
        raise ConfigError(
            f"pipeline.batch_size={batch_size} is not a multiple of train.accumulation={accumulation} times the "
            f"{spread} devices that share a batch (mesh data x fsdp)"
        )
