# The loop is never held up: not by deep pipelines, not by large values, not by a flush, a compaction or a snapshot on
# its way. What counts is the CPU time of a turn (INFO loop_turn_cpu_usec_max), since a test's machine is shared; and
# that a leader whose log's disk is slow serves reads as ever.

# Of one turn of the loop, thread CPU time.
set turn_usec_max [scaled 10000]

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
            benchmark $leader -t $command -c 50 -P $depth -n [fewer [expr {$harness::long ? 1000000 : 200000}]]
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

test "values of 1 MiB of many clients at once do not hold up the loop, at leader and followers" -timeout 120 {
    set nodes [start_cluster 3]
    set leader [leader_of $nodes]
    foreach command {set get} {
        reset_turns $nodes
        benchmark $leader -t $command -c 50 -d 1048576 -r 50 -n [fewer [expr {$harness::long ? 2000 : 150}]]
        assert_turns_short $nodes "$command of 1 MiB, 50 clients"
    }
    assert_equal [leader_of $nodes] $leader "nobody else was elected meanwhile"
}

# Has the node drop all log up to what it has now; log leaves by whole segments, so some more is written.
proc compact_log {node} {
    set last [raft_field $node last_index]
    set value [string repeat c 100000]
    wait_for_condition "the log of $node begins behind entry $last" 60000 {
        [node_ask $node SET compact $value] eq "OK" && [node_ask $node SNAPSHOT] eq "OK" && [raft_field $node log_first_index] > $last
    }
}

test "a flood of DELs, and the end of many small entries, do not hold up the loop" -timeout 200 {
    set count [fewer [expr {$harness::long ? 2000000 : 100000}]]
    set nodes [start_cluster 1 {-flush-interval 100000 -flush-bytes 1gb -flush-lag 300000 -flush-lag-bytes 4gb
        -log-segment 64kb -log-window 0}]
    set node [lindex $nodes 0]
    benchmark $node -t set -c 20 -P 100 -d 3 -r $count -n $count
    reset_turns $nodes
    benchmark $node -c 20 -P 200 -r $count -n [expr {2 * $count}] DEL key:__rand_int__
    # Each of them is an entry of its own.
    benchmark $node -c 1 -r 1000 -n [fewer 20000] SET small:__rand_int__ 1
    compact_log $node
    assert_turns_short $nodes "[raft_field $node last_index] entries, $count keys erased"
}

test "flushing, compacting, sending and installing many keys does not hold up the loop, nor does starting with them" -timeout 400 {
    set count [fewer [expr {$harness::long ? 1600000 : 100000}]]
    if {$harness::long} { set resp::reply_timeout_ms 120000 }   ;# A million keys are not flushed in ten seconds everywhere.
    # Nothing is flushed before it is asked for.
    set nodes [start_cluster 3 {-flush-interval 100000 -flush-bytes 1gb -flush-lag 300000 -flush-lag-bytes 4gb
        -log-segment 64kb -log-window 0}]
    set leader [leader_of $nodes]
    set away [lindex [others $nodes $leader] 0]
    set present [others $nodes $away]
    set fill [list -t set -c 20 -P 100 -d 30 -r $count -n $count]
    benchmark $leader {*}$fill
    wait_caught_up $nodes 60000
    reset_turns $nodes
    call_node $away SNAPSHOT
    assert_turns_short $nodes "a flush of [call_node $away DBSIZE] keys"
    kill9 $away
    benchmark $leader {*}$fill
    reset_turns $present
    compact_log $leader
    restart $away
    wait_for_condition "a snapshot takes the place of the keys" 120000 {[node_ask $away GET compact] ne "" &&
        [raft_field $away snapshots_installed] == 1}
    wait_caught_up $nodes 60000
    # Of the one that was away: from its start, with the keys it had, to the end of what it had before.
    assert_turns_short $nodes "[call_node $away DBSIZE] keys flushed, compacted, sent, loaded and swapped in"
    # DEBUG DIGEST of so many holds up the loop until another node leads: an entry more, which changes no key.
    assert_equal [llength [lsort -unique [lmap node $nodes { lindex [digest_of $node] 1 }]]] 1 "one digest"
}
