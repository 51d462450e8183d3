//! Durations and sizes as people write them, both ways; it knows units and nothing of the keys that use them.

use std::fmt;
use std::time::Duration;

/// The longest duration that makes sense; more is a slip of the keyboard.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 60 * 60);

const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZE_UNITS: [(&str, u64); 5] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Why a text is no duration or size: what is wrong, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAUnit {
    pub(super) problem: String,
    pub(super) hint: String,
}

/// Reads `"30s"`, `"500ms"`, `"2m"`, `"1h"` or `"1d"`.
pub(super) fn duration(text: &str) -> Result<Duration, NotAUnit> {
    let (number, unit) = split(text);
    let hint = || "write a whole number and a unit: \"500ms\", \"30s\", \"2m\", \"1h\" or \"1d\"".to_owned();
    let Some((_, millis)) = DURATION_UNITS.iter().find(|(name, _)| *name == unit) else {
        let hint = match guess(number, unit, &DURATION_UNITS, &DURATION_WORDS) {
            Some(better) => format!("did you mean \"{better}\"?"),
            None => hint(),
        };
        return Err(NotAUnit { problem: format!("\"{text}\" is not a duration"), hint });
    };
    if number.is_empty() {
        return Err(NotAUnit { problem: format!("\"{text}\" is not a duration"), hint: hint() });
    }
    // What does not fit 64 bits is longer than a year, too.
    let duration =
        number.parse().ok().and_then(|count: u64| count.checked_mul(*millis)).map(Duration::from_millis);
    duration.filter(|duration| *duration <= MAX_DURATION).ok_or_else(|| NotAUnit {
        problem: format!("\"{text}\" is longer than a year"),
        hint: "a limit this long is no limit; choose a shorter one".to_owned(),
    })
}

/// Reads `"64KiB"`, `"1GiB"` or `"512B"`; the result is in bytes.
pub(super) fn size(text: &str) -> Result<u64, NotAUnit> {
    let (number, unit) = split(text);
    let hint =
        || "write a whole number of bytes, or a number and a unit: \"64KiB\", \"10MiB\", \"1GiB\"".to_owned();
    let Some((_, bytes)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
        let hint = match guess(number, unit, &SIZE_UNITS, &SIZE_WORDS) {
            Some(better) => format!("did you mean \"{better}\"? Sizes are counted in powers of 1024"),
            None => hint(),
        };
        return Err(NotAUnit { problem: format!("\"{text}\" is not a size"), hint });
    };
    if number.is_empty() {
        return Err(NotAUnit { problem: format!("\"{text}\" is not a size"), hint: hint() });
    }
    number.parse().ok().and_then(|count: u64| count.checked_mul(*bytes)).ok_or_else(|| NotAUnit {
        problem: format!("\"{text}\" is more bytes than can be counted"),
        hint: hint(),
    })
}

/// What people write for a unit elsewhere, and what it is here.
const DURATION_WORDS: [(&str, &str); 15] = [
    ("", "s"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("min", "m"),
    ("mins", "m"),
    ("minute", "m"),
    ("minutes", "m"),
    ("msecs", "ms"),
    ("day", "d"),
    ("msec", "ms"),
    ("hours", "h"),
    ("hour", "h"),
    ("days", "d"),
];

const SIZE_WORDS: [(&str, &str); 9] = [
    ("k", "KiB"),
    ("kb", "KiB"),
    ("m", "MiB"),
    ("mb", "MiB"),
    ("g", "GiB"),
    ("gb", "GiB"),
    ("t", "TiB"),
    ("tb", "TiB"),
    ("bytes", "B"),
];

/// The text that was probably meant, for a hint.
fn guess(number: &str, unit: &str, units: &[(&str, u64)], words: &[(&str, &'static str)]) -> Option<String> {
    let number: u64 = number.parse().ok()?;
    let unit = unit.trim().to_ascii_lowercase();
    let known = units.iter().map(|(name, _)| *name).find(|name| name.eq_ignore_ascii_case(&unit));
    let better = known.or_else(|| words.iter().find(|(word, _)| *word == unit).map(|(_, name)| *name))?;
    Some(format!("{number}{better}"))
}

/// Splits a text into its leading digits and the rest.
fn split(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// A duration, shown as one writes it in the file, with the largest unit that is exact.
pub(super) struct Time(pub(super) Duration);

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let (seconds, minutes) = (millis / 1000, millis / 60_000);
        // 60s rather than 1m: seconds are what people compare.
        if !millis.is_multiple_of(1000) {
            write!(formatter, "{millis}ms")
        } else if minutes > 1 && seconds.is_multiple_of(60) {
            write!(formatter, "{minutes}m")
        } else {
            write!(formatter, "{seconds}s")
        }
    }
}

/// A number of bytes, shown as one writes it in the file, with the largest unit that is exact.
pub(super) struct ByteSize(pub(super) u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |(_, bytes): &&(&str, u64)| self.0 >= *bytes && self.0.is_multiple_of(*bytes);
        match SIZE_UNITS.iter().rev().find(exact) {
            Some((unit, bytes)) => write!(formatter, "{}{unit}", self.0 / bytes),
            None => write!(formatter, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [("0s", 0), ("1ms", 1), ("30s", 30_000), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration("366d"), Ok(MAX_DURATION));
        for text in ["", "s", "1", "1 s", "1S", "-1s", "+1s", "1.5s", "1s1s", "367d", "1_0s", "１s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("0B", 0), ("1B", 1), ("64KiB", 65_536), ("1GiB", 1 << 30), ("2TiB", 2 << 40)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "B", "1", "1KB", "1K", "1kib", "1 KiB", "-1B", "1.5GiB", "16777216TiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hints_name_what_was_probably_meant() {
        for (text, hint) in [("10", "\"10s\""), ("5min", "\"5m\""), ("3 Hours", "\"3h\""), ("9MS", "\"9ms\"")]
        {
            assert!(duration(text).unwrap_err().hint.contains(hint), "{text}");
        }
        for (text, hint) in [("1MB", "\"1MiB\""), ("4k", "\"4KiB\""), ("2 gb", "\"2GiB\""), ("7b", "\"7B\"")]
        {
            assert!(size(text).unwrap_err().hint.contains(hint), "{text}");
        }
    }

    #[test]
    fn shown_in_the_unit_that_people_compare() {
        let show = |millis| Time(Duration::from_millis(millis)).to_string();
        assert_eq!(
            [0, 100, 1500, 60_000, 90_000, 120_000].map(show),
            ["0s", "100ms", "1500ms", "60s", "90s", "2m"]
        );
        assert_eq!(
            [0, 1, 1024, 1536, 1 << 30].map(|bytes| ByteSize(bytes).to_string()),
            ["0B", "1B", "1KiB", "1536B", "1GiB"]
        );
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_as_what_it_was(millis in 0..366 * 86_400_000_u64, bytes: u64) {
            let time = Duration::from_millis(millis);
            prop_assert_eq!(duration(&Time(time).to_string()), Ok(time));
            prop_assert_eq!(size(&ByteSize(bytes).to_string()), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (duration(&text), size(&text));
        }
    }
}
