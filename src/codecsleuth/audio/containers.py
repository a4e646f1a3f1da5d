"""Whether a file ends where its container says: decoders read a truncated file without a word."""

from __future__ import annotations

import os
import struct
from typing import Final

from codecsleuth.errors import AudioError
from codecsleuth.findings import Finding, finding

#: First bytes (offset, magic) of files that libsndfile cannot decode, and FFmpeg may.
_UNSUPPORTED: Final = (
    (4, b"ftyp", "an MP4/M4A file"),
    (0, b"\x1aE\xdf\xa3", "a Matroska/WebM file"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a WMA/ASF file"),
    (0, b"#!AMR", "an AMR file"),
    (8, b"AVI ", "an AVI file"),
    (0, b"FLV\x01", "a Flash video"),
    (0, b"\x0b\x77", "an AC-3 file"),
    (0, b"\xff\xf1", "an AAC file"),
    (0, b"\xff\xf9", "an AAC file"),
)
#: First bytes of sound files that can be decoded.
_SUPPORTED: Final = (
    (8, b"WAVE"),
    (8, b"AIFF"),
    (8, b"AIFC"),
    (0, b"fLaC"),
    (0, b"OggS"),
    (0, b"ID3"),
    (0, b"\xff\xfb"),
    (0, b"\xff\xf3"),
    (0, b"\xff\xf2"),
    (0, b"caff"),
    (0, b".snd"),
    (0, b"riff\x2e\x91"),
)
#: Largest Ogg page: header, 255 lacing values and their 255 bytes each.
_OGG_PAGE: Final = 27 + 255 + 255 * 255
#: Sizes from here on are what programs write that stream to a pipe and do not know the length.
_STREAMED_SIZE: Final = 0x7FFF0000
#: Chunks that a file may have before its audio; real ones have a dozen.
_MOST_CHUNKS: Final = 1_000
#: Boxes of an MP4 file that are looked at; one in fragments has two for each of them.
_MOST_BOXES: Final = 100_000
_FIRST_BOXES: Final = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
#: First bytes of a Matroska or WebM file, and of the one element that holds the rest.
_EBML, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18\x53\x80\x67"
#: What tags behind an MP3 usually take at most.
_TAG_BYTES: Final = 4096


def looks_like_audio(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a sound file."""
    known = [(offset, magic) for offset, magic, _ in _UNSUPPORTED if len(magic) > 2]
    return any(head[offset:].startswith(magic) for offset, magic in (*_SUPPORTED, *known))


def read_at(descriptor: int, count: int, position: int) -> bytes:
    """Read at a position, also where there is no ``pread``."""
    os.lseek(descriptor, position, os.SEEK_SET)
    return os.read(descriptor, count)


def unsupported_container(descriptor: int) -> str:
    """Name of the container if it is a known one that cannot be decoded, else nothing."""
    head = read_at(descriptor, 16, 0)
    return next((name for at, magic, name in _UNSUPPORTED if head[at:].startswith(magic)), "")


def check_complete(descriptor: int, size: int) -> list[Finding]:
    """Compare the lengths a container states with the file's size.

    Returns:
        Findings, such as that the header states no length.

    Raises:
        AudioError: the file is shorter than stated.
    """
    head = read_at(descriptor, 12, 0)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _check_chunks(descriptor, size, b"data", ">" if head[:4] == b"RIFX" else "<")
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _check_chunks(descriptor, size, b"SSND", ">")
    if head[:4] == b"OggS":
        return _check_ogg(descriptor, size)
    if head[4:8] in _FIRST_BOXES:
        return _check_boxes(descriptor, size)
    if head[:4] == _EBML:
        return _check_matroska(descriptor, size)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _compare(int.from_bytes(head[4:8], "little"), size - 8)
    surplus = mp3_surplus(descriptor, size)
    unread = surplus > max(_TAG_BYTES, size // 10)
    return [finding("unread_bytes", bytes=surplus)] * unread


def _check_chunks(descriptor: int, size: int, wanted: bytes, order: str) -> list[Finding]:
    position, long_size = 12, 0
    for _ in range(_MOST_CHUNKS):
        header = read_at(descriptor, 8, position)
        if len(header) < 8:
            return []
        name, length = header[:4], int(struct.unpack(order + "I", header[4:])[0])
        position += 8
        if name == b"ds64":
            stated = read_at(descriptor, 8, position + 8)
            if len(stated) < 8:
                raise AudioError("truncated", "cut short: the header's sizes are missing")
            long_size = int(struct.unpack("<Q", stated)[0])
        if name == wanted:
            stated_bytes = long_size if long_size and length == 0xFFFFFFFF else length
            return _compare(stated_bytes, size - position)
        position += length + length % 2
    raise AudioError("damaged", f"no audio in the first {_MOST_CHUNKS} chunks of the file")


def _compare(stated: int, present: int) -> list[Finding]:
    if present < stated and _STREAMED_SIZE <= stated <= 0xFFFFFFFF:
        return [finding("no_stated_length")]
    if stated > present:
        raise AudioError(
            "truncated", f"cut short: {stated - present} of {stated} bytes of audio are missing"
        )
    if stated == 0 < present:
        raise AudioError(
            "truncated", f"not closed properly: the header states no audio, {present} bytes follow"
        )
    return []


def _check_ogg(descriptor: int, size: int) -> list[Finding]:
    tail = read_at(descriptor, 2 * _OGG_PAGE, max(0, size - 2 * _OGG_PAGE))
    at = tail.rfind(b"OggS\x00")
    page = tail[at:] if at >= 0 else b""
    end_of_stream = len(page) >= 27 and bool(page[5] & 4)
    length = 27 + page[26] + sum(page[27 : 27 + page[26]]) if end_of_stream else 0
    if not end_of_stream or length > len(page):
        raise AudioError("truncated", "cut short: the stream's last page is missing")
    serial = slice(14, 18)
    several = page[serial] != read_at(descriptor, 18, 0)[serial]
    return [finding("several_streams")] * several


def _check_boxes(descriptor: int, size: int) -> list[Finding]:
    """Walk over the boxes of an MP4 or QuickTime file; the last must end with the file."""
    position = 0
    for _ in range(_MOST_BOXES):
        header = read_at(descriptor, 16, position)
        length, name = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8 or not name.isalnum():  # up to the end, or no box any more
            break
        if position + length > size:
            missing = position + length - size
            raise AudioError("truncated", f"cut short: {missing} bytes are missing")
        position += length
    return []


def _check_matroska(descriptor: int, size: int) -> list[Finding]:
    header, start = _ebml_size(read_at(descriptor, 8, 4))
    position = 4 + start + (header or 0)
    if read_at(descriptor, 4, position) != _SEGMENT:
        raise AudioError("damaged", "the header is damaged")
    stated, start = _ebml_size(read_at(descriptor, 8, position + 4))
    if stated is None:
        return [finding("no_stated_length")]
    return _compare(stated, size - position - 4 - start)


def _ebml_size(data: bytes) -> tuple[int | None, int]:
    """A size of Matroska's, whose first bits count its bytes; None if it states that none is known.

    Returns:
        The size, and how many bytes state it.
    """
    count = 9 - data[0].bit_length() if data else 9
    if count > min(8, len(data)):
        raise AudioError("damaged", "the header is damaged")
    largest = (1 << 7 * count) - 1
    value = int.from_bytes(data[:count], "big") & largest
    return (None if value == largest else value), count


def mp3_surplus(descriptor: int, size: int) -> int:
    """Bytes beyond those that the Xing or Info header of an MP3 counts.

    Negative if some are missing; zero for other files, and where there is no such header.
    """
    start = _after_id3(read_at(descriptor, 10, 0))
    frame = read_at(descriptor, 256, start)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if frame[:1] != b"\xff" or at < 0 or len(frame) < at + 16:
        return 0
    flags = struct.unpack(">I", frame[at + 4 : at + 8])[0]
    field = at + 8 + 4 * (flags & 1)
    stated = int(struct.unpack(">I", frame[field : field + 4])[0])
    return size - start - stated if flags & 2 else 0


def _after_id3(head: bytes) -> int:
    """Where the sound begins behind an ID3v2 tag, whose size has seven bits in a byte."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    a, b, c, d = head[6:10]
    return 10 + (a << 21 | b << 14 | c << 7 | d)
