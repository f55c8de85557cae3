"""The thread pool's native half as LLVM text; `pool` is the Python half.

A region is a body to run over [0, count). Its caller cuts it into chunks, publishes their number
in `remaining`, and takes chunks by counting that down, as every worker does that is awake. The
caller takes them from the first one on, workers from the last one back. Who has taken a chunk
holds the region open until it adds one to `done`, so the fields of the region cannot change under
it; a worker that comes late finds nothing remaining, and nobody waits for it.

A thread may lose its processor to another process while it holds a chunk, for milliseconds. Who
has finished and waits sees it: the late thread's own time stands still. Then the two share the
processor that is left. A caller moves such workers to its own and sleeps until a chunk is done; a
worker moves the caller to its own, and goes elsewhere.
"""

from __future__ import annotations

import platform
from string import Template

from graphc.runtime.cpu.pool_system import PLACES, system_code

SERIAL_BELOW = 15_000
"""Nanoseconds of work that one thread does faster alone, the others perhaps asleep."""
CHUNK = 5_000
"""Nanoseconds of work that are worth a chunk of their own."""
CHUNKS_PER_THREAD = 4
"""More than one, so that a thread held up by the system leaves its share to the others."""
SPINS = 1_000
"""Pauses before a worker that finds no work goes to sleep, and before who waits looks why."""

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
; 0 its thread while it runs chunks, else 0  1 whether it was moved  2 its own time, seen last
%Worker = type { i32, i32, i64, [112 x i8] }
%Pool = type {
  i64, ptr, ptr, i64, i64, {i64, [80 x i8]},
  ; 0 remaining  1 body  2 context  3 count  4 chunks  5 where those begin that workers have taken
  i64, i32, [116 x i8],                ; 6 done  7 whether the caller sleeps until all is done
  i32, i32, [120 x i8],                ; 9 signal (changes when sleepers should look)  10 sleepers
  i32, i32, i32, i32, i64, i32, i32, [96 x i8],
  ; 12 lock  13 workers  14 the caller's processor  15 its thread while it runs chunks, else 0
  ; 16 where the thread keeps its own data that called last  17 that thread
  ; 18 how far a worker is in moving the caller
  [16 x i64],                          ; 20 the processors that the caller might use before
  [$places x %Worker]                  ; 21
}
@graphc_pool = global %Pool zeroinitializer, align 128

define void @graphc_parallel_for(ptr %pool, ptr %body, ptr %context, i64 %count, i64 %work) {
entry:
  %product = call {i64, i1} @llvm.umul.with.overflow.i64(i64 %count, i64 %work)
  %low = extractvalue {i64, i1} %product, 0
  %overflow = extractvalue {i64, i1} %product, 1
  %cost = select i1 %overflow, i64 -1, i64 %low
  %workers.at = getelementptr %Pool, ptr %pool, i32 0, i32 13
  %workers = load atomic i32, ptr %workers.at monotonic, align 4
  %long = icmp uge i64 %cost, $serial_below
  %several = icmp ugt i64 %count, 1
  %helped = icmp ugt i32 %workers, 0
  %worth = and i1 %long, %several
  %try = and i1 %worth, %helped
  br i1 %try, label %lock, label %serial

lock:  ; a region inside a region and a second Python thread find it taken
  %lock.at = getelementptr %Pool, ptr %pool, i32 0, i32 12
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
  %processor.at = getelementptr %Pool, ptr %pool, i32 0, i32 14
  %processor = call i32 @this_processor()
  store atomic i32 %processor, ptr %processor.at monotonic, align 4
  %caller.at = getelementptr %Pool, ptr %pool, i32 0, i32 15
  %thread = call i32 @calling_thread(ptr %pool)
  store atomic i32 %thread, ptr %caller.at seq_cst, align 4
  store ptr %body, ptr %body.at
  store ptr %context, ptr %context.at
  store i64 %count, ptr %count.at
  store i64 %chunks, ptr %chunks.at
  %behind.at = getelementptr %Pool, ptr %pool, i32 0, i32 5
  store atomic i64 %chunks, ptr %behind.at monotonic, align 8
  store atomic i64 0, ptr %done.at monotonic, align 8
  store atomic i64 %chunks, ptr %pool seq_cst, align 8
  %last = sub i64 %chunks, 1
  %helpers = trunc i64 %last to i32
  call void @signal(ptr %pool, i32 %helpers)
  call void @take_chunks(ptr %pool, i1 true)
  store atomic i32 0, ptr %caller.at seq_cst, align 4
  call void @settle_caller(ptr %pool)
  br label %join

join:
  %turn = phi i64 [0, %publish], [%next, %hold], [0, %late]
  %done = load atomic i64, ptr %done.at acquire, align 8
  %complete = icmp eq i64 %done, %chunks
  br i1 %complete, label %unlock, label %hold

hold:
  $pause
  %next = add i64 %turn, 1
  %patient = icmp ult i64 %next, $spins
  br i1 %patient, label %join, label %late

late:  ; a worker is in its last chunk, perhaps without a processor
  call void @move_workers(ptr %pool, i64 %done)
  br label %join

unlock:
  store atomic i32 0, ptr %lock.at release, align 4
  ret void
}

