"""Workers of an evaluation as actors of Ray: on this machine, or wherever a running cluster has room.

The one module that imports Ray. Ray started here listens on the loopback interface alone, and is gone when
the evaluation ends.
"""

import contextlib
import logging
import math
import os
import pickle
import shutil
import socket
import tempfile
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import dgl
from dgl.errors import UserError
from dgl.evaluation.dispatch import AT_ONCE, Event, Lost
from dgl.evaluation.worker import REFUSED, Task

_INSTALL = "pip install ray"
_STORE_BYTES = 256 * 1024**2
# Ray's sockets lie below this folder, and a socket's path has at most 107 characters.
_LONGEST_FOLDER = 40
_LONGEST_REASON = 160
_ANSWER_SECONDS = 10
# What Ray reads as it is imported.
_LOCAL_SETTINGS = {
    # Listen on the loopback interface alone.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@contextlib.contextmanager
def ray_pool(
    workers: int,
    address: Optional[str] = None,
    cpus: Optional[float] = None,
    gpus: Optional[float] = None,
    gpu: Optional[str] = None,
) -> Iterator["RayPool"]:
    """Workers for :func:`dgl.evaluation.dispatch.dispatch` while the context lasts.

    Args:
        workers: int, their number.
        address: of a running cluster, ``"auto"`` for the one that this host belongs to; ``None``
            starts Ray on this machine.
        cpus: float, of each worker; ``None`` shares them out evenly.
        gpus: float, of each worker; ``None`` takes one each where the cluster has any.
        gpu: as ``--gpu``: indices for Ray on this machine, ``"-1"`` for none.

    Yields:
        :class:`RayPool`.

    Raises:
        UserError: Ray is not installed or cannot be started, no cluster answers, or it has no room for
            so many workers.
    """
    environment = arithmetic_environment()
    with _connected(address, gpu) as ray:
        own_cpus, own_gpus = _shares(ray, workers, cpus, gpus, gpu)
        pool = RayPool(ray, workers, own_cpus, own_gpus, environment)
        try:
            yield pool
        finally:
            pool.close()


class RayPool:
    """Actors, each with one session; see :func:`dgl.evaluation.dispatch.dispatch`.

    Attributes:
        size: int, the number of workers.
        cpus, gpus: float, what each of them has.
    """

    def __init__(
        self, ray: Any, size: int, cpus: float, gpus: float, environment: Mapping[str, str]
    ):
        self.size, self.cpus, self.gpus = size, cpus, gpus
        self._ray = ray
        self._settings = {
            "environment": environment,
            "threads": max(1, math.ceil(cpus)),
            "gpu": None if gpus else "-1",
        }
        self._actor = ray.remote(_actor_class()).options(
            num_cpus=cpus, num_gpus=gpus, max_concurrency=AT_ONCE, max_restarts=0
        )
        self._actors: Dict[int, Any] = {}
        self._calls: Dict[Any, Tuple[int, Optional[int]]] = {}
        self._begun = 0
        self._sent: Any = None

    def workers(self) -> List[int]:
        """list: the keys of the workers that there are."""
        return list(self._actors)

    def add(self) -> int:
        """Begin one more worker; returns its key."""
        self._begun += 1
        root = os.path.dirname(os.path.dirname(os.path.abspath(dgl.__file__)))
        self._actors[self._begun] = self._actor.remote(root)
        return self._begun

    def start(self, worker: int, task: Task) -> None:
        """Let a worker take on a :class:`~dgl.evaluation.worker.Task`."""
        if self._sent is None or self._sent[0] is not task:
            # As bytes, since Ray would unpickle before the worker knows where the package is.
            self._sent = task, self._ray.put(pickle.dumps((task, self._settings)))
        call = self._actors[worker].start.remote(self._sent[1])
        self._calls[call] = worker, None

    def run(self, worker: int, chunk: int) -> None:
        """Let a worker run a batch."""
        self._calls[self._actors[worker].run.remote(chunk)] = worker, chunk

    def busy(self, worker: int) -> bool:
        """Whether a call of a worker has not come to its end."""
        return any(own == worker for own, _ in self._calls.values())

    def wait(self, seconds: float) -> Optional[Event]:
        """The next :class:`~dgl.evaluation.dispatch.Event`, or ``None`` if there is none for so long.

        Raises:
            UserError: a worker refused its input. Any other exception of a worker is raised as it is.
        """
        ready, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=seconds)
        if not ready:
            return None
        worker, chunk = self._calls.pop(ready[0])
        try:
            kind, value = self._ray.get(ready[0])
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as error:
            return Event(worker, chunk, Lost(_reason(error)))
        if kind == REFUSED:
            raise UserError(value)
        return Event(worker, chunk, value)

    def remove(self, worker: int) -> None:
        """End a worker and forget its calls."""
        self._calls = {call: to for call, to in self._calls.items() if to[0] != worker}
        self._ray.kill(self._actors.pop(worker), no_restart=True)

    def close(self) -> None:
        """End every worker."""
        for worker in self.workers():
            self.remove(worker)


