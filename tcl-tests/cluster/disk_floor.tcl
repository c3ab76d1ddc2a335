# A disk that fills up under a running node: writes are refused while there is still room to make room with (disk-floor),
# everything else goes on, and so do writes once there is room, without a restart.

set value [string repeat x 40000]

# Runs `body` with a file system of its own at `mount`.
proc on_small_disk {size body} {
    upvar mount mount
    set mount $harness::directory/mount
    file mkdir $mount
    if {[catch {exec mount -t tmpfs -o size=$size tmpfs $mount}]} { skip "needs the right to mount a tmpfs" }
    try {
        uplevel $body
    } finally {
        process::end_all
        exec umount $mount
    }
}

proc free_bytes {mount} { return [expr {1024 * [lindex [exec df --output=avail -k $mount] end]}] }
proc disk_low {node} { return [dict get [info_of $node persistence] disk_low] }
proc takes_write {node} { return [expr {[node_ask $node SET probe 1] eq "OK"}] }

# Whether the write was taken; a refusal is one for want of room.
proc write_once {node key value} {
    set reply [node_ask $node SET $key $value]
    if {$reply eq "OK"} { return 1 }
    assert_match $reply "-MISCONF the disk has * MB left*disk-floor (8.0 MB)*"
    return 0
}

# The same, now or while the node makes room by itself.
proc set_takes {node key value patience_ms} {
    if {[write_once $node $key $value]} { return 1 }
    return [expr {![catch {wait_for_condition "room" $patience_ms {[write_once $node $key $value]}}]}]
}

test "a disk that clients fill: refused before it is full, all else served, and writes go on once there is room" -timeout 120 {
    on_small_disk 72m {
        set node [start_node -dir $mount/data]
        exec fallocate -l [expr {14 << 20}] $mount/filling
        # Until the disk holds nothing but keys any more.
        for {set keys 0} {[set_takes $node key:$keys $::value 4000]} {incr keys} { assert {$keys < 2000} "the disk is never low" }
        note "$keys keys of [string length $::value] bytes, [free_bytes $mount] bytes free"
        assert {$keys > 100}
        wait_log $node {the disk has \d+\.\d MB left, less than disk-floor \(8\.0 MB\): writes are refused}
        assert_equal [disk_low $node] 1
        assert {[dict get [info_of $node persistence] disk_room_bytes] < 16 << 20}
        for {set i 0} {$i < $keys} {incr i} {
            assert_equal [string length [node_ask $node GET key:$i]] 40000 "key:$i, which was acknowledged"
        }
        assert_equal [node_ask $node DBSIZE] $keys
        set connection [connect $node]
        assert_equal [ask $connection MULTI] OK
        assert_match [ask $connection SET in transaction] "-MISCONF the disk has *"
        assert_match [ask $connection EXEC] "-EXECABORT *"
        assert_match [ask $connection DEL key:0] "-MISCONF the disk has *"
        assert_equal [ask $connection CONFIG SET loglevel notice] OK
        file delete $mount/filling
        wait_for_condition "writes go on" 10000 {[takes_write $node]}
        wait_log $node {the disk has room again}
        assert_equal [disk_low $node] 0
        assert_equal [node_ask $node DBSIZE] [expr {$keys + 1}]
        stop $node
        restart $node
        wait_for_condition "it comes back with all of them" 10000 {[node_ask $node DBSIZE] == $keys + 1}
        stop $node
    }
}

test "a few keys that are written over and over never end on a small disk: old log makes room" -timeout 180 {
    on_small_disk 56m {
        set node [start_node -dir $mount/data]
        for {set i 0} {$i < 6000} {incr i} {
            assert {[set_takes $node key:[expr {$i % 10}] $i:$::value 20000]} "write $i is taken at last"
        }
        note "[free_bytes $mount] bytes free, low [regexp -all {writes are refused} [log_of $node]] times"
        for {set i 5990} {$i < 6000} {incr i} { assert_match [node_ask $node GET key:[expr {$i % 10}]] "$i:*" }
        kill9 $node
        restart $node
        wait_for_condition "it is back" 10000 {[string match 5999:* [node_ask $node GET key:9]]}
        stop $node
    }
}

test "only the leader's disk is low: another node leads, and writes go on" -timeout 60 {
    on_small_disk 64m {
        set crowded [start_node -dir $mount/data -options {-ballast-bytes 4mb}]
        set nodes [list $crowded [start_node -join $crowded] [start_node -join $crowded]]
        wait_members $nodes
        assert_equal [leader_of $nodes] $crowded
        call_node $crowded SET before 1
        exec fallocate -l [expr {[free_bytes $mount] - (4 << 20)}] $mount/filling
        wait_log $crowded {the disk has \d+\.\d MB left, less than disk-floor}
        wait_for_condition "another node leads" 10000 {[leader_now [others $nodes $crowded]] ne ""}
        set leader [leader_of [others $nodes $crowded]]
        assert_equal [node_ask $leader SET after 1] OK
        assert_equal [disk_low $leader] 0
        wait_caught_up $nodes
        assert_equal [disk_low $crowded] 1 "it follows on"
        assert_match [node_ask $leader TRANSFER $node::id($crowded)] "*did not take over*"
        assert_equal [node_ask $leader SET later 1] OK
        file delete $mount/filling
        wait_log $crowded {the disk has room again}
        assert_equal [node_ask $leader TRANSFER $node::id($crowded)] OK
        assert_equal [node_ask $crowded SET at-last 1] OK
        wait_caught_up $nodes
        assert_same_digest $nodes
        foreach node $nodes { stop $node }
    }
}
