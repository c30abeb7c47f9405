//! Bit rates of allocations and of users; as `callfleet_relay.quota` has them.

use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::Mutex;

/// A rate with a burst of one second's bits.
#[derive(Debug)]
struct TokenBucket {
    rate: f64,
    tokens: f64,
    filled_at: f64,
}

impl TokenBucket {
    fn new(rate: u64, now: f64) -> Self {
        #[allow(clippy::cast_precision_loss)]
        let rate = rate as f64;
        Self { rate, tokens: rate, filled_at: now }
    }

    fn fill(&mut self, now: f64) {
        let gained = (now - self.filled_at).max(0.0) * self.rate;
        self.tokens = (self.tokens + gained).min(self.rate);
        self.filled_at = now;
    }

    fn admits(&mut self, bits: f64, now: f64) -> bool {
        self.fill(now);
        if self.tokens < bits {
            return false;
        }
        self.tokens -= bits;
        true
    }

    fn spend(&mut self, bits: f64, now: f64) -> f64 {
        self.fill(now);
        self.tokens -= bits;
        (-self.tokens / self.rate).max(0.0)
    }

    fn give_back(&mut self, bits: f64) {
        self.tokens = (self.tokens + bits).min(self.rate);
    }
}

type Shared = Arc<Mutex<TokenBucket>>;

/// The limit of one session in one direction: its own, its user's, or both.
#[derive(Clone, Debug)]
pub struct Limit {
    own: Option<Shared>,
    user: Option<Shared>,
}

#[allow(clippy::cast_precision_loss)]
fn bits(size: usize) -> f64 {
    size as f64 * 8.0
}

impl Limit {
    /// Take so many bytes of both buckets, or of none, at monotonic second `now`.
    pub fn admits(&self, size: usize, now: f64) -> bool {
        let wanted = bits(size);
        if let Some(own) = &self.own {
            if !own.lock().admits(wanted, now) {
                return false;
            }
        }
        match &self.user {
            Some(user) if !user.lock().admits(wanted, now) => {
                if let Some(own) = &self.own {
                    own.lock().give_back(wanted);
                }
                false
            }
            _ => true,
        }
    }

    /// Take so many bytes, there or not; seconds until they are.
    pub fn spend(&self, size: usize, now: f64) -> f64 {
        let wanted = bits(size);
        [&self.own, &self.user]
            .into_iter()
            .flatten()
            .map(|bucket| bucket.lock().spend(wanted, now))
            .fold(0.0, f64::max)
    }
}

#[derive(Debug)]
struct UserBuckets {
    upstream: Shared,
    downstream: Shared,
    sessions: usize,
}

/// The limits of all sessions; bits a second, 0 for none.
#[derive(Debug)]
pub struct BitRates {
    per_allocation: u64,
    per_user: u64,
    users: Mutex<AHashMap<String, UserBuckets>>,
}

impl BitRates {
    /// In each direction.
    pub fn new(per_allocation: u64, per_user: u64) -> Self {
        Self { per_allocation, per_user, users: Mutex::default() }
    }

    /// Limits of a new session, from its client and to it; `close` gives them back.
    pub fn open(&self, user: &str, now: f64) -> (Option<Limit>, Option<Limit>) {
        if self.per_user == 0 {
            return (self.limit(None, now), self.limit(None, now));
        }
        let mut users = self.users.lock();
        let bucket = || Arc::new(Mutex::new(TokenBucket::new(self.per_user, now)));
        let buckets = users.entry(user.to_owned()).or_insert_with(|| UserBuckets {
            upstream: bucket(),
            downstream: bucket(),
            sessions: 0,
        });
        buckets.sessions += 1;
        (
            self.limit(Some(buckets.upstream.clone()), now),
            self.limit(Some(buckets.downstream.clone()), now),
        )
    }

    /// A session of this user has ended.
    pub fn close(&self, user: &str) {
        let mut users = self.users.lock();
        if let Some(buckets) = users.get_mut(user) {
            buckets.sessions = buckets.sessions.saturating_sub(1);
            if buckets.sessions == 0 {
                users.remove(user);
            }
        }
    }

    fn limit(&self, user: Option<Shared>, now: f64) -> Option<Limit> {
        let own = (self.per_allocation > 0)
            .then(|| Arc::new(Mutex::new(TokenBucket::new(self.per_allocation, now))));
        (own.is_some() || user.is_some()).then_some(Limit { own, user })
    }
}
