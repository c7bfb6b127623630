"""The interface of all evaluators: fed a batch at a time, merged, stored, asked for a result.

Everything that the figures depend on is a whole number, so that shards merged in any order give
exactly the figures of one run.
"""

import numpy as np


class Evaluator:
    """Base of the evaluators: named integer counts under fixed settings.

    A subclass sets :attr:`name`, implements :meth:`_new_counts` and :meth:`result`, and adds to
    ``self._counts`` in its own ``add``.
    """

    name = ""

    def __init__(self, settings):
        """Start empty.

        Args:
            settings: dict of JSON values; only evaluators with equal settings can be merged.
        """
        self._settings = dict(settings)
        self.reset()

    @property
    def settings(self):
        """dict: a copy of the settings that the counts depend on."""
        return dict(self._settings)

    def reset(self):
        """Forget everything that was added."""
        self._counts = self._new_counts()

    def merge(self, other):
        """Add what another evaluator gathered.

        Args:
            other: evaluator of the same class and settings; it is left as it is.

        Raises:
            ValueError: another class or other settings.
        """
        self.merge_state(other.state_dict())

    def state_dict(self):
        """Everything gathered so far, as JSON values.

        Returns:
            dict: ``evaluator``, ``settings`` and ``counts``.
        """
        counts = {key: value.tolist() for key, value in self._counts.items()}
        return {"evaluator": self.name, "settings": self.settings, "counts": counts}

    def load_state_dict(self, state):
        """Replace everything gathered so far.

        Args:
            state: dict from :meth:`state_dict`.

        Raises:
            ValueError: a state of another evaluator or of other settings, or a broken one; the
                evaluator then keeps what it had.
        """
        self._check_state(state)
        self.reset()
        self.merge_state(state)

    def merge_state(self, state):
        """Add a stored state, as :meth:`merge` does with a live evaluator.

        Args:
            state: dict from :meth:`state_dict`.

        Raises:
            ValueError: as :meth:`load_state_dict`.
        """
        self._check_state(state)
        for key in self._counts:
            self._counts[key] = self._counts[key] + np.asarray(state["counts"][key], np.int64)

    def result(self):
        """The figures, in percent.

        Returns:
            dict.

        Raises:
            dgl.errors.UserError: nothing was added that counts.
        """
        raise NotImplementedError

    def _new_counts(self):
        """dict of int64 arrays, all zero."""
        raise NotImplementedError

    def _check_state(self, state):
        if not isinstance(state, dict) or state.get("evaluator") != self.name:
            raise ValueError("expected the state of a {} evaluator".format(self.name))
        if state.get("settings") != self._settings:
            raise ValueError(
                "cannot combine {} results of settings {} and {}".format(
                    self.name, self._settings, state.get("settings")
                )
            )
        counts = state.get("counts")
        wanted = {key: value.shape for key, value in self._counts.items()}
        if (
            not isinstance(counts, dict)
            or set(counts) != set(wanted)
            or any(np.shape(counts[key]) != wanted[key] for key in wanted)
        ):
            raise ValueError("the counts of a {} state are incomplete".format(self.name))


def as_batch(values, single):
    """Bring one image's value and a batch's values into the same form.

    Args:
        values: the value of one image, a sequence of one value an image, or ``None``.
        single: bool, whether ``values`` belongs to one image.

    Returns:
        list of one value an image, or ``None``.
    """
    if values is None:
        return None
    return [values] if single else list(values)


def check_lengths(**columns):
    """Raise ValueError unless all the given lists (``None`` aside) are equally long."""
    lengths = {name: len(values) for name, values in columns.items() if values is not None}
    if len(set(lengths.values())) > 1:
        described = ", ".join("{} {}".format(*item) for item in sorted(lengths.items()))
        raise ValueError("a batch must have one entry an image everywhere, got " + described)
