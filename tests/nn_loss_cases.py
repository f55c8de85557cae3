"""Random configurations of the losses, each beside PyTorch's function of the same name."""

from typing import Any

import numpy as np
from nn_cases import Array, Config, F, Random, case, normal, pick, probabilities, sizes, torch

import graphc as gx
from graphc import nn
from graphc.ir.node import Node

REDUCTIONS = ("mean", "sum", "none")


def reduction(random: Random) -> str:
    """A word for `reduction`."""
    return str(pick(random, *REDUCTIONS))


def pair(random: Random, name: str, theirs: Any, **options: Any) -> Config:
    """Two arrays of one shape under a loss with options."""
    options["reduction"] = reduction(random)
    shape = sizes(random, 2)
    ours = getattr(nn, name)
    return Config(
        lambda x, y: ours(x, y, **options),
        lambda x, y: theirs(x, y, **options),
        [normal(random, *shape), normal(random, *shape)],
        int(np.prod(shape)),
    )


@case
def mean_squared_error(random: Random) -> Config:
    return pair(random, "mean_squared_error", F.mse_loss)


@case
def l1_loss(random: Random) -> Config:
    return pair(random, "l1_loss", F.l1_loss)


@case
def huber_loss(random: Random) -> Config:
    return pair(random, "huber_loss", F.huber_loss, delta=float(random.uniform(0.3, 3)))


@case
def smooth_l1_loss(random: Random) -> Config:
    beta = pick(random, 0.0, float(random.uniform(0.3, 3)))
    return pair(random, "smooth_l1_loss", F.smooth_l1_loss, beta=beta)


@case
def hinge_loss(random: Random) -> Config:
    shape, signs = sizes(random, 2), pick(random, -1.0, 1.0)
    y, word = signs * np.ones(shape), reduction(random)
    total = {"mean": torch.mean, "sum": torch.sum, "none": lambda x: x}[word]
    return Config(
        lambda x: nn.hinge_loss(x, y, word),
        lambda x: total(torch.clamp(1 - torch.tensor(y).to(x.dtype) * x, min=0)),
        [normal(random, *shape)],
        int(np.prod(shape)),
    )


@case
def kl_divergence(random: Random) -> Config:
    shape, word = sizes(random, 2), pick(random, *REDUCTIONS, "batchmean")
    logarithms = pick(random, False, True)
    target = probabilities(random, *shape)
    arrays = [np.log(probabilities(random, *shape)), np.log(target) if logarithms else target]
    return Config(
        lambda x, y: nn.kl_divergence(x, y, word, logarithms),
        lambda x, y: F.kl_div(x, y, reduction=word, log_target=logarithms),
        arrays,
        int(np.prod(shape)),
    )


@case
def gaussian_nll_loss(random: Random) -> Config:
    shape, word, full = sizes(random, 2), reduction(random), pick(random, False, True)
    spread = random.uniform(0.2, 2, shape)
    return Config(
        lambda x, y, v: nn.gaussian_nll_loss(x, y, v, full=full, reduction=word),
        lambda x, y, v: F.gaussian_nll_loss(x, y, v, full=full, reduction=word),
        [normal(random, *shape), normal(random, *shape), spread],
        int(np.prod(shape)),
    )


@case
def poisson_nll_loss(random: Random) -> Config:
    shape, word, full = sizes(random, 2), reduction(random), pick(random, False, True)
    logarithms = pick(random, False, True)
    x = normal(random, *shape) if logarithms else random.uniform(0.3, 4, shape)
    y = random.integers(0, 6, shape) + 0.0
    return Config(
        lambda x: nn.poisson_nll_loss(x, y, logarithms, full, reduction=word),
        lambda x: F.poisson_nll_loss(
            x, torch.tensor(y).to(x.dtype), logarithms, full=full, reduction=word
        ),
        [x],
        int(np.prod(shape)),
    )


# --- classes -------------------------------------------------------------------------------------


def labels(random: Random, shape: tuple[int, ...], classes: int, ignored: int) -> Array:
    """Class numbers of which some are to be ignored, though not all."""
    drawn = random.integers(0, classes, shape)
    flat = drawn.reshape(-1)
    flat[1:][random.random(flat.size - 1) < 0.2] = ignored
    return drawn


def scores_shape(random: Random) -> tuple[int, ...]:
    """The shape of scores: one example, a batch, or a batch of pictures."""
    return sizes(random, pick(random, 1, 2, 2, 4), least=2)


