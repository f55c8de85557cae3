"""The thread pool's native half as LLVM text; `pool` is the Python half.

A region is a body to run over [0, count). Its caller cuts it into chunks, publishes their number
in `remaining`, and takes chunks by counting that down, as every worker does that is awake. Who
has taken a chunk holds the region open until it adds one to `done`, so the fields of the region
cannot change under it; a worker that comes late finds nothing remaining, and nobody waits for it.
"""

from __future__ import annotations

import platform
import sys
from string import Template

SERIAL_BELOW = 15_000
"""Nanoseconds of work that one thread does faster alone, the others perhaps asleep."""
CHUNK = 5_000
"""Nanoseconds of work that are worth a chunk of their own."""
CHUNKS_PER_THREAD = 4
"""More than one, so that a thread held up by the system leaves its share to the others."""
SPINS = 1_000
"""Pauses before a worker that finds no work goes to sleep."""

EXPORTS = (
    "graphc_pool",
    "graphc_parallel_for",
    "graphc_pool_work",
    "graphc_pool_resize",
    "graphc_pool_reset",
)
"""The names that the text defines for others."""

# What several threads write stands on cache lines of its own (of 128 bytes: they come in pairs).
POOL = Template("""
%Pool = type {
  i64, ptr, ptr, i64, i64, [88 x i8],  ; 0 remaining  1 body  2 context  3 count  4 chunks
  i64, [120 x i8],                     ; 6 done
  i32, i32, [120 x i8],                ; 8 signal (changes when sleepers should look)  9 sleepers
  i32, i32, i32, [116 x i8]            ; 11 lock  12 workers  13 processor of the caller
}
@graphc_pool = global %Pool zeroinitializer, align 128

define void @graphc_parallel_for(ptr %pool, ptr %body, ptr %context, i64 %count, i64 %work) {
entry:
  %product = call {i64, i1} @llvm.umul.with.overflow.i64(i64 %count, i64 %work)
  %low = extractvalue {i64, i1} %product, 0
  %overflow = extractvalue {i64, i1} %product, 1
  %cost = select i1 %overflow, i64 -1, i64 %low
  %workers.at = getelementptr %Pool, ptr %pool, i32 0, i32 12
  %workers = load atomic i32, ptr %workers.at monotonic, align 4
  %long = icmp uge i64 %cost, $serial_below
  %several = icmp ugt i64 %count, 1
  %helped = icmp ugt i32 %workers, 0
  %worth = and i1 %long, %several
  %try = and i1 %worth, %helped
  br i1 %try, label %lock, label %serial

lock:  ; a region inside a region and a second Python thread find it taken
  %lock.at = getelementptr %Pool, ptr %pool, i32 0, i32 11
  %exchange = cmpxchg ptr %lock.at, i32 0, i32 1 acquire monotonic
  %locked = extractvalue {i32, i1} %exchange, 1
  br i1 %locked, label %publish, label %serial

serial:
  call void %body(ptr %context, i64 0, i64 %count)
  ret void

publish:
  %others = zext i32 %workers to i64
  %threads = add i64 %others, 1
  %most = mul i64 %threads, $chunks_per_thread
  %worthwhile = udiv i64 %cost, $chunk
  %wanted = call i64 @llvm.umin.i64(i64 %most, i64 %worthwhile)
  %chunks = call i64 @llvm.umin.i64(i64 %wanted, i64 %count)
  %body.at = getelementptr %Pool, ptr %pool, i32 0, i32 1
  %context.at = getelementptr %Pool, ptr %pool, i32 0, i32 2
  %count.at = getelementptr %Pool, ptr %pool, i32 0, i32 3
  %chunks.at = getelementptr %Pool, ptr %pool, i32 0, i32 4
  %done.at = getelementptr %Pool, ptr %pool, i32 0, i32 6
  %processor.at = getelementptr %Pool, ptr %pool, i32 0, i32 13
  %processor = call i32 @this_processor()
  store atomic i32 %processor, ptr %processor.at monotonic, align 4
  store ptr %body, ptr %body.at
  store ptr %context, ptr %context.at
  store i64 %count, ptr %count.at
  store i64 %chunks, ptr %chunks.at
  store atomic i64 0, ptr %done.at monotonic, align 8
  store atomic i64 %chunks, ptr %pool seq_cst, align 8
  %last = sub i64 %chunks, 1
  %helpers = trunc i64 %last to i32
  call void @signal(ptr %pool, i32 %helpers)
  call void @take_chunks(ptr %pool)
  br label %join

join:
  %turn = phi i64 [0, %publish], [%next, %again]
  %done = load atomic i64, ptr %done.at acquire, align 8
  %complete = icmp eq i64 %done, %chunks
  br i1 %complete, label %unlock, label %hold

hold:  ; a worker is in its last chunk, perhaps without a processor
  %patient = icmp ult i64 %turn, $spins
  br i1 %patient, label %pause, label %yield

pause:
  $pause
  br label %again

yield:
  $yield
  br label %again

again:
  %next = add i64 %turn, 1
  br label %join

unlock:
  store atomic i32 0, ptr %lock.at release, align 4
  ret void
}

; Runs chunks of the region until none remains.
define internal void @take_chunks(ptr %pool) {
entry:
  %body.at = getelementptr %Pool, ptr %pool, i32 0, i32 1
  %context.at = getelementptr %Pool, ptr %pool, i32 0, i32 2
  %count.at = getelementptr %Pool, ptr %pool, i32 0, i32 3
  %chunks.at = getelementptr %Pool, ptr %pool, i32 0, i32 4
  %done.at = getelementptr %Pool, ptr %pool, i32 0, i32 6
  br label %look

look:
  %remaining = load atomic i64, ptr %pool monotonic, align 8
  %none = icmp eq i64 %remaining, 0
  br i1 %none, label %leave, label %take

take:
  %chunk = sub i64 %remaining, 1
  %exchange = cmpxchg ptr %pool, i64 %remaining, i64 %chunk acquire monotonic
  %taken = extractvalue {i64, i1} %exchange, 1
  br i1 %taken, label %run, label %look

run:
  %body = load ptr, ptr %body.at
  %context = load ptr, ptr %context.at
  %count = load i64, ptr %count.at
  %chunks = load i64, ptr %chunks.at
  %each = udiv i64 %count, %chunks
  %rest = urem i64 %count, %chunks
  %before = mul i64 %chunk, %each
  %extra = call i64 @llvm.umin.i64(i64 %chunk, i64 %rest)
  %begin = add i64 %before, %extra
  %larger = icmp ult i64 %chunk, %rest
  %one = zext i1 %larger to i64
  %length = add i64 %each, %one
  %end = add i64 %begin, %length
  call void %body(ptr %context, i64 %begin, i64 %end)
  %was = atomicrmw add ptr %done.at, i64 1 release
  br label %look

leave:
  ret void
}

; A worker's life: it takes chunks until the pool has no place for its index.
define void @graphc_pool_work(ptr %pool, i32 %index) {
entry:
  %signal.at = getelementptr %Pool, ptr %pool, i32 0, i32 8
  %sleepers.at = getelementptr %Pool, ptr %pool, i32 0, i32 9
  %workers.at = getelementptr %Pool, ptr %pool, i32 0, i32 12
  %processor.at = getelementptr %Pool, ptr %pool, i32 0, i32 13
  %allowed = alloca [128 x i8], align 8
  call void @get_processors(ptr %allowed)
  br label %idle

idle:
  %avoided = phi i32 [-1, %entry], [%processor, %take], [%avoided, %sleep]
  %seen = load atomic i32, ptr %signal.at seq_cst, align 4
  %workers = load atomic i32, ptr %workers.at seq_cst, align 4
  %stay = icmp ult i32 %index, %workers
  br i1 %stay, label %spin, label %leave

spin:
  %turn = phi i64 [0, %idle], [%next, %pause]
  %remaining = load atomic i64, ptr %pool seq_cst, align 8
  %none = icmp eq i64 %remaining, 0
  br i1 %none, label %wait, label %run

wait:
  %next = add i64 %turn, 1
  %patient = icmp ult i64 %next, $spins
  br i1 %patient, label %pause, label %sleep

pause:
  $pause
  br label %spin

run:  ; Linux may wake a worker on its caller's processor, though others are free
  %processor = load atomic i32, ptr %processor.at monotonic, align 4
  %moved = icmp ne i32 %processor, %avoided
  br i1 %moved, label %avoid, label %take

avoid:
  call void @avoid_processor(ptr %allowed, i32 %processor)
  br label %take

take:
  call void @take_chunks(ptr %pool)
  br label %idle

sleep:  ; returns at once if the signal has changed since this worker looked for work
  %asleep = atomicrmw add ptr %sleepers.at, i32 1 seq_cst
  call void @sleep_while(ptr %signal.at, i32 %seen)
  %awake = atomicrmw sub ptr %sleepers.at, i32 1 seq_cst
  br label %idle

leave:
  ret void
}

; Makes every worker look again, and wakes up to `most` that sleep.
define internal void @signal(ptr %pool, i32 %most) {
  %signal.at = getelementptr %Pool, ptr %pool, i32 0, i32 8
  %sleepers.at = getelementptr %Pool, ptr %pool, i32 0, i32 9
  %was = atomicrmw add ptr %signal.at, i32 1 seq_cst
  %sleepers = load atomic i32, ptr %sleepers.at seq_cst, align 4
  %any = icmp ne i32 %sleepers, 0
  br i1 %any, label %wake, label %leave

wake:
  call void @wake(ptr %signal.at, i32 %most)
  br label %leave

leave:
  ret void
}

; Sets the number of workers; those with no place leave at the end of their chunk.
define void @graphc_pool_resize(ptr %pool, i32 %workers) {
  %workers.at = getelementptr %Pool, ptr %pool, i32 0, i32 12
  store atomic i32 %workers, ptr %workers.at seq_cst, align 4
  call void @signal(ptr %pool, i32 2147483647)
  ret void
}

; Forgets every region and worker: after a fork there are none.
define void @graphc_pool_reset(ptr %pool) {
  %end = getelementptr %Pool, ptr null, i32 1
  %bytes = ptrtoint ptr %end to i64
  call void @llvm.memset.p0.i64(ptr align 128 %pool, i8 0, i64 %bytes, i1 false)
  ret void
}

declare {i64, i1} @llvm.umul.with.overflow.i64(i64, i64)
declare i64 @llvm.umin.i64(i64, i64)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
$pause_declaration
""")

