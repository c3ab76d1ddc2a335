# follower-writes forward: writes at a follower are the leader's, in order and truthfully; and the leader's commands, which
# any node takes.

set forwarding {--follower-writes forward}

test "a write at any node is acknowledged, and seen there and everywhere" {
    set nodes [start_cluster 3 $::forwarding]
    foreach node $nodes {
        set connection [connect $node]
        assert_equal [ask $connection SET by:$node yes] OK
        assert_equal [ask $connection GET by:$node] yes
        assert_equal [ask $connection INCR count] [incr expected]
        assert_equal [ask $connection SET text word] OK
        assert_equal [ask $connection INCR text] "-ERR value is not an integer or out of range"
        foreach reader $nodes { assert_equal [node_ask $reader GET by:$node] yes }
    }
    foreach follower [followers_of $nodes] {
        assert {[dict get [info_of $follower stats] forward_requests] > 0}
        assert_equal [dict get [info_of $follower stats] forward_unknown] 0
    }
    assert_same_digest $nodes
}

test "pipelines at a follower that mix reads and writes keep their order" -timeout 60 {
    set nodes [start_cluster 3 $::forwarding]
    set requests {}
    set expected {}
    for {set i 0} {$i < ($harness::long ? 2000 : 200)} {incr i} {
        lappend requests [list SET k $i] [list GET k] [list GET k] [list INCR n] [list INCR n] [list GET n] [list PING $i] [list NOSUCH]
        lappend expected OK $i $i [expr {2 * $i + 1}] [expr {2 * $i + 2}] [expr {2 * $i + 2}] $i \
            "-ERR unknown command 'NOSUCH', with args beginning with: "
    }
    lassign [timed {ask_all [connect [lindex [followers_of $nodes] 0]] $requests}] milliseconds answers
    assert_equal $answers $expected
    note "[llength $requests] requests in $milliseconds ms"
}

test "a deep pipeline of writes at each follower at once is acknowledged in order" -timeout 60 {
    set nodes [start_cluster 3 $::forwarding]
    set count 5000
    foreach follower [followers_of $nodes] {
        set connection($follower) [connect $follower]
        set bytes ""
        for {set i 0} {$i < $count} {incr i} { append bytes [resp::encode [list INCR $follower]] }
        resp::write $connection($follower) $bytes
    }
    foreach follower [array names connection] {
        for {set i 1} {$i <= $count} {incr i} { assert_equal [resp::text [resp::reply $connection($follower)]] $i }
    }
    assert_same_digest $nodes
}

# SETs of one key at the leader for as long as it hands over, which its slow disk draws out: their replies.
proc answers_during_transfer {leader} {
    call_node $leader DEBUG SYNC-DELAY 50
    set connection [connect $leader]
    set transfer [connect $leader]
    set count 0
    resp::write $connection [resp::encode [list SET foo [incr count]]]
    resp::send $transfer TRANSFER
    while {![resp::reply_waits $transfer 1]} {
        for {set i 0} {$i < 5} {incr i} { resp::write $connection [resp::encode [list SET foo [incr count]]] }
    }
    set answers {}
    for {set i 0} {$i < $count} {incr i} { lappend answers [resp::text [resp::reply $connection]] }
    assert_equal [resp::text [resp::reply $transfer]] OK
    call_node $leader DEBUG SYNC-DELAY 0
    return $answers
}

test "writes at a leader that hands over go to the next one: none is refused, none unknown" -timeout 60 {
    set nodes [start_cluster 3 $::forwarding]
    set leader [leader_of $nodes]
    set load [start_load $leader]
    for {set round 0} {$round < 4} {incr round} {
        wait_load_progress $load
        set answers [answers_during_transfer $leader]
        assert_equal [lsort -unique $answers] OK
        assert_equal [node_ask $leader GET foo] [llength $answers]
        wait_for_condition "another one leads" 3000 {[leader_now $nodes] ni [list "" $leader]}
        wait_load_progress $load
        # Back to where the load is.
        assert_equal [node_ask $leader TRANSFER $node::id($leader)] OK
    }
    set result [stop_load $load]
    note "[describe_load $result]; longest pause [dict get $result longest_us] us"
    assert_nothing_refused_or_unknown $result
    assert_load_kept $load $result $nodes
    assert_same_digest $nodes
}

test "with follower-writes redirect writes at a leader that hands over are redirected to the next one by their key" -timeout 60 {
    set nodes [start_cluster 3 {--follower-writes redirect}]
    for {set round 0} {$round < 3} {incr round} {
        set leader [leader_of $nodes]
        set load [start_load $leader]
        wait_load_progress $load
        set answers [answers_during_transfer $leader]
        set next [leader_of $nodes]
        assert {$next ne $leader}
        foreach answer [lsort -unique $answers] {
            assert {$answer in [list OK "-MOVED 12182 127.0.0.1:$node::port($next)"]} $answer
        }
        set result [stop_load $load]
        assert_nothing_unknown $result
        assert_load_kept $load $result $nodes
    }
}

