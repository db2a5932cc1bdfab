"""Waiting for a state, always with a bound."""

import time


def until(condition, what, within=10.0):
    """Waits until `condition()` is true and returns what it returned. Fails with `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"waited {within} s in vain until {what}"
        time.sleep(0.01)
