//! [`Time`]: dates, times with and without a zone, and times of the day.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::short::Short;

const DAY: i64 = 86_400;

/// A time, as exact as the file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Since 1970, or since midnight.
    seconds: i64,
    /// Fraction of a second, below 10^9.
    nanos: u32,
    kind: TimeKind,
}

/// What a time counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeKind {
    /// A date, or a date and a time of the day, of no zone. A date alone is its midnight.
    Local,
    /// An instant: a date and a time of the day in UTC, whatever zone it was written in.
    Utc,
    /// A time of the day.
    OfDay,
}

impl Time {
    /// `value` in parts of a second, of which one has `per_second` (1 to 10^9).
    pub(crate) fn new(value: i64, per_second: i64, kind: TimeKind) -> Self {
        let nanos = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
        Self { seconds: value.div_euclid(per_second), nanos: nanos as u32, kind }
    }

    /// The midnight with which a day begins. A day that no time reaches becomes the last that one does.
    pub(crate) fn of_day(day: i64) -> Self {
        Self { seconds: day.saturating_mul(DAY), nanos: 0, kind: TimeKind::Local }
    }

    /// What it counts from.
    #[must_use]
    pub fn kind(&self) -> TimeKind {
        self.kind
    }

    /// Whether the two can be compared: a time of the day and a date cannot.
    #[must_use]
    pub fn is_like(&self, other: TimeKind) -> bool {
        (self.kind == TimeKind::OfDay) == (other == TimeKind::OfDay)
    }

    /// Which is earlier. A time without zone is taken for one in UTC where the other has one.
    #[must_use]
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        self.is_like(other.kind).then(|| (self.seconds, self.nanos).cmp(&(other.seconds, other.nanos)))
    }

    /// Reads `2026-01-06`, `2026-01-06 12:30`, `2026-01-06T12:30:00.25`, either with `Z`, `UTC`, `+02`, `+0200` or
    /// `+02:00` behind it, and `12:30`, `12:30:00.25`. Nothing else is a time.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.get(2) == Some(&b':') {
            let (seconds, nanos, rest) = clock(bytes)?;
            return rest.is_empty().then_some(Self { seconds, nanos, kind: TimeKind::OfDay });
        }
        let (day, rest) = date(bytes)?;
        let [b' ' | b'T' | b't', rest @ ..] = rest else {
            return rest.is_empty().then_some(Self::of_day(day));
        };
        let (seconds, nanos, rest) = clock(rest)?;
        let (offset, kind) = zone(rest)?;
        Some(Self { seconds: day * DAY + seconds - offset, nanos, kind })
    }

    /// The first moment of a month, `2026-01`.
    pub(crate) fn parse_month(text: &str) -> Option<Self> {
        if text.len() != 7 {
            return None;
        }
        Self::parse(&format!("{text}-01"))
    }

    /// ISO 8601: a date alone at midnight of no zone, else `2026-01-06T12:30:00.25`, in UTC with a `Z`.
    pub(crate) fn write(&self, to: &mut Short) {
        let (day, second) = (self.seconds.div_euclid(DAY), self.seconds.rem_euclid(DAY));
        if self.kind != TimeKind::OfDay {
            write_date(day, to);
            if self.kind == TimeKind::Local && second == 0 && self.nanos == 0 {
                return;
            }
            to.push(b'T');
        }
        for (at, part) in [second / 3600, second / 60 % 60, second % 60].into_iter().enumerate() {
            if at > 0 {
                to.push(b':');
            }
            to.push_number(part.unsigned_abs().into(), 2);
        }
        if self.nanos > 0 {
            to.push(b'.');
            to.push_number(self.nanos.into(), 9);
            to.trim_end(b'0');
        }
        if self.kind == TimeKind::Utc {
            to.push(b'Z');
        }
    }
}

/// Two digits.
fn two(bytes: &[u8]) -> Option<i64> {
    match *bytes {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', ..] => Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0')),
        _ => None,
    }
}

/// Two digits, if they are at most `most`, and what follows.
fn part(bytes: &[u8], most: i64) -> Option<(i64, &[u8])> {
    two(bytes).filter(|&part| part <= most).map(|part| (part, &bytes[2..]))
}

