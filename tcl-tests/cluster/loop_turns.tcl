# The loop is never held up: not by deep pipelines, not by large values, not by a flush, a compaction or a snapshot on
# its way. What counts is the CPU time of a turn (INFO loop_turn_cpu_usec_max), since a test's machine is shared; and
# that a leader whose log's disk is slow serves reads as ever.

# Of one turn of the loop, thread CPU time.
set turn_usec_max 10000

proc reset_turns {nodes} { foreach node $nodes { call_node $node CONFIG RESETSTAT } }

proc assert_turns_short {nodes what} {
    set worst [lmap node $nodes { dict get [info_of $node stats] loop_turn_cpu_usec_max }]
    note "longest turns: $worst us of CPU: $what"
    assert {[tcl::mathfunc::max {*}$worst] <= $::turn_usec_max} "$what: $worst us"
}

proc benchmark {node args} {
    if {[auto_execok redis-benchmark] eq ""} { skip "no redis-benchmark" }
    lassign [process::run [list redis-benchmark -p $node::port($node) -q -r 1000000 {*}$args] 100000] status out err
    assert_equal $status "exit 0" "$args: $out $err"
}

# The 99th percentile of GETs in microseconds; `between` runs before each.
proc get_percentile {connection count {between ""}} {
    set times {}
    for {set i 0} {$i < $count} {incr i} {
        if {$between ne ""} $between
        set started [clock microseconds]
        assert_equal [ask $connection GET key] value
        lappend times [expr {[clock microseconds] - $started}]
    }
    return [lindex [lsort -integer $times] [expr {$count * 99 / 100}]]
}

# One SET is always under way.
proc keep_writing {connection} {
    if {![resp::reply_waits $connection 0]} return
    assert_equal [lindex [resp::reply $connection] 1] OK
    resp::send $connection SET other value
}

test "deep pipelines of many clients do not hold up the loop, at leader and followers" -timeout 120 {
    set nodes [start_cluster 3]
    set leader [leader_of $nodes]
    foreach depth {16 1000} {
        foreach command {set get} {
            reset_turns $nodes
            benchmark $leader -t $command -c 50 -P $depth -n [expr {$harness::long ? 1000000 : 200000}]
            assert_turns_short $nodes "$command, 50 clients, pipelines of $depth"
        }
    }
    assert_equal [leader_of $nodes] $leader "nobody else was elected meanwhile"
}

test "GET at a leader whose log's fsyncs take 200 ms is as fast as at a healthy one" -timeout 60 {
    set nodes [start_cluster 3]
    set leader [leader_of $nodes]
    set reader [connect $leader]
    assert_equal [call_node $leader SET key value] OK
    set healthy [get_percentile $reader 1000]
    call_node $leader DEBUG SYNC-DELAY 200
    set writer [connect $leader]
    resp::send $writer SET other value
    set slow [get_percentile $reader 1000 [list keep_writing $writer]]
    call_node $leader DEBUG SYNC-DELAY 0
    note "p99 of GET: $healthy us, with fsyncs of 200 ms $slow us"
    assert {$slow < 5 * $healthy + 20000} "a read waited for the log's disk"
}
