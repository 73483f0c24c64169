"""Models in the studio: bundles, cards, archives, and what a model says of a recording that is sent."""

from __future__ import annotations

import io
import json
import re
import socket
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_bundle import LABELS, RATE, make_bundle

pytest.importorskip("fastapi", reason="the studio is not installed: pip install 'earnest[studio]'")

from running_studio import Running, form, running

from earnest import Predictor
from earnest.studio.models import archive, files_of
from earnest.studio.uploads import shown

PREDICT = "/api/bundles/first~one/predict"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    make_bundle(root / "runs" / "first" / "one", window=200, hop=100)
    (root / "runs" / "broken" / "bundle").mkdir(parents=True)
    (root / "runs" / "broken" / "bundle" / "bundle.json").write_text("{")
    return root


@pytest.fixture(scope="module")
def studio(folder: Path) -> Iterator[Running]:
    with running(folder, upload_bytes=2_000_000, upload_s=2.0, kept_uploads=2, worker_s=60.0) as one:
        yield one


def wav(seconds: float = 2.0, rate: int = RATE) -> bytes:
    samples = 0.4 * np.random.default_rng(3).standard_normal(int(seconds * rate)).clip(-2, 2)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def test_bundles_are_listed_and_damaged_ones_are_not(studio: Running) -> None:
    (bundle,) = studio.json("/api/bundles")
    assert bundle["id"] == "first~one"
    assert bundle["labels"] == list(LABELS)
    assert bundle["sample_rate"] == RATE
    assert bundle["window_s"] == 0.2
    model = next(file for file in bundle["files"] if file["file"] == "model.onnx")
    assert model["score"] == 0.8123
    assert model["bytes"] > 0


def test_card_is_text_that_is_never_a_page(studio: Running) -> None:
    status, headers, text = studio.ask("/api/bundles/first~one/card")
    assert status == 200
    assert b"Tiny sounds" in text
    assert headers["content-type"].startswith("text/markdown")
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]


def test_download_is_the_bundle(studio: Running, folder: Path, tmp_path: Path) -> None:
    status, headers, body = studio.ask("/api/bundles/first~one/download")
    assert status == 200
    assert headers["content-disposition"] == 'attachment; filename="first-one.zip"'
    with zipfile.ZipFile(io.BytesIO(body)) as zipped:
        assert zipped.testzip() is None
        zipped.extractall(tmp_path)
    Predictor(tmp_path)  # which checks every file
    status, headers, model = studio.ask("/api/bundles/first~one/files/model.onnx")
    assert status == 200
    assert headers["content-disposition"].startswith("attachment")
    assert model == (folder / "runs/first/one/bundle/model.onnx").read_bytes()


@pytest.mark.parametrize(
    "file", ["../bundle.json", "..%2Fbundle.json", "%2e%2e%2fbundle.json", "..%252fbundle.json", "tiny.onnx", "%00"]
)
def test_only_files_that_the_manifest_lists(studio: Running, file: str) -> None:
    assert studio.ask(f"/api/bundles/first~one/files/{file}")[0] == 404


@pytest.mark.parametrize("bundle", ["nothing", "..", "%2e%2e", "..%2f..%2fetc", "%252e%252e", "broken%00"])
def test_only_bundles_that_were_found(studio: Running, bundle: str) -> None:
    assert studio.ask(f"/api/bundles/{bundle}/card")[0] == 404


