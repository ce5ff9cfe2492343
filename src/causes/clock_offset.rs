//! `clock-offset`: a clock that is always as far ahead or behind.

use super::{At, Cause, Fix};

pub(super) static CAUSE: Cause = Cause {
    id: "clock-offset",
    summary: "the clock is ahead or behind by the same amount all the time",
    what: "The clock of a host or process differs from the others by an amount that does not change: it was \
           never synchronised, it follows another time source, or somebody set it by hand.",
    speaks_for: "Most calls to and from the clock allow one and the same offset that is not zero, from the \
                 first to the last; calls to it seem late and calls from it early, or the other way round.",
    speaks_against: "The distance grows with time (`clock-drift`), or there is none before a certain moment \
                     (`clock-step`). Calls that only take long show no offset: their intervals contain zero.",
    decides: "On the named host: `chronyc tracking` or `timedatectl timesync-status`, and the time source that \
              they name. In a container the clock is the host's; if the host's is right, the process runs under \
              a changed one.",
    remedy: "Synchronise the clock of the named host or process with the time source of the others.",
    fixes: &[
        SYNCHRONISE,
        Fix {
            at: At::Callee,
            language: "",
            scope: "",
            step: "Give all hosts the same time source. Some clouds smear leap seconds: their own source and \
                   public servers differ by up to a second while they do.",
            code: "",
        },
        ONE_PROCESS,
    ],
    example: "
web  GET stock  client  0..30  host=a  repeat=25
  stock  GET /stock  server  1010..1020  host=b
web  GET price  client  0..30  host=a  repeat=25
  price  GET /price  server  10..20  host=c   // clock-skew: stock (clock-offset)
",
};

/// A time service, against any clock that is off.
pub(super) const SYNCHRONISE: Fix = Fix {
    at: At::Callee,
    language: "",
    scope: "",
    step: "Run one time service on the host, and one only (chrony, systemd-timesyncd or ntpd), with a source that \
           it reaches.",
    code: "chronyc tracking && chronyc sources -v",
};

/// The process rather than its host.
pub(super) const ONE_PROCESS: Fix = Fix {
    at: At::Callee,
    language: "",
    scope: "",
    step: "Containers share the clock of their host. If other processes of the host are right, this one runs under \
           a changed clock (libfaketime, or a sandbox or emulated machine with a clock of its own).",
    code: "",
};
