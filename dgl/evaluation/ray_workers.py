"""Ray workers of an evaluation: actors that each run batches with a session of their own.

The one module that imports Ray. :class:`ray.util.ActorPool` assigns the batches; Ray restarts a worker that
is lost and repeats its batches. A Ray that is started here listens on the loopback interface only and
ends with the evaluation.
"""

import contextlib
import logging
import math
import os
import pickle
import shutil
import socket
import tempfile
from typing import Any, Dict, Generator, Iterator, Mapping, Optional, Sequence, Tuple

import dgl
from dgl.errors import UserError
from dgl.evaluation.loop import BatchRunner, RunBatches, Task
from dgl.evaluation.plan import versions
from dgl.evaluation.results import Results
from dgl.utils.files import weights_fingerprint

# While the session has one batch, the next is decoded and the last is scored.
_AT_ONCE = 2
# How often Ray restarts a worker before the evaluation ends.
MOST_LOSSES = 3
_START_SECONDS = 900
_REFUSED = "refused"
_STORE_BYTES = 256 * 1024**2
# Ray's sockets lie below this folder, and a socket's path has at most 107 characters.
_LONGEST_FOLDER = 40
_LONGEST_REASON = 160
_ANSWER_SECONDS = 10
# Ray reads these when it is imported.
_LOCAL_SETTINGS = {
    # Listen on the loopback interface only.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
# Ray takes fractions of a processor in steps of this size.
_STEP = 1e-4
_MANY = 1 << 20
_THREADS = "TF_NUM_INTRAOP_THREADS"
# Kernels, precision and threads. TF_CONFIG gives a process its role in a cluster and is not copied.
_ARITHMETIC = ("TF_", "ONEDNN_", "DNNL_", "OMP_", "NVIDIA_TF32_")


@contextlib.contextmanager
def ray_workers(
    workers: int,
    address: Optional[str] = None,
    cpus: Optional[float] = None,
    gpus: Optional[float] = None,
    gpu: Optional[str] = None,
) -> Iterator["RayWorkers"]:
    """Start or join Ray for the duration of a context.

    Args:
        workers, address, cpus, gpus: as ``--ray-workers``, ``--ray-address``, ``--ray-cpus`` and
            ``--ray-gpus``; without an address Ray is started on this machine.
        gpu: as ``--gpu``: indices for Ray on this machine, ``"-1"`` for none.

    Raises:
        UserError: Ray is not installed or cannot be started, no cluster answers, or it has no room for
            so many workers.
    """
    environment = worker_env(os.environ)
    with _connected(address, gpu) as ray:
        yield RayWorkers(ray, workers, *_share(ray, workers, cpus, gpus, gpu), environment)


class RayWorkers:
    """A number of workers (``size``), each with ``cpus`` and ``gpus``, started for each task."""

    def __init__(
        self, ray: Any, size: int, cpus: float, gpus: float, environment: Mapping[str, str]
    ):
        self.size, self.cpus, self.gpus = size, cpus, gpus
        self._ray = ray
        self._settings = {
            "environment": dict(environment),
            "threads": max(1, math.ceil(cpus)),
            "gpu": None if gpus else "-1",
        }

    def batches_of(self, task: Task) -> RunBatches:
        """What runs the batches of a task, as :func:`dgl.evaluation.loop.collect` takes it.

        Its generator raises :class:`UserError` for a worker's, for a worker that is lost more than
        :data:`MOST_LOSSES` times, and if none starts within 15 minutes.
        """
        from ray.util import ActorPool

        def run(chunks: Sequence[int]) -> Generator[Tuple[int, Results], None, None]:
            if not chunks:
                return
            actors = self._start(task, min(self.size, len(chunks)))
            try:
                started = [actor.ready.remote() for actor in actors]
                if not self._ray.wait(started, num_returns=1, timeout=_START_SECONDS)[0]:
                    raise UserError(
                        f"--ray-workers {self.size}: none has started within {_START_SECONDS} seconds; "
                        "expected free processors on the Ray cluster"
                    )
                # An actor that is listed twice has two batches at once (annotated for empty lists).
                pool: Any = ActorPool(list(actors) * _AT_ONCE)
                answers = pool.map_unordered(lambda actor, chunk: actor.run.remote(chunk), chunks)
                for chunk, kind, value in answers:
                    if kind == _REFUSED:
                        raise UserError(value)
                    yield chunk, Results.from_state(task.plan, value)
            except self._ray.exceptions.RayTaskError:
                raise
            except self._ray.exceptions.RayError as error:
                raise UserError(
                    f"--ray-workers {self.size}: a worker was lost {MOST_LOSSES + 1} times, the last: "
                    f"{_reason(error)}; expected memory for all of them, or fewer; the same command "
                    "continues"
                ) from error
            finally:
                for actor in actors:
                    self._ray.kill(actor)

        return run

    def _start(self, task: Task, count: int) -> Sequence[Any]:
        # As bytes: a worker has to find the package before it can unpickle them. Kept, because one that is
        # started again reads them again.
        self._sent = self._ray.put(pickle.dumps((task, self._settings)))
        root = os.path.dirname(os.path.dirname(os.path.abspath(dgl.__file__)))
        actor = self._ray.remote(_actor_class()).options(
            num_cpus=self.cpus,
            num_gpus=self.gpus,
            max_concurrency=_AT_ONCE,
            max_restarts=MOST_LOSSES,
            max_task_retries=MOST_LOSSES,
        )
        return [actor.remote(root, self._sent) for _ in range(count)]


class Worker:
    """Runs batches of a task, whose paths hold on this host, in one session.

    As many ``threads`` decode as score.

    Raises:
        UserError: the checkpoint cannot be read or is another than the driver's, or versions differ.
    """

    def __init__(self, task: Task, threads: int, gpu: Optional[str] = None):
        from dgl.predict.predictor import predictor_of  # loads TensorFlow

        found, expected = versions(), task.plan.versions
        for name in sorted(set(found) | set(expected)):
            if found.get(name) != expected.get(name):
                raise UserError(
                    f"a worker has {name} {found.get(name)}, expected {expected.get(name)} as where the "
                    "command runs"
                )
        predictor = predictor_of(gpu=gpu, **task.arguments)
        predictor.strict = False
        if weights_fingerprint(predictor.path) != task.plan.weights:
            raise UserError(
                f"{predictor.path}: other weights for a worker; expected the same file on every host"
            )
        self._batches = BatchRunner(predictor, task, threads)

    def run(self, chunk: int) -> Dict[str, Any]:
        """The state of one batch's results; safe in several threads, whose stages overlap."""
        ((_, part),) = self._batches.run([chunk])
        return part.state_dict()


def _actor_class() -> Any:
    # Ray sends a class that is defined in a function by value: a worker can first find the package.
    class Actor:
        def __init__(self, root: str, sent: bytes):
            import os
            import pickle
            import socket
            import sys

            if os.path.isdir(os.path.join(root, "dgl")):
                sys.path.insert(0, root)
            self._refusal: Optional[str] = None
            try:
                from dgl.errors import UserError
                from dgl.evaluation import ray_workers
            except ImportError as error:
                where = f"{socket.gethostname()}: cannot import dgl ({error})"
                self._refusal = f"{where}; expected {root} on every host"
                return
            task, settings = pickle.loads(sent)
            ray_workers.apply_env(settings["environment"])
            try:
                self._worker = ray_workers.Worker(task, settings["threads"], settings["gpu"])
            except UserError as error:
                self._refusal = str(error)

        def ready(self) -> None:
            pass

        def run(self, chunk: int) -> Tuple[int, str, Any]:
            if self._refusal is not None:
                return chunk, "refused", self._refusal
            from dgl.errors import UserError

            try:
                return chunk, "done", self._worker.run(chunk)
            except UserError as error:
                return chunk, "refused", str(error)

    return Actor


@contextlib.contextmanager
def _connected(address: Optional[str], gpu: Optional[str]) -> Iterator[Any]:
    """The module ``ray``, connected to a cluster, or started for the duration of the context."""
    if address is None:
        for name, value in _LOCAL_SETTINGS.items():
            os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise UserError("--ray-workers: expected Ray, `pip install ray`") from None
    folder = None
    settings: Dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    logging.getLogger("ray").setLevel(logging.ERROR)
    if address is None:
        parent = tempfile.gettempdir()
        parent = parent if len(parent) <= _LONGEST_FOLDER - 12 else "/tmp"
        folder = tempfile.mkdtemp(prefix="ray", dir=parent)
        settings.update(
            address="local",
            num_cpus=os.cpu_count() or 1,
            include_dashboard=False,
            object_store_memory=_STORE_BYTES,
            _temp_dir=folder,
        )
        if gpu == "-1":
            settings.update(num_gpus=0)
        elif gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    else:
        _check_answers(address)
        settings.update(address=address)
    try:
        try:
            ray.init(**settings)
        except Exception as error:  # Ray raises many types
            where = "--ray-workers" if address is None else f"--ray-address {address}"
            raise UserError(f"{where}: {_reason(error)}") from error
        yield ray
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _check_answers(address: str) -> None:
    """Raise :class:`UserError` if nothing answers: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "/" in host:
        return  # a name, such as auto, that Ray looks up
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"--ray-address {address}: nothing answers ({reason}); expected HOST:PORT of a "
            "`ray start --head`"
        ) from error


def _share(
    ray: Any, workers: int, cpus: Optional[float], gpus: Optional[float], gpu: Optional[str]
) -> Tuple[float, float]:
    """(CPUs, GPUs) of each worker; raises :class:`UserError` if there is no room for so many."""
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    hosts = [(own.get("CPU", 0), own.get("GPU", 0)) for own in resources]
    if gpus is None:
        gpus = 1 if gpu != "-1" and any(own for _, own in hosts) else 0
    share = fair_share(hosts, workers, gpus) if cpus is None else cpus
    if share is None or room(hosts, share, gpus) < workers:
        share = 1 if share is None else share
        raise UserError(
            f"--ray-workers {workers}: there is room for {room(hosts, share, gpus)} of {share:g} CPUs and "
            f"{gpus:g} GPUs; expected fewer, or less for each by --ray-cpus and --ray-gpus"
        )
    return share, gpus


def room(hosts: Sequence[Tuple[float, float]], cpus: float, gpus: float = 0) -> int:
    """The number of workers, of so many CPUs and GPUs, that fit on hosts of (CPUs, GPUs)."""

    def fits(*own: float) -> int:
        return min(int(o / w + 1e-6) if w else _MANY for o, w in zip(own, (cpus, gpus)))

    return sum(min(fits(*own), _MANY) for own in hosts)


def fair_share(
    hosts: Sequence[Tuple[float, float]], workers: int, gpus: float = 0
) -> Optional[float]:
    """The most CPUs for each worker: a whole number, or a fraction of one if they are too many.

    ``None`` where there are not enough GPUs (:func:`room`) or no CPUs.
    """
    most = int(max((own for own, _ in hosts), default=0))
    shares = [float(share) for share in range(most, 0, -1)]
    shares += [math.floor(1 / part / _STEP) * _STEP for part in range(2, workers + 1)]
    return next((share for share in shares if room(hosts, share, gpus) >= workers), None)


def worker_env(environ: Mapping[str, str]) -> Dict[str, str]:
    """The environment variables on which the arithmetic of a worker depends.

    Among them is ``TF_NUM_INTRAOP_THREADS``, by default the cores of this process.
    """
    found = {name: value for name, value in environ.items() if _is_arithmetic(name)}
    threads = found.get(_THREADS, "")
    if not (threads.isdigit() and int(threads)):
        # macOS and Windows pin no process.
        pinned = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
        found[_THREADS] = str(len(pinned) or os.cpu_count() or 1)
    return found


def apply_env(variables: Mapping[str, str]) -> None:
    """Set the variables of :func:`worker_env` in this process, before TensorFlow loads."""
    for name in filter(_is_arithmetic, set(os.environ) - set(variables)):
        del os.environ[name]
    os.environ.update(variables)


def _is_arithmetic(name: str) -> bool:
    return name.startswith(_ARITHMETIC) and name != "TF_CONFIG"


def _reason(error: BaseException) -> str:
    """The first sentence of the last paragraph of one of Ray's long messages."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    line = lines[-1].split(". ")[0] if lines else type(error).__name__
    return line[:_LONGEST_REASON].rstrip(".")
