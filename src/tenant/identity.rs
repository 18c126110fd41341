//! Where a tenant is learnt from, and what holds when more than one place names one.
//!
//! The strongest source comes first. Sources that are present must agree (J8); a stronger one is
//! never overruled, only confirmed (J9). What decides here is values: who reads a user's name, a
//! startup message, a `SET` or a comment, and when, is the session's business.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use super::context::Contexts;
use super::{Context, Extra, Format, NotAnId, SettingName, TenantId, seal::Sealer};
use crate::{
    error::{Error, Kind},
    limit::Accounts,
};

/// Where a tenant is learnt from, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A claim of a verified token.
    Jwt,
    /// A field of the client certificate.
    Cert,
    /// The first label of the TLS server name.
    Sni,
    /// A suffix of the user name.
    User,
    /// A startup parameter.
    Startup,
    /// The client's own `SET`.
    Set,
    /// A comment in the statement.
    Comment,
}

impl Source {
    /// All of them, strongest first.
    pub const ALL: [Self; 7] = [
        Self::Jwt,
        Self::Cert,
        Self::Sni,
        Self::User,
        Self::Startup,
        Self::Set,
        Self::Comment,
    ];

    /// As the configuration spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Cert => "cert",
            Self::Sni => "sni",
            Self::User => "user",
            Self::Startup => "startup",
            Self::Set => "set",
            Self::Comment => "comment",
        }
    }

    /// What it is, inside a sentence.
    const fn words(self) -> &'static str {
        match self {
            Self::Jwt => "the token",
            Self::Cert => "the client certificate",
            Self::Sni => "the TLS server name",
            Self::User => "the user name",
            Self::Startup => "the startup message",
            Self::Set => "SET",
            Self::Comment => "a comment",
        }
    }
}

/// The sources that are switched on.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Sources(u8);

impl Sources {
    /// Whether `source` is on.
    pub const fn has(self, source: Source) -> bool {
        self.0 & (1 << source as u8) != 0
    }

    /// Those that are on, strongest first.
    pub fn iter(self) -> impl Iterator<Item = Source> {
        Source::ALL.into_iter().filter(move |it| self.has(*it))
    }
}

impl FromIterator<Source> for Sources {
    fn from_iter<I: IntoIterator<Item = Source>>(all: I) -> Self {
        Self(all.into_iter().fold(0, |on, it| on | 1 << it as u8))
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A tenant that is known, and how. Two are equal if the tenant is the same and so is the source.
#[derive(Debug, Clone)]
pub struct Known {
    /// The tenant and what is sent for it.
    pub context: Arc<Context>,
    /// Where it was learnt.
    pub source: Source,
}

impl Known {
    /// The tenant.
    pub fn id(&self) -> &TenantId {
        self.context.id()
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id() && self.source == other.source
    }
}

impl Eq for Known {}

/// A setting of a startup message.
pub type StartupSetting = (Vec<u8>, Vec<u8>);

/// What a connection says of its tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The tenant, if the connection names one.
    pub tenant: Option<Known>,
    /// The settings that remain the client's own: the tenant's is not among them, because what is
    /// injected must not meet another value of it on the server.
    pub settings: Vec<StartupSetting>,
}

/// What is configured about tenants; built by the configuration, shared by all sessions.
#[derive(Debug)]
pub struct Policy {
    /// The setting that each transaction gets.
    pub setting: SettingName,
    /// What ids look like.
    pub format: Format,
    /// Where they come from.
    pub sources: Sources,
    /// A transaction without a tenant is refused.
    pub required: bool,
    /// Clients may not change the setting.
    pub protect: bool,
    /// What stands between a user's name and a tenant's id.
    pub user_separator: String,
    /// Below which name of ours the tenant is named; `None` = any.
    pub sni_domain: Option<String>,
    /// The key of a comment's tenant.
    pub comment_key: String,
    /// More settings, for every tenant.
    extras: Vec<Extra>,
    /// For those in a tier, by its name; they override those for everybody.
    extras_in: HashMap<String, Vec<Extra>>,
    /// For single tenants; they override those of their tier, whichever it is at the time.
    extras_of: HashMap<TenantId, Vec<Extra>>,
    /// Proves that it was pgusher who named the tenant.
    sealer: Option<Arc<Sealer>>,
    contexts: Contexts,
    accounts: Arc<Accounts>,
}

impl Policy {
    /// A policy with the usual sources and rules, for the setting `setting`.
    pub fn new(setting: SettingName, format: Format) -> Self {
        use Source::{Comment, Set, Startup, User};
        Self {
            setting,
            format,
            sources: Sources::from_iter([User, Startup, Set, Comment]),
            required: true,
            protect: true,
            user_separator: ".".to_owned(),
            sni_domain: None,
            comment_key: "tenant_id".to_owned(),
            extras: Vec::new(),
            extras_in: HashMap::new(),
            extras_of: HashMap::new(),
            sealer: None,
            contexts: Contexts::default(),
            accounts: Arc::default(),
        }
    }

