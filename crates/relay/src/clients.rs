//! How much one client network may ask of us: a bounded memory of who asked for what in the last minute.
//!
//! Time is an argument. What a network has used up comes back steadily, a minute's worth in a minute, so that a sender
//! is slowed down and never locked out; others do not notice.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// What one client network may do. 0 is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// IPv4 addresses that share so many first bits are one network.
    pub ipv4_prefix_bits: u8,
    /// The same of IPv6.
    pub ipv6_prefix_bits: u8,
    /// Connections at a time.
    pub connections: u32,
    /// New connections in a minute.
    pub connections_per_minute: u32,
    /// Messages, that is MAIL commands, in a minute.
    pub messages_per_minute: u32,
    /// Recipients in a minute.
    pub recipients_per_minute: u32,
    /// Recipients that are refused for good, in a minute: who asks for more guesses names.
    pub refused_recipients_per_minute: u32,
}

/// What is counted by the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    Connection,
    Message,
    Recipient,
    /// For a recipient that nobody is.
    RefusedRecipient,
}

/// Whether it is within the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Within,
    /// Too much. `is_news` where this network has not been told so within a minute.
    Over {
        is_news: bool,
    },
}

/// The networks, and what each has used up.
#[derive(Debug)]
pub(crate) struct Clients {
    limits: ClientLimits,
    networks_max: usize,
    /// Bounded by the connections that listeners let in.
    open: BTreeMap<Network, u32>,
    /// Those who asked since `since`, and those who asked last in the span before. Whoever has not asked for a minute has
    /// used nothing up, so what is older is let go; earlier where the memory is full: then the longest silent ones.
    recent: BTreeMap<Network, Used>,
    before: BTreeMap<Network, Used>,
    since: Duration,
}

/// Addresses of one family with the same first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Network {
    is_ipv4: bool,
    bits: u128,
}

/// When everything that was used up has come back, by what is counted.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    back: [Duration; 4],
    /// Until then it knows that it asks too much.
    told: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            // A provider sends from many neighbours, a botnet from many strangers; whoever has IPv6 has a whole /64.
            ipv4_prefix_bits: 24,
            ipv6_prefix_bits: 64,
            connections: 100,
            connections_per_minute: 600,
            messages_per_minute: 1_200,
            recipients_per_minute: 6_000,
            refused_recipients_per_minute: 100,
        }
    }
}

impl Clients {
    pub(crate) fn new(limits: ClientLimits) -> Self {
        Self::bounded(limits, NETWORKS_MAX)
    }

    fn bounded(limits: ClientLimits, networks_max: usize) -> Self {
        let (open, recent, before) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { limits, networks_max, open, recent, before, since: Duration::ZERO }
    }

    /// The network of an address. An IPv4 address that is mapped into IPv6 is the address it maps.
    pub(crate) fn network(&self, address: IpAddr) -> Network {
        let (is_ipv4, bits, prefix_bits) = match address.to_canonical() {
            IpAddr::V4(address) => (true, u128::from(address.to_bits()) << 96, self.limits.ipv4_prefix_bits),
            IpAddr::V6(address) => (false, address.to_bits(), self.limits.ipv6_prefix_bits),
        };
        let behind = u128::MAX.checked_shr(u32::from(prefix_bits)).unwrap_or(0);
        Network { is_ipv4, bits: bits & !behind }
    }

    /// A connection was opened. Within the limits it is counted until [`Clients::disconnect`].
    pub(crate) fn connect(&mut self, now: Duration, network: Network) -> Verdict {
        let open = self.open.get(&network).copied().unwrap_or(0);
        if self.limits.connections != 0 && open >= self.limits.connections {
            return self.over(now, network);
        }
        let verdict = self.ask(now, network, Asks::Connection);
        if verdict == Verdict::Within {
            self.open.insert(network, open + 1);
        }
        verdict
    }

