# Nodes come by -join and by JOIN, and go by LEAVE.

# A node that has founded a cluster of its own, and is alone in it.
proc start_founder {id} {
    set name [start_node -id $id]
    wait_for_condition "$name leads itself" 5000 {[raft_field $name role] eq "leader" && [same_applied $name]}
    return $name
}

test "JOIN takes in a fresh node that was started without -join" {
    set nodes [start_cluster 2]
    set leader [leader_of $nodes]
    call_node $leader SET a b
    set fresh [start_founder fresh]
    assert_equal [node_ask $leader JOIN 127.0.0.1:$node::raft_port($fresh) fresh] OK
    lappend nodes $fresh
    wait_members $nodes
    assert_equal [node_ask $fresh GET a] b
    assert_equal [node_ask $fresh SET a c] "-not leader"
    assert_same_digest $nodes
    kill9 $leader
    leader_of $nodes
    restart $leader
    wait_members $nodes
}

test "JOIN refuses who is not there, who has another id, and who is in a cluster already" -timeout 60 {
    set nodes [start_cluster 2]
    set leader [leader_of $nodes]
    set fresh [start_founder fresh]
    assert_match [node_ask $leader JOIN 127.0.0.1:[free_port] nobody] "-ERR *"
    assert_match [node_ask $leader JOIN 127.0.0.1:$node::raft_port($fresh) other] "-ERR *fresh*"
    assert_match [node_ask $leader JOIN nonsense fresh] "-ERR *"
    set others [start_cluster 2]
    set member [lindex [followers_of $others] 0]
    assert_match [node_ask $leader JOIN 127.0.0.1:$node::raft_port($member) $node::id($member)] "-ERR *"
    wait_for_condition "writes go on" 3000 {[node_ask $leader SET a b] eq "OK"}
    wait_members $others
}

test "a second node with the id of a live one is refused" {
    set nodes [start_cluster 2]
    set leader [leader_of $nodes]
    set copy [start_founder $node::id([lindex $nodes 1])]
    assert_match [node_ask $leader JOIN 127.0.0.1:$node::raft_port($copy) $node::id($copy)] "-ERR node $node::id($copy) is alive at *; choose another -id or LEAVE $node::id($copy) first"
    wait_members $nodes
    # It stays what it is: a cluster of its own, that takes writes.
    wait_for_condition "the refused node serves on" 3000 {[node_ask $copy SET a b] eq "OK"}
}

test "LEAVE of a live follower: it is told and serves no more, the others go on" -timeout 60 {
    set nodes [start_cluster 3]
    set leader [leader_of $nodes]
    set leaver [lindex [others $nodes $leader] 0]
    set rest [others $nodes $leaver]
    assert_equal [node_ask $leader SET a b] OK
    assert_equal [node_ask $leader LEAVE $node::id($leaver)] OK
    assert_equal [node_ask $leader SET a c] OK
    wait_for_condition "it knows that it was removed" 5000 {[regexp {^-CLUSTERDOWN .*removed} [node_ask $leaver GET a]]}
    assert_match [node_ask $leaver SET a d] "-CLUSTERDOWN *removed*"
    wait_members $rest
    set term [raft_field $leader term]
    set node::expected_end($leaver) 1
    kill9 $leaver
    restart $leaver -nowait
    wait_for_condition "it stays removed after a restart" 10000 {![runs $leaver] || [regexp {removed} [node_ask $leaver GET a]]}
    assert_equal [raft_field $leader term] $term "the removed node disturbs nobody"
    set node::expected_end($leaver) 1
    assert_equal [node_ask $leader GET a] c
    assert_same_digest $rest
}

test "a cluster grows to three under load by -join, and shrinks to one by LEAVE" -timeout 60 {
    set first [start_node]
    wait_for_condition "it takes writes" 5000 {[node_ask $first SET a b] eq "OK"}
    set load [start_load $first]
    wait_load_progress $load
    set nodes [list $first]
    foreach i {2 3} {
        lappend nodes [start_node -join $first]
        wait_load_progress $load
        wait_for_condition "the node follows" 10000 {[raft_field [lindex $nodes end] role] eq "follower"}
    }
    set result [stop_load $load]
    wait_members $nodes
    note [describe_load $result]
    assert_nothing_unknown $result
    assert_load_kept $load $result $nodes
    set leader [leader_of $nodes]
    foreach node [others $nodes $leader] {
        assert_equal [node_ask $leader LEAVE $node::id($node)] OK
        assert_equal [node_ask $leader SET a $node] OK
    }
    assert_equal [node_ask $leader GET a] $node
}

