"""Random keys for x[key]: slices, integers, None, ... and arrays of integers, in any order."""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

DTYPES = ("int64", "int32", "int8", "uint8", "uint64")


@dataclass(frozen=True)
class RandomKey:
    """A key for an array of a shape; some of its arrays are to be inputs of a graph."""

    shape: tuple[int, ...]
    key: tuple[Any, ...]
    inputs: tuple[int, ...]

    def with_inputs(self, nodes: Any) -> tuple[Any, ...]:
        """The key with nodes in place of the arrays that are inputs."""
        items = list(self.key)
        for place, node in zip(self.inputs, nodes, strict=True):
            items[place] = node
        return tuple(items)

    @property
    def arrays(self) -> list[Array]:
        """The arrays that are inputs."""
        return [self.key[place] for place in self.inputs]


def random_key(random: np.random.Generator, most: int = 5) -> RandomKey:
    """A key whose every index is in range."""
    rank = int(random.integers(1, 5))
    shape = tuple(int(size) for size in random.integers(1, most, rank))
    common = tuple(int(size) for size in random.integers(0 if random.random() < 0.1 else 1, 4,
                                                         int(random.integers(0, 3))))  # fmt: skip
    items: list[Any] = []
    inputs: list[int] = []
    taken = int(random.integers(0, rank + 1))
    dots = int(random.integers(0, taken + 1)) if taken < rank or random.random() < 0.2 else -1
    axis = 0
    for number in range(taken + 1):
        if number == dots:
            items.append(...)
            axis = axis + rank - taken
        while random.random() < 0.15:
            items.append(None)
        if number < taken:
            item = random_item(random, shape[axis], common)
            if isinstance(item, np.ndarray) and item.dtype != bool and random.random() < 0.6:
                inputs.append(len(items))
            items.append(item)
            axis += 1
    return RandomKey(shape, tuple(items), tuple(inputs))


def random_item(random: np.random.Generator, size: int, common: tuple[int, ...]) -> Any:
    """An index of an axis: an integer, a slice, or an array that broadcasts to a shape."""
    kind = random.choice(["integer", "slice", "array"], p=[0.2, 0.3, 0.5])
    if kind == "integer":
        return int(random.integers(-size, size))
    if kind == "slice":
        bounds = [None if random.random() < 0.3 else int(random.integers(-size - 1, size + 2))
                  for _ in range(2)]  # fmt: skip
        return slice(*bounds, random.choice([None, 1, 2, -1, -2]))
    kept = common[int(random.integers(0, len(common) + 1)) :]
    sizes = tuple(1 if random.random() < 0.2 else n for n in kept)
    dtype = np.dtype(random.choice(DTYPES))
    return np.asarray(random.integers(0 if dtype.kind == "u" else -size, size, sizes)).astype(dtype)
