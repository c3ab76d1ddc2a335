# fsync is real: while DEBUG SYNC-DELAY holds the fsyncs of the log, nothing is acknowledged that needs them; and
# nothing waits for a fsync that it does not need.
# Runs alone: what is measured is what waits for an fsync and what does not.

# Shorter than half of election-timeout's default of 400 ms, so that an election that needs two of them can end.
set delay 180

# How long a SET on this connection took to be answered with OK, in ms.
proc set_takes {connection} {
    lassign [timed {call $connection SET key value}] milliseconds answer
    assert_equal $answer OK
    return $milliseconds
}

# The least of some: what a SET takes when nothing holds it.
proc best_set {connection} {
    set best 1000000
    for {set i 0} {$i < 5} {incr i} { set best [expr {min($best, [set_takes $connection])}] }
    return $best
}

proc assert_held {milliseconds what} { assert {$milliseconds >= $::delay - 5} "$what: answered after $milliseconds ms, its fsync was held for $::delay" }
proc assert_free {milliseconds what} { assert {$milliseconds < $::delay - 40} "$what: answered after $milliseconds ms, no fsync that it needs was held" }

proc hold {args} { foreach node $args { call_node $node DEBUG SYNC-DELAY $::delay } }
proc release {args} { foreach node $args { call_node $node DEBUG SYNC-DELAY 0 } }

test "one node: SET is not answered before its own fsync, GET does not wait for it" {
    set node [start_node]
    set writer [connect $node]
    set reader [connect $node]
    wait_for_condition "it takes writes" 5000 {[ask $writer SET key value] eq "OK"}
    assert_free [best_set $writer] "at rest"
    hold $node
    for {set i 0} {$i < 3} {incr i} { assert_held [set_takes $writer] "SET $i" }
    resp::send $writer SET key new
    resp::send $writer GET key
    assert_equal [lindex [timed {ask $reader GET key}] 1] value "what is not acknowledged is not shown"
    assert_free [lindex [timed {ask $reader PING}] 0] "PING during a fsync"
    assert_free [lindex [timed {ask $reader GET key}] 0] "GET during a fsync"
    assert {![resp::reply_waits $writer 50]} "SET is not answered"
    assert_equal [lindex [resp::reply $writer] 1] OK
    assert_equal [lindex [resp::reply $writer] 1] new
    release $node
    set_takes $writer
    assert_free [best_set $writer] "released"
}

test "one node: kill -9 while a fsync is held loses only what was not acknowledged" {
    set node [start_node]
    set writer [connect $node]
    wait_for_condition "it takes writes" 5000 {[ask $writer SET key acknowledged] eq "OK"}
    hold $node
    resp::send $writer SET other waiting
    assert {![resp::reply_waits $writer 50]}
    kill9 $node
    restart $node
    wait_for_condition "it serves" 5000 {[node_ask $node GET key] eq "acknowledged"}
    assert {[node_ask $node GET other] in {waiting (nil)}}
}

test "three nodes: SET waits for the leader's fsync and for one follower's, not for the slowest" {
    set nodes [start_cluster 3]
    set leader [leader_of $nodes]
    lassign [others $nodes $leader] one two
    set writer [connect $leader]
    assert_free [best_set $writer] "at rest"
    hold $one
    for {set i 0} {$i < 3} {incr i} { assert_free [set_takes $writer] "one follower held" }
    hold $two
    for {set i 0} {$i < 3} {incr i} { assert_held [set_takes $writer] "both followers held" }
    release $one
    set_takes $writer
    for {set i 0} {$i < 3} {incr i} { assert_free [set_takes $writer] "the other follower held" }
    release $two
    set_takes $writer
    hold $leader
    for {set i 0} {$i < 3} {incr i} { assert_held [set_takes $writer] "the leader held" }
    assert_free [lindex [timed {ask [connect $leader] GET key}] 0] "GET at a leader with a slow disk"
    release $leader
    set_takes $writer
    assert_free [best_set $writer] "released"
    assert_equal [leader_of $nodes] $leader "nobody else was elected meanwhile"
    assert_same_digest $nodes
}

# Stops the leader by SIGTERM; returns after how many ms one of the others leads. The stopped node is started again.
proc hand_over_takes {nodes} {
    set leader [leader_of $nodes]
    wait_caught_up $nodes
    set left [others $nodes $leader]
    foreach node $left { raft_field $node role }
    set started [clock milliseconds]
    set node::expected_end($leader) 1
    process::signal TERM $node::pid($leader)
    while {[lsearch -exact [lmap node $left { raft_field $node role }] leader] < 0} {
        if {[clock milliseconds] - $started > 15000} { error "no new leader" }
        pause 1
    }
    set took [expr {[clock milliseconds] - $started}]
    process::wait_end $node::pid($leader) 15000
    drop_control $leader
    restart $leader
    return $took
}

test "a vote is not given, nor one's own counted, before it is on disk" -timeout 60 {
    set nodes [start_cluster 3]
    # A hand-over makes the successor campaign at once, so what an election takes beyond it is its fsyncs: its
    # own vote's, and after it the voter's. The old leader may be the voter, so its fsyncs are held too.
    set took(0) 1000000
    for {set i 0} {$i < 3} {incr i} {
        set took(0) [expr {min($took(0), [hand_over_takes $nodes])}]
        wait_members $nodes
    }
    set leader [leader_of $nodes]
    set took(held) 1000000
    for {set i 0} {$i < 2} {incr i} {
        hold {*}$nodes
        set took(held) [expr {min($took(held), [hand_over_takes $nodes])}]
        release {*}$nodes
        wait_members $nodes
    }
    note "a new leader after $took(0) ms, with all fsyncs held for $::delay ms after $took(held) ms"
    assert {$took(0) < $::delay} "without a delay the hand-over took $took(0) ms"
    assert {$took(held) >= 2 * $::delay - 10} "a leader after $took(held) ms, two fsyncs of $::delay ms each were due"
}