def _actor_class():
    # A class within a function is sent as it is, so a worker can first look for the package.
    class Actor:
        def __init__(self, root):
            import os
            import sys

            if os.path.isdir(os.path.join(root, "dgl")):
                sys.path.insert(0, root)
            self._root = root
            self._worker = None

        def start(self, sent):
            import pickle
            import socket

            try:
                from dgl.evaluation import ray_workers as surroundings
            except ImportError as error:
                where = f"{socket.gethostname()}: cannot import dgl ({error}); "
                return "refused", where + f"expected {self._root} on every host"
            task, settings = pickle.loads(sent)
            surroundings.take_on(settings["environment"])
            from dgl.evaluation.worker import Worker, answer

            if self._worker is None:
                self._worker = Worker(settings["threads"], settings["gpu"])
            return answer(self._worker.start, task)

        def run(self, chunk):
            from dgl.evaluation.worker import answer

            return answer(self._worker.run, chunk)

    return Actor


@contextlib.contextmanager
def _connected(address, gpu):
    """Ray, connected to a cluster that it was told of, or started for as long as this lasts."""
    if address is None:
        for name, value in _LOCAL_SETTINGS.items():
            os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise UserError(f"--ray-workers: expected Ray, `{_INSTALL}`") from None
    folder = None
    settings = {"log_to_driver": False, "configure_logging": False}
    # What it says of lost workers is said once already.
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
        except Exception as error:  # of as many types as there are things to go wrong
            where = "--ray-workers" if address is None else f"--ray-address {address}"
            raise UserError(f"{where}: {_reason(error)}") from error
        yield ray
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _check_answers(address):
    """Raise :class:`UserError` where nothing answers: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "/" in host:
        return  # a name, such as auto, that Ray looks up
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            "--ray-address {}: nothing answers ({}); expected HOST:PORT of a `ray start --head`".format(
                address, getattr(error, "strerror", None) or error
            )
        ) from error


def _shares(ray, workers, cpus, gpus, gpu):
    """(CPUs, GPUs) of each worker.

    Raises:
        UserError: there is no room for so many.
    """
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    hosts = [(own.get("CPU", 0), own.get("GPU", 0)) for own in resources]
    if gpus is None:
        gpus = 1 if gpu != "-1" and any(own for _, own in hosts) else 0
    share = fair_share(hosts, workers, gpus) if cpus is None else cpus
    if share is None or room(hosts, share, gpus) < workers:
        share = 1 if share is None else share
        raise UserError(
            f"--ray-workers {workers}: there is room for {room(hosts, share, gpus)} of {share:g} CPUs and {gpus:g} GPUs; expected fewer, or "
            "less for each by --ray-cpus and --ray-gpus"
        )
    return share, gpus


def _reason(error):
    """One line for one of Ray's many-lined messages: the first sentence of its last paragraph."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    line = lines[-1].split(". ")[0] if lines else type(error).__name__
    return line[:_LONGEST_REASON].rstrip(".")


# How processors of a cluster are shared out among workers that each have to fit on one host.

# Ray takes fractions of a processor in steps of this size.
_STEP = 1e-4


def room(hosts: Sequence[Tuple[float, float]], cpus: float, gpus: float = 0) -> int:
    """int: how many workers fit, none of them over two hosts.

    Args:
        hosts: list of (CPUs, GPUs), numbers.
        cpus, gpus: what one worker takes, at least one of them more than 0.
    """
    return sum(min(_fits(own, cpus), _fits(own_gpus, gpus), _MANY) for own, own_gpus in hosts)


def fair_share(
    hosts: Sequence[Tuple[float, float]], workers: int, gpus: float = 0
) -> Optional[float]:
    """The most CPUs for each of some workers: a whole number, or a part of one if they are too many.

    Args:
        hosts: as :func:`room`.
        workers: int, their number.
        gpus: what each takes of GPUs.

    Returns:
        float, or ``None`` where GPUs or CPUs are lacking altogether.
    """
    most = int(max((own for own, _ in hosts), default=0))
    shares = [float(share) for share in range(most, 0, -1)]
    shares += [math.floor(1 / part / _STEP) * _STEP for part in range(2, workers + 1)]
    return next((share for share in shares if room(hosts, share, gpus) >= workers), None)


_MANY = 1 << 20


def _fits(own, wanted):
    return int(own / wanted + 1e-6) if wanted else _MANY


# What of the driver's surroundings the arithmetic of a worker hangs on, as environment variables.

_THREADS = "TF_NUM_INTRAOP_THREADS"
# Of kernels, precision and threads. TF_CONFIG tells a process of its role and is left alone.
_PREFIXES = ("TF_", "ONEDNN_", "DNNL_", "OMP_", "NVIDIA_TF32_")
_OWN = ("TF_CONFIG",)


def arithmetic_environment(environ: Optional[Mapping[str, str]] = None) -> Dict[str, str]:
    """The variables of this process that a worker has to have as well.

    Args:
        environ: mapping, by default ``os.environ``.

    Returns:
        dict name -> value, ``TF_NUM_INTRAOP_THREADS`` among them: what TensorFlow would take by itself
        where it is not set.
    """
    environ = os.environ if environ is None else environ
    found = {name: value for name, value in environ.items() if _is_arithmetic(name)}
    threads = found.get(_THREADS, "")
    if not (threads.isdigit() and int(threads)):
        found[_THREADS] = str(_usable_cores())
    return found


def take_on(variables: Mapping[str, str]) -> None:
    """Make this process's environment that of :func:`arithmetic_environment`. Before TensorFlow loads."""
    for name in [name for name in os.environ if _is_arithmetic(name)]:
        if name not in variables:
            del os.environ[name]
    os.environ.update(variables)


def _is_arithmetic(name):
    return name.startswith(_PREFIXES) and name not in _OWN


def _usable_cores():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows pin no process
        return os.cpu_count() or 1