    /// Who may use how much.
    #[must_use]
    pub fn with_accounts(mut self, accounts: Arc<Accounts>) -> Self {
        self.accounts = accounts;
        self
    }

    /// Each id comes with a seal.
    #[must_use]
    pub fn with_sealer(mut self, sealer: Sealer) -> Self {
        self.sealer = Some(Arc::new(sealer));
        self.contexts = Contexts::default();
        self
    }

    /// What seals ids.
    pub fn sealer(&self) -> Option<&Arc<Sealer>> {
        self.sealer.as_ref()
    }

    /// Takes the place of `old`, whose sessions go on under it: what they seal is sealed with the
    /// new key from now on.
    #[must_use]
    pub fn in_place_of(mut self, old: &Self) -> Self {
        if let (Some(sealer), Some(known)) = (&self.sealer, &old.sealer) {
            known.adopt(sealer);
            self.sealer = Some(Arc::clone(known));
            self.contexts = Contexts::default();
        }
        self
    }

    /// Settings to inject beside the id: `all` for every tenant, and `some` for those that have
    /// their own, which override the others one by one.
    #[must_use]
    pub fn with_extras(mut self, all: Vec<Extra>, some: HashMap<TenantId, Vec<Extra>>) -> Self {
        self.extras = all;
        self.extras_of = some;
        self.contexts = Contexts::default();
        self
    }

    /// Settings for the tenants of tiers, by the tiers' names. They stand between those for every
    /// tenant and a tenant's own.
    #[must_use]
    pub fn with_tiers(mut self, tiers: HashMap<String, Vec<Extra>>) -> Self {
        self.extras_in = tiers;
        self.contexts = Contexts::default();
        self
    }

    /// What holds for a tenant while it is in the tier of this name, in the order of the settings'
    /// names.
    pub fn extras(&self, id: &TenantId, tier: &str) -> Vec<Extra> {
        let layers = [
            Some(&self.extras),
            self.extras_in.get(tier),
            self.extras_of.get(id),
        ];
        let extras = layers.into_iter().flatten().flatten();
        let by_name: BTreeMap<&str, &Extra> = extras.map(|it| (it.name(), it)).collect();
        by_name.into_values().cloned().collect()
    }

    /// The name that logs in and the suffix that names a tenant, out of the user name `typed`.
    ///
    /// User names and ids may both hold the separator, so the users decide where it is cut:
    /// a name that is a user's is not cut at all; otherwise the longest front that is a user's
    /// counts. If none is (nobody may be listed where nobody is asked for a password), it is cut
    /// at the first separator, because ids with dots in them are more usual than such users.
    ///
    /// It never fails: whether the suffix is an id is said after the login, by
    /// [`Self::of_connection`], so that strangers learn nothing (A4).
    pub fn split_user<'n>(
        &self,
        typed: &'n str,
        is_user: impl Fn(&str) -> bool,
    ) -> (&'n str, Option<&'n str>) {
        if !self.sources.has(Source::User) || is_user(typed) {
            return (typed, None);
        }
        let cuts = || {
            let cuts = typed.match_indices(self.user_separator.as_str());
            cuts.map(|(at, _)| at).filter(|at| *at > 0)
        };
        let front = |at: &usize| typed.get(..*at).is_some_and(&is_user);
        let Some(at) = cuts().filter(front).last().or_else(|| cuts().next()) else {
            return (typed, None);
        };
        let suffix = typed.get(at + self.user_separator.len()..);
        (typed.get(..at).unwrap_or(typed), suffix)
    }

