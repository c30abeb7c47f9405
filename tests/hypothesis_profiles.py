"""How many examples property tests try: all of them in CI, a fifth where somebody waits.

`pytest --hypothesis-profile=quick` is what `make test-unit` runs.
"""

from __future__ import annotations

from hypothesis import settings

FULL = 100

# No deadline: how long an example takes says how busy the machine is.
settings.register_profile("callfleet", deadline=None, max_examples=FULL)
settings.register_profile("quick", deadline=None, max_examples=FULL // 5)


def examples(in_full: int) -> int:
    """`max_examples` of a test that tries `in_full` in CI, under the profile in force."""
    return max(1, in_full * settings().max_examples // FULL)
