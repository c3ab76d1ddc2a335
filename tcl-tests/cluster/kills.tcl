# Nodes are killed under load, and whatever a client was told is true afterwards: acknowledged writes are on
# every node, refused ones nowhere, and unknown ones are all or nothing.

set rounds [expr {$harness::long ? 25 : 6}]

test "kill -9 of the leader under a pipelined load, again and again" -timeout 120 {
    set nodes [start_cluster 3]
    set load [start_load $nodes -depth 32]
    for {set i 0} {$i < $::rounds} {incr i} {
        wait_load_progress $load 5000
        set leader [leader_of $nodes]
        kill9 $leader
        set successor [leader_of [others $nodes $leader]]
        wait_load_progress $load 2000
        restart $leader
        wait_for_condition "$leader follows again" 10000 {[raft_field $leader role] eq "follower"}
    }
    assert_all_kept $load $nodes
}

test "kill -9 of the leader, and of the next before the first is back" -timeout 120 {
    set nodes [start_cluster 3]
    set load [start_load $nodes -depth 32]
    for {set i 0} {$i < 3} {incr i} {
        wait_load_progress $load 4000
        set first [leader_of $nodes]
        kill9 $first
        set second [leader_of [others $nodes $first]]
        kill9 $second
        restart $first -nowait
        wait_load_progress $load 3000
        restart $second
    }
    assert_all_kept $load $nodes
}

test "kill -9 of all nodes at once under a pipelined load" -timeout 120 {
    set nodes [start_cluster 3]
    set load [start_load $nodes -depth 32]
    for {set i 0} {$i < max(2, $::rounds / 3)} {incr i} {
        wait_load_progress $load 6000
        kill9 {*}$nodes
        foreach node $nodes { restart $node -nowait }
        foreach node $nodes { wait_serving $node }
    }
    wait_load_progress $load 3000
    assert_all_kept $load $nodes
}

test "kill -9 of random nodes under load with SNAPSHOTs" -timeout 180 -long {
    set nodes [start_cluster 3]
    set load [start_load $nodes -depth 32]
    for {set i 0} {$i < 40} {incr i} {
        wait_load_progress $load 3000
        set node [lindex $nodes [expr {int(rand() * 3)}]]
        if {$i % 3 == 0} { catch {node_ask $node SNAPSHOT} }
        kill9 $node
        wait_load_progress $load 1000
        restart $node
    }
    assert_all_kept $load $nodes
}

test "a follower that was down catches up, killed or stopped" -timeout 60 {
    set nodes [start_cluster 3]
    set leader [leader_of $nodes]
    foreach follower [others $nodes $leader] how {kill stop} {
        if {$how eq "kill"} { kill9 $follower } else { stop $follower }
        set connection [connect $leader]
        set requests {}
        for {set i 0} {$i < 5000} {incr i} { lappend requests [list SET $follower:$i [string repeat $i 10]] }
        ask_all $connection $requests
        restart $follower
        wait_caught_up $nodes 20000
        assert_equal [ask [connect $follower] GET $follower:4999] [string repeat 4999 10]
    }
    assert_same_digest $nodes
}

test "a leader that is stopped by SIGSTOP is replaced, and answers nothing old when it goes on" -timeout 60 {
    set nodes [start_cluster 3]
    for {set i 0} {$i < 3} {incr i} {
        set leader [leader_of $nodes]
        set others [others $nodes $leader]
        set old [connect $leader]
        assert_equal [ask $old SET key before-$i] OK
        process::signal STOP $node::pid($leader)
        set successor [leader_of $others]
        wait_for_condition "the new leader takes writes" 5000 {[node_ask $successor SET key after-$i] eq "OK"}
        resp::send $old GET key
        resp::send $old SET key stolen
        process::signal CONT $node::pid($leader)
        set read [resp::text [resp::reply $old]]
        assert {$read eq "after-$i" || [regexp {^-(CLUSTERDOWN|UNKNOWN)} $read]} "a read at the former leader gave $read"
        set write [resp::text [resp::reply $old]]
        assert {[regexp {^-(not leader|CLUSTERDOWN|UNKNOWN)} $write]} "a write at the former leader gave $write"
        wait_members $nodes
        if {![string match "-UNKNOWN*" $write]} { assert_equal [node_ask $leader GET key] after-$i }
    }
    assert_same_digest $nodes
}
