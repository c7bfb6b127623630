"""Everything that is looked at: overlays, tiles, charts, the report page, the method figure.

Arrays come in, images and pages go out; nothing in this room knows TensorFlow.
"""
