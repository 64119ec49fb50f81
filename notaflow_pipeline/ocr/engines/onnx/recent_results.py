"""Keeps the results for the last inputs, since several passes over a page read the same layout and the same lines again."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class RecentResults(Generic[Result]):
    """The results for the last `count` inputs. Only a hash of an input is kept: Python's, which has 64 bits and a secret."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._results: OrderedDict[int, Result] = OrderedDict()

    def result(self, pixels: bytes, others: Hashable, compute: Callable[[], Result]) -> Result:
        """The result for these pixels and the other inputs, computed if it is not kept."""
        key = hash((pixels, others))
        if key not in self._results:
            self._results[key] = compute()
            if len(self._results) > self._count:
                self._results.popitem(last=False)
        self._results.move_to_end(key)
        return self._results[key]