# What the pool asks of the system: to sleep while the word at %at is %seen (a wake may come
# without cause), and to keep a worker off a processor, as far as it can do either.
LINUX = Template("""
declare i64 @syscall(i64, ...)
declare i32 @sched_yield()
declare i32 @sched_getcpu()

define internal void @sleep_while(ptr %at, i32 %seen) {
  %wait = call i64 (i64, ...) @syscall(
    i64 $futex, ptr %at, i32 128, i32 %seen, ptr null, ptr null, i32 0)
  ret void
}

define internal void @wake(ptr %at, i32 %most) {
  %woken = call i64 (i64, ...) @syscall(
    i64 $futex, ptr %at, i32 129, i32 %most, ptr null, ptr null, i32 0)
  ret void
}

define internal i32 @this_processor() {
  %processor = call i32 @sched_getcpu()
  ret i32 %processor
}

define internal void @get_processors(ptr %set) {
  call void @llvm.memset.p0.i64(ptr %set, i8 0, i64 128, i1 false)
  %got = call i64 (i64, ...) @syscall(i64 $get_affinity, i32 0, i64 128, ptr %set)
  ret void
}

; Takes one processor out of the set that this thread may use, unless it is the only one.
define internal void @avoid_processor(ptr %allowed, i32 %processor) {
  %bit = and i32 %processor, 63
  %shift = zext i32 %bit to i64
  %one = shl i64 1, %shift
  %others = xor i64 %one, -1
  %word = lshr i32 %processor, 6
  %within = and i32 %word, 15
  %at = getelementptr i64, ptr %allowed, i32 %within
  %all = load i64, ptr %at
  %fewer = and i64 %all, %others
  store i64 %fewer, ptr %at
  %set = call i64 (i64, ...) @syscall(i64 $set_affinity, i32 0, i64 128, ptr %allowed)
  store i64 %all, ptr %at
  ret void
}
""")

