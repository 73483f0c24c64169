"""What an audio file's own bytes say about it: its kind, and whether it holds as much as its header promises.

libsndfile opens a WAV, AIFF, AU, CAF or Ogg file that was cut off and shows a shorter recording without a word. The
functions here read the few header bytes that tell a whole file from a cut one. They decode nothing.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, replace
from typing import BinaryIO, Literal

Kind = Literal["wav", "w64", "aiff", "au", "caf", "nist", "flac", "ogg", "mp3", "foreign", "unknown"]

# First bytes of the containers that need PyAV → (our name, ffmpeg's demuxer). Naming the demuxer keeps ffmpeg from
# guessing: no playlist, text or network format is ever tried.
_FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA/ASF", "asf"),
    (b"\x1a\x45\xdf\xa3", "Matroska/WebM", "matroska"),
    (b"MAC ", "Monkey's Audio", "ape"),
    (b"wvpk", "WavPack", "wv"),
    (b"MP+", "Musepack", "mpc"),
    (b"MPCK", "Musepack", "mpc8"),
    (b"DSD ", "DSF", "dsf"),
    (b"#!AMR", "AMR", "amr"),
    (b"TTA1", "True Audio", "tta"),
    (b"FLV\x01", "Flash video", "flv"),
)
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")

# From here on a 32-bit size is what a recorder writes when it cannot know the length (0x7FFFFFFF, 0xFFFFFFFF and kin).
_PLACEHOLDER_BYTES = 0x7FFF0000
_MPEG_TAGS = frozenset({0x50, 0x55})
_MAX_CHUNKS = 10_000
_MAX_TAGS = 8
_FARTHEST_BYTE = 1 << 48
_OGG_TAIL_BYTES = 65_536 + 282  # the largest possible Ogg page
_OGG_WALK_BYTES = 1 << 26
_OGG_NO_END = "truncated: the Ogg stream lacks its last page"
_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class Signature:
    """What the first bytes say: the kind, for containers that need PyAV their name and ffmpeg's demuxer.

    `start` is where the file proper begins, behind ID3v2 tags.
    """

    kind: Kind
    name: str = ""
    demuxer: str = ""
    start: int = 0


@dataclass(frozen=True)
class Extent:
    """How much sound data a header promises and how much the file holds.

    `stated` is None when the header leaves it open. `mpeg` marks MPEG audio inside a WAV. `size_at` is where a 32-bit
    size of zero stands although data follows.
    """

    stated: int | None
    present: int
    mpeg: bool = False
    size_at: int | None = None


def sniff(file: BinaryIO) -> Signature:
    """Tell the kind of an audio file by its first bytes, behind an ID3v2 tag if there is one."""
    head = _read_at(file, 0, 64)
    start = 0
    for _ in range(_MAX_TAGS):
        if head[:3] != b"ID3" or len(head) < 10:
            break
        start += 10 + ((head[6] & 127) << 21 | (head[7] & 127) << 14 | (head[8] & 127) << 7 | (head[9] & 127))
        head = _read_at(file, start, 64)
    found = _sniff_bytes(head)
    if start and found.kind == "unknown":
        return Signature("mp3", start=start)
    return replace(found, start=start) if start else found


def _sniff_bytes(head: bytes) -> Signature:
    form = head[8:12]
    if head[:4] in (b"RIFF", b"RIFX", b"RF64"):
        if form == b"AVI ":
            return Signature("foreign", "AVI video", "avi")
        return Signature("wav" if form == b"WAVE" else "unknown")
    if head[:4] == b"FORM" and form in (b"AIFF", b"AIFC"):
        return Signature("aiff")
    if head[:4] == b"OggS":
        return _sniff_ogg(head)
    if head[4:8] == b"ftyp":
        return Signature("foreign", "MP4/M4A", "mov")
    simple: dict[bytes, Kind] = {b".snd": "au", b"dns.": "au", b"caff": "caf", b"fLaC": "flac", b"NIST": "nist"}
    if head[:4] in simple:
        return Signature(simple[head[:4]])
    if head[:16] == _W64_RIFF:
        return Signature("w64")
    for magic, name, demuxer in _FOREIGN:
        if head.startswith(magic):
            return Signature("foreign", name, demuxer)
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        if head[1] & 0xF6 == 0xF0:
            return Signature("foreign", "AAC", "aac")
        if head[1] & 0x06:
            return Signature("mp3")
    return Signature("unknown")


def _sniff_ogg(head: bytes) -> Signature:
    """Vorbis, Opus and FLAC inside Ogg are libsndfile's; Speex and video need PyAV."""
    body = head[27 + head[26] :] if len(head) > 27 else b""
    if body.startswith(b"Speex") or body.startswith((b"\x80theora", b"fishead")):
        return Signature("foreign", "Ogg with Speex or video", "ogg")
    return Signature("ogg")


