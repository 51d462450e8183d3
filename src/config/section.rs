//! One table of the file under the eyes of the key table: typed readers that note every mistake and go on with the
//! default; it does not know what the values are for.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Kind as Mistake};
use super::keys::{Key, Kind, Only, Preset, Table};
use super::nearest::nearest;
use super::notes::{Bytes, Notes, Written, note_unknown_key};

/// One table of the file.
pub(super) struct Section<'t, 'n> {
    kind: Table,
    /// How messages call it: `[pool.php]`.
    name: String,
    table: &'t DeTable<'t>,
    /// Its header.
    pub(super) span: Bytes,
    pub(super) notes: &'n Notes<'n>,
}

impl<'t, 'n> Section<'t, 'n> {
    /// Opens a table and notes the keys that do not belong there.
    pub(super) fn open(
        kind: Table,
        name: String,
        table: &'t DeTable<'t>,
        span: Bytes,
        notes: &'n Notes<'n>,
    ) -> Self {
        for key in table.keys() {
            if !kind.keys().iter().any(|known| known.name == key.get_ref().as_ref()) {
                note_unknown_key(notes, kind, &name, key.get_ref(), &key.span());
            }
        }
        Self { kind, name, table, span, notes }
    }

    /// Notes the keys that are for another kind of pool or route than this.
    pub(super) fn allow(&self, is: &str, allowed: &[Only]) {
        for key in self.kind.keys().iter().filter(|key| !allowed.contains(&key.only)) {
            if let Some(span) = self.key_span(key.name) {
                let message = format!("`{}` is only for {}, and this is {is}", key.name, key.only.words());
                self.notes.error(Mistake::Conflict, &span, message, "remove it");
            }
        }
    }

    /// How messages call this table.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where a key stands, if it was written.
    pub(super) fn key_span(&self, name: &str) -> Option<Bytes> {
        self.table.get_key_value(name).map(|(key, _)| key.span())
    }

    /// Where a value stands, if it was written; else the header of the table.
    pub(super) fn value_span(&self, name: &str) -> Bytes {
        self.table.get(name).map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// The value behind a key, as it came from the parser.
    pub(super) fn value(&self, name: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.get(name)
    }

    /// The row of the key table; reading a key that has none is a mistake of this program.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        let key = self.kind.keys().iter().find(|key| key.name == name);
        debug_assert!(key.is_some(), "{} reads `{name}`, which is not in its table of keys", self.name);
        key
    }

    /// What holds when a key was not written.
    pub(super) fn preset(&self, name: &str) -> Preset {
        self.key(name).map_or(Preset::None, |key| key.preset)
    }

    /// Notes that a value has the wrong type.
    pub(super) fn wrong_type(&self, name: &str, value: &Spanned<DeValue<'_>>, hint: impl Into<String>) {
        let message = format!("`{name}` cannot be {}", with_article(value.get_ref().type_str()));
        self.notes.error(Mistake::Value, &value.span(), message, hint);
    }

    /// Whether there is a key that was told to be a misspelt `name`: it is not missing then.
    fn is_misspelt(&self, name: &str) -> bool {
        let keys = || self.kind.keys().iter().map(|known| known.name);
        let unknown = |key: &str| keys().all(|known| known != key);
        self.table.keys().any(|key| unknown(key.get_ref()) && nearest(key.get_ref(), keys()) == Some(name))
    }

    /// Notes that a required key was not written.
    pub(super) fn missing(&self, name: &str, hint: impl Into<String>) {
        if self.is_misspelt(name) {
            return;
        }
        let message = format!("{} has no `{name}`", self.name);
        self.notes.if_whole(Diagnostic::error(Mistake::Missing, self.span.clone(), message).hint(hint));
    }

