"""The session that a frozen classifier runs in."""

from dgl.tf_compat import reference_kernels, tf
from dgl.utils.devices import session_config
from dgl.utils.types import Session, SessionConfig


def inference_config(gpus: int = 0) -> SessionConfig:
    """Session options: those of :func:`dgl.utils.devices.session_config`, and little rewriting on a CPU.

    Args:
        gpus: their number, from :func:`~dgl.utils.devices.select_gpus`.

    Returns:
        ``tf.ConfigProto``.
    """
    config = session_config(gpus)
    if not gpus:
        _spare_rewriting(config.graph_options.rewrite_options)
        if reference_kernels():
            # How an operation is shared out among cores decides the order of its sums. The published
            # program's session, tensorpack's, gives it one.
            config.intra_op_parallelism_threads = 1
    return config


def _spare_rewriting(options):
    """Leave out what only costs: each pass copies all constants, and these change nothing here."""
    options.meta_optimizer_iterations = options.ONE
    options.layout_optimizer = options.OFF
    options.arithmetic_optimization = options.OFF
    options.memory_optimization = options.NO_MEM_OPT


def open_session(gpus: int = 0) -> Session:
    """A session of the present graph; it belongs to the caller. Arguments: :func:`inference_config`."""
    return tf.Session(config=inference_config(gpus))
