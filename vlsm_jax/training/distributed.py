"""Several processes as one job, on one host or many: they find one another, agree on what they do, and end together.

jax itself knows SLURM, Open MPI, TPU VMs, GKE and other Kubernetes jobs; what it lacks is here: a word of why nobody
came, a comparison of what each process was started with, work that the first does for all, and an end for all when one
fails.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import itertools
import json
import math
import os
import re
import secrets
import socket
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

import jax
import jax.numpy as jnp
from absl import logging
from jax._src import distributed as jax_distributed  # the only way to the store that all processes read and write
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vlsm_jax.data.triplets import Record
from vlsm_jax.sharding import make_mesh

AUTO = "auto"
"""`--coordinator=auto`: jax asks the launcher that started the processes."""

_LONGEST = 8 * 3600.0  # seconds that a process waits for another's work: one that dies or fails is noticed much sooner
_REMIND = 60.0
_ENDED = "vlsm_jax/ended"  # with a process's index: why it is to end; "" when its own work is done
_LAST = 3.0  # seconds by which process 0, from which the others hear why, outlives them
_SIGHT = 30.0  # seconds after which a network's file system shows a new file
_SAMPLED = 64  # rows that stand for a data set
_SHOWN = 10

_KNOWN = "a SLURM step, Open MPI, other MPI with mpi4py, a TPU VM, GKE with TPUs, Kubernetes with jax[k8s]"

# What launchers say of how many processes they started: SLURM's own word for a step, not for the whole allocation.
_COUNTS = {
    "SLURM_STEP_NUM_TASKS": "SLURM",
    "OMPI_COMM_WORLD_SIZE": "Open MPI",
    "PMI_SIZE": "MPI",
    "MEGASCALE_NUM_SLICES": "the TPU launcher",
}
_LOST = ("Gloo", "NCCL", "UNAVAILABLE", "closed by peer", "Connection reset", "coordination service")


class ProcessesError(RuntimeError):
    """Processes that do not find one another or do not agree; the message says which, on what, and what to do."""


class _Store(Protocol):
    """What is used of jax's client of the coordination service."""

    def key_value_set(self, key: str, value: str) -> None: ...
    def blocking_key_value_get(self, key: str, timeout_in_ms: int) -> str: ...


