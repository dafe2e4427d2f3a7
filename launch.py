"""One entry for an experiment: makes what is missing, trains, evaluates, exports.

    python launch.py --config=configs/quickstart.py --workdir=runs/quickstart [--mode=train] [--config.train.steps=800]
    python launch.py --config=configs/vlsm_7b.py --workdir=runs/plan --mode=plan --topology=v5e:16x16

Every stage picks up where an earlier run of the same command left off. On several hosts, each starts the same command
with `--coordinator=auto`, or with `--coordinator=host:port --process_id= --process_count=` (docs/pods.md).

`--mode=plan` needs neither data nor devices: it compiles the training step for the hardware that `--topology` names and
says what it would take there.
"""

from __future__ import annotations

if __name__ == "__main__":
    from vlsm_jax.cpu_settings import start_with_cpu_settings

    start_with_cpu_settings()

import hashlib
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from vlsm_jax.cpu_settings import compute_in_calling_thread
from vlsm_jax.data.images import ImageError
from vlsm_jax.data.mixture import Mixture
from vlsm_jax.data.tokenizer import Tokenizer, TokenizerError
from vlsm_jax.data.triplets import DataError, TripletSource, open_triplets
from vlsm_jax.training.config import ConfigError, build, flat_settings
from vlsm_jax.training.experiment import (
    SPLITS,
    build_network,
    find_test_splits,
    find_tokenizer,
    open_data,
    open_splits,
    vlsm_config,
)

_CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment, such as configs/quickstart.py.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Where data, checkpoints, logs, report and export go.")
_MODE = flags.DEFINE_enum(
    "mode",
    "all",
    ["all", "data", "train", "evaluate", "export", "plan"],
    "What to do; each includes the making of data that is not there. 'evaluate' and 'export' need a checkpoint.",
)

_TOPOLOGY = flags.DEFINE_string(
    "topology",
    "cpu:8",
    "What to plan for: v5e:4x4, v5p:4x4x4, v6e:16x16*4 (four slices), h200:8, h100:8*4 (four nodes), or cpu:8 "
    "(simulated devices).",
)

_PROFILE_STEPS = flags.DEFINE_string(
    "profile_steps", "", "Training steps to trace into <workdir>/profile, first and last, such as 10:15."
)

_COORDINATOR = flags.DEFINE_string(
    "coordinator",
    "",
    "Of a job of several processes: 'auto' (SLURM, MPI, TPU VM, GKE), or host:port of process 0. Empty: one process.",
)
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "With --coordinator=host:port: which process this is, from 0.")
_PROCESS_COUNT = flags.DEFINE_integer("process_count", None, "With --coordinator=host:port: how many there are.")
_PATIENCE = flags.DEFINE_integer(
    "patience", 300, "Seconds that processes wait for one another to come; one silent for a third of it counts as dead."
)


