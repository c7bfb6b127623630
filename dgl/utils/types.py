"""Type aliases for annotations: TensorFlow's objects, and whatever converts to an array."""

from typing import Any

# All `Any`: TensorFlow's classes differ between versions, and importing them would load it.
Tensor = Any  # tf.Tensor
Session = Any  # tf.Session
SessionConfig = Any  # tf.ConfigProto
GraphDef = Any  # tf.GraphDef
Operation = Any  # tf.Operation
DType = Any  # tf.DType

ArrayLike = Any  # anything that numpy.asarray accepts
