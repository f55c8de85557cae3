"""Stabilise: write formulas as they do not overflow, cancel or divide zero by zero.

Where the naive form is finite both agree to rounding; where it overflows or cancels, the stable
one has the value that exact arithmetic gives. Run `simplify` before: the forms are met in the
shape that it leaves. Reductions are in `stabilise_sums`.

What cancels is taken for a finite number: where a user's p is infinite or NaN, or a sum over an
axis whose symbolic size turns out to be 0, (a / p) * p is a.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.lang.arithmetic import abs, sqrt
from graphc.lang.exponential import exp, expm1, log, log1p, logaddexp, sigmoid, softplus
from graphc.lang.trigonometric import cos, sin, tanh
from graphc.passes.guards import is_positive
from graphc.passes.rule import FLOATS, Rule, RuleTable
from graphc.passes.simplify import SIGNS
from graphc.passes.stabilise_sums import FORMS
from graphc.passes.sweep import sweep


def stabilise(graph: Graph) -> Graph:
    """Rewrite logarithms, exponentials and their quotients into forms that stay finite."""
    return sweep(graph, CHANGES, "stabilise")


def rule(
    name: str,
    before: Callable[..., Node],
    after: Callable[..., Any],
    where: Callable[..., bool] = lambda *nodes: True,
) -> Rule:
    """A rule of real numbers."""
    return Rule(name, before, after, where, FLOATS)


def last_is_positive(*nodes: Node) -> bool:
    """Whether the last variable is above 0 in exact arithmetic, so that it may be cancelled."""
    return is_positive(nodes[-1])


LOGARITHMS = (
    rule("log(exp(x))", lambda x: log(exp(x)), lambda x: x),
    rule("log(1 + exp(x))", lambda x: log(1 + exp(x)), softplus),
    rule("log1p(exp(x))", lambda x: log1p(exp(x)), softplus),
    rule("log(exp(x) + exp(y))", lambda x, y: log(exp(x) + exp(y)), logaddexp),
    rule("log(1 + x)", lambda x: log(1 + x), log1p),
    rule("log(1 - x)", lambda x: log(1 - x), lambda x: log1p(-x)),
    rule("log(sigmoid(x))", lambda x: log(sigmoid(x)), lambda x: -softplus(-x)),
    rule("log1p(-sigmoid(x))", lambda x: log1p(-sigmoid(x)), lambda x: -softplus(x)),
)

DIFFERENCES = (
    rule("exp(x) - 1", lambda x: exp(x) - 1, expm1),
    rule("exp(x) + -1", lambda x: exp(x) + -1, expm1),
    rule("1 - exp(x)", lambda x: 1 - exp(x), lambda x: -expm1(x)),
    rule("1 - sigmoid(x)", lambda x: 1 - sigmoid(x), lambda x: sigmoid(-x)),
    rule("1 - cos(x)", lambda x: 1 - cos(x), lambda x: 2 * sin(x * 0.5) * sin(x * 0.5)),
)

QUOTIENTS = (
    rule("1 / (1 + exp(x))", lambda x: 1 / (1 + exp(x)), lambda x: sigmoid(-x)),
    rule("exp(x) / (1 + exp(x))", lambda x: exp(x) / (1 + exp(x)), sigmoid),
    rule("(exp(x) - exp(-x)) / (exp(x) + exp(-x))",
         lambda x: (exp(x) - exp(-x)) / (exp(x) + exp(-x)), tanh),
    rule("sqrt(x * x)", lambda x: sqrt(x * x), abs),
)  # fmt: skip

# What differentiation makes of the naive forms divides by a p that may have rounded to 0, or by
# one that overflows, and multiplies by it again.
GRADIENTS = (
    rule("(a / (1 + exp(x))) * exp(x)", lambda a, x: (a / (1 + exp(x))) * exp(x),
         lambda a, x: a * sigmoid(x)),
    rule("((a / (1 + exp(x))) * b) * exp(x)",
         lambda a, b, x: ((a / (1 + exp(x))) * b) * exp(x), lambda a, b, x: a * b * sigmoid(x)),
    rule("sigmoid(-x) * exp(x)", lambda x: sigmoid(-x) * exp(x), sigmoid),
    rule("sigmoid(x) * exp(-x)", lambda x: sigmoid(x) * exp(-x), lambda x: sigmoid(-x)),
    rule("(a * sigmoid(-x)) * exp(x)", lambda a, x: (a * sigmoid(-x)) * exp(x),
         lambda a, x: a * sigmoid(x)),
    rule("(a * sigmoid(x)) * exp(-x)", lambda a, x: (a * sigmoid(x)) * exp(-x),
         lambda a, x: a * sigmoid(-x)),
    rule("(a / (exp(x) + exp(y))) * exp(x)", lambda a, x, y: (a / (exp(x) + exp(y))) * exp(x),
         lambda a, x, y: a * sigmoid(x - y)),
    rule("(a / p) * p", lambda a, p: (a / p) * p, lambda a, p: a, last_is_positive),
    rule("((a / p) / b) * p", lambda a, b, p: ((a / p) / b) * p, lambda a, b, p: a / b,
         last_is_positive),
    rule("(a / p + b) * p", lambda a, b, p: (a / p + b) * p, lambda a, b, p: a + b * p,
         last_is_positive),
    rule("(a / p - b) * p", lambda a, b, p: (a / p - b) * p, lambda a, b, p: a - b * p,
         last_is_positive),
    rule("(b - a / p) * p", lambda a, b, p: (b - a / p) * p, lambda a, b, p: b * p - a,
         last_is_positive),
    rule("(b + (a / p) * c) * p", lambda a, b, c, p: (b + (a / p) * c) * p,
         lambda a, b, c, p: b * p + a * c, last_is_positive),
    rule("(b - (a / p) * c) * p", lambda a, b, c, p: (b - (a / p) * c) * p,
         lambda a, b, c, p: b * p - a * c, last_is_positive),
    rule("((a / p) * c - b) * p", lambda a, b, c, p: ((a / p) * c - b) * p,
         lambda a, b, c, p: a * c - b * p, last_is_positive),
)  # fmt: skip

RULES = (*LOGARITHMS, *DIFFERENCES, *QUOTIENTS, *GRADIENTS)
# Signs are put in order all the while: sigmoid(-(-x)) must meet sigmoid(x).
CHANGES = (RuleTable((*SIGNS, *RULES)).rewrite, *FORMS)
