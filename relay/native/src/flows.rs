//! The sessions of one worker, found by their number, or at once by their place.

use std::net::SocketAddr;

use ahash::AHashMap;

use crate::tables::Flow;

/// Where a session stands while it lasts; another one may have the place afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(usize);

/// All sessions of a worker.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    places: Vec<Option<Flow>>,
    by_session: AHashMap<u64, Place>,
    free: Vec<Place>,
}

impl Flows {
    pub(crate) fn insert(&mut self, flow: Flow) -> Place {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            Place(self.places.len() - 1)
        });
        self.by_session.insert(flow.session, place);
        if let Some(kept) = self.places.get_mut(place.0) {
            *kept = Some(flow);
        }
        place
    }

    pub(crate) fn remove(&mut self, session: u64) -> Option<Flow> {
        let place = self.by_session.remove(&session)?;
        self.free.push(place);
        self.places.get_mut(place.0)?.take()
    }

    pub(crate) fn place(&self, session: u64) -> Option<Place> {
        self.by_session.get(&session).copied()
    }

    pub(crate) fn at(&self, place: Place) -> Option<&Flow> {
        self.places.get(place.0)?.as_ref()
    }

    pub(crate) fn at_mut(&mut self, place: Place) -> Option<&mut Flow> {
        self.places.get_mut(place.0)?.as_mut()
    }

    pub(crate) fn get(&self, session: u64) -> Option<&Flow> {
        self.at(self.place(session)?)
    }

    pub(crate) fn get_mut(&mut self, session: u64) -> Option<&mut Flow> {
        self.at_mut(self.place(session)?)
    }

    pub(crate) fn each_mut(&mut self) -> impl Iterator<Item = &mut Flow> {
        self.places.iter_mut().flatten()
    }
}

/// The channels of one session, by number and by peer; few, so that those of most lie together.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// In the order of their numbers.
    bound: Vec<(u16, SocketAddr)>,
    numbers: AHashMap<SocketAddr, u16>,
}

impl Channels {
    pub(crate) fn bind(&mut self, number: u16, peer: SocketAddr) {
        self.unbind(number);
        let at = self.bound.partition_point(|(each, _)| *each < number);
        self.bound.insert(at, (number, peer));
        self.numbers.insert(peer, number);
    }

    pub(crate) fn unbind(&mut self, number: u16) {
        if let Ok(at) = self.find(number) {
            let (_, peer) = self.bound.remove(at);
            self.numbers.remove(&peer);
        }
    }

    pub(crate) fn peer(&self, number: u16) -> Option<SocketAddr> {
        self.bound.get(self.find(number).ok()?).map(|(_, peer)| *peer)
    }

    pub(crate) fn number(&self, peer: &SocketAddr) -> Option<u16> {
        self.numbers.get(peer).copied()
    }

    fn find(&self, number: u16) -> Result<usize, usize> {
        self.bound.binary_search_by_key(&number, |(each, _)| *each)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::{Channels, Flows};
    use crate::tables::{Client, Flow, Tables};

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn a_place_goes_to_the_next_session() {
        let mut flows = Flows::default();
        let flow = |session| Flow::new(session, Client { listener: 0, address: address(1) });
        let first = flows.insert(flow(1));
        let second = flows.insert(flow(2));
        assert_ne!(first, second);
        assert!(flows.remove(1).is_some());
        assert!(flows.remove(1).is_none() && flows.at(first).is_none() && flows.get(1).is_none());
        assert_eq!(flows.insert(flow(3)), first);
        assert_eq!(flows.at(first).map(|flow| flow.session), Some(3));
        assert_eq!(flows.get(2).map(|flow| flow.session), Some(2));
        assert_eq!(flows.each_mut().count(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_client_leads_to_its_own_session_whatever_ends_or_moves(
            steps in proptest::collection::vec((0u8..4, 0u64..4, 0u16..4), 0..60)
        ) {
            let mut tables = Tables::default();
            for (number, (what, session, port)) in steps.into_iter().enumerate() {
                let client = Client { listener: 0, address: address(port) };
                match what {
                    0 if tables.flows.get(session).is_none() => tables.open(Flow::new(session, client)),
                    1 => tables.expect(session, client),
                    2 => { tables.move_client(session, client); }
                    _ => { tables.close(session); }
                }
                for (client, place) in &tables.clients {
                    let found = tables.flows.at(*place).map(|flow| flow.client);
                    prop_assert_eq!(found, Some(*client), "after step {}", number);
                }
            }
        }

        #[test]
        fn channels_are_found_by_number_and_by_peer(
            steps in proptest::collection::vec((0u16..8, any::<bool>()), 0..40)
        ) {
            let (mut channels, mut model) = (Channels::default(), BTreeMap::new());
            for (number, binds) in steps {
                if binds {
                    channels.bind(number, address(number + 1));
                    model.insert(number, address(number + 1));
                } else {
                    channels.unbind(number);
                    model.remove(&number);
                }
                for number in 0..8 {
                    prop_assert_eq!(channels.peer(number), model.get(&number).copied());
                    let back = channels.number(&address(number + 1));
                    prop_assert_eq!(back, model.contains_key(&number).then_some(number));
                }
            }
        }
    }
}
