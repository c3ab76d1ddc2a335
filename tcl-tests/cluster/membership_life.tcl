# A cluster over the years: leadership handed on, nodes replaced, moved, removed while they were away, listeners that
# never vote, and from one node to five and back.

# What a node is started with, by option.
proc set_option {name option value} {
    set at [lsearch -exact $node::command($name) $option]
    if {$at < 0} {
        lappend node::command($name) $option $value
    } else {
        lset node::command($name) $at+1 $value
    }
}

# Other ports for a node that is down.
proc give_new_ports {name} {
    set node::port($name) [free_port]
    set node::raft_port($name) [free_port]
    set_option $name -listen 127.0.0.1:$node::port($name)
    set_option $name -raftbind 127.0.0.1:$node::raft_port($name)
}

# Fields of the node `id` in the configuration that `name` knows, as a dict: role raft client node.
proc member_of {name id} {
    dict for {field value} [info_of $name raft] {
        if {![regexp {^member\d+$} $field]} continue
        set fields {}
        foreach pair [split $value ,] { lappend fields {*}[split $pair =] }
        if {[dict get $fields id] eq $id} { return $fields }
    }
    return {}
}

# Node and addresses of `name` are so in the eyes of all of `names`.
proc known_at {names name} {
    foreach each $names {
        set member [member_of $each $node::id($name)]
        if {$member eq ""} { return 0 }
        if {[dict get $member raft] ne "127.0.0.1:$node::raft_port($name)"} { return 0 }
        if {[dict get $member client] ne "127.0.0.1:$node::port($name)"} { return 0 }
    }
    return 1
}

test "TRANSFER goes from node to node under load, and no write ends as unknown" -timeout 60 {
    set nodes [start_cluster 3]
    set load [start_load $nodes]
    for {set i 0} {$i < 6} {incr i} {
        wait_load_progress $load
        set leader [leader_of $nodes]
        set next [lindex [others $nodes $leader] [expr {$i % 2}]]
        set arguments [expr {$i == 5 ? {} : $node::id($next)}]
        lassign [timed { assert_equal [node_ask $leader TRANSFER {*}$arguments] OK }] milliseconds
        note "handed over in $milliseconds ms"
        wait_for_condition "another one leads" 3000 {[leader_now $nodes] ni [list "" $leader]}
        if {$i < 5} { assert_equal [leader_of $nodes] $next }
    }
    set result [stop_load $load]
    note "[describe_load $result]; longest pause [dict get $result longest_us] us"
    assert_nothing_unknown $result
    assert_same_digest $nodes
    assert_load_kept $load $result $nodes
}

test "TRANSFER to who cannot lead says why, and the leader leads on" {
    set nodes [start_cluster 3]
    set leader [leader_of $nodes]
    lassign [others $nodes $leader] follower dead
    assert_match [node_ask $leader TRANSFER nobody] "-ERR no member is called 'nobody'"
    assert_match [node_ask $leader TRANSFER $node::id($leader)] "-ERR * is the leader already"
    kill9 $dead
    wait_for_condition "it is missed" 5000 {[string match "-ERR * was not heard for *" [node_ask $leader TRANSFER $node::id($dead)]]}
    assert_equal [node_ask $leader SET a b] OK
    assert_equal [leader_of [list $leader $follower]] $leader
}

test "LEAVE of the leader hands over, and then it is out, under load" -timeout 60 {
    set nodes [start_cluster 3]
    set load [start_load $nodes]
    wait_load_progress $load
    set leader [leader_of $nodes]
    assert_equal [node_ask $leader LEAVE $node::id($leader)] OK
    set rest [others $nodes $leader]
    wait_members $rest
    wait_load_progress $load
    set result [stop_load $load]
    note "[describe_load $result]; longest pause [dict get $result longest_us] us"
    assert_nothing_unknown $result
    assert_load_kept $load $result $rest
    assert_match [node_ask $leader GET a] "-CLUSTERDOWN *removed*"
}

