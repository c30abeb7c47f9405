//! Payload types of a publisher as a subscriber knows them.

use crate::rtp::MARKER;

const NONE: u8 = u8::MAX;

/// From a publisher's payload types to a subscriber's.
#[derive(Clone, Debug)]
pub(crate) struct PayloadTypes([u8; 128]);

impl Default for PayloadTypes {
    fn default() -> Self {
        Self([NONE; 128])
    }
}

impl PayloadTypes {
    pub(crate) fn get(&self, from: u8) -> Option<u8> {
        self.0.get(usize::from(from)).copied().filter(|to| *to != NONE)
    }
}

impl FromIterator<(u8, u8)> for PayloadTypes {
    fn from_iter<T: IntoIterator<Item = (u8, u8)>>(pairs: T) -> Self {
        let mut types = Self::default();
        for (from, to) in pairs {
            if let Some(place) = types.0.get_mut(usize::from(from)) {
                *place = to & !MARKER;
            }
        }
        types
    }
}
