//! Which quota counts a request, and what it says.

use super::*;

fn record(path: &str, rate: f64, interval_s: u64, block_interval_s: u64) -> QuotaRecord {
    let (mount, suffix) = path.split_once('/').map_or((String::new(), ""), |(mount, rest)| (format!("{mount}/"), rest));
    let (suffix, role) = (suffix.to_owned(), String::new());
    QuotaRecord { name: path.to_owned(), mount, suffix, role, rate, interval_s, block_interval_s, inheritable: false }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_000_000_000_000 + ms).unwrap()
}

fn quotas(records: Vec<QuotaRecord>) -> Quotas {
    let quotas = records.into_iter().map(|record| Arc::new(Quota::new(record))).collect();
    let state = State { quotas, config: QuotaConfig::default() };
    Quotas { any: true.into(), state: RwLock::new(Arc::new(state)), changing: Mutex::default() }
}

#[test]
fn the_most_specific_quota_counts() {
    let paths = ["", "kv/", "kv/a", "kv/a*", "kv/ab*", "kv/a/b"];
    let quotas = quotas((10_u32..).zip(paths).map(|(limit, path)| record(path, limit.into(), 1, 0)).collect());
    let check = |path: &str, expected: Option<&str>| {
        let count = quotas.count(path, address("192.0.2.1"), || at(0)).map(|count| count.limit);
        let expected =
            expected.map(|path| 10 + u64::try_from(paths.iter().position(|other| *other == path).unwrap()).unwrap());
        assert_eq!(count, expected, "{path}");
    };
    check("secret/a", Some(""));
    check("kv2/a", Some(""));
    check("kv", Some("kv/"));
    check("kv/", Some("kv/"));
    check("kv/b", Some("kv/"));
    check("kv/a", Some("kv/a"));
    check("kv/a/", Some("kv/a"));
    check("kv/ac", Some("kv/a*"));
    check("kv/a/c", Some("kv/a*"));
    check("kv/abc", Some("kv/ab*"));
    check("kv/a/b", Some("kv/a/b"));
    check("sys/health", None);
    check("sys/health/a", Some(""));
}

#[test]
fn a_client_has_so_many_requests_in_an_interval() {
    let quotas = quotas(vec![record("", 3.0, 60, 0)]);
    let check = |client: &str, ms: i64, remaining: u64, reset_s: u64, retry_after_s: Option<u64>| {
        let count = quotas.count("kv/a", address(client), || at(ms));
        assert_eq!(count, Some(Count { limit: 3, remaining, reset_s, retry_after_s, told: false }), "{client} {ms}");
    };
    check("192.0.2.1", 0, 2, 20, None);
    check("192.0.2.1", 0, 1, 40, None);
    check("192.0.2.1", 0, 0, 60, None);
    check("192.0.2.1", 0, 0, 60, Some(20));
    check("192.0.2.1", 19_001, 0, 41, Some(1));
    check("192.0.2.2", 19_001, 2, 20, None);
    check("::ffff:192.0.2.2", 19_001, 1, 40, None);
    check("192.0.2.1", 20_000, 0, 60, None);
    check("192.0.2.1", 20_000, 0, 60, Some(20));
    check("192.0.2.1", 200_000, 2, 20, None);
    check("2001:db8::1", 0, 2, 20, None);
    check("2001:db8::2", 0, 1, 40, None);
    check("2001:db8:0:1::1", 0, 2, 20, None);
    // The clock went back.
    check("192.0.2.1", 0, 0, 220, Some(180));
}

#[test]
fn who_sent_too_much_is_blocked() {
    let quotas = quotas(vec![record("", 1.0, 1, 30)]);
    let check = |ms: i64, retry_after_s: Option<u64>| {
        let count = quotas.count("a", address("192.0.2.1"), || at(ms)).unwrap();
        assert_eq!(count.retry_after_s, retry_after_s, "{ms}");
    };
    check(0, None);
    check(500, Some(30));
    check(2_000, Some(29));
    check(30_499, Some(1));
    check(30_500, None);
}

#[test]
fn rates_need_not_be_whole() {
    let check = |rate: f64, interval_s: u64, expected: Option<(u64, i64)>| {
        let record = record("", rate, interval_s, 0);
        let step = step_ns(&record);
        assert_eq!(step.map(|step| (Quota::new(record).limit(), step)), expected, "{rate} in {interval_s} s");
    };
    check(0.5, 1, Some((1, 2_000_000_000)));
    check(7.0, 1, Some((7, 142_857_143)));
    check(2.5, 10, Some((2, 4_000_000_000)));
    check(0.0, 1, None);
    check(-1.0, 1, None);
    check(1e-300, 1, None);
    check(1e300, 1, None);
    check(f64::NAN, 1, None);
}

/// Regression: a client with many addresses filled the memory, or drove others out of it.
#[test]
fn addresses_are_forgotten_or_share() {
    let quotas = quotas(vec![record("", 1.0, 10, 0)]);
    let client = |number: usize| IpAddr::V4(std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap()));
    let is_refused =
        |number: usize, ms: i64| quotas.count("a", client(number), || at(ms)).unwrap().retry_after_s.is_some();
    for number in 0..CLIENTS_MAX {
        assert!(!is_refused(number, 0), "{number}");
    }
    assert!(!is_refused(CLIENTS_MAX, 2_000), "the first of those without room");
    assert!(is_refused(CLIENTS_MAX + 1, 2_000), "who shares with it");
    assert!(is_refused(0, 2_000), "nobody is driven out");
    let remembered = || quotas.state().quotas[0].clients.lock().unwrap().buckets.len();
    assert_eq!(remembered(), CLIENTS_MAX);
    assert!(!is_refused(CLIENTS_MAX + 1, 10_000), "there is room again");
    assert_eq!(remembered(), 1);
}
