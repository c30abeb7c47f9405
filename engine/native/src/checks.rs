//! Checks of clients that are connected, answered without the control: they change nothing.
//!
//! Only those that come from the selected address to the selected socket with the credentials that
//! serve are answered here. The control has all others, and learns once a sweep who was heard.

use std::collections::VecDeque;

use callfleet_stun::{Check, Password, Transaction};

/// Transactions that are remembered, as the reference does (`MAX_TRANSACTIONS`).
const MAX_TRANSACTIONS: usize = 64;

/// The credentials that serve one connection, and what was answered with them.
#[derive(Debug)]
pub(crate) struct Checks {
    pub(crate) ufrag: Box<[u8]>,
    pub(crate) password: Password,
    answered: VecDeque<Transaction>,
}

impl Checks {
    /// `None` for a password that cannot be a key.
    pub(crate) fn new(ufrag: &[u8], password: &[u8]) -> Option<Self> {
        let password = Password::new(password)?;
        Some(Self { ufrag: ufrag.into(), password, answered: VecDeque::new() })
    }

    /// Whether the client has sent it before: from elsewhere it is a recording.
    pub(crate) fn has_answered(&self, check: &Check<'_>) -> bool {
        self.answered.contains(&check.transaction)
    }

    /// Whether it is the client's; remembered if so.
    pub(crate) fn take(&mut self, check: &Check<'_>) -> bool {
        if !check.is_of(&self.password) {
            return false;
        }
        if !self.has_answered(check) {
            if self.answered.len() >= MAX_TRANSACTIONS {
                self.answered.pop_front();
            }
            self.answered.push_back(check.transaction);
        }
        true
    }
}
