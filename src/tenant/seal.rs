//! The sealed context: a proof, beside the tenant's id, that it was pgusher who set it.
//!
//! Whoever runs SQL may set the tenant's setting to whatever it likes. What it cannot make is the
//! seal of another id: an HMAC-SHA-256 over the name of the setting and the id, with a key that is
//! known here and to one function in the database ([`super::row_security`] prints it).
//!
//! The seal of one tenant is the same in all of its transactions, so it must not be seen by others: it is
//! never part of a text, which `pg_stat_activity` would show to everybody of the same role.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{SettingName, TenantId};
use crate::sync::Mutex;

/// What keys are made for: no other use of the same key can lead to a seal.
pub(super) const PURPOSE: &str = "pgusher-seal-v1";

/// As many bytes as SHA-256 gives: fewer would be the weakest part of it.
pub const MIN_KEY_BYTES: usize = 32;

/// SHA-256 reads so many at once.
const BLOCK: usize = 64;

/// A key, in the form in which the database has it: ready for both halves of an HMAC. Wiped when
/// dropped, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Key {
    inner: [u8; BLOCK],
    outer: [u8; BLOCK],
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// Takes the bytes of `secret` as they are; `None` if there are too few of them.
    pub fn new(secret: &[u8]) -> Option<Self> {
        if secret.len() < MIN_KEY_BYTES {
            return None;
        }
        let mut block = Zeroizing::new([0; BLOCK]);
        if secret.len() <= BLOCK {
            copy(&mut *block, secret);
        } else {
            let mut digest: [u8; 32] = Sha256::digest(secret).into();
            copy(&mut *block, &digest);
            digest.zeroize();
        }
        Some(Self {
            inner: block.map(|byte| byte ^ 0x36),
            outer: block.map(|byte| byte ^ 0x5c),
        })
    }

    fn hmac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let inner = Sha256::new_with_prefix(self.inner);
        let inner = parts
            .iter()
            .fold(inner, |hash, part| hash.chain_update(part));
        let outer = Sha256::new_with_prefix(self.outer);
        outer.chain_update(inner.finalize()).finalize().into()
    }

    /// The seal of `id` in `setting`, in hexadecimal digits. Neither may hold a blank, so that no
    /// two pairs make the same message.
    pub(super) fn seal(&self, setting: &SettingName, id: &TenantId) -> String {
        let parts = [PURPOSE, " ", setting.as_str(), " ", id.as_str()];
        hex(&self.hmac(&parts.map(str::as_bytes)))
    }

    /// What tells it from other keys, and says nothing else about it.
    pub fn name(&self) -> String {
        let all = hex(&self.hmac(&[b"pgusher-seal-key"]));
        all.get(..16).unwrap_or_default().to_owned()
    }

    /// Both halves in hexadecimal digits, the inner one first: as secret as the key.
    pub fn halves(&self) -> [Zeroizing<String>; 2] {
        [&self.inner, &self.outer].map(|half| Zeroizing::new(hex(half)))
    }
}

fn copy(into: &mut [u8], from: &[u8]) {
    for (to, from) in into.iter_mut().zip(from) {
        *to = *from;
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or_default();
    let digits = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    bytes.iter().flat_map(digits).collect()
}

/// Seals contexts, with a key that may be replaced while they are in use.
#[derive(Debug)]
pub struct Sealer {
    /// The setting that has the seal.
    setting: SettingName,
    key: Mutex<Arc<Key>>,
    /// How often the key was replaced.
    edition: AtomicU32,
}

impl Sealer {
    /// Puts seals into `setting`.
    pub fn new(setting: SettingName, key: Key) -> Self {
        Self {
            setting,
            key: Mutex::new(Arc::new(key)),
            edition: AtomicU32::new(0),
        }
    }

    /// The setting that has the seal.
    pub fn setting(&self) -> &SettingName {
        &self.setting
    }

    /// The key that holds now.
    pub fn key(&self) -> Arc<Key> {
        Arc::clone(&self.key.lock())
    }

    /// A number that changes with the key.
    pub(super) fn edition(&self) -> u32 {
        self.edition.load(Ordering::Acquire)
    }

    /// From now on the key of `other` holds.
    pub(super) fn adopt(&self, other: &Self) {
        let new = other.key();
        let mut key = self.key.lock();
        if **key != *new {
            *key = new;
            self.edition.fetch_add(1, Ordering::Release);
        }
    }
}

/// The name that goes with the tenant's: `app.tenant_id` and `app.tenant_seal`.
///
/// # Errors
/// When it would be too long.
pub fn usual_setting(setting: &SettingName) -> Result<SettingName, super::BadSetting> {
    let name = setting.as_str();
    let front = name.rsplit_once('.').map_or(name, |(front, _)| front);
    let last = name.rsplit_once('.').map_or(name, |(_, last)| last);
    let word = last.strip_suffix("_id").unwrap_or(last);
    SettingName::new(&format!("{front}.{word}_seal"))
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit as _, Mac as _};

    use super::*;
    use crate::tenant::Format;

    fn id(text: &str) -> TenantId {
        Format::Text.id(text.as_bytes()).unwrap()
    }

    fn name(text: &str) -> SettingName {
        SettingName::new(text).unwrap()
    }

    #[test]
    fn a_seal_is_an_hmac() {
        for length in [32, 63, 64, 65, 200] {
            let secret = vec![b'k'; length];
            let mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
            let mac = mac.chain_update(b"pgusher-seal-v1 app.tenant_id acme");
            let wanted = hex(&mac.finalize().into_bytes());
            let key = Key::new(&secret).unwrap();
            assert_eq!(key.seal(&SettingName::default(), &id("acme")), wanted);
        }
        assert_eq!(Key::new(&[b'k'; 31]), None);
    }

    // J2: a seal is worth nothing for another tenant, in another setting, under another key.
    #[test]
    fn seals_differ() {
        let (one, two) = ([b'1'; 32], [b'2'; 32]);
        let (one, two) = (Key::new(&one).unwrap(), Key::new(&two).unwrap());
        let mut seals = vec![
            one.seal(&name("app.t"), &id("acme")),
            one.seal(&name("app.t"), &id("acme2")),
            one.seal(&name("app.t2"), &id("acme")),
            two.seal(&name("app.t"), &id("acme")),
        ];
        assert!(seals.iter().all(|seal| seal.len() == 64), "{seals:?}");
        seals.sort();
        seals.dedup();
        assert_eq!(seals.len(), 4);
        assert_ne!(one.name(), two.name());
    }

    #[test]
    fn keys_are_not_printed() {
        let key = Key::new(&[b'k'; 32]).unwrap();
        let sealer = Sealer::new(name("app.tenant_seal"), key);
        let text = format!("{sealer:?}");
        assert!(text.contains("Key(…)") && !text.contains("107"), "{text}");
    }

    #[test]
    fn the_usual_name() {
        for (setting, seal) in [
            ("app.tenant_id", "app.tenant_seal"),
            ("app.tenant", "app.tenant_seal"),
            ("a.b.org_id", "a.b.org_seal"),
        ] {
            assert_eq!(usual_setting(&name(setting)), Ok(name(seal)));
        }
    }
}
