"""Object files on order: the same bytes by any number of threads, and no thread left behind."""

import threading

import pytest

from graphc.runtime.cpu import code_orders
from graphc.runtime.cpu.code_generator import (
    OPTIMIZATION,
    SETTINGS,
    InvalidCodeError,
    generate,
    generator,
    parse,
)
from graphc.runtime.cpu.code_orders import PER_HELPER, Orders

MANY = 3 * PER_HELPER
SCALE = """
define void @scale{0}(ptr %x, i64 %n) {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %k = mul i64 %i, {0}
  %at = getelementptr float, ptr %x, i64 %k
  %value = load float, ptr %at
  %twice = fadd float %value, %value
  store float %twice, ptr %at
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""
TEXTS = [SCALE.format(number) for number in range(3, 3 + MANY)]
WRONG = SCALE.format(3).replace("fadd float", "fadd double")


def test_several_threads_make_the_same_object_files() -> None:
    with Orders(MANY, threads=3) as orders:
        assert len(orders.helpers) == 2
        made = [orders.order(text) for text in TEXTS]
        orders.fill()
    assert [order.code for order in made] == [generate(text) for text in TEXTS]
    assert not any(thread.name == "graphc-code" for thread in threading.enumerate())


@pytest.mark.parametrize(("expected", "threads"), [(MANY, 1), (PER_HELPER - 1, 8), (0, 8)])
def test_one_thread_or_few_orders_start_no_helper(expected: int, threads: int) -> None:
    with Orders(expected, threads) as orders:
        assert not orders.helpers
        order = orders.order(TEXTS[0])
        orders.fill()
    assert order.code == generate(TEXTS[0])


def test_where_no_thread_can_be_started_the_caller_does_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with Orders(MANY, threads=2) as orders:
        made = [orders.order(text) for text in TEXTS]
        orders.fill()
    assert all(order.code for order in made)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_error_of_an_order_is_raised_after_the_others_are_filled(threads: int) -> None:
    with Orders(MANY, threads) as orders:
        made = [orders.order(text) for text in (*TEXTS[:3], WRONG, *TEXTS[3:])]
        with pytest.raises(InvalidCodeError, match="fadd double"):
            orders.fill()
    assert all(order.code for order in made if order.error is None)


def interrupt(orders: Orders) -> None:
    """Order much, and be interrupted before it is filled."""
    with orders:
        for text in TEXTS:
            orders.order(text)
        raise KeyboardInterrupt


def test_an_error_of_the_caller_takes_back_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_orders.Orders, "help", lambda orders: orders.waiting.get())
    orders = Orders(MANY, threads=2)
    with pytest.raises(KeyboardInterrupt):
        interrupt(orders)
    assert not any(order.code for order in orders.orders)
    assert not any(thread.name == "graphc-code" for thread in threading.enumerate())


def test_the_code_generator_of_others_is_as_it_was() -> None:
    text = SCALE.format(7)
    before = generator(OPTIMIZATION).emit_object(parse(text))
    with SETTINGS.without_strength_reduction():
        generate(text)
        inside = generator(OPTIMIZATION).emit_object(parse(text))
    assert inside == generate(text) != before
    assert generator(OPTIMIZATION).emit_object(parse(text)) == before
