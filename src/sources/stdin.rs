//! Standard input: tells a user who forgot the pipe that the program waits for bytes, and lets the
//! reading be ended while it waits for more.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
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

/// How long a reader may take to notice that it is to end.
const NOTICE_END: Duration = Duration::from_millis(50);

/// Bytes in one piece on their way from the thread that reads.
const PIECE_BYTES: usize = 256 << 10;

/// Pieces that may wait for their reader.
const PIECES: usize = 4;

/// A reader that ends, as at the end of a file, when it is told to.
#[derive(Debug)]
pub struct Interruptible<'f> {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    taken: usize,
    interrupted: &'f AtomicBool,
}

/// Reads on another thread, so that nobody waits for a pipe that stays open without giving bytes.
/// What was read before the flag was set is given out before the end.
pub fn interruptible<R: Read + Send + 'static>(
    mut reader: R,
    interrupted: &AtomicBool,
) -> io::Result<Interruptible<'_>> {
    let (sender, pieces) = mpsc::sync_channel(PIECES);
    let pump = move || {
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let read = reader.read(&mut piece).map(|len| {
                piece.truncate(len);
                piece
            });
            let is_last = match &read {
                Ok(piece) => piece.is_empty(),
                Err(error) => error.kind() != io::ErrorKind::Interrupted,
            };
            if sender.send(read).is_err() || is_last {
                return;
            }
        }
    };
    thread::Builder::new().name("stdin".to_owned()).spawn(pump)?;
    Ok(Interruptible { pieces, piece: Vec::new(), taken: 0, interrupted })
}

impl Interruptible<'_> {
    fn next_piece(&self) -> io::Result<Vec<u8>> {
        loop {
            match self.pieces.recv_timeout(NOTICE_END) {
                Ok(piece) => return piece,
                Err(RecvTimeoutError::Timeout) if !self.interrupted.load(Ordering::Relaxed) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(Vec::new()),
            }
        }
    }
}

impl Read for Interruptible<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.piece.len() {
            self.piece = self.next_piece()?;
            self.taken = 0;
        }
        let len = (&self.piece[self.taken..]).read(into)?;
        self.taken += len;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruptible_reader_gives_every_byte() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();
        let flag = AtomicBool::new(false);
        let mut read = Vec::new();
        interruptible(io::Cursor::new(bytes.clone()), &flag).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == bytes);
    }

    #[test]
    fn an_interruptible_reader_ends_while_it_waits() {
        struct OneByteThenSilence(bool);
        impl Read for OneByteThenSilence {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    thread::sleep(Duration::from_secs(3600));
                }
                into[0] = b'x';
                Ok(1)
            }
        }
        let flag = AtomicBool::new(false);
        let mut reader = interruptible(OneByteThenSilence(false), &flag).unwrap();
        assert_eq!(reader.read(&mut [0; 4]).unwrap(), 1);
        flag.store(true, Ordering::Relaxed);
        assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0);
    }

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