    /// A connection that was counted is over.
    pub(crate) fn disconnect(&mut self, network: Network) {
        if let Some(open) = self.open.get_mut(&network) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&network);
            }
        }
    }

    /// Takes one from what the network has left, if there is any.
    pub(crate) fn ask(&mut self, now: Duration, network: Network, what: Asks) -> Verdict {
        let Some(cost) = self.cost(what) else { return Verdict::Within };
        let back = what.of(&mut self.used(now, network).back);
        let next = (*back).max(now) + cost;
        if next > now + SPAN {
            return self.over(now, network);
        }
        *back = next;
        Verdict::Within
    }

    /// Whether there is one left, without taking it.
    pub(crate) fn may_ask(&mut self, now: Duration, network: Network, what: Asks) -> Verdict {
        let Some(cost) = self.cost(what) else { return Verdict::Within };
        let back = *what.of(&mut self.used(now, network).back);
        if back.max(now) + cost > now + SPAN { self.over(now, network) } else { Verdict::Within }
    }

    fn over(&mut self, now: Duration, network: Network) -> Verdict {
        let used = self.used(now, network);
        let is_news = used.told <= now;
        if is_news {
            used.told = now + SPAN;
        }
        Verdict::Over { is_news }
    }

    /// The time after which one of them has come back; nothing where there is no limit.
    fn cost(&self, what: Asks) -> Option<Duration> {
        let per_minute = match what {
            Asks::Connection => self.limits.connections_per_minute,
            Asks::Message => self.limits.messages_per_minute,
            Asks::Recipient => self.limits.recipients_per_minute,
            Asks::RefusedRecipient => self.limits.refused_recipients_per_minute,
        };
        SPAN.checked_div(per_minute)
    }

    fn used(&mut self, now: Duration, network: Network) -> &mut Used {
        let is_full = self.recent.len() >= self.networks_max && !self.recent.contains_key(&network);
        if is_full || now >= self.since + SPAN {
            self.before = std::mem::take(&mut self.recent);
            self.since = now;
        }
        let before = &mut self.before;
        self.recent.entry(network).or_insert_with(|| before.remove(&network).unwrap_or_default())
    }
}

impl Asks {
    fn of(self, back: &mut [Duration; 4]) -> &mut Duration {
        let [connection, message, recipient, refused] = back;
        match self {
            Self::Connection => connection,
            Self::Message => message,
            Self::Recipient => recipient,
            Self::RefusedRecipient => refused,
        }
    }
}

