# A majority is lost for ever: one survivor goes on as a new cluster, and fresh nodes join it.

proc recover {name args} {
    set code [catch {exec $node::binary --recover $node::dir($name) {*}$args 2>@1} output]
    return [list $code $output]
}

test "two of three nodes are lost; the survivor is recovered, serves, and takes in fresh ones" -timeout 90 {
    set nodes [start_cluster 3]
    lassign $nodes survivor second third
    set load [start_load $nodes]
    wait_load_progress $load
    set result [stop_load $load]
    wait_caught_up $nodes
    kill9 $second $third
    file delete -force $node::dir($third)
    # It still lives, in its old cluster: see below.
    set cluster [raft_field $survivor cluster_id]
    lassign [recover $survivor --new-cluster] code output
    assert {$code && [string match "*is in use by process*" $output]} $output
    stop $survivor
    lassign [recover $survivor] code output
    assert {$code && [string match "nothing was changed. leto --recover * --new-cluster would make node $survivor the only member*" $output]} $output
    lassign [recover $survivor --new-cluster] code output
    assert {$code == 0} $output
    assert {[string match "*WARNING: writes that were acknowledged but had not reached this node are lost*" $output]} $output
    assert {[string match "*is the only member of a new cluster now*" $output]} $output
    restart $survivor
    wait_members [list $survivor]
    assert {[raft_field $survivor cluster_id] ne $cluster}
    assert_load_kept $load $result [list $survivor]
    assert_equal [node_ask $survivor SET new write] OK
    # A member of the old cluster that comes back with -join to the new one ends; without it disturbs nobody, and is let in nowhere.
    set term [raft_field $survivor term]
    set join [lsearch -exact $node::command($second) -join]
    assert_equal [lindex $node::command($second) $join+1] 127.0.0.1:$node::port($survivor)
    set node::expected_end($second) 1
    launch $second
    wait_for_condition "it ends" 10000 {![runs $second]}
    assert_equal $process::status($node::pid($second)) "exit 1"
    assert_match [errors_of $second] "*belongs to cluster $cluster, but -join 127.0.0.1:* answers as cluster [raft_field $survivor cluster_id];*"
    set node::command($second) [lreplace $node::command($second) $join $join+1]
    restart $second -nowait
    wait_serving $second
    set fresh [list [start_node -join $survivor] [start_node -join $survivor]]
    set nodes [concat $survivor $fresh]
    wait_members $nodes
    assert_equal [raft_field $survivor term] $term
    assert_match [node_ask $second SET a b] "-CLUSTERDOWN*"
    stop $second
    foreach name $nodes { assert_equal [node_ask $name GET new] write }
    assert_load_kept $load $result $nodes
    assert_same_digest $nodes
}
