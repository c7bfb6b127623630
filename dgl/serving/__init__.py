"""The page (``dgl serve``): an image in a browser, its maps and boxes at once.

What needs Gradio is in :mod:`dgl.serving.page` and :mod:`dgl.serving.server` alone.
"""
