"""The certificate: refused in sentences, renewed when it changes."""

import asyncio
import ssl
from pathlib import Path

import pytest

from stentor.declared import load
from stentor.errors import ConfigError
from stentor.supervisor.tls import renew, tls_context
from tests.fakes.certificates import write_certificate
from tests.fakes.clock import VirtualClock, settle


def settings(folder: Path):
    return load(None, {"data_dir": folder, "tls_cert": folder / "cert.pem", "tls_key": folder / "key.pem"})


def test_none_without_files():
    assert tls_context(load()) is None


def test_what_does_not_fit_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"--tls-cert .*cert.pem cannot be read \(No such file"):
        tls_context(settings(tmp_path))
    write_certificate(tmp_path)
    assert isinstance(tls_context(settings(tmp_path)), ssl.SSLContext)
    (tmp_path / "other").mkdir()
    write_certificate(tmp_path / "other")
    (tmp_path / "other" / "key.pem").replace(tmp_path / "key.pem")
    with pytest.raises(ConfigError, match="they do not belong together"):
        tls_context(settings(tmp_path))
    (tmp_path / "key.pem").write_text("nothing")
    with pytest.raises(ConfigError, match="they are no PEM files"):
        tls_context(settings(tmp_path))


async def test_a_new_certificate_is_used_once_both_files_fit(tmp_path, monkeypatch):
    write_certificate(tmp_path)
    clock, chosen = VirtualClock(), settings(tmp_path)
    context = tls_context(chosen)
    assert context is not None
    loaded = []
    monkeypatch.setattr(
        ssl.SSLContext, "load_cert_chain", _counting(loaded, context, ssl.SSLContext.load_cert_chain), raising=True
    )
    async with asyncio.TaskGroup() as group:
        renewing = group.create_task(renew(context, chosen, clock))
        await clock.advance(10)
        assert loaded == []
        (tmp_path / "new").mkdir()
        write_certificate(tmp_path / "new")
        (tmp_path / "new" / "cert.pem").replace(tmp_path / "cert.pem")
        await clock.advance(2)
        assert loaded == []
        (tmp_path / "new" / "key.pem").replace(tmp_path / "key.pem")
        await clock.advance(2)
        assert loaded == ["again"]
        (tmp_path / "cert.pem").unlink()
        await clock.advance(4)
        renewing.cancel()
        await settle()
    assert len(loaded) == 1


def _counting(loaded, watched, original):
    def load_cert_chain(self, *arguments, **named):
        original(self, *arguments, **named)
        if self is watched:
            loaded.append("again")

    return load_cert_chain
