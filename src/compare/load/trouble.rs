//! What can go wrong with a request of the load generator, counted by kind; it must not know how a request is sent.

use std::fmt;

/// The kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TroubleKind {
    /// There was no connection.
    Connect,
    /// The connection broke or ended before the answer was complete.
    Broken,
    /// The answer took too long.
    Timeout,
    /// What came is no answer of HTTP/1.1.
    Malformed,
    /// The status is not one of 200 to 299.
    Status,
    /// The body is not the one that was there at first.
    Differs,
}

impl TroubleKind {
    /// Every kind, in the order in which they are told.
    pub const ALL: [Self; 6] =
        [Self::Connect, Self::Broken, Self::Timeout, Self::Malformed, Self::Status, Self::Differs];

    /// What it is called in tables and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "no connection",
            Self::Broken => "broken off",
            Self::Timeout => "timed out",
            Self::Malformed => "malformed answer",
            Self::Status => "status not 2xx",
            Self::Differs => "another body",
        }
    }
}

impl fmt::Display for TroubleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its kind.
    pub kind: TroubleKind,
    /// What happened, in words.
    pub detail: String,
}

impl Trouble {
    pub(super) fn new(kind: TroubleKind, detail: String) -> Self {
        Self { kind, detail }
    }
}

/// How many requests failed, by kind, and how the first of each kind did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Troubles {
    counts: [u64; TroubleKind::ALL.len()],
    firsts: Vec<Trouble>,
}

impl Troubles {
    /// Counts one.
    pub fn count(&mut self, trouble: Trouble) {
        let count = &mut self.counts[trouble.kind as usize];
        *count += 1;
        if *count == 1 {
            self.firsts.push(trouble);
        }
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        for first in &other.firsts {
            if self.firsts.iter().all(|known| known.kind != first.kind) {
                self.firsts.push(first.clone());
            }
        }
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The kinds that there were, with their counts and the words of their first.
    pub fn iter(&self) -> impl Iterator<Item = (TroubleKind, u64, &str)> {
        TroubleKind::ALL.into_iter().filter_map(|kind| {
            let first = self.firsts.iter().find(|first| first.kind == kind)?;
            Some((kind, self.counts[kind as usize], first.detail.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_are_counted_by_kind_and_the_first_of_each_is_kept() {
        let trouble = |kind, detail: &str| Trouble::new(kind, detail.to_owned());
        let mut all = Troubles::default();
        all.count(trouble(TroubleKind::Status, "status 503"));
        all.count(trouble(TroubleKind::Status, "status 404"));
        let mut more = Troubles::default();
        for kind in TroubleKind::ALL {
            more.count(trouble(kind, "more"));
        }
        all.add(&more);
        assert_eq!(all.total(), 8);
        let told: Vec<_> = all.iter().collect();
        assert_eq!(told.len(), TroubleKind::ALL.len());
        assert_eq!(told[4], (TroubleKind::Status, 3, "status 503"));
        assert_eq!(told[0], (TroubleKind::Connect, 1, "more"));
    }
}
