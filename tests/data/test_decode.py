"""Decoding, judged by Pillow's own way through the same file, by tifffile, and by arrays that are known beforehand."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from striate.core.geometry import place
from striate.core.spec import InputSpec
from striate.data.images.codecs import png, refusal
from striate.data.images.codecs.jpeg import fraction
from striate.data.images.decode import Unreadable, decode
from striate.data.images.decoded import DecodedImage


def scene(height: int = 40, width: int = 56) -> np.ndarray:
    """A smooth RGB image without any symmetry, (h, w, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * x / width, 255 * y / height, (3 * x + 2 * y) % 256], axis=2).astype(np.uint8)


def encoded(picture: Image.Image | np.ndarray, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(buffer, kind, **options)
    return buffer.getvalue()


def png16(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.png_encode(pixels))


def as_tiff(array: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def by_pillow(data: bytes, mode: str) -> np.ndarray:
    """The independent judge: Pillow's door, its EXIF rule and its conversion."""
    with Image.open(io.BytesIO(data)) as picture:
        pixels = np.asarray(ImageOps.exif_transpose(picture).convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1)


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def spec(height: int, width: int, *, decode_scale: float = 2.0) -> InputSpec:
    return InputSpec(
        channels=("red", "green", "blue"), height=height, width=width, mean=(0.0,) * 3, std=(1.0,) * 3,
        decode_scale=decode_scale,
    )  # fmt: skip


RGB, GREY, ALPHA = ("red", "green", "blue"), ("grey",), ("alpha",)
CLEAR = RGB + ALPHA
STEPS = bytes(range(0, 252, 28))  # the alpha of nine colours


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_all_eight_orientations_are_undone_as_pillow_undoes_them(kind: str, orientation: int) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(scene(), kind, exif=with_orientation(orientation), **options)
    picture = decode(data)
    assert picture.orientation == orientation
    assert picture.original == picture.pixels.shape[:2] == ((56, 40) if orientation >= 5 else (40, 56))
    difference = np.abs(picture.pixels.astype(int) - by_pillow(data, "RGB"))
    assert difference.max() <= (2 if kind == "JPEG" else 0)  # two libjpegs may round differently


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_deep_tiff_is_turned_upright_too(orientation: int) -> None:
    deep = scene().astype(np.uint16) * 257
    data = as_tiff(deep, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    shallow = encoded(scene(), "PNG", exif=with_orientation(orientation))
    picture = decode(data)
    assert picture.orientation == orientation
    assert np.array_equal(picture.pixels, by_pillow(shallow, "RGB").astype(np.uint16) * 257)


MODES = {
    "grey PNG": (lambda image: encoded(image.convert("L"), "PNG"), "L", GREY),
    "black and white PNG": (lambda image: encoded(image.convert("1"), "PNG"), "L", GREY),
    "grey PNG with alpha": (lambda image: encoded(image.convert("LA"), "PNG"), "LA", GREY + ALPHA),
    "PNG with alpha": (lambda image: encoded(translucent(image), "PNG"), "RGBA", RGB + ALPHA),
    "palette PNG": (lambda image: encoded(image.quantize(17), "PNG"), "RGB", RGB),
    "palette PNG, one colour clear": (lambda image: encoded(image.quantize(9), "PNG", transparency=3), "RGBA", CLEAR),
    "palette PNG, many alphas": (lambda image: encoded(image.quantize(9), "PNG", transparency=STEPS), "RGBA", CLEAR),
    "PNG, one colour clear": (lambda image: encoded(image, "PNG", transparency=image.getpixel((3, 3))), "RGBA", CLEAR),
    "interlaced PNG": (lambda image: interlaced(np.asarray(image)), "RGB", RGB),
    "GIF": (lambda image: encoded(image.quantize(40), "GIF"), "RGB", RGB),
    "GIF, one colour clear": (lambda image: encoded(image.quantize(40), "GIF", transparency=5), "RGBA", RGB + ALPHA),
    "BMP": (lambda image: encoded(image, "BMP"), "RGB", RGB),
    "palette BMP": (lambda image: encoded(image.quantize(16), "BMP"), "RGB", RGB),
    "WebP": (lambda image: encoded(image, "WEBP"), "RGB", RGB),
    "WebP with alpha": (lambda image: encoded(translucent(image), "WEBP", lossless=True), "RGBA", RGB + ALPHA),
    "PPM": (lambda image: encoded(image, "PPM"), "RGB", RGB),
    "TIFF": (lambda image: encoded(image, "TIFF"), "RGB", RGB),
    "TIFF with alpha": (lambda image: encoded(translucent(image), "TIFF"), "RGBA", RGB + ALPHA),
    "palette TIFF": (lambda image: encoded(image.quantize(30), "TIFF"), "RGB", RGB),
    "CMYK TIFF": (lambda image: encoded(image.convert("CMYK"), "TIFF"), "RGB", RGB),
    "LZW TIFF": (lambda image: encoded(image, "TIFF", compression="tiff_lzw"), "RGB", RGB),
    "white-is-zero TIFF": (lambda image: as_tiff(np.asarray(image.convert("L")), photometric="miniswhite"), "L", GREY),
    "grey JPEG": (lambda image: encoded(image.convert("L"), "JPEG"), "L", GREY),
    "JPEG": (lambda image: encoded(image, "JPEG"), "RGB", RGB),
    "progressive JPEG": (lambda image: encoded(image, "JPEG", progressive=True), "RGB", RGB),
    "CMYK JPEG": (lambda image: encoded(image.convert("CMYK"), "JPEG", quality=95), "RGB", RGB),
}  # fmt: skip


def translucent(image: Image.Image) -> Image.Image:
    """`image` with an alpha that runs from clear to opaque."""
    alpha = Image.fromarray(np.linspace(0, 255, image.width * image.height).reshape(image.height, -1).astype(np.uint8))
    image = image.copy()
    image.putalpha(alpha)
    return image


def interlaced(pixels: np.ndarray) -> bytes:
    """An Adam7 PNG, written by hand: no encoder at hand writes one."""
    height, width, _ = pixels.shape
    rows = []
    for top, left, down, right in png._ADAM7:
        for row in pixels[top::down, left::right]:
            rows += [b"\0", row.tobytes()] if row.size else []
    header = struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 1)
    return assembled(header, zlib.compress(b"".join(rows)))


def assembled(header: bytes, compressed: bytes) -> bytes:
    """A PNG from its header and compressed pixels, with right checksums."""
    chunks = ((b"IHDR", header), (b"IDAT", compressed), (b"IEND", b""))
    parts = [struct.pack(">L", len(c)) + n + c + struct.pack(">L", zlib.crc32(n + c)) for n, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("name", MODES)
def test_every_stored_mode_gives_the_pixels_and_channels_that_pillow_gives(name: str) -> None:
    make, mode, channels = MODES[name]
    data = make(Image.fromarray(scene()))
    picture = decode(data)
    assert picture.channels == channels
    assert picture.pixels.dtype == np.uint8
    assert np.abs(picture.pixels.astype(int) - by_pillow(data, mode)).max() <= (2 if "JPEG" in name else 0)


def test_a_cmyk_jpeg_looks_like_the_rgb_image_it_was_made_from() -> None:
    """Not only as Pillow sees it: the inks must not come out as a negative."""
    picture = decode(encoded(Image.fromarray(scene()).convert("CMYK"), "JPEG", quality=95))
    assert picture.mode == "JPEG CMYK"
    assert np.abs(picture.pixels.astype(int) - scene()).mean() < 8


SIXTEEN = np.random.default_rng(3).integers(0, 65536, (20, 31, 4), dtype=np.uint16)


@pytest.mark.parametrize(
    ("channels", "names"), [(1, GREY), (2, GREY + ALPHA), (3, RGB), (4, RGB + ALPHA)], ids=["L", "LA", "RGB", "RGBA"]
)
def test_sixteen_bits_of_a_png_are_kept(channels: int, names: tuple[str, ...]) -> None:
    pixels = np.ascontiguousarray(SIXTEEN[..., :channels])
    picture = decode(png16(pixels[..., 0] if channels == 1 else pixels))
    assert picture.channels == names
    assert picture.maximum == 65535
    assert np.array_equal(picture.pixels, pixels)


@pytest.mark.parametrize("names", [GREY, RGB], ids=["L", "RGB"])
def test_the_clear_colour_of_a_sixteen_bit_png_becomes_alpha(names: tuple[str, ...]) -> None:
    pixels = np.ascontiguousarray(SIXTEEN[..., : len(names)])
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    data = assembled(struct.pack(">LLBBBBB", 31, 20, 16, len(names) - 1, 0, 0, 0), zlib.compress(rows))
    clear = pixels[4, 5].astype(">u2").tobytes()
    chunk = struct.pack(">L", len(clear)) + b"tRNS" + clear + struct.pack(">L", zlib.crc32(b"tRNS" + clear))
    picture = decode(data[:33] + chunk + data[33:])
    assert picture.channels == names + ALPHA
    assert np.array_equal(picture.pixels[..., -1] == 0, (pixels == pixels[4, 5]).all(axis=2))
    assert np.array_equal(picture.pixels[..., :-1], pixels)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_sixteen_bits_of_a_png_need_no_imagecodecs(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.ascontiguousarray(SIXTEEN[..., :channels])
    data = png16(pixels)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert np.array_equal(decode(data).pixels, pixels)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_deep_tiff_is_kept_as_it_is(dtype: type, compression: str | None) -> None:
    pixels = (SIXTEEN[..., :3] / (1 if dtype is np.uint16 else 65535)).astype(dtype)
    picture = decode(as_tiff(pixels, photometric="rgb", compression=compression))
    assert picture.channels == RGB
    assert picture.pixels.dtype == dtype
    assert np.array_equal(picture.pixels, pixels)


def test_a_sixteen_bit_grey_tiff_with_white_as_zero_is_turned_round() -> None:
    grey = SIXTEEN[..., 0]
    assert np.array_equal(decode(as_tiff(grey, photometric="miniswhite")).pixels[..., 0], 65535 - grey)


@pytest.mark.parametrize("layout", ["contig", "separate"])
def test_a_tiff_of_five_channels_keeps_them_in_order(layout: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 17, 5), dtype=np.uint8)
    stored = pixels if layout == "contig" else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    picture = decode(as_tiff(stored, photometric="minisblack", planarconfig=layout))
    assert picture.channels == ("channel1", "channel2", "channel3", "channel4", "channel5")
    assert np.array_equal(picture.pixels, pixels)


def test_an_array_written_as_one_tiff_is_one_image_but_of_pages_the_first_is_taken() -> None:
    planes = np.random.default_rng(0).integers(0, 65536, (5, 12, 17), dtype=np.uint16)
    assert np.array_equal(decode(as_tiff(planes, photometric="minisblack")).pixels, planes.transpose(1, 2, 0))
    film = as_tiff(planes, photometric="minisblack", metadata={"axes": "TYX"})
    assert np.array_equal(decode(film).pixels[..., 0], planes[0])


def test_a_big_endian_tiff_is_read() -> None:
    for pixels in (SIXTEEN[..., :3], SIXTEEN[..., :3] / np.float32(65535)):
        picture = decode(as_tiff(pixels, photometric="rgb", byteorder=">"))
        assert np.array_equal(picture.pixels, pixels)
        assert picture.pixels.dtype.isnative


def test_a_compressed_tiff_without_imagecodecs_says_what_to_install() -> None:
    """In a process of its own, because tifffile looks for its helper once."""
    data = as_tiff(SIXTEEN[..., :3], photometric="rgb", compression="zstd")
    code = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from striate.data.images.decode import Unreadable, decode\n"
        "try: decode(sys.stdin.buffer.read())\n"
        "except Unreadable as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True).stdout.decode()
    assert "unsupported (its compression needs imagecodecs: pip install 'striate[scientific]')" in said


def test_values_that_no_network_could_take_are_refused() -> None:
    holes = np.ones((8, 9), np.float32)
    holes[2, 3] = np.nan
    for array, phrase in (
        (holes, "not finite"),
        (np.full((8, 9), 1e39), "not finite"),
        (np.ones((8, 9), np.int16), "int16"),
    ):
        with pytest.raises(Unreadable, match=phrase) as caught:
            decode(as_tiff(array, photometric="minisblack"))
        assert caught.value.reason == "unsupported"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    first, second = Image.fromarray(scene()), Image.fromarray(255 - scene())
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(first, kind, save_all=True, append_images=[second], **options)
    assert np.array_equal(decode(data).pixels[..., :3], by_pillow(data, "RGB"))
    assert np.abs(decode(data).pixels[..., :3].astype(int) - scene()).mean() < 20


def test_a_jpeg_is_decoded_at_the_fraction_that_the_spec_allows() -> None:
    data = encoded(scene(403, 601), "JPEG")
    for side, expected in ((200, 1), (100, 2), (50, 4), (25, 8), (3, 8)):
        wanted = spec(side, side)
        assert fraction(wanted, 403, 601) == expected, side
        picture = decode(data, wanted)
        assert picture.pixels.shape == (-(-403 // expected), -(-601 // expected), 3)
        assert picture.original == (403, 601)
    assert decode(data, spec(25, 25, decode_scale=0.0)).pixels.shape == (403, 601, 3)


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_fraction_looks_at_the_upright_size(orientation: int) -> None:
    """Stored are 48 rows of 160; a network that wants 40 rows of 12 leaves room to shrink only if they are columns."""
    data = encoded(scene(48, 160), "JPEG", exif=with_orientation(orientation))
    wanted = InputSpec(
        channels=RGB, height=40, width=12, mean=(0.0,) * 3, std=(1.0,) * 3, resize="stretch", decode_scale=1.0
    )
    picture = decode(data, wanted)
    assert picture.pixels.shape[:2] == ((48, 160) if orientation == 1 else (40, 12))
    assert picture.original == ((48, 160) if orientation == 1 else (160, 48))


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (7, 5), (64, 64), (65, 511), (1023, 769)])
def test_a_shrunk_jpeg_never_falls_below_what_the_spec_asks_for(size: tuple[int, int]) -> None:
    data = encoded(scene(*size), "JPEG")
    for side in (1, 3, 8, 31, 224):
        wanted = spec(side, side)
        resized = place(wanted, *size).resized
        pixels = decode(data, wanted).pixels
        for got, whole, needed in zip(pixels.shape, size, resized, strict=False):
            assert got == whole or got >= 2 * needed


def test_a_jpeg_with_bytes_to_spare_before_its_end_mark_is_whole() -> None:
    """What some cameras write; libjpeg warns, and the image is the same."""
    data = encoded(scene(), "JPEG")
    spare = data[:-2] + b"\0" * 200 + data[-2:]
    with pytest.raises(ValueError, match="extraneous bytes"):
        simplejpeg.decode_jpeg(spare)
    assert np.array_equal(decode(spare).pixels, decode(data).pixels)


def test_a_jpeg_with_bytes_after_its_end_mark_is_whole() -> None:
    data = encoded(scene(), "JPEG")
    assert np.array_equal(decode(data + b"a film behind it" * 50).pixels, decode(data).pixels)


@pytest.mark.parametrize("marked", [True, False], ids=["JFIF", "no marker"])
def test_a_jpeg_of_subsampling_4_4_1_is_read(marked: bool) -> None:
    """A rotated 4:1:1: the four blocks of brightness that share a block of colour are below each other."""
    y, x = np.mgrid[0:8, 0:32]
    data = bytearray(
        imagecodecs.jpeg8_encode(np.repeat((7 * x + y)[..., None], 3, 2).astype(np.uint8), subsampling="411")
    )
    expected = np.concatenate(np.split(decode(bytes(data)).pixels, 4, axis=1))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9], data[frame + 11] = struct.pack(">HH", 32, 8), 0x14
    assert np.array_equal(decode(bytes(data if marked else data[:2] + data[20:])).pixels, expected)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_a_plain_png_is_read_as_one_with_a_text(mode: str) -> None:
    """A text makes Pillow's reader of the whole file read it; without one, its decoder is enough."""
    texts = PngInfo()
    texts.add_text("Title", "A scene")
    image = Image.fromarray(scene()).convert(mode)
    plain, titled = decode(encoded(image, "PNG")), decode(encoded(image, "PNG", pnginfo=texts))
    assert np.array_equal(plain.pixels, np.asarray(image).reshape(40, 56, -1))
    assert np.array_equal(titled.pixels, plain.pixels)
    assert (titled.mode, titled.channels, titled.original) == (plain.mode, plain.channels, plain.original)


def test_damaged_exif_is_no_reason_to_lose_an_image() -> None:
    data = encoded(scene(), "JPEG", exif=with_orientation(6))
    start = data.index(b"Exif\0\0")
    for cut in (8, 12, 14, 16, 20, 25):
        broken = bytearray(data)
        broken[start + cut] ^= 0xFF
        picture = decode(bytes(broken))
        assert sorted(picture.pixels.shape[:2]) == [40, 56]


@pytest.mark.parametrize("name", ["кошка.jpg", "猫 🐈.png", "قطة.webp", "ねこ\n.gif", "Käse 100 %.bmp"])
def test_names_in_any_script_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    kinds = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".gif": "GIF", ".bmp": "BMP"}
    path.write_bytes(encoded(scene(), kinds[path.suffix]))
    assert decode(path).pixels.shape[:2] == (40, 56)


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "really a png.jpg"
    path.write_bytes(encoded(scene(), "PNG"))
    assert decode(path).mode == "PNG RGB"


def refused(source: Path | bytes) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        decode(source)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_file_that_is_no_image_is_named_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("BMW and P5 are not pictures")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 99)
    expected = {
        "folder.jpg": "a folder", "pipe.jpg": "not a file", "empty.jpg": "empty", "text.jpg": "not an image",
        "phone.heic": "damaged", "absent.jpg": "missing",
    }  # fmt: skip
    for name, reason in expected.items():
        error = refused(tmp_path / name)
        assert (error.reason, error.name) == (reason, str(tmp_path / name))
        assert name in str(error)


