//! What forwarding reads of a payload, whatever the codec.

/// A number of a descriptor, and where it stands from the begin of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark<N> {
    /// Byte offset.
    pub at: u8,
    /// As it came.
    pub number: N,
}

/// The numbers inside a payload descriptor that go on across a switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// PictureID.
    pub picture: Option<Mark<u16>>,
    /// Whether the picture id has 15 bits rather than 7.
    pub long_picture: bool,
    /// TL0PICIDX.
    pub base: Option<Mark<u8>>,
    /// VP8's KEYIDX.
    pub key: Option<Mark<u8>>,
}

impl Marks {
    /// How many bytes from the begin of the payload a [`shift`] can change.
    pub fn extent(&self) -> usize {
        let picture =
            self.picture.map_or(0, |m| usize::from(m.at) + 1 + usize::from(self.long_picture));
        let base = self.base.map_or(0, |m| usize::from(m.at) + 1);
        let key = self.key.map_or(0, |m| usize::from(m.at) + 1);
        picture.max(base).max(key)
    }
}

/// What a payload is to a forwarder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// A decoder that knows nothing can begin with this packet.
    pub starts: bool,
    /// Its numbers, where it has any.
    pub marks: Option<Marks>,
}

impl Payload {
    /// Of audio: every packet can be a first one.
    pub const ANYWHERE: Self = Self { starts: true, marks: None };
    /// In the middle of a picture.
    pub const INSIDE: Self = Self { starts: false, marks: None };
}

/// What is added to the numbers of each payload that is sent on, modulo their widths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// To PictureID.
    pub picture: u16,
    /// To TL0PICIDX.
    pub base: u8,
    /// To KEYIDX.
    pub key: u8,
}

/// Move the numbers of a payload's descriptor on, in place.
///
/// `payload` may be its first [`Marks::extent`] bytes alone.
pub fn shift(payload: &mut [u8], marks: &Marks, shift: Shift) {
    if let Some(mark) = marks.picture {
        let [high, low] = mark.number.wrapping_add(shift.picture).to_be_bytes();
        let place = payload.get_mut(usize::from(mark.at)..).unwrap_or_default();
        match place {
            [first, second, ..] if marks.long_picture => (*first, *second) = (0x80 | high, low),
            [first, ..] if !marks.long_picture => *first = low & 0x7F,
            _ => {}
        }
    }
    if let Some(mark) = marks.base {
        if let Some(place) = payload.get_mut(usize::from(mark.at)) {
            *place = mark.number.wrapping_add(shift.base);
        }
    }
    if let Some(mark) = marks.key {
        if let Some(place) = payload.get_mut(usize::from(mark.at)) {
            *place = *place & 0xE0 | mark.number.wrapping_add(shift.key) & 0x1F;
        }
    }
}

/// The shift that makes a payload with `marks` the next after one with `last` sent shifted.
pub fn following(marks: &Marks, last: &Marks, shift: Shift) -> Shift {
    fn number<N: Copy + Default>(mark: Option<Mark<N>>) -> N {
        mark.map_or(N::default(), |m| m.number)
    }
    fn next8(last: u8, shift: u8, new: u8) -> u8 {
        last.wrapping_add(shift).wrapping_add(1).wrapping_sub(new)
    }
    Shift {
        picture: number(last.picture)
            .wrapping_add(shift.picture)
            .wrapping_add(1)
            .wrapping_sub(number(marks.picture)),
        base: next8(number(last.base), shift.base, number(marks.base)),
        key: next8(number(last.key), shift.key, number(marks.key)),
    }
}
