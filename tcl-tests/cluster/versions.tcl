# Two versions side by side: bin/leto, and bin/leto-level2, which is the same with a raised semantics level. At level 2 the
# argument `@level@` of a write is stored as `2`, so what was applied by which rules can be read. Nodes are upgraded
# one by one under load.

set level2 [file join [file dirname $node::binary] leto-level2]

proc need_both {} {
    if {![file executable $::level2]} { skip "$::level2 is not there; make build-tests builds it" }
}

proc set_binary {name binary} { lset node::command($name) 0 $binary }

# SIGTERM, and then the other program on the same directory.
proc exchange_program {name binary} {
    assert_equal [lindex [stop $name] 0] "exit 0"
    set_binary $name $binary
    restart $name
}

# What is written at one place of the log after the other, until one is acknowledged.
proc probe {nodes number} {
    wait_for_condition "probe $number is written" 5000 {[node_ask [leader_of $nodes] SET probe:$number @level@] eq "OK"}
}

proc levels_of {nodes} { return [lmap name $nodes { raft_field $name semantics_level }] }

proc files_of {directory} {
    set sums {}
    foreach path [lsort [glob -directory $directory *]] {
        if {[file tail $path] eq "LOCK"} continue
        lappend sums [lindex [exec sha256sum $path] 0] [file tail $path] [file mtime $path]
    }
    return $sums
}

# A plain program ends at once at a directory of the raised level: exit status 1 and one sentence.
proc assert_plain_refused {name} {
    set words [lreplace $node::command($name) 0 0 $node::binary]
    lassign [process::run $words 10000 $harness::directory] status out err
    assert_equal $status "exit 1" [string trim $err]
    assert_match $err "* semantics level 2, this leto supports up to 1; *"
}

proc start_level2_cluster {} {
    set nodes [start_cluster 3]
    foreach name [concat [followers_of $nodes] [leader_of $nodes]] { exchange_program $name $::level2 }
    wait_members $nodes
    wait_for_condition "the level is raised" 10000 {[levels_of $nodes] eq {2 2 2}}
    return $nodes
}

test "an upgrade node by node under load: the level rises with the last one, at one place of the log" -timeout 120 {
    need_both
    set nodes [start_cluster 3 {--follower-writes forward}]
    set probes 0
    foreach name [concat [followers_of $nodes] [leader_of $nodes]] {
        set led [expr {[leader_of $nodes] eq $name}]
        assert_equal [levels_of $nodes] {1 1 1}
        # Those that stay; what they have forwarded to a leader that ends is answered by it or taken by the next one.
        set load [start_load [others $nodes $name] -depth 8]
        wait_load_progress $load 1000
        probe $nodes [incr probes]
        exchange_program $name $::level2
        probe $nodes [incr probes]
        wait_load_progress $load 1000
        wait_members $nodes
        probe $nodes [incr probes]
        set result [stop_load $load]
        note "$name, [expr {$led ? {leader} : {follower}}]: [describe_load $result]; pauses [dict get $result outages]"
        assert_nothing_refused_or_unknown $result
        assert_load_kept $load $result $nodes
        # Not all at one moment: the entry that raises the level comes by itself.
        wait_for_condition "all have the same digest at the same index" 10000 {
            [llength [lsort -unique [lmap each $nodes {digest_of $each}]]] == 1
        }
    }
    wait_for_condition "the level is raised" 10000 {[levels_of $nodes] eq {2 2 2}}
    probe $nodes [incr probes]
    assert_same_digest $nodes
    foreach name $nodes {
        node_ask $name READONLY
        set values {}
        for {set i 1} {$i <= $probes} {incr i} { lappend values [node_ask $name GET probe:$i] }
        lappend seen $values
        lappend raised_at [regexp -inline -all {semantics level 2 from entry \d+ on} [log_of $name]]
    }
    assert_equal [llength [lsort -unique $seen]] 1 "all nodes hold the same: $seen"
    # Seven were written before the last program was exchanged.
    assert {[regexp {^(@level@ ){7,}(2 ?)+$} [lindex $seen 0]]} "level 1 up to some place, then level 2: [lindex $seen 0]"
    assert_equal [llength [lsort -unique [concat {*}$raised_at]]] 1 "raised at one entry: $raised_at"
}

