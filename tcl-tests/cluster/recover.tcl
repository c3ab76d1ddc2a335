# A majority is lost for ever, or all that is left is a backup: one node goes on as a new cluster, and fresh nodes join it.

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

# The commands of docs/operations.md, as they are written there.
set backup_lines {
    {redis-cli -p 5379 SNAPSHOT}
    {sqlite3 -readonly "$(ls -v DIR/keys-*.db | tail -1)" "VACUUM INTO '/backup/keys-1.db'"}
    {leto --recover /backup --new-cluster}
}

# What such a line prints, with the places and the port of this test in it.
proc run_line {line member backup} {
    set names [list 5379 $node::port($member) DIR $node::dir($member) /backup $backup "leto " "$node::binary "]
    lassign [process::run [list sh -c [string map $names $line]] 20000] status out err
    assert_equal $status "exit 0" "$line: $out$err"
    return $out
}

test "a backup that is made under writes by the documented commands becomes a cluster with all that was acknowledged before" -timeout 60 {
    foreach tool {sqlite3 redis-cli} { if {[auto_execok $tool] eq ""} { skip "no $tool" } }
    set nodes [start_cluster 3]
    set member [lindex [followers_of $nodes] 0]
    set connection [connect [leader_of $nodes]]
    set large [string repeat 0123456789abcdef 10000]
    for {set i 0} {$i < 500} {incr i} {
        lappend numbers $i
        lappend sets [list SET kept:$i $i]
        lappend gets [list GET kept:$i]
    }
    assert_equal [lsort -unique [ask_all $connection [concat $sets [list [list SET large $large] {SELECT 3} {SET elsewhere 3}]]]] OK
    set load [start_load $nodes -rate 2000]
    wait_load_progress $load
    set backup [file join $harness::directory backup]
    file mkdir $backup
    set acknowledged [dict get [read_load $load] acknowledged]
    assert_equal [run_line [lindex $::backup_lines 0] $member $backup] OK\n
    assert_equal [run_line [lindex $::backup_lines 1] $member $backup] ""
    wait_load_progress $load
    assert_equal [glob -tails -directory $backup *] keys-1.db
    set told [run_line [lindex $::backup_lines 2] $member $backup]
    assert {[regexp {node (\S+) is the only member of a new cluster now} $told -> id]} $told
    # The old cluster lives on beside it.
    set restored [start_node -id $id -dir $backup]
    wait_for_condition "it takes writes" 10000 {[node_ask $restored SET new write] eq "OK"}
    set fresh [start_node -join $restored]
    wait_members [list $restored $fresh]
    foreach name [list $restored $fresh] {
        set connection [connect $name]
        assert_equal [ask_all $connection $gets] $numbers
        check_numbers $connection $load $acknowledged kept $name
        assert_equal [ask_all $connection {{GET large} {GET new} {SELECT 3} {GET elsewhere}}] [list $large write OK 3]
    }
    assert_same_digest [list $restored $fresh]
    note "[llength $acknowledged] SETs were acknowledged before the SNAPSHOT, node $id goes on with [node_ask $restored DBSIZE] keys"
    assert_all_kept $load $nodes
    assert_equal [node_ask [leader_of $nodes] GET new] (nil)
}