# How long the pause may be is asserted in virtual time: tests/sim/handover_test.cc. Here it is the machine's, too.
test "LEAVE of the leader refuses no write at the others that forward, and loses none" -timeout 60 {
    set nodes [start_cluster 3 {--follower-writes forward}]
    set leader [leader_of $nodes]
    set rest [others $nodes $leader]
    set load [start_load $rest]
    wait_load_progress $load
    assert_equal [node_ask $leader LEAVE $node::id($leader)] OK
    wait_members $rest
    wait_load_progress $load
    set result [stop_load $load]
    note "[describe_load $result]; longest pause [dict get $result longest_us] us"
    assert_nothing_refused_or_unknown $result
    assert_load_kept $load $result $rest
}

test "kill -9 of one of three and LEAVE of another one at once: refused, and writes go on" -timeout 60 {
    set nodes [start_cluster 3]
    set leader [leader_of $nodes]
    lassign [others $nodes $leader] dead other
    kill9 $dead
    foreach leaver [list $other $leader] {
        assert_match [node_ask $leader LEAVE $node::id($leaver)] "-ERR refused: the members that are left and answer would be no majority"
        assert_equal [node_ask $leader SET a $leaver] OK
        assert_equal [leader_of [list $leader $other]] $leader
    }
    assert_equal [raft_field $leader members] 3
    # The dead one may go.
    assert_equal [node_ask $leader LEAVE $node::id($dead)] OK
    wait_members [list $leader $other]
    # Of two the dead one may not.
    kill9 $other
    assert_match [node_ask $leader LEAVE $node::id($other)] "-ERR refused: the members that are left and answer would be no majority"
}

test "LEAVE with FORCE beside a dead node begins at once, and is done when that is back" -timeout 60 {
    set nodes [start_cluster 3]
    set leader [leader_of $nodes]
    lassign [others $nodes $leader] dead leaver
    assert_equal [node_ask $leader SET a b] OK
    kill9 $dead
    assert_match [node_ask $leader LEAVE $node::id($leaver)] "-ERR refused: *"
    set connection [connect $leader]
    resp::send $connection LEAVE $node::id($leaver) FORCE
    wait_for_condition "writes wait" 5000 {[string match -CLUSTERDOWN* [node_ask $leader SET a c]]}
    restart $dead
    set rest [list $leader $dead]
    wait_members $rest
    assert_equal [node_ask [leader_of $rest] SET a d] OK
    assert_same_digest $rest
    note "the answer was [resp::text [resp::reply $connection]]"
}

test "nodes that join at once, and LEAVE of the leader among them: all is done, in whatever order" -timeout 90 {
    set nodes [start_cluster 3]
    set leader [leader_of $nodes]
    set rest [others $nodes $leader]
    set load [start_load $rest]
    wait_load_progress $load
    set leaving [connect $leader]
    set also [connect $leader]
    lappend joiners [start_node -join [lindex $rest 0] -nowait]
    resp::send $leaving LEAVE $node::id($leader)
    resp::send $also LEAVE $node::id([lindex $rest 1])
    lappend joiners [start_node -join [lindex $rest 0] -nowait] [start_node -join [lindex $rest 0] -nowait]
    assert_equal [resp::text [resp::reply $leaving 10000]] OK
    assert_equal [resp::text [resp::reply $also 10000]] OK
    set left [concat [lindex $rest 0] $joiners]
    wait_members $left 30000
    wait_load_progress $load
    set result [stop_load $load]
    note "[describe_load $result]; longest pause [dict get $result longest_us] us"
    assert_nothing_unknown $result
    assert_load_kept $load $result $left
}

test "LEAVE of the only node is refused" {
    set node [start_node]
    wait_for_condition "it leads" 5000 {[node_ask $node SET a b] eq "OK"}
    assert_match [node_ask $node LEAVE $node::id($node)] "-ERR refused: * is the only voter*"
    assert_equal [node_ask $node SET a c] OK
}

