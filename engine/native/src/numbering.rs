//! One subscriber's sequence numbers: continuous over switches, without what is left out.

const MAX_SKIPPED: usize = 512;

/// From a publisher's extended sequence numbers to a subscriber's, and back.
///
/// A run begins with the packet after a start, a pause or a switch.
#[derive(Clone, Debug)]
pub struct Numbering {
    sent: i64,
    offset: i64,
    edge: i64,
    oldest: i64,
    skipped: Vec<i64>,
}

impl Numbering {
    /// The first number will be the one after `before_first`.
    pub fn new(before_first: i64) -> Self {
        Self { sent: before_first, offset: 0, edge: -1, oldest: 0, skipped: Vec::new() }
    }

    /// The highest number sent so far.
    pub fn sent(&self) -> i64 {
        self.sent
    }

    /// The packet of that number follows what was sent last.
    pub fn begin(&mut self, extended: i64) {
        self.offset = self.sent + 1 - extended;
        self.oldest = extended;
        self.edge = extended - 1;
        self.skipped.clear();
    }

    /// The number of a packet that is sent now, and whether it is the newest; `None` if it has
    /// none in this run.
    pub fn number(&mut self, extended: i64) -> Option<(i64, bool)> {
        if extended <= self.edge {
            return Some((self.late(extended)?, false));
        }
        let out = extended + self.offset;
        let newest = out > self.sent;
        if newest {
            self.sent = out;
        }
        Some((out, newest))
    }

    /// Leave a packet out without a gap; false if a later one has its number fixed already.
    pub fn skip(&mut self, extended: i64) -> bool {
        if extended <= self.edge || extended + self.offset <= self.sent {
            return false;
        }
        self.offset -= 1;
        self.edge = extended;
        self.skipped.push(extended);
        if self.skipped.len() > MAX_SKIPPED {
            if let Some(newest_gone) = self.skipped.drain(..MAX_SKIPPED / 2).next_back() {
                self.oldest = newest_gone + 1;
            }
        }
        true
    }

    /// The number of a packet from before the last that was left out.
    fn late(&self, extended: i64) -> Option<i64> {
        if extended < self.oldest {
            return None;
        }
        match self.skipped.binary_search(&extended) {
            Ok(_) => None,
            Err(at) => Some(extended + self.offset + (self.skipped.len() - at) as i64),
        }
    }

    /// Whose number it is: the inverse; `None` if it was given in an earlier run.
    pub fn source(&self, number: i64) -> Option<i64> {
        // The number that the n-th skipped packet would have had, which the one after it got.
        let (mut low, mut high) = (0, self.skipped.len());
        while low < high {
            let middle = low.midpoint(high);
            let after = (self.skipped.len() - middle) as i64;
            match self.skipped.get(middle) {
                Some(skipped) if skipped + self.offset + after <= number => low = middle + 1,
                _ => high = middle,
            }
        }
        let extended = number - self.offset - (self.skipped.len() - low) as i64;
        (extended >= self.oldest).then_some(extended)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::cases;

    proptest! {
        #![proptest_config(cases())]

        /// Packets that come in order, some left out, some late.
        #[test]
        fn numbers_have_no_gap_and_lead_back(
            first in 0x1_0000..0x2_0000i64,
            skipped in prop::collection::vec(any::<bool>(), 1..900),
            late in prop::collection::vec(any::<prop::sample::Index>(), 0..50),
        ) {
            let mut numbering = Numbering::new(100);
            numbering.begin(first);
            let mut given = BTreeMap::new();
            for (extended, skip) in (first..).zip(&skipped) {
                if *skip {
                    prop_assert!(numbering.skip(extended));
                } else {
                    let expected = 101 + given.len() as i64;
                    prop_assert_eq!(numbering.number(extended), Some((expected, true)));
                    given.insert(extended, expected);
                }
            }
            for at in late {
                let extended = first + at.index(skipped.len()) as i64;
                let number = numbering.number(extended);
                if numbering.skipped.len() <= MAX_SKIPPED / 2 {
                    prop_assert_eq!(number, given.get(&extended).map(|&number| (number, false)));
                } else if let Some((number, _)) = number {
                    prop_assert_eq!(Some(&number), given.get(&extended));
                }
                if let Some((number, _)) = number {
                    prop_assert_eq!(numbering.source(number), Some(extended));
                }
            }
        }
    }

    #[test]
    fn a_new_run_goes_on() {
        let mut numbering = Numbering::new(7);
        numbering.begin(500);
        assert_eq!(numbering.number(500), Some((8, true)));
        assert_eq!(numbering.number(502), Some((10, true)));
        numbering.begin(90);
        assert_eq!(numbering.number(90), Some((11, true)));
        assert_eq!(numbering.number(89), None);
        assert_eq!(numbering.source(10), None);
        assert_eq!(numbering.source(11), Some(90));
    }

    #[test]
    fn what_has_its_number_is_not_left_out() {
        let mut numbering = Numbering::new(0);
        numbering.begin(10);
        assert_eq!(numbering.number(12), Some((3, true)));
        assert!(!numbering.skip(11));
        assert!(numbering.skip(13));
        assert!(!numbering.skip(13));
        assert_eq!(numbering.number(13), None);
    }
}
