"""The session that a frozen classifier runs in, in the precision asked for."""

from dgl.arithmetic import reference_kernels
from dgl.devices import session_config
from dgl.inference.precision import set_precision
from dgl.precisions import FLOAT32
from dgl.tf_compat import tf
from dgl.typing_names import Session, SessionConfig


def inference_config(gpus: int = 0, precision: str = FLOAT32) -> SessionConfig:
    """Session options: those of :func:`dgl.devices.session_config`, in a precision.

    Args:
        gpus: their number, from :func:`~dgl.devices.select_gpus`.
        precision: of :data:`dgl.precisions.PRECISIONS`.

    Returns:
        ``tf.ConfigProto``.

    Raises:
        UserError: the hardware or TensorFlow lacks the precision.
    """
    config = session_config(gpus)
    if reference_kernels() and not gpus:
        # How an operation is shared out among cores decides the order of its sums. The published
        # program's session, tensorpack's, gives it one.
        config.intra_op_parallelism_threads = 1
    set_precision(config, precision, gpus)
    return config


def open_session(gpus: int = 0, precision: str = FLOAT32) -> Session:
    """A session of the present graph; it belongs to the caller. Arguments: :func:`inference_config`."""
    return tf.Session(config=inference_config(gpus, precision))