test "a node that lost its disk comes back with -join under its id, as another node in its place" -timeout 60 {
    set nodes [start_cluster 3]
    lassign $nodes first second third
    call_node [leader_of $nodes] SET a b
    set old [dict get [member_of $first $node::id($second)] node]
    kill9 $second
    file delete -force $node::dir($second)
    restart $second
    wait_members $nodes
    assert {[dict get [member_of $first $node::id($second)] node] ne $old} "it is a new node"
    assert_equal [node_ask $second GET a] b
    assert_equal [node_ask [leader_of $nodes] SET a c] OK
    # The new one counts: with the third one gone it is half of the majority.
    kill9 $third
    set rest [list $first $second]
    wait_for_condition "writes go on" 5000 {[node_ask [leader_of $rest] SET a d] eq "OK"}
    restart $third
    wait_members $nodes
    assert_same_digest $nodes
}

test "a learner has all data and serves reads, and never votes" -timeout 60 {
    set nodes [start_cluster 2]
    set learner [start_node -join [lindex $nodes 1] -options {-role learner}]
    wait_for_condition "it is a learner" 10000 {[raft_field $learner member_role] eq "observer"}
    set leader [leader_of $nodes]
    assert_equal [node_ask $leader SET a b] OK
    assert_equal [node_ask $learner GET a] b
    assert_equal [node_ask $learner SET a c] "-not leader"
    assert_equal [dict get [member_of $leader $node::id($learner)] role] observer
    assert_match [node_ask $leader TRANSFER $node::id($learner)] "-ERR * does not vote, so it cannot lead"
    assert_match [node_ask $learner ROLE] "*slave*127.0.0.1*$node::port($leader)*connected*"
    # It does not count: without the other voter there is no majority.
    kill9 [lindex [others $nodes $leader] 0]
    wait_for_condition "no majority" 5000 {[string match -CLUSTERDOWN* [node_ask $leader SET a c]]}
    restart [lindex [others $nodes $leader] 0]
    # Nor is it waited for.
    kill9 $learner
    wait_for_condition "writes go on" 5000 {[node_ask [leader_of $nodes] SET a d] eq "OK"}
    restart $learner
    wait_for_condition "it is a learner still" 10000 {[node_ask $learner GET a] eq "d"}
    assert_equal [raft_field $learner member_role] observer
    assert_equal [node_ask [leader_of $nodes] LEAVE $node::id($learner)] OK
}

test "members whose log is compacted behind all changes of members come back as what they are" -timeout 60 {
    set small {-log-segment 64kb -log-window 0 -flush-interval 200}
    set nodes [start_cluster 2 $small]
    set learner [start_node -join [lindex $nodes 0] -options [concat {-role learner} $small]]
    wait_for_condition "it is a learner" 10000 {[raft_field $learner member_role] eq "observer"}
    set leader [leader_of $nodes]
    set last [raft_field $leader last_index]
    set follower [lindex [others $nodes $leader] 0]
    foreach name [list $learner $follower] {
        wait_for_condition "the log of $name begins behind the changes" 10000 {
            [node_ask $leader SET compact [string repeat c 100000]] eq "OK" && [node_ask $name SNAPSHOT] eq "OK" &&
            [raft_field $name log_first_index] > $last
        }
        stop $name
        # A member keeps its role, whatever is said.
        set_option $name -role voter
        set from [string length [log_of $name]]
        restart $name
        wait_log $name {-join \S+ is ignored: \S+ is a member of its cluster already} 5000 $from
    }
    assert_equal [raft_field $learner member_role] observer
    wait_for_condition "all is applied" 5000 {[node_ask $learner GET compact] ne ""}
}

