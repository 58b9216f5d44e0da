"""Which way up an image is, in every way in which files state it; judged by Pillow's `exif_transpose`."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from striate.data.images.decode import decode

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
FORMS = {"BYTE": (1, "B"), "SHORT": (3, "H"), "LONG": (4, "L"), "SSHORT": (8, "h"), "SLONG": (9, "l")}


def saved(kind: str, **options: object) -> bytes:
    Image.fromarray(PIXELS).save(buffer := io.BytesIO(), kind, **options)
    return buffer.getvalue()


def exif_block(form: str, value: int, order: str = "<") -> bytes:
    number, letter = FORMS[form]
    entry = struct.pack(f"{order}HHL", 0x112, number, 1) + struct.pack(f"{order}{letter}", value).ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HL", 42, 8)
    return b"Exif\0\0" + head + struct.pack(f"{order}H", 1) + entry + bytes(4)


def exif_ratio(value: int) -> bytes:
    entry = struct.pack("<HHLL", 0x112, 5, 1, 26)
    return b"Exif\0\0II*\0" + struct.pack("<LH", 8, 1) + entry + bytes(4) + struct.pack("<LL", value, 1)


def xmp(value: int, *, as_element: bool = False) -> bytes:
    said = f"<tiff:Orientation>{value}</tiff:Orientation>" if as_element else f'tiff:Orientation="{value}"'
    return f"<x:xmpmeta>{said}</x:xmpmeta>".encode()


def in_jpeg(*contents: bytes) -> bytes:
    data = saved("JPEG", subsampling=0)
    parts = b"".join(b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content for content in contents)
    return data[:2] + parts + data[2:]


def in_png(name: bytes, content: bytes) -> bytes:
    data = saved("PNG")
    chunk = struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))
    return data[:33] + chunk + data[33:]


def raw_profile(exif: bytes) -> bytes:
    return b"\nexif\n%8d\n" % len(exif) + exif.hex().encode() + b"\n"


XMP_JPEG, XMP_PNG = b"http://ns.adobe.com/xap/1.0/\0", b"XML:com.adobe.xmp\0\0\0\0\0"
FILES = {
    **{f"EXIF of type {form}": in_jpeg(exif_block(form, 6)) for form in FORMS},
    **{f"EXIF of type {form}, big-endian": in_jpeg(exif_block(form, 8, ">")) for form in FORMS},
    "EXIF of type RATIONAL": in_jpeg(exif_ratio(6)),
    "EXIF that is not possible": in_jpeg(exif_block("SHORT", 9)),
    "XMP in JPEG": in_jpeg(XMP_JPEG + xmp(6)),
    "XMP in JPEG, as an element": in_jpeg(XMP_JPEG + xmp(3, as_element=True)),
    "XMP beside an EXIF block without orientation": in_jpeg(b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0", XMP_JPEG + xmp(8)),
    "EXIF before XMP": in_jpeg(XMP_JPEG + xmp(8), exif_block("SHORT", 3)),
    "EXIF that is not possible before XMP": in_jpeg(exif_block("SHORT", 0), XMP_JPEG + xmp(8)),
    "EXIF chunk of a PNG": in_png(b"eXIf", exif_block("LONG", 6)[6:]),
    "compressed raw profile of a PNG": in_png(
        b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw_profile(exif_block("SHORT", 6)))
    ),
    "raw profile of a PNG": in_png(b"tEXt", b"Raw profile type exif\0" + raw_profile(exif_block("SHORT", 5))),
    "XMP in PNG": in_png(b"iTXt", XMP_PNG + xmp(6)),
    "compressed XMP in PNG": in_png(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp(7))),
    "XMP in WebP": saved("WEBP", lossless=True, xmp=xmp(6)),
    "EXIF of type LONG in WebP": saved("WEBP", lossless=True, exif=exif_block("LONG", 8)),
    "EXIF in AVIF": saved("AVIF", quality=100, subsampling="4:4:4", exif=exif_block("SHORT", 6)),
    "XMP in TIFF": saved("TIFF", tiffinfo={700: xmp(6)}),
    "broken raw profile": in_png(b"tEXt", b"Raw profile type exif\0\nexif\n 4\nxyz\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_an_image_is_turned_as_pillow_turns_it(name: str) -> None:
    data = FILES[name]
    picture = decode(data)
    with Image.open(io.BytesIO(data)) as image:
        try:
            judged = np.asarray(ImageOps.exif_transpose(image))
        except ValueError:  # Pillow stumbles over a raw profile that is none
            judged = PIXELS
    assert picture.original == picture.pixels.shape[:2] == judged.shape[:2]
    assert np.abs(picture.pixels.astype(int) - judged).max() <= 3


@pytest.mark.parametrize("dtype", ["B", "H", "I"])
def test_a_deep_tiff_is_turned_whatever_the_type_of_its_tag(dtype: str) -> None:
    deep = PIXELS.astype(np.uint16) * 257
    tifffile.imwrite(buffer := io.BytesIO(), deep, photometric="rgb", extratags=[(274, dtype, 1, 6, True)])
    assert np.array_equal(decode(buffer.getvalue()).pixels, np.rot90(deep, -1))


def test_a_deep_png_is_turned_by_a_raw_profile_too() -> None:
    Image.fromarray(np.arange(24 * 40, dtype=np.uint16).reshape(24, 40)).save(buffer := io.BytesIO(), "PNG")
    content = b"Raw profile type exif\0" + raw_profile(exif_block("LONG", 6))
    chunk = struct.pack(">L", len(content)) + b"tEXt" + content + struct.pack(">L", zlib.crc32(b"tEXt" + content))
    data = buffer.getvalue()
    assert decode(data[:33] + chunk + data[33:]).pixels.shape == (40, 24, 1)