def test_links_in_a_bundle_are_not_followed(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    (tmp_path / "secret").write_text("secret")
    (bundle / "model.onnx").unlink()
    (bundle / "model.onnx").symlink_to(tmp_path / "secret")
    assert "model.onnx" not in files_of(bundle)
    assert b"secret" not in b"".join(archive(files_of(bundle)))


def test_a_recording_is_predicted_and_can_be_played(studio: Running, folder: Path, tmp_path: Path) -> None:
    sound = wav()
    status, said = studio.send(PREDICT, sound, "a voice.wav")
    assert status == 200
    (tmp_path / "a.wav").write_bytes(sound)
    expected = Predictor(folder / "runs/first/one/bundle").predict(tmp_path / "a.wav")
    assert said["prediction"]["scores"] == pytest.approx(expected.scores)
    assert said["prediction"]["label"] == expected.label
    assert said["prediction"]["file"] == "a voice.wav"
    over = said["over_time"]
    assert over["labels"] == list(LABELS)
    assert len(over["times_s"]) == len(over["scores"][0]) == 19
    assert said["events"][0].keys() == {"start_s", "end_s", "label", "score"}
    upload = said["upload"]
    assert (upload["duration_s"], upload["sample_rate"], upload["channels"]) == (2.0, RATE, 1)
    _, headers, heard = studio.ask(upload["audio"])
    assert headers["content-type"] == "audio/wav"
    assert soundfile.info(io.BytesIO(heard)).frames == 2 * RATE
    status, headers, piece = studio.ask(upload["audio"], headers={"Range": "bytes=0-99"})
    assert (status, len(piece)) == (206, 100)
    peaks = studio.json(f"{upload['peaks']}?columns=50")
    assert len(peaks["minimum"]) == len(peaks["maximum"]) == 50
    assert len(studio.json(f"{upload['peaks']}?columns=7&start_s=0.01&end_s=0.02")["maximum"]) == 7
    assert upload["tiles"]["highest_hz"] == RATE / 2
    status, headers, picture = studio.ask(f"{upload['tiles']['url']}/0/0.png?scale=linear&db=60&map=magma")
    assert headers["content-type"] == "image/png"
    assert picture.startswith(b"\x89PNG")


def test_the_newest_recordings_stay(studio: Running) -> None:
    ids = [studio.send(PREDICT, wav(0.5))[1]["upload"]["id"] for _ in range(4)]
    assert [studio.ask(f"/api/uploads/{id}/audio")[0] for id in ids] == [404, 404, 200, 200]
    assert len(list(studio.temporary.rglob("*.wav"))) == 2


def test_recordings_are_removed_after_a_while(folder: Path) -> None:
    with running(folder, kept_s=0.2) as studio:
        assert studio.send(PREDICT, wav(0.5))[0] == 200
        wait_for(lambda: studio.temporary_bytes() == 0)


HOSTILE = ["../../etc/x.wav", "..\\..\\x.wav", "/etc/passwd", "a\x00b.wav", "x" * 3000 + ".wav", "声音🎵‮.wav", "", "."]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_names_of_recordings_never_reach_the_file_system(studio: Running, folder: Path, name: str) -> None:
    before = sorted(folder.rglob("*"))
    status, said = studio.send(PREDICT, wav(0.3), name)
    assert status == 200
    assert "/" not in said["prediction"]["file"]
    assert len(said["prediction"]["file"]) <= 100
    assert sorted(folder.rglob("*")) == before
    assert all(len(file.stem) == 32 for file in studio.temporary.rglob("*.wav"))


def test_names_as_they_are_shown() -> None:
    assert shown("../../etc/声音.wav".encode()) == "声音.wav"
    assert shown(b"..\\x.wav") == "x.wav"
    assert shown(b"a\x00\xff.wav") == "a��.wav"
    assert shown(b"") == "recording"


PAGES = {
    "page.html": b"<!doctype html><script>alert(1)</script>",
    "picture.svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "empty.wav": b"",
    "half.wav": wav()[:30],
    "zip.wav": b"PK\x03\x04" + bytes(100),
}


@pytest.mark.parametrize("name", PAGES)
def test_what_is_no_sound_is_refused_and_gone(studio: Running, name: str) -> None:
    before = studio.temporary_bytes()
    status, said = studio.send(PREDICT, PAGES[name], name, "audio/wav")
    assert status == 422
    assert said["error"].startswith(name)
    assert studio.temporary_bytes() == before


def test_a_page_within_a_recording_is_served_as_sound_only(studio: Running) -> None:
    sound = bytearray(wav(0.5))
    sound[100:140] = b"<html><script>alert(1)</script></html>  "
    _, said = studio.send(PREDICT, bytes(sound), "x.html", "text/html")
    _, headers, _ = studio.ask(said["upload"]["audio"])
    assert headers["content-type"] == "audio/wav"
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", {}),
        (b"{}", {"Content-Type": "application/json"}),
        (b"nothing", {"Content-Type": "multipart/form-data; boundary=edge"}),
        (b"--edge--\r\n", {"Content-Type": "multipart/form-data; boundary=edge"}),
        (b"--edge\r\n\r\n", {"Content-Type": "multipart/form-data"}),
        (form(b"x")[0].replace(b'"audio"', b'"other"'), form(b"")[1]),
        (form(b"x")[0].replace(b"Content-Type: ", b"X: " + b"y" * 9000), form(b"")[1]),
        (form(b"x" * 500)[0][:300], form(b"")[1]),
    ],
)
def test_damaged_forms_are_answered(studio: Running, body: bytes, headers: dict[str, str]) -> None:
    status, _, said = studio.ask(PREDICT, "POST", body, headers)
    assert status == 400
    assert json.loads(said)["remedy"]
    assert not list(studio.temporary.rglob("*.part"))


