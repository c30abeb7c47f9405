//! From clients to their peers.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use callfleet_udp::{Datagram, Inbox, Lost, Outbox, Train};
use parking_lot::MutexGuard;

use crate::ring::{Handed, Ring};
use crate::stun::parse_send;
use crate::tables::{Client, Drop, Flow, Tables};
use crate::worker::{BATCH, Runner, Worker};

const CHANNEL_HEADER: usize = 4;

/// A payload on its way to a peer.
struct ToPeer<'a> {
    train: usize,
    payload: &'a [u8],
}

struct PeerTrain {
    session: u64,
    train: Train,
}

impl Runner {
    pub(crate) fn take_from_clients(
        &mut self,
        worker: &Worker,
        listener: usize,
        inbox: &mut Inbox,
        tables: &mut MutexGuard<'_, Tables>,
    ) {
        let Some(socket) = worker.listeners.get(listener) else {
            return;
        };
        inbox.clear();
        if inbox.receive(socket.as_fd(), BATCH).is_err() {
            return; // taken meanwhile, or an error that is now cleared
        }
        let datagrams = (0..inbox.len()).flat_map(|message| inbox.datagrams(message));
        let strays =
            self.relay_to_peers(listener, datagrams, tables, self.shared.workers.len() > 1);
        if !strays.is_empty() {
            MutexGuard::unlocked(tables, || self.relay_strays(listener, strays));
        }
    }

    /// Relay for clients whose flows another worker has.
    fn relay_strays(&mut self, listener: usize, strays: Vec<(usize, Datagram<'_>)>) {
        let shared = self.shared.clone();
        for (index, worker) in shared.workers.iter().enumerate() {
            let mut of_worker = strays
                .iter()
                .filter(|(home, _)| *home == index)
                .map(|(_, datagram)| *datagram)
                .peekable();
            if of_worker.peek().is_some() {
                self.relay_to_peers(listener, of_worker, &mut worker.tables.lock(), false);
            }
        }
    }

    /// Relay what clients have sent; gives back what is for another worker's flows, and which.
    fn relay_to_peers<'a>(
        &mut self,
        listener: usize,
        datagrams: impl Iterator<Item = Datagram<'a>>,
        tables: &mut Tables,
        may_stray: bool,
    ) -> Vec<(usize, Datagram<'a>)> {
        self.batch += 1;
        let mut strays = Vec::new();
        let mut trains: Vec<PeerTrain> = Vec::new();
        let mut payloads: Vec<ToPeer<'a>> = Vec::with_capacity(BATCH);
        let mut in_order = true;
        for datagram in datagrams {
            let client = Client { listener, address: datagram.source };
            if may_stray && !tables.clients.contains_key(&client) {
                if let Some(home) = self.shared.home(&client).filter(|home| *home != self.index) {
                    strays.push((home, datagram));
                    continue;
                }
            }
            let Some((session, to, payload)) = self.route(client, datagram.data, tables) else {
                continue;
            };
            let Some(flow) = tables.flows.get_mut(&session) else {
                continue;
            };
            if let Some(limit) = &flow.upstream {
                if !limit.admits(payload.len(), self.shared.now()) {
                    tables.drops.add(Drop::Rate, 1);
                    continue;
                }
            }
            let Some(relay) = flow.relays.of(to.is_ipv6()) else {
                tables.drops.add(Drop::NoChannel, 1);
                continue;
            };
            let (batch, last) = flow.train;
            let open = trains.get_mut(last).filter(|_| batch == self.batch);
            let joined = open.is_some_and(|open| {
                open.train.to == to && open.train.admit(payload.len(), &relay.coalescing)
            });
            if joined {
                in_order &= last + 1 == trains.len();
            } else {
                flow.train = (self.batch, trains.len());
                trains.push(PeerTrain { session, train: Train::new(to, payload.len()) });
            }
            payloads.push(ToPeer { train: flow.train.1, payload });
        }
        if !in_order {
            payloads.sort_by_key(|each| each.train);
        }
        self.send_to_peers(&trains, &payloads, tables);
        strays
    }

