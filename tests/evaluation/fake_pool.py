"""Workers that are no processes: what they answer, and when they are lost, is written down beforehand."""

from gathered_results import filled

from dgl.errors import UserError
from dgl.evaluation.dispatch import Event, Lost


class FakePool:
    """Answers calls one at a time, the oldest first or as ``pick`` chooses.

    Args:
        plan: of the batches.
        size: number of workers.
        dies: (worker, batch or ``None`` for starting) -> whether the worker is lost by it.
        pick: list of calls -> the place of the one that ends next.
        refuses: batches that raise :class:`UserError`.
    """

    def __init__(self, plan, size=2, dies=None, pick=None, refuses=(), silent=False):
        self.size = size
        self._plan = plan
        self._dies = dies or (lambda worker, chunk: False)
        self._pick = pick or (lambda calls: 0)
        self._refuses = refuses
        self._silent = silent
        self._calls = []
        self._workers = []
        self.begun = 0
        self.ran = []
        self.tasks = []
        self.most_at_once = 0

    def workers(self):
        return list(self._workers)

    def add(self):
        self.begun += 1
        self._workers.append(self.begun)
        assert len(self._workers) <= self.size
        return self.begun

    def remove(self, worker):
        self._workers.remove(worker)
        self._calls = [call for call in self._calls if call[0] != worker]

    def busy(self, worker):
        return any(call[0] == worker for call in self._calls)

    def start(self, worker, task):
        assert worker in self._workers and not self.busy(worker)
        self.tasks.append((worker, task))
        self._calls.append((worker, None))

    def run(self, worker, chunk):
        assert (worker, None) not in self._calls
        self._calls.append((worker, chunk))
        held = sum(call[0] == worker for call in self._calls)
        self.most_at_once = max(self.most_at_once, held)

    def wait(self, seconds):
        if self._silent:
            return None
        worker, chunk = self._calls.pop(self._pick(self._calls))
        if self._dies(worker, chunk):
            return Event(worker, chunk, Lost("killed"))
        if chunk is None:
            return Event(worker, None, None)
        if chunk in self._refuses:
            raise UserError(f"batch {chunk}: no image")
        self.ran.append((worker, chunk))
        return Event(worker, chunk, filled(self._plan.positions(chunk), self._plan).state_dict())