test "local reads at a follower see what their own connection wrote" {
    set nodes [start_cluster 3 $::forwarding]
    set connection [connect [lindex [followers_of $nodes] 0]]
    ask $connection READONLY
    for {set i 0} {$i < 300} {incr i} {
        assert_equal [ask $connection SET k $i] OK
        assert_equal [ask $connection GET k] $i
    }
    assert_equal [ask_all $connection {{SET k a} {GET k} {SET k b} {GET k}}] {OK a OK b}
}

test "a value of several megabytes is forwarded whole, and small writes of others do not wait for it" -timeout 60 {
    set nodes [start_cluster 3 $::forwarding]
    set follower [lindex [followers_of $nodes] 0]
    set large [connect $follower]
    set small [connect $follower]
    set value [string repeat 0123456789abcdef 500000]
    resp::send $large SET large $value
    assert_equal [ask $small SET small 1] OK
    assert_equal [resp::text [resp::reply $large 20000]] OK
    assert_equal [ask $small GET large] $value
    set requests {}
    for {set i 0} {$i < 20} {incr i} { lappend requests [list SET big:$i [string repeat $i 400000]] }
    assert_equal [ask_all $small $requests] [lrepeat 20 OK]
    assert_same_digest $nodes
}

test "the leader's refusals and the follower's own are told word for word" {
    set nodes [start_cluster 3 [concat $::forwarding {--max-entry-bytes 1mb}]]
    set leader [leader_of $nodes]
    set connection [connect [lindex [others $nodes $leader] 0]]
    set at_leader [connect $leader]
    foreach request [list {INCR a b} {SET a} {SET a b NOSUCH} [list SET a [string repeat x 1100000]]] {
        assert_equal [ask $connection {*}$request] [ask $at_leader {*}$request]
    }
    assert_equal [ask $connection GET a] "(nil)"
}

test "a follower with a password forwards for those who said it, and for nobody else" {
    set nodes [start_cluster 3 [concat $::forwarding {--requirepass secret}]]
    set follower [lindex [followers_of $nodes] 0]
    set stranger [resp::open $node::port($follower)]
    assert_equal [ask $stranger SET a b] "-NOAUTH Authentication required."
    assert_equal [ask $stranger LEAVE x] "-NOAUTH Authentication required."
    assert_equal [ask [connect $follower] SET a c] OK
    assert_equal [node_ask [leader_of $nodes] GET a] c
}

# After the load: all that it was told is so on all nodes, and the nodes are equal.
proc assert_kept {load nodes} {
    set result [stop_load $load]
    wait_members $nodes
    note [describe_load $result]
    assert_same_digest $nodes
    assert_load_kept $load $result $nodes
    return $result
}

test "kill -9 of the leader under load at the followers: acknowledged stays, refused is nowhere, unknown is told" -timeout 120 {
    set nodes [start_cluster 3 $::forwarding]
    for {set i 0} {$i < ($harness::long ? 20 : 4)} {incr i} {
        set leader [leader_of $nodes]
        # At followers alone: nothing but the links between nodes breaks.
        set load [start_load [others $nodes $leader] -depth 32]
        wait_load_progress $load 5000
        kill9 $leader
        wait_load_progress $load 3000
        restart $leader
        set result [assert_kept $load $nodes]
        assert {[llength [dict get $result acknowledged]] > 0}
    }
}

test "when leadership is handed over by a shutdown under load nothing is lost or unknown, nor refused but where it ends" -timeout 60 {
    set nodes [start_cluster 3 $::forwarding]
    set leader [leader_of $nodes]
    foreach other [others $nodes $leader] { lappend loads [start_load [list $other] -depth 16 -rate 2000] }
    # And one at the leader itself, which goes elsewhere when it is refused there.
    set at_leader [start_load [concat $leader [others $nodes $leader]] -depth 16 -rate 2000]
    foreach load [concat $loads $at_leader] { wait_load_progress $load 4000 }
    stop $leader
    wait_load_progress $at_leader 4000
    foreach load $loads { wait_load_progress $load 4000 }
    restart $leader
    set results [lmap load $loads { stop_load $load }]
    set ended [stop_load $at_leader]
    note "at the leader: [describe_load $ended]; longest pause [dict get $ended longest_us] us"
    assert_nothing_unknown $ended
    wait_members $nodes
    assert_load_kept $at_leader $ended $nodes
    assert_same_digest $nodes
    foreach load $loads result $results {
        note [describe_load $result]
        assert_load_kept $load $result $nodes
        assert_nothing_refused_or_unknown $result
    }
}

