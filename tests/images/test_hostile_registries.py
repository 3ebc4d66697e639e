"""Registries that lie, lead astray, or send too much, too little or too slowly."""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeAlias

import pytest
import requests

from osmia import cache, images
from osmia.images import Image, ImageError, RegistryError
from osmia.images.transport import Transport, is_loopback

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
Answering: TypeAlias = "Callable[[Handler], object]"
SECRET = base64.b64encode(b"user:secret").decode()


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        length = int(self.headers.get("content-length", 0))
        self.rfile.read(length)
        self.server.seen.append((self.command, self.path, self.headers.get("authorization", "")))
        self.server.answer(self)

    do_GET = do_HEAD = do_PUT = do_POST = _answer  # noqa: N815

    def send(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return


class Server(ThreadingHTTPServer):
    """One that answers as it is told, and remembers who asked for what, with which credentials."""

    daemon_threads = True

    def __init__(self, answer: Answering, address: str = "127.0.0.1") -> None:
        super().__init__((address, 0), Handler)
        self.answer = answer
        self.seen: list[tuple[str, str, str]] = []
        self.host = f"{address}:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        return


@contextmanager
def serving(answer: Answering, address: str = "127.0.0.1") -> Iterator[Server]:
    with Server(answer, address) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Honest:
    """Answers with an image under every tag; `instead` says for some paths what to do."""

    image: Image
    instead: dict[str, Answering] = field(default_factory=dict)

    def __call__(self, handler: Handler) -> None:
        for part, answer in self.instead.items():
            if part in handler.path:
                answer(handler)
                return
        last = handler.path.rpartition("/")[2]
        content = self.image.blobs.get(last)
        if "/manifests/" in handler.path:
            handler.send(200, content or self.image.blobs[self.image.digest], Content_Type=MANIFEST)
        else:
            handler.send(404 if content is None else 200, content or b"")


@pytest.fixture
def image(file: Path) -> Image:
    return images.build(file)


@pytest.fixture
def layer(image: Image) -> str:
    digest: str = json.loads(image.blobs[image.digest])["layers"][0]["digest"]
    return digest


@pytest.fixture
def log_in(tmp_path: Path) -> Callable[[str], None]:
    """Have docker's configuration say a password for a host."""

    def write(host: str) -> None:
        (tmp_path / "docker").mkdir()
        said = {"auths": {host: {"auth": SECRET}}}
        (tmp_path / "docker/config.json").write_text(json.dumps(said))

    return write


def for_the_password(answer: Answering) -> Answering:
    """Who answers those alone who say the password."""

    def ask(handler: Handler) -> None:
        if handler.headers.get("authorization") == f"Basic {SECRET}":
            answer(handler)
        else:
            handler.send(401, WWW_Authenticate='Basic realm="x"')

    return ask


def leading_to(url: str, status: int = 307) -> Answering:
    return lambda handler: handler.send(status, Location=url)


def parts_kept() -> int:
    return len(list(cache.directory("images/blobs").iterdir()))


def test_a_password_does_not_follow_blobs_to_another_host(
    image: Image, layer: str, log_in: Callable[[str], None]
) -> None:
    with serving(Honest(image), "127.0.0.2") as storage:
        answer = Honest(image, {layer: leading_to(f"http://{storage.host}/{layer}")})
        with serving(for_the_password(answer)) as server:
            log_in(server.host)
            assert images.pull(f"{server.host}/limit:1").digest == image.digest
    assert storage.seen == [("GET", f"/{layer}", "")]


@pytest.mark.parametrize("challenge", ["Basic", 'Bearer realm="http://127.0.0.2:1/",service="x"'])
def test_another_host_that_asks_for_the_password_does_not_get_it(
    image: Image, layer: str, log_in: Callable[[str], None], challenge: str
) -> None:
    with serving(lambda h: h.send(401, WWW_Authenticate=challenge), "127.0.0.2") as storage:
        answer = Honest(image, {layer: leading_to(f"http://{storage.host}/{layer}")})
        with serving(for_the_password(answer)) as server:
            log_in(server.host)
            with pytest.raises(RegistryError, match=f"{layer}: HTTP 401$"):
                images.pull(f"{server.host}/limit:1")
    assert storage.seen == [("GET", f"/{layer}", "")]
    assert parts_kept() == 0


def test_a_password_does_not_follow_uploads_to_another_host(
    image: Image, log_in: Callable[[str], None]
) -> None:
    with serving(lambda h: h.send(201), "127.0.0.2") as storage:

        def answer(handler: Handler) -> None:
            match handler.command:
                case "HEAD":
                    handler.send(404)
                case "POST":
                    handler.send(202, Location=f"http://{storage.host}/upload")
                case _:
                    handler.send(201)

        with serving(for_the_password(answer)) as server:
            log_in(server.host)
            images.push(image, f"{server.host}/limit:1")
    assert {(command, who) for command, _, who in storage.seen} == {("PUT", "")}


def test_a_token_goes_to_the_registry_alone_and_the_password_to_its_token_service(
    image: Image, layer: str, log_in: Callable[[str], None]
) -> None:
    service = serving(lambda h: h.send(200, b'{"token": "opensesame"}'), "127.0.0.3")
    with service as tokens, serving(Honest(image), "127.0.0.2") as storage:
        realm = f'Bearer realm="http://{tokens.host}/token?a=b",service="s",scope="pull"'
        honest = Honest(image, {layer: leading_to(f"http://{storage.host}/{layer}")})

        def answer(handler: Handler) -> None:
            if handler.headers.get("authorization") == "Bearer opensesame":
                honest(handler)
            else:
                handler.send(401, WWW_Authenticate=realm)

        with serving(answer) as server:
            log_in(server.host)
            assert images.pull(f"{server.host}/limit:1").digest == image.digest
    assert tokens.seen == [("GET", "/token?a=b&service=s&scope=pull", f"Basic {SECRET}")]
    assert {who for _, _, who in server.seen} == {"", "Bearer opensesame"}
    assert {who for _, _, who in storage.seen} == {""}


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b'{"token": 7}', b'{"token": "a\\nb"}', b"[" * 9999]
)
def test_a_token_service_without_a_token_is_one_error(image: Image, answer: bytes) -> None:
    with serving(lambda h: h.send(200, answer), "127.0.0.3") as tokens:
        realm = f'Bearer realm="http://{tokens.host}/token"'
        with (
            serving(lambda h: h.send(401, WWW_Authenticate=realm)) as server,
            pytest.raises(RegistryError),
        ):
            images.pull(f"{server.host}/limit:1")


