"""Settings: declared once, read from everywhere, refused in sentences."""

import re
import tomllib
from pathlib import Path

import pytest

from stentor.config import Settings
from stentor.declared import declared, load, sample_config
from stentor.errors import ConfigError


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for key in list(os.environ):
        if key.startswith("STENTOR_"):
            monkeypatch.delenv(key)
    monkeypatch.chdir(tmp_path)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_defaults_are_complete(tmp_path):
    settings = load()
    assert settings.data_dir == tmp_path / "data"
    assert settings.public_url == "http://localhost:8000"
    assert settings.staff_url == "http://localhost:8001"
    assert settings.database_url == f"sqlite+aiosqlite:///{tmp_path}/data/stentor.db"
    assert settings.objects_url == f"file://{tmp_path}/data/objects"
    assert settings.udp_range == range(50_000, 50_050)
    assert settings.node
    assert settings.embedded_bus
    assert not settings.tls


def test_flag_over_environment_over_file_over_default(tmp_path, monkeypatch):
    config = write(tmp_path / "s.toml", "audience_port = 1\nstaff_port = 2\nprivate_port = 3\nadvertise = ['a', 'b']\n")
    monkeypatch.setenv("STENTOR_STAFF_PORT", "20")
    monkeypatch.setenv("STENTOR_PRIVATE_PORT", "30")
    settings = load(config, {"private_port": 300, "edges": None})
    assert (settings.audience_port, settings.staff_port, settings.private_port) == (1, 20, 300)
    assert settings.advertise == ("a", "b")
    monkeypatch.setenv("STENTOR_CONFIG", str(config))
    monkeypatch.setenv("STENTOR_ADVERTISE", "198.51.100.1, 2001:db8::1")
    settings = load()
    assert settings.audience_port == 1
    assert settings.advertise == ("198.51.100.1", "2001:db8::1")


@pytest.mark.parametrize(
    ("flags", "public_url", "staff_url"),
    [
        ({"advertise": "198.51.100.1"}, "http://198.51.100.1:8000", "http://198.51.100.1:8001"),
        ({"advertise": "2001:db8::1"}, "http://[2001:db8::1]:8000", "http://[2001:db8::1]:8001"),
        ({"audience_host": "::1", "staff_host": "::"}, "http://[::1]:8000", "http://localhost:8001"),
        ({"audience_port": 80}, "http://localhost", "http://localhost:8001"),
        (
            {"tls_cert": "c.pem", "tls_key": "k.pem", "audience_port": 443},
            "https://localhost",
            "https://localhost:8001",
        ),
        ({"public_url": "https://radio.example.org/"}, "https://radio.example.org", "http://localhost:8001"),
    ],
)
def test_addresses_follow_from_one_another(flags, public_url, staff_url):
    settings = load(None, flags)
    assert (settings.public_url, settings.staff_url) == (public_url, staff_url)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"audience_port": 65536}, "--audience-port (STENTOR_AUDIENCE_PORT, audience_port in the file)"),
        ({"upstream": "radio.example.org"}, "must be an address such as https://radio.example.org"),
        ({"upstream": "https://a", "nats_url": "nats://b"}, "feeds either from another edge"),
        ({"relay_key": "short"}, "(STENTOR_RELAY_KEY, relay_key in the file): must have at least 16 characters."),
        ({"audience_port": "eighty"}, "not 'eighty'"),
        ({"udp_ports": "60000-50000"}, "the smaller port first"),
        ({"udp_ports": "many"}, "a range such as 50000-50049"),
        ({"udp_ports": "0-5"}, "between 1 and 65535"),
        ({"public_url": "radio.example.org"}, "must be an address such as https://radio.example.org"),
        ({"staff_url": "https://x/#t=1"}, "must be an address"),
        ({"tls_cert": "c.pem"}, "TLS needs both tls_cert and tls_key"),
        ({"turn_urls": "relay.example.org"}, "must be addresses such as turn:relay.example.org:3478?transport=tcp"),
        ({"turn_urls": "turn:relay.example.org"}, "elays need both turn_urls and turn_secret"),
        ({"turn_secret": "0123456789abcdef"}, "elays need both turn_urls and turn_secret"),
        ({"turn_secret": "short"}, "must have at least 16 characters"),
        ({"edges": -1}, "--edges"),
        ({"trusted_proxies": "127.0.0.1,proxy"}, "--trusted-proxies"),
        ({"log_level": "loud"}, "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_what_is_wrong_is_said(flags, says):
    with pytest.raises(ConfigError, match=re.escape(says)):
        load(None, flags)


def test_an_unknown_key_names_the_nearest(tmp_path, monkeypatch):
    config = write(tmp_path / "s.toml", "audiance_port = 80\n")
    with pytest.raises(ConfigError, match="unknown key 'audiance_port'; did you mean audience_port"):
        load(config)
    monkeypatch.setenv("STENTOR_PUBLIC_URI", "x")
    with pytest.raises(ConfigError, match="unknown setting STENTOR_PUBLIC_URI; did you mean STENTOR_PUBLIC_URL"):
        load()


def test_a_file_that_is_missing_or_broken(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="is not TOML"):
        load(write(tmp_path / "s.toml", "audience_port 80"))


def test_secrets_are_not_shown():
    settings = load(None, {"nats_password": "swordfish", "database_url": "postgresql+asyncpg://a:swordfish@h/d"})
    assert "swordfish" not in repr(settings)
    assert "swordfish" not in str(settings)
    assert "swordfish" not in repr(load(None, {"turn_urls": "turns:[2001:db8::1]:443", "turn_secret": "swordfish" * 2}))
    with pytest.raises(ConfigError) as caught:
        load(None, {"nats_password": ["swordfish"]})
    assert "swordfish" not in str(caught.value)


def test_a_child_reads_the_same_settings(monkeypatch):
    flags = {
        "data_dir": "~/stentor",
        "advertise": "198.51.100.1,2001:db8::1",
        "tls_cert": "c.pem",
        "tls_key": "k.pem",
        "nats_password": "swordfish",
        "edges": 3,
    }
    settings = load(None, flags)
    for key, value in settings.environment().items():
        monkeypatch.setenv(key, value)
    assert load() == settings
    monkeypatch.setenv("STENTOR_NATS_URL", settings.environment(nats_url="nats://127.0.0.1:9")["STENTOR_NATS_URL"])
    assert not load().embedded_bus


def test_an_empty_path_is_none(monkeypatch):
    monkeypatch.setenv("STENTOR_TLS_CERT", "")
    monkeypatch.setenv("STENTOR_TLS_KEY", "")
    assert not load().tls


def test_every_setting_is_declared_with_help():
    settings = list(declared())
    assert {setting.name for setting in settings} == set(Settings.model_fields)
    for setting in settings:
        assert setting.help.endswith((".", "org", "https."))
        assert setting.flags[0].startswith("--")
    flags = [flag for setting in settings for flag in setting.flags]
    assert len(flags) == len(set(flags))


def test_the_sample_file_is_the_defaults(tmp_path):
    text = sample_config()
    keys = re.findall(r"^# (\w+) = ", text, re.MULTILINE)
    assert keys == list(Settings.model_fields)
    live = re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)
    assert set(tomllib.loads(live)) == set(Settings.model_fields)
    assert load(write(tmp_path / "s.toml", live)) == load()
    assert load(write(tmp_path / "t.toml", text)) == load()
