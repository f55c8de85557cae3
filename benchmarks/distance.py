"""How far apart two cores are: the time that a cache line takes from one to the other and back.

The host of a virtual machine may move its cores to places that share no cache. Nothing in the
system's statistics shows it, and work shared by two threads then takes up to twice as long.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import threading
import time

import llvmlite.binding as llvm

TRIPS, BURSTS = 2000, 3

HANDOVER = """
define void @{name}(ptr %flag, i64 %count) {{
entry:
  br label %turn
turn:
  %i = phi i64 [0, %entry], [%next, %done]
  {before}
  br label %wait
wait:
  %seen = load atomic i32, ptr %flag acquire, align 4
  %ready = icmp eq i32 %seen, {awaited}
  br i1 %ready, label %done, label %wait
done:
  {after}
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %turn, label %end
end:
  ret void
}}
"""
SET = "store atomic i32 {value}, ptr %flag release, align 4"


class Distance:
    """The distance of two cores, as a multiple of the least that was seen before."""

    def __init__(self, cores):
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        asking = HANDOVER.format(name="ask", before=SET.format(value=1), awaited=0, after="")
        answering = HANDOVER.format(name="answer", before="", awaited=1, after=SET.format(value=0))
        machine = llvm.Target.from_default_triple().create_target_machine()
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(asking + answering), machine)
        self.engine.finalize_object()
        self.cores, self.least = (cores[0], cores[-1]), math.inf

    def __call__(self):
        """The distance now; 1 is the least so far."""
        trip = self.round_trip()
        self.least = min(self.least, trip)
        return trip / self.least

    def round_trip(self):
        """The least mean of some bursts of round trips, in seconds."""
        taken, flag = [], ctypes.c_int32(0)
        ask, answer = (
            ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(
                self.engine.get_function_address(name)
            )
            for name in ("ask", "answer")
        )

        def on(core, work):
            with contextlib.suppress(AttributeError):  # a system that does not place threads
                os.sched_setaffinity(0, [core])
            work(ctypes.byref(flag))

        def timed(place):
            ask(place, 1)  # the other has begun
            for _ in range(BURSTS):
                start = time.perf_counter()
                ask(place, TRIPS)
                taken.append((time.perf_counter() - start) / TRIPS)

        works = (timed, lambda place: answer(place, 1 + BURSTS * TRIPS))
        pair = [
            threading.Thread(target=on, args=both) for both in zip(self.cores, works, strict=True)
        ]
        for thread in pair:
            thread.start()
        for thread in pair:
            thread.join()
        return min(taken)
