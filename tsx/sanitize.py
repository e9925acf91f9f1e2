"""Text of the user's that stays text: on a terminal, on one line, in Markdown.

Names and ids are data, and data may hold terminal escapes, direction overrides, line breaks, links and HTML.
"""

from __future__ import annotations

import re
import unicodedata

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_JOINERS = "\u200c\u200d"
"""Zero-width joiners: letters of some scripts and of emoji need them."""
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_OPENING = re.compile(r"^(\s*)([#+=-])")
_NUMBERED = re.compile(r"^(\s*\d+)([.)])(?=\s|$)")


def inert(text: str) -> str:
    """The text with everything that a terminal would obey, or that turns its direction, made visible."""
    return "".join(REPLACEMENT if _obeyed(character) else character for character in text)


def _obeyed(character: str) -> bool:
    if character in "\n\t" or character.isprintable():
        return False
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def clean(text: object) -> str:
    """`text` on one line with every control character, terminal escape and direction override made visible."""
    string = str(text)
    if string.isprintable():
        return string
    return "".join(c if _harmless(c) else _visible(c) for c in string)


def _harmless(c: str) -> bool:
    return c.isprintable() or c in _JOINERS or unicodedata.category(c) == "Zs"


def _visible(c: str) -> str:
    code = ord(c)
    if c in _SHORT:
        return _SHORT[c]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def escape(text: str) -> str:
    """User text that stays text: no emphasis, cell border, HTML or link can come of it."""
    text = "".join(_ENTITIES.get(c, c) for c in clean(text))
    text = _SPECIAL.sub(r"\\\1", text)
    return text.replace("://", "&#58;//").replace("www.", "www&#46;")


def line(text: str) -> str:
    """User text on a line of its own: it opens no heading and no list either."""
    text = escape(text)
    return _NUMBERED.sub(r"\1\\\2", _OPENING.sub(r"\1\\\2", text))
