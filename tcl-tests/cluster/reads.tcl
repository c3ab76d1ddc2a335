# What reads see, on the leader and on followers, with a majority and without one.

test "a write on the leader is seen at once on every follower" -timeout 60 {
    set nodes [start_cluster 3]
    set leader [leader_of $nodes]
    set writer [connect $leader]
    set readers [lmap node [others $nodes $leader] { connect $node }]
    set rounds [expr {$harness::long ? 5000 : 700}]
    lassign [timed {
        for {set i 0} {$i < $rounds} {incr i} {
            assert_equal [ask $writer SET key $i] OK
            foreach reader $readers { assert_equal [ask $reader GET key] $i "round $i" }
        }
    }] milliseconds
    note "$rounds rounds in $milliseconds ms"
}

test "pipelines that mix reads and writes keep their order on the leader" {
    set nodes [start_cluster 3]
    set connection [connect [leader_of $nodes]]
    set requests {}
    set expected {}
    for {set i 0} {$i < 1000} {incr i} {
        lappend requests [list SET k $i] [list GET k] [list GET k] [list INCR n] [list GET n] [list PING $i]
        lappend expected OK $i $i [expr {$i + 1}] [expr {$i + 1}] $i
    }
    assert_equal [ask_all $connection $requests] $expected
}

test "a pipeline at a follower answers reads, and refuses each write with -not leader" {
    set nodes [start_cluster 3]
    call_node [leader_of $nodes] SET a b
    set connection [connect [lindex [followers_of $nodes] 0]]
    assert_equal [ask_all $connection {{GET a} {SET a c} {PING} {INCR n} {GET a} {DEL a} {EXISTS a} {NOSUCH} {SET a}}] \
        [list b "-not leader" PONG "-not leader" b "-not leader" 1 "-ERR unknown command 'NOSUCH', with args beginning with: " "-ERR wrong number of arguments for 'set' command"]
}

test "with two of three dead the last one says so, keeps local reads, and serves again when one is back" -timeout 60 {
    set nodes [start_cluster 3]
    set leader [leader_of $nodes]
    foreach last [list $leader [lindex [others $nodes $leader] 0]] {
        wait_members $nodes
        assert_equal [node_ask [leader_of $nodes] SET key $last] OK
        wait_caught_up $nodes
        kill9 {*}[others $nodes $last]
        set connection [connect $last]
        wait_for_condition "writes are refused" 8000 {[regexp {^-CLUSTERDOWN (no leader|.*leader lost its majority)} [ask $connection SET other no]]}
        lassign [timed {ask $connection GET key}] milliseconds answer
        assert_match $answer "-CLUSTERDOWN *"
        assert {$milliseconds < [scaled 6000]}
        assert_equal [ask $connection PING] PONG
        assert_match [ask $connection INFO raft] "*role:*"
        assert_equal [ask $connection READONLY] OK
        assert_equal [ask $connection GET key] $last
        assert_equal [ask $connection READWRITE] OK
        set back [lindex [others $nodes $last] 0]
        restart $back
        leader_of $nodes
        wait_for_condition "reads are served again" 8000 {[ask $connection GET key] eq $last}
        restart [lindex [others $nodes $last] 1]
    }
    wait_members $nodes
    assert_same_digest $nodes
}

test "no request waits longer than request-timeout" {
    set nodes [start_cluster 3 {-request-timeout 1000}]
    set leader [leader_of $nodes]
    set connection [connect $leader]
    kill9 {*}[others $nodes $leader]
    lassign [timed {ask $connection SET key value}] milliseconds answer
    assert {[regexp {^-(UNKNOWN|CLUSTERDOWN)} $answer]} "SET gave $answer"
    assert {$milliseconds < [scaled 2500]} "SET waited $milliseconds ms"
    lassign [timed {ask $connection GET key}] milliseconds answer
    assert_match $answer "-CLUSTERDOWN *"
    assert {$milliseconds < [scaled 2500]} "GET waited $milliseconds ms"
}
