//! Packet indices: which one a sequence number means, and whether it came before.

/// Packet indices have 48 bits (RFC 3711 section 3.3.1).
const INDICES: u64 = 1 << 48;

/// Those of SRTCP have 31 (RFC 3711 section 3.4).
pub(crate) const RTCP_INDICES: u32 = 1 << 31;

/// The index that a sequence number most likely means, after `highest` (RFC 3711 section 3.3.1).
///
/// `None` if it would be behind the last one of a key.
pub(crate) fn estimate(sequence: u16, highest: u64) -> Option<u64> {
    let (local, number) = (highest & 0xFFFF, u64::from(sequence));
    let cycle = highest - local;
    let index = if local < 0x8000 && number > local + 0x8000 && cycle > 0 {
        cycle - 0x1_0000 + number
    } else if local > number + 0x8000 {
        cycle + 0x1_0000 + number
    } else {
        cycle + number
    };
    (index < INDICES).then_some(index)
}

/// What a sender may send again, and a receiver tells apart, behind the newest packet.
pub(crate) const WINDOW: u64 = 1024;

const WORDS: usize = WINDOW as usize / 64;

/// Where an index stands to those that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    New,
    Replayed,
    TooOld,
}

/// The newest index of a stream, and which of the 1,024 up to it came (RFC 3711 section 3.3.2).
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) highest: u64,
    /// A bit for each index modulo 1,024.
    came: [u64; WORDS],
}

impl Window {
    /// Where nothing came so far, and `index` is the first to come.
    pub(crate) fn new(index: u64) -> Self {
        Self { highest: index, came: [0; WORDS] }
    }

    fn bit(index: u64) -> (usize, u64) {
        ((index / 64 % WORDS as u64) as usize, 1 << (index % 64))
    }

    pub(crate) fn standing(&self, index: u64) -> Standing {
        if index > self.highest {
            return Standing::New;
        }
        if self.highest - index >= WINDOW {
            return Standing::TooOld;
        }
        let (word, bit) = Self::bit(index);
        match self.came.get(word) {
            Some(came) if came & bit != 0 => Standing::Replayed,
            _ => Standing::New,
        }
    }

    /// It came, and was genuine.
    pub(crate) fn note(&mut self, index: u64) {
        if index > self.highest {
            let first = (self.highest + 1).max(index.saturating_sub(WINDOW - 1));
            for passed in first..index {
                let (word, bit) = Self::bit(passed);
                if let Some(came) = self.came.get_mut(word) {
                    *came &= !bit;
                }
            }
            self.highest = index;
        }
        let (word, bit) = Self::bit(index);
        if let Some(came) = self.came.get_mut(word) {
            *came |= bit;
        }
    }
}

/// The same for the indices of SRTCP, of which 128 are told apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShortWindow {
    /// The one after the newest.
    next: u64,
    /// The newest in the lowest bit.
    came: u128,
}

impl ShortWindow {
    pub(crate) fn standing(&self, index: u32) -> Standing {
        let index = u64::from(index);
        if index >= self.next {
            return Standing::New;
        }
        match u32::try_from(self.next - 1 - index).ok().and_then(|back| self.came.checked_shr(back))
        {
            None => Standing::TooOld,
            Some(came) if came & 1 != 0 => Standing::Replayed,
            Some(_) => Standing::New,
        }
    }

    pub(crate) fn note(&mut self, index: u32) {
        let next = u64::from(index) + 1;
        if next > self.next {
            let passed = u32::try_from(next - self.next).unwrap_or(u32::MAX);
            self.came = self.came.checked_shl(passed).unwrap_or(0) | 1;
            self.next = next;
        } else if let Ok(back) = u32::try_from(self.next - next) {
            self.came |= 1u128.checked_shl(back).unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// RFC 3711 appendix A, word for word, for a rollover counter that cannot be below zero.
    fn of_the_rfc(sequence: u16, highest: u64) -> u64 {
        let (s_l, roc, seq) =
            ((highest & 0xFFFF) as i64, (highest >> 16) as i64, i64::from(sequence));
        let v = if s_l < 32_768 {
            if seq - s_l > 32_768 { roc - 1 } else { roc }
        } else if s_l - 32_768 > seq {
            roc + 1
        } else {
            roc
        };
        (seq + v.max(0) * 65_536) as u64
    }

    proptest! {
        #![proptest_config(crate::tests::cases())]

        #[test]
        fn indices_are_estimated_by_the_rfc(sequence: u16, highest in 0..1u64 << 47) {
            prop_assert_eq!(estimate(sequence, highest), Some(of_the_rfc(sequence, highest)));
        }

        #[test]
        fn what_is_near_is_found(highest in 0x1_0000..1u64 << 40, step in -0x7FFF..0x8000i64) {
            let index = highest.checked_add_signed(step).unwrap();
            prop_assert_eq!(estimate(index as u16, highest), Some(index));
        }

        #[test]
        fn a_window_knows_what_came(first in 0..5000u64, steps in prop::collection::vec(-1100..1500i64, 1..300)) {
            let mut window = Window::new(first);
            let mut short = ShortWindow::default();
            let (mut came, mut highest) = (BTreeSet::new(), first);
            let mut index = first;
            for step in steps {
                let back = highest.saturating_sub(index);
                let known = if came.contains(&index) { Standing::Replayed } else { Standing::New };
                let expected = if back >= WINDOW { Standing::TooOld } else { known };
                prop_assert_eq!(window.standing(index), expected);
                if !came.is_empty() {
                    let expected = if back >= 128 { Standing::TooOld } else { known };
                    prop_assert_eq!(short.standing(index as u32), expected);
                }
                if expected == Standing::New {
                    window.note(index);
                    short.note(index as u32);
                    came.insert(index);
                    highest = highest.max(index);
                }
                index = highest.saturating_add_signed(step);
            }
        }
    }

    #[test]
    fn the_last_index_is_the_last() {
        assert_eq!(estimate(0xFFFF, INDICES - 2), Some(INDICES - 1));
        assert_eq!(estimate(0, INDICES - 1), None);
        assert_eq!(ShortWindow::default().standing(0), Standing::New);
    }
}
