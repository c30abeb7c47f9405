//! VP9 payload descriptors (RFC 9628 section 4.2).

use super::payload::{Mark, Marks, Payload};
use crate::Malformed;

const HAS_PICTURE_ID: u8 = 0x80;
const INTER_PREDICTED: u8 = 0x40;
const HAS_LAYERS: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const STARTS_FRAME: u8 = 0x08;
const LONG: u8 = 0x80;
const SPATIAL_LAYER: u8 = 0x0E;

/// Where a keyframe's lowest layer starts, and picture id and TL0PICIDX.
pub fn read(payload: &[u8]) -> Result<Payload, Malformed> {
    parse(payload).ok_or(Malformed("VP9 descriptor is truncated"))
}

fn parse(payload: &[u8]) -> Option<Payload> {
    let byte = |at: u8| payload.get(usize::from(at)).copied();
    let first = byte(0)?;
    let mut at = 1;
    let mut marks = Marks { long_picture: true, ..Marks::default() };
    if first & HAS_PICTURE_ID != 0 {
        let high = byte(at)?;
        marks.long_picture = high & LONG != 0;
        let number = if marks.long_picture {
            u16::from_be_bytes([high & !LONG, byte(at + 1)?])
        } else {
            u16::from(high)
        };
        marks.picture = Some(Mark { at, number });
        at += 1 + u8::from(marks.long_picture);
    }
    let mut lowest = true;
    if first & HAS_LAYERS != 0 {
        lowest = byte(at)? & SPATIAL_LAYER == 0;
        at += 1;
        if first & FLEXIBLE == 0 {
            marks.base = Some(Mark { at, number: byte(at)? });
        }
    }
    let starts = first & STARTS_FRAME != 0 && first & INTER_PREDICTED == 0 && lowest;
    let any = marks.picture.is_some() || marks.base.is_some();
    Some(Payload { starts, marks: any.then_some(marks) })
}