def test_recordings_that_are_too_long_are_refused_with_and_without_a_length(studio: Running) -> None:
    body, headers = form(bytes(2_100_000))
    pieces = [body[at : at + 65_536] for at in range(0, len(body), 65_536)]
    for sent in (body, iter(pieces)):  # the second comes in chunks, without a length
        try:
            status, _, said = studio.ask(PREDICT, "POST", sent, headers)
        except ConnectionError:
            continue  # it was ended while the rest was still being sent
        assert status == 413
        assert "2 MB" in json.loads(said)["error"]
    wait_for(lambda: not list(studio.temporary.rglob("*.part")))


def raw(studio: Running, length: int) -> socket.socket:
    """A connection that has begun to send a recording."""
    connection = socket.create_connection(("127.0.0.1", studio.port), timeout=10)
    body, headers = form(b"RIFF")
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: 127.0.0.1:{studio.port}\r\nAuthorization: Bearer {studio.token}\r\n"
    head += f"Content-Type: {headers['Content-Type']}\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + body[:120])
    return connection


def test_a_slow_sender_is_told_so_and_leaves_nothing(studio: Running) -> None:
    with raw(studio, 100_000) as connection:
        began = time.monotonic()
        for _ in range(60):
            time.sleep(0.1)
            try:
                connection.sendall(b"x")
            except OSError:
                break
            connection.setblocking(False)
            try:
                answer = connection.recv(1000)
                break
            except BlockingIOError:
                connection.setblocking(True)
        assert answer.startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began < 4
    wait_for(lambda: not list(studio.temporary.rglob("*.part")))


def test_a_sender_that_leaves_leaves_nothing(studio: Running) -> None:
    with raw(studio, 100_000):
        wait_for(lambda: bool(list(studio.temporary.rglob("*.part"))))
    wait_for(lambda: not list(studio.temporary.rglob("*.part")))


def test_too_many_senders_at_once_are_told_to_wait(studio: Running) -> None:
    senders = [raw(studio, 100_000) for _ in range(6)]
    try:
        wait_for(lambda: len(list(studio.temporary.rglob("*.part"))) == 6)
        assert studio.send(PREDICT, wav(0.3))[0] == 503
        assert studio.ask("/health")[0] == 200
    finally:
        for sender in senders:
            sender.close()
    wait_for(lambda: not list(studio.temporary.rglob("*.part")))
    assert studio.send(PREDICT, wav(0.3))[0] == 200


def test_a_small_file_that_becomes_large_takes_down_its_worker_only(folder: Path) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(48_000 * 60 * 20, np.int16), 48_000, format="FLAC")
    assert len(buffer.getvalue()) < 1_000_000
    with running(folder, worker_bytes=400_000_000) as studio:  # which is 230 MB once it is decoded, twice
        status, said = studio.send(PREDICT, buffer.getvalue(), "silence.flac")
        assert status == 422
        assert said["error"].startswith("silence.flac: it takes more memory")
        assert studio.temporary_bytes() == 0
        assert studio.send(PREDICT, wav(0.3))[0] == 200


def test_docs_ask_nothing_of_anyone(studio: Running) -> None:
    status, _, page = studio.ask("/docs")
    assert status == 200
    assert b"/api/bundles/{bundle}/predict" in page
    assert b"<script" not in page
    assert {found.decode() for found in re.findall(rb"https?://[^/<]*", page)} == {studio.address}


def wait_for(true: object, seconds: float = 8.0) -> None:
    until = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.05)
