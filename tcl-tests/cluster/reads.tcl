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

# What a GET may say while the value `new` is the one that was acknowledged last.
proc assert_new_or_refused {answer new what} {
    if {$answer eq $new || [regexp {^-(CLUSTERDOWN|MOVED|not leader)} $answer]} return
    error "$what: expected $new or a refusal, got [printable $answer]"
}

# Stops the leader for as long as another one is elected and acknowledges a write, and lets it go on with GETs that were
# sent to it meanwhile. Returns how many of their answers were the value.
proc stand_still {nodes round} {
    set stopped [leader_of $nodes]
    assert_equal [call_node $stopped SET key old$round] OK
    set readers [lmap i {1 2 3 4 5 6} { connect $stopped }]
    foreach reader $readers { assert_equal [ask $reader GET key] old$round }
    process::signal STOP $node::pid($stopped)
    # What waits longest is looked at first: these connections, before any message of the next leader.
    foreach reader $readers { resp::send $reader PING }
    set leader [leader_of [others $nodes $stopped]]
    wait_for_condition "the next leader takes a write" 10000 {[node_ask $leader SET key new$round] eq "OK"}
    set count 0
    foreach reader $readers gets {1 1 1 50 50 300} {
        resp::write $reader [string repeat [resp::encode {GET key}] $gets]
        incr count $gets
    }
    process::signal CONT $node::pid($stopped)
    set answers {}
    foreach reader $readers gets {1 1 1 50 50 300} {
        assert_equal [lindex [resp::reply $reader] 1] PONG
        while {[incr gets -1] >= 0} { lappend answers [resp::text [resp::reply $reader]] }
    }
    set served [llength [lsearch -all -exact $answers new$round]]
    wait_for_condition "it answers with a value" 10000 {[string index [lindex [lappend answers [ask $reader GET key]] end] 0] ne "-"}
    foreach answer $answers { assert_new_or_refused $answer new$round "round $round" }
    foreach reader $readers { resp::close $reader }
    return "$served of $count"
}

test "a leader that stood still past its lease answers nothing that is older than what the next one acknowledged" -timeout 120 {
    set nodes [start_cluster 3 {-read-consistency lease}]
    set rounds [expr {$harness::long ? 60 : 8}]
    for {set round 1} {$round <= $rounds} {incr round} {
        lappend served [stand_still $nodes $round]
        wait_members $nodes
    }
    note "GETs sent to a leader that stood still and answered with the new value: [join [lsort -unique $served] {, }]"
    assert_same_digest $nodes
}

# Writes at the leader and reads at a follower whose log's fsyncs take long, so that it has not applied what it is asked for, until
# the answer is the value before the write, or `tries` times. Returns the answers' ages: `new` or `old`.
proc ages_at_slow_follower {leader follower tries} {
    set ages {}
    while {[llength $ages] < $tries && "old" ni $ages} {
        wait_caught_up [list $leader $follower]
        set before [call_node $leader GET key]
        assert_equal [call_node $leader SET key [incr ::written]] OK
        set answer [call_node $follower GET key]
        assert {$answer in [list $before $::written]} "GET gave $answer between $before and $::written"
        lappend ages [expr {$answer eq $::written ? "new" : "old"}]
    }
    return $ages
}
set written 0

test "a follower sees under lease what was acknowledged, under local what it has; CONFIG SET changes it at once and back" -timeout 60 {
    set nodes [start_cluster 3 {-read-consistency lease}]
    set leader [leader_of $nodes]
    set follower [lindex [others $nodes $leader] 0]
    call_node $leader SET key $::written
    call_node $follower DEBUG SYNC-DELAY 1000
    assert_equal [ages_at_slow_follower $leader $follower 2] {new new}
    call_node $follower CONFIG SET read-consistency local
    assert_equal [lindex [ages_at_slow_follower $leader $follower 5] end] old "local reads do not ask the leader"
    call_node $follower CONFIG SET read-consistency lease
    assert_equal [ages_at_slow_follower $leader $follower 2] {new new}
    call_node $follower CONFIG SET read-consistency linearizable
    assert_equal [ages_at_slow_follower $leader $follower 1] new
    call_node $follower DEBUG SYNC-DELAY 0
    wait_members $nodes
}

test "a node without a majority answers reads under local alone, also within one pipeline that changes it" -timeout 60 {
    set nodes [start_cluster 3 {-read-consistency local}]
    foreach last [lrange $nodes 0 1] {
        wait_members $nodes
        assert_equal [call_node [leader_of $nodes] SET key $last] OK
        wait_caught_up $nodes
        kill9 {*}[others $nodes $last]
        set connection [connect $last]
        wait_for_condition "it has no leader" 8000 {[string match "-CLUSTERDOWN*" [ask $connection SET other no]]}
        assert_equal [ask_all $connection {{GET key} {CONFIG GET read-consistency}}] [list $last {read-consistency local}]
        set answers [ask_all $connection {{CONFIG SET read-consistency lease} {GET key} {CONFIG SET read-consistency local} {GET key}
            {CONFIG SET read-consistency linearizable} {GET key} {CONFIG SET read-consistency local} {GET key}}]
        foreach answer $answers expected [list OK "-CLUSTERDOWN *" OK $last OK "-CLUSTERDOWN *" OK $last] { assert_match $answer $expected }
        foreach node [others $nodes $last] { restart $node -nowait }
        foreach node $nodes { wait_serving $node }
    }
    wait_members $nodes
    assert_same_digest $nodes
}
