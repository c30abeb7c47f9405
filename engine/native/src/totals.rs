//! Counters that outlive the sessions they count.

/// Upper bounds of the histogram of jitter, in seconds.
pub const JITTER_BOUNDS_SECONDS: [f64; 9] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];

/// One plane's totals; the paths of packets add to them directly.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// RTP packets taken from publishers.
    pub received_packets: u64,
    /// RTP packets sent to subscribers the first time.
    pub forwarded_packets: u64,
    /// Their bytes behind the transport-wide number, or where that would be.
    pub forwarded_bytes: u64,
    /// What publishers sent and nobody received.
    pub lost_packets_in: u64,
    /// What subscribers say they have not received.
    pub lost_packets_out: u64,
    /// Observations up to each bound, not added up; the last is above all.
    pub jitter_counts: [u64; JITTER_BOUNDS_SECONDS.len() + 1],
    /// The sum of all observations.
    pub jitter_sum: f64,
    /// Media from an address that no check made known.
    pub unknown_source: u64,
    /// Media that is forged, replayed or damaged.
    pub srtp: u64,
    /// Checks that were recorded and came from elsewhere.
    pub replayed: u64,
    /// Datagrams for Python that the ring had no room for.
    pub backlog: u64,
    /// Datagrams that the kernel had no room for.
    pub send_buffer: u64,
}

impl Totals {
    /// One stream's jitter at one report.
    pub(crate) fn observe_jitter(&mut self, seconds: f64) {
        let bucket = JITTER_BOUNDS_SECONDS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.jitter_counts.get_mut(bucket) {
            *count += 1;
        }
        self.jitter_sum += seconds;
    }
}
