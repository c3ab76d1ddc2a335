# What the host of a virtual machine takes from its processors, which a thread's CPU time counts as its own: host_pauses.cc, one for
# a test. Knows nothing where it may not have a real-time priority (who is not root), and says so.

namespace eval host_pauses {
    variable source [file join [file dirname [file normalize [info script]]] host_pauses.cc]
    variable path ""
    variable pid ""
}

# Starts it. True if it knows what the host takes from now on.
proc host_pauses::start {} {
    variable source; variable path; variable pid
    set path [file join $harness::directory host_pauses.out]
    set pid [process::start [list [compiled $source host_pauses {-pthread}]] $harness::directory $path [file join $harness::directory host_pauses.err]]
    pause 100
    return [known]
}

proc host_pauses::known {} {
    variable pid
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