# Pipelines of INCR and GET at `node` from four clients, again and again: {their answers, the longest time of one round}.
proc answers_while {node condition} {
    set bytes [string repeat [resp::encode {INCR k}][resp::encode {GET k}] 20]
    set connections [lmap client {1 2 3 4} { connect $node }]
    set answers {}
    set longest 0
    while {[uplevel 1 [list expr $condition]]} {
        set began [clock milliseconds]
        foreach connection $connections { resp::write $connection $bytes }
        foreach connection $connections {
            for {set i 0} {$i < 40} {incr i} { lappend answers [resp::text [resp::reply $connection]] }
        }
        set longest [expr {max($longest, [clock milliseconds] - $began)}]
    }
    return [list $answers $longest]
}

test "a node that leaves under pipelines answers them all at once: served, or refused as by one that was removed" -timeout 60 {
    set nodes [start_cluster 3 $::forwarding]
    set leader [leader_of $nodes]
    foreach leaver [list $leader [lindex [others $nodes $leader] 0]] {
        set operator [connect $leaver]
        resp::send $operator LEAVE $node::id($leaver)
        lassign [answers_while $leaver {![resp::reply_waits $operator 1]}] answers longest
        assert_equal [resp::text [resp::reply $operator]] OK
        set refused [lsearch -all -inline -not -regexp $answers {^\d+$}]
        assert {[lsort -unique $refused] in {{} {{-CLUSTERDOWN this node was removed from its cluster}}}} [lsort -unique $refused]
        note "$leaver left: [llength $refused] of [llength $answers] requests were refused; at most $longest ms for 160"
        assert {$longest < [scaled 2500]}
    }
}

test "with two of three dead a forwarded write is refused, and taken again once one is back" -timeout 60 {
    set nodes [start_cluster 3 [concat $::forwarding [list --request-timeout [scaled 2000]]]]
    set leader [leader_of $nodes]
    set last [lindex [others $nodes $leader] 0]
    kill9 {*}[others $nodes $last]
    set connection [connect $last]
    wait_for_condition "the loss is noticed" 5000 {[raft_field $last leader] eq ""}
    lassign [timed {ask $connection SET key no}] milliseconds answer
    assert_match $answer "-CLUSTERDOWN no leader*"
    assert {$milliseconds < [scaled 4000]}
    restart $leader -nowait
    # A write waits for three election timeouts, and who has just started votes for nobody in the first: so it may be refused yet.
    wait_for_condition "a write is taken again" 10000 {[set answer [ask $connection SET key yes]] ne "-CLUSTERDOWN no leader"}
    assert_equal $answer OK
    restart [lindex [others [others $nodes $last] $leader] 0]
    wait_members $nodes
    assert_same_digest $nodes
}

test "JOIN and LEAVE at a follower are carried out by the leader, whatever follower-writes says" -timeout 60 {
    foreach options [list {} $::forwarding {--follower-writes redirect}] {
        set nodes [start_cluster 2 $options]
        set follower [lindex [followers_of $nodes] 0]
        set fresh [start_node -id fresh[incr number]]
        wait_for_condition "$fresh leads itself" 5000 {[raft_field $fresh role] eq "leader" && [same_applied $fresh]}
        assert_equal [node_ask $follower JOIN 127.0.0.1:$node::raft_port($fresh) fresh$number] OK
        wait_members [concat $nodes $fresh]
        assert_match [node_ask $follower JOIN 127.0.0.1:[free_port] nobody] "-ERR cannot take in *"
        assert_match [node_ask $follower LEAVE nobody] "-ERR no member is called 'nobody'"
        assert_equal [node_ask $follower JOIN] "-ERR wrong number of arguments for 'join' command"
        assert_equal [node_ask $follower LEAVE fresh$number] OK
        wait_members $nodes
    }
}

test "a node that joins by way of a follower becomes a member" -timeout 60 {
    set nodes [start_cluster 2]
    lappend nodes [start_node -join [lindex [followers_of $nodes] 0] -nowait]
    wait_members $nodes
    assert_same_digest $nodes
}

test "without a leader LEAVE at any node says so" -timeout 60 {
    set nodes [start_cluster 3 [list --request-timeout [scaled 1000]]]
    set leader [leader_of $nodes]
    set last [lindex [others $nodes $leader] 0]
    kill9 {*}[others $nodes $last]
    wait_for_condition "LEAVE is refused" 8000 {[node_ask $last LEAVE $node::id($leader)] eq "-CLUSTERDOWN no leader"}
}
