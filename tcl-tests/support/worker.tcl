# Runs the tests of one file for the runner: worker.tcl FILE ROOT FIRST WANTED LISTING.
# Ends, and with it all that it started, when the runner ends.

set support [file dirname [file normalize [info script]]]
foreach part {resp process sanitizer harness node load_control reference compile bad_disk host_pauses} { source [file join $support $part.tcl] }

proc main {path root first wanted listing} {
    set tests [file dirname $::support]
    set harness::file [string range [file normalize $path] [string length $tests/] end]
    set harness::root $root
    set harness::first $first
    set harness::wanted $wanted
    set harness::listing $listing
    set process::pid_file [file join $root pids]
    sanitizer::look $node::binary
    set process::patience $sanitizer::factor
    set resp::reply_timeout_ms [scaled $resp::reply_timeout_ms]
    chan configure stdin -blocking 0
    chan event stdin readable {if {[read stdin; eof stdin]} { process::end_all; exit 1 }}
    if {[catch {uplevel #0 [list source $path]} message options]} {
        say "@broken $message"
        say [dict get $options -errorinfo]
        process::end_all
        exit 1
    }
    say "@done"
}

main {*}$argv
exit 0
