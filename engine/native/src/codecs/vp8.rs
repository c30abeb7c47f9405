//! VP8 payloads: the descriptor (RFC 7741 section 4.2) and the frame's first byte.

use super::payload::{Mark, Marks, Payload};
use crate::Malformed;

const EXTENDED: u8 = 0x80;
const STARTS_PARTITION: u8 = 0x10;
const PARTITION: u8 = 0x07;
const HAS_PICTURE_ID: u8 = 0x80;
const HAS_BASE: u8 = 0x40;
const HAS_LAYER: u8 = 0x20;
const HAS_KEY: u8 = 0x10;
const LONG: u8 = 0x80;
const INTERFRAME: u8 = 0x01;

/// Where a keyframe starts, and PictureID, TL0PICIDX and KEYIDX.
pub fn read(payload: &[u8]) -> Result<Payload, Malformed> {
    parse(payload).ok_or(Malformed("VP8 payload is truncated"))
}

fn parse(payload: &[u8]) -> Option<Payload> {
    let byte = |at: u8| payload.get(usize::from(at)).copied();
    let first = byte(0)?;
    let mut at = 1;
    let mut marks = None;
    if first & EXTENDED != 0 {
        let present = byte(1)?;
        let mut found = Marks { long_picture: true, ..Marks::default() };
        at = 2;
        if present & HAS_PICTURE_ID != 0 {
            let high = byte(at)?;
            found.long_picture = high & LONG != 0;
            let number = if found.long_picture {
                u16::from_be_bytes([high & !LONG, byte(at + 1)?])
            } else {
                u16::from(high)
            };
            found.picture = Some(Mark { at, number });
            at += 1 + u8::from(found.long_picture);
        }
        if present & HAS_BASE != 0 {
            found.base = Some(Mark { at, number: byte(at)? });
            at += 1;
        }
        if present & (HAS_LAYER | HAS_KEY) != 0 {
            if present & HAS_KEY != 0 {
                found.key = Some(Mark { at, number: byte(at)? & 0x1F });
            }
            at += 1;
        }
        marks = (present & (HAS_PICTURE_ID | HAS_BASE | HAS_KEY) != 0).then_some(found);
    }
    let interframe = byte(at)? & INTERFRAME != 0;
    let starts = first & (STARTS_PARTITION | PARTITION) == STARTS_PARTITION;
    Some(Payload { starts: starts && !interframe, marks })
}
