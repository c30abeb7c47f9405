//! What the control says of a track, and what it is told.

/// What was negotiated of one m-line that a client publishes.
#[derive(Clone, Debug, Default)]
pub struct TrackSettings {
    /// Its number among those of its publisher.
    pub track: u32,
    /// Its m-line.
    pub mid: String,
    /// Audio or video.
    pub is_video: bool,
    /// Of its timestamps, in Hz.
    pub clock_rate: u32,
    /// Of a simulcast, from the lowest quality to the highest.
    pub rids: Vec<String>,
    /// The SSRC that the description declares; `None` with a simulcast.
    pub declared: Option<u32>,
    /// The payload types that may come, with their mime types.
    pub codecs: Vec<(u8, String)>,
    /// The payload type of RED, and that which its blocks get.
    pub redundant: Option<(u8, u8)>,
    /// Of the audio level: the publisher's number and the engine's.
    pub audio_level: Option<(u8, u8)>,
    /// Of the time of sending: the engine's number.
    pub abs_send_time: u8,
    /// Header extensions that are passed on: the publisher's numbers and the engine's.
    pub forwarded: Vec<(u8, u8)>,
    /// Whether what comes is forwarded.
    pub sending: bool,
}

/// What comes in of one layer at a tick.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerState {
    /// 0 is the lowest.
    pub index: usize,
    /// Empty without simulcast.
    pub rid: String,
    /// Whether it is sent.
    pub live: bool,
    /// Bit/s of the last three seconds.
    pub bitrate: f64,
}

/// What the control is told of a track.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackState {
    /// From the lowest layer.
    pub layers: Vec<LayerState>,
    /// Of the last packet; `None` before the first.
    pub payload_type: Option<u8>,
    /// The highest audio level since the last time, in -dBov; 127 is silence.
    pub loudest: u8,
}
