//! What a run tells while it works. The engine calls this from any thread; who listens decides
//! whether and how to show it.

/// Listens to the progress of a run. All numbers are additions.
pub trait Progress: Sync {
    /// So many more bytes are to be read. Not called when the size of an input is not known, because
    /// then the end of the run is not known either.
    fn expect_bytes(&self, _bytes: u64) {}

    /// So many more bytes of the inputs, as stored, were read.
    fn bytes(&self, _bytes: u64) {}

    /// So many more spans were decoded.
    fn spans(&self, _spans: u64) {}

    /// A backend gave so many more traces, from this stretch of time where it is known.
    fn fetched(&self, _traces: u64, _window: Option<&str>) {}

    /// A request to a backend and what came of it, in one line.
    fn request(&self, _line: &str) {}

    /// Something that the user should know and that changes nothing in the report.
    fn warn(&self, _line: &str) {}

    /// What to do when standard input gives no byte for a while.
    fn waiting_for_stdin(&self) -> Box<dyn FnOnce() + Send> {
        Box::new(|| ())
    }

    /// Reading is over; whatever is on the screen is to be cleared.
    fn finish(&self) {}
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {}