test "before the last node is upgraded an upgraded one can go back" -timeout 60 {
    need_both
    set nodes [start_cluster 3]
    lassign [followers_of $nodes] one two
    exchange_program $one $::level2
    exchange_program $two $::level2
    wait_members $nodes
    probe $nodes 1
    exchange_program $one $node::binary
    exchange_program $two $node::binary
    wait_members $nodes
    assert_equal [node_ask [leader_of $nodes] GET probe:1] @level@
    assert_equal [levels_of $nodes] {1 1 1}
    assert_same_digest $nodes
}

test "behind the raise a plain program is refused at the directory, which stays as it was" -timeout 60 {
    need_both
    set nodes [start_level2_cluster]
    set name [lindex $nodes 1]
    stop $name
    set before [files_of $node::dir($name)]
    assert_plain_refused $name
    assert_equal [files_of $node::dir($name)] $before "the files of the refused directory"
    restart $name
    # Killed, what it knows is in the keys file's WAL at most.
    kill9 $name
    assert_plain_refused $name
    restart $name
    wait_members $nodes
    assert_equal [node_ask [leader_of $nodes] SET probe @level@] OK
    assert_equal [node_ask [leader_of $nodes] GET probe] 2
    assert_same_digest $nodes
}

test "a plain program that finds the raise only in its log ends at that entry, with a sentence" -timeout 60 {
    need_both
    set name [start_node -nowait]
    wait_serving $name
    exchange_program $name $::level2
    wait_for_condition "the level is raised" 10000 {[raft_field $name semantics_level] == 2}
    stop $name
    # As it is with a kill between the log's commit and the flush: the keys file says nothing of it.
    file delete {*}[glob $node::dir($name)/keys-*]
    set words [lreplace $node::command($name) 0 0 $node::binary]
    lassign [process::run $words 8000 $harness::directory] status out err
    assert_equal $status "exit 1" [string trim $err]
    assert_match $err "*entry * of the log cannot be applied: the entry needs semantics 2, this version knows up to 1; upgrade this node*"
    restart $name
    wait_for_condition "the raised one goes on" 10000 {[raft_field $name semantics_level] == 2}
}

test "behind the raise a plain node cannot JOIN and says who is to be upgraded" -timeout 60 {
    need_both
    set nodes [start_level2_cluster]
    set leader [leader_of $nodes]
    set plain [start_node -id plain]
    wait_for_condition "it leads itself" 5000 {[raft_field $plain role] eq "leader" && [same_applied $plain]}
    assert_match [node_ask $leader JOIN 127.0.0.1:$node::raft_port($plain) plain] \
        "-ERR cannot take in *: plain (uid *) supports semantics up to level 1, the cluster is at level 2; upgrade plain"
    set joiner [start_node -id joiner -join $leader]
    wait_log $joiner "cannot join .*joiner .* supports semantics up to level 1, the cluster is at level 2; upgrade joiner"
    exchange_program $joiner $::level2
    wait_members [concat $nodes $joiner]
    assert_same_digest [concat $nodes $joiner]
}

test "a node of the raised build founds a cluster at its level, and a plain cluster takes it in at its own" -timeout 60 {
    need_both
    set raised [start_node -nowait]
    wait_serving $raised
    stop $raised
    set_binary $raised $::level2
    restart $raised
    wait_for_condition "alone it is at its level" 5000 {[raft_field $raised semantics_level] == 2}
    set plain [start_node -id plain]
    wait_for_condition "it takes writes" 5000 {[node_ask $plain SET a b] eq "OK"}
    assert_equal [node_ask $plain JOIN 127.0.0.1:$node::raft_port($raised) $node::id($raised)] OK
    wait_members [list $plain $raised]
    assert_equal [levels_of [list $plain $raised]] {1 1}
    assert_same_digest [list $plain $raised]
}
