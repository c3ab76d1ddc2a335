# The end of a node: by signal and by SHUTDOWN, at rest and under load, alone and as a leader.

test "SIGTERM, SIGINT and SHUTDOWN end a node with status 0, and nothing is lost; SIGHUP does not" {
    set node [start_node]
    process::signal HUP $node::pid($node)
    set value 0
    foreach how {TERM INT SHUTDOWN NOSAVE} {
        wait_for_condition "the node takes writes" 5000 {[node_ask $node SET a [incr value]] eq "OK"}
        if {$how in {TERM INT}} {
            lassign [stop $node $how] status milliseconds
        } else {
            set node::expected_end($node) 1
            set connection [connect $node]
            resp::send $connection SHUTDOWN {*}[expr {$how eq "NOSAVE" ? "NOSAVE" : ""}]
            assert_equal [resp::read_to_end $connection] ""
            set status [process::wait_end $node::pid($node) 5000]
        }
        assert_equal $status "exit 0" $how
        restart $node
        wait_for_condition "the value is there after $how" 5000 {[node_ask $node GET a] eq $value}
    }
}

test "a node that is stopped right after its start ends with status 0" {
    for {set i 0} {$i < 5} {incr i} {
        set node [start_node -nowait]
        wait_for_condition "its port is open" 5000 {[port_open $node::port($node)]}
        assert_equal [lindex [stop $node] 0] "exit 0"
    }
}

# Has the node begin a write whose sync takes so long; returns its client. An end of the node that waits for it takes as long.
proc start_slow_write {node sync_ms} {
    wait_for_condition "it takes writes" 5000 {[node_ask $node SET a b] eq "OK"}
    call_node $node DEBUG SYNC-DELAY $sync_ms
    set writer [connect $node]
    resp::send $writer SET a b
    assert {![resp::reply_waits $writer 50]} "the write is on its way"
    return $writer
}

test "a second signal ends a node at once" {
    set node [start_node]
    start_slow_write $node 3000
    set node::expected_end($node) 1
    process::signal TERM $node::pid($node)
    wait_for_condition "the first signal was seen" 2000 {[regexp -nocase {shut|SIGTERM} [log_of $node][errors_of $node]]}
    assert {[runs $node]}
    set started [clock milliseconds]
    process::signal TERM $node::pid($node)
    assert_equal [process::wait_end $node::pid($node) 2000] "exit 1"
    assert {[clock milliseconds] - $started < [scaled 1000]}
}

test "the first signal behind SHUTDOWN, as a supervisor sends it, does not end the node at once" {
    set node [start_node]
    set writer [start_slow_write $node 700]
    set node::expected_end($node) 1
    resp::send [connect $node] SHUTDOWN
    wait_log $node {shutting down}
    process::signal TERM $node::pid($node)
    wait_log $node {SIGTERM was received: already shutting down}
    assert_equal [resp::text [resp::reply $writer]] OK
    assert_equal [process::wait_end $node::pid($node) 5000] "exit 0"
}

test "shutdown-timeout bounds the way out" {
    set node [start_node -options {-shutdown-timeout 1}]
    start_slow_write $node 20000
    lassign [stop $node] status milliseconds
    assert {$milliseconds > 900 && $milliseconds < 3500} "ended after $milliseconds ms"
}

test "a leader that is stopped under load hands over: no write is lost, and the outage is short" -timeout 60 {
    set nodes [start_cluster 3]
    set load [start_load $nodes]
    wait_load_progress $load
    foreach signal {TERM INT} {
        set leader [leader_of $nodes]
        lassign [stop $leader $signal] status milliseconds
        assert_equal $status "exit 0"
        set successor [leader_of [others $nodes $leader]]
        note "$signal: ended after $milliseconds ms, successor $successor"
        wait_load_progress $load
        restart $leader
        wait_members $nodes
    }
    set result [stop_load $load]
    wait_caught_up $nodes
    note "[describe_load $result]; pauses over 100 ms: [dict get $result outages]"
    assert_load_kept $load $result $nodes
    assert_same_digest $nodes
    foreach outage [dict get $result outages] { assert {$outage < [scaled 1000]} "a pause of $outage ms" }
}

test "SHUTDOWN of a follower disturbs nobody" {
    set nodes [start_cluster 3]
    set leader [leader_of $nodes]
    set term [raft_field $leader term]
    set load [start_load $nodes]
    foreach follower [others $nodes $leader] {
        wait_load_progress $load
        assert_equal [lindex [stop $follower] 0] "exit 0"
        wait_load_progress $load
        restart $follower
        wait_for_condition "$follower follows again" 5000 {[raft_field $follower role] eq "follower" && [raft_field $follower leader] eq $node::id($leader)}
    }
    set result [stop_load $load]
    assert_equal [dict get $result unknown] {}
    assert_load_kept $load $result $nodes
    assert_equal [raft_field $leader term] $term
}
