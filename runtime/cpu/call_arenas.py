"""The arenas of a step as the native call takes and gives them: one for each call in flight."""

from __future__ import annotations

from string import Template

from graphc.runtime.cpu.arena import PAGE

ARENAS = Template("""
; An arena that no other call uses, with the addresses of the binding; null where memory is short.
define internal ptr @take_arena(ptr %step, ptr %binding) {
entry:
  %need = get Binding.arena, %binding
  %slots = get Step.slots, %step
  %first = get Step.arenas, %step
  %none = icmp eq ptr %first, null
  br i1 %none, label %make, label %take

take:  ; one that is too small or more than twice too large is given up for a new one
  %rest = get Arena.next, %first
  set Step.arenas, %step, %rest
  %room = get Arena.room, %first
  %twice = shl i64 %need, 1
  %small = icmp ult i64 %room, %need
  %large = icmp ugt i64 %room, %twice
  %unfit = or i1 %small, %large
  br i1 %unfit, label %replace, label %have

replace:
  call void @free_arena(ptr %first)
  br label %make

make:
  %table.bytes = shl i64 %slots, 3
  %head = add i64 %table.bytes, $head
  %size = add i64 %head, %need
  %allocator = get World.allocator, @graphc_world
  %malloc = get Allocator.malloc, %allocator
  %context = get Allocator.context, %allocator
  %new = call ptr %malloc(ptr %context, i64 %size)
  %no.memory = icmp eq ptr %new, null
  br i1 %no.memory, label %leave, label %label

label:
  set Arena.size, %new, %size
  set Arena.room, %new, %need
  set Arena.binding, %new, 0
  br label %have

have:
  %arena = phi ptr [%first, %take], [%new, %label]
  %table = getelementptr %Arena, ptr %arena, i64 1
  %holds = get Arena.binding, %arena
  %serial = get Binding.serial, %binding
  %ready = icmp eq i64 %holds, %serial
  br i1 %ready, label %leave, label %write

write:  ; memory begins in the middle of a page
  set Arena.binding, %arena, %serial
  %behind = getelementptr i64, ptr %table, i64 %slots
  %behind.address = ptrtoint ptr %behind to i64
  %up = add i64 %behind.address, $up
  %page = and i64 %up, -$page
  %memory = add i64 %page, $middle
  %places = get Binding.places, %binding
  %in.arena = get Binding.in_arena, %binding
  br label %next

next:
  %i = phi i64 [0, %write], [%i.next, %one]
  %any = icmp ult i64 %i, %slots
  br i1 %any, label %one, label %leave

one:
  %place.at = getelementptr i64, ptr %places, i64 %i
  %place = load i64, ptr %place.at
  %mask.at = getelementptr i64, ptr %in.arena, i64 %i
  %mask = load i64, ptr %mask.at
  %base = and i64 %memory, %mask
  %address = add i64 %base, %place
  %slot = getelementptr i64, ptr %table, i64 %i
  store i64 %address, ptr %slot
  %i.next = add i64 %i, 1
  br label %next

leave:
  %result = phi ptr [null, %make], [%arena, %have], [%arena, %next]
  ret ptr %result
}

define internal void @give_arena(ptr %step, ptr %arena) {
  %first = get Step.arenas, %step
  set Arena.next, %arena, %first
  set Step.arenas, %step, %arena
  ret void
}

define internal void @free_arena(ptr %arena) {
  %size = get Arena.size, %arena
  %allocator = get World.allocator, @graphc_world
  %free = get Allocator.free, %allocator
  %context = get Allocator.context, %allocator
  call void %free(ptr %context, ptr %arena, i64 %size)
  ret void
}

; Frees the arenas of a step that is gone.
define void @graphc_free_arenas(ptr %step) {
entry:
  br label %look

look:
  %first = get Step.arenas, %step
  %none = icmp eq ptr %first, null
  br i1 %none, label %leave, label %one

one:
  %rest = get Arena.next, %first
  set Step.arenas, %step, %rest
  call void @free_arena(ptr %first)
  br label %look

leave:
  ret void
}
""")

ARENA_HEAD = 4 * 8 + PAGE - 1
"""Bytes of an arena before its table, and those that its place in a page may take."""


def arenas_code() -> str:
    """`take_arena`, `give_arena` and what they need."""
    middle = PAGE // 2
    return ARENAS.substitute(head=ARENA_HEAD, page=PAGE, middle=middle, up=middle - 1)
