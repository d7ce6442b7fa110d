"""Whether a clip is admitted, and which frames, resized how and cropped where, are trained.

A refusal is words: its kind, a colon, what is wrong and what would admit the clip. Where there are several reasons the
first is named, and once it is mended the next; a number that is suggested mends its own for good.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from reeltune.config.datasets import ONE_FRAME, VideoOptions
from reeltune.contracts.clip import Bucket, ClipInfo, Placement
from reeltune.contracts.geometry import LatentGeometry
from reeltune.data.buckets import Sizing, is_large_enough, size_in
from reeltune.data.crops import Cropping, crop_corner, crop_size, resized
from reeltune.data.frames import Rate, frames_available, training_rate, window
from reeltune.data.windows import window_starts
from reeltune.randomness import Draws, Purpose


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a clip must satisfy, and how it is cut.

    minimum_image_size: in the unit of sizing.resolution_type; 0 admits all.
    minimum_aspect, maximum_aspect: width over height; None admits all.
    pictures: a file of one frame is a picture, whatever `video` asks for: a clip of one frame.
    """

    video: VideoOptions
    sizing: Sizing
    geometry: LatentGeometry
    model_fps: float
    cropping: Cropping = Cropping()
    minimum_image_size: float = 0.0
    minimum_aspect: float | None = None
    maximum_aspect: float | None = None
    pictures: bool = False

    def __post_init__(self) -> None:
        assert self.sizing.alignment % self.geometry.side_multiple == 0, (self.sizing, self.geometry)

    @property
    def num_frames(self) -> int:
        """Frames of a full sample: the largest usable count that num_frames holds."""
        return self.geometry.usable_frames(self.video.num_frames)

    @property
    def min_frames(self) -> int:
        """Frames that a clip must yield. Rounded like num_frames, unless a larger count was asked for on purpose."""
        asked = self.video.min_frames
        if asked is None:
            return 1 if self.by_length else self.num_frames
        return self.geometry.usable_frames(asked) if asked <= self.video.num_frames else asked

    @property
    def by_length(self) -> bool:
        """Whether each clip gives as many frames as it has."""
        return self.video.bucket_strategy == "resolution_frames"

    @property
    def frame_interval(self) -> int:
        """What lengths are rounded down to multiples of, before they are rounded to usable ones."""
        return self.video.frame_interval or 1 if self.by_length else 1

    def of(self, info: ClipInfo) -> Rules:
        """Return the rules for one file."""
        return replace(self, video=ONE_FRAME) if self.pictures and info.frames == 1 else self

    def rate_of(self, info: ClipInfo) -> Rate:
        """Return how a file is brought to its training rate."""
        return training_rate(info, setting=self.of(info).video.fps, model_fps=self.model_fps)


def place(info: ClipInfo, rules: Rules, *, draws: Draws, name: str, epoch: int = 0) -> tuple[Placement, ...] | str:
    """Return where the frames of each window of a clip go, or the reason why the clip is left out.

    name: the clip's, the same on every machine; what is random depends on it and on no other clip.
    epoch: another one draws other random windows and random crop positions: as many, of the same shape.
    """
    rules = rules.of(info)
    rate = rules.rate_of(info)
    available = frames_available(info, rate)
    refusal = _length_refusal(available, rules, fps=rate.fps) or _picture_refusal(info, rules)
    if refusal:
        return refusal
    # The shape is drawn once and for all: an epoch's batches are made of buckets that are known before the first.
    shapes = draws.named(Purpose.PLACEMENT, f"shape of {name}")
    size = crop_size(info.width, info.height, rules.cropping, rules.sizing, generator=shapes)
    frame = resized(info.width, info.height, size, rules.cropping, rules.sizing)
    corners = draws.named(Purpose.PLACEMENT, f"corners of {name}", epoch)
    length = _length(available, rules)
    starts = window_starts(available, length, rules.video, generator=draws.named(Purpose.PLACEMENT, name, epoch))
    placements = []
    for start in starts:
        left, top = crop_corner(frame, size, rules.cropping, generator=corners)
        frames = window(info, rate, num_frames=length, start=start)
        placements.append(Placement(Bucket(*size, length), frames, *frame, left, top))
    return tuple(placements)


def _length(available: int, rules: Rules) -> int:
    """Return how many frames each window of a clip has."""
    most = min(available, rules.video.num_frames)
    return rules.geometry.usable_frames(most - most % rules.frame_interval)


def _length_refusal(available: int, rules: Rules, *, fps: float) -> str:
    video, found = rules.video, f"{available} {'frame' if available == 1 else 'frames'} at {fps:g} fps"
    if available < rules.min_frames:
        usable = rules.geometry.usable_frames(available)
        option = "video.num_frames (or set video.min_frames)" if video.min_frames is None else "video.min_frames"
        home = "name it in a dataset of type image, or " if available == 1 else ""
        return f"too short: {found}, {rules.min_frames} needed; {home}lower {option} to {usable}"
    if video.max_frames is not None and available > video.max_frames:
        return f"too long: {found}, {video.max_frames} allowed; raise video.max_frames to {available}"
    most = min(available, video.num_frames)
    if most < rules.frame_interval:
        return f"too short: {most} of {found}, video.frame_interval is {rules.frame_interval}; lower it to {most}"
    return ""


def _picture_refusal(info: ClipInfo, rules: Rules) -> str:
    return _size_refusal(info, rules) or _aspect_refusal(info, rules)


def _size_refusal(info: ClipInfo, rules: Rules) -> str:
    minimum, kind = rules.minimum_image_size, rules.sizing.resolution_type
    if is_large_enough(info.width, info.height, minimum=minimum, resolution_type=kind):
        return ""
    enough = size_in(info.width, info.height, kind)
    return (
        f"too small: {info.width}x{info.height} is {enough:g} by {kind}, minimum_image_size is {minimum:g}; "
        f"lower it to {enough:g}"
    )


def _aspect_refusal(info: ClipInfo, rules: Rules) -> str:
    aspect, least, most = info.width / info.height, rules.minimum_aspect, rules.maximum_aspect
    if least is not None and aspect < least:
        own = _easy_aspect(info, ROUND_FLOOR)
        return f"too narrow: {info.width}x{info.height} is {own}, minimum_aspect_ratio is {least:g}; lower it to {own}"
    if most is not None and aspect > most:
        own = _easy_aspect(info, ROUND_CEILING)
        return f"too wide: {info.width}x{info.height} is {own}, maximum_aspect_ratio is {most:g}; raise it to {own}"
    return ""


def _easy_aspect(info: ClipInfo, rounding: str) -> str:
    """Return width over height in four digits, rounded to the side that admits the clip."""
    return f"{Context(prec=4, rounding=rounding).divide(Decimal(info.width), Decimal(info.height)):f}"
