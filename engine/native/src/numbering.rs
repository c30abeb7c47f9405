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
