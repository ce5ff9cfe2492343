//! Standard input: tells a user who forgot the pipe that the program waits for bytes.

use std::io::{self, Read};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// How long to wait for the first byte before saying so: longer than a command in a pipe usually
/// takes to start.
pub const NOTICE_AFTER: Duration = Duration::from_secs(2);

/// A reader that reports when its first byte is late.
#[derive(Debug)]
pub struct WaitNotice<R> {
    reader: R,
    /// Dropped when the first read returns, which ends the waiting thread.
    waiting: Option<Sender<()>>,
}

/// Calls `notify` once, on another thread, if no read has returned `after` this call.
pub fn wait_notice<R: Read>(
    reader: R,
    after: Duration,
    notify: impl FnOnce() + Send + 'static,
) -> WaitNotice<R> {
    let (sender, receiver) = mpsc::channel::<()>();
    let wait = move || {
        if receiver.recv_timeout(after) == Err(RecvTimeoutError::Timeout) {
            notify();
        }
    };
    // Without a thread the notice is lost and nothing else.
    let started = thread::Builder::new().name("stdin-notice".to_owned()).spawn(wait).is_ok();
    WaitNotice { reader, waiting: started.then_some(sender) }
}

impl<R: Read> Read for WaitNotice<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let result = self.reader.read(into);
        self.waiting = None;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Late(Duration);

    impl Read for Late {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            thread::sleep(self.0);
            into[0] = b'x';
            Ok(1)
        }
    }

    fn notified(late: Duration, after: Duration) -> bool {
        let (sender, receiver) = mpsc::channel();
        let mut reader = wait_notice(Late(late), after, move || sender.send(()).unwrap_or_default());
        assert_eq!(reader.read(&mut [0; 4]).unwrap(), 1);
        receiver.recv_timeout(Duration::from_secs(5)).is_ok()
    }

    #[test]
    fn speaks_only_when_the_first_byte_is_late() {
        assert!(notified(Duration::from_millis(300), Duration::from_millis(10)));
        assert!(!notified(Duration::ZERO, Duration::from_secs(30)));
    }
}