test "a node that joins by a follower's address finds the leader" {
    set nodes [start_cluster 2]
    set follower [lindex [followers_of $nodes] 0]
    lappend nodes [start_node -join $follower]
    wait_members $nodes
    assert_same_digest $nodes
}

test "a node that is started before the one it joins waits for it, and says so meanwhile" {
    set port [free_port]
    set early [start_node -join 127.0.0.1:$port]
    assert_match [node_ask $early SET a b] "-CLUSTERDOWN *joining 127.0.0.1:$port*"
    assert_match [node_ask $early GET a] "-CLUSTERDOWN *joining 127.0.0.1:$port*"
    set first [start_node -port $port]
    wait_members [list $first $early]
    assert_equal [node_ask $first SET a b] OK
    assert_equal [node_ask $early GET a] b
}

test "nodes come back with their data and their cluster, whatever -join says" {
    set nodes [start_cluster 3]
    call_node [leader_of $nodes] SET a b
    wait_caught_up $nodes
    foreach node $nodes { stop $node }
    foreach node $nodes { restart $node -nowait }
    foreach node $nodes { wait_serving $node }
    wait_members $nodes
    foreach node $nodes { assert_equal [node_ask $node GET a] b }
}

test "a cluster with a password is joined by nodes that know it" {
    set nodes [start_cluster 3 {-requirepass secret}]
    assert_equal [node_ask [leader_of $nodes] SET a b] OK
    foreach node $nodes { assert_equal [node_ask $node GET a] b }
    set stranger [start_node -join [lindex $nodes 0] -nowait]
    wait_log $stranger "(?i)(auth|password)" 10000
    set node::expected_end($stranger) 1
    assert_same_digest $nodes
}

test "a node with a password is taken in only by a cluster that knows it, and both say why not" {
    set others [start_node -options {-requirepass other}]
    set ours [start_node -options {-requirepass secret}]
    foreach node [list $others $ours] { wait_for_condition "$node leads" 5000 {[raft_field $node role] eq "leader"} }
    set why "has another password than .*; give it the requirepass of the cluster that it is to enter as join-password"
    set answer [node_ask $others JOIN 127.0.0.1:$node::raft_port($ours) $node::id($ours)]
    assert_match $answer "-ERR cannot take in 127.0.0.1:$node::raft_port($ours): $node::id($ours) (uid *) has another password than *"
    wait_log $others "was not taken in: .* $why"
    wait_log $ours "was refused: .* $why"
    assert_equal [node_ask $ours SET a b] OK
    # A node's own password need not be that of the cluster, if it says that one for joining.
    set friend [start_node -options {-requirepass own -join-password other}]
    wait_for_condition "it leads" 5000 {[raft_field $friend role] eq "leader"}
    assert_equal [node_ask $others JOIN 127.0.0.1:$node::raft_port($friend) $node::id($friend)] OK
    wait_members [list $others $friend]
}

test "a node that waits with -join is not taken in by a cluster that it did not ask" {
    set port [free_port]
    set early [start_node -join 127.0.0.1:$port]
    set other [start_node]
    wait_for_condition "it leads" 5000 {[raft_field $other role] eq "leader"}
    assert_match [node_ask $other JOIN 127.0.0.1:$node::raft_port($early) $node::id($early)] \
        "-ERR cannot take in *: $node::id($early) waits to be taken in at 127.0.0.1:$port, and has not asked this cluster; *"
    set first [start_node -port $port]
    wait_members [list $first $early]
}

# What `name` adds to `text`, which it said before.
proc added {text before} { return [string range $text [string length $before] end] }

proc ends_with_1 {name} {
    set node::expected_end($name) 1
    wait_for_condition "$name ends" 20000 {![runs $name]}
    assert_equal $process::status($node::pid($name)) "exit 1"
}

test "a founder that came up empty says so and ends, however often it is started, until it is started with -join" -timeout 60 {
    set nodes [start_cluster 3]
    set founder [lindex $nodes 0]
    call_node [leader_of $nodes] SET a b
    kill9 $founder
    leader_of [lrange $nodes 1 end]
    file delete -force $node::dir($founder)
    set sentence "member $node::id($founder) of cluster * came up empty; start it with -join *\n"
    launch $founder
    ends_with_1 $founder
    assert_match [errors_of $founder] $sentence
    # By a supervisor, or by one who did not read it: at once, with no port open, and whether the others are there or not.
    kill9 {*}[lrange $nodes 1 end]
    for {set i 0} {$i < 2} {incr i} {
        set errors [errors_of $founder]
        set log [log_of $founder]
        launch $founder
        ends_with_1 $founder
        assert_match [added [errors_of $founder] $errors] $sentence
        assert {![string match "*Ready to accept*" [added [log_of $founder] $log]]}
    }
    assert_match [exec $node::binary --check $node::dir($founder)] \
        "why it ended, and is not started without -join: member $node::id($founder) of *it founded its cluster, and nobody else was ever a member*"
    foreach name [lrange $nodes 1 end] { restart $name }
    lappend node::command($founder) -join 127.0.0.1:$node::port([lindex $nodes 1])
    restart $founder
    wait_members $nodes
    assert_equal [node_ask $founder GET a] b
    assert_same_digest $nodes
    # A member like any other: the mark is gone.
    wait_for_condition "the mark is gone" 5000 {![file exists $node::dir($founder)/misplaced]}
    set node::command($founder) [lrange $node::command($founder) 0 end-2]
    stop $founder
    restart $founder
    wait_members $nodes
}

