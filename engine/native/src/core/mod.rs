//! The whole plane without I/O: datagrams and the time come in, datagrams and events go out.

use std::net::SocketAddr;

use ahash::AHashMap;
use callfleet_srtp::{Inbound, KeyError, Outbound, Profile};

use crate::checks::Checks;
use crate::downtrack::DownState;
use crate::egress::Report;
use crate::ingress::Outcome;
use crate::outgoing::{Event, Outgoing};
use crate::payload_types::PayloadTypes;
use crate::published::{Subscribers, Surroundings, TrackState};
use crate::publishing::Publisher;
use crate::subscribing::{Publishers, Subscriber};
use crate::times::Times;
use crate::totals::Totals;
use crate::transport::Transport;

mod checking;
mod commands;
#[cfg(test)]
mod tests;

/// The longest datagram of media that is taken.
const MAX_DATAGRAM: usize = 1500;
/// Datagrams of a connection that wait for its keys.
const MAX_HELD: usize = 64;
/// How often a connection's media from another address is told of.
const ELSEWHERE_SECONDS: f64 = 0.05;

/// Which half of a participant a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The client sends media.
    Publish,
    /// The client receives media.
    Subscribe,
}

/// What DTLS exported for one connection.
#[derive(Clone)]
pub struct Keys {
    /// How both directions are protected.
    pub profile: Profile,
    /// Key and salt of what is received.
    pub inbound: (Vec<u8>, Vec<u8>),
    /// Key and salt of what is sent.
    pub outbound: (Vec<u8>, Vec<u8>),
}

/// The publisher's codecs as a subscriber knows them.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    /// Payload types.
    pub payload_types: Vec<(u8, u8)>,
    /// Payload types of RED whose newest block alone is taken.
    pub unwrapped: Vec<(u8, u8)>,
}

impl Accepted {
    fn tables(self) -> (PayloadTypes, PayloadTypes) {
        (self.payload_types.into_iter().collect(), self.unwrapped.into_iter().collect())
    }
}

/// What the control is told at a tick.
#[derive(Debug, Default)]
pub struct Told {
    /// By publisher and number: tracks of which something has changed.
    pub tracks: Vec<((u64, u32), TrackState)>,
    /// By publisher: packets to estimate from.
    pub noted: Vec<(u64, Vec<Outcome>)>,
    /// By subscriber: bytes sent since the last tick, and what its client reported.
    pub reports: Vec<(u64, u64, Vec<Report>)>,
    /// By subscriber and number: down tracks of which something has changed.
    pub downs: Vec<((u64, usize), DownState)>,
}

#[derive(Debug)]
struct Endpoint {
    half: Half,
    inbound: Option<Inbound>,
    /// The socket, and the client's address.
    selected: Option<(usize, SocketAddr)>,
    checks: Option<Checks>,
    /// Whether something authentic came from the selected address since that was asked.
    is_heard: bool,
    told_elsewhere: f64,
    /// Media that came before the keys, and when.
    held: Vec<(SocketAddr, f64, Vec<u8>)>,
}

impl Endpoint {
    /// Whether it is the selected address.
    fn is_from(&self, source: SocketAddr) -> bool {
        self.selected.is_some_and(|(_, address)| address == source)
    }
}

/// All connections of one thread.
#[derive(Debug, Default)]
pub struct Core {
    endpoints: AHashMap<u64, Endpoint>,
    by_address: AHashMap<SocketAddr, u64>,
    /// Whom checks that are answered here are for.
    by_ufrag: AHashMap<Box<[u8]>, u64>,
    publishers: Publishers,
    subscribers: Subscribers,
    totals: Totals,
    scratch: Vec<u8>,
}

impl Core {
    // connections