; Runs chunks of the region until none remains. Since the caller begins at one end and workers at
; the other, two threads take about the same in each region of a kind, and find it in their caches.
define internal void @take_chunks(ptr %pool, i1 %is_caller) {
entry:
  %body.at = getelementptr %Pool, ptr %pool, i32 0, i32 1
  %context.at = getelementptr %Pool, ptr %pool, i32 0, i32 2
  %count.at = getelementptr %Pool, ptr %pool, i32 0, i32 3
  %chunks.at = getelementptr %Pool, ptr %pool, i32 0, i32 4
  %done.at = getelementptr %Pool, ptr %pool, i32 0, i32 6
  %asleep.at = getelementptr %Pool, ptr %pool, i32 0, i32 7
  %behind.at = getelementptr %Pool, ptr %pool, i32 0, i32 5
  br label %look

look:
  %mine = phi i64 [0, %entry], [%mine, %take], [%next, %run], [%next, %wake]
  %remaining = load atomic i64, ptr %pool monotonic, align 8
  %none = icmp eq i64 %remaining, 0
  br i1 %none, label %leave, label %take

take:
  %fewer = sub i64 %remaining, 1
  %exchange = cmpxchg ptr %pool, i64 %remaining, i64 %fewer acquire monotonic
  %taken = extractvalue {i64, i1} %exchange, 1
  br i1 %taken, label %choose, label %look

choose:
  br i1 %is_caller, label %run, label %last

last:
  %behind = atomicrmw sub ptr %behind.at, i64 1 monotonic
  %before.it = sub i64 %behind, 1
  br label %run

run:
  %chunk = phi i64 [%mine, %choose], [%before.it, %last]
  %next = add i64 %mine, 1
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
  %was = atomicrmw add ptr %done.at, i64 1 seq_cst
  %asleep = load atomic i32, ptr %asleep.at seq_cst, align 4
  %waits = icmp ne i32 %asleep, 0
  br i1 %waits, label %wake, label %look

wake:
  call void @wake(ptr %done.at, i32 1)
  br label %look

leave:
  ret void
}