test "a founder that was written to before the others reach it ends, and keeps what it acknowledged" -timeout 60 {
    set nodes [start_cluster 3]
    lassign $nodes founder second third
    kill9 {*}$nodes
    file delete -force $node::dir($founder)
    # Twice, so that it is not the process that founded that is found out.
    for {set i 0} {$i < 2} {incr i} {
        restart $founder
        wait_for_condition "it takes a write" 10000 {[node_ask $founder SET own $i] eq "OK"}
        kill9 $founder
    }
    restart $founder
    restart $second
    restart $third
    ends_with_1 $founder
    assert_match [errors_of $founder] "member $node::id($founder) of cluster * came up empty; start it with -join *"
    set command $node::command($founder)
    lappend node::command($founder) -join 127.0.0.1:$node::port($second)
    launch $founder
    ends_with_1 $founder
    assert_match [errors_of $founder] "*; but * holds writes that it acknowledged in a cluster of its own. *--new-cluster*"
    # For good, as it says; the other cluster still dials it.
    exec $node::binary --recover $node::dir($founder) --new-cluster 2>@1
    set node::command($founder) [concat $command -loglevel verbose]
    set log [log_of $founder]
    restart $founder
    wait_for_condition "it leads itself" 10000 {[node_ask $founder GET own] eq "1"}
    wait_log $founder "was refused: .* is in cluster .* in cluster " 20000 [string length $log]
    assert_equal [node_ask $founder SET own 2] OK
    assert_equal [raft_field $founder members] 1
}

# Milliseconds from the first client that could come to the first leader, of the lines of a log.
proc ready_to_leader {text} {
    foreach {name expression} {ready {Ready to accept connections} leads {is leader in term}} {
        assert {[regexp -line "(\\d\\d):(\\d\\d):(\\d\\d)\\.(\\d\\d\\d) \\S .*$expression" $text -> hours minutes seconds thousandths]} "$expression in $text"
        set $name [scan "$hours $minutes $seconds $thousandths" "%d %d %d %d"]
        set $name [expr {(([lindex [set $name] 0] * 60 + [lindex [set $name] 1]) * 60 + [lindex [set $name] 2]) * 1000 + [lindex [set $name] 3]}]
    }
    return [expr {($leads - $ready + 86400000) % 86400000}]
}

test "a founder waits one election timeout at each start until its first write, and not any more then" -timeout 60 {
    set name [start_node -options {-election-timeout 2000 -heartbeat-interval 100}]
    kill9 $name
    for {set i 0} {$i < 2} {incr i} {
        set log [log_of $name]
        restart $name
        wait_log $name "is leader in term" 10000 [string length $log]
        assert {[ready_to_leader [added [log_of $name] $log]] >= 1500} "it waits"
        kill9 $name
    }
    set log [log_of $name]
    restart $name
    wait_for_condition "it takes a write" 10000 {[node_ask $name SET a b] eq "OK"}
    kill9 $name
    set log [log_of $name]
    restart $name
    wait_log $name "is leader in term" 10000 [string length $log]
    assert {[ready_to_leader [added [log_of $name] $log]] < 1000} "it does not wait"
    assert_equal [node_ask $name GET a] b
}

test "a copy of a live node's command line gives up and ends, and does not wait for its place" -timeout 60 {
    set options {-election-timeout 200 -heartbeat-interval 25}
    set nodes [start_cluster 3 $options]
    set original [lindex [followers_of $nodes] 0]
    set copy [start_node -id $node::id($original) -join [leader_of $nodes] -options $options -nowait]
    ends_with_1 $copy
    assert_match [errors_of $copy] "cannot join 127.0.0.1:*: ERR node $node::id($original) is alive at *; choose another -id or LEAVE $node::id($original) first\n"
    wait_members $nodes
    kill9 $original
    restart $original
    wait_members $nodes
    assert_same_digest $nodes
}
