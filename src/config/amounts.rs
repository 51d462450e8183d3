//! The typed readers of numbers, durations and sizes; it does not know what the values are for.

use std::time::Duration;

use toml::de::{DeInteger, DeValue};

use super::diagnostic::Kind as Mistake;
use super::keys::{HUGE, Kind, Preset};
use super::section::Section;
use super::units;

impl Section<'_, '_> {
    /// A number, or `None` for `"none"`.
    pub(super) fn count_or_none(&self, name: &str) -> Option<usize> {
        let preset = match self.preset(name) {
            Preset::Count(number) => usize::try_from(number).ok(),
            _ => None,
        };
        let Some(value) = self.value(name) else { return preset };
        let (min, max, none) = match self.key(name).map(|key| key.kind) {
            Some(Kind::Count { min, max, none }) => (min, max, none),
            Some(Kind::CountOrTable { min, max }) => (min, max, false),
            _ => return preset,
        };
        if none && value.get_ref().as_str() == Some("none") {
            return None;
        }
        let Some(integer) = value.get_ref().as_integer() else {
            let hint = match value.get_ref().as_str().map(str::parse::<u64>) {
                Some(Ok(number)) => format!("write it without quotes: {name} = {number}"),
                _ => format!("write a whole number{}", or_none(none)),
            };
            self.wrong_type(name, value, hint);
            return preset;
        };
        let number = whole_number(integer).filter(|number| (min..=max).contains(number));
        if number.is_none() {
            let message = format!("`{name}` cannot be {}", integer.as_str());
            let hint = format!("write a whole number from {min} to {max}{}", or_none(none));
            self.notes.error(Mistake::Value, &value.span(), message, hint);
        }
        number.and_then(|number| usize::try_from(number).ok()).or(preset)
    }

    /// A number.
    pub(super) fn count(&self, name: &str) -> usize {
        self.count_or_none(name).unwrap_or(1)
    }

    /// A duration, or `None` for `"none"`.
    pub(super) fn duration_or_none(&self, name: &str) -> Option<Duration> {
        let preset = match self.preset(name) {
            Preset::Duration(duration) => Some(duration),
            _ => None,
        };
        let Some(value) = self.value(name) else { return preset };
        let Some(Kind::Duration { zero, none }) = self.key(name).map(|key| key.kind) else { return preset };
        let Some(text) = value.get_ref().as_str() else {
            let hint = match value.get_ref() {
                DeValue::Integer(number) => format!("a duration needs its unit: did you mean \"{number}s\"?"),
                _ => format!("write a duration in quotes: \"30s\"{}", or_none(none)),
            };
            self.wrong_type(name, value, hint);
            return preset;
        };
        match units::duration(text) {
            _ if none && text == "none" => return None,
            Ok(duration) if zero || !duration.is_zero() => return Some(duration),
            Ok(_) => {
                let hint = if none { "write \"none\" for no limit" } else { "write at least \"1ms\"" };
                self.notes.error(
                    Mistake::Value,
                    &value.span(),
                    format!("`{name}` cannot be \"{text}\""),
                    hint,
                );
            }
            Err(wrong) => {
                let hint =
                    if text == "none" { format!("`{name}` cannot be switched off") } else { wrong.hint };
                self.notes.error(Mistake::Value, &value.span(), wrong.problem, hint);
            }
        }
        preset
    }

    /// A duration.
    pub(super) fn duration(&self, name: &str) -> Duration {
        self.duration_or_none(name).unwrap_or_default()
    }

    /// A number of bytes, or `None` for `"none"`.
    pub(super) fn size_or_none(&self, name: &str) -> Option<u64> {
        let preset = match self.preset(name) {
            Preset::Size(bytes) => Some(bytes),
            _ => None,
        };
        let Some(value) = self.value(name) else { return preset };
        let Some(Kind::Size { min, max, none }) = self.key(name).map(|key| key.kind) else { return preset };
        let bytes = match value.get_ref() {
            DeValue::String(text) if none && text == "none" => return None,
            DeValue::String(text) => match units::size(text) {
                Ok(bytes) => Some(bytes),
                Err(wrong) => {
                    let switch = text == "none";
                    let hint = if switch { format!("`{name}` cannot be switched off") } else { wrong.hint };
                    self.notes.error(Mistake::Value, &value.span(), wrong.problem, hint);
                    return preset;
                }
            },
            DeValue::Integer(integer) => whole_number(integer),
            _ => {
                self.wrong_type(name, value, format!("write a size: \"64KiB\", 512{}", or_none(none)));
                return preset;
            }
        };
        let fits = bytes.filter(|bytes| (min..=max).contains(bytes));
        if fits.is_none() {
            let written = self.notes.text(&value.span());
            let least = units::ByteSize(min);
            let hint = match max {
                HUGE => format!("write a size of at least \"{least}\"{}", or_none(none)),
                _ => {
                    format!("write a size from \"{least}\" to \"{}\"{}", units::ByteSize(max), or_none(none))
                }
            };
            self.notes.error(Mistake::Value, &value.span(), format!("`{name}` cannot be {written}"), hint);
        }
        fits.or(preset)
    }

    /// A number of bytes that is held in memory.
    pub(super) fn memory(&self, name: &str) -> usize {
        usize::try_from(self.size(name)).unwrap_or(usize::MAX)
    }

    /// A number of bytes.
    pub(super) fn size(&self, name: &str) -> u64 {
        self.size_or_none(name).unwrap_or_default()
    }
}

fn or_none(none: bool) -> &'static str {
    if none { ", or \"none\"" } else { "" }
}

fn whole_number(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