; A worker's life: it takes chunks until the pool has no place for its index.
define void @graphc_pool_work(ptr %pool, i32 %index) {
entry:
  %signal.at = getelementptr %Pool, ptr %pool, i32 0, i32 9
  %sleepers.at = getelementptr %Pool, ptr %pool, i32 0, i32 10
  %workers.at = getelementptr %Pool, ptr %pool, i32 0, i32 13
  %processor.at = getelementptr %Pool, ptr %pool, i32 0, i32 14
  %caller.at = getelementptr %Pool, ptr %pool, i32 0, i32 15
  %allowed = alloca [128 x i8], align 8
  %nowhere = alloca %Worker, align 8
  call void @get_processors(ptr %allowed)
  %placed = icmp ult i32 %index, $places
  %place = getelementptr %Pool, ptr %pool, i32 0, i32 21, i32 %index
  %self = select i1 %placed, ptr %place, ptr %nowhere
  %moved.at = getelementptr %Worker, ptr %self, i32 0, i32 1
  %thread = call i32 @this_thread()
  br label %idle

idle:
  %avoided = phi i32 [-1, %entry], [%processor, %take], [%processor, %return], [%avoided, %sleep],
                     [%here, %late]
  %seen = load atomic i32, ptr %signal.at seq_cst, align 4
  %workers = load atomic i32, ptr %workers.at seq_cst, align 4
  %stay = icmp ult i32 %index, %workers
  br i1 %stay, label %spin, label %leave

spin:
  %turn = phi i64 [0, %idle], [%next, %pause], [0, %again]
  %before = phi i64 [-1, %idle], [%before, %pause], [%used, %again]
  %remaining = load atomic i64, ptr %pool seq_cst, align 8
  %none = icmp eq i64 %remaining, 0
  br i1 %none, label %wait, label %run

wait:
  %next = add i64 %turn, 1
  %patient = icmp ult i64 %next, $spins
  br i1 %patient, label %pause, label %watch

pause:
  $pause
  br label %spin

watch:  ; the caller is in its last chunk, perhaps without a processor
  %caller = load atomic i32, ptr %caller.at seq_cst, align 4
  %finished = icmp eq i32 %caller, 0
  br i1 %finished, label %sleep, label %look

look:
  %used = call i64 @time_of(i32 %caller)
  %unknown = icmp eq i64 %used, -1
  br i1 %unknown, label %sleep, label %again

again:
  %first = icmp eq i64 %before, -1
  br i1 %first, label %spin, label %compare

compare:
  %stands = icmp eq i64 %used, %before
  br i1 %stands, label %late, label %sleep

late:
  call void @move_caller(ptr %pool, i32 %caller)
  %here = call i32 @this_processor()
  call void @avoid_processor(ptr %allowed, i32 %here)
  br label %idle

run:  ; Linux may wake a worker on its caller's processor, though others are free
  %processor = load atomic i32, ptr %processor.at monotonic, align 4
  %changed = icmp ne i32 %processor, %avoided
  br i1 %changed, label %avoid, label %take

avoid:
  call void @avoid_processor(ptr %allowed, i32 %processor)
  br label %take

take:
  store atomic i32 %thread, ptr %self seq_cst, align 4
  call void @take_chunks(ptr %pool, i1 false)
  store atomic i32 0, ptr %self seq_cst, align 4
  %moved = load atomic i32, ptr %moved.at acquire, align 4
  %away = icmp ne i32 %moved, 0
  br i1 %away, label %return, label %idle

return:  ; from the caller's processor, which is awake again
  store atomic i32 0, ptr %moved.at monotonic, align 4
  call void @avoid_processor(ptr %allowed, i32 %processor)
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
  %signal.at = getelementptr %Pool, ptr %pool, i32 0, i32 9
  %sleepers.at = getelementptr %Pool, ptr %pool, i32 0, i32 10
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
  %workers.at = getelementptr %Pool, ptr %pool, i32 0, i32 13
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

PAUSES = {
    "x86_64": ("call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"),
    "aarch64": ("call void @llvm.aarch64.hint(i32 1)", "declare void @llvm.aarch64.hint(i32)"),
}
ALIASES = {"AMD64": "x86_64", "arm64": "aarch64", "ARM64": "aarch64"}


def pool_code() -> str:
    """The LLVM text of the pool for this system and processor."""
    machine = ALIASES.get(platform.machine(), platform.machine())
    pause, declaration = PAUSES.get(machine, ("", ""))
    text = POOL.substitute(
        serial_below=SERIAL_BELOW,
        chunk=CHUNK,
        chunks_per_thread=CHUNKS_PER_THREAD,
        spins=SPINS,
        places=PLACES,
        pause=pause,
        pause_declaration=declaration,
    )
    return text + system_code(machine)
