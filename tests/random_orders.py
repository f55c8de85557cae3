"""Random graphs with words across an axis: orders, running results, windows, factors, segments."""

from typing import ClassVar

from random_builder import RandomGraph, RefusedError
from random_graphs import RandomWords

import graphc as gx
from graphc.ir.node import Node


class RandomOrders(RandomWords):
    """The words of all random graphs, and as often those that reach across an axis."""

    words: ClassVar[dict[str, int]] = {
        **RandomWords.words,
        "sorted": 32, "running": 32, "convolved": 24, "factored": 16, "segmented": 16,
    }  # fmt: skip

    def sorted(self) -> Node:
        """Elements in order, their places, or those in the middle."""
        x = self.filled([n for n in self.floats if n.ndim])
        at, falls = self.axis(x), self.chance(0.5)
        makers = [lambda: gx.sort(x, axis=at, descending=falls), lambda: gx.median(x, axis=at),
                  lambda: gx.argsort(x, axis=at, descending=falls),
                  lambda: gx.top_k(x, 1, axis=at, largest=falls)[0]]  # fmt: skip
        return self.pick(makers)()

    def running(self) -> Node:
        """Results of all elements so far."""
        x = self.recent([n for n in self.floats if n.ndim])
        words = [gx.cumulative_sum, gx.cumulative_max, gx.cumulative_logsumexp]
        if x.dtype != gx.float16:  # where they underflow, which exact values do not
            words.append(gx.cumulative_prod)
        return self.pick(words)(x, axis=self.axis(x))

    def convolved(self) -> Node:
        """A convolution along the last axis, or the largest elements of windows."""
        x = self.filled([n for n in self.floats if n.ndim == 3])
        stride, dilation = (int(n) for n in self.random.integers(1, 3, 2))
        if self.chance(0.2):
            return gx.nn.max_pool(x, 2, stride=stride, padding="same")
        if not isinstance(x.shape[1], int):
            raise RefusedError
        groups = x.shape[1] if self.chance(0.3) else 1
        shape = (groups * int(self.random.integers(1, 4)), x.shape[1] // groups,
                 int(self.random.integers(1, 4)))  # fmt: skip
        kernels = gx.constant(self.array(shape), x.dtype)
        return gx.nn.conv1d(
            x, kernels, stride=stride, dilation=dilation, groups=groups, padding="same"
        )

    def factored(self) -> Node:
        """Cholesky's factor of a matrix with a dominant diagonal, or a solution by its triangle."""
        wide = [n for n in self.floats if n.ndim > 1 and n.dtype.bits > 16]
        x = gx.tanh(self.recent(wide))
        product = x @ x.mT
        factor = gx.linalg.cholesky(product + 2 * gx.eye(product.shape[-1], dtype=x.dtype))
        return factor if self.chance(0.5) else gx.linalg.solve_triangular(factor, x, lower=True)

    def segmented(self) -> Node:
        """Rows reduced together with others, by constant numbers."""
        x = self.recent([n for n in self.floats if n.ndim and isinstance(n.shape[0], int)])
        numbers = gx.constant(self.random.integers(-1, 4, x.shape[0]))
        words = [gx.segment_sum, gx.segment_mean, gx.segment_prod]
        return self.pick(words)(x, numbers, 3)


def random_order(number: int, most_nodes: int = 12, dtype: str | None = None) -> RandomGraph:
    """The graph of a number, in a dtype of its own or in the given one."""
    return RandomOrders(number, most_nodes, dtype).build()
