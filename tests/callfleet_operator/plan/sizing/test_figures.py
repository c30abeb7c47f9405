"""Engines and relays measure their stress by figures that the operator may not import."""

from dataclasses import fields

from callfleet_engine.limits import Limits
from callfleet_engine.media.plane import MediaSettings
from callfleet_engine.media.stress import FORWARDS_PER_CORE, RECEIVED_COST
from callfleet_engine.settings import Settings as EngineSettings
from callfleet_operator.api.v1alpha1.callcluster import Capacity
from callfleet_operator.plan.sizing import inputs
from callfleet_relay.settings import Settings


def test_a_full_engine_is_what_engines_take_for_full() -> None:
    defaults = {field.name: field.default for field in fields(MediaSettings)}

    assert FORWARDS_PER_CORE["native"] == inputs.ENGINE_PACKETS
    assert defaults["egress_bits_per_second"] == inputs.POD_MEGABITS * 1_000_000
    assert inputs.RECEIVED_COST == RECEIVED_COST


def test_an_engine_on_its_own_takes_as_many_as_a_pod() -> None:
    pod = Capacity.model_fields["participants_per_pod"].default

    assert EngineSettings.model_fields["capacity"].default == pod
    assert Limits.model_fields["capacity_participants"].default == pod


def test_a_full_relay_is_what_relays_take_for_full() -> None:
    assert Settings.model_fields["sustainable_packet_rate"].default == inputs.RELAY_PACKETS
