# Whoever interrupts leto-chaos finds nothing that it made: no node, no directory, no mount.

set chaos [file join [file dirname $node::binary] leto-chaos]

# {pid command-line} of all processes whose command line has this text.
proc processes_with {text} {
    set found {}
    foreach path [glob -nocomplain /proc/\[0-9\]*/cmdline] {
        set line [string map {\x00 " "} [read_file $path]]
        if {[string first $text $line] >= 0} { lappend found [lindex [file split $path] 2] $line }
    }
    return $found
}

proc directories {} { return [glob -nocomplain -directory $harness::directory leto-chaos-*] }

# The pid of leto-chaos, once its three nodes run. `words` start it, after what stands before them.
proc start_chaos {before words} {
    if {![file executable $::chaos]} { skip "no leto-chaos: make build-tests builds it" }
    set command [list env TMPDIR=$harness::directory {*}$before $::chaos --program $node::binary --seconds 600 --nodes 3 {*}$words]
    set out [file join $harness::directory chaos.out]
    set started [process::start $command $harness::directory $out $out]
    wait_for_condition "three nodes run" 60000 {[llength [nodes_now]] == 3}
    return $started
}

# Pids of the nodes.
proc nodes_now {} {
    set pids {}
    foreach {pid line} [processes_with "-raftdir [lindex [directories] 0]/"] { if {[directories] ne ""} { lappend pids $pid } }
    return $pids
}

proc assert_nothing_left {} {
    assert_equal [directories] {} "directories"
    assert_equal [processes_with "-raftdir $harness::directory"] {} "nodes"
    assert {[string first $harness::directory/leto-chaos- [read_file /proc/self/mounts]] < 0} "a mount"
}

foreach {signal way} {INT {} TERM {--way proxies}} {
    test "leto-chaos[expr {$way eq {} ? {} : " $way"}] that SIG$signal interrupts leaves no node, no directory and no mount" -timeout 120 [string map [list @signal $signal @way $way] {
        set pid [start_chaos {} {@way}]
        process::signal @signal $pid
        assert_equal [process::wait_end $pid 60000] "exit 1"
        assert_nothing_left
    }]
}

test "leto-chaos is interrupted in order also when nobody reads what it prints any more" -timeout 120 {
    set shell [start_chaos [list sh -c {"$@" | head -n 1} sh] {--trace}]
    set pid ""
    foreach {found line} [processes_with " --program $node::binary --seconds 600"] {
        if {[string match "$::chaos*" $line]} { set pid $found }
    }
    assert {$pid ne ""} "leto-chaos runs"
    exec kill -TERM $pid
    process::wait_end $shell 60000
    assert_nothing_left
}