test "a learner founds no cluster" {
    set node [start_node -options {-role learner} -nowait]
    set node::expected_end($node) 1
    wait_for_condition "it ends" 5000 {![runs $node]}
    assert_equal $process::status($node::pid($node)) "exit 1"
    assert_match [errors_of $node] "*-role learner needs -join*"
    assert {![file exists $node::dir($node)]} "nothing was made"
}

test "nodes that are restarted at other addresses are found, in clusters of three, two and one" -timeout 90 {
    foreach size {3 2 1} {
        set nodes [start_cluster $size]
        call_node [leader_of $nodes] SET a $size
        foreach name $nodes {
            stop $name
            give_new_ports $name
            restart $name
            wait_members $nodes
            wait_for_condition "$name is known at its new addresses" 10000 {[known_at $nodes $name]}
            set leader [leader_of $nodes]
            wait_for_condition "writes go on" 5000 {[node_ask $leader SET a $name] eq "OK"}
        }
        assert_equal [node_ask [lindex $nodes 0] GET a] [lindex $nodes end]
        # What a client is told, too.
        set leader [leader_of $nodes]
        foreach name [others $nodes $leader] {
            assert_match [node_ask $name ROLE] "*$node::port($leader)*"
            call_node $name CONFIG SET follower-writes redirect
            assert_match [node_ask $name SET a b] "-MOVED * 127.0.0.1:$node::port($leader)"
        }
        assert_same_digest $nodes
    }
}

test "a node that was removed while it was down is told when it comes back, also by nodes that never knew it" -timeout 60 {
    set nodes [start_cluster 3]
    set gone [lindex $nodes 2]
    set rest [lrange $nodes 0 1]
    kill9 $gone
    wait_for_condition "it is removed" 5000 {[node_ask [leader_of $rest] LEAVE $node::id($gone)] eq "OK"}
    call_node [leader_of $rest] SNAPSHOT
    foreach name $rest { stop $name; restart $name }
    set leader [leader_of $rest]
    set term [raft_field $leader term]
    for {set i 0} {$i < 2} {incr i} {
        restart $gone
        wait_for_condition "it knows" 10000 {[regexp {^-CLUSTERDOWN .*removed} [node_ask $gone GET a]]}
        call_node $gone READONLY
        assert_match [node_ask $gone GET a] "-CLUSTERDOWN *removed*"
        kill9 $gone
        # The second time it has to be told again.
        if {$i == 0} { file delete $node::dir($gone)/removed }
    }
    assert_equal [raft_field $leader term] $term "it disturbed nobody"
    # Also while nobody is there to tell it: it noted that.
    foreach name $rest { stop $name }
    restart $gone
    assert_match [node_ask $gone GET a] "-CLUSTERDOWN *removed*"
    assert_equal [raft_field $gone member_role] none
    kill9 $gone
    foreach name $rest { restart $name }
    # With an empty directory it is a node like any other.
    file delete -force $node::dir($gone)
    set_option $gone -join 127.0.0.1:$node::port([lindex $rest 0])
    restart $gone
    wait_members $nodes
    assert_same_digest $nodes
}

test "a member that is started with -join to another cluster ends and names both" -timeout 60 {
    set ours [start_cluster 2]
    set theirs [start_cluster 2]
    set strayed [lindex $ours 1]
    stop $strayed
    set_option $strayed -join 127.0.0.1:$node::port([lindex $theirs 0])
    launch $strayed
    set node::expected_end($strayed) 1
    wait_for_condition "it ends" 10000 {![runs $strayed]}
    assert_equal $process::status($node::pid($strayed)) "exit 1"
    set own [raft_field [lindex $ours 0] cluster_id]
    set other [raft_field [lindex $theirs 0] cluster_id]
    assert {$own ne $other}
    assert_match [errors_of $strayed] "*belongs to cluster $own, but -join 127.0.0.1:* answers as cluster $other;*"
    # To its own, or to nobody, it just starts.
    foreach port [list $node::port([lindex $ours 0]) [free_port]] {
        set_option $strayed -join 127.0.0.1:$port
        restart $strayed
        wait_members $ours
        stop $strayed
    }
}

