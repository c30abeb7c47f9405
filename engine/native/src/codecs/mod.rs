//! Payloads of each codec that is forwarded.
