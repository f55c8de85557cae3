"""Random configurations of margin losses, of losses of bits, and of CTC, each beside PyTorch's."""

import itertools
from typing import Any

import numpy as np
from nn_cases import Array, Config, F, Random, case, normal, pick, sizes, torch
from nn_loss_cases import reduction

import graphc as gx
from graphc import nn


def signed(random: Random, name: str, count: int, **options: Any) -> Config:
    """A loss of `count` arrays and of signs."""
    options["reduction"] = reduction(random)
    shape = sizes(random, 2)
    signs = random.choice([-1.0, 1.0], shape)
    ours, theirs = getattr(nn, name), getattr(F, name)
    return Config(
        lambda *xs: ours(*xs, gx.cast(signs, xs[0].dtype), **options),
        lambda *xs: theirs(*xs, torch.tensor(signs).to(xs[0].dtype), **options),
        [normal(random, *shape) for _ in range(count)],
        int(np.prod(shape)),
    )


@case
def soft_margin_loss(random: Random) -> Config:
    return signed(random, "soft_margin_loss", 1)


@case
def hinge_embedding_loss(random: Random) -> Config:
    return signed(random, "hinge_embedding_loss", 1, margin=float(random.uniform(0.5, 2)))


@case
def margin_ranking_loss(random: Random) -> Config:
    return signed(random, "margin_ranking_loss", 2, margin=float(random.uniform(0, 1)))


@case
def multi_label_soft_margin_loss(random: Random) -> Config:
    word, shape = reduction(random), sizes(random, pick(random, 1, 2, 3))
    weight = random.uniform(0.5, 2, shape[-1])
    bits = random.integers(0, 2, shape) + 0.0

    def theirs(x: Any) -> Any:
        given = [torch.tensor(part).to(x.dtype) for part in (bits, weight)]
        return F.multilabel_soft_margin_loss(x, *given, reduction=word)

    return Config(
        lambda x: nn.multi_label_soft_margin_loss(x, gx.cast(bits, x.dtype), weight=gx.cast(
            weight, x.dtype), reduction=word),
        theirs,
        [normal(random, *shape)],
        int(np.prod(shape)),
    )  # fmt: skip


@case
def binary_cross_entropy(random: Random) -> Config:
    word, shape = reduction(random), sizes(random, 2)
    weight = random.uniform(0.5, 2, shape[1])

    def theirs(p: Any, y: Any) -> Any:
        # The second derivative of PyTorch's own adds 1e-12 to a divisor: its formula, written out.
        w = torch.tensor(weight).to(p.dtype)
        loss = -w * (y * torch.log(p) + (1 - y) * torch.log1p(-p))
        assert torch.allclose(loss, F.binary_cross_entropy(p, y, w, reduction="none"))
        return {"mean": loss.mean(), "sum": loss.sum(), "none": loss}[word]

    return Config(
        lambda p, y: nn.binary_cross_entropy(p, y, gx.cast(weight, p.dtype), word),
        theirs,
        [random.uniform(0.1, 0.9, shape), random.uniform(0, 1, shape)],
        int(np.prod(shape)),
    )


@case
def sigmoid_focal_loss(random: Random) -> Config:
    word, shape = reduction(random), sizes(random, 2)
    alpha, gamma = pick(random, None, 0.25, 0.7), pick(random, 0.0, 1.0, 2.0, 2.5)
    bits = random.integers(0, 2, shape) + 0.0

    def theirs(x: Any) -> Any:
        y = torch.tensor(bits).to(x.dtype)
        right = torch.sigmoid(x) * y + torch.sigmoid(-x) * (1 - y)
        loss = F.binary_cross_entropy_with_logits(x, y, reduction="none") * (1 - right) ** gamma
        loss = loss if alpha is None else loss * (alpha * y + (1 - alpha) * (1 - y))
        return {"mean": loss.mean(), "sum": loss.sum(), "none": loss}[word]

    return Config(
        lambda x: nn.sigmoid_focal_loss(x, gx.cast(bits, x.dtype), alpha, gamma, word),
        theirs,
        [normal(random, *shape)],
        4 * int(np.prod(shape)),
    )


# --- CTC -----------------------------------------------------------------------------------------


def collapsed(path: tuple[int, ...], blank: int) -> list[int]:
    """What a path reads as: repeated classes once, and no blanks."""
    return [c for k, c in enumerate(path) if c != blank and (k == 0 or path[k - 1] != c)]


def by_paths(logs: Any, labels: list[int], blank: int) -> Any:
    """The cost of one example: the probabilities of all paths that read as its labels, added."""
    steps, classes = logs.shape
    every = itertools.product(range(classes), repeat=steps)
    paths = [path for path in every if collapsed(path, blank) == labels]
    if not paths:
        return None
    places = torch.arange(steps)
    return -torch.stack([logs[places, list(path)].sum() for path in paths]).logsumexp(0)


@case
def ctc_loss(random: Random) -> Config:
    steps, batch, classes = int(random.integers(2, 5)), int(random.integers(1, 4)), 3
    longest, blank = int(random.integers(0, 4)), int(random.integers(0, classes))
    others = [c for c in range(classes) if c != blank]
    targets = random.choice(others, (batch, longest))
    counts = random.integers(0, longest + 1, batch)
    ends = random.integers(1, steps + 1, batch)
    word = reduction(random)

    def theirs(x: Any) -> Any:
        return torch_ctc(x.log_softmax(-1), targets, ends, counts, blank, word)

    return Config(
        lambda x: nn.ctc_loss(
            gx.log_softmax(x), targets, ends, counts, blank, word, zero_infinity=True
        ),
        theirs,
        [normal(random, steps, batch, classes)],
        16 * steps * batch * classes,
    )


def torch_ctc(
    logs: Any, targets: Array, ends: Array, counts: Array, blank: int, word: str
) -> Any:  # fmt: skip
    """The loss by paths, which has a second derivative; PyTorch's own must have its value."""
    costs = []
    for n, (end, count) in enumerate(zip(ends, counts, strict=True)):
        cost = by_paths(logs[:end, n], targets[n, :count].tolist(), blank)
        costs.append(0 * logs.sum() if cost is None else cost)
    each = torch.stack(costs)
    mean = (each / torch.tensor(np.maximum(counts, 1))).mean()
    loss = {"mean": mean, "sum": each.sum(), "none": each}[word]
    lengths = (torch.tensor(ends), torch.tensor(counts))
    want = F.ctc_loss(logs, torch.tensor(targets), *lengths, blank, word, zero_infinity=True)
    assert torch.allclose(loss, want)
    return loss
