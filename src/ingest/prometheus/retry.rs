//! When to ask again.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// How often and how patiently a request is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// The wait before the second attempt; doubles with each further one.
    pub first_wait: Duration,
    /// No wait is longer, whatever the server asks for.
    pub longest_wait: Duration,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for Retry {
    /// Five attempts within about 8 seconds, and at most 30 seconds between two if the server asks for them.
    fn default() -> Self {
        Self { attempts: 5, first_wait: Duration::from_millis(500), longest_wait: Duration::from_secs(30), seed: 1 }
    }
}

/// The waits of one request after another.
#[derive(Debug)]
pub(super) struct Waits {
    retry: Retry,
    random: Pcg64Mcg,
}

impl Waits {
    pub(super) fn new(retry: Retry) -> Self {
        Self { retry, random: Pcg64Mcg::seed_from_u64(retry.seed) }
    }

    /// How long to wait after this failed attempt, counted from 1; `None` if it was the last.
    ///
    /// Without a wish of the server: the doubled wait, of which a random half is taken off, so that clients that
    /// failed together do not return together.
    pub(super) fn after(&mut self, attempt: u32, asked: Option<Duration>) -> Option<Duration> {
        if attempt >= self.retry.attempts.max(1) {
            return None;
        }
        let doubled = self.retry.first_wait.saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
        let jittered = doubled.min(self.retry.longest_wait).mul_f64(1.0 - 0.5 * self.random.random::<f64>());
        Some(asked.unwrap_or(jittered).min(self.retry.longest_wait))
    }
}

/// Whether the same request may succeed later: too many requests, and failures of the server or a proxy before it.
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// `Retry-After` in seconds, or as a date, which counts from the `Date` of the same answer.
pub(super) fn asked_wait(retry_after: Option<&str>, date: Option<&str>) -> Option<Duration> {
    let retry_after = retry_after?.trim();
    if let Ok(seconds) = retry_after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let instant = |text: &str| jiff::fmt::rfc2822::parse(text.trim()).ok().map(|time| time.timestamp());
    Duration::try_from(instant(retry_after)?.duration_since(instant(date?)?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_with_jitter_and_end() {
        let retry = Retry { attempts: 5, longest_wait: Duration::from_secs(3), ..Retry::default() };
        let mut waits = Waits::new(retry);
        for (attempt, (least, most)) in (1..).zip([(250, 500), (500, 1000), (1000, 2000), (1500, 3000)]) {
            let wait = waits.after(attempt, None).unwrap().as_millis();
            assert!((least..=most).contains(&wait), "attempt {attempt}: {wait} ms");
        }
        assert_eq!(waits.after(5, None), None);
    }

    #[test]
    fn the_servers_wish_counts_up_to_the_longest_wait() {
        let mut waits = Waits::new(Retry::default());
        assert_eq!(waits.after(1, Some(Duration::from_secs(7))), Some(Duration::from_secs(7)));
        assert_eq!(waits.after(1, Some(Duration::from_secs(7000))), Some(Duration::from_secs(30)));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = Some("Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(asked_wait(Some("120"), None), Some(Duration::from_secs(120)));
        assert_eq!(asked_wait(Some("Wed, 21 Oct 2015 07:28:05 GMT"), date), Some(Duration::from_secs(5)));
        assert_eq!(asked_wait(Some("Wed, 21 Oct 2015 07:27:00 GMT"), date), None);
        assert_eq!(asked_wait(Some("soon"), date), None);
        assert_eq!(asked_wait(None, date), None);
    }
}
