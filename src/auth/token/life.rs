//! How long a token may live: what was asked for, within the bounds of all who have a say. Knows no token.

use std::time::Duration;

use crate::api::fields::Ttl;
use crate::api::{Error, TokenParams};
use crate::clock::Timestamp;

/// The lives of tokens that ask for none, and of those that ask for too long ones.
#[derive(Clone, Copy)]
pub struct Ttls {
    pub default: Duration,
    pub max: Duration,
}

/// What is wished for a token's life. `None` is no wish, and no bound.
#[derive(Clone, Copy, Default)]
pub struct Life {
    pub ttl: Option<Duration>,
    pub period: Option<Duration>,
    pub ttl_max: Option<Duration>,
    pub explicit_max: Option<Duration>,
}

impl Life {
    /// What a role says of the lives of its tokens.
    pub fn of(token: &TokenParams) -> Self {
        Self {
            ttl: positive(token.ttl_s),
            period: positive(token.period_s),
            ttl_max: positive(token.ttl_max_s),
            explicit_max: positive(token.explicit_ttl_max_s),
        }
    }

    /// When a token ends that was made at `created` and gets this now. A wish beyond the bounds is cut, with a warning.
    pub fn end(
        &self,
        ttls: Ttls,
        created: Timestamp,
        now: Timestamp,
        warnings: &mut Vec<String>,
    ) -> Result<Timestamp, Error> {
        let max = [self.ttl_max, self.explicit_max].into_iter().flatten().fold(ttls.max, Duration::min);
        let (ttl, end) = match self.period {
            Some(period) => {
                if period > max {
                    warnings.push(exceeded("period", period, max));
                }
                (period.min(max), self.explicit_max.map(|max| later(created, max)))
            }
            None => (self.ttl.unwrap_or(ttls.default), Some(later(created, max))),
        };
        let wish = later(now, ttl);
        match end {
            Some(end) if end <= now => Err(Error::invalid("past the max TTL, cannot renew")),
            Some(end) if end < wish => {
                warnings.push(exceeded("TTL", ttl, Duration::try_from(end.duration_since(now)).unwrap_or_default()));
                Ok(end)
            }
            Some(_) | None => Ok(wish),
        }
    }
}

/// Reads the text of a duration; zero is none.
pub(super) fn read(text: &str) -> Result<Option<Duration>, Error> {
    let duration = Ttl::parse(text).map_err(Error::invalid)?;
    Ok(Some(duration).filter(|duration| !duration.is_zero()))
}

/// As many seconds; zero is none.
pub(super) fn positive(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds)).filter(|duration| !duration.is_zero())
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// The warning that a wish was cut.
pub fn exceeded(what: &str, wish: Duration, max: Duration) -> String {
    let (wish, max) = (go_duration(wish), go_duration(max));
    format!("{what} of {wish:?} exceeded the effective max_ttl of {max:?}; {what} value is capped accordingly")
}

/// A duration in Go's notation, in whole seconds and without units that are zero.
pub fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String =
        units.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H: u64 = 3_600;

    /// The seconds that a life gets, and how many warnings: asked for at an age, as TTL, period, bound and explicit bound.
    fn check(age: u64, [ttl, period, ttl_max, explicit_max]: [u64; 4], expected: Option<(u64, usize)>) {
        let ttls = Ttls { default: Duration::from_secs(24 * H), max: Duration::from_secs(100 * H) };
        let life = TokenParams { ttl_s: ttl, period_s: period, ttl_max_s: ttl_max, ..TokenParams::default() };
        let life = Life::of(&TokenParams { explicit_ttl_max_s: explicit_max, ..life });
        let created = Timestamp::from_second(1_700_000_000).unwrap();
        let now = later(created, Duration::from_secs(age));
        let mut warnings = Vec::new();
        let end = life.end(ttls, created, now, &mut warnings).ok();
        let left = end.map(|end| u64::try_from(end.duration_since(now).as_secs()).unwrap());
        assert_eq!(left.map(|left| (left, warnings.len())), expected, "{age} {ttl} {period} {ttl_max} {explicit_max}");
    }

    #[test]
    fn a_wish_is_cut_to_the_bounds() {
        check(0, [0, 0, 0, 0], Some((24 * H, 0)));
        check(0, [H, 0, 0, 0], Some((H, 0)));
        check(0, [200 * H, 0, 0, 0], Some((100 * H, 1)));
        check(99 * H, [2 * H, 0, 0, 0], Some((H, 1)));
        check(100 * H, [2 * H, 0, 0, 0], None);
        check(0, [2 * H, 0, H, 0], Some((H, 1)));
        check(0, [0, 0, 0, H], Some((H, 1)));
        check(0, [0, 0, 200 * H, 300 * H], Some((24 * H, 0)));
        check(0, [2 * H, H, 0, 0], Some((H, 0)));
        check(1_000 * H, [2 * H, H, 0, 0], Some((H, 0)));
        check(0, [0, 200 * H, 0, 0], Some((100 * H, 1)));
        check(2 * H, [0, H, 0, 150 * 60], Some((H / 2, 1)));
        check(3 * H, [0, H, 0, 150 * 60], None);
    }

    #[test]
    fn durations_are_told_as_go_tells_them() {
        let check = |seconds: u64, expected: &str| assert_eq!(go_duration(Duration::from_secs(seconds)), expected);
        check(0, "0s");
        check(59, "59s");
        check(3_600, "1h");
        check(768 * H, "768h");
        check(5_405, "1h30m5s");
    }
}
