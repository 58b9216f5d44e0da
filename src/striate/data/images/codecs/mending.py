"""Repair JPEGs that make libjpeg warn although no pixel is lost."""

from __future__ import annotations

import re

import simplejpeg

from striate.data.images.codecs.segments import MARKER, Segments

_END = b"\xff\xd9"
# Causes of the warnings: bytes between two segments, wrongly numbered pieces of a profile, a version of JFIF or a
# colour transform of Adobe's that does not exist, a missing end mark.
_PERHAPS_HARMLESS = (
    "extraneous bytes",
    "icc marker",
    "jfif revision",
    "adobe color transform",
    "premature end of jpeg",
)
_SPARE = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_BEHIND_SCAN = re.compile(rb"\xff+[^\xff\x00\xd0-\xd7]")
_RESTARTS = re.compile(rb"(?:\xff+[\xd0-\xd7])+\Z")
_SCAN_START = 0xDA
_MOST_SCANS = 64  # each is decoded in turn; encoders write ten
_ROUNDS = 4


def mended(found: Segments, warning: str) -> bytes | None:
    """Return a JPEG that decodes to the same pixels without a warning; None if pixels are lost.

    A harmless warning may be followed by one that is not. Each scan is therefore checked: the file up to it, without
    the bytes after it, is decoded strictly. (With arithmetic coding this check shows nothing, because the decoder
    accepts missing data.)
    """
    if not found.scan or found.arithmetic or not any(phrase in warning.lower() for phrase in _PERHAPS_HARMLESS):
        return None
    scans = _scans(found)
    if not scans:
        return None
    whole = found.tidy()
    for scan in scans:
        kept = _without_spare(whole, scan)
        if kept is None:
            return None
        whole += kept
    return whole + _END


def _scans(found: Segments) -> list[bytes]:
    """Return each scan: the segments before it, its header and its compressed pixels; none if one may be missing."""
    data, position = found.data, found.scan
    scans: list[bytes] = []
    before = b""
    while len(scans) < _MOST_SCANS and position + 4 <= len(data):
        scanned = data[position + 1] == _SCAN_START
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        following = (_BEHIND_SCAN if scanned else MARKER).search(data, end)
        if scanned:
            scans.append(before + data[position : following.start() if following else len(data)])
        before = b"" if scanned else before + data[position:end]
        if following is None:  # no end mark: only a file of one scan is then known to be complete
            return scans if scanned and found.one_scan else []
        position = following.end() - 2
        if data.startswith(_END, position):
            return scans
    return []


def _without_spare(head: bytes, scan: bytes) -> bytes | None:
    """Return `scan` without the bytes and restart markers after its last pixel; None if pixels are lost."""
    for _ in range(_ROUNDS):
        scan = _RESTARTS.sub(b"", scan)
        try:
            simplejpeg.decode_jpeg(head + scan + _END, min_height=1, min_width=1, strict=True)
            return scan
        except ValueError as error:
            spare = _SPARE.search(str(error))
            if spare is None or int(spare[1]) >= len(scan):
                return None
            scan = scan[: len(scan) - int(spare[1])]
    return None