    /// What a connection says of its tenant: `named` is what stands in each place that names one
    /// before the startup message does, the suffix of [`Self::split_user`] among them; `settings`
    /// are those of the startup message, its `options` included. A place that is no source is not
    /// looked at: every client names a server in TLS.
    ///
    /// # Errors
    /// When what is given is not an id, two sources disagree, or the startup message names a tenant
    /// and is no source: a tenant that somebody asks for is never quietly another one.
    pub fn of_connection(
        &self,
        named: &[(Source, &str)],
        mut settings: Vec<StartupSetting>,
    ) -> Result<Connection, Error> {
        let mut tenant = None;
        for (source, value) in named.iter().filter(|(source, _)| self.sources.has(*source)) {
            // An empty one is not "none": it is a template that lost its tenant.
            let new = self.known(value.as_bytes(), *source)?;
            tenant = Some(self.combine(tenant.as_ref(), new)?);
        }
        let mut given = None;
        let seal = self.sealer.as_ref().map(|sealer| sealer.setting());
        if let Some(seal) = seal.filter(|seal| settings.iter().any(|(name, _)| seal.is(name))) {
            let message = format!("permission denied to set parameter \"{seal}\"");
            let hint = "It is pgusher that seals a tenant's id.";
            return Err(Error::new(Kind::TenantProtected, message).hint(hint));
        }
        settings.retain_mut(|(name, value)| {
            let own = self.setting.is(name);
            if own {
                given = Some(std::mem::take(value));
            }
            !own
        });
        // An empty value is none, as it is for the policies in the database.
        if let Some(value) = given.filter(|value| !value.is_empty()) {
            if !self.sources.has(Source::Startup) {
                return Err(self.not_a_source(Source::Startup));
            }
            let new = self.known(&value, Source::Startup)?;
            tenant = Some(self.combine(tenant.as_ref(), new)?);
        }
        Ok(Connection { tenant, settings })
    }

    /// Whether a connection whose tenant is `tenant` has any use: `required`, and nothing that may
    /// still come can name one.
    ///
    /// # Errors
    /// When each of its transactions would be refused.
    pub fn at_login(&self, tenant: Option<&Known>, bypass: bool) -> Result<(), Error> {
        let later = self.sources.has(Source::Set) || self.sources.has(Source::Comment);
        if tenant.is_some() || bypass || later || !self.required {
            return Ok(());
        }
        Err(self.missing())
    }

    /// What the client's own `SET` (or `set_config`) to `value` names; `None` if it is empty, as
    /// after a `RESET`. Ask [`Self::may_set`] first.
    ///
    /// # Errors
    /// When it is not an id.
    pub fn from_set(&self, value: &[u8]) -> Result<Option<Known>, Error> {
        self.named(value, Source::Set)
    }

    /// What the value of the tenant's key in a comment names; `None` if it is empty. It holds for the
    /// statement, and for the transaction that the statement opens, and must not be kept longer.
    ///
    /// # Errors
    /// When it is not an id.
    pub fn from_comment(&self, value: &[u8]) -> Result<Option<Known>, Error> {
        self.named(value, Source::Comment)
    }

    fn named(&self, value: &[u8], source: Source) -> Result<Option<Known>, Error> {
        if value.is_empty() {
            return Ok(None);
        }
        self.known(value, source).map(Some)
    }

    /// Whether a client whose tenant is `known` may set or reset the setting to something else
    /// than that tenant at all. If it may and [`Source::Set`] is on, the value is its tenant; if it
    /// may and the source is off, it is a setting like any other, and what is injected covers it.
    ///
    /// # Errors
    /// When it is protected.
    pub fn may_set(&self, known: Option<&Known>, bypass: bool) -> Result<(), Error> {
        let stronger = known.filter(|known| known.source < Source::Set);
        match stronger {
            _ if !self.protect => Ok(()),
            Some(known) => Err(self.protected(known)),
            None if self.sources.has(Source::Set) || bypass => Ok(()),
            None => Err(self.not_a_source(Source::Set)),
        }
    }

    /// What holds outside a transaction when `new` is named and `known` was known: the same tenant
    /// is confirmed, a `SET` replaces an earlier one, and anything else is a conflict. The result
    /// has the stronger source of both.
    ///
    /// # Errors
    /// When they disagree.
    pub fn combine(&self, known: Option<&Known>, new: Known) -> Result<Known, Error> {
        match known {
            None => Ok(new),
            Some(known) if known.id() == new.id() && known.source <= new.source => {
                Ok(known.clone())
            }
            Some(known) if known.id() == new.id() => Ok(new),
            Some(known) if known.source == Source::Set && new.source == Source::Set => Ok(new),
            Some(known)
                if self.protect && known.source < new.source && new.source == Source::Set =>
            {
                Err(self.protected(known))
            }
            Some(known) => Err(disagree(known, &new)),
        }
    }

