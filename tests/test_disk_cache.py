"""The folder of machine code: whole or not at all, bounded, and never in the way."""

import errno
import os
import threading
import time
import warnings
from pathlib import Path

import pytest

from graphc.runtime.cpu import disk_cache
from graphc.runtime.cpu.disk_cache import BLOCK, HOUR, SHARDS, DiskCache, chosen_folder

KEY, OTHER = "ab" + "0" * 62, "ab" + "1" * 62  # of one shard
DATA = bytes(range(256))


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "cache")


def age(cache: DiskCache, key: str, seconds: float) -> None:
    """Make an entry look unused for some time."""
    then = time.time() - seconds
    os.utime(cache.path(key), (then, then))


def test_what_is_written_is_read_by_others(cache: DiskCache) -> None:
    assert cache.read(KEY) is None
    cache.write(KEY, DATA)
    cache.write(OTHER, b"")
    later = DiskCache(cache.folder)
    assert (later.read(KEY), later.read(OTHER)) == (DATA, b"")


@pytest.mark.parametrize("kept", [0, 10, 32, 33, -1])
def test_a_truncated_entry_is_missing_until_it_is_written_again(
    cache: DiskCache, kept: int
) -> None:
    cache.write(KEY, DATA)
    cache.path(KEY).write_bytes(cache.path(KEY).read_bytes()[:kept])
    assert cache.read(KEY) is None
    cache.write(KEY, DATA)
    assert cache.read(KEY) == DATA


@pytest.mark.parametrize("place", [0, 31, 32, 100, -1])
def test_a_flipped_bit_makes_an_entry_missing(cache: DiskCache, place: int) -> None:
    cache.write(KEY, DATA)
    content = bytearray(cache.path(KEY).read_bytes())
    content[place] ^= 4
    cache.path(KEY).write_bytes(content)
    assert cache.read(KEY) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no pipes with names")
def test_a_pipe_is_no_entry_and_nothing_waits_for_it(cache: DiskCache) -> None:
    cache.write(KEY, DATA)
    cache.path(KEY).unlink()
    os.mkfifo(cache.path(KEY))
    assert cache.read(KEY) is None
    cache.write(KEY, DATA)
    assert cache.read(KEY) == DATA


@pytest.mark.parametrize("other", ["/dev/zero", "."])
def test_devices_and_folders_are_no_entries(cache: DiskCache, other: str) -> None:
    cache.write(KEY, DATA)
    cache.path(KEY).unlink()
    cache.path(KEY).symlink_to(other)
    assert cache.read(KEY) is None


def test_an_entry_under_a_wrong_name_is_missing(cache: DiskCache) -> None:
    cache.write(KEY, DATA)
    cache.path(KEY).rename(cache.path(OTHER))
    assert cache.read(OTHER) is None


def test_what_was_not_used_for_the_longest_time_goes_first(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, limit=3 * BLOCK * SHARDS)
    keys = [f"ab{number}" for number in range(4)]
    for number, key in enumerate(keys[:3]):
        cache.write(key, DATA)
        age(cache, key, (10 - number) * HOUR)
    cache.read(keys[0])
    cache.write(keys[3], DATA)
    assert [cache.read(key) is not None for key in keys] == [True, False, True, True]


def test_reading_notes_the_time_at_most_once_an_hour(cache: DiskCache) -> None:
    cache.write(KEY, DATA)
    age(cache, KEY, HOUR / 2)
    before = cache.path(KEY).stat().st_mtime
    cache.read(KEY)
    assert cache.path(KEY).stat().st_mtime == before


def test_shards_do_not_evict_from_one_another(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, limit=BLOCK * SHARDS)
    keys = [f"{number:02x}" + "0" * 62 for number in range(5)]
    for key in keys:
        cache.write(key, DATA)
    assert all(cache.read(key) == DATA for key in keys)


def test_an_entry_that_no_shard_can_hold_is_not_kept(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, limit=BLOCK * SHARDS)
    cache.write(KEY, DATA)
    cache.write(OTHER, bytes(2 * BLOCK))
    assert cache.read(OTHER) is None
    assert cache.read(KEY) == DATA


def test_only_old_unfinished_files_are_wrecks(cache: DiskCache) -> None:
    shard = cache.path(KEY).parent
    shard.mkdir(parents=True)
    wreck, fresh = shard / "wreck.part", shard / "fresh.part"
    for path in (wreck, fresh):
        path.write_bytes(DATA)
    os.utime(wreck, (0, 0))
    cache.write(KEY, DATA)
    assert (wreck.exists(), fresh.exists()) == (False, True)


def test_a_folder_that_cannot_be_made_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = DiskCache(tmp_path / "file" / "cache")
    with pytest.warns(RuntimeWarning, match=r"cannot keep machine code in .*GRAPHC_CACHE="):
        cache.write(KEY, DATA)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.write(OTHER, DATA)
    assert cache.read(KEY) is None


def test_a_folder_that_cannot_be_looked_for_costs_a_warning(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / ("a" * 300))  # longer than a name may be
    with pytest.warns(RuntimeWarning, match="cannot keep machine code"):
        cache.write(KEY, DATA)
    assert cache.read(KEY) is None


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may write anywhere")
def test_a_read_only_folder_still_gives_what_it_has(cache: DiskCache) -> None:
    cache.write(KEY, DATA)
    shard = cache.path(KEY).parent
    shard.chmod(0o500)
    with pytest.warns(RuntimeWarning, match="Permission denied"):
        cache.write(OTHER, DATA)
    assert cache.read(KEY) == DATA
    shard.chmod(0o700)


def test_a_full_disk_leaves_nothing_behind(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    cache.write(KEY, DATA)
    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        cache.write(OTHER, DATA)
    assert [path.name for path in cache.path(KEY).parent.iterdir()] == [KEY[2:]]
    assert cache.read(KEY) == DATA


def test_many_writers_of_one_entry_leave_it_whole(cache: DiskCache) -> None:
    seen: list[bytes | None] = []

    def work() -> None:
        for _ in range(50):
            cache.write(KEY, DATA * 100)
            seen.append(DiskCache(cache.folder).read(KEY))

    threads = [threading.Thread(target=work) for _ in range(4)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == [DATA * 100] * 200
    assert [path.name for path in cache.path(KEY).parent.iterdir()] == [KEY[2:]]


def test_the_environment_chooses_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_CACHE", str(tmp_path))
    assert chosen_folder() == tmp_path
    monkeypatch.setenv("GRAPHC_CACHE", "off")
    assert chosen_folder() is None
    monkeypatch.setenv("GRAPHC_CACHE", "~nobody.of.this.name/cache")  # left as a shell leaves it
    assert chosen_folder() == Path("~nobody.of.this.name/cache")


@pytest.mark.parametrize(
    ("platform", "variable", "below_home"),
    [
        ("linux", "XDG_CACHE_HOME", ".cache/graphc"),
        ("darwin", None, "Library/Caches/graphc"),
        ("win32", "LOCALAPPDATA", "AppData/Local/graphc"),
    ],
)
def test_each_platform_has_its_place(
    platform: str,
    variable: str | None,
    below_home: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(disk_cache.sys, "platform", platform)
    for name in ("GRAPHC_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert chosen_folder() == Path.home() / below_home
    if variable is not None:
        monkeypatch.setenv(variable, str(tmp_path))
        assert chosen_folder() == tmp_path / "graphc"


def test_without_a_home_there_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("GRAPHC_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    assert chosen_folder() is None
