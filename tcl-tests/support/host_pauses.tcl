# What the host of a virtual machine takes from its processors, which a thread's CPU time counts as its own: host_pauses.cc, one for
# a test. Knows nothing where it may not have a real-time priority (who is not root), and says so.

namespace eval host_pauses {
    variable path ""
}

# Starts it. True if it knows what the host takes from now on.
proc host_pauses::start {} {
    variable path
    set path [file join $harness::directory host_pauses.out]
    set command [list [compiled host_pauses.cc host_pauses {-pthread}]]
    set pid [process::start $command $harness::directory $path [file join $harness::directory host_pauses.err]]
    pause 100
    return [process::runs $pid]
}

# Between two times (microseconds of the clock), as much as it took of the processor of which it took most.
proc host_pauses::taken {from to} {
    variable path
    array set taken {}
    foreach {processor began ended} [read_file $path] {
        set common [expr {min($ended, $to) - max($began, $from)}]
        if {$common > 0} { incr taken($processor) $common }
    }
    return [tcl::mathfunc::max 0 {*}[lmap {processor sum} [array get taken] { set sum }]]
}
