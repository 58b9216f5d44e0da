"""Colours of HEIC, AVIF and PNG files that state their space by the code points of ITU-T H.273 instead of a profile.

libheif and libavif apply the matrix coefficients and the range of the values; the primaries and the transfer function
are left to their callers. They become an ICC profile here, so that littleCMS converts them like any other.
"""

from __future__ import annotations

import struct
from functools import lru_cache

import numpy as np
from jaxtyping import Float64
from PIL import ImageCms

_D65, _C, _OF_CINEMAS = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
_WHITE_OF_PROFILES = (0.9642, 1.0, 0.8249)  # D50, as XYZ
# Chromaticities (x, y) of red, green, blue and white (H.273, table 2). 1 is that of sRGB.
_PRIMARIES = {
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _OF_CINEMAS),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
# The cameras' curves of BT.709 and BT.2020 count as that of sRGB, as in browsers.
_HDR = {16: "PQ", 18: "HLG"}
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_MOST = 1 << 16  # bytes at the head of a file that are searched


def stated(data: bytes) -> tuple[int, int]:
    """Return the code points of primaries and transfer function at the head of a file; (2, 2), unspecified, if none.

    Source: ISO/IEC 14496-12, 12.1.5 (the box `colr` of type `nclx`).
    """
    at = data.find(b"colrnclx", 0, _MOST)
    return struct.unpack_from(">HH", data, at + 8) if 0 <= at <= len(data) - 12 else (2, 2)


def note(transfer: int) -> str:
    """Return a remark on a transfer function of high dynamic range, which is not converted."""
    return f"its brightness ({_HDR[transfer]}, HDR) is read as that of sRGB" if transfer in _HDR else ""


@lru_cache
def profile(primaries: int, transfer: int) -> bytes:
    """Return an ICC profile of these code points; empty where the colours are those of sRGB or unspecified."""
    gamma = _GAMMAS.get(transfer)
    if primaries not in _PRIMARIES and gamma is None:
        return b""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack_from(">L", made, 128)
    places = {made[at : at + 4].decode(): struct.unpack_from(">L", made, at + 4)[0]
              for at in range(132, 132 + 12 * count, 12)}  # fmt: skip
    if primaries in _PRIMARIES:
        for name, column in zip(("rXYZ", "gXYZ", "bXYZ"), _columns(*_PRIMARIES[primaries]).T, strict=True):
            struct.pack_into(">4s4x3l", made, places[name], b"XYZ ", *(round(65536 * value) for value in column))
    if gamma is not None:
        for name in ("rTRC", "gTRC", "bTRC"):  # a curve of one number takes less room than the one that was there
            struct.pack_into(">4s4xLH", made, places[name], b"curv", 1, round(256 * gamma))
    return bytes(made)


def _columns(*chromaticities: tuple[float, float]) -> Float64[np.ndarray, "3 3"]:
    """Return red, green and blue as columns of XYZ, adapted from their white to that of profiles (Bradford)."""
    primaries, white = np.array([_xyz(*each) for each in chromaticities[:3]]).T, _xyz(*chromaticities[3])
    columns = primaries * np.linalg.solve(primaries, white)
    cones = (_BRADFORD @ np.array(_WHITE_OF_PROFILES)) / (_BRADFORD @ white)
    return np.linalg.solve(_BRADFORD, cones[:, None] * (_BRADFORD @ columns))


def _xyz(x: float, y: float) -> Float64[np.ndarray, " 3"]:
    return np.array([x / y, 1.0, (1 - x - y) / y])
