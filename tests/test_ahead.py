"""Working ahead keeps order, raises where an item would have been, and stops when nobody listens."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipelines.ahead import Background, Later, ahead


def test_items_come_in_order_and_before_they_are_asked_for():
    made, enough = [], threading.Event()

    def numbers():
        for number in range(6):
            made.append(number)
            if number == 2:
                enough.set()
            yield number

    found = ahead(numbers(), 3)
    assert next(found) == 0
    assert enough.wait(5)
    assert list(found) == [1, 2, 3, 4, 5]


def test_work_begins_before_the_first_item_is_asked_for():
    begun = threading.Event()

    def numbers():
        begun.set()
        yield 1

    found = ahead(numbers(), 1)
    assert begun.wait(5)
    del found
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_what_is_done_in_the_background_is_done_in_order_and_before_the_block_ends():
    done, gate = [], threading.Event()
    with Background("test") as background:
        background.do(lambda: gate.wait(5) and done.append(1))
        assert not done
        gate.set()
        background.do(lambda: done.append(2))
    assert done == [1, 2]


def test_an_error_in_the_background_is_not_lost():
    def broken():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), Background("test") as background:
        background.do(broken)
    with pytest.raises(ValueError, match="broken"), Background("test") as background:
        background.do(broken)
        background.do(lambda: None)
    with pytest.raises(KeyError), Background("test") as background:
        background.do(broken)
        raise KeyError


def test_a_shared_value_is_made_once_and_its_error_reaches_whoever_asks():
    made = []

    def make():
        made.append(1)
        if len(made) == 1:
            raise ValueError("not yet")
        return len(made)

    value = Later(make)
    with pytest.raises(ValueError, match="not yet"):
        value()
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: value(), range(8))) == {2}


def test_an_error_is_raised_in_its_place():
    def broken():
        yield 1
        raise ValueError("broken")

    found = ahead(broken(), 4)
    assert next(found) == 1
    with pytest.raises(ValueError, match="broken"):
        next(found)


def test_whoever_stops_early_stops_the_work():
    made = []

    def endless():
        while True:
            made.append(1)
            yield len(made)

    found = ahead(endless(), 2)
    assert next(found) == 1
    found.close()
    count = len(made)
    assert count <= 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]
    assert len(made) == count
