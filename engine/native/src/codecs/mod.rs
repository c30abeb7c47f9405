//! Payloads of each codec that is forwarded: where decoding can start, which numbers must go on.

pub mod av1;
pub mod h264;
mod payload;
pub mod red;
pub mod vp8;
pub mod vp9;

pub use payload::{Mark, Marks, Payload, Shift, following, shift};

use crate::Malformed;

/// A codec whose payloads are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// RFC 6184.
    H264,
    /// RTP Payload Format For AV1.
    Av1,
}

impl Codec {
    /// By mime type, in any case; `None` of one whose every packet can be a first one.
    pub fn from_mime(mime_type: &str) -> Option<Self> {
        [
            ("video/vp8", Self::Vp8),
            ("video/vp9", Self::Vp9),
            ("video/h264", Self::H264),
            ("video/av1", Self::Av1),
        ]
        .into_iter()
        .find_map(|(name, codec)| name.eq_ignore_ascii_case(mime_type).then_some(codec))
    }

    /// What forwarding needs to know of a payload.
    pub fn read(self, payload: &[u8]) -> Result<Payload, Malformed> {
        match self {
            Self::Vp8 => vp8::read(payload),
            Self::Vp9 => vp9::read(payload),
            Self::H264 => h264::read(payload),
            Self::Av1 => av1::read(payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rtp::payload_offset;
    use crate::testing::{cases, damaged};

    const ALL: [Codec; 4] = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];

    fn read(payload: &[u8]) {
        for codec in ALL {
            let Ok(Payload { marks: Some(marks), .. }) = codec.read(payload) else {
                continue;
            };
            let mut moved = payload[..marks.extent()].to_vec();
            let by = Shift { picture: 0x7FFF, base: 255, key: 31 };
            shift(&mut moved, &marks, by);
            moved.extend(&payload[marks.extent()..]);
            let again = codec.read(&moved).unwrap().marks.unwrap();
            if again.picture.is_some() {
                assert_eq!(following(&again, &marks, by).picture & 0x7F, 1);
            }
            let back = Shift { picture: 1, base: 1, key: 1 };
            shift(&mut moved, &again, back);
            assert_eq!(moved, payload);
        }
        let mut renumbered = payload.to_vec();
        if red::set_payload_type(&mut renumbered, 96).is_ok() {
            assert!(red::primary(&renumbered).is_ok());
            assert!(payload.ends_with(red::primary(payload).unwrap()));
        }
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn any_bytes_are_read_without_a_panic(payload in prop::collection::vec(any::<u8>(), 0..60)) {
            read(&payload);
        }

        #[test]
        fn any_damaged_payload_is_read_without_a_panic(packet in damaged("rtp")) {
            if let Ok(at) = payload_offset(&packet) {
                read(&packet[at..]);
            }
        }
    }

    #[test]
    fn codecs_are_known_by_their_mime_types() {
        assert_eq!(Codec::from_mime("video/VP8"), Some(Codec::Vp8));
        assert_eq!(Codec::from_mime("video/h264"), Some(Codec::H264));
        assert_eq!(Codec::from_mime("audio/opus"), None);
    }

    #[test]
    fn a_keyframe_of_vp8_starts_and_its_numbers_go_on() {
        let payload = [0x90, 0xF0, 0xFF, 0xFE, 7, 0x65, 0x00];
        let found = Codec::Vp8.read(&payload).unwrap();
        assert!(found.starts);
        let marks = found.marks.unwrap();
        assert_eq!(marks.picture, Some(Mark { at: 2, number: 0x7FFE }));
        assert_eq!((marks.base.unwrap().number, marks.key.unwrap().number), (7, 5));
        let next = following(&marks, &marks, Shift::default());
        let mut moved = payload;
        shift(&mut moved, &marks, next);
        assert_eq!(moved, [0x90, 0xF0, 0xFF, 0xFF, 8, 0x66, 0x00]);
        assert!(!Codec::Vp8.read(&[0x10, 0x01]).unwrap().starts);
    }

    #[test]
    fn sequence_parameters_start_h264() {
        for (payload, starts) in [
            (&[0x67, 0x42][..], true),
            (&[0x65, 0x88], false),
            (&[0x7C, 0x87], true),
            (&[0x7C, 0x07], false),
            (&[0x78, 0, 1, 0x09, 0, 1, 0x67], true),
            (&[0x78, 0, 1, 0x09], false),
        ] {
            assert_eq!(Codec::H264.read(payload), Ok(Payload { starts, marks: None }));
        }
        for cut in [&[][..], &[0x7C], &[0x78, 0, 2, 0x67]] {
            assert!(Codec::H264.read(cut).is_err());
        }
    }

    #[test]
    fn red_is_unwrapped() {
        let payload = [0x80 | 111, 0, 0, 2, 111, b'a', b'b', b'c'];
        assert_eq!(red::primary(&payload), Ok(&b"c"[..]));
        let endless = [0x80; 4 * red::MAX_BLOCKS + 8];
        assert!(red::primary(&endless).is_err());
    }
}