/// What is used up comes back within this.
const SPAN: Duration = Duration::from_secs(60);
/// Networks remembered from one minute; those of the minute before may be as many. Each takes about 150 octets.
const NETWORKS_MAX: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(per_minute: u32) -> ClientLimits {
        ClientLimits {
            connections: 3,
            connections_per_minute: per_minute,
            messages_per_minute: per_minute,
            recipients_per_minute: per_minute,
            refused_recipients_per_minute: per_minute,
            ..ClientLimits::default()
        }
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn neighbours_are_one_network() {
        let clients = Clients::new(ClientLimits::default());
        let network = |address: &str| clients.network(address.parse().expect("an address"));
        assert_eq!(network("192.0.2.1"), network("192.0.2.254"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.7"));
        assert_ne!(network("192.0.2.1"), network("192.0.3.1"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:0:0:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("::"), network("0.0.0.0"));
        let alone = ClientLimits { ipv4_prefix_bits: 32, ipv6_prefix_bits: 128, ..ClientLimits::default() };
        let clients = Clients::new(alone);
        let network = |address: &str| clients.network(address.parse().expect("an address"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_ne!(network("::1"), network("::2"));
        let clients = Clients::new(ClientLimits { ipv4_prefix_bits: 0, ..ClientLimits::default() });
        let network = |address: &str| clients.network(address.parse().expect("an address"));
        assert_eq!(network("192.0.2.1"), network("10.0.0.1"));
    }

    #[test]
    fn a_burst_then_as_much_as_comes_back() {
        let mut clients = Clients::new(limits(60));
        let network = clients.network("192.0.2.1".parse().expect("an address"));
        let mut ask = |at| clients.ask(secs(at), network, Asks::Message);
        assert!((0..60).all(|_| ask(5) == Verdict::Within));
        assert_eq!(ask(5), Verdict::Over { is_news: true });
        assert_eq!(ask(5), Verdict::Over { is_news: false });
        assert_eq!((ask(6), ask(6)), (Verdict::Within, Verdict::Over { is_news: false }));
        assert_eq!((0..100).filter(|_| ask(16) == Verdict::Within).count(), 10);
        assert_eq!(ask(70), Verdict::Within);
        assert_eq!((0..100).filter(|_| ask(200) == Verdict::Within).count(), 60);
    }

    #[test]
    fn connections_are_counted_while_they_are_open() {
        let mut clients = Clients::new(limits(0));
        let network = clients.network("192.0.2.1".parse().expect("an address"));
        let other = clients.network("192.0.9.1".parse().expect("an address"));
        assert!((0..3).all(|_| clients.connect(secs(1), network) == Verdict::Within));
        assert_eq!(clients.connect(secs(500), network), Verdict::Over { is_news: true });
        assert_eq!(clients.connect(secs(500), other), Verdict::Within);
        clients.disconnect(network);
        assert_eq!(clients.connect(secs(500), network), Verdict::Within);
        (0..3).for_each(|_| clients.disconnect(network));
        clients.disconnect(other);
        assert!(clients.open.is_empty());
    }

    #[test]
    fn looking_takes_nothing() {
        let mut clients = Clients::new(limits(2));
        let network = clients.network("192.0.2.1".parse().expect("an address"));
        for _ in 0..5 {
            assert_eq!(clients.may_ask(secs(1), network, Asks::RefusedRecipient), Verdict::Within);
        }
        clients.ask(secs(1), network, Asks::RefusedRecipient);
        clients.ask(secs(1), network, Asks::RefusedRecipient);
        assert_eq!(clients.may_ask(secs(1), network, Asks::RefusedRecipient), Verdict::Over { is_news: true });
        assert_eq!(clients.may_ask(secs(1), network, Asks::Recipient), Verdict::Within);
        assert_eq!(clients.may_ask(secs(31), network, Asks::RefusedRecipient), Verdict::Within);
    }

    #[test]
    fn whoever_asks_is_remembered_when_the_memory_is_full() {
        let mut clients = Clients::bounded(limits(2), 10);
        let network = |number| Network { is_ipv4: true, bits: number };
        let busy = network(1_000);
        for round in 0..100 {
            // Many strangers, each seen once; between them one that never stops.
            for stranger in 0..8 {
                clients.ask(secs(1), network(round * 8 + stranger), Asks::Message);
            }
            let verdict = clients.ask(secs(1), busy, Asks::Message);
            assert_eq!(verdict == Verdict::Within, round < 2, "{round}");
        }
    }

    proptest! {
        /// In any span a network gets at most a minute's worth and what came back meanwhile; it never gets less than what
        /// comes back; and what others do changes nothing for it.
        #[test]
        fn everybody_gets_his_share(
            per_minute in 1u32..40,
            asks in proptest::collection::vec((0u64..3_000, 0u128..4), 1..400),
        ) {
            let (mut clients, mut alone) = (Clients::new(limits(per_minute)), Clients::new(limits(per_minute)));
            let mut granted: Vec<Duration> = Vec::new();
            let mut now = Duration::ZERO;
            let cost = SPAN / per_minute;
            for (millis, who) in asks {
                now += Duration::from_millis(millis);
                let network = Network { is_ipv4: false, bits: who };
                let verdict = clients.ask(now, network, Asks::Recipient);
                if who != 0 {
                    continue;
                }
                let by_itself = alone.ask(now, network, Asks::Recipient);
                prop_assert_eq!(verdict == Verdict::Within, by_itself == Verdict::Within);
                if verdict == Verdict::Within {
                    granted.push(now);
                } else {
                    let lately = granted.iter().filter(|at| **at + SPAN > now).count();
                    prop_assert!(lately > 0, "refused although nothing was granted for a minute");
                }
            }
            for (first, from) in granted.iter().enumerate() {
                for (last, to) in granted.iter().enumerate().skip(first) {
                    let allowed = SPAN + (*to - *from) + cost;
                    prop_assert!(cost * u32::try_from(last - first + 1).expect("few") <= allowed);
                }
            }
        }

        /// Whoever comes, and whenever, the memory has its bound.
        #[test]
        fn memory_is_bounded(asks in proptest::collection::vec((0u64..20, any::<u8>()), 1..500)) {
            let mut clients = Clients::bounded(limits(5), 10);
            let mut now = Duration::ZERO;
            for (secs, who) in asks {
                now += Duration::from_secs(secs);
                clients.ask(now, Network { is_ipv4: true, bits: u128::from(who) }, Asks::Message);
                prop_assert!(clients.recent.len() <= 10 && clients.before.len() <= 10);
            }
        }
    }
}