@dataclasses.dataclass(frozen=True)
class Processes:
    """The processes of a job, of which this is one.

    Attributes:
      index: of this process; 0 is the first, which makes data and writes logs.
      count: how many there are.
      store: what all of them read and write; None where there is one process only.
      watch: the thread that ends this process when another one fails.
      longest: seconds that one waits for another.
    """

    index: int = 0
    count: int = 1
    store: _Store | None = None
    watch: threading.Thread | None = None
    longest: float = _LONGEST

    @property
    def first(self) -> bool:
        """Whether this process does what is done once."""
        return self.index == 0

    def by_first(self, what: str, work: Callable[[], str]) -> str:
        """Returns what `work` returns in the first process; the others wait for it.

        Where it fails there, the job ends, and with it those who wait.

        Args:
          what: the work, for messages: "making the data". Unique in a job.
          work: done in the first process alone.

        Raises:
          ProcessesError: the first process is gone, or takes longer than `longest`.
        """
        if self.count == 1:
            return work()
        if self.first:
            self._put(f"{what}/done", work())
        return self._get(f"{what}/done", f"process 0: {what}")

    def agree(self, topic: str, facts: Mapping[str, Any]) -> None:
        """Compares facts among all processes; also where all of them meet.

        Args:
          topic: what the facts are about, for messages. Unique in a job.
          facts: name to value (JSON).

        Raises:
          ProcessesError: in every process, when they differ: which facts, and how in which process.
        """
        if self.count == 1:
            return
        self._put(f"{topic}/facts/{self.index}", json.dumps(facts, default=str))
        if self.first:
            told = [self._get(f"{topic}/facts/{i}", f"process {i}: {topic}") for i in range(self.count)]
            self._put(f"{topic}/verdict", _differences([json.loads(one) for one in told]))
        verdict = self._get(f"{topic}/verdict", f"process 0: {topic}")
        if verdict:
            raise ProcessesError(
                f"the {self.count} processes of this job do not agree on {topic}:\n{verdict}\nstart all of them with "
                "the same command, code and data"
            )

    def check_shared(self, folder: Path) -> None:
        """Makes sure that all processes see one and the same folder.

        Raises:
          ProcessesError: in a process that sees another one.
        """
        if self.count == 1:
            return
        name = self.by_first(f"a file in {folder.name}", lambda: _leave_mark(folder))
        seen = folder / name
        limit = time.monotonic() + _SIGHT
        try:
            while not seen.exists():
                if time.monotonic() > limit:
                    raise ProcessesError(
                        f"{folder} on {socket.gethostname()} is not the folder of that name that process 0 sees; put "
                        "--workdir on a file system that all hosts share"
                    )
                time.sleep(0.2)
            self.agree(f"sight of {folder.name}", {})
        finally:
            if self.first:
                seen.unlink(missing_ok=True)

    def connect(self, mesh: Mesh) -> None:
        """Adds a number over every group of devices that a step may use.

        Groups are then connected, or it is known at once that they cannot be. While a step is compiled processes drift
        apart, and on CPUs one that is half a minute late at the first meeting of a group ends the job.
        """
        if self.count == 1:
            return
        axes = [name for name, size in mesh.shape.items() if size > 1]
        groups = [names for count in range(1, len(axes) + 1) for names in itertools.combinations(axes, count)]
        place = PartitionSpec(*mesh.axis_names)

        def add(x: jax.Array) -> list[jax.Array]:
            return [jax.lax.psum(x, names) for names in groups]

        ones = jax.jit(lambda: jnp.ones(mesh.devices.shape), out_shardings=NamedSharding(mesh, place))()
        added = jax.shard_map(add, mesh=mesh, in_specs=place, out_specs=place, check_vma=False)
        jax.block_until_ready(jax.jit(added)(ones))

    def own_mesh(self, mesh: Mesh) -> Mesh:
        """Returns a mesh of this process's devices alone, of the kind of the job's; of one process, that one."""
        if self.count == 1:
            return mesh
        here = jax.local_devices()
        tensor = math.gcd(len(here), mesh.shape["tensor"])
        fsdp = math.gcd(len(here) // tensor, mesh.shape["fsdp"])
        return make_mesh(len(here) // (tensor * fsdp), fsdp, tensor, devices=here)

    def copy_to_each(
        self, params: Mapping[str, jax.Array], mesh: Mesh, places: Callable[[Mesh], Mapping[str, NamedSharding]]
    ) -> tuple[dict[str, jax.Array], Mesh]:
        """Returns parameters on the devices of this process alone, and their mesh: a copy in every process.

        All processes call it; array after array is whole on every device for a moment.

        Args:
          params: on `mesh`.
          mesh: of all processes.
          places: a mesh to the place of every parameter.
        """
        if self.count == 1:
            return dict(params), mesh
        own = self.own_mesh(mesh)
        mine = places(own)
        copied = {}
        for name in sorted(params):
            whole = multihost_utils.process_allgather(params[name], tiled=True)
            copied[name] = jax.device_put(whole, mine[name])
        return copied, own

    def fail(self, message: str) -> NoReturn:
        """Ends this process with status 1, and all others of the job with its message."""
        print(message, file=sys.stderr, flush=True)
        if self.store is not None:
            for index in range(self.count):
                # The first word counts; and where process 0 is gone, nobody is left to be told.
                with contextlib.suppress(jax.errors.JaxRuntimeError):
                    self.store.key_value_set(f"{_ENDED}/{index}", f"{self.index} {message}")
        _leave(self.index)

    def close(self) -> None:
        """Ends this process's part in the job, when its work is done."""
        if self.store is not None:
            with contextlib.suppress(jax.errors.JaxRuntimeError):
                self.store.key_value_set(f"{_ENDED}/{self.index}", "")
            self.watch.join(10)  # a thread in jax must not outlive Python

    def _put(self, key: str, value: str) -> None:
        self.store.key_value_set(f"vlsm_jax/{key}", value)

    def _get(self, key: str, whom: str) -> str:
        began, remind = time.monotonic(), _REMIND
        while True:
            left = self.longest - (time.monotonic() - began)
            try:
                return self.store.blocking_key_value_get(f"vlsm_jax/{key}", max(1, int(1000 * min(left, remind))))
            except jax.errors.JaxRuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise ProcessesError(f"{whom}: no answer, the first process is gone; see its log") from error
            waited = time.monotonic() - began
            if waited >= self.longest:
                raise ProcessesError(
                    f"waited {waited:.0f} s for {whom}. It is alive and not done: see its log; what takes longer than "
                    "that is better done before, by one process with --mode=data"
                )
            logging.warning("waiting for %s (%.0f s)", whom, waited)
            remind *= 2


def lost_touch(error: BaseException) -> bool:
    """Returns whether an error of jax tells of another process that is gone, and not of this one's own work."""
    return isinstance(error, jax.errors.JaxRuntimeError) and any(word in str(error) for word in _LOST)


def describe_rows(rows: Sequence[Record]) -> str:
    """Returns the number of rows and a digest of the texts of some, wherever they lie."""
    digest = hashlib.blake2b(digest_size=8)
    for place in range(min(_SAMPLED, len(rows))):
        row = rows[place * len(rows) // min(_SAMPLED, len(rows))]
        digest.update(repr((row.prompt, row.response, row.image is None)).encode())
    return f"{len(rows)} rows, {digest.hexdigest()}"


# --- Start ------------------------------------------------------------------------------------------------------------


def start_processes(
    coordinator: str = "", process_id: int | None = None, process_count: int | None = None, patience: int = 300
) -> Processes:
    """Joins the other processes of a job, before anything has asked jax for a device.

    Args:
      coordinator: "" for a process alone, "auto", or host:port of process 0, which listens there.
      process_id, process_count: with host:port, which of how many this is.
      patience: seconds to wait for the others to come; one that is silent for a third of it (10 s at least) is taken
        for dead, which ends the job.

    Raises:
      ProcessesError: the arguments do not fit together, or no launcher says who the others are. Where the others do not
        come, the process ends with a message that says what was seen of them.
    """
    _check_arguments(coordinator, process_id, process_count, patience)
    if not coordinator:
        return Processes()
    heartbeat = max(10, patience // 3)
    address = None if coordinator == AUTO else coordinator
    method = "deactivate" if address else _detection()
    try:
        with _ended_after(patience, process_id, process_count):
            jax.distributed.initialize(
                address,
                process_count,
                process_id,
                # One process on a host has all of its devices; jax would give it the first, as one of several.
                local_device_ids=[] if not address and _alone_on_host() else None,
                cluster_detection_method=method,
                initialization_timeout=patience + 60,  # what this class says of it comes before
                heartbeat_timeout_seconds=heartbeat,
                shutdown_timeout_seconds=patience,
            )
    except ValueError as error:
        raise ProcessesError(
            f"--coordinator=auto: jax finds none of {_KNOWN}; give --coordinator=host:port, --process_id and "
            "--process_count"
        ) from error
    except RuntimeError as error:
        if "start RPC server" in str(error):
            raise ProcessesError(
                f"process 0 cannot listen at {jax_distributed.global_state.coordinator_address}: another program does; "
                "choose another port"
            ) from error
        raise ProcessesError(f"--coordinator={coordinator}: {error}") from error
    state = jax_distributed.global_state
    index, count, store = state.process_id, state.num_processes, state.client
    if count == 1:
        return Processes()
    watch = threading.Thread(target=_end_with_others, args=(index, store), daemon=True)
    watch.start()
    if index == 0:
        logging.info(
            "%d processes, this is the first; one that dies ends the others within %d s, and the same command goes on "
            "from the last checkpoint",
            *(count, heartbeat),
        )
    return Processes(index, count, store, watch)


def _check_arguments(coordinator: str, process_id: int | None, process_count: int | None, patience: int) -> None:
    numbers = f"--process_id={process_id} --process_count={process_count}"
    if coordinator in ("", AUTO):
        if process_id is not None or process_count is not None:
            raise ProcessesError(f"{numbers} is said with --coordinator=host:port only")
    elif not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^\s:\[\]]+):\d{1,5}", coordinator):
        raise ProcessesError(f"--coordinator={coordinator!r} is neither 'auto' nor host:port, such as 10.0.0.1:8476")
    elif process_id is None or process_count is None or not 0 <= process_id < process_count:
        raise ProcessesError(f"--coordinator={coordinator} {numbers}: say which process of how many, 0 to count - 1")
    if patience < 1:
        raise ProcessesError(f"--patience={patience} is not a number of seconds from 1 on")
    if not coordinator:
        counts = {who: int(os.environ[key]) for key, who in _COUNTS.items() if os.environ.get(key, "").isdigit()}
        counts["the TPU launcher"] = counts.get("the TPU launcher", 1) * len(
            os.environ.get("TPU_WORKER_HOSTNAMES", "").split(",")
        )
        if several := next((who for who, count in counts.items() if count > 1), None):
            raise ProcessesError(
                f"{several} started {counts[several]} processes, and each would train by itself into the same folder; "
                "--coordinator=auto makes them one job"
            )


def _detection() -> str | None:
    """Returns the way by which jax is to find the others, where it does not choose by itself: MPI but old Open MPI."""
    mpi = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK")
    if "OMPI_MCA_orte_hnp_uri" in os.environ or "SLURM_STEP_NODELIST" in os.environ:
        return None
    if not any(name in os.environ for name in mpi):
        return None
    if importlib.util.find_spec("mpi4py") is None:
        raise ProcessesError("--coordinator=auto: MPI started this process, and jax asks it through mpi4py: install it")
    return "mpi4py"


def _alone_on_host() -> bool:
    slurm = os.environ.get("SLURM_STEP_TASKS_PER_NODE", "")
    return bool(re.fullmatch(r"1(\(x\d+\))?", slurm)) or os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == "1"


@contextlib.contextmanager
def _ended_after(patience: int, process_id: int | None, process_count: int | None) -> Iterator[None]:
    """Ends the process with a reason when what is within takes too long: jax would abort it, with a stack and none."""

    def end() -> None:
        address = jax_distributed.global_state.coordinator_address
        who = "this process" if process_id is None else f"process {process_id} of {process_count}"
        print(f"error: {who} waited {patience} s for the others. {_seen_of(address)}", file=sys.stderr, flush=True)
        os._exit(1)

    timer = threading.Timer(patience, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _seen_of(address: str | None) -> str:
    """Returns what is at the coordinator's address, and so what may be wrong."""
    if address is None:
        return "The launcher did not say where process 0 is"
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
            return (
                f"Process 0 listens at {address}, and not all came: start as many as --process_count says, the same "
                "number everywhere, each with its own --process_id"
            )
    except socket.gaierror:
        return f"There is no host {host!r}: --coordinator names the host of process 0 as all others know it"
    except OSError as error:
        said = error.strerror or error
        return f"Nobody listens at {address} ({said}): process 0 is not started, or a firewall is between"


def _end_with_others(own: int, store: _Store) -> None:
    """Waits for another process to fail, and ends this one then. A thread of its own, for as long as the job lasts."""
    try:
        said = store.blocking_key_value_get(f"{_ENDED}/{own}", 2**31 - 1)
    except jax.errors.JaxRuntimeError:
        # jax notices that too, and may be the first to end the process.
        said = "the first process is gone, and its log says why; start all of them again to go on"
        print(f"process {own} ends: {said} from the last checkpoint", file=sys.stderr, flush=True)
        _leave(own)
    index, _, message = said.partition(" ")
    if said and int(index) != own:
        print(f"process {own} ends, since process {index} failed: {message}", file=sys.stderr, flush=True)
        _leave(own)


def _leave(index: int) -> NoReturn:
    if index == 0:
        time.sleep(_LAST)
    sys.stdout.flush()
    os._exit(1)  # an orderly end would wait for the others


# --- Comparing --------------------------------------------------------------------------------------------------------


def _differences(told: Sequence[Mapping[str, Any]]) -> str:
    """Returns one line per fact that is not the same in all processes, by its values; "" where all are."""
    lines = []
    for name in sorted({name for facts in told for name in facts}):
        by_value: dict[str, list[int]] = defaultdict(list)
        for index, facts in enumerate(told):
            by_value[_short(facts[name]) if name in facts else "missing"].append(index)
        if len({json.dumps(facts.get(name), sort_keys=True) for facts in told}) > 1:
            said = (f"{value} in {_processes(indices)}" for value, indices in by_value.items())
            lines.append(f"  {name}: {', '.join(said)}")
    return "\n".join([*lines[:_SHOWN], *([f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else [])])


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _processes(indices: Sequence[int]) -> str:
    shown = ", ".join(map(str, indices[:8])) + (f" and {len(indices) - 8} more" if len(indices) > 8 else "")
    return f"process{'es' if len(indices) > 1 else ''} {shown}"


def _leave_mark(folder: Path) -> str:
    name = f".seen-{secrets.token_hex(6)}"
    (folder / name).touch()
    return name
