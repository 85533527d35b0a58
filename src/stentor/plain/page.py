"""The frame of every page without JavaScript: head, the way to the other language, the ways out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from stentor.plain.style import POLICY, STYLE
from stentor.plain.words import LANGUAGES, Safe, Words, text

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath stroke='%230d6a5e' "
    "stroke-width='2' stroke-linecap='round' d='M2 6v4M5 4v8M8 1v14M11 4v8M14 6v4'/%3E%3C/svg%3E"
)
_MARK = '<span class="brand-mark" aria-hidden="true"><i></i><i></i><i></i><i></i><i></i></span>'


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a page is and how it comes again.

    ``path`` and ``query`` are its own address; ``refresh_s``: it asks for itself again after so many seconds (None:
    it stays). ``asked_language``: the address names the language, and so do the addresses that it leads to.
    ``site``: what stands before the addresses of the audience port, for a copy that lives elsewhere. ``languages``
    has the copies of other languages where they have addresses of their own; such a page carries its own policy.
    """

    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    refresh_s: int | None = None
    asked_language: str | None = None
    site: str = ""
    languages: Mapping[str, str] | None = None

    def to(self, path: str, **query: str) -> str:
        """Return the address of another page of this site, in the same language."""
        if self.asked_language:
            query["lang"] = self.asked_language
        return self.site + path + ("?" + urlencode(query) if query else "")

    def itself(self, **changes: str) -> str:
        """Return the page's own address; a value of "" leaves a field of the query out."""
        if self.languages is not None:
            return self.path
        query = {name: value for name, value in {**self.query, **changes}.items() if value}
        if self.asked_language and "lang" not in changes:
            query["lang"] = self.asked_language
        return self.path + ("?" + urlencode(query) if query else "")

    def in_language(self, language: str) -> str:
        """Return the address of the same page in a language."""
        return self.languages[language] if self.languages is not None else self.itself(lang=language)


def page(words: Words, frame: Frame, title: Safe, body: Safe) -> bytes:
    """Return a whole page; ``title`` is for the window alone, ``body`` goes into its main part."""
    refresh = ""
    if frame.refresh_s is not None:
        refresh = f'<meta http-equiv="refresh" content="{frame.refresh_s};url={text(frame.itself())}">'
    policy = "" if frame.languages is None else f'<meta http-equiv="Content-Security-Policy" content="{text(POLICY)}">'
    return (
        f'<!doctype html><html lang="{words.language}" dir="{words.direction}"><head><meta charset="utf-8">{policy}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">{refresh}'
        f'<title>{title} · Stentor</title><link rel="icon" href="{_ICON}"><style>{STYLE}</style></head><body>'
        f'<div class="page"><a class="skip" href="#content">{words.t("app.skip")}</a><header class="top">'
        f'<a class="brand" href="{text(frame.site)}/">{_MARK}Stentor</a>{_languages(words, frame)}</header>'
        f'<main id="content" tabindex="-1">{body}</main>'
        f'<footer><a href="{text(frame.site)}/">{words.t("app.rooms")}</a>'
        f'<a href="{text(frame.to("/status"))}">{words.t("app.status")}</a></footer></div></body></html>'
    ).encode()


def _languages(words: Words, frame: Frame) -> Safe:
    each = (
        f'<b lang="{code}" aria-current="true">{own}</b>'
        if code == words.language
        else f'<a lang="{code}" hreflang="{code}" href="{text(frame.in_language(code))}">{own}</a>'
        for code, own in LANGUAGES.items()
    )
    return Safe(f'<nav class="language" aria-label="{words.t("app.language")}">{"".join(each)}</nav>')


def join(*pieces: str) -> Safe:
    """Return pieces of HTML one after the other."""
    return Safe("".join(pieces))


def element(name: str, content: Safe, **attributes: str) -> Safe:
    """Return an element; ``class_`` stands for class."""
    said = "".join(f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items())
    return Safe(f"<{name}{said}>{content}</{name}>")


def link(address: str, content: Safe, *, primary: bool = False) -> Safe:
    """Return a link that looks like a button."""
    return element("a", content, class_="button button-primary" if primary else "button", href=address)


def pill(words: Words, state: str) -> Safe:
    """Return a room's state."""
    key = f"state.{state}"
    return element("span", words.t(key) if words.has(key) else text(state), class_=f"pill pill-{state}")
