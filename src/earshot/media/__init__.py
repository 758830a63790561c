"""Any audio or video file -> PCM, and back: opening, decoding, channels, spans, clips.

    folders       paths as given -> files
    bare          samples without a header, known by a suffix
    completeness  is the file all there?
    opening       file -> its audio stream, safely
    decoding      stream -> PCM on the recording's time line, at the source's rate
    resampling    -> PCM at the rate and with the channels that are wanted
    sides         one scene, or the two sides of a call?
    reading       all of a file in blocks, or a span of it
    live          a pipe through which audio comes while it is made
    clips         a span -> a file
    growing       a file that grows while it is heard
    joining       the two sides of a call, each in a file -> one file
    child         the process apart in which files of strangers are decoded
    apart         all of a file, decoded there: a crash costs one recording

FFmpeg (through PyAV) reads the formats. Whatever cannot be listened to from its beginning to its
end is a MediaError whose one sentence names the file. Nothing here knows of networks or libraries.
"""

from earshot.media.apart import STRANGERS, Decoder, Heard, Limits
from earshot.media.bare import Bare
from earshot.media.clips import CLIP_FORMATS, write_clip
from earshot.media.decoding import Piece
from earshot.media.folders import media_files
from earshot.media.growing import Growing, mend
from earshot.media.joining import join
from earshot.media.live import live
from earshot.media.opening import MediaInfo, digest, probe
from earshot.media.reading import SAMPLE_RATE, Channels, blocks, channel_plan, read
from earshot.media.resampling import Plan, Resampler

__all__ = [
    "CLIP_FORMATS",
    "SAMPLE_RATE",
    "STRANGERS",
    "Bare",
    "Channels",
    "Decoder",
    "Growing",
    "Heard",
    "Limits",
    "MediaInfo",
    "Piece",
    "Plan",
    "Resampler",
    "blocks",
    "channel_plan",
    "digest",
    "join",
    "live",
    "media_files",
    "mend",
    "probe",
    "read",
    "write_clip",
]
