//! Unit tests of the limits, with stepped time.
