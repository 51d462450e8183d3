//! What went wrong with requests of the load generator, counted by kind; it must not know how a request is sent.

use crate::compare::findings::{FailureKind, Failures};

/// One failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) kind: FailureKind,
    /// What happened, in words.
    pub(super) detail: String,
}

/// How many requests failed, by kind, and how the first of each kind did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Troubles {
    failures: Vec<Failures>,
}

impl Troubles {
    /// Counts one.
    pub(super) fn count(&mut self, trouble: Trouble) {
        self.add_some(trouble.kind, 1, trouble.detail);
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        for more in &other.failures {
            self.add_some(more.kind, more.count, more.example.clone());
        }
    }

    fn add_some(&mut self, kind: FailureKind, count: u64, example: String) {
        match self.failures.iter_mut().find(|known| known.kind == kind) {
            Some(known) => known.count += count,
            None => {
                self.failures.push(Failures { kind, count, example });
                self.failures.sort_by_key(|failures| failures.kind);
            }
        }
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.failures.iter().map(|failures| failures.count).sum()
    }

    /// By kind, with the words of the first of each.
    #[must_use]
    pub fn failures(&self) -> &[Failures] {
        &self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_are_counted_by_kind_and_the_first_of_each_is_kept() {
        let trouble = |kind, detail: &str| Trouble { kind, detail: detail.to_owned() };
        let mut all = Troubles::default();
        all.count(trouble(FailureKind::Status, "status 503"));
        all.count(trouble(FailureKind::Status, "status 404"));
        let mut more = Troubles::default();
        more.count(trouble(FailureKind::Status, "more"));
        more.count(trouble(FailureKind::Connect, "more"));
        all.add(&more);
        assert_eq!(all.total(), 4);
        let told: Vec<_> =
            all.failures().iter().map(|told| (told.kind, told.count, told.example.as_str())).collect();
        assert_eq!(told, [(FailureKind::Connect, 1, "more"), (FailureKind::Status, 3, "status 503")]);
    }
}
