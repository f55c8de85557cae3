"""A pass that the package does not have: exp(x) * exp(y) becomes exp(x + y).

An exponential takes about twenty operations and an addition one. The result may differ in the
last bits, and where one factor overflows and the other one vanishes it is better: so this is a
choice, and a pass is where choices are made. docs/new-pass.md walks through this file.

    python examples/new_pass.py
"""

import numpy as np

import graphc as gx
from graphc.ir.parser import parse
from graphc.ir.printer import print_text
from graphc.passes.pipeline import run_passes
from graphc.passes.rule import FLOATS, Rule, RuleTable
from graphc.passes.simplify import simplify
from graphc.passes.sweep import sweep
from graphc.runtime.compiler import compile_graph

RULES = RuleTable((
    Rule("exp(x) * exp(y)", lambda x, y: gx.exp(x) * gx.exp(y), lambda x, y: gx.exp(x + y),
         kinds=FLOATS),
))  # fmt: skip


def merge_exponentials(graph):
    """Write products of exponentials as the exponential of a sum."""
    return sweep(graph, (RULES.rewrite,), "merge_exponentials")


BEFORE = """\
graph (%x: f32[n], %y: f32[n], %z: f32[n]) {
  %0 = exp %x : f32[n]
  %1 = exp %y : f32[n]
  %2 = multiply %0, %1 : f32[n]
  %3 = exp %z : f32[n]
  %4 = multiply %2, %3 : f32[n]
  %5 = multiply %z, %4 : f32[n]
  return %5
}
"""


def main():
    """Run the pass on a text, then on a graph that is compiled."""
    print("Before:\n")
    print(BEFORE)
    print("After:\n")
    print(print_text(merge_exponentials(parse(BEFORE))))

    x = gx.input("x", ("n",), "float64")
    y = gx.sum(gx.exp(x) * gx.exp(1 - x))  # 1 - x is no constant, so exp(1 - x) is not folded
    graph = gx.Graph((x,), (y,))
    run = run_passes(graph, (merge_exponentials, simplify))
    point = np.linspace(-800, 800, 5)
    (plain,) = compile_graph(graph)(point)
    (merged,) = compile_graph(run.result)(point)
    print(f"sum of exp(x) * exp(1 - x) at {point}")
    print(f"  as it is written  {plain:.6f}")
    print(f"  merged            {merged:.6f}, which is 5 e")
    for name, seconds in run.seconds:
        print(f"  {name} took {1e3 * seconds:.1f} ms")

    assert np.isnan(plain)
    assert np.isclose(merged, 5 * np.e)


if __name__ == "__main__":
    main()
