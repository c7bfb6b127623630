"""What a publisher's file is to the converter."""

from dataclasses import dataclass
from typing import Any, Callable, NamedTuple, Optional, Sequence, Tuple

from dgl.backbones.registry import Shapes
from dgl.backbones.resnet import BLOCKS_BY_DEPTH

# Layouts of PyTorch: (output, input, row, column) and (output, input).
CONVOLUTION_OF_TORCH = (2, 3, 1, 0)
LINEAR_OF_TORCH = (1, 0)


class Piece(NamedTuple):
    """Where a variable comes from: a name in the published file, and the transposition it needs."""

    name: str
    axes: Optional[Tuple[int, ...]] = None


@dataclass(frozen=True)
class Source:
    """One publisher's way of naming.

    Attributes:
        key: as in :data:`dgl.weights.published.PUBLISHERS`.
        find_modes: ``find_modes(shapes)`` -> backbones whose names these are, ``()`` for none.
        pieces: ``pieces(shapes, names)`` -> ordered variable name -> :class:`Piece`, for this
            project's variable names in the order of the network. A piece may be absent from
            ``shapes``; that is for the caller to say.
        check: ``check(checkpoint)`` raises :class:`~dgl.errors.UserError` for a file that bears the
            names but holds something else.
    """

    key: str
    find_modes: Callable[[Shapes], Tuple[str, ...]]
    pieces: Callable[[Shapes, Sequence[str]], Any]
    check: Callable[[Any], None] = lambda checkpoint: None


def resnet_modes(blocks: Sequence[int], squeeze_excite: bool = False) -> Tuple[str, ...]:
    """Backbones with these blocks in the four groups; all depths when a damaged file fits none."""
    fitting = [depth for depth, counts in BLOCKS_BY_DEPTH.items() if counts == tuple(blocks)]
    ending = "se" if squeeze_excite else ""
    return tuple(f"resnet{depth}{ending}" for depth in fitting or sorted(BLOCKS_BY_DEPTH))


def count_blocks(shapes: Shapes, template: str) -> Tuple[int, ...]:
    """Blocks in each of four groups: how many of ``template.format(group, block)`` are there.

    Args:
        shapes: variable name -> shape.
        template: name of a variable that every block has.
    """
    return tuple(
        sum(template.format(group, block) in shapes for block in range(len(shapes)))
        for group in range(4)
    )
