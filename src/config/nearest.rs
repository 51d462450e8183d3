//! The known word that is nearest to a misspelt one; it knows letters and no language.

/// The candidate that was probably meant, if one is near enough: at most a third of its letters differ.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, remove, replace, or swap with their neighbour to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![(0..=to.len()).collect::<Vec<usize>>()];
    for (i, from_char) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to_char) in to.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(from_char != to_char);
            let mut best = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            let swapped = i > 0 && j > 0 && from[i - 1] == *to_char && to[j - 1] == *from_char;
            if swapped {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (from, to, expected) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "", 3),
            ("timeuot", "timeout", 1),
            ("kitten", "sitting", 3),
            ("adress", "address", 1),
        ] {
            assert_eq!(distance(from, to), expected, "{from} -> {to}");
            assert_eq!(distance(to, from), expected, "{to} -> {from}");
        }
    }

    #[test]
    fn the_nearest_wins_and_a_stranger_gets_none() {
        assert_eq!(nearest("adress", ["speak", "address"]), Some("address"));
        assert_eq!(nearest("Max-Body", ["max_head", "max_body"]), Some("max_body"));
        assert_eq!(nearest("colour", ["speak", "address"]), None);
        assert_eq!(nearest("x", ["pool", "cgi"]), None);
    }
}