# The names of three nodes: the first came up empty and leads itself, its two members are dead.
proc cluster_of_empty_founder {} {
    set nodes [start_cluster 3]
    set founder [lindex $nodes 0]
    foreach name $nodes { kill9 $name }
    file delete -force $node::dir($founder)
    launch $founder
    wait_for_condition "it leads itself" 5000 {[node_serves $founder] && [raft_field $founder role] eq "leader"}
    return $nodes
}

test "a member is not stopped by one of its own cluster that came up empty where -join points" -timeout 60 {
    set nodes [cluster_of_empty_founder]
    lassign $nodes founder member other
    set node::expected_end($founder) 1
    restart $member
    wait_for_condition "the empty one ends" 10000 {![runs $founder]}
    assert_match [errors_of $founder] "*came up empty; start it with -join*"
    restart $other
    set rest [list $member $other]
    wait_for_condition "the others serve" 10000 {[node_ask [leader_of $rest] SET a b] eq "OK"}
    set_option $founder -join 127.0.0.1:$node::port($member)
    restart $founder
    wait_members $nodes
    assert_same_digest $nodes
}

# Of the member `id`, as the leader sees it, in milliseconds.
proc silence_of {leader id} {
    foreach {field value} [info_of $leader raft] {
        if {[regexp "^id=$id,.*last_contact_ms=(\\d+)" $value -> silence]} { return $silence }
    }
}

# It finds out by itself in its first second, and from a member that dials it, in either order.
test "a founder of nothing that is started to join is taken in, and stays" -timeout 90 {
    for {set round 0} {$round < ($::harness::long ? 8 : 2)} {incr round} {
        set nodes [cluster_of_empty_founder]
        lassign $nodes founder member other
        kill9 $founder
        restart $member
        restart $other
        set_option $founder -join 127.0.0.1:$node::port($member)
        set leader [leader_of [list $member $other]]
        wait_for_condition "its predecessor counts as dead, so that it is taken in at once" 10000 {[silence_of $leader $founder] >= 1500}
        launch $founder
        wait_members $nodes
        wait_for_condition "it has judged what it saw, and runs on" 10000 {[dict get [info_of $founder server] uptime_in_seconds] >= 2}
        assert_same_digest $nodes
        foreach name $nodes { stop $name }
    }
}

test "from one node to five and back to one under load" -timeout 300 {
    set first [start_node]
    wait_for_condition "it takes writes" 5000 {[node_ask $first SET a b] eq "OK"}
    for {set round 0} {$round < ($::harness::long ? 5 : 1)} {incr round} {
        set load [start_load $first]
        wait_load_progress $load
        set nodes [list $first]
        while {[llength $nodes] < 5} {
            lappend nodes [start_node -join [lindex $nodes end]]
            wait_members $nodes 20000
            wait_load_progress $load
        }
        set result [stop_load $load]
        assert_nothing_unknown $result
        assert_load_kept $load $result $nodes
        foreach name $nodes { assert {[known_at $nodes $name]} "$name is known to all" }
        set load [start_load $nodes]
        foreach name [lrange $nodes 0 end-1] {
            wait_load_progress $load
            if {[leader_of $nodes] eq $name} {
                assert_equal [node_ask $name TRANSFER] OK
                wait_for_condition "another one leads" 5000 {[leader_now $nodes] ni [list "" $name]}
            }
            assert_equal [node_ask [leader_of $nodes] LEAVE $node::id($name)] OK
            set nodes [others $nodes $name]
            wait_members $nodes
            stop $name
        }
        wait_load_progress $load
        set result [stop_load $load]
        note [describe_load $result]
        assert_nothing_unknown $result
        assert_load_kept $load $result $nodes
        set first [lindex $nodes 0]
    }
}
