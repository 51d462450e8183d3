//! Text that somebody else chose, made harmless for the place where it is shown. It knows those places, not the texts.

/// Whether a character does something other than be seen: control characters (C0, DEL, C1), and those that reorder or
/// hide what stands around them.
fn is_hidden(c: char) -> bool {
    let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || reorders || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// For a terminal, and the first step for every other place: what would not be seen is written as `\u{1b}`.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// For the text and the quoted attributes of HTML, SVG and XML.
#[must_use]
pub fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// For a field of CSV (RFC 4180): quoted where it must be. A text that a spreadsheet would calculate gets an apostrophe
/// in front.
#[must_use]
pub fn csv(text: &str) -> String {
    let text = visible(text);
    let is_formula = text.starts_with(['=', '+', '-', '@']);
    let text = if is_formula { format!("'{text}") } else { text };
    let must_quote = text.contains(['"', ',']) || text.starts_with(' ') || text.ends_with(' ');
    if must_quote { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// For JSON that was serialized already and may be looked at in a terminal: what would not be seen can only stand in a
/// string, and is escaped there.
#[must_use]
pub fn json(serialized: &str) -> String {
    let mut out = String::with_capacity(serialized.len());
    for c in serialized.chars() {
        if is_hidden(c) && c != '\n' {
            // All of them are below U+10000.
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// How many columns of a terminal a text takes that [`visible`] has given.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

fn columns_of(c: char) -> usize {
    match u32::from(c) {
        // Combining marks, joiners, variation selectors.
        0x0300..=0x036f | 0x200b..=0x200d | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
        // Hangul, CJK, full-width forms, pictographs.
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// A text that [`visible`] has given, cut to so many columns: what is too long ends in "…".
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let (mut out, mut taken) = (String::new(), 0);
    for c in text.chars() {
        taken += columns_of(c);
        if taken + 1 > most {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_nothing() {
        for (text, expected) in [
            ("plain name, ünïcödé", "plain name, ünïcödé"),
            ("\x1b[2J\x1b]0;title\x07", "\\u{1b}[2J\\u{1b}]0;title\\u{7}"),
            ("a\nb\rc\td\x7f", "a\\u{a}b\\u{d}c\\u{9}d\\u{7f}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}b", "a\\u{202e}b"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }

    #[test]
    fn markup_stays_text() {
        assert_eq!(
            markup("<script>alert('x\"&')</script>\0"),
            "&lt;script&gt;alert(&#39;x&quot;&amp;&#39;)&lt;/script&gt;\\u{0}"
        );
    }

    #[test]
    fn fields_stay_fields_and_are_not_calculated() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("a\r\nb", "a\\u{d}\\u{a}b"),
            ("=1+1", "'=1+1"),
            ("@SUM(A1,A2)", "\"'@SUM(A1,A2)\""),
            (" padded", "\" padded\""),
        ] {
            assert_eq!(csv(text), expected);
        }
    }

    #[test]
    fn json_keeps_its_meaning() {
        let hostile = "\x1b[2J \u{9b}31m \u{202e} \u{feff} \u{2028} \"\\ é 漢";
        let serialized = json(&serde_json::to_string_pretty(&vec![hostile]).unwrap());
        assert!(serialized.chars().all(|c| c == '\n' || !is_hidden(c)), "{serialized:?}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&serialized).unwrap(), [hostile]);
    }

    #[test]
    fn names_are_cut_to_columns() {
        for (text, most, expected) in [
            ("short", 5, "short"),
            ("longer", 5, "long…"),
            ("漢字かな", 5, "漢字…"),
            ("漢字かな", 6, "漢字…"),
            ("e\u{301}e", 2, "e\u{301}e"),
        ] {
            assert_eq!(cut(text, most), expected);
            assert!(columns(&cut(text, most)) <= most);
        }
    }
}
