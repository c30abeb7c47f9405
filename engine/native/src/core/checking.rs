//! Which checks are answered here, and for whom.

use std::net::SocketAddr;

use callfleet_stun::{Check, MAX_ANSWER};

use crate::checks::Checks;
use crate::core::Core;
use crate::outgoing::Outgoing;

impl Core {
    /// Answer checks with this ufrag and password from now on where nothing else follows from them;
    /// `None`: no checks.
    pub fn serve(&mut self, connection: u64, credentials: Option<(&[u8], &[u8])>) {
        let Some(endpoint) = self.endpoints.get_mut(&connection) else {
            return;
        };
        if let Some(before) = endpoint.checks.take() {
            self.by_ufrag.remove(&before.ufrag);
        }
        endpoint.checks = credentials.and_then(|(ufrag, password)| Checks::new(ufrag, password));
        if let Some(checks) = &endpoint.checks {
            self.by_ufrag.insert(checks.ufrag.clone(), connection);
        }
    }

    /// Whether it needs nobody else: a check of a connected client, or a recording of one.
    pub(super) fn check_received(
        &mut self,
        side: usize,
        source: SocketAddr,
        data: &[u8],
        outgoing: &mut Outgoing,
    ) -> bool {
        let Some(check) = Check::read(data) else {
            return false;
        };
        let Some(connection) = self.by_ufrag.get(check.ufrag).copied() else {
            return false;
        };
        let Some(endpoint) = self.endpoints.get_mut(&connection) else {
            return false;
        };
        let is_from_selected = endpoint.is_from(source);
        let Some(checks) = &mut endpoint.checks else {
            return false;
        };
        if endpoint.selected != Some((side, source)) {
            let is_recording = checks.has_answered(&check) && !is_from_selected;
            self.totals.replayed += u64::from(is_recording);
            return is_recording;
        }
        if !checks.take(&check) {
            return false;
        }
        endpoint.is_heard = true;
        outgoing.push((connection, side, source), MAX_ANSWER, |out| {
            check.answer(&source, &checks.password, out.first_chunk_mut()?)
        })
    }
}
