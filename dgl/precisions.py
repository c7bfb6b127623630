"""The values of ``--precision``; what they do is in :mod:`dgl.inference.precision`.

By themselves, so that parsing flags does not load TensorFlow.
"""

FLOAT32, BFLOAT16 = "float32", "bf16"
PRECISIONS = (FLOAT32, BFLOAT16)
