"""What was found out by measuring, kept in this process and, where code is kept, on the disk.

Findings belong to this processor and to these versions of LLVM and graphc, as code does.
"""

from __future__ import annotations

from graphc.runtime.cpu.code_cache import disk_cache
from graphc.runtime.cpu.code_key import key_of
from graphc.runtime.cpu.processor import processor_name

known: dict[str, str] = {}


def recall(kind: str, subject: str) -> str | None:
    """What was found about a subject; None where nothing was."""
    key = key_of(kind, f"{processor_name()}\n{subject}")
    if key not in known:
        disk = disk_cache()
        data = None if disk is None else disk.read(key)
        if data is None:
            return None
        known[key] = data.decode()
    return known[key]


def remember(kind: str, subject: str, finding: str) -> None:
    """Keep what was found about a subject, in place of what was found before."""
    key = key_of(kind, f"{processor_name()}\n{subject}")
    known[key] = finding
    disk = disk_cache()
    if disk is not None:
        disk.write(key, finding.encode())
