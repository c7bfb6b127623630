"""What bfloat16 brings on this CPU: a convolution, timed in it and in float32.

That a processor lists the instructions does not say that they pay. Some start AVX-512's of bfloat16 less
often than those of float32; where AMX is not to be had, a convolution takes longer in it (docs/speed.md).
"""

import time

from dgl.inference.session import open_session
from dgl.tf_compat import tf
from dgl.typing_names import DType, Operation, Session

_PICTURES, _SIDE, _CHANNELS = 4, 28, 256  # one in the middle of a VGG16 at 224 x 224: 10 to 50 ms
_TIMES = 5


def convolution(dtype: DType) -> Operation:
    """A 3 x 3 convolution as the backbones have them, which reads and leaves nothing.

    Args:
        dtype: ``tf.float32`` or ``tf.bfloat16``, of what is convolved, of the kernel and of the result.

    Returns:
        the ``tf.Operation`` that runs it, in the present graph.
    """
    activation = tf.Variable(tf.ones([_PICTURES, _SIDE, _SIDE, _CHANNELS], dtype))
    kernel = tf.Variable(tf.ones([3, 3, _CHANNELS, _CHANNELS], dtype))
    return tf.nn.conv2d(activation, kernel, strides=[1, 1, 1, 1], padding="SAME").op


def _seconds(session: Session, operation: Operation) -> float:
    start = time.perf_counter()
    session.run(operation)
    return time.perf_counter() - start


def bfloat16_gain() -> float:
    """How many times as fast a convolution is in bfloat16 as in float32; takes a fraction of a second.

    Returns:
        float: quotient of the shortest times, so that what else the machine does counts little.
    """
    with tf.Graph().as_default():
        both = [convolution(dtype) for dtype in (tf.float32, tf.bfloat16)]
        with open_session() as session:
            session.run(tf.global_variables_initializer())
            # In turn; the first time also prepares the kernel, and is never the shortest.
            times = [[_seconds(session, one) for one in both] for _ in range(_TIMES)]
    exact, rounded = (min(own) for own in zip(*times))
    return exact / rounded
