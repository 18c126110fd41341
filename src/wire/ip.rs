//! Networks: ranges of addresses, as `10.0.0.0/8`.

use std::{fmt, net::IpAddr};

/// A range of addresses: those that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Reads an address, which is a range of one, or an address with the number of its bits.
    ///
    /// # Errors
    /// What it is instead, to stand behind the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| "is no address")?;
        let most = width(address);
        let bits = match bits {
            None => most,
            Some(bits) => {
                let is_number = !bits.is_empty() && bits.bytes().all(|it| it.is_ascii_digit());
                let bits = bits.parse().ok().filter(|bits| is_number && *bits <= most);
                bits.ok_or("has a mask length that is none")?
            }
        };
        Ok(Self::new(address, bits))
    }

    /// An address with a mask in the form of an address.
    ///
    /// # Errors
    /// Why the mask does not fit, to stand behind "the mask".
    pub fn masked(address: IpAddr, mask: IpAddr) -> Result<Self, &'static str> {
        if address.is_ipv4() != mask.is_ipv4() {
            return Err("is of another kind than the address");
        }
        let mask = number(mask);
        let bits = mask.leading_ones();
        let is_plain = mask.checked_shl(bits).unwrap_or(0) == 0;
        if !is_plain {
            return Err("has gaps");
        }
        Ok(Self::new(address, bits.min(width(address))))
    }

    /// IPv4 addresses in the clothes of IPv6 are IPv4 addresses.
    fn new(address: IpAddr, bits: u32) -> Self {
        match address.to_canonical() {
            plain if plain != address && bits >= 96 => Self {
                address: plain,
                bits: bits.saturating_sub(96),
            },
            _ => Self { address, bits },
        }
    }

    /// Whether the address is in it.
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let differ = number(address) ^ number(self.address);
        address.is_ipv4() == self.address.is_ipv4() && differ.leading_zeros() >= self.bits
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

const fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Its bits, from the left.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Who is counted as one: an IPv4 address, and of IPv6 the 64 bits that one customer has.
pub fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(network.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(network: &str, address: &str) -> bool {
        Network::parse(network)
            .unwrap()
            .has(address.parse().unwrap())
    }

    #[test]
    fn networks_have_their_addresses() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.9.9.9/8", "10.0.0.1", "9.255.255.255"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.0/31", "192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "ffff::", "1.2.3.4"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
        ] {
            assert!(has(network, inside), "{network} {inside}");
            assert!(!has(network, outside), "{network} {outside}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0/8",
            "x/8",
            "10.0.0.0/8/8",
            "10.0.0.0/99999999999999999999",
            "fe80::1%eth0",
        ] {
            assert!(Network::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn masks_are_counted() {
        let masked = |address: &str, mask: &str| {
            let network = Network::masked(address.parse().unwrap(), mask.parse().unwrap());
            network.map(|it| it.to_string())
        };
        assert_eq!(masked("10.0.0.0", "255.0.0.0"), Ok("10.0.0.0/8".into()));
        assert_eq!(
            masked("10.0.0.1", "255.255.255.255"),
            Ok("10.0.0.1/32".into())
        );
        assert_eq!(masked("10.0.0.1", "0.0.0.0"), Ok("10.0.0.1/0".into()));
        assert_eq!(masked("::1", "ffff:ffff::"), Ok("::1/32".into()));
        let all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert_eq!(masked("::1", all), Ok("::1/128".into()));
        assert_eq!(masked("10.0.0.0", "255.0.255.0"), Err("has gaps"));
        assert_eq!(
            masked("10.0.0.0", "ff::"),
            Err("is of another kind than the address")
        );
    }

    #[test]
    fn neighbours_are_one() {
        let one = |address: &str| neighbourhood(address.parse().unwrap()).to_string();
        assert_eq!(one("192.0.2.7"), "192.0.2.7");
        assert_eq!(one("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(one("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