    /// Notes that none of the keys was written of which one must be.
    pub(super) fn missing_one_of(&self, keys: &[&str], hint: &str) {
        if keys.iter().any(|key| self.is_misspelt(key)) {
            return;
        }
        let keys = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" nor ");
        let message = format!("{} has neither {keys}", self.name);
        self.notes.if_whole(Diagnostic::error(Mistake::Missing, self.span.clone(), message).hint(hint));
    }

    /// A string, if one was written.
    pub(super) fn text(&self, name: &str) -> Option<Written> {
        self.key(name);
        let value = self.value(name)?;
        let Some(text) = value.get_ref().as_str() else {
            let text =
                scalar(value.get_ref()).filter(|_| self.key(name).is_some_and(|key| key.kind == Kind::Text));
            let hint = match text {
                Some(text) => format!("write it in quotes: {name} = \"{text}\""),
                None => "write a string in quotes".to_owned(),
            };
            self.wrong_type(name, value, hint);
            return None;
        };
        if let Some(control) = text.chars().find(|char| char.is_control()) {
            let message = format!("`{name}` holds the control character U+{:04X}", u32::from(control));
            self.notes.error(Mistake::Value, &value.span(), message, "remove it");
            return None;
        }
        Some(Written { text: text.to_owned(), span: value.span() })
    }

    /// A string that must be there.
    pub(super) fn required_text(&self, name: &str, hint: &str) -> Option<Written> {
        if self.value(name).is_none() {
            self.missing(name, hint);
        }
        self.text(name)
    }

    /// A string, or its default.
    pub(super) fn text_or_default(&self, name: &str) -> String {
        match (self.text(name), self.preset(name)) {
            (Some(written), _) => written.text,
            (None, Preset::Text(text)) => text.to_owned(),
            (None, _) => String::new(),
        }
    }

    /// The meaning of one of a few words; the first word's, after a mistake.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let written = match (self.text(name), self.preset(name)) {
            (Some(written), _) => written,
            (None, Preset::Text(text)) => Written { text: text.to_owned(), span: self.span.clone() },
            (None, _) => return None,
        };
        let meant = words.iter().find(|(word, _)| *word == written.text).map(|(_, meaning)| *meaning);
        if meant.is_none() {
            let all = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
            let near = OTHER_NAMES.iter().find(|(other, word)| *other == written.text && is_one(word, words));
            let near = near.map(|(_, word)| *word);
            let hint = match near.or_else(|| nearest(&written.text, words.iter().map(|(word, _)| *word))) {
                Some(near) => format!("did you mean \"{near}\"? It is one of {all}"),
                None => format!("it is one of {all}"),
            };
            let message = format!("\"{}\" is not a word that `{name}` knows", written.text);
            self.notes.error(Mistake::Value, &written.span, message, hint);
        }
        meant
    }

    /// `true` or `false`, if written.
    pub(super) fn flag_if_written(&self, name: &str) -> Option<bool> {
        self.key(name);
        let value = self.value(name)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(name, value, "write true or false, without quotes");
        }
        flag
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &str) -> bool {
        let preset = matches!(self.preset(name), Preset::Flag(true));
        self.flag_if_written(name).unwrap_or(preset)
    }

    /// A list of strings; empty when it was not written.
    pub(super) fn list(&self, name: &str) -> Vec<Written> {
        self.key(name);
        let Some(value) = self.value(name) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            let hint = match value.get_ref().as_str() {
                Some(text) => {
                    let items: Vec<String> =
                        text.split_whitespace().map(|item| format!("{item:?}")).collect();
                    format!("write a list: {name} = [{}]", items.join(", "))
                }
                None => "write a list of strings: [\"one\", \"two\"]".to_owned(),
            };
            self.wrong_type(name, value, hint);
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_str() {
                Some(text) if text.contains('\0') => {
                    self.notes.error(
                        Mistake::Value,
                        &item.span(),
                        format!("`{name}` holds a NUL"),
                        "remove it",
                    );
                }
                Some(text) => texts.push(Written { text: text.to_owned(), span: item.span() }),
                None => {
                    let message = format!(
                        "`{name}` is a list of strings, and this is {}",
                        with_article(item.get_ref().type_str())
                    );
                    let hint = match scalar(item.get_ref()) {
                        Some(text) => format!("write it in quotes: \"{text}\""),
                        None => "write a string in quotes".to_owned(),
                    };
                    self.notes.error(Mistake::Value, &item.span(), message, hint);
                }
            }
        }
        texts
    }

    /// A table of strings, sorted by name; empty when it was not written.
    pub(super) fn table(&self, name: &str) -> Vec<(Written, Written)> {
        self.key(name);
        let Some(value) = self.value(name) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(name, value, format!("write a table: {name} = {{ NAME = \"value\" }}"));
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (key, value) in table.iter() {
            let variable = Written { text: key.get_ref().clone().into_owned(), span: key.span() };
            match value.get_ref().as_str() {
                Some(text) => pairs.push((variable, Written { text: text.to_owned(), span: value.span() })),
                None => {
                    let kind = with_article(value.get_ref().type_str());
                    let message =
                        format!("the value of {} is {kind}, and variables are strings", variable.text);
                    let hint = match scalar(value.get_ref()) {
                        Some(text) => format!("write it in quotes: {} = \"{text}\"", variable.text),
                        None => "write a string in quotes".to_owned(),
                    };
                    self.notes.error(Mistake::Value, &value.span(), message, hint);
                }
            }
        }
        pairs
    }
}

/// Names that words of the file have elsewhere.
const OTHER_NAMES: [(&str, &str); 5] = [
    ("fcgi", "fastcgi"),
    ("on-demand", "ondemand"),
    ("warning", "warn"),
    ("clf", "combined"),
    ("buffer", "spool"),
];

fn is_one<T>(word: &str, words: &[(&str, T)]) -> bool {
    words.iter().any(|(known, _)| *known == word)
}

fn with_article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}

/// A value that would be a good string if it stood in quotes.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        _ => None,
    }
}
