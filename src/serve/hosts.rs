//! Whom a request is for: a page in somebody's browser must not read what is meant for this machine, by a name of its
//! own that it has made to point here (DNS rebinding).

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, Version, header};

/// The names that a request may call us by, beside the address that it came in at.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    names: Vec<String>,
}

impl Hosts {
    /// `localhost`, the host that the settings listen on, and the names that they add.
    pub(super) fn new(listen: &str, added: &[String]) -> Self {
        let listened = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
        let names = ["localhost", listened].into_iter().map(str::to_owned);
        let names = names.chain(added.iter().cloned());
        Hosts {
            names: names.map(|name| name.to_ascii_lowercase()).collect(),
        }
    }

    /// Whether a request that came in at `address` is for us. A browser always says whom it means; a plain health check
    /// of HTTP/1.0 need not.
    pub(super) fn accept(&self, version: Version, uri: &Uri, headers: &HeaderMap, address: IpAddr) -> bool {
        let mut named = headers.get_all(header::HOST).iter();
        let is_ours = |host: &str| self.is_ours(host, address);
        let is_target_ours = uri.host().is_none_or(is_ours);
        let is_named_ours = match (named.next(), named.next()) {
            (None, _) => version < Version::HTTP_11,
            (Some(host), None) => host.to_str().is_ok_and(|host| is_ours(without_port(host))),
            (Some(_), Some(_)) => false,
        };
        is_target_ours && is_named_ours
    }

    fn is_ours(&self, host: &str, address: IpAddr) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>();
        literal.is_ok_and(|literal| literal.to_canonical() == address.to_canonical())
            || self.names.contains(&host)
    }
}

/// The host of `host:port` or `[host]:port`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((before, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !before.is_empty() => {
            let is_cut_address = before.contains(':') && !before.ends_with(']');
            if is_cut_address { host } else { before }
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(hosts: &Hosts, host: &str, at: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        hosts.accept(
            Version::HTTP_11,
            &Uri::from_static("/metrics"),
            &headers,
            at.parse().unwrap(),
        )
    }

    #[test]
    fn addresses_and_names_of_ours_are_accepted_and_no_others() {
        let hosts = Hosts::new("meters.internal:9464", &["Proxy.example".to_owned()]);
        for (host, at) in [
            ("127.0.0.1:9464", "127.0.0.1"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1:9464", "::ffff:127.0.0.1"),
            ("[::1]:9464", "::1"),
            ("[::1]", "::1"),
            ("LocalHost:1", "10.0.0.7"),
            ("meters.internal", "10.0.0.7"),
            ("proxy.example.:80", "10.0.0.7"),
        ] {
            assert!(is_accepted(&hosts, host, at), "{host} at {at}");
        }
        for (host, at) in [
            ("evil.example:9464", "127.0.0.1"),
            ("127.0.0.1.evil.example", "127.0.0.1"),
            ("localhost.evil.example", "127.0.0.1"),
            ("10.0.0.8", "10.0.0.7"),
            ("127.0.0.1@evil.example", "127.0.0.1"),
            ("", "127.0.0.1"),
            ("::1:9464", "10.0.0.7"),
        ] {
            assert!(!is_accepted(&hosts, host, at), "{host} at {at}");
        }
    }

    #[test]
    fn a_target_with_a_host_and_a_second_header_are_looked_at_too() {
        let hosts = Hosts::new("127.0.0.1:9464", &[]);
        let address: IpAddr = "127.0.0.1".parse().unwrap();
        let mut headers = HeaderMap::new();
        let path = Uri::from_static("/livez");
        assert!(hosts.accept(Version::HTTP_10, &path, &headers, address));
        assert!(!hosts.accept(Version::HTTP_11, &path, &headers, address));
        headers.insert(header::HOST, "localhost".parse().unwrap());
        let foreign = Uri::from_static("http://evil.example/metrics");
        assert!(!hosts.accept(Version::HTTP_11, &foreign, &headers, address));
        headers.append(header::HOST, "evil.example".parse().unwrap());
        assert!(!hosts.accept(Version::HTTP_11, &path, &headers, address));
    }
}
