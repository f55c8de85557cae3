"""Predicted costs: what kernels do is counted, and the slowest of three limits counts."""

from dataclasses import replace

import pytest

import graphc as gx
from graphc.ir.parser import parse
from graphc.passes.machine import TYPICAL, predicting_for
from graphc.passes.predict_cost import Work, predicted, work_of

PRODUCT = """
kernel @product(%x: f32[8*16], %y: f32[16*4], write %z: f32[8*4]) {
  for parallel %i < 8 {
    for parallel %j < 4 {
      accumulator %s: f32 = sum
      for serial %k < 16 {
        accumulate %s multiply(load %x[16*%i + %k], load %y[4*%k + %j])
      }
      store %z[4*%i + %j] = exp(%s)
    }
  }
}
"""


def work(text: str) -> Work:
    kernel = parse(text)
    return work_of(kernel.body, kernel.buffers)


def test_a_product_multiplies_and_adds_once_for_each_term() -> None:
    found = work(PRODUCT)
    assert found.float32 == 2 * 8 * 16 * 4
    assert found.functions == 8 * 4
    assert (found.read, found.written) == ((8 * 16 + 16 * 4) * 4, 8 * 4 * 4)
    assert work(PRODUCT.replace("f32", "f64")).float64 == found.float32


def test_a_symbolic_size_is_taken_to_be_usual() -> None:
    found = work("""
kernel @double(%x: f32[n], write %y: f32[n]) {
  for parallel %i < n {
    store %y[%i] = multiply(load %x[%i], 2.0: f32)
  }
}
""")
    assert found == Work(float32=64, read=256, written=256)


def test_an_element_is_moved_once_however_often_it_is_read() -> None:
    found = work("""
kernel @spread(%x: f32[1], write %y: f32[1000]) {
  for parallel %i < 1000 {
    store %y[%i] = load %x[0]
  }
}
""")
    assert (found.read, found.written) == (4, 4000)


@pytest.mark.parametrize(
    ("done", "seconds"),
    [
        (Work(), 0.0),
        (Work(float32=10**11), 1.0),
        (Work(float32=10**11, float64=10**11, functions=10**9), 3.0),
        (Work(float32=10**9, functions=4 * 10**9), 1.0),
        (Work(read=2000), 2000 / TYPICAL.read[0]),
        (Work(read=10**10, written=15 * 10**9), 1.5),
    ],
)
def test_the_slowest_limit_counts(done: Work, seconds: float) -> None:
    assert done.seconds == pytest.approx(seconds)


def test_costs_follow_the_machine() -> None:
    with predicting_for(replace(TYPICAL, float32=1e9)):
        assert Work(float32=10**9).seconds == 1.0


@pytest.mark.cpu("costs in time")
def test_a_decision_tells_microseconds() -> None:
    assert predicted(1.23456e-5) == ("predicted us", "12.3")
    x, w = gx.input("x", (64, 64), "float32"), gx.input("w", (64, 64), "float32")
    tiles = [d for d in gx.compile([x, w], x @ w).decisions if d.stage == "tile_loops"]
    assert [float(dict(d.numbers)["predicted us"]) > 0 for d in tiles] == [True]
