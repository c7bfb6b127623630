"""DGL: weakly supervised object localization from the dual gradients of a frozen classifier.

Tan, Gu, Ruan, Wei, Zhao. *Dual-Gradients Localization Framework for Weakly Supervised Object
Localization*, ACM MM 2020.

Data flows one way through the rooms of this package::

    data -> backbones -> attribution -> boxes -> evaluation -> rendering

``training`` produces the weights, ``weights`` reads them, ``predictor`` runs them. Importing ``dgl``
itself loads neither TensorFlow nor tensorpack.
"""

__version__ = "0.8.0"
