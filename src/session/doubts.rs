//! What may have changed on a server connection since the server was last asked.

use super::{
    reading::Given,
    settings::Reported,
    touches::{Holds, Touches},
};

/// Names of settings that are remembered one by one.
const MOST_NAMES: usize = 64;

/// What a server reports that nobody can set.
const FIXED: [&[u8]; 5] = [
    b"server_version",
    b"server_encoding",
    b"integer_datetimes",
    b"in_hot_standby",
    b"is_superuser",
];

/// A setting that may have another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubted {
    pub(super) name: Box<[u8]>,
    /// It may be as at the session's beginning.
    pub(super) resets: bool,
}

/// A setting that the server reported, and what it was before.
#[derive(Debug)]
struct Report {
    name: Box<[u8]>,
    before: Option<Box<[u8]>>,
}

impl Report {
    fn is_taken_back(&self, now: &Reported) -> bool {
        now.get(&self.name) == self.before.as_deref()
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    any_doubt: bool,
    settings: Vec<Doubted>,
    reported: Vec<Report>,
    /// The transaction may have settings of its own. That ends with it, and leaves no doubt.
    pub(super) local: bool,
    /// Every setting may be as at the session's beginning.
    pub(super) resets_all: bool,
    /// Any setting may have another value.
    pub(super) any: bool,
    /// What may be on the connection, or gone from it.
    pub(super) holds: Holds,
    /// What is on it for certain, as nobody can be asked.
    pub(super) certain: Holds,
    /// Something has failed or was rolled back: a setting that was set may be as it was before.
    pub(super) undone: bool,
}

impl Doubts {
    pub(super) fn is_empty(&self) -> bool {
        !self.any_doubt
    }

    /// A setting may be as at the session's beginning.
    pub(super) fn has_resets(&self) -> bool {
        self.resets_all || self.any || self.settings.iter().any(|it| it.resets)
    }

    /// A setting may have changed.
    pub(super) fn has_settings(&self) -> bool {
        self.has_resets() || !self.settings.is_empty() || !self.reported.is_empty()
    }

    /// Something is sent that may change this. `held` is on the connection by now; `resolve` knows
    /// the parameters.
    pub(super) fn add(
        &mut self,
        touches: &Touches,
        held: Holds,
        resolve: impl Fn(&Given) -> Option<Box<[u8]>>,
    ) {
        for touched in &touches.settings {
            match resolve(&touched.name) {
                Some(mut name) => {
                    name.make_ascii_lowercase();
                    self.setting(name, touched.resets);
                }
                None => self.unknown(),
            }
        }
        if touches.unknown {
            self.unknown();
        }
        self.local |= touches.local;
        self.resets_all |= touches.resets_all;
        self.any |= touches.any;
        self.certain = self.certain.or(touches.takes.without(Holds::ASKABLE));
        let known = held.or(self.holds);
        let changed = touches
            .takes
            .and(Holds::ASKABLE)
            .or(touches.frees.and(known));
        self.holds = self.holds.or(changed);
        self.any_doubt |= self.has_settings() || !self.holds.or(self.certain).is_empty();
    }

    fn setting(&mut self, name: Box<[u8]>, resets: bool) {
        if let Some(known) = self.settings.iter_mut().find(|it| it.name == name) {
            known.resets |= resets;
        } else if self.settings.len() < MOST_NAMES {
            self.settings.push(Doubted { name, resets });
        } else {
            self.unknown();
        }
    }

    /// A setting was set whose name is not known. The server tells of those that it knows itself;
    /// an application's own it does not list.
    fn unknown(&mut self) {
        self.any = true;
        self.certain = self.certain.or(Holds::SETTINGS);
    }

    /// The server reported a new value of `name` while the client's request ran.
    pub(super) fn reported(&mut self, name: &[u8], before: Option<&[u8]>) {
        if FIXED.contains(&name) || self.reported.iter().any(|it| *it.name == *name) {
            return;
        }
        let before = before.map(Box::from);
        let name = name.into();
        self.reported.push(Report { name, before });
        self.any_doubt = true;
    }

    /// The names that are in doubt, now that the transaction is over. A report that was taken back
    /// (`SET LOCAL`) was none.
    pub(super) fn settings(&mut self, now: &Reported) -> Vec<Doubted> {
        self.forget_taken_back(now);
        for mut report in std::mem::take(&mut self.reported) {
            report.name.make_ascii_lowercase();
            self.setting(report.name, true);
        }
        std::mem::take(&mut self.settings)
    }

    /// These settings are not the client's.
    pub(super) fn forget(&mut self, is_own: impl Fn(&[u8]) -> bool) {
        self.settings.retain(|it| !is_own(&it.name));
    }

    /// Nothing that was doubted has come to pass.
    pub(super) fn forget_taken_back(&mut self, now: &Reported) {
        self.reported.retain(|report| !report.is_taken_back(now));
        self.any_doubt = self.has_settings() || !self.holds.or(self.certain).is_empty();
    }
}
