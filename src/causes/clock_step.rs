//! `clock-step`: a clock that was set while the process ran.

use super::clock_offset::ONE_PROCESS;
use super::{At, Cause, Fix};

pub(super) static CAUSE: Cause = Cause {
    id: "clock-step",
    summary: "the clock was set while the process ran",
    what: "The clock of a host or process jumps: a time service steps it instead of slewing it, a virtual machine \
           wakes up from a pause or moves to another host, or somebody sets the date. Spans that are open at that \
           moment get a wrong duration; where the SDK reads both times from that clock, they may end before they \
           start.",
    speaks_for: "The offset has two levels with a moment between them, in calls to and from the clock; spans end \
                 before they start in a service whose SDK reads both times from the clock of the host.",
    speaks_against: "All spans that end before they start are of one operation, and all or most spans of this \
                     operation do: then the times are given by hand, and wrong. SDKs for JavaScript, Java and Go \
                     measure durations on a clock that cannot be set.",
    decides: "The log of the time service at that moment: `journalctl -u chronyd -u systemd-timesyncd` says \
              \"clock was stepped\" or the like; for virtual machines the events of pause, snapshot and migration.",
    remedy: "Let the time service slew the clock, and step it only at boot.",
    fixes: &[
        Fix {
            at: At::Callee,
            language: "",
            scope: "",
            step: "chrony: step only during the first updates after the start; no `ntpdate`, `date` or `hwclock` from \
                   cron beside it.",
            code: "makestep 1.0 3",
        },
        Fix {
            at: At::Callee,
            language: "",
            scope: "",
            step: "Virtual machines: after pause, snapshot and migration the guest's clock is behind; let the guest \
                   agent set it before services go on, or let chrony use the hypervisor's clock (ptp_kvm).",
            code: "",
        },
        ONE_PROCESS,
        Fix {
            at: At::Callee,
            language: "",
            scope: "",
            step: "Times that code gives to spans by hand: the same clock and unit for start and end.",
            code: "",
        },
    ],
    example: "
web  GET stock  client  0..30  host=a  repeat=40
  stock  GET /stock  server  10..20  host=b
web  GET price  client  0..30  host=a  repeat=80
  price  GET /price  server  10..20  host=c

web  GET stock  client  500000..500030  host=a  repeat=30
  stock  GET /stock  server  497010..497020  host=b   // clock-skew: stock (clock-step)

rank  load model  internal  40..10  sdk=python   // negative-duration (clock-step)
",
};
