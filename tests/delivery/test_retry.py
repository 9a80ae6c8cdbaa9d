from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.delivery.instants import SECOND
from pipelines.delivery.retry import DEADLINE_SECONDS, DELAYS, Decision, decide, judge, retry_after_micros

FIRST = 1_767_225_600 * SECOND
DEADLINE = FIRST + DEADLINE_SECONDS * SECOND


def after(
    status: int | None = 500, *, attempts: int = 1, now: int = FIRST, header: str | None = None, jitter: float = 0.0
) -> Decision:
    return decide(status, None, retry_after=header, attempts=attempts, first_attempt_at=FIRST, now=now, jitter=jitter)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_delivered(status: int) -> None:
    assert after(status) == Decision("delivered")


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599, 408, 425, 429, None])
def test_what_may_pass_is_tried_again(status: int | None) -> None:
    assert after(status).verdict == "retry"


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 403, 404, 410, 413, 422])
def test_what_will_not_pass_is_a_dead_letter_at_once(status: int) -> None:
    assert after(status).verdict == "dead"
    assert after(status).disable == (status == 410)


@pytest.mark.parametrize("error", ["blocked_address", "blocked_url", "too_large", "unreadable_secret"])
def test_errors_that_stay_are_dead_letters(error: str) -> None:
    assert judge(None, error) == "dead"


@pytest.mark.parametrize("error", ["timeout", "dns", "connect", "tls", "disconnected"])
def test_errors_of_the_network_are_tried_again(error: str) -> None:
    assert judge(None, error) == "retry"


def test_the_schedule_from_the_first_attempt_to_the_dead_letter() -> None:
    now, seen = FIRST, []
    for attempts in range(1, 30):
        decision = after(attempts=attempts, now=now)
        if decision.verdict == "dead":
            break
        assert decision.next_attempt_at is not None
        seen.append((decision.next_attempt_at - now) // SECOND)
        now = decision.next_attempt_at
    assert tuple(seen) == DELAYS
    assert now <= DEADLINE


@given(st.integers(1, len(DELAYS)), st.floats(0, 1, exclude_max=True), st.integers(0, DEADLINE_SECONDS - 1))
def test_the_next_attempt_has_at_most_a_tenth_of_jitter_and_keeps_the_deadline(
    attempts: int, jitter: float, elapsed: int
) -> None:
    now = FIRST + elapsed * SECOND
    due = after(attempts=attempts, now=now, jitter=jitter).next_attempt_at
    delay = DELAYS[attempts - 1] * SECOND
    assert due is not None
    assert min(now + delay, DEADLINE) <= due <= min(now + delay + delay // 10, DEADLINE)


def test_after_the_deadline_nothing_is_tried() -> None:
    assert after(attempts=3, now=DEADLINE).verdict == "dead"


def test_retry_after_is_kept_and_pauses_the_endpoint() -> None:
    decision = after(429, header="120")
    assert decision.next_attempt_at == decision.pause_until == FIRST + 120 * SECOND
    assert after(500, header="120").pause_until is None


def test_retry_after_never_shortens_the_schedule() -> None:
    assert after(503, attempts=4, header="1").next_attempt_at == FIRST + DELAYS[3] * SECOND


@pytest.mark.parametrize("absurd", ["999999999", "9" * 400, "Fri, 31 Dec 2199 23:59:59 GMT"])
def test_an_absurd_retry_after_is_clamped_to_the_deadline(absurd: str) -> None:
    assert after(503, header=absurd).next_attempt_at == DEADLINE


def test_an_endpoint_that_does_not_say_for_how_long_pauses_a_minute_at_most() -> None:
    assert after(503, attempts=1).pause_until == FIRST + 5 * SECOND
    assert after(503, attempts=9).pause_until == FIRST + 60 * SECOND


@pytest.mark.parametrize(
    "garbage", ["", "soon", "-5", "1.5", "٣", "Mon, 99 Foo", None, "Thu, 01 Jan 1970 00:00:00 GMT"]
)
def test_garbage_in_retry_after_is_ignored(garbage: str | None) -> None:
    assert retry_after_micros(garbage, FIRST) is None


def test_retry_after_as_a_date() -> None:
    assert retry_after_micros("Thu, 01 Jan 2026 00:01:00 GMT", FIRST) == FIRST + 60 * SECOND
