"""Groups the marked cells of a grid over a page that are near each other."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Cell = tuple[int, int]
"""Row and column of a cell."""


def marked_cells(mask: "NDArray[np.bool_]") -> list[Cell]:
    """Returns the cells that are True in a mask."""
    return [(int(row), int(column)) for row, column in zip(*mask.nonzero(), strict=True)]


def connected_cells(cells: Iterable[Cell], reach: int) -> list[list[Cell]]:
    """Returns groups of cells. A cell belongs to a group if it is at most `reach` rows and columns from a cell of it."""
    left = set(cells)
    steps = range(-reach, reach + 1)
    groups = []
    while left:
        group = [left.pop()]
        for row, column in group:  # the group grows during this loop
            near = {(row + down, column + across) for down in steps for across in steps} & left
            left -= near
            group += near
        groups.append(group)
    return groups


def box_of_cells(group: Sequence[Cell], side: int) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of a group of cells in pixels. `side` is the side of a cell."""
    rows, columns = zip(*group, strict=True)
    return min(columns) * side, min(rows) * side, (max(columns) + 1) * side, (max(rows) + 1) * side