    /// A new connection, without an address and without keys.
    pub fn open(&mut self, connection: u64, half: Half) {
        self.endpoints.insert(
            connection,
            Endpoint {
                half,
                inbound: None,
                selected: None,
                checks: None,
                is_heard: false,
                told_elsewhere: f64::NEG_INFINITY,
                held: Vec::new(),
            },
        );
        match half {
            Half::Publish => {
                self.publishers.insert(connection, Publisher::new(connection));
            }
            Half::Subscribe => {
                self.subscribers.insert(connection, Subscriber::new(connection));
            }
        }
    }

    /// It has ended; its addresses have been released.
    pub fn end(&mut self, connection: u64) {
        if let Some(mut publisher) = self.publishers.remove(&connection) {
            for track in &mut publisher.tracks {
                track.close(&mut self.subscribers, &mut self.totals);
            }
        }
        if let Some(subscriber) = self.subscribers.get(&connection) {
            for down in 0..subscriber.downs.len() {
                self.detach(connection, down);
            }
        }
        self.subscribers.remove(&connection);
        self.serve(connection, None);
        self.endpoints.remove(&connection);
    }

    /// Datagrams from this address are this connection's.
    pub fn claim(&mut self, address: SocketAddr, connection: u64) {
        self.by_address.insert(address, connection);
    }

    /// The address is nobody's.
    pub fn release(&mut self, address: &SocketAddr) {
        self.by_address.remove(address);
    }

    fn transport(&mut self, connection: u64) -> Option<&mut Transport> {
        match self.endpoints.get(&connection)?.half {
            Half::Publish => Some(&mut self.publishers.get_mut(&connection)?.transport),
            Half::Subscribe => Some(&mut self.subscribers.get_mut(&connection)?.transport),
        }
    }

    /// Send to this address from now on, from that socket; `None`: to nobody.
    pub fn select(&mut self, connection: u64, selected: Option<(usize, SocketAddr)>) {
        if let Some(endpoint) = self.endpoints.get_mut(&connection) {
            endpoint.selected = selected;
        }
        if let Some(transport) = self.transport(connection) {
            transport.selected = selected;
        }
    }

    /// Open and protect with these; what came before is taken now.
    pub fn set_keys(
        &mut self,
        connection: u64,
        keys: &Keys,
        now: f64,
        outgoing: &mut Outgoing,
    ) -> Result<(), KeyError> {
        let inbound = Inbound::new(keys.profile, &keys.inbound.0, &keys.inbound.1)?;
        let outbound = Outbound::new(keys.profile, &keys.outbound.0, &keys.outbound.1)?;
        if let Some(transport) = self.transport(connection) {
            transport.outbound = Some(outbound);
        }
        let Some(endpoint) = self.endpoints.get_mut(&connection) else {
            return Ok(());
        };
        endpoint.inbound = Some(inbound);
        for (source, arrived, data) in std::mem::take(&mut endpoint.held) {
            self.media_received(connection, source, &data, Times { now, arrived }, outgoing);
        }
        Ok(())
    }

    /// Connections from whose selected address something authentic came since the last call: media, or
    /// a check that was answered here.
    pub fn take_heard(&mut self) -> Vec<u64> {
        let heard = self.endpoints.iter_mut().filter_map(|(connection, endpoint)| {
            std::mem::take(&mut endpoint.is_heard).then_some(*connection)
        });
        heard.collect()
    }

    // datagrams

    /// Take a datagram (RFC 7983 section 7 tells what it is).
    pub fn receive(
        &mut self,
        side: usize,
        source: SocketAddr,
        data: &[u8],
        times: Times,
        outgoing: &mut Outgoing,
    ) {
        let first = data.first().copied().unwrap_or_default();
        if first <= 3 {
            if !self.check_received(side, source, data, outgoing) {
                outgoing.tell(Event::Stun { side, source, data: data.to_vec() });
            }
            return;
        }
        let Some(connection) = self.by_address.get(&source).copied() else {
            self.totals.unknown_source += 1;
            return;
        };
        match first {
            20..64 => outgoing.tell(Event::Dtls { connection, source, data: data.to_vec() }),
            128..192 => self.media_received(connection, source, data, times, outgoing),
            _ => {}
        }
    }

