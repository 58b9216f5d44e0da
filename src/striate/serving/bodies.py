"""Bodies of requests: read within the limits, and divided into images."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from striate.core.names import visible
from striate.serving.limits import Limits, Reservation
from striate.serving.refusal import Refusal

Named = tuple[str, bytes]
"""The name of an image in a request, and its bytes."""

FORM, JSON = "multipart/form-data", "application/json"
_RAW = ("", "application/octet-stream", "application/x-www-form-urlencoded")  # the last is the default of curl
_LONGEST_NAME = 200  # characters
_MOST_VALUES = 1_000_000  # of a JSON document, which is parsed while everything else waits
_PART_HEADERS = 8

# python_multipart logs where a form is damaged; the reason of the refusal says so.
logging.getLogger("python_multipart").addHandler(logging.NullHandler())


async def read_body(request: Request, limits: Limits, reserved: Reservation) -> bytes:
    """Read the body of a request.

    Raises:
        Refusal: it is larger than allowed, or does not arrive in time; or the server is busy.
    """
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated[:20]) > limits.body:
        raise _too_large(limits)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limits.body:
                    raise _too_large(limits)
                reserved.add_bytes(len(chunk))
                chunks.append(chunk)
    except TimeoutError as error:
        raise Refusal(408, f"A request arrives within {limits.seconds:g} s; this one did not.") from error
    except ClientDisconnect as error:
        raise Refusal(499, "The client has closed the connection.") from error
    return b"".join(chunks)


def _too_large(limits: Limits) -> Refusal:
    return Refusal(413, f"A request has at most {limits.body:,} bytes. Send fewer images, or smaller ones.")


def is_divided(kind: str) -> bool:
    """Return whether a body of this content type holds several images, and takes time to parse."""
    return _media(kind) in (FORM, JSON)


def _media(kind: str) -> str:
    return kind.partition(";")[0].strip().lower()


def images_in(kind: str, body: bytes, limits: Limits) -> list[Named]:
    """Return the images of a body by its content type: the image itself, the files of a form, or base64 in JSON.

    Raises:
        Refusal: the body is damaged, holds no image or too many, or is of another type.
    """
    media = _media(kind)
    if media == FORM:
        found = _files_of_form(kind, body, limits)
    elif media == JSON:
        found = _images_of_json(read_json(body))
    elif media.startswith("image/") or media in _RAW:
        found = [("image", body)]
    else:
        raise Refusal(415, f"Send an image (image/jpeg …), {FORM} with files, or {JSON}; received {visible(media)!r}.")
    if not found:
        raise Refusal(400, "The request holds no image.")
    check_count(len(found), limits)
    return found


def check_count(count: int, limits: Limits) -> None:
    """Check the number of images of a request.

    Raises:
        Refusal: there are too many.
    """
    if count > limits.images:
        raise Refusal(413, f"A request has at most {limits.images} images. Send several requests.")


def read_json(body: bytes | memoryview) -> Any:
    """Parse a JSON document of a bounded number of values.

    Raises:
        Refusal: it is none, or has too many values.
    """
    data = bytes(body)
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > _MOST_VALUES:
        raise Refusal(
            413, f"A JSON document has at most {_MOST_VALUES:,} values. Send images as files, or binary tensors."
        )
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is no JSON document ({str(error)[:100]}).") from error


def from_base64(text: object) -> bytes:
    """Decode base64, with or without the head of a data URL.

    Raises:
        Refusal: it is none.
    """
    if not isinstance(text, str):
        raise Refusal(400, f"An image in JSON is a text in base64; received {type(text).__name__}.")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, f"An image in JSON is a text in base64 ({error}).") from error


def _images_of_json(document: Any) -> list[Named]:
    images = document.get("images") if isinstance(document, dict) else None
    if not isinstance(images, list):
        raise Refusal(400, 'A JSON document is {"images": ["…", …]}, each image in base64.')
    return [(f"image {number}", from_base64(text)) for number, text in enumerate(images, 1)]


class _Files:
    """The files of a form, as the parser of its bytes finds them."""

    def __init__(self, most: int) -> None:
        self.found: list[Named] = []
        self.complete = False
        self._most = most

    def on_part_begin(self) -> None:
        if len(self.found) >= self._most:
            raise Refusal(413, f"A request has at most {self._most} images. Send several requests.")
        self._header = self._value = b""
        self._disposition = b""
        self._data = bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def on_part_end(self) -> None:
        options = parse_options_header(self._disposition)[1]
        name = options.get(b"filename")
        if name is None:
            field = options.get(b"name", b"").decode(errors="replace")
            raise Refusal(400, f"Each part of a form is a file; {visible(field[:_LONGEST_NAME])!r} is none.")
        self.found.append((_base_name(name, len(self.found) + 1), bytes(self._data)))

    def on_end(self) -> None:
        self.complete = True


def _files_of_form(kind: str, body: bytes, limits: Limits) -> list[Named]:
    boundary = parse_options_header(kind)[1].get(b"boundary")
    if not boundary:
        raise Refusal(400, f"The header Content-Type of a form states its boundary: {FORM}; boundary=…")
    files = _Files(limits.images)
    calls: Any = {name: getattr(files, name) for name in dir(files) if name.startswith("on_")}
    try:
        parser = MultipartParser(boundary, calls, max_header_count=_PART_HEADERS)
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Refusal(400, f"The form is damaged ({str(error)[:100]}).") from error
    if not files.complete:
        raise Refusal(400, "The form is truncated: its last boundary is missing.")
    return files.found


def _base_name(name: bytes, number: int) -> str:
    """Return the last part of a file's name as the client gives it, in characters that can be shown."""
    last = name.decode(errors="replace").replace("\\", "/").rpartition("/")[2]
    return visible(last[:_LONGEST_NAME]) or f"image {number}"
