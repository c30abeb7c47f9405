//! The native data plane as `callfleet_relay._native`. Only this crate knows Python.

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use callfleet_relay_plane as plane;
use callfleet_relay_plane::{Client, Drop, Handed, Limit};
use callfleet_udp::duplicate;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

mod address;
mod streams;
mod tls;

use address::{Address, read_address, write_address};
use streams::{StreamBatches, StreamRelay};
use tls::{TlsConnection, TlsServer};

/// In the order of the fields of `Traffic`.
type Traffic = (u64, u64, u64, u64);

fn read_client(listener: usize, address: &Address) -> PyResult<Client> {
    Ok(Client { listener, address: read_address(address)? })
}

/// The limit of one session in one direction: see `callfleet_relay.quota.RateLimit`.
#[pyclass(frozen)]
struct RateLimit(Limit);

#[pymethods]
impl RateLimit {
    /// Take `size` bytes at monotonic second `now`, if they are there.
    fn admits(&self, size: usize, now: f64) -> bool {
        self.0.admits(size, now)
    }

    /// Take `size` bytes, there or not; seconds until they are.
    fn spend(&self, size: usize, now: f64) -> f64 {
        self.0.spend(size, now)
    }
}

/// See `callfleet_relay.quota.BitRates`.
#[pyclass(frozen)]
struct BitRates(plane::BitRates);

#[pymethods]
impl BitRates {
    #[new]
    #[pyo3(signature = (*, per_allocation = 0, per_user = 0))]
    fn new(per_allocation: u64, per_user: u64) -> Self {
        Self(plane::BitRates::new(per_allocation, per_user))
    }

    /// Limits of a new session, from its client and to it.
    fn open(&self, user: &str, now: f64) -> (Option<RateLimit>, Option<RateLimit>) {
        let (upstream, downstream) = self.0.open(user, now);
        (upstream.map(RateLimit), downstream.map(RateLimit))
    }

    /// A session of this user has ended.
    fn close(&self, user: &str) {
        self.0.close(user);
    }
}

/// The data plane.
#[pyclass(frozen)]
struct Plane(Arc<plane::Plane>);

#[pymethods]
impl Plane {
    /// `listeners`: descriptors of the sockets of each thread, which are duplicated. `now`: the
    /// monotonic second that bit rates go by.
    #[new]
    fn new(listeners: Vec<Vec<RawFd>>, relayed_hosts: Vec<Vec<u8>>, now: f64) -> PyResult<Self> {
        let listeners = listeners
            .iter()
            .map(|sockets| sockets.iter().map(|socket| duplicate(*socket)).collect())
            .collect::<std::io::Result<Vec<Vec<OwnedFd>>>>()?;
        let hosts = relayed_hosts
            .into_iter()
            .map(|ip| Ok(read_address(&(ip, 0, 0))?.ip()))
            .collect::<PyResult<Vec<IpAddr>>>()?;
        let made = plane::Plane::new(listeners, hosts.into_iter().collect(), now)?;
        Ok(Self(Arc::new(made)))
    }

    /// Can be read while `take` has something to give.
    fn descriptor(&self) -> RawFd {
        self.0.ring().as_fd().as_raw_fd()
    }

