//! From peers to the clients that they are permitted to reach.

use std::io::IoSlice;
use std::os::fd::AsFd;

use callfleet_udp::{Datagram, Inbox, Train};
use parking_lot::MutexGuard;

use crate::stun::Header;
use crate::tables::{Client, Drop, Tables};
use crate::worker::{BATCH, Runner, Worker};

/// Messages read from one relay socket before others get their turn.
const PER_RELAY: usize = 32;
const NO_PADDING: [u8; 3] = [0; 3];

/// A payload on its way to a client.
struct ToClient<'a> {
    session: u64,
    header: Header,
    payload: &'a [u8],
}

impl Runner {
    pub(crate) fn take_from_peers(
        &mut self,
        worker: &Worker,
        ready: &[(u64, bool)],
        inbox: &mut Inbox,
        tables: &mut MutexGuard<'_, Tables>,
    ) {
        inbox.clear();
        let mut received = Vec::with_capacity(ready.len().min(BATCH));
        for (session, is_ipv6) in ready {
            if inbox.room() == 0 {
                self.relay_to_clients(worker, &received, inbox, tables);
                received.clear();
                inbox.clear();
                MutexGuard::bump(tables);
            }
            let Some(flow) = tables.flows.get_mut(session) else {
                continue;
            };
            let Some(relay) = flow.relays.of(*is_ipv6) else {
                continue;
            };
            match inbox.receive(relay.socket.as_fd(), PER_RELAY) {
                Ok(count) => received.push((*session, count)),
                // What made it ready was an error, which stands in place of a datagram.
                Err(_) => {
                    let untold = flow.relays.take_errors(*session, &self.shared.ring);
                    tables.drops.add(Drop::Backlog, untold);
                }
            }
        }
        self.relay_to_clients(worker, &received, inbox, tables);
    }

    /// Relay what peers have sent, so many messages for each of these sessions in their order.
    fn relay_to_clients(
        &mut self,
        worker: &Worker,
        received: &[(u64, usize)],
        inbox: &Inbox,
        tables: &mut Tables,
    ) {
        let mut waiting: Vec<ToClient<'_>> = Vec::with_capacity(BATCH);
        let mut trains: Vec<(usize, Train)> = Vec::with_capacity(BATCH);
        let mut next = 0;
        for (session, count) in received {
            let messages = next..next + count;
            next = messages.end;
            for datagram in messages.flat_map(|message| inbox.datagrams(message)) {
                let Some(header) = self.head_for_client(*session, &datagram, tables) else {
                    continue;
                };
                let Some(flow) = tables.flows.get(session) else {
                    continue;
                };
                let payload = datagram.data;
                let size = header.bytes().len() + payload.len() + header.padding;
                let Client { listener, address } = flow.client;
                let joined = trains.last_mut().zip(self.coalescing.get(listener)).is_some_and(
                    |((of, train), coalescing)| {
                        *of == listener && train.to == address && train.admit(size, coalescing)
                    },
                );
                if !joined {
                    trains.push((listener, Train::new(address, size)));
                }
                waiting.push(ToClient { session: *session, header, payload });
            }
        }
        self.send_to_clients(worker, &trains, &waiting, tables);
    }

    /// What goes before a peer's payload, where it may go on.
    fn head_for_client(
        &mut self,
        session: u64,
        datagram: &Datagram<'_>,
        tables: &mut Tables,
    ) -> Option<Header> {
        let flow = tables.flows.get(&session)?;
        let (peer, size) = (&datagram.source, datagram.data.len());
        let made = match flow.numbers.get(peer) {
            Some(number) => u16::try_from(size)
                .map(|size| Header::channel_data(*number, size))
                .map_err(|_| Drop::TooLong),
            None if flow.permits(peer) => {
                Header::data_indication(peer, size, self.transaction()).ok_or(Drop::TooLong)
            }
            None => Err(Drop::NoPermission),
        };
        let limited = flow.downstream.as_ref();
        let made = made.and_then(|header| match limited {
            Some(limit) if !limit.admits(size, self.shared.now()) => Err(Drop::Rate),
            _ => Ok(header),
        });
        made.inspect_err(|cause| tables.drops.add(*cause, 1)).ok()
    }

    fn send_to_clients(
        &mut self,
        worker: &Worker,
        mut trains: &[(usize, Train)],
        mut waiting: &[ToClient<'_>],
        tables: &mut Tables,
    ) {
        let (mut ready, mut parts, mut lost) = (Vec::new(), Vec::new(), Vec::new());
        while let Some((listener, _)) = trains.first() {
            ready.clear();
            ready.extend(
                trains.iter().take_while(|(of, _)| of == listener).map(|(_, train)| *train),
            );
            let count: usize = ready.iter().map(|train| train.count).sum();
            let (mine, others) = waiting.split_at_checked(count).unwrap_or((waiting, &[]));
            parts.clear();
            parts.extend(mine.iter().map(|each| {
                let padding = NO_PADDING.get(..each.header.padding).unwrap_or_default();
                [
                    IoSlice::new(each.header.bytes()),
                    IoSlice::new(each.payload),
                    IoSlice::new(padding),
                ]
            }));
            let socket = worker.listeners.get(*listener).zip(self.coalescing.get(*listener));
            if let Some((socket, coalescing)) = socket {
                self.outbox.send(socket.as_fd(), &ready, &parts, coalescing, || false, &mut lost);
            }
            let mut failed = lost.iter().map(|each| each.datagram).peekable();
            for (at, each) in mine.iter().enumerate() {
                if failed.next_if_eq(&at).is_some() {
                    continue;
                }
                tables.packets += 1;
                if let Some(flow) = tables.flows.get_mut(&each.session) {
                    flow.traffic.packets_to_client += 1;
                    flow.traffic.bytes_to_client += each.payload.len() as u64;
                }
            }
            tables.add_lost(&mut lost);
            waiting = others;
            trains = trains.get(ready.len()..).unwrap_or_default();
        }
    }
}
