"""Whether TensorFlow comes with a Keras that builds graphs: its own up to 2.15, or tf-keras beside it."""

from dgl.tf_compat import tf


def has_keras():
    """bool; TensorFlow says so only when it is asked for something of it."""
    try:
        return callable(tf.keras.applications.MobileNet)
    except (ImportError, AttributeError):
        return False