    /// What the protocol core is told, up to `limit` of it: tuples that begin with their kind.
    fn take<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let told = self.0.ring().take(limit);
        told.iter().map(|handed| write_handed(py, handed)).collect()
    }

    fn reply(&self, listener: usize, client: Address, data: &[u8]) -> PyResult<()> {
        self.0.reply(read_client(listener, &client)?, data);
        Ok(())
    }

    /// `relays`: descriptors, which are duplicated, and whether they are of IPv6.
    #[allow(clippy::too_many_arguments)]
    fn open(
        &self,
        session: u64,
        listener: usize,
        client: Address,
        relays: Vec<(bool, RawFd)>,
        upstream: Option<PyRef<'_, RateLimit>>,
        downstream: Option<PyRef<'_, RateLimit>>,
        worker: usize,
    ) -> PyResult<()> {
        let relays = relays
            .iter()
            .map(|(is_ipv6, socket)| Ok((*is_ipv6, duplicate(*socket)?)))
            .collect::<std::io::Result<_>>()?;
        self.0.open(plane::Opening {
            session,
            client: read_client(listener, &client)?,
            relays,
            upstream: upstream.map(|limit| limit.0.clone()),
            downstream: downstream.map(|limit| limit.0.clone()),
            worker,
        })?;
        Ok(())
    }

    fn close_relay(&self, session: u64, is_ipv6: bool) {
        self.0.close_relay(session, is_ipv6);
    }

    fn expect_client(&self, session: u64, listener: usize, client: Address) -> PyResult<()> {
        self.0.expect_client(session, read_client(listener, &client)?);
        Ok(())
    }

    fn move_client(&self, session: u64, listener: usize, client: Address) -> PyResult<()> {
        self.0.move_client(session, read_client(listener, &client)?);
        Ok(())
    }

    fn permit(&self, session: u64, host: Address, ports: Option<Vec<u16>>) -> PyResult<()> {
        let ports = ports.map(|ports| ports.into_iter().collect());
        self.0.permit(session, &read_address(&host)?, ports);
        Ok(())
    }

    fn forbid(&self, session: u64, host: Address) -> PyResult<()> {
        self.0.forbid(session, &read_address(&host)?);
        Ok(())
    }

    fn bind_channel(&self, session: u64, number: u16, peer: Address) -> PyResult<()> {
        self.0.bind_channel(session, number, read_address(&peer)?);
        Ok(())
    }

    fn unbind_channel(&self, session: u64, number: u16) {
        self.0.unbind_channel(session, number);
    }

    fn send_to_peer(
        &self,
        session: u64,
        peer: Address,
        data: &[u8],
        dont_fragment: bool,
    ) -> PyResult<()> {
        self.0.send_to_peer(session, read_address(&peer)?, data, dont_fragment);
        Ok(())
    }

    /// What the session has relayed.
    fn close_session(&self, session: u64) -> Traffic {
        write_traffic(&self.0.close_session(session))
    }

    fn packets(&self) -> u64 {
        self.0.packets()
    }

    /// Traffic, and drops by their cause.
    fn figures(&self, py: Python<'_>) -> (Traffic, Vec<(&'static str, u64)>) {
        let figures = py.detach(|| self.0.figures());
        let drops = Drop::ALL.map(|cause| (cause.name(), figures.dropped(cause)));
        (write_traffic(&figures.traffic), drops.to_vec())
    }

    /// End the threads; the sockets are closed with the object.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }
}

fn write_traffic(traffic: &plane::Traffic) -> Traffic {
    (
        traffic.packets_from_client,
        traffic.bytes_from_client,
        traffic.packets_to_client,
        traffic.bytes_to_client,
    )
}

fn write_handed<'py>(py: Python<'py>, handed: &Handed) -> PyResult<Bound<'py, PyAny>> {
    Ok(match handed {
        Handed::Datagram { client, worker, data } => {
            let address = write_address(py, &client.address);
            ("datagram", client.listener, address, *worker, PyBytes::new(py, data))
                .into_pyobject(py)?
                .into_any()
        }
        Handed::Arrived { session, client } => {
            let address = write_address(py, &client.address);
            ("arrived", *session, client.listener, address).into_pyobject(py)?.into_any()
        }
        Handed::Error { session, report } => {
            let peer = write_address(py, &report.peer);
            ("error", *session, peer, report.kind, report.code, report.info)
                .into_pyobject(py)?
                .into_any()
        }
    })
}

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::{BitRates, Plane, RateLimit, StreamBatches, StreamRelay, TlsConnection, TlsServer};
}
