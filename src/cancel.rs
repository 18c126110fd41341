//! Cancel keys.