def extent(file: BinaryIO, signature: Signature) -> Extent | None:
    """The promised and the present bytes of sound data; None where the format does not state them up front."""
    kind, size = signature.kind, file.seek(0, 2)
    if kind == "wav":
        return _extent_riff(file, signature.start, size)
    if kind == "aiff":
        return _extent_aiff(file, signature.start, size)
    if kind == "w64":
        return _extent_w64(file, size)
    if kind == "caf":
        return _extent_caf(file, signature.start, size)
    if kind == "au":
        head = _read_at(file, 0, 12)
        order: Literal["big", "little"] = "big" if head[:4] == b".snd" else "little"
        start, stated = int.from_bytes(head[4:8], order), int.from_bytes(head[8:12], order)
        return Extent(None if stated >= _PLACEHOLDER_BYTES else stated, max(0, size - start))
    if kind == "nist":
        return _extent_nist(file, size)
    return None


def _extent_riff(file: BinaryIO, start: int, size: int) -> Extent | None:
    """Walk the chunks of a RIFF, RIFX or RF64 file to its sound data."""
    order: Literal["big", "little"] = "big" if _read_at(file, start, 4) == b"RIFX" else "little"
    at, mpeg, long_size = start + 12, False, None
    for _ in range(_MAX_CHUNKS):
        head = _read_at(file, at, 8)
        if len(head) < 8:
            return None
        name, stated = head[:4], int.from_bytes(head[4:8], order)
        if name == b"data":
            present = size - at - 8
            if long_size is not None and stated >= _PLACEHOLDER_BYTES:
                return Extent(long_size, present, mpeg)
            if stated == 0 and present > 0 and not _is_chunk_chain(file, at + 8, size, order):
                return Extent(None, present, mpeg, size_at=at + 4)
            if stated >= _PLACEHOLDER_BYTES and present < stated:
                return Extent(None, present, mpeg)
            return Extent(stated, present, mpeg)
        if name == b"fmt ":
            mpeg = int.from_bytes(_read_at(file, at + 8, 2), order) in _MPEG_TAGS
        if name == b"ds64":
            long_size = int.from_bytes(_read_at(file, at + 16, 8), "little")
        at += 8 + stated + (stated & 1)
    return None


def _is_chunk_chain(file: BinaryIO, at: int, size: int, order: Literal["big", "little"]) -> bool:
    """Whether well-formed chunks fill the file from `at` to its end, so that an empty data chunk is truly empty."""
    for _ in range(_MAX_CHUNKS):
        if size - at < 8:
            return size - at <= 1
        head = _read_at(file, at, 8)
        if not head[:4].isascii() or not head[:4].decode("ascii").isprintable():
            return False
        stated = int.from_bytes(head[4:8], order)
        at += 8 + stated + (stated & 1)
        if at > size + 1:
            return False
    return False


def _extent_aiff(file: BinaryIO, start: int, size: int) -> Extent | None:
    """Walk the chunks of an AIFF file to its sound data, which starts with 8 bytes of offset and block size."""
    at = start + 12
    for _ in range(_MAX_CHUNKS):
        head = _read_at(file, at, 8)
        if len(head) < 8:
            return None
        stated = int.from_bytes(head[4:8], "big")
        if head[:4] == b"SSND":
            return Extent(max(0, stated - 8), max(0, size - at - 16))
        at += 8 + stated + (stated & 1)
    return None


def _extent_w64(file: BinaryIO, size: int) -> Extent | None:
    """Walk the chunks of a Wave64 file; sizes are 64 bits, include their own 24-byte head, and are padded to 8."""
    at = 40
    for _ in range(_MAX_CHUNKS):
        head = _read_at(file, at, 24)
        stated = int.from_bytes(head[16:24], "little")
        if len(head) < 24 or stated < 24:
            return None
        if head[:4] == b"data" and head[4:16] == _W64_TAIL:
            return Extent(stated - 24, size - at - 24)
        at += (stated + 7) & ~7
    return None


