//! The native media plane as `callfleet_engine._native`. Only this crate knows Python.
//!
//! Addresses are those of Python's sockets: host and port, with flow and scope in IPv6.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::thread::RawPthread;

use callfleet_media::{self as media, Accepted, Core, Event, Half, Keys, NewDown, Outgoing, Times};
use callfleet_srtp::Profile;
use callfleet_udp::duplicate;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

mod settings;
mod told;

use settings::PublisherSettings;
use told::{PyDownFigures, PyDownState, PyLayerFigures, PyTold};

#[derive(FromPyObject)]
enum Address {
    Four(String, u16),
    Six(String, u16, u32, u32),
}

/// Received packets, forwarded packets and bytes, lost in and out, jitter's counts and sum, malformed
/// packets, datagrams that were dropped by cause.
type Totals = (u64, u64, u64, u64, u64, Vec<u64>, f64, u64, Vec<(&'static str, u64)>);

/// SSRC of what is repeated, SSRC, payload types, first number.
type Rtx = (u32, u32, Vec<(u8, u8)>, u16);
/// Socket, address, data.
type Sent<'py> = (usize, Bound<'py, PyTuple>, Bound<'py, PyBytes>);

fn read_address(address: &Address) -> PyResult<SocketAddr> {
    let (Address::Four(host, port) | Address::Six(host, port, _, _)) = address;
    let ip: IpAddr = host
        .parse()
        .map_err(|_| PyValueError::new_err(format!("{host:?} is not an IP address")))?;
    Ok(match (ip, address) {
        (IpAddr::V6(six), Address::Six(_, _, flow, scope)) => {
            SocketAddrV6::new(six, *port, *flow, *scope).into()
        }
        _ => SocketAddr::new(ip, *port),
    })
}

fn write_address<'py>(py: Python<'py>, address: &SocketAddr) -> PyResult<Bound<'py, PyTuple>> {
    let (host, port) = (address.ip().to_string(), address.port());
    match address {
        SocketAddr::V4(_) => (host, port).into_pyobject(py),
        SocketAddr::V6(six) => (host, port, six.flowinfo(), six.scope_id()).into_pyobject(py),
    }
}

fn write_event<'py>(py: Python<'py>, event: &Event) -> PyResult<Bound<'py, PyTuple>> {
    match event {
        Event::Stun { side, source, data } => {
            ("stun", *side, write_address(py, source)?, PyBytes::new(py, data)).into_pyobject(py)
        }
        Event::Dtls { connection, source, data } => {
            ("dtls", *connection, write_address(py, source)?, PyBytes::new(py, data))
                .into_pyobject(py)
        }
        Event::Elsewhere { connection, source } => {
            ("elsewhere", *connection, write_address(py, source)?).into_pyobject(py)
        }
    }
}

/// The media plane: see `callfleet_engine.media.native`. Times are seconds of the clock that `now`
/// is of.
#[pyclass(frozen)]
struct Plane(media::Plane);

impl Plane {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut Core, &mut Outgoing) -> T + Send,
    ) -> T {
        py.detach(|| self.0.with(act))
    }
}

#[pymethods]
impl Plane {
    /// `sockets`: descriptors of the port's sockets, which are duplicated; without any it does no
    /// I/O.
    #[new]
    fn new(sockets: Vec<RawFd>, now: f64) -> PyResult<Self> {
        let sockets =
            sockets.iter().map(|socket| duplicate(*socket)).collect::<std::io::Result<Vec<_>>>()?;
        Ok(Self(media::Plane::new(sockets, now)?))
    }

    /// Can be read while `take` has something to give.
    fn descriptor(&self) -> RawFd {
        self.0.ring().as_fd().as_raw_fd()
    }

    /// The thread that moves packets, as `time.pthread_getcpuclockid` takes it.
    fn thread(&self) -> PyResult<RawPthread> {
        self.0
            .thread()
            .ok_or_else(|| PyValueError::new_err("a plane without sockets has no thread"))
    }

