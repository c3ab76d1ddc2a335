# The walk-through of the README, word for word, on its fixed ports. Skipped, loudly, when one of them is taken.
# Runs alone: its ports are fixed.

set start_lines {
    {bin/leto -id id1 -raftdir ./id1}
    {bin/leto -id id2 -raftdir ./id2 -listen ":6379" -raftbind ":16379" -join "127.0.0.1:5379"}
    {bin/leto -id id3 -raftdir ./id3 -listen ":7379" -raftbind ":17379" -join "127.0.0.1:5379"}
}
set fixed_ports {5379 6379 7379 15379 16379 17379}

proc skip_unless_free {ports} {
    set taken [lmap port $ports { if {![port_open $port]} continue; set port }]
    if {[llength $taken]} { skip "PORTS TAKEN: $taken. The walk-through was NOT tried; free them and run it again" }
}

# Starts line i (0..2) in the test's directory through a shell, as it is written; the node is known as id1, id2, id3.
proc start_line {i} {
    set name id[expr {$i + 1}]
    set node::id($name) $name
    set node::dir($name) [file join $harness::directory $name]
    set node::port($name) [lindex $::fixed_ports $i]
    set node::raft_port($name) [lindex $::fixed_ports $i+3]
    set node::control($name) ""
    set node::command($name) [list sh -c "exec [lindex $::start_lines $i]"]
    launch $name
}

proc bring_up {} {
    skip_unless_free $::fixed_ports
    file mkdir [file join $harness::directory bin]
    file link -symbolic [file join $harness::directory bin leto] $node::binary
    start_line 0
    # A person types slower than this, but the first one must be up for the others to find it at once.
    wait_serving id1
    start_line 1
    start_line 2
    foreach name {id2 id3} { wait_serving $name }
    wait_members {id1 id2 id3}
}

# redis-cli with these words; what it printed, both ways, without the end of line.
proc cli {args} {
    lassign [process::run [list redis-cli {*}$args] 10000 $harness::directory] status out err
    return [string trim $out$err]
}

# The steps up to the stop, as they are written.
proc set_and_get {} {
    assert_equal [cli -p 5379 set a b] OK
    assert_equal [cli -p 5379 get a] b
    assert_equal [cli -p 6379 get a] b
    assert_equal [cli -p 6379 set a b] "not leader"
    set connection [resp::open 6379]
    resp::write $connection [resp::encode {set a b}]
    wait_for_condition "the reply is there" 5000 {[string length $resp::buffer($connection)] >= 13}
    assert_equal $resp::buffer($connection) "-not leader\r\n"
}

# Asks the two that are left, in turn, until one answers OK; returns the milliseconds since `started`.
proc set_on_either {value started} {
    set connections [list [connect id2] [connect id3]]
    while 1 {
        foreach connection $connections {
            set answer [ask $connection set a $value]
            if {$answer eq "OK"} { return [expr {[clock milliseconds] - $started}] }
            if {![regexp {^-(not leader|CLUSTERDOWN)} $answer]} { error "set a $value: $answer" }
        }
        if {[clock milliseconds] - $started > 10000} { error "nobody took the write within 10 s" }
        pause 2
    }
}

# The stop by `end` (a script that ends id1 and returns its status), the election, and the way back.
proc stop_and_come_back {limit_ms end} {
    assert_equal [leader_now {id1 id2 id3}] id1
    set started [clock milliseconds]
    uplevel 1 $end
    set took [set_on_either c $started]
    set status [process::wait_end $node::pid(id1) 5000]
    note "a write was taken $took ms after the stop; the process had ended after [expr {$process::ended_ms($node::pid(id1)) - $started}] ms"
    drop_control id1
    assert {$took <= [scaled $limit_ms]} "set a c was OK after $took ms, [scaled $limit_ms] allowed"
    set leader [leader_of {id2 id3}]
    set follower [others {id2 id3} $leader]
    wait_for_condition "the third node follows" 5000 {[raft_field $follower role] eq "follower" && [raft_field $follower leader] eq $leader}
    assert_equal [cli -p $node::port($follower) get a] c
    assert_equal [cli -p $node::port($leader) get a] c
    start_line 0
    wait_serving id1
    wait_for_condition "the first node follows" 5000 {[raft_field id1 role] eq "follower" && [raft_field id1 leader] eq $leader}
    assert_equal [cli -p 5379 get a] c
    assert_equal [cli -p 5379 set a d] "not leader"
    assert_same_digest {id1 id2 id3}
    return $status
}

test "bin/leto -h prints the options and their defaults on stdout and exits 0" {
    foreach word {-h --h} {
        lassign [process::run [list $node::binary $word]] status out err
        assert_equal $status "exit 0"
        assert_equal $err ""
        foreach pattern {{-id *} {-join *} {-listen *":5379"*} {-raftbind *":15379"*} {-raftdir *"./"*} {-h*}} {
            assert {[lsearch -glob [lmap line [split $out \n] { string trim $line }] $pattern] >= 0} "-h has a line $pattern"
        }
    }
}

test "the walk-through, the first node ended by kill -9" -timeout 60 {
    bring_up
    set_and_get
    set status [stop_and_come_back 2000 {
        set node::expected_end(id1) 1
        process::signal KILL $node::pid(id1)
    }]
    assert_equal $status "signal SIGKILL"
}

test "the walk-through, the first node ended by Ctrl-C" -timeout 60 {
    bring_up
    set_and_get
    set status [stop_and_come_back 300 {
        set node::expected_end(id1) 1
        process::signal INT $node::pid(id1)
    }]
    assert_equal $status "exit 0"
}

test "the walk-through, the first node ended by redis-cli shutdown" -timeout 60 {
    bring_up
    set_and_get
    set status [stop_and_come_back 300 {
        set node::expected_end(id1) 1
        assert_equal [cli -p 5379 shutdown] ""
    }]
    assert_equal $status "exit 0"
}
