"""What a machine keeps from one start to the next."""

import stat

from stentor.declared import load
from stentor.supervisor.machine import with_secrets


def test_secrets_are_made_once_and_an_operators_own_are_taken(tmp_path):
    first, again = (with_secrets(load(None, {"data_dir": tmp_path})) for _ in range(2))
    assert (first.ticket_secret, first.relay_key) == (again.ticket_secret, again.relay_key)
    assert first.ticket_secret != first.relay_key
    assert len(first.relay_key) >= 32
    for name in ("tickets.key", "relay.key"):
        assert stat.S_IMODE((tmp_path / "keys" / name).stat().st_mode) == 0o600
    own = with_secrets(load(None, {"data_dir": tmp_path / "other", "relay_key": "an operator's own key"}))
    assert own.relay_key == "an operator's own key"
    assert not (tmp_path / "other" / "keys" / "relay.key").exists()
