"""Files that take too long, too much memory, or the whole process along: said, and no other file suffers."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import pytest

from signing.verify.sandbox import MIB, Bounds, Exceeded, each

TIGHT = Bounds(seconds=20, memory=2048 * MIB)


def _answer(item: str) -> str:
    if item == "forever":
        while True:
            pass
    if item == "memory":
        return str(len(bytearray(4096 * MIB)))
    if item == "end":
        os._exit(3)
    if item == "write":
        try:
            with open("specimen-of-the-sandbox", "wb") as file:
                file.write(b"x" * 10)
                file.flush()
        except OSError:
            return "refused"
        return "written"
    return item.upper()


def _prepared() -> Callable[[str], str]:
    return _answer


@pytest.mark.parametrize("jobs", [1, 3])
def test_each_item_has_its_answer(jobs: int) -> None:
    """In their order, by one worker or several."""
    items = [str(number) + "a" for number in range(7)]
    assert list(each(items, _prepared, jobs, TIGHT)) == [one.upper() for one in items]
    assert list(each([], _prepared, jobs, TIGHT)) == []


@pytest.mark.parametrize("bad", ["memory", "end"])
def test_what_exceeds_a_bound_takes_no_other_along(bad: str) -> None:
    """Too much memory, or an end without an answer: that item alone has none."""
    one, two, three = each(["a", bad, "b"], _prepared, 1, TIGHT)
    assert (one, three) == ("A", "B")
    assert isinstance(two, Exceeded)


def test_what_never_ends_is_ended() -> None:
    """One second is the bound here; those beside it are answered."""
    first, second = each(["forever", "a"], _prepared, 2, Bounds(seconds=1))
    assert isinstance(first, Exceeded)
    assert second == "A" or isinstance(second, Exceeded)  # a machine that is busy may need more than the second


def test_a_worker_writes_no_file(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads documents from outside leaves nothing behind."""
    monkeypatch.chdir(str(tmp_path))
    assert list(each(["write"], _prepared, 1, TIGHT)) == ["refused"]


def test_prepare_may_be_a_partial() -> None:
    """As verification uses it."""
    assert list(each(["a"], partial(_made, "x"), 1, TIGHT)) == ["ax"]


def _made(tail: str) -> Callable[[str], str]:
    return lambda item: item + tail
