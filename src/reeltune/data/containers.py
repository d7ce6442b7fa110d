"""A video file opened at its main stream, and that stream's pictures: the packets that count, the frames that come out.

What `counted` says of the packets is what `shown` yields, picture for picture: a frame that cannot be decoded exactly
is an error, never a gap and never a guess. Only kinds of containers that are read by design are opened, and only files:
a playlist in a clip's clothes reaches nothing else.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import dropwhile
from pathlib import Path

import av
from av.codec.context import CodecContext, Flags
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError, InvalidDataError
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from reeltune.data.regular import cannot_be_read
from reeltune.errors import UnreadableFile

MAX_PIXELS = 1 << 26
"""8192 x 8192, the most that one picture may have: 200 MB as RGB."""

_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": "mov,matroska,avi"}
_HDR = {16: "PQ", 18: "HLG"}
"""Transfer characteristics of ITU-T H.273 whose numbers are not those of a usual screen."""
_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that read the alpha beside a picture, by the codec's usual decoder, which does not."""


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file at its main video stream; every failure inside becomes UnreadableFile with a reason in words."""
    try:
        # Absolute: a relative name with a colon in it would be taken for a network address.
        with av.open(str(path.absolute()), options=_OPTIONS, metadata_errors="replace") as container:
            yield container, _video_stream(path, container)
    except (InvalidDataError, ArgumentError) as error:
        reason = "not a video of a kind that is read, or damaged; copy it again or convert it to H.264 mp4"
        raise UnreadableFile(path, reason) from error
    except (FFmpegError, OSError) as error:
        raise cannot_be_read(path, error.strerror) from error


def has_times(container: InputContainer) -> bool:
    """Tell whether a container says when each picture is shown. AVI keeps only their order of decoding."""
    return container.format.name != "avi"


def picture_packets(
    path: Path, container: InputContainer, stream: VideoStream, *, since: int | None = None
) -> Iterator[av.Packet[VideoStream]]:
    """Yield the stream's packets that lead to pictures, and the empty one at the end.

    A cut-out clip may start with pictures that need earlier ones, before its first key frame or shown before it: they
    are left out. since: the time stamp of the key frame to start at, other than the first that comes.
    Raises UnreadableFile for a packet that is damaged or not whole.
    """

    def too_early(packet: av.Packet[VideoStream]) -> bool:
        return not packet.is_keyframe or since not in (None, packet.pts)

    first: int | None = None
    for count, packet in enumerate(dropwhile(too_early, container.demux(stream))):
        if packet.is_corrupt:
            raise UnreadableFile(path, f"damaged or cut off after {count} frames; copy or export it again")
        if packet.has_sidedata("encryption_info"):
            raise UnreadableFile(path, "encrypted; export it without copy protection")
        first = packet.pts if count == 0 else first
        if packet.size == 0 or packet.pts is None or first is None or packet.pts >= first:
            yield packet


def is_counted(packet: av.Packet[VideoStream], stream: VideoStream) -> bool:
    """Tell whether a packet is a picture that is shown."""
    if packet.size == 0 or packet.is_discard:
        return False
    # VP8 has packets of their own for reference pictures that are never shown: bit 4 of the first byte, RFC 6386, 9.1.
    return stream.codec_context.name not in ("vp8", "libvpx") or bool(bytes(packet)[0] & 0x10)


def strict_decoder(stream: VideoStream) -> VideoCodecContext:
    """Return a stream's decoder, which fails on damage where the usual one covers it up, and which knows alpha."""
    decoder = stream.codec_context
    if stream.metadata.get("alpha_mode") == "1" and decoder.name in _ALPHA:
        own = CodecContext.create(_ALPHA[decoder.name], "r")
        assert isinstance(own, VideoCodecContext)
        own.extradata, decoder = decoder.extradata, own
    # Twice, since decoders count pixels that are cropped; only a size that grows within the stream comes so far.
    decoder.options = {"err_detect": "explode", "max_pixels": str(2 * MAX_PIXELS)}
    # Without the flag a damaged picture is left out in silence, and every later one is off by one.
    decoder.flags |= Flags.output_corrupt
    return decoder


def shown(
    path: Path, container: InputContainer, stream: VideoStream, *, since: int | None = None
) -> Iterator[av.VideoFrame]:
    """Yield frames in the order in which they are shown, each the one that its packet's time stamp announced.

    since: the time stamp of the key frame to start at, other than the first that comes.
    """
    decoder = strict_decoder(stream)
    decoder.thread_type = "AUTO"
    waiting: list[int] = []
    count = 0
    try:
        for packet in picture_packets(path, container, stream, since=since):
            if has_times(container) and packet.pts is not None and is_counted(packet, stream):
                heapq.heappush(waiting, packet.pts)
            for frame in decoder.decode(packet):
                _check_frame(path, frame, due=heapq.heappop(waiting) if waiting else None, count=count)
                yield frame
                count += 1
    except FFmpegError as error:
        raise UnreadableFile(path, f"damaged after frame {count}; copy or export it again") from error


def _check_frame(path: Path, frame: av.VideoFrame, *, due: int | None, count: int) -> None:
    if frame.is_corrupt:
        raise UnreadableFile(path, f"damaged at frame {count + 1}; copy or export it again")
    if due is not None and frame.pts is not None and frame.pts != due:
        raise UnreadableFile(path, f"frame {count + 1} is lost or out of order; export it again")


def check_colors(path: Path, frame: av.VideoFrame) -> None:
    """Raise UnreadableFile for a high dynamic range: its numbers would be shown as a washed-out picture."""
    kind = _HDR.get(int(frame.color_trc))
    if kind:
        raise UnreadableFile(path, f"HDR: its brightness is coded as {kind}; convert it to SDR (BT.709)")


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        kinds = ", ".join(sorted({stream.type for stream in container.streams} - {"video"})) or "nothing"
        raise UnreadableFile(path, f"no video stream, only {kinds}; move it out of the dataset")
    if stream.codec_context is None:
        raise UnreadableFile(path, "no decoder for its codec; convert it to H.264 mp4")
    check_pixels(path, stream.codec_context.width, stream.codec_context.height)
    return stream


def check_pixels(path: Path, width: int, height: int) -> None:
    """Raise UnreadableFile for a picture of more than MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        most = f"{MAX_PIXELS / 1e6:.0f} megapixels"
        raise UnreadableFile(path, f"too large: {width}x{height} pixels, {most} are the most; scale it down")
