//! Points in time, as people write them: RFC 3339, UTC, milliseconds always shown so that columns align; and how long
//! ago they were.

use domain::EpochMillis;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The text is not a point in time that this system can hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no point in time: write it like `2027-01-31T00:00:00Z`")]
pub(crate) struct NoMoment(String);

/// `2026-01-07T20:15:02.120Z`; the bare number where the year would have more than four digits.
pub(crate) fn show(moment: EpochMillis) -> String {
    let millis = moment.as_millis();
    let Ok(at) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000) else {
        return millis.to_string();
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    )
}

/// Reads an RFC 3339 date and time, in any zone.
pub(crate) fn parse(text: &str) -> Result<EpochMillis, NoMoment> {
    let unreadable = || NoMoment(text.to_owned());
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| unreadable())?;
    let millis = at.unix_timestamp_nanos() / 1_000_000;
    u64::try_from(millis)
        .map(EpochMillis::new)
        .map_err(|_| unreadable())
}

/// How long ago, in the largest unit that fits.
pub(crate) fn age(now: EpochMillis, sent: EpochMillis) -> String {
    let seconds = now.since(sent).as_millis() / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        86_400.. => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_always_shown() {
        assert_eq!(
            show(EpochMillis::new(1_767_816_902_120)),
            "2026-01-07T20:15:02.120Z"
        );
        assert_eq!(
            show(EpochMillis::new(1_767_816_902_000)),
            "2026-01-07T20:15:02.000Z"
        );
        assert_eq!(show(EpochMillis::new(u64::MAX)), u64::MAX.to_string());
    }

    #[test]
    fn a_moment_in_any_zone_is_read() {
        assert_eq!(
            parse("2026-01-07T23:15:02.12+03:00").map(show),
            Ok("2026-01-07T20:15:02.120Z".to_owned())
        );
        for bad in [
            "tomorrow",
            "2026-01-07",
            "2026-01-07T20:15:02",
            "1960-01-01T00:00:00Z",
        ] {
            assert!(parse(bad).unwrap_err().to_string().contains(bad));
        }
    }

    #[test]
    fn an_age_is_told_in_the_largest_unit_that_fits() {
        let told = [0, 59, 60, 3_599, 3_600, 86_399, 86_400].map(|seconds| {
            let sent = EpochMillis::new(1_000_000);
            age(EpochMillis::new(1_000_000 + seconds * 1_000), sent)
        });

        assert_eq!(
            told,
            ["0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 d"]
        );
        assert_eq!(
            age(EpochMillis::new(0), EpochMillis::new(1)),
            "0 s",
            "the queue's clock may be ahead"
        );
    }
}