def main(argv: Sequence[str]) -> None:
    """Runs the stages that `--mode` names."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
    # Imported late: neither `--help` nor the processes that score scripts, which import this file, should wait for jax.
    from vlsm_jax.evaluation.evaluate import EvaluationError
    from vlsm_jax.evaluation.predictions import PredictionError
    from vlsm_jax.generation.constraint import ConstraintError
    from vlsm_jax.generation.load import ModelError
    from vlsm_jax.models import UnsupportedConfigError
    from vlsm_jax.sharding import ShardingError
    from vlsm_jax.synth.dataset import DatasetError
    from vlsm_jax.training.checkpoints import CheckpointError
    from vlsm_jax.training.distributed import Processes, ProcessesError, lost_touch, start_processes
    from vlsm_jax.training.guard import NonFiniteLoss
    from vlsm_jax.training.logs import show_progress_only
    from vlsm_jax.training.planning.topology import PlanError
    from vlsm_jax.training.preemption import EXIT_STATUS, Preempted

    show_progress_only()
    processes = Processes()
    try:
        if _MODE.value == "plan":
            plan(_CONFIG.value, Path(_WORKDIR.value), _TOPOLOGY.value)
            return
        compute_in_calling_thread()
        processes = start_processes(_COORDINATOR.value, _PROCESS_ID.value, _PROCESS_COUNT.value, _PATIENCE.value)
        run(_CONFIG.value, Path(_WORKDIR.value), _MODE.value, processes, _PROFILE_STEPS.value)
        processes.close()
        return
    except Preempted as error:
        logging.warning("%s", error)
        processes.close()
        sys.exit(EXIT_STATUS)
    except (
        *(CheckpointError, ConfigError, ConstraintError, DataError, DatasetError, EvaluationError, ImageError),
        *(
            ModelError,
            NonFiniteLoss,
            PlanError,
            PredictionError,
            ProcessesError,
            ShardingError,
            TokenizerError,
            UnsupportedConfigError,
        ),
    ) as error:
        said = f"error: {error}"
    except OSError as error:
        said = f"error: {error.filename or _WORKDIR.value}: {error.strerror or error}"
    except (Exception, KeyboardInterrupt) as error:
        if processes.count == 1:
            raise
        traceback.print_exc()
        said = f"error: {type(error).__name__}: {error}"
        if lost_touch(error):
            said = (
                f"error: process {processes.index} has lost another one, whose log says why; start all of them again, "
                f"and they go on from the last checkpoint ({str(error).splitlines()[0]})"
            )
    if processes.count > 1:
        processes.fail(said)
    sys.exit(said)


def run(config: ConfigDict, workdir: Path, mode: str, processes: Any = None, profile_steps: str = "") -> None:
    """Runs one experiment; see the module docstring. `processes` are those of the job; None is this one alone."""
    import jax

    from vlsm_jax.generation.constraint import check_available
    from vlsm_jax.generation.draft_examples import MOST, write_examples
    from vlsm_jax.training.distributed import Processes, describe_rows
    from vlsm_jax.training.preflight import check_workdir
    from vlsm_jax.training.profiling import check_steps, parse_steps
    from vlsm_jax.training.recording import LogConfig
    from vlsm_jax.training.sections import EvaluateSection, check_sections

    began = time.monotonic()
    processes = processes or Processes()
    check_sections(config)
    log = build(LogConfig, config.get("log", {}), "log", profile=parse_steps(profile_steps))
    check_workdir(workdir)
    if processes.count > 1:
        processes.agree("what they are", {"--process_count": processes.count, **started_with(config, mode)})
        processes.check_shared(workdir)
    if not processes.first:
        logging.set_verbosity(logging.WARNING)

    for departure in config.get("departures", ()):
        logging.info("not as in the recipe that is reproduced: %s", departure)
    settings = build(EvaluateSection, config.evaluate, "evaluate")
    # An encoder that is trained alone has no decoder behind it yet that knows it, and scripts would say nothing of it.
    evaluating = mode == "evaluate" or (mode == "all" and config.train.get("responses", True))
    if evaluating and any("constrained" in way for way in settings.ways):
        check_available()
    init = config.model.get("init", {})
    if settings.start and not init.get("model"):
        raise ConfigError("evaluate.start is for a run that starts from a model, and model.init.model names none")
    if settings.start and (init.get("decoder") or init.get("vision")):
        raise ConfigError(
            "evaluate.start is for a run that starts from one model; model.init names parts of others too"
        )
    if mode == "all" and settings.model:
        raise ConfigError(f"evaluate.model={settings.model!r}: nothing is trained then; say --mode=evaluate")
    if mode != "data":
        check_steps(log.profile, config.train.steps)
        mesh = find_mesh(config, processes.count)
        processes.connect(mesh)
        if mode != "evaluate" or not settings.model:
            check_settings(config, mesh)

    # --- Data ---------------------------------------------------------------------------------------------------------
    folder = Path(processes.by_first("making the data", lambda: str(data_folder(config, workdir))))
    splits = find_test_splits(config, folder, settings.splits, must=mode == "evaluate") if evaluating else []
    if evaluating:
        from vlsm_jax.evaluation.comparison import tell_change
        from vlsm_jax.evaluation.stage import evaluate_all
        from vlsm_jax.evaluation.subject import read_subject

        for split in settings.splits if processes.first else ():
            if split not in splits:
                print(f"{folder} has no split {split!r}: it will not be evaluated")
    if mode == "evaluate" and settings.model:
        data = open_splits(config, folder, splits)
        processes.agree("the data", {split: describe_rows(rows) for split, rows in data.items()})
        subject = read_subject(settings.model, processes.own_mesh(mesh))
        evaluate_all(subject, data, settings, workdir=workdir, seed=config.seed, processes=processes)
        return
    data = open_data(config, folder, splits)
    processes.by_first("making the tokenizer", lambda: find_tokenizer(config, workdir, data["train"]).directory)
    tokenizer = find_tokenizer(config, workdir, data["train"])
    if processes.count > 1:
        texts = {"tokenizer": hashlib.blake2b(tokenizer.backend.to_str().encode(), digest_size=8).hexdigest()}
        processes.agree("the data", texts | {split: describe_rows(rows) for split, rows in data.items()})
    logging.info("%s; %d token ids", ", ".join(f"{len(rows)} {split}" for split, rows in data.items()), tokenizer.size)
    if mode == "data":
        return
    scripts = []
    if processes.first:
        first = [data["train"][i] for i in range(min(len(data["train"]), MOST))]
        scripts = [tokenizer.texts(row.prompt, row.response)[1] for row in first]
        write_examples(workdir, scripts)  # beside the tokenizer, for whoever exports a checkpoint of the run later

    # --- Model --------------------------------------------------------------------------------------------------------
    model_config = vlsm_config(config, tokenizer)
    network, pipeline = build_network(config, model_config, jax.default_backend())
    logging.info("%s parameters on %d device(s)", f"{network.parameter_count:,}", jax.device_count())

    # --- What the run starts from -------------------------------------------------------------------------------------
    rows, before = {split: data[split] for split in splits}, None
    if splits and settings.start:
        subject = read_subject(config.model.init.model, processes.own_mesh(mesh))
        done = evaluate_all(subject, rows, settings, workdir=workdir, seed=config.seed, processes=processes)
        before = (subject.said, done)
        del subject

    # --- Train --------------------------------------------------------------------------------------------------------
    facts = {
        "config": json.loads(config.to_json_best_effort()),
        "model": model_config.to_dict(),
        "triplets": {split: describe_rows(data[split]) for split in ("train", "validation")},
    }
    params, step = find_params(config, workdir, mode, network, tokenizer, data, pipeline, mesh, facts, log)
    if mode == "train":
        return

    # --- Evaluate: a share of the samples in each process. Export: in the first ---------------------------------------
    exporting = mode == "export" or (mode == "all" and config.export)
    if splits or exporting:
        params, mesh = processes.copy_to_each(params, mesh, network.shardings)
    if splits:
        subject = own_subject(config, workdir, network, params, step, tokenizer, len(data["train"]), pipeline, mesh)
        done = evaluate_all(subject, rows, settings, workdir=workdir, seed=config.seed, processes=processes)
        if before is not None and processes.first:
            tell_change(before, (subject.said, done), workdir / "evaluation", seed=config.seed)
        del subject  # and with it the decoder's copy of the parameters

    def finish() -> str:
        if exporting:
            export_model(workdir / "export", network, params, tokenizer, pipeline, scripts)
        print(f"workdir  {workdir}\nseconds  {time.monotonic() - began:.0f}")
        return "done"

    processes.by_first("exporting", finish)


def started_with(config: ConfigDict, mode: str) -> dict[str, Any]:
    """Returns what must be the same in all processes of a job: name to value."""
    from vlsm_jax.training.loop import code_facts

    settings = {"config": json.loads(config.to_json_best_effort())}
    return {"--mode": mode, **code_facts(), **flat_settings(settings)}


def find_mesh(config: ConfigDict, processes: int) -> Any:
    """Returns the mesh of all devices of so many processes."""
    import jax

    from vlsm_jax.sharding import make_mesh
    from vlsm_jax.training.distributed import ProcessesError

    if jax.process_count() != processes:
        raise ProcessesError(
            f"this is one of {jax.process_count()} hosts of a slice; --coordinator=auto makes them one job"
        )
    try:
        return make_mesh(**config.mesh)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"mesh: {error}") from error


def check_settings(config: ConfigDict, mesh: Any) -> None:
    """Builds what can be built without data, so that a setting that does not fit is named before data are made."""
    import jax

    from vlsm_jax.training.loop import StatePlan, TrainConfig, check_batch
    from vlsm_jax.training.optimizer import OptimizerConfig, make_optimizer
    from vlsm_jax.training.start import check_init, check_model

    train_config = build(TrainConfig, config.train, "train", seed=config.seed)
    optimizer = make_optimizer(build(OptimizerConfig, config.optimizer, "optimizer"), train_config.steps)
    init = dict(config.model.get("init", {}))
    check_init(init)
    if init.get("model"):
        check_model(init["model"], config.pipeline.fit)
    if any(init.values()):
        return  # sizes are those of the pretrained parts
    network, pipeline = build_network(config, vlsm_config(config, None), jax.default_backend())
    check_batch(pipeline.batch_size, train_config.accumulation, mesh)
    StatePlan.create(network, optimizer, train_config.trainable, mesh, train_config.frozen_dtype)


def plan(config: ConfigDict, workdir: Path, topology: str) -> None:
    """Compiles the training step for hardware that need not be here, prints what it takes, and writes it as JSON."""
    from vlsm_jax.sharding import make_mesh
    from vlsm_jax.training.loop import TrainConfig
    from vlsm_jax.training.optimizer import OptimizerConfig
    from vlsm_jax.training.planning import find_target, format_plan, plan_step
    from vlsm_jax.training.sections import PlanSection, check_sections

    check_sections(config)
    section = build(PlanSection, config.get("plan", {}), "plan")
    target = find_target(topology, quick=section.quick)
    try:
        mesh = make_mesh(**config.mesh, devices=target.devices)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"mesh: {error}") from error
    network, pipeline = build_network(config, vlsm_config(config, None), target.platform)
    train_config = build(TrainConfig, config.train, "train", seed=config.seed)
    made = plan_step(
        target,
        mesh,
        network,
        build(OptimizerConfig, config.optimizer, "optimizer"),
        train_config,
        pipeline,
        pictures=section.pictures,
    )
    workdir.mkdir(parents=True, exist_ok=True)
    path = workdir / f"plan-{topology.replace(':', '-').replace('*', '-times-')}.json"
    path.write_text(json.dumps({"config": config.name, **made.to_json()}, indent=2) + "\n")
    print(f"{config.name}\n{format_plan(made)}\nwritten  {path}")


def export_model(
    target: Path,
    network: Any,
    params: dict[str, Any],
    tokenizer: Tokenizer,
    pipeline: Any,
    examples: Sequence[str] = (),
) -> None:
    """Writes the model as a Hugging Face checkpoint; one of text alone as a decoder, with its tokenizer.

    `examples` are scripts that are drafted from where the model writes.
    """
    from convert.huggingface import write_hf_decoder
    from convert.tables import fits_llava
    from convert.to_hf import to_hf
    from vlsm_jax.generation.draft_examples import write_examples

    config, params = network.config, network.plain(params)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as scratch:
        draft = Path(scratch, "export")
        if config.vision is None:
            decoder = {name.removeprefix("decoder/"): value for name, value in params.items()}
            write_hf_decoder(draft, config.decoder, decoder, tokenizer)
            layout = "a decoder"
        else:
            to_hf(draft, config, params, tokenizer=tokenizer, fit=pipeline.fit)
            layout = "LLaVA layout" if fits_llava(config) else "in parts, which no one model of transformers holds"
        if examples:
            write_examples(draft, examples)
        if target.exists():  # of an earlier run; replaced as a whole
            target.rename(Path(scratch, "old"))
        draft.rename(target)
    print(f"export   {target} (Hugging Face, {layout})")


def data_folder(config: ConfigDict, workdir: Path) -> Path:
    """Returns the folder of the triplets; makes them when the config leaves it to us."""
    if config.data.directory:
        directory = Path(config.data.directory)
    else:
        from vlsm_jax.synth import Split, TripletOptions, write_dataset
        from vlsm_jax.synth.readings import write_readings
        from vlsm_jax.synth.shares import write_shares
        from vlsm_jax.training.logs import Progress

        directory, shares = workdir / "data", dict(config.synth.get("shares") or {})
        made = {split: config.synth.get(split.value, 0) for split in Split}
        if shares and any(made.values()):
            raise ConfigError("synth.shares stand alone: what is made of held-out industries has no other splits")
        try:
            own = (*SPLITS, "readings", "shares")
            options = TripletOptions.from_json({k: v for k, v in config.synth.items() if k not in own})
            progress = Progress(sum((shares or made).values()), unit="triplet")
            write = write_shares if shares else write_dataset
            write(
                directory,
                shares or made,
                seed=config.seed,
                options=options,
                workers=os.cpu_count() or 1,
                progress=progress.to,
            )
            if config.synth.get("readings"):
                write_readings(directory, config.synth.readings, workers=os.cpu_count() or 1)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"synth: {error}") from error
        progress.close()
    return directory


def training_mixture(config: ConfigDict, rows: TripletSource) -> TripletSource | Mixture:
    """Returns the training triplets, together with those of other folders where `data.mixture` names some.

    It is written "folder=share, folder=share": samples of each for one of our own. Samples of reading that were made
    along with the triplets (`synth.readings`) come in as well, in the share in which they were made. The tokenizer is
    learnt, and models are validated, on the triplets alone.
    """
    named = [entry.strip() for entry in config.data.mixture.split(",") if entry.strip()]
    if config.synth.get("readings") and not config.data.directory:
        from vlsm_jax.synth.readings import FOLDER

        named.append(f"{rows.path.parent / FOLDER}={config.synth.readings}")
    if not named:
        return rows
    sources, weights = [rows], [1.0]
    for entry in named:
        folder, _, share = entry.rpartition("=")
        try:
            weights.append(float(share))
            sources.append(open_triplets(folder, split="train"))
            sources[-1].check()
            mixture = Mixture(tuple(sources), tuple(weights))
        except ValueError as error:
            raise ConfigError(f"data.mixture: {entry!r}, written as folder=share: {error}") from error
    return mixture


def find_params(
    config: ConfigDict,
    workdir: Path,
    mode: str,
    network: Any,
    tokenizer: Tokenizer,
    data: dict[str, TripletSource],
    pipeline: Any,
    mesh: Any,
    facts: dict[str, Any],
    log: Any,
) -> tuple[dict[str, Any], int]:
    """Returns parameters and their step: trained to the end, or, to evaluate or export, of a checkpoint."""
    from vlsm_jax.training.loop import TrainConfig, restore_params, train
    from vlsm_jax.training.optimizer import OptimizerConfig
    from vlsm_jax.training.start import starter

    train_config = build(TrainConfig, config.train, "train", seed=config.seed)
    optimizer_config = build(OptimizerConfig, config.optimizer, "optimizer")
    if mode in ("evaluate", "export"):
        return restore_params(network, optimizer_config, train_config, mesh, workdir, config.evaluate.checkpoint)
    result = train(
        network,
        tokenizer,
        train_data=training_mixture(config, data["train"]),
        validation_data=data["validation"],
        pipeline=pipeline,
        optimizer_config=optimizer_config,
        config=train_config,
        mesh=mesh,
        workdir=workdir,
        facts=facts,
        log=log,
        initial_params=starter(network, config.seed, mesh, dict(config.model.get("init", {}))),
    )
    if mode == "train" or config.evaluate.checkpoint == "last":
        return result.params, result.steps
    del result  # two copies may not fit
    return restore_params(network, optimizer_config, train_config, mesh, workdir, config.evaluate.checkpoint)


def own_subject(
    config: ConfigDict,
    workdir: Path,
    network: Any,
    params: dict[str, Any],
    step: int,
    tokenizer: Tokenizer,
    triplets: int,
    pipeline: Any,
    mesh: Any,
) -> Any:
    """Returns a checkpoint of this run as what is evaluated."""
    from vlsm_jax.evaluation.subject import Subject
    from vlsm_jax.generation.decode import Generator
    from vlsm_jax.training.logs import read_metrics

    metrics = read_metrics(workdir / "metrics.jsonl")
    curves = {
        kind: [(row["step"], row["loss"]) for row in metrics if row["kind"] == kind and row["loss"] is not None]
        for kind in ("train", "validation")
    }
    product = config.evaluate.quantised_product
    return Subject(
        name=config.name,
        said=f"{config.name}, step {step}",
        folder=f"step-{step}",
        generator=Generator(network, params, tokenizer, fit=pipeline.fit, mesh=mesh, product=product),
        losses=curves,
        facts={"training triplets": triplets, "optimizer steps": step},
    )


def parse_flags(argv: Sequence[str]) -> list[str]:
    """Parses the command line, and reads the config; what is wrong with either ends in one line."""
    try:
        rest = flags.FLAGS(argv)
        _CONFIG.value.keys()  # a file that is not there is told of when something is asked of it
        return rest
    except AttributeError as error:  # what ml_collections raises, around its own message
        inner = error.args[0] if error.args else error
        said = " ".join(str(inner.args[0] if isinstance(inner, Exception) and inner.args else inner).split())
        sys.exit(f"error: a --config flag names a key that the config does not have: {said}")
    except (flags.Error, OSError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # A config that does not take its argument comes with a traceback, of which the last line says why.
        said = lines[-1].removeprefix("ValueError: ") if len(lines) > 1 else lines[0]
        sys.exit(f"error: {said}; --help lists the flags")


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "workdir"])
    app.run(main, flags_parser=parse_flags)