def test_a_token_service_is_not_told_a_password_by_http_for_a_registry_by_https() -> None:
    session = requests.Session()
    transport = Transport(session, "https://registry.example/v2/limit")
    transport.password = SECRET
    with pytest.raises(RegistryError, match=r"is not asked by HTTP: http://registry\.example/"):
        transport._authorize('Bearer realm="http://registry.example/token"')
    session.close()


def test_a_registry_does_not_lead_from_https_to_http() -> None:
    assert Transport._next("https://a.example/x", "/y") == "https://a.example/y"
    with pytest.raises(RegistryError, match=r"leads from HTTPS to http://a\.example/y"):
        Transport._next("https://a.example/x", "http://a.example/y")
    with pytest.raises(RegistryError, match="no URL of HTTP"):
        Transport._next("https://a.example/x", "file:///etc/passwd")


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("127.evil.example", False),
        ("127.0.0.1.nip.example", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
    ],
)
def test_what_is_spoken_to_by_http_is_on_loopback(host: str, own: bool) -> None:
    assert is_loopback(host) == own


def test_passwords_for_other_programs_stay_where_they_are(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(Honest(image)) as server:
        images.pull(f"{server.host}/limit:1")
    assert {who for _, _, who in server.seen} == {""}


def test_proxies_are_those_of_the_environment_but_not_for_loopback(
    image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(Honest(image)) as server:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        images.pull(f"{server.host}/limit:1")
    with serving(Honest(image)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
        assert images.pull("registry.invalid/else:1", plain_http=True).digest == image.digest
    assert proxy.seen[0][1] == "http://registry.invalid/v2/else/manifests/1"


def test_a_registry_that_sends_too_much_is_not_listened_to(
    image: Image, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("osmia.images.media_types.LARGEST_BLOB", 1 << 20)

    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        for _ in range(1 << 12):
            handler.wfile.write(bytes(1 << 16))

    with serving(Honest(image, {layer: endless})) as server:
        with pytest.raises(ImageError, match=r"/limit: .* has more than 1,048,576 bytes"):
            images.pull(f"{server.host}/limit:1")
        assert parts_kept() == 0
    with (
        serving(Honest(image, {"manifests": endless})) as server,
        pytest.raises(ImageError, match="has more than 4,194,304 bytes"),
    ):
        images.pull(f"{server.host}/limit:1")


def test_an_error_that_never_ends_is_an_error(image: Image) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(500)
        handler.send_header("Connection", "close")
        handler.end_headers()
        for _ in range(1 << 12):
            handler.wfile.write(bytes(1 << 16))

    with (
        serving(endless) as server,
        pytest.raises(RegistryError, match=r"/limit: 1: HTTP 500$"),
    ):
        images.pull(f"{server.host}/limit:1")


def test_a_part_that_breaks_off_is_asked_for_again(
    image: Image, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("osmia.images.transport._WAITS", (0, 0, 0))
    asked = []

    def short(handler: Handler) -> None:
        asked.append(1)
        content = image.blobs[layer]
        whole = len(asked) > wanted
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content if whole else content[:100])
        handler.close_connection = not whole

    with serving(Honest(image, {layer: short})) as server:
        wanted = 99
        with pytest.raises(RegistryError, match="100 bytes read"):
            images.pull(f"{server.host}/limit:1")
        assert (len(asked), parts_kept()) == (4, 0)
        wanted = len(asked) + 2
        assert images.pull(f"{server.host}/limit:1").digest == image.digest


def test_a_part_that_comes_too_slowly_is_not_waited_for(
    image: Image, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("osmia.images.transport._PATIENCE", 0.3)
    stop = threading.Event()

    def drip(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        while not stop.wait(0.05):
            handler.wfile.write(b"x")

    with serving(Honest(image, {layer: drip})) as server:
        with pytest.raises(RegistryError, match="less than 1,024 bytes a second"):
            images.pull(f"{server.host}/limit:1")
        stop.set()


@pytest.mark.parametrize("right", [True, False])
def test_a_digest_that_the_registry_says_is_checked(image: Image, right: bool) -> None:
    content = image.blobs[image.digest]
    said = image.digest if right else f"sha256:{'0' * 64}"
    answer = Honest(
        image, {"manifests": lambda h: h.send(200, content, Docker_Content_Digest=said)}
    )
    with serving(answer) as server:
        if right:
            assert images.pull(f"{server.host}/limit:1").digest == said
            return
        with pytest.raises(ImageError, match=f"says {said}, and sent {image.digest}"):
            images.pull(f"{server.host}/limit:1")
    assert parts_kept() == 0


def test_a_registry_that_leads_in_circles_is_one_error(image: Image) -> None:
    with (
        serving(leading_to("/v2/limit/manifests/1", 302)) as server,
        pytest.raises(RegistryError, match="leads in circles"),
    ):
        images.pull(f"{server.host}/limit:1")


def test_the_caller_s_logging_stays_as_it_is(
    image: Image, caplog: pytest.LogCaptureFixture
) -> None:
    honest = Honest(image)

    def answer(handler: Handler) -> None:
        logging.getLogger("oras").warning("asked for %s", handler.path)
        honest(handler)

    with serving(answer) as server:
        images.pull(f"{server.host}/limit:1")
    assert "asked for /v2/limit/manifests/1" in caplog.text