def _extent_caf(file: BinaryIO, start: int, size: int) -> Extent | None:
    """Walk the chunks of a Core Audio file to its sound data, which starts with an edit count; a size of -1 is open."""
    at = start + 8
    for _ in range(_MAX_CHUNKS):
        head = _read_at(file, at, 12)
        if len(head) < 12:
            return None
        stated = int.from_bytes(head[4:12], "big", signed=True)
        if head[:4] == b"data":
            return Extent(None if stated < 0 else max(0, stated - 4), max(0, size - at - 16))
        if stated < 0:
            return None
        at += 12 + stated
    return None


def _extent_nist(file: BinaryIO, size: int) -> Extent | None:
    """sample_count, channel_count and sample_n_bytes of a NIST SPHERE header."""
    text = _read_at(file, 0, 1024)
    numbers = {name: int(value) for name, value in re.findall(rb"(\w+) -i (\d{1,12})", text)}
    try:
        start = int(text[8:16])
        stated = numbers[b"sample_count"] * numbers.get(b"channel_count", 1) * numbers[b"sample_n_bytes"]
    except (KeyError, ValueError):
        return None
    return Extent(stated, max(0, size - start))


def ogg_damage(file: BinaryIO, whole_file: bool) -> str | None:
    """What is wrong with an Ogg file's pages (RFC 3533), in words; None when nothing is.

    libsndfile and ffmpeg skip damaged pages and stop at the last good one, silently. With `whole_file` the checksum
    and the number of every page are looked at; otherwise, and for very large files, only the end of the stream.
    """
    size = file.seek(0, 2)
    if not whole_file or size > _OGG_WALK_BYTES:
        return None if _ogg_ends_well(file, size) else _OGG_NO_END
    file.seek(0)
    data = file.read()
    next_page: dict[bytes, int] = {}
    at = 0
    while data[at : at + 4] == b"OggS" and len(data) > at + 26:
        body = at + 27 + data[at + 26]
        end = body + sum(data[at + 27 : body])
        if end > len(data):
            return _OGG_NO_END
        if int.from_bytes(data[at + 22 : at + 26], "little") != _ogg_checksum(data, at, end):
            return "damaged: an Ogg page has a wrong checksum"
        serial, number = data[at + 14 : at + 18], int.from_bytes(data[at + 18 : at + 22], "little")
        if number != next_page.get(serial, number):
            return "damaged: Ogg pages are missing"
        next_page[serial] = number + 1
        if data[at + 5] & 4:
            del next_page[serial]
        at = end
    if not next_page:
        return None
    return _OGG_NO_END if at >= len(data) - 27 else "damaged: there are foreign bytes between the Ogg pages"


def _ogg_ends_well(file: BinaryIO, size: int) -> bool:
    """Whether the last Ogg page is complete and carries the end-of-stream flag."""
    tail = _read_at(file, max(0, size - _OGG_TAIL_BYTES), _OGG_TAIL_BYTES)
    at = tail.rfind(b"OggS")
    while at >= 0:
        lacing = tail[at + 27 : at + 27 + tail[at + 26]] if len(tail) > at + 26 else b""
        if lacing and tail[at + 4] == 0:
            end = at + 27 + len(lacing) + sum(lacing)
            return len(lacing) == tail[at + 26] and end <= len(tail) and bool(tail[at + 5] & 4)
        at = tail.rfind(b"OggS", 0, at)
    return False


def _ogg_checksum(data: bytes, at: int, end: int) -> int:
    """CRC-32 of a page with its checksum field zeroed: Ogg's is zlib's with all bits in the opposite order."""
    mirrored = (data[at : at + 22] + bytes(4) + data[at + 26 : end]).translate(_MIRROR)
    return int(f"{zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF:032b}"[::-1], 2)


def mp3_states_length(file: BinaryIO, start: int) -> bool:
    """Whether the first MPEG frame is a Xing, Info or VBRI header: then the length is promised, not estimated."""
    frame = _read_at(file, start, 4096)
    return any(tag in frame for tag in (b"Xing", b"Info", b"VBRI"))


def _read_at(file: BinaryIO, offset: int, count: int) -> bytes:
    if offset > _FARTHEST_BYTE:
        return b""
    file.seek(offset)
    return file.read(count)
