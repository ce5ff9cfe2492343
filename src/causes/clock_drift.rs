//! `clock-drift`: a clock that goes faster or slower than the others.

use super::clock_offset::{ONE_PROCESS, SYNCHRONISE};
use super::{At, Cause, Fix};

pub(super) static CAUSE: Cause = Cause {
    id: "clock-drift",
    summary: "the clock goes faster or slower, so that its distance grows with time",
    what: "The clock of a host or process gains or loses time steadily: nothing synchronises it, or it follows a \
           time source that moves. Free quartz gains or loses some 50 µs a second at most; milliseconds a second \
           are a virtual machine with a bad clock source, or a process under a changed clock.",
    speaks_for: "A line through the offsets of the calls is allowed by most of them, and no single offset and \
                 no two levels are by as many.",
    speaks_against: "The offset jumps from one level to another (`clock-step`), or does not change \
                     (`clock-offset`).",
    decides: "On the named host: the line `Frequency` of `chronyc tracking`, twice, some minutes apart; and \
              `/sys/devices/system/clocksource/clocksource0/current_clocksource`.",
    remedy: "Let a time service steer the clock of the named host.",
    fixes: &[
        SYNCHRONISE,
        Fix {
            at: At::Callee,
            language: "",
            scope: "",
            step: "Virtual machines: use the clock source of the hypervisor (kvm-clock, hyperv_clocksource_tsc_page, \
                   ptp_kvm), not one that it emulates.",
            code: "cat /sys/devices/system/clocksource/clocksource0/available_clocksource",
        },
        ONE_PROCESS,
    ],
    example: "
web  GET stock  client  0..30  host=a  repeat=60
  stock  GET /stock  server  10..20  host=b  drifts=2
web  GET price  client  0..30  host=a  repeat=60
  price  GET /price  server  10..20  host=c   // clock-skew: stock (clock-drift)
",
};
