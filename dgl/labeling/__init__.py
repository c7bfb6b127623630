"""From labels of images to labels of objects: boxes and masks of a data set, kept and exported.

`dgl label` writes them into a :class:`~dgl.labeling.store.LabelStore`, `dgl review` adds a person's
:mod:`~dgl.labeling.decisions`, and :mod:`dgl.labeling.formats` writes both as COCO, YOLO, PASCAL VOC,
Label Studio or CSV.
"""
