//! The books of a pool.
