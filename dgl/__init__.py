"""DGL: weakly supervised object localization from the dual gradients of a frozen classifier.

Tan, Gu, Ruan, Wei, Zhao. *Dual-Gradients Localization Framework for Weakly Supervised Object
Localization*, ACM MM 2020.

Data flows one way through the subpackages, and each imports only those before it::

    data -> backbones -> weights -> attribution -> foreign -> predict -> metrics -> evaluation -> report

``datasets`` generates data and ``training`` produces weights. ``cli`` holds the commands, ``serving`` the
web page, and :class:`dgl.localizer.Localizer` is the short way from Python. Importing ``dgl`` loads neither
TensorFlow nor tensorpack.
"""

from dgl.utils import renamed as _renamed

__version__ = "0.11.0"

_renamed.install()
