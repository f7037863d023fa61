"""How large media may be once decoded. A file of some kilobytes may unpack to gigabytes."""

from __future__ import annotations

from .errors import HTTPError

# A few megabytes of a strong codec hold hours, which would take this machine as long and its memory besides.
MAX_AUDIO_S = 30 * 60
MAX_IMAGE_PIXELS = 50_000_000
# Of all the frames that a model takes together, at three bytes a pixel and as much again while they are scaled.
MAX_VIDEO_PIXELS = 50_000_000
MAX_VIDEO_FRAMES = 1024


def audio_too_long() -> HTTPError:
    """Build the 413 for more than MAX_AUDIO_S of sound.

    Returns:
        The error, for you to raise.
    """
    return HTTPError(413, f"The sound is longer than {MAX_AUDIO_S // 60} minutes. Send it in parts.")


def image_too_large() -> HTTPError:
    """Build the 413 for an image of more than MAX_IMAGE_PIXELS.

    Returns:
        The error, for you to raise.
    """
    return HTTPError(413, f"The image has over {MAX_IMAGE_PIXELS:,} pixels. Send a smaller one.")


def video_too_large() -> HTTPError:
    """Build the 413 for a video whose frames have more than MAX_VIDEO_PIXELS together.

    Returns:
        The error, for you to raise.
    """
    advice = "Send a smaller one, or fewer frames by num_frames."
    return HTTPError(413, f"The model's frames of this video have over {MAX_VIDEO_PIXELS:,} pixels together. {advice}")