def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(encoded(scene(), "JPEG"))
    path.chmod(0)
    root = os.geteuid() == 0  # who may read anything: become somebody else for a moment
    if root:
        os.seteuid(65534)
    try:
        assert refused(path).reason == "no permission"
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "JPEG", "TIFF", "WEBP"])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusal, "MAXIMUM_PIXELS", 40 * 56 - 1)
    assert refused(encoded(scene(), kind)).reason == "too many pixels"


def test_a_header_that_promises_a_gigantic_image_allocates_nothing() -> None:
    """60,000 × 60,000 pixels would be 10 GiB; Pillow would also raise or warn by a limit of its own."""
    header = struct.pack(">LLBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    assert refused(assembled(header, zlib.compress(b"\0"))).reason == "too many pixels"


def test_decoding_from_many_threads_gives_what_one_gives() -> None:
    files = [encoded(scene(60 + 7 * n, 80), kind) for n, kind in enumerate(["JPEG", "PNG", "GIF", "WEBP"] * 3)]
    alone = [decode(data).pixels for data in files]
    results: dict[int, list[DecodedImage]] = {}
    threads = [
        threading.Thread(target=lambda n=n: results.__setitem__(n, [decode(data) for data in files])) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for pictures in results.values():
        assert all(np.array_equal(picture.pixels, pixels) for picture, pixels in zip(pictures, alone, strict=True))
    assert len(results) == 4


def test_real_photos_are_read_as_pillow_reads_them(real_data) -> None:
    photos = sorted(real_data("photos-dog-cat").rglob("*.jpg"))[::10]
    assert len(photos) == 40
    for path in photos:
        picture = decode(path)
        assert picture.pixels.shape[:2] == picture.original
        assert np.abs(picture.pixels.astype(int) - by_pillow(path.read_bytes(), "RGB")).max() <= 3, path


@pytest.mark.parametrize(
    "data",
    [encoded(scene(), "JPEG2000"), b"\xff\x0a" + bytes(99), encoded(scene(), "ICO"), b"8BPS" + bytes(99)],
    ids=["JPEG 2000", "JPEG XL", "icon", "Photoshop"],
)
def test_an_image_of_a_format_that_is_not_read_is_unsupported_and_the_remedy_is_named(data: bytes) -> None:
    error = refused(data)
    assert error.reason == "unsupported"
    assert "save it as JPEG or PNG" in error.why


def test_a_bmp_of_floating_numbers_is_unsupported_and_not_damaged() -> None:
    header = struct.pack("<2sLHHL", b"BM", 54 + 96 * 4, 0, 0, 54)
    header += struct.pack("<LllHHLLllLL", 40, 4, 2, 1, 96, 0, 0, 0, 0, 0, 0)
    assert refused(header + bytes(96 * 4)).reason == "unsupported"
