"""Working ahead keeps order, raises where an item would have been, and stops when nobody listens."""

from __future__ import annotations

import threading

import pytest

from pipelines.ahead import ahead


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
