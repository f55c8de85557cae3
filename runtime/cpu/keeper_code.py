"""The memory of large outputs, kept when an array dies for the next output of that size.

A new block of memory costs more than most programs that fill it: the system clears each page when
it is first touched. So outputs of at least WORTH_KEEPING bytes are allocated by a handler of our
own (NumPy's NEP 49): what dies goes into a few places here, and what is needed is looked for there
first. Everything else about memory is left to NumPy's default handler.

Blocks begin at a line of the cache, so that no vector that is stored lies across two, and kernels
may store past the caches. In front of a block stand where its memory begins and its size.

The arrays are ordinary ones that own their data. All of this runs under Python's global lock.
"""

from __future__ import annotations

from string import Template

from graphc.runtime.cpu.call_records import with_records
from graphc.runtime.cpu.target import LINE

EXPORTS = ("graphc_keeper", "graphc_allocator")
"""What the host asks the code for."""
WORTH_KEEPING = 1 << 16
"""Bytes from which on memory is kept; below, the C library keeps it itself."""
MOST_KEPT = 1 << 27
"""Bytes that are kept at most, in all."""
PLACES = 8
"""Blocks that are kept at most; the oldest ones are given up first."""
HEADER = 16
"""Bytes in front of a block: its memory, and its size."""

KEEPER = Template("""
%Block = type { ptr, i64 }  ; where it lies, and its size in bytes; 0 in an empty place
@kept = internal global [$places x %Block] zeroinitializer
@kept.bytes = internal global i64 0
@oldest = internal global i64 0
; NumPy's PyDataMem_Handler: name, version, then its PyDataMemAllocator
@graphc_keeper = global {[127 x i8], i8, %Allocator} {
  [127 x i8] c"graphc$padding", i8 1,
  %Allocator {ptr null, ptr @take, ptr @take_zeros, ptr @resize, ptr @keep}}
@graphc_allocator = global ptr null  ; NumPy's default one

define internal ptr @take(ptr %context, i64 %size) {
entry:
  %large = icmp uge i64 %size, $worth
  br i1 %large, label %next, label %new

next:
  %i = phi i64 [0, %entry], [%i.next, %one]
  %any = icmp ult i64 %i, $places
  br i1 %any, label %one, label %new

one:
  %place = getelementptr [$places x %Block], ptr @kept, i64 0, i64 %i
  %bytes.at = getelementptr %Block, ptr %place, i32 0, i32 1
  %bytes = load i64, ptr %bytes.at
  %i.next = add i64 %i, 1
  %same = icmp eq i64 %bytes, %size
  br i1 %same, label %found, label %next

found:
  %memory = load ptr, ptr %place
  call void @empty(ptr %place)
  ret ptr %memory

new:
  %allocator = load ptr, ptr @graphc_allocator
  %malloc = get Allocator.malloc, %allocator
  %its.context = get Allocator.context, %allocator
  %whole = add i64 %size, $beside
  %raw = call ptr %malloc(ptr %its.context, i64 %whole)
  %fresh = call ptr @begin(ptr %raw, i64 %size)
  ret ptr %fresh
}

; The block of so many bytes in memory that has room for its header and to begin at a line.
define internal ptr @begin(ptr %raw, i64 %size) {
entry:
  %failed = icmp eq ptr %raw, null
  br i1 %failed, label %none, label %some

some:
  %number = ptrtoint ptr %raw to i64
  %latest = add i64 %number, $beside
  %aligned = and i64 %latest, -$line
  %ahead = sub i64 %aligned, %number
  %block = getelementptr i8, ptr %raw, i64 %ahead
  %raw.at = getelementptr i8, ptr %block, i64 -16
  %size.at = getelementptr i8, ptr %block, i64 -8
  store ptr %raw, ptr %raw.at
  store i64 %size, ptr %size.at
  ret ptr %block

none:
  ret ptr null
}

; Takes the memory of an array that dies; gives up what is oldest for it.
define internal void @keep(ptr %context, ptr %memory, i64 %size) {
entry:
  %large = icmp uge i64 %size, $worth
  %possible = icmp ule i64 %size, $most
  %worth = and i1 %large, %possible
  br i1 %worth, label %room, label %free

room:
  %number = load i64, ptr @oldest
  %place = getelementptr [$places x %Block], ptr @kept, i64 0, i64 %number
  call void @give_up(ptr %place)
  %after = add i64 %number, 1
  %around = urem i64 %after, $places
  store i64 %around, ptr @oldest
  %others = load i64, ptr @kept.bytes
  %all = add i64 %others, %size
  %too.many = icmp ugt i64 %all, $most
  br i1 %too.many, label %room, label %store

store:
  store ptr %memory, ptr %place
  %bytes.at = getelementptr %Block, ptr %place, i32 0, i32 1
  store i64 %size, ptr %bytes.at
  store i64 %all, ptr @kept.bytes
  ret void

free:
  call void @release(ptr %memory)
  ret void
}

define internal void @give_up(ptr %place) {
entry:
  %memory = load ptr, ptr %place
  %none = icmp eq ptr %memory, null
  br i1 %none, label %leave, label %free

free:
  call void @empty(ptr %place)
  call void @release(ptr %memory)
  br label %leave

leave:
  ret void
}

define internal void @empty(ptr %place) {
  %bytes.at = getelementptr %Block, ptr %place, i32 0, i32 1
  %bytes = load i64, ptr %bytes.at
  %all = load i64, ptr @kept.bytes
  %rest = sub i64 %all, %bytes
  store i64 %rest, ptr @kept.bytes
  store ptr null, ptr %place
  store i64 0, ptr %bytes.at
  ret void
}

define internal void @release(ptr %memory) {
  %allocator = load ptr, ptr @graphc_allocator
  %free = get Allocator.free, %allocator
  %context = get Allocator.context, %allocator
  %raw.at = getelementptr i8, ptr %memory, i64 -16
  %size.at = getelementptr i8, ptr %memory, i64 -8
  %raw = load ptr, ptr %raw.at
  %size = load i64, ptr %size.at
  %whole = add i64 %size, $beside
  call void %free(ptr %context, ptr %raw, i64 %whole)
  ret void
}

; An array that is made from an output in place, by `resize`, keeps the output's handler.
define internal ptr @resize(ptr %context, ptr %memory, i64 %size) {
entry:
  %moved = call ptr @take(ptr %context, i64 %size)
  %failed = icmp eq ptr %moved, null
  br i1 %failed, label %leave, label %copy

copy:
  %before.at = getelementptr i8, ptr %memory, i64 -8
  %before = load i64, ptr %before.at
  %shrinks = icmp ult i64 %size, %before
  %both = select i1 %shrinks, i64 %size, i64 %before
  call void @llvm.memcpy.p0.p0.i64(ptr %moved, ptr %memory, i64 %both, i1 false)
  call void @release(ptr %memory)
  br label %leave

leave:
  ret ptr %moved
}

define internal ptr @take_zeros(ptr %context, i64 %count, i64 %each) {
  %allocator = load ptr, ptr @graphc_allocator
  %calloc = get Allocator.calloc, %allocator
  %its.context = get Allocator.context, %allocator
  %size = mul i64 %count, %each
  %whole = add i64 %size, $beside
  %raw = call ptr %calloc(ptr %its.context, i64 1, i64 %whole)
  %zeros = call ptr @begin(ptr %raw, i64 %size)
  ret ptr %zeros
}

declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
""")


def keeper_code() -> str:
    """The LLVM text of the handler."""
    return with_records(
        KEEPER.substitute(
            places=PLACES,
            worth=WORTH_KEEPING,
            most=MOST_KEPT,
            line=LINE,
            beside=HEADER + LINE - 1,
            padding="\\00" * (127 - len("graphc")),
        )
    )
