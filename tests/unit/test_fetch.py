"""Downloads from a local server: resumed, checked, unpacked safely."""

import gzip
import hashlib
import io
import json
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from earnest.corpora import CorpusInfo, Download
from earnest.errors import DataError, StorageError
from earnest.fetch import download, extract, fetch, fetch_into

CONTENT = bytes(range(256)) * 12_000  # 3 MB: several blocks


class Server(ThreadingHTTPServer):
    """Serves `files`; hangs up after `cut_after` bytes as often as `cuts` says; `ranges` counts resumed requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut_after, self.cuts, self.ranges, self.requests = 0, 0, 0, 0
        self.understands_ranges = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of these tests."""

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.requests += 1
        body = server.files.get(self.path.strip("/"))
        if body is None:
            self.send_error(404)
            return
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        start = 0
        wanted = self.headers.get("Range")
        if wanted and server.understands_ranges and self.headers.get("If-Range") == tag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            server.ranges += 1
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        piece = body[start:]
        if server.cuts > 0:
            server.cuts -= 1
            piece = piece[: server.cut_after]
        self.wfile.write(piece)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def zip_of(files: dict[str, bytes], edit: Callable[[zipfile.ZipInfo], None] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            if edit:
                edit(entry)
            archive.writestr(entry, content)
    return buffer.getvalue()


def tar_of(entries: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for entry, content in entries:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def corpus(server: Server, body: bytes, sha256: str | None = None, kind: str = "zip") -> CorpusInfo:
    server.files["corpus"] = body
    downloads = (Download(server.url("corpus"), sha256, None, kind),)  # type: ignore[arg-type]
    return CorpusInfo("tiny", "Tiny", "CC0", "nobody", "nowhere", downloads)


def test_download_with_progress(server: Server, tmp_path: Path) -> None:
    server.files["a.bin"] = CONTENT
    seen: list[tuple[str, int, int | None]] = []
    download(server.url("a.bin"), tmp_path / "a.bin", progress=lambda *step: seen.append(step))
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert seen[-1] == ("a.bin", len(CONTENT), len(CONTENT))
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_broken_connections_are_taken_up_again(server: Server, tmp_path: Path) -> None:
    server.files["a.bin"] = CONTENT
    server.cuts, server.cut_after = 2, 1_100_000
    download(server.url("a.bin"), tmp_path / "a.bin", pause_s=0.0)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.ranges == 2


def test_resume_in_a_later_call(server: Server, tmp_path: Path) -> None:
    server.files["a.bin"] = CONTENT
    server.cuts, server.cut_after = 99, 0
    with pytest.raises(DataError, match="cannot be downloaded"):
        download(server.url("a.bin"), tmp_path / "a.bin", pause_s=0.0)
    assert not (tmp_path / "a.bin").exists()
    server.cuts, server.cut_after = 1, 2_000_000
    download(server.url("a.bin"), tmp_path / "a.bin", pause_s=0.0)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.ranges == 1


def test_a_changed_file_is_not_glued_to_the_old_part(server: Server, tmp_path: Path) -> None:
    server.files["a.bin"] = CONTENT
    server.cuts, server.cut_after = 1, 1_500_000
    download_part(server, tmp_path)
    server.files["a.bin"] = CONTENT[::-1]
    download(server.url("a.bin"), tmp_path / "a.bin", pause_s=0.0)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT[::-1]


def download_part(server: Server, folder: Path) -> None:
    """Leave a part behind, as a killed process would."""

    class Killed(BaseException):
        pass

    def kill(what: str, done: int, total: int | None) -> None:
        raise Killed

    with pytest.raises(Killed):
        download(server.url("a.bin"), folder / "a.bin", progress=kill, pause_s=0.0)
    assert (folder / "a.bin.part").stat().st_size > 0


def test_server_without_ranges_and_part_longer_than_the_file(server: Server, tmp_path: Path) -> None:
    server.files["a.bin"] = CONTENT
    download_part(server, tmp_path)
    server.understands_ranges = False
    download(server.url("a.bin"), tmp_path / "a.bin", pause_s=0.0)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    server.understands_ranges = True
    (tmp_path / "a.bin").unlink()
    download_part(server, tmp_path)
    with (tmp_path / "a.bin.part").open("ab") as file:
        file.write(CONTENT)
    download(server.url("a.bin"), tmp_path / "a.bin", pause_s=0.0)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_refusals_of_a_download(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="404"):
        download(server.url("none"), tmp_path / "none")
    assert server.requests == 1
    server.files["a.bin"] = CONTENT
    with pytest.raises(DataError, match="expected 5"):
        download(server.url("a.bin"), tmp_path / "a.bin", expected_bytes=5)
    with pytest.raises(DataError, match="not an http"):
        download("file:///etc/passwd", tmp_path / "x")
    with pytest.raises(DataError, match="cannot be downloaded"):
        download("http://127.0.0.1:9/x", tmp_path / "x", pause_s=0.0)


def test_place_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        fetch_into(corpus(server, zip_of({"a": b"1"})), tmp_path / "file" / "tiny")


def test_fetch_unpacks_and_records(server: Server, tmp_path: Path) -> None:
    body = zip_of({"tiny-main/": b"", "tiny-main/a/ä.wav": b"one", "tiny-main/b.wav": b"two"})
    info = corpus(server, body)
    found = fetch_into(info, tmp_path / "tiny")
    assert (tmp_path / "tiny" / "tiny-main" / "a" / "ä.wav").read_bytes() == b"one"
    assert found.files[0].sha256 == hashlib.sha256(body).hexdigest()
    assert not found.files[0].known
    assert json.loads((tmp_path / "tiny.source.json").read_text())["licence"] == "CC0"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny", "tiny.source.json"]
    requests = server.requests
    assert fetch_into(info, tmp_path / "tiny").already_there
    assert server.requests == requests


def test_hash_of_the_first_download_is_held(server: Server, tmp_path: Path) -> None:
    fetch_into(corpus(server, zip_of({"a.wav": b"1"})), tmp_path / "tiny")
    (tmp_path / "tiny").rename(tmp_path / "away")
    with pytest.raises(DataError, match="SHA-256"):
        fetch_into(corpus(server, zip_of({"a.wav": b"2"})), tmp_path / "tiny")
    assert not (tmp_path / "tiny").exists()
    again = fetch_into(corpus(server, zip_of({"a.wav": b"1"})), tmp_path / "tiny")
    assert again.files[0].known


def test_published_hash(server: Server, tmp_path: Path) -> None:
    body = tar_of([(tarfile.TarInfo("./down/a.wav"), b"1")])
    with pytest.raises(DataError, match="published"):
        fetch_into(corpus(server, body, "0" * 64, "tar.gz"), tmp_path / "tiny")
    fetch_into(corpus(server, body, hashlib.sha256(body).hexdigest(), "tar.gz"), tmp_path / "tiny")
    assert (tmp_path / "tiny" / "down" / "a.wav").read_bytes() == b"1"


def test_plain_file(server: Server, tmp_path: Path) -> None:
    fetch_into(corpus(server, b"hello", kind="file"), tmp_path / "tiny")
    assert (tmp_path / "tiny" / "corpus").read_bytes() == b"hello"


def test_embedded_corpus_needs_no_download() -> None:
    with pytest.raises(DataError, match="made on the spot"):
        fetch("espeak_words")


def a_link(entry: zipfile.ZipInfo) -> None:
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16


@pytest.mark.parametrize(
    "body",
    [
        zip_of({"../out.wav": b"x"}),
        zip_of({"/out.wav": b"x"}),
        zip_of({"a/../../out.wav": b"x"}),
        zip_of({"a\\..\\out.wav": b"x"}),
        zip_of({"C:/out.wav": b"x"}),
        zip_of({"good.wav": b"x", "link": b"/etc/passwd"}, a_link),
        zip_of({"A.wav": b"x", "a.wav": b"y"}),
        zip_of({"bomb.wav": b"\0" * 50_000_000}),
    ],
    ids=["parent", "absolute", "inner parent", "backslash", "drive", "link", "twice", "bomb"],
)
def test_zip_is_refused_as_a_whole(server: Server, tmp_path: Path, body: bytes) -> None:
    with pytest.raises(DataError, match="refused"):
        fetch_into(corpus(server, body), tmp_path / "inside" / "tiny")
    assert not list(tmp_path.rglob("*.wav"))
    assert not (tmp_path / "inside" / "tiny").exists()


def tar_entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


@pytest.mark.parametrize(
    "entries",
    [
        [(tarfile.TarInfo("../out.wav"), b"x")],
        [(tarfile.TarInfo("/out.wav"), b"x")],
        [(tarfile.TarInfo("good.wav"), b"x"), (tar_entry("link", tarfile.SYMTYPE, "/etc"), b"")],
        [(tarfile.TarInfo("good.wav"), b"x"), (tar_entry("link", tarfile.LNKTYPE, "good.wav"), b"")],
        [(tar_entry("pipe", tarfile.FIFOTYPE), b"")],
        [(tar_entry("device", tarfile.CHRTYPE), b"")],
        [(tarfile.TarInfo("a.wav"), b"x"), (tarfile.TarInfo("./a.wav"), b"y")],
        [(tarfile.TarInfo("bomb.wav"), b"\0" * 50_000_000)],
    ],
    ids=["parent", "absolute", "link", "hard link", "pipe", "device", "twice", "bomb"],
)
def test_tar_is_refused_as_a_whole(
    server: Server, tmp_path: Path, entries: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    with pytest.raises(DataError, match="refused"):
        fetch_into(corpus(server, tar_of(entries), kind="tar.gz"), tmp_path / "inside" / "tiny")
    assert not list(tmp_path.rglob("*.wav"))


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_damaged_archives(tmp_path: Path, kind: str) -> None:
    files = {f"{number}.wav": hashlib.sha256(str(number).encode()).digest() * 40 for number in range(50)}
    whole = zip_of(files) if kind == "zip" else tar_of([(tarfile.TarInfo(name), body) for name, body in files.items()])
    if kind == "tar.gz":
        raw = bytearray(gzip.decompress(whole))
        raw[20 * 2048] ^= 0xFF  # the name in a header, behind gzip's back
        (tmp_path / "header").write_bytes(gzip.compress(raw))
        (tmp_path / "h").mkdir()
        with pytest.raises(DataError, match="damaged"):
            extract(tmp_path / "header", tmp_path / "h", "tar.gz")
    flipped = bytearray(whole)
    flipped[45 if kind == "zip" else len(whole) // 3] ^= 0xFF  # zip: in the first content; dates have no checksum
    for number, body in enumerate((b"", b"not an archive", whole[: len(whole) // 2], bytes(flipped))):
        archive, folder = tmp_path / f"{number}.archive", tmp_path / str(number)
        archive.write_bytes(body)
        folder.mkdir()
        with pytest.raises(DataError, match="damaged"):
            extract(archive, folder, kind)  # type: ignore[arg-type]
