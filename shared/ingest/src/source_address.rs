//! Where a webhook came from, compared with where the provider says it sends from. The address is the
//! gateway's own; a header is written by the sender and never looked at.

use std::net::IpAddr;

use ipnet::IpNet;

/// What happens to a request from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceIpMode {
    /// Nothing; addresses are not looked at.
    Off,
    /// It is counted.
    Report,
    /// It is answered 403.
    Enforce,
}

impl SourceIpMode {
    /// Reads `off`, `report` or `enforce`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self::Off),
            "report" => Some(Self::Report),
            "enforce" => Some(Self::Enforce),
            _ => None,
        }
    }
}

/// The networks a provider sends from, and what happens to others. An empty list means that nobody knows
/// them: nothing is checked then, whatever the mode.
#[derive(Clone, Debug)]
pub struct SourceAddresses {
    mode: SourceIpMode,
    networks: Vec<IpNet>,
}

/// What the check says about one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceCheck {
    /// Not looked at.
    Skipped,
    /// In the list.
    Listed,
    /// Not in the list, or unreadable; only counted.
    Reported,
    /// Not in the list, or unreadable; to be refused.
    Refused,
}

impl SourceAddresses {
    /// A list and what happens to addresses outside it.
    pub const fn new(mode: SourceIpMode, networks: Vec<IpNet>) -> Self {
        Self { mode, networks }
    }

    /// Reads a network in CIDR notation, or a single address.
    pub fn parse_network(text: &str) -> Option<IpNet> {
        text.parse()
            .ok()
            .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    }

    pub(crate) fn check(&self, address: Option<&str>) -> SourceCheck {
        let outside = match self.mode {
            SourceIpMode::Off => return SourceCheck::Skipped,
            SourceIpMode::Report => SourceCheck::Reported,
            SourceIpMode::Enforce => SourceCheck::Refused,
        };
        if self.networks.is_empty() {
            return SourceCheck::Skipped;
        }
        // ::ffff:203.0.113.7 is 203.0.113.7, seen through an IPv6 socket.
        let address = address
            .and_then(|text| text.parse::<IpAddr>().ok())
            .map(|address| address.to_canonical());
        match address {
            Some(address)
                if self
                    .networks
                    .iter()
                    .any(|network| network.contains(&address)) =>
            {
                SourceCheck::Listed
            }
            _ => outside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(mode: SourceIpMode) -> SourceAddresses {
        let networks = ["203.0.113.0/24", "2001:db8::/32", "198.51.100.7"];
        SourceAddresses::new(
            mode,
            networks
                .map(|n| SourceAddresses::parse_network(n).unwrap())
                .to_vec(),
        )
    }

    #[test]
    fn ipv4_ipv6_and_mapped_addresses_are_recognized() {
        let enforced = list(SourceIpMode::Enforce);

        for inside in [
            "203.0.113.9",
            "::ffff:203.0.113.9",
            "2001:db8::1",
            "198.51.100.7",
        ] {
            assert_eq!(
                enforced.check(Some(inside)),
                SourceCheck::Listed,
                "{inside}"
            );
        }
        for outside in [
            "203.0.114.9",
            "::ffff:203.0.114.9",
            "2001:db9::1",
            "",
            "localhost",
        ] {
            assert_eq!(
                enforced.check(Some(outside)),
                SourceCheck::Refused,
                "{outside}"
            );
        }
        assert_eq!(enforced.check(None), SourceCheck::Refused);
    }

    #[test]
    fn the_mode_decides_what_happens_to_others() {
        assert_eq!(
            list(SourceIpMode::Off).check(Some("192.0.2.1")),
            SourceCheck::Skipped
        );
        assert_eq!(
            list(SourceIpMode::Report).check(Some("192.0.2.1")),
            SourceCheck::Reported
        );
    }

    #[test]
    fn an_empty_list_checks_nothing() {
        let unknown = SourceAddresses::new(SourceIpMode::Enforce, Vec::new());

        assert_eq!(unknown.check(Some("192.0.2.1")), SourceCheck::Skipped);
    }
}
