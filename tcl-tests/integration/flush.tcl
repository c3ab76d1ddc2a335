# Keys are written behind, into the keys file: when, how far behind at most, and that a crash in the midst loses nothing.

# Keys in the keys file as anybody may read it, without having asked for a SNAPSHOT.
proc keys_on_disk {node} {
    set file [lindex [glob -directory $node::dir($node) keys-*.db] 0]
    return [exec sqlite3 -readonly -cmd ".timeout 2000" $file "select count(*) from strings"]
}

proc set_many {connection first count value} {
    set requests {}
    for {set i $first} {$i < $first + $count} {incr i} { lappend requests [list SET key:$i $value] }
    foreach answer [ask_all $connection $requests] { assert_equal $answer OK }
}

# The largest value of an INFO field while `script` returns false.
proc largest_while {node field script} {
    set largest 0
    while {![uplevel 1 $script]} { set largest [expr {max($largest, [raft_field $node $field])}] }
    return $largest
}

test "within a second of the last change all is in the keys file, and nothing is left to be replayed" {
    if {[auto_execok sqlite3] eq ""} { skip "no sqlite3" }
    set node [start_node -options {-flush-interval 3600000}]
    wait_for_condition "it takes writes" 5000 {[node_ask $node SET key:0 b] eq "OK"}
    set_many [connect $node] 1 999 value
    wait_for_condition "all is flushed" 3000 {[raft_field $node flush_lag_keys] == 0 && [raft_field $node flush_lag_entries] == 0}
    assert {[raft_field $node flush_lag_ms] == 0}
    assert_equal [keys_on_disk $node] 1000
    set flushes [raft_field $node flushes]
    pause 1500
    assert_equal [raft_field $node flushes] $flushes "an idle node flushes nothing"
}

test "while writes go on, no change stays behind for longer than flush-interval and a flush" -timeout 60 {
    set node [start_node -options {-flush-interval 300}]
    set load [start_load $node -depth 16 -rate 3000]
    wait_load_progress $load
    set before [raft_field $node flushes]
    set until [expr {[clock milliseconds] + 3000}]
    set lag [largest_while $node flush_lag_ms {expr {[clock milliseconds] > $until}}]
    set flushes [expr {[raft_field $node flushes] - $before}]
    note "$flushes flushes in 3 s, at most $lag ms behind"
    assert {$flushes >= 3} "$flushes flushes"
    assert {$lag < [scaled 3000]} "$lag ms behind"
    assert_load_kept $load [stop_load $load] $node
}

test "flush-bytes: so much that has changed is flushed without waiting" {
    set node [start_node -options {-flush-interval 3600000 -flush-bytes 1mb}]
    wait_for_condition "it takes writes" 5000 {[node_ask $node SET a b] eq "OK"}
    set connection [connect $node]
    set before [raft_field $node flushes]
    # Never idle for as long as a second, for as long as two flushes take; and far from flush-lag-bytes.
    for {set i 0} {$i < 60 && [raft_field $node flushes] < $before + 2} {incr i} {
        set_many $connection [expr {$i * 40}] 40 [string repeat v 10000]
    }
    assert {[raft_field $node flushes] >= $before + 2}
}

test "past flush-lag-bytes writers wait, nobody is refused, and the lag stays near its bound" -timeout 60 {
    set bound [expr {1 << 20}]
    set node [start_node -options [list -flush-interval 3600000 -flush-lag-bytes $bound]]
    wait_for_condition "it takes writes" 5000 {[node_ask $node SET a b] eq "OK"}
    set writer [connect $node]
    set value [string repeat v 20000]
    set lag 0
    for {set round 0} {$round < 20} {incr round} {
        set_many $writer [expr {$round * 20}] 20 $value
        assert_equal [node_ask $node GET key:0] $value "readers go on"
        set lag [expr {max($lag, [raft_field $node flush_lag_bytes])}]
    }
    note "at most $lag bytes behind, of $bound"
    # What one round sends may be on its way when the bound is passed; and keys count twice while they are in a flush.
    assert {$lag < 3 * $bound} "$lag bytes behind"
    wait_for_condition "it is not behind any more" 5000 {[raft_field $node flush_behind] == 0}
}

test "kill -9 again and again while flushes go on: keys and digest are those of the log" -timeout 60 {
    set node [start_node -options {-flush-interval 100}]
    wait_for_condition "it takes writes" 5000 {[node_ask $node SET a b] eq "OK"}
    for {set round 0} {$round < [expr {$harness::long ? 30 : 6}]} {incr round} {
        set connection [connect $node]
        # Large ones too, which are in chunks there; and they are replaced and erased in each round.
        set_many $connection 0 300 [string repeat $round 300]
        foreach key {big:1 big:2} { assert_equal [ask $connection SET $key [string repeat $round [expr {70000 + 1000 * $round}]]] OK }
        assert_equal [ask $connection DEL big:1 key:$round] 2
        pause [expr {7 * $round}]
        set digest [call_node $node DEBUG DIGEST]
        kill9 $node
        restart $node
        wait_for_condition "it serves" 5000 {[node_ask $node GET big:2] eq [string repeat $round [expr {70000 + 1000 * $round}]]}
        assert_equal [call_node $node DEBUG DIGEST] $digest
    }
    assert_equal [lindex [stop $node] 0] "exit 0"
    lassign [process::run [list $node::binary --check $node::dir($node)] 20000] status out err
    assert_equal $status "exit 0" "$out $err"
}
