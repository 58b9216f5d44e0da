"""JPEGs that are not quite as they should be: whole ones are read as Pillow reads them, and noted; others are named."""

from __future__ import annotations

import io
from collections.abc import Callable

import imagecodecs
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from striate.data.images.decode import Unreadable, decode


def smooth() -> Image.Image:
    small = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((96, 64), Image.Resampling.BICUBIC)


def jpeg(mode: str = "RGB", **options: object) -> bytes:
    smooth().convert(mode).save(buffer := io.BytesIO(), "JPEG", quality=92, **options)
    return buffer.getvalue()


KINDS = {
    "baseline": jpeg(),
    "grey": jpeg("L"),
    "inks": jpeg("CMYK"),
    "progressive": jpeg(progressive=True),
    "restarting": jpeg(restart_marker_rows=1),
    "full colour": jpeg(subsampling=0),
}
DQT, SOF, DHT, SOS, EOI = b"\xff\xdb", b"\xff\xc0", b"\xff\xc4", b"\xff\xda", b"\xff\xd9"


def before(marker: bytes, junk: bytes, *, last: bool = False) -> Callable[[bytes], bytes]:
    def insert(data: bytes) -> bytes:
        marked = b"\xff\xc2" if marker == SOF and SOF not in data else marker
        at = data.rindex(marked) if last else data.index(marked)
        return data[:at] + junk + data[at:]

    return insert


def after_start(*segments: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:2] + b"".join(segments) + data[2:]


def profile_piece(number: int, of: int) -> bytes:
    content = b"ICC_PROFILE\0" + bytes([number, of]) + b"x" * 200
    return b"\xff\xe2" + (len(content) + 2).to_bytes(2, "big") + content


def without_jfif(*segments: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:2] + b"".join(segments) + data[data.index(DQT) :]


HARMLESS: dict[str, Callable[[bytes], bytes]] = {
    "a zero byte before the tables": before(DQT, b"\0"),
    "seven bytes before the tables": before(DQT, b"\1" * 7),
    "ff 00 ff 00 before the tables": before(DQT, b"\xff\0\xff\0"),
    "bytes before the frame": before(SOF, b"\0\0\0"),
    "bytes before the codes": before(DHT, b"stray"),
    "bytes before the scan": before(SOS, b"\0"),
    "bytes before the last scan": before(SOS, b"\1" * 9, last=True),
    "bytes at several places": lambda data: before(DQT, b"\0")(before(SOS, b"\0\0")(before(EOI, b"\0")(data))),
    "bytes before the end mark": before(EOI, b"\0" * 200, last=True),
    "a restart marker behind the scan": before(EOI, b"\xff\xd0", last=True),
    "a byte and a restart marker behind the scan": before(EOI, b"\0\xff\xd0", last=True),
    "restart markers and bytes behind the scan": before(EOI, b"\xff\xd5\xff\xd6\0\0", last=True),
    "pieces of a profile counted from 0": after_start(profile_piece(0, 1)),
    "more pieces of a profile than there should be": after_start(profile_piece(2, 1)),
    "fewer pieces of a profile than there should be": after_start(profile_piece(1, 2)),
    "a piece of a profile twice": after_start(profile_piece(1, 1), profile_piece(1, 1)),
    "JFIF 3.01": lambda data: data.replace(b"JFIF\0\1\1", b"JFIF\0\3\1"),
    "an unknown transform of Adobe's": without_jfif(b"\xff\xee\0\x0eAdobe\0d\0\0\0\0\x07"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", HARMLESS)
def test_damage_that_costs_no_pixel_is_read_as_by_pillow(how: str, kind: str) -> None:
    data = HARMLESS[how](KINDS[kind])
    pixels = decode(data).pixels
    with Image.open(io.BytesIO(data)) as image:
        judged = np.asarray(image.convert("L" if pixels.shape[2] == 1 else "RGB")).reshape(pixels.shape)
    assert np.abs(pixels.astype(int) - judged).max() <= 2  # two libjpegs may round differently


def test_an_error_of_a_whole_image_is_noted() -> None:
    assert decode(KINDS["baseline"]).note == ""
    note = decode(before(DQT, b"\1" * 7)(KINDS["baseline"])).note
    assert "7 extraneous bytes" in note
    assert "no pixel is lost" in note


@pytest.mark.parametrize("kind", KINDS)
def test_only_where_all_is_in_one_scan_may_the_end_mark_be_missing(kind: str) -> None:
    data = KINDS[kind]
    if kind == "progressive":
        with pytest.raises(Unreadable, match="truncated"):
            decode(data[:-2])
    else:
        assert np.array_equal(decode(data[:-2]).pixels, decode(data).pixels)


def test_a_harmless_warning_does_not_hide_a_harmful_one() -> None:
    """libjpeg is stopped by its first warning: of the stray bytes, and not of the restart marker that is wrong."""
    data = KINDS["restarting"]
    both = before(DQT, b"\0\0")(data.replace(b"\xff\xd1", b"\xff\xd3"))
    with pytest.raises(ValueError, match="2 extraneous bytes before marker 0xdb"):
        simplejpeg.decode_jpeg(both)
    with pytest.raises(Unreadable, match="damaged"):
        decode(both)


def test_pixels_that_are_lost_are_refused() -> None:
    data = KINDS["restarting"]
    at = data.index(b"\xff\xd1")
    for lossy in (
        data[: len(data) // 2],
        data[: len(data) // 2] + EOI,
        data[:at] + b"\xff\xd3" + data[at + 2 :],  # restart markers out of order
        before(DQT, b"\0")(data)[: len(data) // 2] + EOI,
        data.replace(SOF, b"\xff\xc9"),  # said to be coded arithmetically
    ):
        with pytest.raises(Unreadable) as caught:
            decode(lossy)
        assert caught.value.reason in ("truncated", "damaged")


def test_a_lossless_jpeg_is_read() -> None:
    pixels = np.asarray(smooth())
    assert np.array_equal(decode(bytes(imagecodecs.jpeg_encode(pixels, lossless=True))).pixels, pixels)


def test_a_kind_of_jpeg_that_is_not_read_is_unsupported_and_not_damaged() -> None:
    deep = bytes(imagecodecs.jpeg_encode(np.asarray(smooth()).astype(np.uint16) * 16, bitspersample=12))
    hierarchical = KINDS["baseline"].replace(SOF, b"\xff\xc5")
    at = KINDS["baseline"].index(SOF)
    later_height = KINDS["baseline"][: at + 5] + b"\0\0" + KINDS["baseline"][at + 7 :]
    for data, what in ((deep, "12 bits"), (hierarchical, "SOF5"), (later_height, "DNL")):
        with pytest.raises(Unreadable, match=what) as caught:
            decode(data)
        assert caught.value.reason == "unsupported"