/// Days since 1970, and what follows.
fn date(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let year = two(bytes)? * 100 + two(bytes.get(2..)?)?;
    let (month, rest) = part(bytes.get(4..)?.strip_prefix(b"-")?, 12)?;
    let (day, rest) = part(rest.strip_prefix(b"-")?, 31)?;
    let days = days_before(year, month, day);
    // A day that its month does not have would be one of the next.
    (month > 0 && day > 0 && civil(days) == (year, month, day)).then_some((days, rest))
}

/// Seconds since midnight, nanoseconds, and what follows.
fn clock(bytes: &[u8]) -> Option<(i64, u32, &[u8])> {
    let (hour, rest) = part(bytes, 23)?;
    let (minute, rest) = part(rest.strip_prefix(b":")?, 59)?;
    let Some(rest) = rest.strip_prefix(b":") else {
        return Some((hour * 3600 + minute * 60, 0, rest));
    };
    let (second, rest) = part(rest, 59)?;
    let seconds = hour * 3600 + minute * 60 + second;
    let Some(fraction) = rest.strip_prefix(b".") else {
        return Some((seconds, 0, rest));
    };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&digits) {
        return None;
    }
    let nanos = fraction[..digits].iter().fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    Some((seconds, nanos * 10_u32.pow(9 - digits as u32), &fraction[digits..]))
}

/// Seconds by which a zone is ahead of UTC.
fn zone(bytes: &[u8]) -> Option<(i64, TimeKind)> {
    let bytes = bytes.strip_prefix(b" ").filter(|rest| !rest.is_empty()).unwrap_or(bytes);
    let (sign, rest) = match bytes {
        [] => return Some((0, TimeKind::Local)),
        b"Z" | b"z" | b"UTC" => return Some((0, TimeKind::Utc)),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, mut rest) = part(rest, 23)?;
    let mut offset = hours * 3600;
    for unit in [60, 1] {
        if rest.is_empty() {
            break;
        }
        let (value, after) = part(rest.strip_prefix(b":").unwrap_or(rest), 59)?;
        offset += value * unit;
        rest = after;
    }
    rest.is_empty().then_some((sign * offset, TimeKind::Utc))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years begin in March here, so that a leap day ends one.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + later, month, day)
}