    /// Whether `new` may be named inside a transaction that belongs to `owner`.
    ///
    /// # Errors
    /// When it is another tenant: what the transaction did already would be of the wrong one.
    pub fn in_transaction(&self, owner: &Known, new: &Known) -> Result<(), Error> {
        if owner.id() == new.id() {
            return Ok(());
        }
        let message = format!(
            "the transaction belongs to tenant \"{}\", and {} names \"{}\"",
            owner.id(),
            new.source.words(),
            new.id()
        );
        let hint = "A transaction has one tenant: end it before you name another one.";
        Err(Error::new(Kind::TenantChange, message).hint(hint))
    }

    /// What is sent for `id`.
    ///
    /// # Errors
    /// When there is no such tenant, or there are too many.
    pub fn context(&self, id: &TenantId) -> Result<Arc<Context>, Error> {
        if let Some(known) = self.contexts.find(id.as_str()) {
            return Ok(known);
        }
        let account = self.accounts.of_tenant(id)?;
        // Before the tier is looked at: if it changes meanwhile, this is out of date at once.
        let version = account.version();
        let extras = self.extras(id, &account.tier().name);
        let context = Context::new(
            &self.setting,
            id.clone(),
            &extras,
            account,
            version,
            self.sealer.as_ref(),
        );
        Ok(self.contexts.share(context))
    }

    /// The same tenant, with what is to be sent for it by now.
    pub fn fresh(&self, known: Known) -> Known {
        if !known.context.is_outdated() {
            return known;
        }
        match self.context(known.id()) {
            Ok(context) => Known { context, ..known },
            // It was one before, and is until its sessions end.
            Err(_) => known,
        }
    }

    /// The tenant with the id in `bytes`. One that somebody else has already costs no memory.
    fn known(&self, bytes: &[u8], source: Source) -> Result<Known, Error> {
        let invalid = |not: NotAnId| invalid(&not, source);
        let spelling = self.format.canonical(bytes).map_err(invalid)?;
        let context = match self.contexts.find(&spelling) {
            Some(context) => context,
            None => self.context(&self.format.id(bytes).map_err(invalid)?)?,
        };
        Ok(Known { context, source })
    }

    #[cfg(test)]
    pub(super) fn known_contexts(&self) -> usize {
        self.contexts.len()
    }

    /// A transaction has no tenant and must have one.
    pub fn missing(&self) -> Error {
        let ways: Vec<String> = self.sources.iter().map(|it| self.way(it)).collect();
        let hint = match ways.as_slice() {
            [] => "No source of tenants is configured.".to_owned(),
            ways => format!("The tenant can be given by {}.", ways.join(", or by ")),
        };
        let message = "no tenant is known for this transaction";
        Error::new(Kind::TenantMissing, message).hint(hint)
    }

    /// How a tenant is given by `source`, with an id to be replaced.
    fn way(&self, source: Source) -> String {
        let setting = &self.setting;
        match source {
            Source::Jwt | Source::Cert | Source::Sni => source.words().to_owned(),
            Source::User => format!("a user name such as app{}TENANT", self.user_separator),
            Source::Startup => {
                format!("options=-c {setting}=TENANT in the connection's parameters")
            }
            Source::Set => format!("SET {setting} = 'TENANT'"),
            Source::Comment => format!("a comment /* {}='TENANT' */", self.comment_key),
        }
    }

    fn protected(&self, known: &Known) -> Error {
        let message = format!("permission denied to set parameter \"{}\"", self.setting);
        let hint = format!(
            "This session's tenant comes from {} and cannot be changed by a statement.",
            known.source.words()
        );
        Error::new(Kind::TenantProtected, message).hint(hint)
    }

    fn not_a_source(&self, source: Source) -> Error {
        let message = format!("permission denied to set parameter \"{}\"", self.setting);
        let on: Vec<&str> = self.sources.iter().map(Source::as_str).collect();
        let hint = format!(
            "Tenants are not taken from {} here (sources: {}).",
            source.words(),
            on.join(", ")
        );
        Error::new(Kind::TenantProtected, message).hint(hint)
    }
}

fn invalid(not: &NotAnId, source: Source) -> Error {
    let detail = format!("It came from {}.", source.words());
    Error::new(Kind::TenantInvalid, not.to_string())
        .detail(detail)
        .hint(not.rule())
}

fn disagree(known: &Known, new: &Known) -> Error {
    let message = format!(
        "{} names tenant \"{}\", and {} names \"{}\"",
        known.source.words(),
        known.id(),
        new.source.words(),
        new.id()
    );
    Error::new(Kind::TenantConflict, message).hint("What names a tenant must name the same one.")
}
