//! The wire protocol as bytes: nothing here knows a socket, a clock or SQL.
//!
//! Frames are found, never re-encoded; views borrow from the frame they read and
//! must use it up. What a peer sends is hostile until proven otherwise, so this
//! module may not panic, index or overflow: the two lints below say so.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod backend;
pub mod frame;
pub mod frontend;
pub mod ip;
mod options;
pub mod proxy;
pub mod reader;
pub mod startup;
pub mod write;
