//! How much of the database one tenant may use, and what it has used.
//!
//! [`bucket`] counts one thing per second, [`tier`] says which of them are limited and how far,
//! [`account`] is one tenant's buckets and counters, and [`accounts`] all of them, in bounded memory.
//! Who comes next where server connections are scarce is not said here but in `pool`, which is
//! told each tenant's [`Share`].
//!
//! A tenant's tier may be known to a database of the operator's: [`answer`] reads what that says,
//! [`crate::lookup`] knows for how long it holds, who is to be asked for, and who waits.
//!
//! Decisions only: time is an argument, and whoever must wait is told until when.

pub mod account;
pub mod accounts;
pub mod answer;
pub mod bucket;
pub mod tier;
pub mod used;

pub use self::account::{Account, Admission, Presence, Who};
pub use self::accounts::{Accounts, Rules};
pub use self::answer::Found;
pub use self::bucket::{Bucket, Rate};
pub use self::tier::{Pace, Share, Terms, Tier};
pub use self::used::{Cost, Observation, Used};

#[cfg(test)]
mod tests;
