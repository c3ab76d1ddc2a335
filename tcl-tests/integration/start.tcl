# How a node with data starts: how soon it serves, what it says and does meanwhile, and what it replays.
# Runs alone: what is measured is how fast a node starts.

# A file of requests that set keys 0 to count - 1, for redis-cli --pipe.
proc write_requests {count} {
    set path [file join $harness::directory requests]
    set file [open $path w]
    fconfigure $file -translation binary -buffersize 1000000
    for {set i 0} {$i < $count} {incr i} {
        puts -nonewline $file "*3\r\n\$3\r\nSET\r\n\$11\r\nkey:[format %07d $i]\r\n\$10\r\nvalue-[format %04d [expr {$i % 10000}]]\r\n"
    }
    close $file
    return $path
}

proc load_keys {node count} {
    if {[auto_execok redis-cli] eq ""} { skip "no redis-cli" }
    wait_for_condition "it takes writes" 5000 {[node_ask $node SET key:0000000 x] eq "OK"}
    exec redis-cli -p $node::port($node) --pipe < [write_requests $count]
    assert_equal [call_node $node DBSIZE] $count
}

# Milliseconds from the start of the process to the first GET of a key that is answered with its value: by the clock, and
# of the CPU by all of its threads.
proc time_to_serve {node key value} {
    set started [clock milliseconds]
    launch $node
    while {1} {
        set now [clock milliseconds]
        if {![catch {node_ask $node GET $key} answer] && $answer eq $value} {
            return [list [expr {$now - $started}] [cpu_ms_of $node::pid($node)]]
        }
        assert {$now - $started < [scaled 30000]} "no GET was answered"
        after 5
    }
}

# User and system time so far, which the kernel counts in hundredths of a second.
proc cpu_ms_of {pid} {
    lassign [lrange [regsub {^.*\)} [read_file /proc/$pid/stat] {}] 11 12] user system
    return [expr {10 * ($user + $system)}]
}

test "a million keys: served within two seconds of a start" -timeout 120 {
    set count [fewer [expr {$harness::long ? 1000000 : 300000}]]
    set node [start_node]
    load_keys $node $count
    assert_equal [node_ask $node SNAPSHOT] OK
    set digest [call_node $node DEBUG DIGEST]
    set bound_ms [scaled [expr {300 + 1700 * $count / 1000000}]]
    set walls {}
    set cpus {}
    foreach how {stop kill kill} {
        if {$how eq "stop"} { assert_equal [lindex [stop $node] 0] "exit 0" } else { kill9 $node }
        lassign [time_to_serve $node key:0000001 value-0001] wall cpu
        lappend walls $wall
        lappend cpus $cpu
        assert_equal [call_node $node DBSIZE] $count
        assert_equal [call_node $node DEBUG DIGEST] $digest
    }
    note "$count keys were served after [join $walls ", "] ms, with [join $cpus ", "] ms of CPU"
    # Others use this machine too: so the clock is asked for the best of three, and only where there is time for a million.
    assert {[tcl::mathfunc::min {*}$cpus] <= $bound_ms} "$cpus ms of CPU, allowed are $bound_ms"
    if {$harness::long} { assert {[tcl::mathfunc::min {*}$walls] <= $bound_ms} "$walls ms, allowed are $bound_ms" }
}

test "while keys are loaded a client is told so, by error and by INFO, and is served after it" -timeout 120 {
    set node [start_node]
    load_keys $node [fewer [expr {$harness::long ? 1000000 : 300000}]]
    assert_equal [lindex [stop $node] 0] "exit 0"
    launch $node
    wait_serving $node
    set connection [connect $node]
    set refused 0
    while {1} {
        set loading [dict get [info_of $node persistence] loading]
        set answer [ask $connection GET key:0000001]
        if {$answer eq "value-0001"} break
        assert_equal $answer "-LOADING Leto is loading the dataset in memory"
        assert_equal $loading 1
        set written [ask $connection SET new x]
        if {$written eq "OK"} {
            # The last key came between the two.
            assert_equal [ask $connection GET key:0000001] value-0001
            call $connection DEL new
            break
        }
        assert_equal $written $answer "a write is refused alike, and did not happen"
        assert_equal [ask $connection PING] PONG
        incr refused
    }
    note "$refused times refused"
    assert_equal [dict get [info_of $node persistence] loading] 0
    assert_equal [call $connection EXISTS new] 0
    if {$harness::long} { assert {$refused > 0} "a million keys were there at once" }
}

test "a start replays what is behind the keys file, and no more" {
    set node [start_node -options {-flush-interval 3600000}]
    wait_for_condition "it takes writes" 5000 {[node_ask $node SET a 1] eq "OK"}
    assert_equal [node_ask $node SNAPSHOT] OK
    set flushed [raft_field $node flushed_index]
    set connection [connect $node]
    foreach value {2 3 4} { assert_equal [ask $connection SET a $value] OK }
    assert_equal [ask $connection INCR n] 1
    kill9 $node
    restart $node
    wait_for_condition "it serves" 5000 {[node_ask $node GET a] == 4}
    wait_log $node "keys: 1 loaded, as of entry $flushed"
    assert_equal [call_node $node GET n] 1 "each entry was applied once"
}
