"""How long the fuzz tests run: shortly by default, as long as asked for by command.

CALLFLEET_FUZZ_EXAMPLES=200000 pytest tests/callfleet_relay -k "fuzz or machine"
"""

from __future__ import annotations

import os

from tests.hypothesis_profiles import examples

EXAMPLES = int(os.environ.get("CALLFLEET_FUZZ_EXAMPLES", examples(200)))
"""Of each fuzz test; a state machine, whose examples are long, takes a fifth of it."""
