"""What scripts that time graphc beside others share: threads, clocks, rounds and their medians."""

import os
import statistics
import time

import graphc as gx


def xla_flags(threads):
    """Keep JAX to one thread, or let it have all; it reads that when it is imported."""
    if threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["XLA_FLAGS"] = flags


def use_threads(threads, torch=None):
    """Let graphc, and PyTorch if it is given, have so many threads."""
    gx.set_num_threads(threads)
    if torch:
        torch.set_num_threads(threads)


def clock_of(threads):
    """Processor time for one thread, which others' work does not lengthen; else the wall clock."""
    return time.process_time if threads == 1 else time.perf_counter


def seconds(function, clock):
    """How long a call takes by a clock."""
    start = clock()
    function()
    return clock() - start


def seconds_per_call(function, repeats, clock):
    """The mean time of a call over some calls."""
    start = clock()
    for _ in range(repeats):
        function()
    return (clock() - start) / repeats


def in_turns(calls, rounds, clock):
    """The times of rounds in which each call has its turn: a row for each round."""
    return [[seconds(call, clock) for call in calls] for _ in range(rounds)]


def medians(rows):
    """The median time of each call, in milliseconds."""
    return [statistics.median(column) * 1e3 for column in zip(*rows, strict=True)]


def ratio(rows):
    """The median over rounds of the first call's time by the best of the others'."""
    return statistics.median(row[0] / min(row[1:]) for row in rows)


def report(title, calls, rounds, clock):
    """Time calls by name, graphc's first, and print the medians and the ratio."""
    rows = in_turns(calls.values(), rounds, clock)
    pairs = zip(calls, medians(rows), strict=True)
    shown = "".join(f"{label} {milliseconds:6.2f} ms  " for label, milliseconds in pairs)
    print(f"{title} {shown} ratio {ratio(rows):.2f}", flush=True)