    /// Where a client's datagram goes, and what of it; what goes nowhere is counted or handed over.
    fn route<'a>(
        &self,
        client: Client,
        data: &'a [u8],
        tables: &mut Tables,
    ) -> Option<(u64, SocketAddr, &'a [u8])> {
        let Some((&[one, two, three, four], rest)) = data.split_first_chunk::<CHANNEL_HEADER>()
        else {
            tables.drops.add(Drop::Malformed, 1);
            return None;
        };
        if one & 0xC0 != 0x40 {
            return self.route_message(client, data, tables);
        }
        let known = tables.clients.get(&client).copied();
        let flow = known
            .or_else(|| self.arrived(client, tables))
            .and_then(|session| tables.flows.get(&session));
        let number = u16::from_be_bytes([one, two]);
        let Some((session, to)) =
            flow.and_then(|flow| Some((flow.session, *flow.channels.get(&number)?)))
        else {
            tables.drops.add(Drop::NoChannel, 1);
            return None;
        };
        let length = usize::from(u16::from_be_bytes([three, four]));
        let Some(payload) = rest.get(..length) else {
            tables.drops.add(Drop::Malformed, 1);
            return None;
        };
        Some((session, to, payload))
    }

    /// A Send that the core has let go before is relayed; it judges all else.
    fn route_message<'a>(
        &self,
        client: Client,
        data: &'a [u8],
        tables: &mut Tables,
    ) -> Option<(u64, SocketAddr, &'a [u8])> {
        let flow = tables.clients.get(&client).and_then(|session| tables.flows.get(session));
        if let Some((flow, send)) = flow.zip(parse_send(data)) {
            if flow.may_send(&send.peer) && flow.relays.of(send.peer.is_ipv6()).is_some() {
                return Some((flow.session, send.peer, send.data));
            }
        }
        let handed = Handed::Datagram { client, worker: self.index, data: data.to_vec() };
        if !self.shared.ring.push(handed) {
            tables.drops.add(Drop::Backlog, 1);
        }
        None
    }

    /// The session whose client was expected here, now that it has come: it has moved.
    fn arrived(&self, client: Client, tables: &mut Tables) -> Option<u64> {
        let session = *tables.expected.get(&client)?;
        if let Some(before) = tables.move_client(session, client) {
            if self.shared.workers.len() > 1 {
                self.shared.homes.write().remove(&before);
            }
        }
        if !self.shared.ring.push(Handed::Arrived { session, client }) {
            tables.drops.add(Drop::Backlog, 1);
        }
        Some(session)
    }

    fn send_to_peers(
        &mut self,
        mut trains: &[PeerTrain],
        mut payloads: &[ToPeer<'_>],
        tables: &mut Tables,
    ) {
        let (mut ready, mut parts, mut lost) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(first) = trains.first() {
            let is_ipv6 = first.train.to.is_ipv6();
            let same = |each: &&PeerTrain| {
                each.session == first.session && each.train.to.is_ipv6() == is_ipv6
            };
            ready.clear();
            ready.extend(trains.iter().take_while(same).map(|each| each.train));
            let count: usize = ready.iter().map(|train| train.count).sum();
            let (mine, others) = payloads.split_at_checked(count).unwrap_or((payloads, &[]));
            parts.clear();
            parts.extend(mine.iter().map(|each| [IoSlice::new(each.payload)]));
            if let Some(flow) = tables.flows.get_mut(&first.session) {
                let untold = send_from_relay(
                    flow,
                    is_ipv6,
                    &ready,
                    &parts,
                    &mut self.outbox,
                    &self.shared.ring,
                    &mut lost,
                );
                tables.drops.add(Drop::Backlog, untold);
                let failed: usize = lost
                    .iter()
                    .filter_map(|each| mine.get(each.datagram))
                    .map(|each| each.payload.len())
                    .sum();
                let bytes = mine.iter().map(|each| each.payload.len()).sum::<usize>() - failed;
                let packets = (mine.len() - lost.len()) as u64;
                flow.traffic.packets_from_client += packets;
                flow.traffic.bytes_from_client += bytes as u64;
                tables.packets += packets;
                tables.add_lost(&mut lost);
            }
            payloads = others;
            trains = trains.get(ready.len()..).unwrap_or_default();
        }
    }
}

/// Send from a session's relayed address, and once more where an ICMP error about an earlier
/// datagram came in between; how many of those errors there was no room to tell.
pub(crate) fn send_from_relay<const P: usize>(
    flow: &Flow,
    is_ipv6: bool,
    trains: &[Train],
    parts: &[[IoSlice<'_>; P]],
    outbox: &mut Outbox,
    ring: &Ring,
    lost: &mut Vec<Lost>,
) -> u64 {
    let Some(relay) = flow.relays.of(is_ipv6) else {
        return 0;
    };
    let mut untold = 0;
    let once_more = || {
        untold += flow.relays.take_errors(flow.session, ring);
        true
    };
    outbox.send(relay.socket.as_fd(), trains, parts, &relay.coalescing, once_more, lost);
    if !lost.is_empty() {
        untold += flow.relays.take_errors(flow.session, ring);
    }
    untold
}
