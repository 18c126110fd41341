//! Unit tests of the books.
