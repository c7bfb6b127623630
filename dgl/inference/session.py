"""The session that a frozen classifier runs in: all cores of this machine, and the precision asked for."""

from dgl.devices import session_config
from dgl.inference.precision import FLOAT32, set_precision
from dgl.tf_compat import tf


def inference_config(gpus=0, precision=FLOAT32):
    """Session options: those of :func:`dgl.devices.session_config`, every operation on all cores.

    Args:
        gpus: their number, from :func:`~dgl.devices.select_gpus`.
        precision: of :data:`~dgl.inference.precision.PRECISIONS`.

    Returns:
        ``tf.ConfigProto``.

    Raises:
        UserError: the hardware or TensorFlow lacks the precision.
    """
    config = session_config(gpus)
    # Zero is as many as there are cores. Training shares its cores with the processes that decode and
    # has as many operations as it likes at a time; maps of one batch come from a chain of operations.
    config.intra_op_parallelism_threads = 0
    set_precision(config, precision, gpus)
    return config


def open_session(gpus=0, precision=FLOAT32):
    """A session of the present graph; it belongs to the caller. Arguments: :func:`inference_config`."""
    return tf.Session(config=inference_config(gpus, precision))
