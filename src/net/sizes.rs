//! What every idle client has one of, and how large that may be.
//!
//! A regression here is ten thousand times what it looks like. Allocators hand out sizes in steps
//! (512, 640, 768, 896, 1024 …), so a few bytes may be free and the next ones cost a hundred: the
//! budgets are such steps, less the two counters of an `Arc`.

use std::mem::size_of;

use super::{
    bell::Bell,
    cards::ClientCard,
    handshake,
    relay::{self, Client},
};
use crate::session::Session;

/// The size of the future that such a function returns.
fn future_of<A, B, C, D, F>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
    size_of::<F>()
}

fn relaying<A, F>(_: impl FnOnce(A) -> F) -> usize {
    size_of::<F>()
}

// I4
#[test]
fn what_an_idle_client_has_stays_small() {
    let has = [
        ("its task's future", future_of(handshake::serve), 136),
        ("of that, the part that relays", relaying(relay::run), 56),
        ("its `Client`", size_of::<Client>(), 896),
        ("of that, its `Session`", size_of::<Session>(), 512),
        ("its `Bell`", size_of::<Bell>(), 96),
        ("its `ClientCard`", size_of::<ClientCard>(), 240),
    ];
    let grown: Vec<String> = has
        .iter()
        .filter(|(_, size, most)| size > most)
        .map(|(what, size, most)| format!("{what} takes {size} bytes, and {most} is the most"))
        .collect();
    assert!(
        grown.is_empty(),
        "every idle client grows: {grown:?}. What is rarely needed belongs into a box."
    );
}
