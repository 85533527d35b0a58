"""What people call themselves and their rooms: one spelling, nothing hidden in it, never too long."""

import unicodedata

from stentor.errors import BadRequest

NAME_MAX_CHARACTERS = 64
TITLE_MAX_CHARACTERS = 120
TEXT_MAX_CHARACTERS = 2_000

_JOINERS = frozenset("\u200c\u200d")
"""Zero-width (non-)joiner: format characters that Persian and emoji are written with."""


def _is_hidden(character: str) -> bool:
    """Tell whether a character is a control, format (bidi), surrogate or private one that nobody sees."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn"} and character not in _JOINERS


def _clean(text: str, *, keep: str = "") -> str:
    spaced = "".join(" " if c.isspace() and c not in keep else c for c in unicodedata.normalize("NFC", text))
    return "".join(c for c in spaced if c in keep or not _is_hidden(c))


def one_line(text: str, *, what: str, max_characters: int = NAME_MAX_CHARACTERS) -> str:
    """Return ``text`` in NFC, on one line, without control and bidi characters, single-spaced and trimmed.

    Raises BadRequest, naming ``what``, when nothing is left or it is longer than ``max_characters``.
    """
    line = " ".join(_clean(text).split())
    if not line.strip("".join(_JOINERS)):
        raise BadRequest(f"Give {what} at least one letter that can be seen.", slug="bad-name")
    return _bounded(line, what, max_characters)


def paragraph(text: str, *, what: str, max_characters: int = TEXT_MAX_CHARACTERS) -> str:
    """Return ``text`` cleaned like :func:`one_line`, but with its line breaks, and possibly empty."""
    lines = _clean(text.replace("\r\n", "\n").replace("\r", "\n"), keep="\n").split("\n")
    return _bounded("\n".join(line.rstrip() for line in lines).strip(), what, max_characters)


def _bounded(text: str, what: str, max_characters: int) -> str:
    if len(text) > max_characters:
        raise BadRequest(
            f"Make {what} shorter: it has {len(text)} characters, and {max_characters} is the most.", slug="bad-name"
        )
    return text
