"""The values of ``--precision``; what they do is in :mod:`dgl.inference.precision`.

By themselves, so that parsing flags does not load TensorFlow.
"""

FLOAT32, BFLOAT16, BFLOAT16_ANYWHERE = "float32", "bf16", "bf16-anywhere"
PRECISIONS = (FLOAT32, BFLOAT16, BFLOAT16_ANYWHERE)
