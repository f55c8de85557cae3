"""Names: what buffers, values, loop variables and sizes are called in C."""

from __future__ import annotations

import itertools
import re

# Words of C, of its dialects, and of the functions that the printer calls.
RESERVED = frozenset(
    """
    auto bool break case char const continue default do double else enum extern false float for
    goto if inline int long register restrict return short signed sizeof static struct switch
    true typedef union unsigned void volatile while half uchar ushort uint ulong size_t
    ptrdiff_t intptr_t uintptr_t kernel global local constant private generic read_only
    write_only read_write image event_t sampler_t quad complex imaginary pipe barrier fma fabs
    sqrt floor ceil trunc rint copysign fmod fmaf fabsf sqrtf floorf ceilf truncf rintf
    copysignf fmodf class template new delete this operator typename namespace using try catch
    throw private protected public friend virtual mutable export and or not xor asm block thread
    main vector bit_and bit_or compl nullptr
    """.split()  # noqa: SIM905 (a line of words is easier to read than one of strings)
)
OURS = re.compile(r"(as_|convert_|get_|cl_|CL|CLK|INFINITY|NAN|M_|FLT_|DBL_|__|[A-Z_]+$)|.*_t$")
OF_DTYPE = re.compile(r".*_(u?int|b?float)\d+$")  # the functions that the printer writes


class Names:
    """Identifiers for names of a kernel: the same one for the same name, never one for two."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], str] = {}
        self.taken: set[str] = set()

    def of(self, space: str, name: str) -> str:
        """The identifier of a name in a space: "buffer", "value" (loops included) or "size"."""
        key = (space, name.removeprefix("%"))
        if key not in self.known:
            self.known[key] = self.fresh(identifier(key[1]))
        return self.known[key]

    def fresh(self, wanted: str) -> str:
        """The name if it is not taken, else with a number; from now on taken."""
        numbered = (f"{wanted}_{number}" for number in itertools.count(1))
        found = next(n for n in itertools.chain([wanted], numbered) if n not in self.taken)
        self.taken.add(found)
        return found


def identifier(name: str) -> str:
    """A name with only such characters as C takes, and that means nothing else in any dialect."""
    text = re.sub(r"[^A-Za-z0-9_]", "_", name)
    text = f"n{text}" if not text or text[0].isdigit() or text[0] == "_" else text
    return f"{text}_" if text in RESERVED or OURS.match(text) or OF_DTYPE.match(text) else text