    fn media_received(
        &mut self,
        connection: u64,
        source: SocketAddr,
        data: &[u8],
        times: Times,
        outgoing: &mut Outgoing,
    ) {
        let Some(endpoint) = self.endpoints.get_mut(&connection) else {
            return;
        };
        let Some(inbound) = &mut endpoint.inbound else {
            if endpoint.held.len() < MAX_HELD && data.len() <= MAX_DATAGRAM {
                endpoint.held.push((source, times.arrived, data.to_vec()));
            } else {
                self.totals.srtp += 1;
            }
            return;
        };
        if !(12..=MAX_DATAGRAM).contains(&data.len()) {
            self.totals.srtp += 1;
            return;
        }
        let mut packet = std::mem::take(&mut self.scratch);
        packet.clear();
        packet.extend_from_slice(data);
        let is_rtcp = matches!(data.get(1), Some(192..224)); // RFC 5761 section 4
        let opened = if is_rtcp {
            inbound.unprotect_rtcp(&mut packet)
        } else {
            inbound.unprotect_rtp(&mut packet)
        };
        if let Ok(length) = opened {
            if endpoint.is_from(source) {
                endpoint.is_heard = true;
            } else if times.now - endpoint.told_elsewhere >= ELSEWHERE_SECONDS {
                endpoint.told_elsewhere = times.now;
                outgoing.tell(Event::Elsewhere { connection, source });
            }
            let half = endpoint.half;
            let plain = packet.get_mut(..length).unwrap_or_default();
            self.plain_received(connection, half, is_rtcp, plain, times, outgoing);
        } else {
            self.totals.srtp += 1;
        }
        self.scratch = packet;
    }

    fn plain_received(
        &mut self,
        connection: u64,
        half: Half,
        is_rtcp: bool,
        data: &mut [u8],
        times: Times,
        outgoing: &mut Outgoing,
    ) {
        match half {
            Half::Publish => {
                let Some(publisher) = self.publishers.get_mut(&connection) else {
                    return;
                };
                let (subscribers, totals) = (&mut self.subscribers, &mut self.totals);
                let mut around = Surroundings { subscribers, totals, outgoing, times };
                if is_rtcp {
                    publisher.rtcp_received(data, &mut around);
                } else {
                    publisher.rtp_received(data, &mut around);
                }
            }
            Half::Subscribe if is_rtcp => {
                let Some(subscriber) = self.subscribers.get_mut(&connection) else {
                    return;
                };
                let (publishers, totals) = (&mut self.publishers, &mut self.totals);
                subscriber.rtcp_received(data, publishers, totals, outgoing, times.now);
            }
            Half::Subscribe => {} // it publishes nothing
        }
    }

    // all of them

    /// Ten times a second: ask again, tell publishers what arrived; what the control is told.
    pub fn tick(&mut self, now: f64, outgoing: &mut Outgoing) -> Told {
        let mut told = Told::default();
        for (connection, publisher) in &mut self.publishers {
            publisher.tick(outgoing, now, |of, state| {
                told.tracks.push(((of.publisher, of.track), state));
            });
            let noted = publisher.take_noted();
            if !noted.is_empty() {
                told.noted.push((*connection, noted));
            }
        }
        for (connection, subscriber) in &mut self.subscribers {
            subscriber.tick(&self.publishers, |who, state| {
                told.downs.push(((who.subscriber, who.down), state));
            });
            let (bytes, reports) = subscriber.egress.tick();
            if bytes > 0 || !reports.is_empty() {
                told.reports.push((*connection, bytes, reports.into()));
            }
        }
        told
    }

    /// Totals up to now.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The same, to be added to.
    pub fn totals_mut(&mut self) -> &mut Totals {
        &mut self.totals
    }

    /// Packets and reports of peers that were malformed.
    pub fn malformed(&self) -> u64 {
        let publishers = self.publishers.values().map(|each| each.malformed).sum::<u64>();
        publishers + self.subscribers.values().map(|each| each.malformed).sum::<u64>()
    }
}
