//! Addresses as Python has them: tuples of the IP address in bytes, the port, and the number of the
//! interface for link-local ones, else 0.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

pub(crate) type Address = (Vec<u8>, u16, u32);

pub(crate) fn read_address((ip, port, scope): &Address) -> PyResult<SocketAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(ip.as_slice()) {
        return Ok(SocketAddr::new(Ipv4Addr::from(four).into(), *port));
    }
    let six = <[u8; 16]>::try_from(ip.as_slice())
        .map_err(|_| PyValueError::new_err("an IP address has 4 or 16 bytes"))?;
    Ok(SocketAddrV6::new(Ipv6Addr::from(six), *port, 0, *scope).into())
}

pub(crate) fn write_address<'py>(
    py: Python<'py>,
    address: &SocketAddr,
) -> (Bound<'py, PyBytes>, u16, u32) {
    let (ip, scope) = match address {
        SocketAddr::V4(four) => (PyBytes::new(py, &four.ip().octets()), 0),
        SocketAddr::V6(six) => (PyBytes::new(py, &six.ip().octets()), six.scope_id()),
    };
    (ip, address.port(), scope)
}
