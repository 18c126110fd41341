//! Cancel keys: how a client names its session when it asks, on another connection, to cancel.
//!
//! The keys are pgusher's own. A server's key would be the same for whoever holds that server
//! connection next, and would let one client cancel another (B1).

use std::collections::HashMap;

use subtle::ConstantTimeEq;

/// Bytes of a secret for clients that speak protocol 3.2; those that speak 3.0 can hold four.
pub const LONG_SECRET: usize = 32;

/// A secret for clients that speak protocol 3.0.
pub const SHORT_SECRET: usize = 4;

/// Random bytes that a key is made of: a number for the session, and its secret.
pub const KEY_MATERIAL: usize = 4 + LONG_SECRET;

/// A session's key, as BackendKeyData tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The session's number. Looks like a process id, and is not one.
    pub pid: u32,
    /// What only its client knows.
    pub secret: Vec<u8>,
}

/// Sessions by key.
#[derive(Debug)]
pub struct Registry<T> {
    sessions: HashMap<u32, (Box<[u8]>, T)>,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self {
            sessions: HashMap::new(),
        }
    }
}

impl<T> Registry<T> {
    /// Makes a key for `session` out of `random` bytes; gives the session back if its number is taken, to be tried again.
    pub fn register(
        &mut self,
        random: &[u8; KEY_MATERIAL],
        long: bool,
        session: T,
    ) -> Result<Key, T> {
        let (number, secret) = random.split_at(4);
        let number = number
            .first_chunk()
            .map_or(0, |bytes| u32::from_be_bytes(*bytes));
        // A client may hold it in a signed number, and 0 says that there is no key.
        let pid = number & 0x7fff_ffff;
        if pid == 0 || self.sessions.contains_key(&pid) {
            return Err(session);
        }
        let length = if long { LONG_SECRET } else { SHORT_SECRET };
        let secret = secret.get(..length).unwrap_or(secret).to_vec();
        self.sessions
            .insert(pid, (secret.as_slice().into(), session));
        Ok(Key { pid, secret })
    }

    /// The session whose key this is.
    pub fn find(&self, pid: u32, secret: &[u8]) -> Option<&T> {
        let (known, session) = self.sessions.get(&pid)?;
        bool::from(known.ct_eq(secret)).then_some(session)
    }

    /// The session with this number, for those who need no key.
    pub fn get(&self, pid: u32) -> Option<&T> {
        self.sessions.get(&pid).map(|(_, session)| session)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, pid: u32) -> Option<&mut T> {
        self.sessions.get_mut(&pid).map(|(_, session)| session)
    }

    /// The session has ended.
    pub fn forget(&mut self, pid: u32) {
        self.sessions.remove(&pid);
    }

    /// All sessions.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.sessions.values().map(|(_, session)| session)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(number: u32, fill: u8) -> [u8; KEY_MATERIAL] {
        let mut bytes = [fill; KEY_MATERIAL];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    // B5: only the whole key finds the session.
    #[test]
    fn a_key_opens_its_own_session_only() {
        let mut registry = Registry::default();
        let a = registry.register(&random(7, 1), false, "a").unwrap();
        let b = registry.register(&random(8, 2), true, "b").unwrap();
        assert_eq!(
            (a.pid, a.secret.len(), b.pid, b.secret.len()),
            (7, 4, 8, 32)
        );
        assert_eq!(registry.find(7, &a.secret), Some(&"a"));
        assert_eq!(registry.find(8, &a.secret), None);
        assert_eq!(registry.find(8, &b.secret[..4]), None);
        assert_eq!(registry.find(9, &b.secret), None);
        registry.forget(7);
        assert_eq!(registry.find(7, &a.secret), None);
    }

    #[test]
    fn numbers_are_positive_and_unique() {
        let mut registry = Registry::default();
        assert_eq!(registry.register(&random(0, 1), false, ()), Err(()));
        assert_eq!(
            registry.register(&random(0x8000_0000, 1), false, ()),
            Err(())
        );
        assert_eq!(
            registry
                .register(&random(0x8000_0001, 1), false, ())
                .map(|key| key.pid),
            Ok(1)
        );
        assert_eq!(registry.register(&random(1, 2), false, ()), Err(()));
        assert_eq!(registry.len(), 1);
    }
}
