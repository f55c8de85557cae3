"""Random configurations of recurrent layers, each beside PyTorch's, or a loop where it has none."""

from collections.abc import Callable
from typing import Any

import numpy as np
from nn_cases import Array, Config, Random, case, normal, pick, torch

import graphc as gx
from graphc import nn
from graphc.ir.node import Node

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def flat(parts: list[Any], library: Any) -> Any:
    """Arrays side by side in one row."""
    rows = [library.reshape(part, (-1,)) for part in parts]
    return gx.concat(rows) if library is gx else torch.cat(rows)


def weights(random: Random, gates: int, inputs: int, hidden: int, biased: bool) -> list[Array]:
    """Matrices for inputs and states, and biases."""
    rows = gates * hidden
    shapes = [(rows, inputs), (rows, hidden), *[(rows,)] * (2 if biased else 0)]
    return [0.5 * normal(random, *shape) for shape in shapes]


def layer(random: Random, name: str, both: bool, **options: str) -> Config:
    """A layer, in one direction or in both, with or without first states and biases."""
    time, batch, inputs, hidden = (int(n) for n in random.integers(1, 4, 4))
    biased, begun = pick(random, False, True), pick(random, False, True)
    ways, states = 2 if both else 1, 2 if name == "lstm" else 1
    x = normal(random, time, batch, inputs)
    first = [normal(random, ways, batch, hidden) for _ in range(states)] if begun else []
    each = [weights(random, GATES[name], inputs, hidden, biased) for _ in range(ways)]
    arrays = [x, *first, *(part for way in each for part in way)]

    def ours(x: Node, *rest: Node) -> Node:
        given, parts = list(rest[: len(first)]), rest[len(first) :]
        split = [parts[k * len(each[0]) : (k + 1) * len(each[0])] for k in range(ways)]
        begin = [state_of([part[k] for part in given]) for k in range(ways)]
        function = getattr(nn, name)
        if both:
            pair = None if begin[0] is None else (begin[0], begin[1])
            ys, lasts = nn.bidirectional(function, x, (split[0], split[1]), pair, **options)
        else:
            ys, last = function(x, split[0], begin[0], **options)
            lasts = (last,)
        return flat([ys, *ordered(lasts)], gx)

    def theirs(x: Any, *rest: Any) -> Any:
        function = getattr(torch._VF, f"rnn_{options.get('activation', 'tanh')}"
                           if name == "rnn" else name)  # fmt: skip
        zero = torch.zeros(ways, batch, hidden, dtype=x.dtype)
        given = list(rest[: len(first)]) or [zero] * states
        begin = tuple(given) if name == "lstm" else given[0]
        found = function(x, begin, list(rest[len(first) :]), biased, 1, 0.0, True, both, False)
        return flat(list(found), torch)

    return Config(ours, theirs, arrays, 8 * time * (inputs + hidden) * batch)


def state_of(parts: list[Node]) -> Any:
    """A state of one node or two; None for none."""
    return None if not parts else parts[0] if len(parts) == 1 else tuple(parts)


def ordered(lasts: Any) -> list[Node]:
    """The last states in PyTorch's order: of both directions first h, then c."""
    pairs = [last if isinstance(last, tuple) else (last,) for last in lasts]
    return [part for parts in zip(*pairs, strict=True) for part in parts]


def of(name: str, both: bool) -> Callable[[Random], Config]:
    """Configurations of a layer."""

    def made(random: Random) -> Config:
        options = {"activation": pick(random, "tanh", "relu")} if name == "rnn" else {}
        return layer(random, name, both, **options)

    made.__name__ = f"bidirectional_{name}" if both else name
    return made


for _name in GATES:
    case(of(_name, both=False))
case(of("lstm", both=True))


@case
def peephole_lstm(random: Random) -> Config:
    time, batch, inputs, hidden = (int(n) for n in random.integers(1, 4, 4))
    arrays = [
        normal(random, time, batch, inputs), normal(random, batch, hidden),
        normal(random, batch, hidden), *weights(random, 4, inputs, hidden, True),
        normal(random, 3, hidden),
    ]  # fmt: skip

    def ours(x: Node, h: Node, c: Node, *parts: Node) -> Node:
        ys, (h, c) = nn.lstm(x, parts, (h, c))
        return flat([ys, h, c], gx)

    def theirs(x: Any, h: Any, c: Any, *parts: Any) -> Any:
        w_ih, w_hh, b_ih, b_hh, p = parts
        ys = []
        for row in x:
            i, f, g, o = (row @ w_ih.T + b_ih + h @ w_hh.T + b_hh).chunk(4, -1)
            c = torch.sigmoid(f + p[1] * c) * c + torch.sigmoid(i + p[0] * c) * torch.tanh(g)
            h = torch.sigmoid(o + p[2] * c) * torch.tanh(c)
            ys.append(h)
        return flat([torch.stack(ys), h, c], torch)

    return Config(ours, theirs, arrays, 8 * time * (inputs + hidden) * batch)


@case
def rnn_with_lengths(random: Random) -> Config:
    time, batch, inputs, hidden = (int(n) for n in random.integers(1, 4, 4))
    name = pick(random, *GATES)
    ends = np.sort(random.integers(1, time + 1, batch))[::-1].copy()
    ends[0] = time
    parts = weights(random, GATES[name], inputs, hidden, False)

    def ours(x: Node, *parts: Node) -> Node:
        ys, lasts = nn.bidirectional(getattr(nn, name), x, (parts, parts), lengths=ends)
        return flat([ys, *ordered(lasts)], gx)

    def theirs(x: Any, *parts: Any) -> Any:
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(ends))
        function = getattr(torch._VF, "rnn_tanh" if name == "rnn" else name)
        zero = torch.zeros(2, batch, hidden, dtype=x.dtype)
        begin = (zero, zero) if name == "lstm" else zero
        rows, *last = function(
            packed.data, packed.batch_sizes, begin, [*parts, *parts], False, 1, 0.0, True, True
        )
        whole = torch.nn.utils.rnn.PackedSequence(rows, packed.batch_sizes)
        return flat([torch.nn.utils.rnn.pad_packed_sequence(whole)[0], *last], torch)

    arrays = [normal(random, time, batch, inputs), *parts]
    return Config(ours, theirs, arrays, 16 * time * (inputs + hidden) * batch)
