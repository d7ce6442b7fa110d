"""Whether a clip is admitted, and which frames, resized how and cropped where, are trained.

A refusal is words: its kind, a colon, what is wrong and what would admit the clip.
"""

from __future__ import annotations

from dataclasses import dataclass

from reeltune.config.datasets import VideoOptions
from reeltune.contracts.clip import Bucket, ClipInfo, Placement
from reeltune.contracts.geometry import LatentGeometry
from reeltune.data.buckets import Sizing, bucket_size, cover, is_large_enough, size_in
from reeltune.data.frames import first_window, frames_available, training_rate


@dataclass(frozen=True)
class Rules:
    """What a clip must satisfy. minimum_image_size is in the unit of sizing.resolution_type; 0 admits all."""

    video: VideoOptions
    sizing: Sizing
    minimum_image_size: float
    geometry: LatentGeometry
    model_fps: float

    @property
    def num_frames(self) -> int:
        """Frames of a full sample: the largest usable count that num_frames holds."""
        return self.geometry.usable_frames(self.video.num_frames)

    @property
    def min_frames(self) -> int:
        """Frames that a clip must yield. Rounded like num_frames, unless a larger count was asked for on purpose."""
        asked = self.video.min_frames
        if asked is None:
            return self.num_frames
        return self.geometry.usable_frames(asked) if asked <= self.video.num_frames else asked


def place(info: ClipInfo, rules: Rules) -> Placement | str:
    """Return where a clip's frames go, or the reason why it is left out."""
    rate = training_rate(info, setting=rules.video.fps, model_fps=rules.model_fps)
    available = frames_available(info, rate)
    refusal = _length_refusal(available, rules, fps=rate.fps) or _size_refusal(info, rules)
    if refusal:
        return refusal
    num_frames = min(rules.num_frames, rules.geometry.usable_frames(available))
    width, height = bucket_size(info.width, info.height, rules.sizing)
    resize_width, resize_height = cover(info.width, info.height, target_width=width, target_height=height)
    return Placement(
        bucket=Bucket(width=width, height=height, frames=num_frames),
        frame_indices=first_window(info, rate, num_frames=num_frames),
        resize_width=resize_width,
        resize_height=resize_height,
        crop_left=(resize_width - width) // 2,
        crop_top=(resize_height - height) // 2,
    )


def _length_refusal(available: int, rules: Rules, *, fps: float) -> str:
    most = rules.video.max_frames
    if available < rules.min_frames:
        usable = rules.geometry.usable_frames(available)
        option = "video.num_frames (or set video.min_frames)" if rules.video.min_frames is None else "video.min_frames"
        return f"too short: {available} frames at {fps:g} fps, {rules.min_frames} needed; lower {option} to {usable}"
    if most is not None and available > most:
        return f"too long: {available} frames at {fps:g} fps, {most} allowed; raise video.max_frames to {available}"
    return ""


def _size_refusal(info: ClipInfo, rules: Rules) -> str:
    minimum, kind = rules.minimum_image_size, rules.sizing.resolution_type
    if is_large_enough(info.width, info.height, minimum=minimum, resolution_type=kind):
        return ""
    enough = size_in(info.width, info.height, kind)
    return (
        f"too small: {info.width}x{info.height} is {enough:g} by {kind}, minimum_image_size is {minimum:g}; "
        f"lower it to {enough:g}"
    )