# Without a futex a worker looks again every 200 microseconds.
POLLING = """
declare i32 @usleep(i32)
declare i32 @sched_yield()

define internal void @sleep_while(ptr %at, i32 %seen) {
  %slept = call i32 @usleep(i32 200)
  ret void
}
"""

# On Windows every millisecond.
WINDOWS_POLLING = """
declare void @Sleep(i32)

define internal void @sleep_while(ptr %at, i32 %seen) {
  call void @Sleep(i32 1)
  ret void
}
"""

# Who polls needs no waking, and the placing of threads is left to the system.
UNAIDED = """
define internal void @wake(ptr %at, i32 %most) {
  ret void
}

define internal i32 @this_processor() {
  ret i32 -1
}

define internal void @get_processors(ptr %set) {
  ret void
}

define internal void @avoid_processor(ptr %allowed, i32 %processor) {
  ret void
}
"""

GENERIC_CALLS = {"futex": 98, "set_affinity": 122, "get_affinity": 123}
SYSTEM_CALLS = {
    "x86_64": {"futex": 202, "set_affinity": 203, "get_affinity": 204},
    "aarch64": GENERIC_CALLS,
    "riscv64": GENERIC_CALLS,
}
PAUSES = {
    "x86_64": ("call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"),
    "aarch64": ("call void @llvm.aarch64.hint(i32 1)", "declare void @llvm.aarch64.hint(i32)"),
}
ALIASES = {"AMD64": "x86_64", "arm64": "aarch64", "ARM64": "aarch64"}


def pool_code() -> str:
    """The LLVM text of the pool for this system and processor."""
    machine = ALIASES.get(platform.machine(), platform.machine())
    pause, declaration = PAUSES.get(machine, ("", ""))
    yields = "call void @Sleep(i32 0)" if sys.platform == "win32" else "call i32 @sched_yield()"
    text = POOL.substitute(
        serial_below=SERIAL_BELOW,
        chunk=CHUNK,
        chunks_per_thread=CHUNKS_PER_THREAD,
        spins=SPINS,
        pause=pause,
        pause_declaration=declaration,
        **{"yield": yields},
    )
    return text + system_code(machine)


def system_code(machine: str) -> str:
    """What the pool asks of this system."""
    if sys.platform == "linux" and machine in SYSTEM_CALLS:
        return LINUX.substitute(SYSTEM_CALLS[machine])
    return UNAIDED + (WINDOWS_POLLING if sys.platform == "win32" else POLLING)
