//! Bytes as a source of decisions: what proptest shrinks and libFuzzer mutates alike.

/// Decisions that are made one byte at a time; when the bytes have run out, the first option.
#[derive(Debug, Clone)]
pub(crate) struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// One of `count` options.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        match self.rest.split_first() {
            Some((byte, rest)) => {
                self.rest = rest;
                usize::from(*byte) % count
            }
            None => 0,
        }
    }

    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    pub(crate) fn are_over(&self) -> bool {
        self.rest.is_empty()
    }
}
