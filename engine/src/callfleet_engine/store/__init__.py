"""What engine pods remember together: who is alive, who owns which call, who took part, how it was.

The rest of the engine programs against `interface`; `SqlStore` implements it:

    store = SqlStore(StoreSettings(parse_database_url("sqlite:///calls.db")))
    await store.open()
"""

from callfleet_engine.store.buffer import BufferedSamples
from callfleet_engine.store.settings import StoreSettings, parse_database_url
from callfleet_engine.store.sql_store import SqlStore

__all__ = ["BufferedSamples", "SqlStore", "StoreSettings", "parse_database_url"]
