"""Stored pixels of every kind become 8-bit RGB as a screen shows them. What is transparent shows white.

Video: with the matrix and range that the frame names; unnamed means BT.709 from 720 lines up, else BT.601.
Pictures: with the colour profile that they carry; without one they are sRGB.
"""

from __future__ import annotations

from io import BytesIO

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation
from PIL import Image, ImageCms

# The default conversion takes the nearest chroma sample and is up to 3 levels off; this one is within 1.
_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED, ITU-T H.273
_WHITE = 255


def rgb_of_frame(frame: av.VideoFrame) -> np.ndarray:
    """Return a video frame as uint8 (H, W, 3)."""
    rgb = _converted(frame, "rgb24")
    if not any(component.is_alpha for component in frame.format.components):
        return rgb
    return on_white(rgb, _converted(frame, "rgba")[..., 3])


def rgb_of_picture(picture: Image.Image) -> np.ndarray:
    """Return a picture as uint8 (H, W, 3). Raises ValueError for pixels whose range is not known."""
    if picture.mode in ("I", "F"):
        raise ValueError(f"its pixels are 32-bit numbers ({picture.mode})")
    if picture.mode.startswith("I;16"):
        levels = np.asarray(picture).astype(np.uint32)
        return np.repeat(((levels * 255 + 32767) // 65535).astype(np.uint8)[..., None], 3, axis=2)
    has_alpha = picture.has_transparency_data
    if picture.mode in ("P", "PA", "1", "LA", "La") or has_alpha:
        picture = _kept_profile(picture, "RGBA" if has_alpha else "RGB")
    pixels = np.asarray(_in_srgb(picture).convert("RGBA" if has_alpha else "RGB"))
    return on_white(pixels[..., :3], pixels[..., 3]) if has_alpha else pixels


def on_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Lay uint8 colours (H, W, 3) of the opacity alpha (H, W) on white; opaque ones stay as they are."""
    opacity = alpha[..., None].astype(np.uint16)
    return ((rgb * opacity + _WHITE * (_WHITE - opacity) + _WHITE // 2) // _WHITE).astype(np.uint8)


def _converted(frame: av.VideoFrame, form: str) -> np.ndarray:
    untagged_hd = frame.colorspace == _UNTAGGED and frame.height >= 720 and not frame.format.is_rgb
    matrix = Colorspace.ITU709 if untagged_hd else None
    return frame.reformat(format=form, src_colorspace=matrix, interpolation=_EXACT, threads=1).to_ndarray()


def _kept_profile(picture: Image.Image, mode: str) -> Image.Image:
    converted = picture.convert(mode)
    if "icc_profile" in picture.info:
        converted.info["icc_profile"] = picture.info["icc_profile"]
    return converted


def _in_srgb(picture: Image.Image) -> Image.Image:
    content = picture.info.get("icc_profile")
    if not content:
        return picture
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(content))
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return picture
        mode = picture.mode if picture.mode == "RGBA" else "RGB"
        turned = ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError):
        # A damaged profile, or one for other pixels than these: every viewer then shows the picture as sRGB.
        return picture
    assert turned is not None
    return turned
