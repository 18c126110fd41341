//! Frames that no window holds, and pipelines without end.

use super::play::Player;
use crate::{
    session::{MOST_OUTSTANDING, Next, Output, Timeouts, WINDOW},
    wire::write,
};

fn long(tag: u8, size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    write::frame(&mut bytes, tag, |out| out.resize(out.len() + size, b'x'));
    bytes
}

fn player() -> Player {
    let mut player = Player::new(Timeouts::default(), &[]);
    player.play("\nc: Q a\n  lease\nlease\n  >s Q a\n");
    player
}

// C15, D4
#[test]
fn a_long_row_is_streamed_and_a_short_one_is_seen_whole() {
    let Player {
        mut session,
        mut backend,
        ..
    } = player();
    let now = std::time::Instant::now();
    for (size, early) in [(WINDOW - 5, 0), (WINDOW - 4, WINDOW)] {
        let row = long(b'D', size);
        let mut out = Output::default();
        let first = session.server_bytes(&row[..WINDOW - 1], &mut backend, &mut out, now);
        assert_eq!((first.used, out.to_client.is_empty()), (0, true));
        let at = early.min(row.len());
        let first = session.server_bytes(&row[..at], &mut backend, &mut out, now);
        assert_eq!(first.used, at);
        let rest = session.server_bytes(&row[at..], &mut backend, &mut out, now);
        assert_eq!((rest.used, rest.next), (row.len() - at, Next::Read));
        assert!(!session.is_mid_request());
    }
}

// A row that is half told cannot be followed by an error.
#[test]
fn a_server_lost_amid_a_row_ends_the_session() {
    let mut player = player();
    player.server(&long(b'D', 2 * WINDOW)[..WINDOW + 1]);
    player.play("\nlose\n  close\n");
}

#[test]
fn a_long_request_whose_server_is_lost_is_dropped_to_its_end() {
    let mut player = player();
    let request = long(b'Q', 2 * WINDOW);
    let now = std::time::Instant::now();
    let mut out = Output::default();
    let backend = Some(&mut player.backend);
    let progress = player
        .session
        .client_bytes(&request[..WINDOW], backend, &mut out, now);
    assert_eq!((progress.used, progress.next), (WINDOW, Next::Read));
    assert!(player.session.is_mid_request());
    player.play("\nlose\n  >c E 08006 | Z I | E 08006 | Z I\n");
    assert!(!player.session.is_mid_request());
    player.client(&request[WINDOW..], Output::default());
    player.play("\nc: Q b\n  lease\n");
}

// D1: the last answer came before the frame's last byte.
#[test]
fn long_data_of_a_failed_copy_lets_the_server_go_at_its_end() {
    let mut player = player();
    player.play("\ns: G\n  >c G\n");
    let data = long(b'd', 2 * WINDOW);
    player.client(&data[..WINDOW], Output::default());
    assert!(player.session.is_mid_request());
    player.play("\ns: E 22000 | Z I\n  >c E 22000 | Z I\n");
    let mut out = Output::default();
    let now = std::time::Instant::now();
    let rest = &data[WINDOW..];
    let progress = player
        .session
        .client_bytes(rest, Some(&mut player.backend), &mut out, now);
    assert_eq!((progress.used, progress.next), (rest.len(), Next::Release));
}

#[test]
fn a_client_that_never_reads_is_held() {
    let mut player = player();
    let now = std::time::Instant::now();
    let mut syncs = Vec::new();
    for _ in 0..MOST_OUTSTANDING {
        write::frame(&mut syncs, b'S', |_| {});
    }
    let mut out = Output::default();
    let backend = Some(&mut player.backend);
    let progress = player.session.client_bytes(&syncs, backend, &mut out, now);
    // The query is one of them.
    assert_eq!(
        (progress.used, progress.next),
        (syncs.len() - 5, Next::Hold)
    );
    player.play("\ns: C SELECT 1 | Z I\n  >c C SELECT 1 | Z I\n");
    let backend = Some(&mut player.backend);
    let progress = player
        .session
        .client_bytes(&syncs[progress.used..], backend, &mut out, now);
    assert_eq!((progress.used, progress.next), (5, Next::Read));
}
