"""What all rules of control work with, made once."""

from dataclasses import dataclass

from stentor.bus.port import Bus
from stentor.clock import Clock
from stentor.control.hub import Hub
from stentor.control.installation import Installation
from stentor.control.origins import Origins
from stentor.control.publisher import Publisher
from stentor.control.settings import ControlKeys, ControlSettings
from stentor.control.shaper import Shaper
from stentor.room.keys import raw_public
from stentor.store.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Parts:
    """The means of the rules in service and staff."""

    bus: Bus
    catalogue: Catalogue
    clock: Clock
    keys: ControlKeys
    settings: ControlSettings
    hub: Hub
    origins: Origins
    publisher: Publisher
    shaper: Shaper
    installation: Installation


def make_parts(*, bus: Bus, catalogue: Catalogue, clock: Clock, keys: ControlKeys, settings: ControlSettings) -> Parts:
    """Return the parts, joined; nothing runs yet."""
    fingerprint = keys.key_fingerprint
    return Parts(
        bus,
        catalogue,
        clock,
        keys,
        settings,
        Hub(clock),
        Origins(bus, timeout_s=settings.origin_timeout_s),
        Publisher(bus, catalogue, clock, fingerprint),
        Shaper(settings, fingerprint),
        Installation(bus, catalogue, clock, raw_public(keys.grants.public_key()).hex()),
    )
