"""What the thread pool asks of the system, as LLVM text; `pool_code` calls it.

Threads sleep and are woken, are asked whether they run, and are kept off a processor or moved to
one. Linux can do all of it. Elsewhere threads that wait look again from time to time, and where
they run is left to the system.
"""

from __future__ import annotations

import sys
from string import Template

PLACES = 256
"""Workers that can be moved when they have lost their processor; those beyond are waited for."""

# A thread sleeps while the word at %at is %seen (a wake may come without cause), or while %seen
# chunks are done.
LINUX = Template("""
declare i64 @syscall(i64, ...)
declare i32 @sched_getcpu()
declare i32 @sched_yield()
declare i32 @clock_gettime(i32, ptr)

; The nanoseconds that a thread of this process has run; -1 where they are not known.
define internal i64 @time_of(i32 %thread) {
  %inverse = xor i32 %thread, -1
  %shifted = shl i32 %inverse, 3
  %clock = or i32 %shifted, 6
  %time = alloca {i64, i64}, align 8
  %failed = call i32 @clock_gettime(i32 %clock, ptr %time)
  %seconds = load i64, ptr %time
  %rest.at = getelementptr {i64, i64}, ptr %time, i32 0, i32 1
  %rest = load i64, ptr %rest.at
  %whole = mul i64 %seconds, 1000000000
  %sum = add i64 %whole, %rest
  %there = icmp eq i32 %failed, 0
  %used = select i1 %there, i64 %sum, i64 -1
  ret i64 %used
}

define internal i32 @this_thread() {
  %thread = call i64 (i64, ...) @syscall(i64 $get_thread)
  %short = trunc i64 %thread to i32
  ret i32 %short
}

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
  %one = call i64 @bit_of(i32 %processor)
  %others = xor i64 %one, -1
  %at = call ptr @word_of(ptr %allowed, i32 %processor)
  %all = load i64, ptr %at
  %fewer = and i64 %all, %others
  store i64 %fewer, ptr %at
  %set = call i64 (i64, ...) @syscall(i64 $set_affinity, i32 0, i64 128, ptr %allowed)
  store i64 %all, ptr %at
  ret void
}

; As this_thread, without asking the system again and again.
define internal i32 @calling_thread(ptr %pool) {
entry:
  %place.at = getelementptr %Pool, ptr %pool, i32 0, i32 16
  %thread.at = getelementptr %Pool, ptr %pool, i32 0, i32 17
  %data = call ptr @llvm.thread.pointer()
  %place = ptrtoint ptr %data to i64
  %last = load atomic i64, ptr %place.at monotonic, align 8
  %same = icmp eq i64 %place, %last
  br i1 %same, label %known, label %ask

known:
  %before = load i32, ptr %thread.at
  ret i32 %before

ask:
  %thread = call i32 @this_thread()
  store i32 %thread, ptr %thread.at
  store atomic i64 %place, ptr %place.at monotonic, align 8
  ret i32 %thread
}

declare ptr @llvm.thread.pointer()

; Sets of processors are 16 words: where the bit of a processor is in them, and the bit.
define internal ptr @word_of(ptr %set, i32 %processor) {
  %word = lshr i32 %processor, 6
  %within = and i32 %word, 15
  %at = getelementptr i64, ptr %set, i32 %within
  ret ptr %at
}

define internal i64 @bit_of(i32 %processor) {
  %bit = and i32 %processor, 63
  %shift = zext i32 %bit to i64
  %one = shl i64 1, %shift
  ret i64 %one
}

; Lets the caller go on on this processor; when it has finished it goes wherever it could before.
; How far that is: 0 nobody moves it  1 it is asked where it might run  2 it is being moved  3 it
; was moved  4 it has finished before it was moved. Its number may be that of a thread which has
; ended, and whose data stood where the caller's stand: then it is asked anew.
define internal void @move_caller(ptr %pool, i32 %thread) {
  %state.at = getelementptr %Pool, ptr %pool, i32 0, i32 18
  %before = getelementptr %Pool, ptr %pool, i32 0, i32 20
  %process = call i64 (i64, ...) @syscall(i64 $get_process)
  %missing = call i64 (i64, ...) @syscall(i64 $send_signal, i64 %process, i32 %thread, i32 0)
  %there = icmp eq i64 %missing, 0
  br i1 %there, label %claim, label %forget

claim:
  %claiming = cmpxchg ptr %state.at, i32 0, i32 1 seq_cst monotonic
  %claimed = extractvalue {i32, i1} %claiming, 1
  br i1 %claimed, label %check, label %leave

check:  ; it may have finished since it was seen, and looked for who moves it before the claim
  %caller.at = getelementptr %Pool, ptr %pool, i32 0, i32 15
  %caller = load atomic i32, ptr %caller.at seq_cst, align 4
  %runs = icmp eq i32 %caller, %thread
  br i1 %runs, label %ask, label %free

ask:
  call void @llvm.memset.p0.i64(ptr %before, i8 0, i64 128, i1 false)
  %got = call i64 (i64, ...) @syscall(i64 $get_affinity, i32 %thread, i64 128, ptr %before)
  %beginning = cmpxchg ptr %state.at, i32 1, i32 2 seq_cst monotonic
  %begun = extractvalue {i32, i1} %beginning, 1
  br i1 %begun, label %move, label %free

move:
  call void @keep_here(i32 %thread)
  store atomic i32 3, ptr %state.at seq_cst, align 4
  br label %leave

free:
  store atomic i32 0, ptr %state.at seq_cst, align 4
  ret void

leave:
  ret void

forget:
  %place.at = getelementptr %Pool, ptr %pool, i32 0, i32 16
  store atomic i64 0, ptr %place.at monotonic, align 8
  ret void
}

; The caller's part, when it has no chunk any more. It waits for a worker that is moving it, lest
; what it does next (ask how many processors it has, start a thread) finds the one processor.
define internal void @settle_caller(ptr %pool) {
entry:
  %state.at = getelementptr %Pool, ptr %pool, i32 0, i32 18
  %before = getelementptr %Pool, ptr %pool, i32 0, i32 20
  br label %look

look:
  %state = load atomic i32, ptr %state.at seq_cst, align 4
  switch i32 %state, label %leave [
    i32 1, label %decline
    i32 2, label %wait
    i32 3, label %return
  ]

decline:
  %declining = cmpxchg ptr %state.at, i32 1, i32 4 seq_cst monotonic
  %declined = extractvalue {i32, i1} %declining, 1
  br i1 %declined, label %leave, label %look

wait:  ; they may be on one processor already
  %yielded = call i32 @sched_yield()
  br label %look

return:
  %set = call i64 (i64, ...) @syscall(i64 $set_affinity, i32 0, i64 128, ptr %before)
  store atomic i32 0, ptr %state.at seq_cst, align 4
  br label %leave

leave:
  ret void
}

define internal void @keep_here(i32 %thread) {
  %here = alloca [128 x i8], align 8
  call void @llvm.memset.p0.i64(ptr %here, i8 0, i64 128, i1 false)
  %processor = call i32 @sched_getcpu()
  %at = call ptr @word_of(ptr %here, i32 %processor)
  %one = call i64 @bit_of(i32 %processor)
  store i64 %one, ptr %at
  %set = call i64 (i64, ...) @syscall(i64 $set_affinity, i32 %thread, i64 128, ptr %here)
  ret void
}

; Lets workers that hold chunks and do not run go on on this processor, which the caller leaves to
; them. Whether one runs shows when this is called again.
define internal void @move_workers(ptr %pool, i64 %seen) {
entry:
  %done.at = getelementptr %Pool, ptr %pool, i32 0, i32 6
  %asleep.at = getelementptr %Pool, ptr %pool, i32 0, i32 7
  %workers.at = getelementptr %Pool, ptr %pool, i32 0, i32 13
  %workers = load atomic i32, ptr %workers.at monotonic, align 4
  %places = call i32 @llvm.umin.i32(i32 %workers, i32 $places)
  br label %each

each:
  %index = phi i32 [0, %entry], [%next, %skip]
  %any = phi i1 [0, %entry], [%some, %skip]
  %more = icmp ult i32 %index, %places
  br i1 %more, label %ask, label %decide

ask:
  %worker = getelementptr %Pool, ptr %pool, i32 0, i32 21, i32 %index
  %thread = load atomic i32, ptr %worker seq_cst, align 4
  %busy = icmp ne i32 %thread, 0
  br i1 %busy, label %compare, label %skip

compare:
  %used.at = getelementptr %Worker, ptr %worker, i32 0, i32 2
  %before = load i64, ptr %used.at
  %used = call i64 @time_of(i32 %thread)
  store i64 %used, ptr %used.at
  %same = icmp eq i64 %used, %before
  %known = icmp ne i64 %used, -1
  %stands = and i1 %same, %known
  br i1 %stands, label %move, label %skip

move:
  call void @keep_here(i32 %thread)
  %moved.at = getelementptr %Worker, ptr %worker, i32 0, i32 1
  store atomic i32 1, ptr %moved.at release, align 4
  br label %skip

skip:
  %some = phi i1 [%any, %ask], [%any, %compare], [1, %move]
  %next = add i32 %index, 1
  br label %each

decide:
  br i1 %any, label %sleep, label %leave

sleep:  ; returns at once if a chunk has been done since this thread looked
  store atomic i32 1, ptr %asleep.at seq_cst, align 4
  %low = trunc i64 %seen to i32
  call void @sleep_while(ptr %done.at, i32 %low)
  store atomic i32 0, ptr %asleep.at seq_cst, align 4
  br label %leave

leave:
  ret void
}

declare i32 @llvm.umin.i32(i32, i32)
""")

