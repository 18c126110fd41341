//! The program: assembly only.

fn main() {}