    /// What came for others, up to `limit` of it: tuples that begin with their kind.
    fn take<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        self.0.ring().take(limit).iter().map(|event| write_event(py, event)).collect()
    }

    /// Send a datagram that is not media from that socket.
    fn send(&self, py: Python<'_>, side: usize, to: Address, data: &[u8]) -> PyResult<()> {
        let to = read_address(&to)?;
        py.detach(|| self.0.send(side, &to, data));
        Ok(())
    }

    // connections

    fn open(&self, py: Python<'_>, connection: u64, publishes: bool) {
        let half = if publishes { Half::Publish } else { Half::Subscribe };
        self.with(py, |core, _| core.open(connection, half));
    }

    fn end(&self, py: Python<'_>, connection: u64) {
        self.with(py, |core, _| core.end(connection));
    }

    fn claim(&self, py: Python<'_>, address: Address, connection: u64) -> PyResult<()> {
        let address = read_address(&address)?;
        self.with(py, |core, _| core.claim(address, connection));
        Ok(())
    }

    fn release(&self, py: Python<'_>, address: Address) -> PyResult<()> {
        let address = read_address(&address)?;
        self.with(py, |core, _| core.release(&address));
        Ok(())
    }

    /// Send to this address from that socket from now on; without an address to nobody.
    fn select(
        &self,
        py: Python<'_>,
        connection: u64,
        side: usize,
        address: Option<Address>,
    ) -> PyResult<()> {
        let selected = address.as_ref().map(read_address).transpose()?;
        self.with(py, |core, _| core.select(connection, selected.map(|address| (side, address))));
        Ok(())
    }

    /// Answer this connection's checks with these where nothing else follows from them.
    fn serve(&self, py: Python<'_>, connection: u64, ufrag: &[u8], password: &[u8]) {
        self.with(py, |core, _| core.serve(connection, Some((ufrag, password))));
    }

    /// `profile` as OpenSSL calls it; keys and salts of both directions.
    fn set_keys(
        &self,
        py: Python<'_>,
        connection: u64,
        profile: &str,
        inbound: (Vec<u8>, Vec<u8>),
        outbound: (Vec<u8>, Vec<u8>),
        now: f64,
    ) -> PyResult<()> {
        let profile = Profile::from_name(profile).ok_or_else(|| {
            PyValueError::new_err(format!("no SRTP profile is called {profile:?}"))
        })?;
        let keys = Keys { profile, inbound, outbound };
        self.with(py, |core, outgoing| core.set_keys(connection, &keys, now, outgoing))
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Connections from whose selected address media or an answered check came since the last call.
    fn take_heard(&self, py: Python<'_>) -> Vec<u64> {
        self.with(py, |core, _| core.take_heard())
    }

    // publishers

    fn publish(&self, py: Python<'_>, connection: u64, settings: PublisherSettings) {
        self.with(py, |core, _| core.publish(connection, settings.into()));
    }

    fn set_sending(&self, py: Python<'_>, connection: u64, track: u32, sending: bool) {
        self.with(py, |core, _| core.set_sending(connection, track, sending));
    }

    fn request_keyframes(&self, py: Python<'_>, connection: u64, track: u32, now: f64) {
        self.with(py, |core, out| core.request_keyframes(connection, track, now, out));
    }

    /// Tell a publisher how it is received, and that its path carries `estimate` bit/s.
    fn report(&self, py: Python<'_>, connection: u64, estimate: Option<u64>, now: f64) {
        self.with(py, |core, outgoing| core.report(connection, estimate, now, outgoing));
    }

    /// Figures of all layers that a publisher sends.
    fn published(&self, py: Python<'_>, connection: u64) -> Vec<PyLayerFigures> {
        let figures = self.with(py, |core, _| core.published(connection));
        figures.into_iter().map(told::layer_figures).collect()
    }

    // subscribers

    /// `rtx`: SSRC of what is repeated, SSRC, payload types, first number.
    fn subscribe(&self, py: Python<'_>, connection: u64, transport_id: Option<u8>, rtx: Vec<Rtx>) {
        let streams = rtx.into_iter().map(|(of, ssrc, payload_types, sequence)| {
            media::RtxSettings { of, ssrc, payload_types, sequence }
        });
        let streams = streams.collect();
        self.with(py, |core, _| core.subscribe(connection, transport_id, streams));
    }

    /// A new m-line; its number.
    fn add_down(
        &self,
        py: Python<'_>,
        connection: u64,
        ssrc: u32,
        before_first: i64,
        timestamp: u32,
    ) -> PyResult<usize> {
        let made = NewDown { ssrc, before_first, timestamp };
        self.with(py, |core, _| core.add_down(connection, &made)).ok_or_else(|| {
            PyValueError::new_err(format!("connection {connection} is no subscriber"))
        })
    }

    fn renumber(&self, py: Python<'_>, connection: u64, down: usize, identifiers: Vec<(u8, u8)>) {
        self.with(py, |core, _| core.renumber(connection, down, &identifiers));
    }

    /// `down` and `of`: connection and number.
    fn attach(
        &self,
        py: Python<'_>,
        down: (u64, usize),
        of: (u64, u32),
        payload_types: Vec<(u8, u8)>,
        unwrapped: Vec<(u8, u8)>,
        cname: &str,
    ) {
        let accepted = Accepted { payload_types, unwrapped };
        self.with(py, |core, _| core.attach(down, of, accepted, cname));
    }

    fn accept(
        &self,
        py: Python<'_>,
        connection: u64,
        down: usize,
        payload_types: Vec<(u8, u8)>,
        unwrapped: Vec<(u8, u8)>,
    ) {
        let accepted = Accepted { payload_types, unwrapped };
        self.with(py, |core, _| core.accept(connection, down, accepted));
    }

    fn detach(&self, py: Python<'_>, connection: u64, down: usize) {
        self.with(py, |core, _| core.detach(connection, down));
    }

    fn choose(
        &self,
        py: Python<'_>,
        connection: u64,
        down: usize,
        layer: Option<usize>,
    ) -> PyDownState {
        let state = self.with(py, |core, _| core.choose(connection, down, layer));
        told::down(&state.unwrap_or_default())
    }

    fn want_keyframe(&self, py: Python<'_>, connection: u64, down: usize, now: f64) {
        self.with(py, |core, outgoing| core.want_keyframe(connection, down, now, outgoing));
    }

    fn set_padding(&self, py: Python<'_>, connection: u64, size: f64) {
        self.with(py, |core, _| core.set_padding(connection, size));
    }

    /// Layer, target, and a payload type that is not taken, at this moment.
    fn state(&self, py: Python<'_>, connection: u64, down: usize) -> PyDownState {
        let state = self.with(py, |core, _| core.state(connection, down));
        told::down(&state.unwrap_or_default())
    }

    /// Figures of one m-line of a subscriber.
    fn figures(&self, py: Python<'_>, connection: u64, down: usize) -> PyDownFigures {
        let figures = self.with(py, |core, _| core.figures(connection, down));
        told::down_figures(&figures.unwrap_or_default())
    }

    // all of them

    fn tick<'py>(&self, py: Python<'py>, now: f64) -> PyResult<PyTold<'py>> {
        let told = self.with(py, |core, outgoing| core.tick(now, outgoing));
        told::told(py, told)
    }

    fn totals(&self, py: Python<'_>) -> Totals {
        let (t, malformed) = self.with(py, |core, _| (core.totals().clone(), core.malformed()));
        (
            t.received_packets,
            t.forwarded_packets,
            t.forwarded_bytes,
            t.lost_packets_in,
            t.lost_packets_out,
            t.jitter_counts.to_vec(),
            t.jitter_sum,
            malformed,
            vec![
                ("unknown_source", t.unknown_source),
                ("srtp", t.srtp),
                ("replayed", t.replayed),
                ("backlog", t.backlog),
                ("send_buffer", t.send_buffer),
            ],
        )
    }

    /// End the thread and close the sockets.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }

    // without sockets

    /// Take a datagram as from that socket.
    fn receive(
        &self,
        py: Python<'_>,
        side: usize,
        source: Address,
        data: &[u8],
        now: f64,
    ) -> PyResult<()> {
        let source = read_address(&source)?;
        let times = Times::at(now);
        self.with(py, |core, outgoing| core.receive(side, source, data, times, outgoing));
        Ok(())
    }

    /// What would have been sent: socket, address, data.
    fn take_datagrams<'py>(&self, py: Python<'py>) -> PyResult<Vec<Sent<'py>>> {
        let taken = self.0.take_datagrams();
        taken
            .iter()
            .map(|(to, data)| Ok((to.side, write_address(py, &to.to)?, PyBytes::new(py, data))))
            .collect()
    }
}

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::Plane;
}
