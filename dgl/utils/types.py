"""Names for types that no annotation can tell: what TensorFlow's versions share, and arrays to be."""

from typing import Any

# One TensorFlow's classes are not another's, and naming them would load it; so the names are for people.
Tensor = Any  # tf.Tensor
Session = Any  # tf.Session
SessionConfig = Any  # tf.ConfigProto
GraphDef = Any  # tf.GraphDef
Operation = Any  # tf.Operation
DType = Any  # tf.DType

ArrayLike = Any  # what numpy.asarray takes: an array, or numbers in nested sequences