def without_classes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the targets of scores."""
    return (*shape[:1], *shape[2:]) if len(shape) > 1 else ()


@case
def cross_entropy(random: Random) -> Config:
    shape, ignored = scores_shape(random), pick(random, -100, 0, 1)
    classes = shape[min(1, len(shape) - 1)]
    goal = labels(random, without_classes(shape), classes, ignored)
    goal[goal == ignored] = ignored if goal.ndim else (ignored + 1) % classes
    if goal.ndim and (goal == ignored).all():
        goal.reshape(-1)[0] = (max(ignored, 0) + 1) % classes
    options = {
        "ignore_index": ignored,
        "reduction": reduction(random),
        "label_smoothing": pick(random, 0.0, 0.2),
    }
    weight = [random.uniform(0.5, 2, classes)] if random.random() < 0.5 else []
    return Config(
        lambda x, w=None: nn.cross_entropy(x, goal, constant(w), **options),
        lambda x, w=None: F.cross_entropy(x, torch.tensor(goal), detached(w), **options),
        [normal(random, *shape), *weight],
        int(np.prod(shape)),
    )


def constant(weight: Node | None) -> Node | None:
    """A class weight, of which PyTorch gives no derivative."""
    return None if weight is None else gx.stop_gradient(weight)


def detached(weight: Any) -> Any:
    """The same of a tensor."""
    return None if weight is None else weight.detach()


@case
def cross_entropy_soft(random: Random) -> Config:
    shape = sizes(random, pick(random, 2, 3), least=2)
    options = {"reduction": reduction(random), "label_smoothing": pick(random, 0.0, 0.3)}
    return Config(
        lambda x, y: nn.cross_entropy(x, y, **options),
        lambda x, y: F.cross_entropy(x, y, **options),
        [normal(random, *shape), probabilities(random, *shape)],
        int(np.prod(shape)),
    )


@case
def negative_log_likelihood(random: Random) -> Config:
    shape, word = sizes(random, 2, least=2), reduction(random)
    goal = labels(random, shape[:1], shape[1], -100)
    weight = random.uniform(0.5, 2, shape[1])
    return Config(
        lambda x: nn.negative_log_likelihood(x, goal, weight, reduction=word),
        lambda x: (
            F.nll_loss(x, torch.tensor(goal), torch.tensor(weight).to(x.dtype), None, -100)
            if word == "mean"
            else F.nll_loss(x, torch.tensor(goal), torch.tensor(weight).to(x.dtype), reduction=word)
        ),
        [normal(random, *shape)],
        int(np.prod(shape)),
    )


@case
def binary_cross_entropy_with_logits(random: Random) -> Config:
    shape, word = sizes(random, 2), reduction(random)
    weight, positive = random.uniform(0.5, 2, shape), random.uniform(0.5, 2, shape[1])
    tensors = {"weight": torch.tensor(weight), "pos_weight": torch.tensor(positive)}

    def theirs(x: Any, y: Any) -> Any:
        given = {name: tensor.to(x.dtype) for name, tensor in tensors.items()}
        return F.binary_cross_entropy_with_logits(x, y, reduction=word, **given)

    return Config(
        lambda x, y: nn.binary_cross_entropy_with_logits(
            x, y, gx.cast(weight, x.dtype), word, gx.cast(positive, x.dtype)
        ),
        theirs,
        [normal(random, *shape), random.uniform(0, 1, shape)],
        int(np.prod(shape)),
    )


@case
def multi_margin_loss(random: Random) -> Config:
    shape, word = sizes(random, 2), reduction(random)
    p, margin = pick(random, 1, 2), float(random.uniform(0.5, 2))
    goal = random.integers(0, shape[1], shape[0])
    tensor, arrange = torch.tensor(goal), np.arange(shape[1])

    def theirs(x: Any) -> Any:
        # PyTorch's own has no second derivative: its formula, written out.
        own = x.gather(1, tensor[:, None])
        terms = torch.clamp(margin - own + x, min=0) ** p
        other = torch.tensor(arrange[None] != goal[:, None])
        loss = torch.where(other, terms, 0).mean(1)
        want = F.multi_margin_loss(x, tensor, p, margin, reduction="none")
        assert torch.allclose(loss, want)
        return {"mean": loss.mean(), "sum": loss.sum(), "none": loss}[word]

    return Config(
        lambda x: nn.multi_margin_loss(x, goal, p, margin, reduction=word),
        theirs,
        [normal(random, *shape)],
        int(np.prod(shape)),
    )


# --- similarity ----------------------------------------------------------------------------------


@case
def cosine_similarity(random: Random) -> Config:
    shape, axis = sizes(random, 3), pick(random, 0, 1, -1)
    return Config(
        lambda x, y: nn.cosine_similarity(x, y, axis),
        lambda x, y: F.cosine_similarity(x, y, axis),
        [normal(random, *shape), normal(random, *shape)],
        shape[axis],
    )


@case
def cosine_embedding_loss(random: Random) -> Config:
    shape, word, margin = sizes(random, 2, least=2), reduction(random), pick(random, 0.0, 0.3)
    goal = random.choice([-1, 1], shape[0])
    return Config(
        lambda x, y: nn.cosine_embedding_loss(x, y, goal, margin, word),
        lambda x, y: F.cosine_embedding_loss(x, y, torch.tensor(goal), margin, reduction=word),
        [normal(random, *shape), normal(random, *shape)],
        int(np.prod(shape)),
    )


@case
def pairwise_distance(random: Random) -> Config:
    shape, p = sizes(random, 2), pick(random, 1.0, 2.0, 3.0)
    return Config(
        lambda x, y: nn.pairwise_distance(x, y, p),
        lambda x, y: F.pairwise_distance(x, y, p),
        [normal(random, *shape), normal(random, *shape)],
        shape[1],
    )


@case
def triplet_margin_loss(random: Random) -> Config:
    shape, word = sizes(random, 2, least=2), reduction(random)
    options = {"margin": float(random.uniform(0.5, 3)), "swap": pick(random, False, True)}
    return Config(
        lambda *xs: nn.triplet_margin_loss(*xs, **options, reduction=word),
        lambda *xs: F.triplet_margin_loss(*xs, **options, reduction=word),
        [normal(random, *shape) for _ in range(3)],
        int(np.prod(shape)),
    )


@case
def info_nce(random: Random) -> Config:
    shape, symmetric = sizes(random, 2, least=2), pick(random, False, True)
    temperature = float(random.uniform(0.1, 1))

    def theirs(x: Any, y: Any) -> Any:
        scores = F.normalize(x) @ F.normalize(y).T / temperature
        own = torch.arange(shape[0])
        loss = F.cross_entropy(scores, own)
        return 0.5 * (loss + F.cross_entropy(scores.T, own)) if symmetric else loss

    return Config(
        lambda x, y: nn.info_nce(x, y, temperature, symmetric),
        theirs,
        [normal(random, *shape), normal(random, *shape)],
        int(np.prod(shape)),
    )
