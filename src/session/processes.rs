//! Who a notification comes from.
//!
//! PostgreSQL names the server process that ran the NOTIFY. To clients that is nobody: they know
//! each other, and themselves, by the process ids that they were told at their logins. So it is
//! noted which client each server process has worked for last.
//!
//! That is not exact. Between a COMMIT and the moment in which its notification is read here, the
//! process may have begun to work for the next client, which is then named; and a connection that
//! was closed in that time is not known any more, so that the process itself is named.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::sync::Mutex;

/// The processes of a database's server that work for us: one for each server connection.
#[derive(Debug, Default)]
pub struct Processes(Mutex<HashMap<u32, Arc<AtomicU32>>>);

/// The server process behind a connection, listed as long as it is there.
#[derive(Debug, Default)]
pub(super) struct Process {
    /// 0 = the server did not say.
    pid: u32,
    /// The client that it works for, or has worked for last; 0 = none.
    client: Arc<AtomicU32>,
    all: Arc<Processes>,
}

impl Process {
    /// Lists the process `pid` among `all` of its database.
    pub(super) fn new(pid: u32, all: &Arc<Processes>) -> Self {
        let client = Arc::default();
        if pid != 0 {
            all.0.lock().insert(pid, Arc::clone(&client));
        }
        let all = Arc::clone(all);
        Self { pid, client, all }
    }

    /// From now on it works for `client`; 0 = for nobody who could send a notification.
    pub(super) fn works_for(&self, client: u32) {
        if client != 0 {
            // Nothing else is told by it, and the server is sent the client's bytes afterwards.
            self.client.store(client, Ordering::Relaxed);
        }
    }

    /// The client that the process `pid` of the same server has worked for last; `None` = for none of
    /// ours.
    pub(super) fn client_behind(&self, pid: u32) -> Option<u32> {
        let client = if pid == self.pid {
            self.client.load(Ordering::Relaxed)
        } else {
            self.all.0.lock().get(&pid)?.load(Ordering::Relaxed)
        };
        (client != 0).then_some(client)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.pid == 0 {
            return;
        }
        let mut all = self.all.0.lock();
        // The number may be that of a new process by now: that one has died is noticed late.
        let listed = all.get(&self.pid);
        if listed.is_some_and(|client| Arc::ptr_eq(client, &self.client)) {
            all.remove(&self.pid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // E3
    #[test]
    fn the_client_that_came_last_is_named() {
        let all = Arc::default();
        let (one, other) = (Process::new(7, &all), Process::new(8, &all));
        assert_eq!(one.client_behind(8), None);
        other.works_for(100);
        assert_eq!(one.client_behind(8), Some(100));
        other.works_for(200);
        // Settings are tried out for a client that is not in yet.
        other.works_for(0);
        assert_eq!(one.client_behind(8), Some(200));
        assert_eq!(one.client_behind(7), None);
        one.works_for(300);
        assert_eq!(one.client_behind(7), Some(300));
        drop(other);
        assert_eq!(one.client_behind(8), None);
        assert_eq!(all.0.lock().len(), 1);
    }

    #[test]
    fn a_number_that_is_used_again_is_the_new_process() {
        let all = Arc::default();
        let old = Process::new(7, &all);
        let new = Process::new(7, &all);
        old.works_for(100);
        new.works_for(200);
        drop(old);
        assert_eq!(new.client_behind(7), Some(200));
        drop(new);
        assert!(all.0.lock().is_empty());
    }

    #[test]
    fn a_process_without_a_number_is_not_listed() {
        let all = Arc::default();
        let process = Process::new(0, &all);
        assert_eq!(process.client_behind(0), None);
        assert!(all.0.lock().is_empty());
    }
}
