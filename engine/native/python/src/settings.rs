//! What Python's dataclasses say of a negotiation.

use callfleet_media as media;
use pyo3::prelude::*;

/// See `callfleet_engine.media.native.settings.TrackSettings`.
#[derive(FromPyObject)]
pub(crate) struct TrackSettings {
    track: u32,
    mid: String,
    is_video: bool,
    clock_rate: u32,
    rids: Vec<String>,
    declared: Option<u32>,
    codecs: Vec<(u8, String)>,
    redundant: Option<(u8, u8)>,
    audio_level: Option<(u8, u8)>,
    abs_send_time: u8,
    forwarded: Vec<(u8, u8)>,
    sending: bool,
}

impl From<TrackSettings> for media::TrackSettings {
    fn from(read: TrackSettings) -> Self {
        Self {
            track: read.track,
            mid: read.mid,
            is_video: read.is_video,
            clock_rate: read.clock_rate,
            rids: read.rids,
            declared: read.declared,
            codecs: read.codecs,
            redundant: read.redundant,
            audio_level: read.audio_level,
            abs_send_time: read.abs_send_time,
            forwarded: read.forwarded,
            sending: read.sending,
        }
    }
}

/// See `callfleet_engine.media.native.settings.PublisherSettings`.
#[derive(FromPyObject)]
pub(crate) struct PublisherSettings {
    reporter: u32,
    max_bitrate: u64,
    transport: Option<u8>,
    send_time: Option<u8>,
    mid: Option<u8>,
    repaired_rid: Option<u8>,
    mid_ids: Vec<u8>,
    rid_ids: Vec<u8>,
    associated: Vec<(u8, u8)>,
    repairs: Vec<(u32, u32)>,
    tracks: Vec<TrackSettings>,
}

impl From<PublisherSettings> for media::PublisherSettings {
    fn from(read: PublisherSettings) -> Self {
        Self {
            reporter: read.reporter,
            max_bitrate: read.max_bitrate,
            extensions: media::TransportExtensions {
                transport: read.transport,
                send_time: read.send_time,
                mid: read.mid,
                repaired_rid: read.repaired_rid,
            },
            mid_ids: read.mid_ids,
            rid_ids: read.rid_ids,
            associated: read.associated,
            repairs: read.repairs,
            tracks: read.tracks.into_iter().map(Into::into).collect(),
        }
    }
}
