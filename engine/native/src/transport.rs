//! One connection's way out: its SRTP keys and the address that was selected.

use std::net::SocketAddr;

use callfleet_srtp::{MAX_OVERHEAD, Outbound};

use crate::outgoing::Outgoing;

/// Sends nothing before it has keys and an address.
#[derive(Debug)]
pub(crate) struct Transport {
    connection: u64,
    /// The socket, and the client's address.
    pub(crate) selected: Option<(usize, SocketAddr)>,
    pub(crate) outbound: Option<Outbound>,
}

impl Transport {
    pub(crate) fn new(connection: u64) -> Self {
        Self { connection, selected: None, outbound: None }
    }

    /// Protect and send an RTP packet, whose header is a whole one with its extensions; false if
    /// that is not possible now.
    pub(crate) fn send_rtp(
        &mut self,
        header: &[u8],
        payload: &[&[u8]],
        outgoing: &mut Outgoing,
    ) -> bool {
        let (Some(outbound), Some((side, to))) = (&mut self.outbound, self.selected) else {
            return false;
        };
        let length = header.len() + payload.iter().map(|part| part.len()).sum::<usize>();
        outgoing.push((self.connection, side, to), length + MAX_OVERHEAD, |out| {
            outbound.protect_rtp_parts(header, payload, out).ok()
        })
    }

    /// Protect and send a compound RTCP packet; false if that is not possible now.
    pub(crate) fn send_rtcp(&mut self, packet: &[u8], outgoing: &mut Outgoing) -> bool {
        let (Some(outbound), Some((side, to))) = (&mut self.outbound, self.selected) else {
            return false;
        };
        let length = packet.len();
        outgoing.push((self.connection, side, to), length + MAX_OVERHEAD, |out| {
            out.get_mut(..length)?.copy_from_slice(packet);
            outbound.protect_rtcp(out, length).ok()
        })
    }
}