fn write_date(days: i64, to: &mut Short) {
    let (year, month, day) = civil(days);
    if year < 0 {
        to.push(b'-');
    }
    to.push_number(year.unsigned_abs().into(), 4);
    for part in [month, day] {
        to.push(b'-');
        to.push_number(part.unsigned_abs().into(), 2);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chrono::{DateTime, Datelike, NaiveDate};
    use proptest::prelude::*;

    use super::*;

    fn text(time: Time) -> String {
        let mut short = Short::default();
        time.write(&mut short);
        short.text().to_owned()
    }

    #[test]
    fn one_time_has_one_text_however_it_is_written() {
        for (spellings, expected) in [
            (
                &["2026-01-06", "2026-01-06 00:00:00", "2026-01-06T00:00:00.000000", "2026-01-06 00:00"][..],
                "2026-01-06",
            ),
            (&["2026-01-06 12:30", "2026-01-06t12:30:00", "2026-01-06 12:30:00.000"], "2026-01-06T12:30:00"),
            (&["2026-01-06 12:30:00.250000", "2026-01-06T12:30:00.25"], "2026-01-06T12:30:00.25"),
            (
                &[
                    "2026-01-06T00:00:00Z",
                    "2026-01-06 00:00:00+00:00",
                    "2026-01-06 00:00:00+00",
                    "2026-01-06T00:00:00.000000+0000",
                    "2026-01-06 00:00:00 UTC",
                    "2026-01-06 00:00:00.000000Z",
                    "2026-01-06 02:00:00+02:00",
                    "2026-01-05T19:00:00.000-05:00",
                    "2026-01-05 18:30:00 -0530",
                    "2026-01-06 00:53:28+00:53:28",
                ],
                "2026-01-06T00:00:00Z",
            ),
            (&["12:30", "12:30:00", "12:30:00.000000"], "12:30:00"),
        ] {
            for spelling in spellings {
                assert_eq!(Time::parse(spelling).map(text).as_deref(), Some(expected), "{spelling}");
            }
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "2026",
            "2026-01",
            "2026-1-6",
            "2026-02-30",
            "2025-02-29",
            "2026-00-10",
            "2026-01-00",
            "2026-13-01",
            "2026-01-06x",
            "2026-01-06T",
            "2026-01-06 24:00:00",
            "2026-01-06 12:60",
            "2026-01-06 12:30:60",
            "2026-01-06 12:30:00.",
            "2026-01-06 12:30:00.1234567890",
            "2026-01-06 12:30:00 ",
            "2026-01-06 12:30:00+",
            "2026-01-06 12:30:00+2",
            "2026-01-06 12:30:00+02:00:00:00",
            "2026-01-06 12:30:00CET",
            "2026-01-06Z",
            "20260106",
            "2026/01/06",
            "06.01.2026",
            "1:30",
            "12:30 ",
            "12:30:00Z",
            "+2026-01-06",
            "２０２６-01-06",
        ] {
            assert_eq!(Time::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn times_are_ordered_by_when_they_are() {
        let order = |a: &str, b: &str| Time::parse(a).unwrap().order(&Time::parse(b).unwrap());
        assert_eq!(order("2026-01-06", "2026-01-06 00:00:00.000000001"), Some(Ordering::Less));
        assert_eq!(order("2026-01-06T01:00:00+02:00", "2026-01-05T23:00:00Z"), Some(Ordering::Equal));
        assert_eq!(order("2026-01-06", "2026-01-06T00:00:00Z"), Some(Ordering::Equal));
        assert_eq!(order("12:30", "12:30:00.5"), Some(Ordering::Less));
        assert_eq!(order("12:30", "2026-01-06"), None);
        assert_eq!(Time::parse_month("2026-02"), Time::parse("2026-02-01"));
        assert_eq!(Time::parse_month("2026-2"), None);
    }

    #[test]
    fn every_64_bit_number_is_a_time_with_a_text() {
        for value in [i64::MIN, -1, 0, 1, i64::MAX] {
            for per_second in [1, 1_000, 1_000_000, 1_000_000_000] {
                for kind in [TimeKind::Local, TimeKind::Utc, TimeKind::OfDay] {
                    assert!(!text(Time::new(value, per_second, kind)).is_empty());
                }
            }
            assert!(!text(Time::of_day(value)).is_empty());
        }
        assert_eq!(text(Time::new(-1, 1_000_000, TimeKind::Local)), "1969-12-31T23:59:59.999999");
    }

    proptest! {
        #[test]
        fn dates_are_those_of_the_calendar(days in -800_000i64..3_000_000) {
            let expected = DateTime::from_timestamp(days * DAY, 0).unwrap().date_naive();
            prop_assert_eq!(civil(days), (expected.year().into(), expected.month().into(), expected.day().into()));
            prop_assert_eq!(days_before(expected.year().into(), expected.month().into(), expected.day().into()), days);
        }

        #[test]
        fn dates_that_are_none_are_refused(year in 0i32..10_000, month in 0u32..14, day in 0u32..33) {
            let expected = NaiveDate::from_ymd_opt(year, month, day).is_some();
            prop_assert_eq!(Time::parse(&format!("{year:04}-{month:02}-{day:02}")).is_some(), expected);
        }

        #[test]
        fn a_text_reads_back_as_its_time(micros in -62_000_000_000_000_000i64..250_000_000_000_000_000, zoned: bool) {
            let kind = if zoned { TimeKind::Utc } else { TimeKind::Local };
            let time = Time::new(micros, 1_000_000, kind);
            prop_assert_eq!(Time::parse(&text(time)), Some(time));
        }

        #[test]
        fn nothing_panics(text in "[0-9TZ:. +-]{0,30}|.{0,20}") {
            if let Some(time) = Time::parse(&text) {
                prop_assert!(!super::tests::text(time).is_empty());
            }
        }
    }
}
