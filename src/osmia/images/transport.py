"""HTTP to one registry: whom its credentials go to, how long it is waited for, how much is read.

A registry may lead its client anywhere: blobs to a storage, logins to a token service. A name and
password go to the registry and to the token service that the registry itself names, by HTTPS unless
the registry is spoken to by HTTP, too; tokens go to the registry alone. Nothing that other
hosts answer makes the client say who it is.
"""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from osmia.images.errors import ImageError, RegistryError

#: How long a registry may be silent, in seconds, and how few bytes a second it may send after that.
_PATIENCE = 30.0
_SLOWEST = 1024
_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
#: Of answers that are no part of an image: errors, tokens.
_LARGEST_WORDS = 1 << 20
_PORTS = {"http": 80, "https": 443}
#: For hosts that no proxy can reach.
_DIRECT = {"http": "", "https": "", "all": ""}

#: Before the second, third and fourth attempt, in seconds.
_WAITS = (0.1, 0.4, 0.8)
_NOT_READY = (502, 503, 504)

Origin = tuple[str, str, int]
T = TypeVar("T")


class Answer:
    """What a registry answered, its content not read yet. To be closed."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self.url: str = response.url
        self.status_code: int = response.status_code
        self.headers = response.headers

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._response.close()

    def read(self, largest: int) -> bytes:
        """The content. ImageError for more than `largest` bytes, RegistryError where they come too
        slowly."""
        started, parts, size = time.monotonic(), [], 0
        while part := self._response.raw.read1(1 << 16, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > largest:
                raise ImageError(f"{_shown(self.url)} has more than {largest:,} bytes")
            if time.monotonic() - started > _PATIENCE + size / _SLOWEST:
                raise RegistryError(f"{_shown(self.url)}: less than {_SLOWEST:,} bytes a second")
        return b"".join(parts)

    def json(self) -> Any:
        """The content of a short answer. ValueError for what is no JSON."""
        with self:
            try:
                return json.loads(self.read(_LARGEST_WORDS))
            except RecursionError:
                raise ValueError("JSON in JSON") from None


class Transport:
    """Requests to the registry at `base` ("https://host:port"), with a `requests` session.

    `password` is the base64 of a name, a colon and a password, or "". Errors are those of
    `requests` and urllib3, RegistryError and ImageError.
    """

    def __init__(self, session: Any, base: str) -> None:
        self.password = ""
        self._origin = _origin(base)
        self._authorization = ""
        self._session = session
        session.auth = lambda request: request  # else that of ~/.netrc is sent

    def request(
        self,
        url: str,
        method: str = "GET",
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        json: Any = None,
        stream: bool = False,
    ) -> Answer:
        """One request; where the registry asks who it is, once more with that. An answer that is
        not to be read (no `stream`) is closed."""
        assert json is None
        answer = self._follow(method, url, data, headers or {})
        if answer.status_code in (401, 403) and _origin(answer.url) == self._origin:
            answer.close()
            self._authorize(answer.headers.get("www-authenticate", ""))
            answer = self._follow(method, url, data, headers or {})
            if answer.status_code == 401 and not self.password:
                answer.close()
                raise self._wants_password()
        if not stream and answer.status_code < 400:
            answer.close()
        return answer

    def _follow(self, method: str, url: str, data: Any, headers: dict[str, str]) -> Answer:
        for _ in range(_MOST_REDIRECTS):
            own = _origin(url) == self._origin
            answer = self._send(method, url, data, headers, self._authorization if own else "")
            to = answer.headers.get("location")
            # Only a request that is made again as it is may be led elsewhere.
            again = method in ("GET", "HEAD") or answer.status_code in (307, 308)
            if answer.status_code not in _REDIRECTS or not to or not again:
                return answer
            answer.close()
            url = self._next(url, to)
        raise RegistryError(f"{_shown(url)}: the registry leads in circles")

    @staticmethod
    def _next(url: str, to: str) -> str:
        target = urljoin(url, to)
        if _origin(target)[0] == "http" and url.startswith("https:"):
            raise RegistryError(f"the registry leads from HTTPS to {_shown(target)}")
        return target

    def _send(
        self, method: str, url: str, data: Any, headers: dict[str, str], authorization: str
    ) -> Answer:
        def attempt() -> Answer:
            return self._send_once(method, url, data, headers, authorization)

        return ask_again(attempt) if method in ("GET", "HEAD") else attempt()

    def _send_once(
        self, method: str, url: str, data: Any, headers: dict[str, str], authorization: str
    ) -> Answer:
        sent = {"Accept-Encoding": "identity", **headers}
        if authorization:
            sent["Authorization"] = authorization
        response = self._session.request(
            method,
            url,
            data=data,
            headers=sent,
            stream=True,
            timeout=_PATIENCE,
            allow_redirects=False,
            proxies=_DIRECT if is_loopback(urlsplit(url).hostname or "") else None,
        )
        return Answer(response)

    def _authorize(self, challenge: str) -> None:
        """Have what the registry asks for: a password, or a token for one or for nothing."""
        from requests.utils import parse_dict_header

        scheme, _, rest = challenge.partition(" ")
        match scheme.lower():
            case "bearer":
                self._authorization = f"Bearer {self._token(parse_dict_header(rest))}"
            case _ if not self.password:
                raise self._wants_password()
            case "basic":
                self._authorization = f"Basic {self.password}"

    def _token(self, asked: dict[str, str | None]) -> str:
        """A token of the service that a registry names."""
        realm = asked.get("realm") or ""
        if _origin(realm)[0] == "http" and self._origin[0] == "https":
            raise RegistryError(f"its token service is not asked by HTTP: {_shown(realm)}")
        query = {key: asked[key] for key in ("service", "scope") if asked.get(key)}
        from requests import Request

        url = str(Request("GET", realm, params=query).prepare().url)
        authorization = f"Basic {self.password}" if self.password else ""
        answer = self._send("GET", url, None, {"Accept": "application/json"}, authorization)
        if answer.status_code != 200:
            answer.close()
            if not self.password:
                raise self._wants_password()
            said = f"{_shown(realm)}, its token service: HTTP {answer.status_code}"
            raise RegistryError(said, status=answer.status_code)
        found = answer.json()
        token = found.get("token") or found.get("access_token") if isinstance(found, dict) else ""
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RegistryError(f"{_shown(realm)}, its token service: no token")
        return token

    def _wants_password(self) -> RegistryError:
        _, host, port = self._origin
        shown = host if port == _PORTS[self._origin[0]] else f"{host}:{port}"
        return RegistryError(f"it wants a name and a password: docker login {shown}", status=401)


def ask_again(attempt: Callable[[], T]) -> T:
    """What `attempt` gives, which is tried again where the connection breaks off or the registry
    is not ready. Silence is not waited for twice."""
    from requests import exceptions
    from urllib3.exceptions import ProtocolError

    for wait in _WAITS:
        try:
            found = attempt()
            if not (isinstance(found, Answer) and found.status_code in _NOT_READY):
                return found
            found.close()
        except exceptions.Timeout:
            raise
        except (exceptions.ConnectionError, ProtocolError):
            pass
        time.sleep(wait)
    return attempt()


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _origin(url: str) -> Origin:
    """Scheme, host and port. RegistryError for what is no URL of HTTP."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise RegistryError(f"the registry leads to {_shown(url)!r}, no URL of HTTP") from None


def _shown(url: str) -> str:
    """A URL without what may be secret in it."""
    return url.partition("?")[0].rpartition("@")[2][:200]
