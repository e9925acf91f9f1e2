"""Single objects of a store, or behind https, as bytes: what Polars does not scan where it lies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit

from tsx.errors import TsxError
from tsx.io.compression import gathered
from tsx.io.failures import check_size, unreadable
from tsx.io.remote import need, opened_as, options, place_of

SECONDS = 60
"""After so long a server that does not answer never will."""
OF_CLIENT = ("allow_http", "allow_invalid_certificates", "proxy_url", "timeout", "connect_timeout", "user_agent")
"""Options of a connection, which have the name of a store's kind before them in those of Polars."""


@dataclass(frozen=True)
class Object:
    """The bytes of an object, and when it was written, where the server says."""

    content: bytes
    written: datetime | None


def read_object(place: str) -> Object:
    """An object by its URI, whole.

    Raises FileNotFoundError; DataError `file-too-large` for more than fits into memory, `file-unreadable`;
    MissingDependency `package-missing`.
    """
    where = place_of(place)
    if urlsplit(place).scheme.casefold() in ("http", "https"):
        return _over_http(place, where)
    need("obstore", "store")
    import obstore
    from obstore.exceptions import NotFoundError
    from obstore.store import from_url

    parts = urlsplit(opened_as(place))
    folder, _, name = parts.path.rpartition("/")
    given = options() or {}
    of_client = {key: value for name, value in given.items() if (key := _of_client(name))}
    config: Any = {name: value for name, value in given.items() if not _of_client(name)}
    with _answering(where, NotFoundError):
        folder_of = urlunsplit(parts._replace(path=folder, query="", fragment=""))
        store = from_url(folder_of, config=config, client_options=_read(of_client))
        facts = obstore.head(store, unquote(name))
        check_size(facts["size"], where, "its bytes")
        return Object(bytes(obstore.get(store, unquote(name)).bytes()), facts["last_modified"])


def _of_client(name: str) -> str:
    """The name of an option of the connection, without that of the store; empty for one of the store."""
    plain = name.casefold()
    for kind in ("aws_", "azure_", "google_"):
        plain = plain.removeprefix(kind)
    return plain if plain in OF_CLIENT else ""


def _read(of_client: dict[str, str]) -> Any:
    words = {"true": True, "false": False}
    return {name: words.get(value.casefold(), value) for name, value in of_client.items()}


def _over_http(place: str, where: str) -> Object:
    from base64 import b64encode
    from urllib.request import Request, urlopen

    parts = urlsplit(place)
    user, _, host = parts.netloc.rpartition("@")
    asked = Request(urlunsplit(parts._replace(netloc=host, fragment="")))
    if user:
        # a redirect, perhaps to another host, does not take it along
        asked.add_unredirected_header("Authorization", f"Basic {b64encode(unquote(user).encode()).decode()}")
    with _answering(where), urlopen(asked, timeout=SECONDS) as answer:
        dated = answer.headers.get("Last-Modified")
        return Object(gathered(answer, where), None if dated is None else parsedate_to_datetime(dated))


@contextmanager
def _answering(where: str, missing: type[Exception] = FileNotFoundError) -> Iterator[None]:
    """What libraries and servers say of a place may hold keys and signatures: what kind of error it is, says this."""
    try:
        yield
    except TsxError:
        raise
    except (FileNotFoundError, missing):
        raise FileNotFoundError(where) from None
    except Exception as error:
        code = getattr(error, "code", None)
        if isinstance(error, HTTPError):
            error.close()  # it is the answer, too
        if code in (404, 410):
            raise FileNotFoundError(where) from None
        answer = f"the server answers {code}" if isinstance(code, int) else f"{type(error).__name__} from the store"
        raise unreadable(where, answer, "see that it can be reached, and that the keys may read it") from None