# Without a futex a worker looks again every 200 microseconds.
POLLING = """
declare i32 @usleep(i32)
declare i32 @sched_yield()

define internal void @move_workers(ptr %pool, i64 %seen) {
  %yielded = call i32 @sched_yield()
  ret void
}

define internal void @sleep_while(ptr %at, i32 %seen) {
  %slept = call i32 @usleep(i32 200)
  ret void
}
"""

# On Windows every millisecond.
WINDOWS_POLLING = """
declare void @Sleep(i32)

define internal void @move_workers(ptr %pool, i64 %seen) {
  call void @Sleep(i32 0)
  ret void
}

define internal void @sleep_while(ptr %at, i32 %seen) {
  call void @Sleep(i32 1)
  ret void
}
"""

# Who polls needs no waking, and the placing of threads is left to the system: a caller that waits
# lets others run.
UNAIDED = """
define internal i64 @time_of(i32 %thread) {
  ret i64 0
}

define internal i32 @this_thread() {
  ret i32 0
}

define internal i32 @calling_thread(ptr %pool) {
  ret i32 0
}

define internal void @move_caller(ptr %pool, i32 %thread) {
  ret void
}

define internal void @settle_caller(ptr %pool) {
  ret void
}

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

GENERIC_CALLS = {
    "futex": 98,
    "set_affinity": 122,
    "get_affinity": 123,
    "send_signal": 131,
    "get_process": 172,
    "get_thread": 178,
}
SYSTEM_CALLS = {
    "x86_64": {
        "futex": 202,
        "set_affinity": 203,
        "get_affinity": 204,
        "send_signal": 234,
        "get_process": 39,
        "get_thread": 186,
    },
    "aarch64": GENERIC_CALLS,
    "riscv64": GENERIC_CALLS,
}


def system_code(machine: str) -> str:
    """What the pool asks of this system."""
    if sys.platform == "linux" and machine in SYSTEM_CALLS:
        return LINUX.substitute(SYSTEM_CALLS[machine], places=PLACES)
    return UNAIDED + (WINDOWS_POLLING if sys.platform == "win32" else POLLING)
