//! `[auth.failures]` and the connections of one address: what becomes of those who guess passwords.

use std::time::Duration;

use toml::de::DeValue;

use super::duration::Timeout;
use super::file::{File, Listen};
use super::problems::Problems;
use super::schema::{Scalar, section};
use super::settings::Address;
use super::value::{Limit, not_a};
use crate::{auth::guard::Terms, limit::Rate, wire::ip::Network};

section! {
    /// What becomes of those who fail to log in. Failures are counted by address and by address
    /// and user, never by user alone, so that nobody can lock out somebody else.
    Failures {
        /// How long the answer to a wrong password is held back. It doubles with each that follows
        /// from the same address for the same user. Off: not at all.
        delay: Timeout = Timeout::millis(100);
        /// And at most.
        max_delay: Timeout = Timeout::secs(2);
        /// How long a failure counts.
        window: Timeout = Timeout::secs(300);
        /// After so many failures an address (of IPv6: its first 64 bits) is blocked: its logins
        /// are refused, with the words of a wrong password. Think of clients that share an
        /// address behind NAT or a proxy before you set it. 0: never.
        block_after: Limit = Limit(None);
        /// For so long.
        block_for: Timeout = Timeout::secs(600);
        /// Networks that are never blocked, nor limited by `listen.connections_per_second`: those of
        /// this machine, and of proxies that hide their clients' addresses. Unix sockets never are.
        exempt: Networks = Networks::loopback();
    }
}

/// Ranges of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks(pub Vec<Network>);

impl Networks {
    /// This machine.
    fn loopback() -> Self {
        let all = ["127.0.0.0/8", "::1/128"];
        Self(
            all.iter()
                .filter_map(|it| Network::parse(it).ok())
                .collect(),
        )
    }
}

impl Scalar for Networks {
    const TYPE: &'static str = "a list of networks, as `10.0.0.0/8`";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let list = value
            .as_array()
            .ok_or_else(|| not_a("a list of networks", value))?;
        let one = |value: &DeValue<'_>| {
            let text = value.as_str();
            let text = text.ok_or_else(|| not_a("a list of networks, each a string", value))?;
            Network::parse(text).map_err(|why| format!("has {text:?}, which {why}"))
        };
        let all = list.iter().map(|it| one(it.get_ref()));
        all.collect::<Result<_, _>>().map(Self)
    }

    fn show(&self) -> Option<String> {
        let all: Vec<String> = self.0.iter().map(|it| format!("\"{it}\"")).collect();
        Some(format!("[{}]", all.join(", ")))
    }
}

impl Listen {
    /// Where proxies connect.
    pub(super) fn proxy_addresses(&self) -> &[Address] {
        let proxy = self.proxy.as_ref().and_then(|it| it.address.as_ref());
        proxy.map_or(&[], |it| &it.0)
    }

    /// From where they may.
    pub(super) fn proxies(&self) -> Vec<Network> {
        let proxy = self.proxy.as_ref();
        proxy.map_or_else(Vec::new, |it| it.networks.0.clone())
    }
}

/// Notes what makes no sense in `[listen.proxy]`.
pub(super) fn check_proxy(listen: &Listen, problems: &mut Problems<'_>) {
    let section = "listen.proxy";
    let Some(proxy) = &listen.proxy else {
        return;
    };
    if proxy.address.is_none() && !problems.has(section, "address") {
        problems.at(section, "", "[listen.proxy] has no address");
    }
    let is_tcp = |address: &Address| matches!(address, Address::Tcp(..));
    let needs_some = listen.proxy_addresses().iter().any(is_tcp);
    if needs_some && proxy.networks.0.is_empty() && !problems.has(section, "networks") {
        let text = "[listen.proxy] has no networks: nobody could connect there";
        problems.at(section, "", text);
    }
    // Port 0 is another one each time.
    let is_fixed = |address: &Address| !matches!(address, Address::Tcp(_, 0));
    let twice = |address: &&Address| is_fixed(address) && listen.address.0.contains(address);
    if let Some(address) = listen.proxy_addresses().iter().find(twice) {
        let text = format_args!("names {address}, which is among the addresses of [listen]");
        problems.key(section, "address", text);
    }
}

/// What an address may do. What is wrong is noted.
pub(super) fn terms(file: &File, problems: &mut Problems<'_>) -> Terms {
    let typed = &file.auth.failures;
    for (key, time) in [("window", typed.window), ("block_for", typed.block_for)] {
        if time.0.is_none() {
            let text = "must not be off: nothing would ever be forgotten";
            problems.key("auth.failures", key, text);
        }
    }
    let listen = &file.listen;
    let per_second = listen.connections_per_second.0;
    if per_second.is_none() && listen.connection_burst != 0 {
        let text = "has no use without connections_per_second";
        problems.key("listen", "connection_burst", text);
    }
    let some = |time: Timeout| time.0.unwrap_or(Duration::ZERO);
    Terms {
        delay: some(typed.delay),
        max_delay: some(typed.max_delay),
        window: some(typed.window),
        block_after: typed.block_after.0,
        block_for: some(typed.block_for),
        connections: per_second.map(|rate| {
            let burst = match listen.connection_burst {
                0 => rate,
                burst => burst,
            };
            Rate::new(rate as u64, burst as u64)
        }),
        exempt: typed.exempt.0.clone(),
    }
}
