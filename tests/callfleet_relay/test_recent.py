from __future__ import annotations

from callfleet_relay.recent import GENERATION, RecentKeys


def test_knows_recent_keys_and_forgets_old_ones() -> None:
    keys = RecentKeys()
    assert keys.add("first")
    assert not keys.add("first")

    for number in range(GENERATION - 1):
        keys.add(number)
    assert not keys.add("first")
    for number in range(GENERATION, 3 * GENERATION):
        keys.add(number)

    assert keys.add("first")
