# Followers that missed writes: those that the log reaches get the log, the others a snapshot of the leader's keys
# while writes go on. Whoever dies or stops midway, afterwards all nodes hold the same, and no file is left behind.

# A log that is short soon, so that a follower that is away for a moment needs a snapshot.
set short_log {-log-segment 64kb -log-window 0 -flush-interval 200}

# Sets `count` keys PREFIX:N to values of `size` bytes at the leader.
proc fill {node prefix count size} {
    set connection [connect $node]
    set value [string repeat x $size]
    for {set at 0} {$at < $count} {incr at 500} {
        set requests {}
        for {set i $at} {$i < $at + 500 && $i < $count} {incr i} { lappend requests [list SET $prefix:$i $i$value] }
        foreach answer [ask_all $connection $requests] { assert_equal $answer OK }
    }
    resp::close $connection
}

# Has the node drop all log up to what it has now. Log leaves by whole segments, so the leader fills some more.
proc compact {node leader} {
    set last [raft_field $node last_index]
    set value [string repeat c 100000]
    wait_for_condition "the log of $node begins behind entry $last" 10000 {
        [node_ask $leader SET compact $value] eq "OK" && [node_ask $node SNAPSHOT] eq "OK" && [raft_field $node log_first_index] > $last
    }
}

# Has the follower, up or down, be down and behind the log again.
proc fall_behind {leader follower} {
    if {![runs $follower]} { restart $follower }
    wait_for_condition "no snapshot is under way" 20000 {[is_even $leader $follower]}
    kill9 $follower
    # What it lacks.
    call_node $leader SET missed 1
    compact $leader $leader
}

proc is_even {leader follower} {
    return [expr {[raft_field $leader snapshots_sent_now] == 0 && [raft_field $follower applied_index] == [raft_field $leader applied_index]}]
}

# Three nodes, leader first, whose followers `away` (1 or 2 of them) were killed and need a snapshot now of about
# `megabytes`. Returns the leader and its followers, those that are away last.
proc followers_behind {megabytes {away 1} {options {}}} {
    set size [expr {$away + 2 + ($away == 2)}]
    set nodes [start_cluster $size [concat $::short_log $options]]
    set leader [leader_of $nodes]
    set followers [others $nodes $leader]
    kill9 {*}[lrange $followers end-[expr {$away - 1}] end]
    fill $leader big [expr {$megabytes * 100}] 10000
    compact $leader $leader
    return [list $leader {*}$followers]
}

# Starts the follower; returns with a snapshot on its way to it.
proc restart_midway {follower} {
    restart $follower
    wait_for_condition "the snapshot is under way" 15000 {[receives $follower]}
}

proc receives {node} { return [expr {[raft_field $node snapshot_receiving_bytes] > 0}] }

# No copy at the sender, no half file at a receiver: what is there is the lock, the log and one keys file.
proc assert_no_file_left {nodes} {
    foreach node $nodes {
        wait_for_condition "only current files are in the directory of $node" 10000 {[left_files $node] eq ""}
    }
}

proc left_files {node} {
    set names [lmap path [glob -nocomplain -directory $node::dir($node) *] { file tail $path }]
    set keys [lsearch -all -inline -regexp $names {^keys-\d+\.db$}]
    set other [lsearch -all -inline -not -regexp $names {^(keys-\d+\.db(-wal|-shm)?|raft\.db(-wal|-shm)?|LOCK|ballast)$}]
    if {[llength $keys] == 1 && $other eq "" && [lsearch -all -not -glob $names "keys-*"] ne ""} {
        foreach name [lsearch -all -inline -glob $names keys-*] { if {![string match [lindex $keys 0]* $name]} { return $name } }
        return ""
    }
    return [concat $keys $other]
}

proc assert_sound {nodes} {
    wait_members $nodes
    assert_same_digest $nodes
    assert_no_file_left $nodes
}

# The time of a SET and a GET, in microseconds.
proc time_of_pair {connection number} {
    set started [clock microseconds]
    assert_equal [ask_all $connection [list [list SET probe $number] [list GET probe]]] [list OK $number]
    return [expr {[clock microseconds] - $started}]
}

proc percentile_99 {times} { return [lindex [lsort -integer $times] [expr {[llength $times] * 99 / 100}]] }

proc percentile_of {connection count} {
    for {set i 0} {$i < $count} {incr i} { lappend times [time_of_pair $connection $i] }
    return [percentile_99 $times]
}

proc nearly_received {node} {
    set fields [info_of $node raft]
    set size [dict get $fields snapshot_receiving_size]
    return [expr {$size > 0 && [dict get $fields snapshot_receiving_bytes] >= $size - 300000}]
}

test "1: a follower that was stopped while 100k writes happened catches up by the log alone" -timeout 60 {
    set nodes [start_cluster 3]
    set leader [leader_of $nodes]
    set follower [lindex [others $nodes $leader] 0]
    process::signal STOP $node::pid($follower)
    fill $leader missed [fewer 100000] 20
    process::signal CONT $node::pid($follower)
    wait_caught_up $nodes 20000
    assert_equal [raft_field $follower snapshots_installed] 0
    assert_same_digest $nodes
}

test "2: a follower that missed a compaction is brought back by one snapshot while writes go on" -timeout 60 {
    set nodes [followers_behind 20]
    lassign $nodes leader other follower
    set load [start_load $leader -depth 16 -rate 2000]
    wait_load_progress $load
    restart $follower
    wait_for_condition "the snapshot is installed" 20000 {[raft_field $follower snapshots_installed] == 1}
    # It goes on by the log, with every compaction that happens meanwhile.
    for {set i 0} {$i < 5} {incr i} {
        wait_load_progress $load 3000
        call_node $leader SNAPSHOT
    }
    wait_members $nodes
    assert_equal [raft_field $follower snapshots_installed] 1
    set result [stop_load $load]
    wait_caught_up $nodes
    assert_load_kept $load $result $nodes
    assert_equal [raft_field $leader snapshots_made] 1
    assert_sound $nodes
}

test "2b: a snapshot that takes long under writes is followed by a log much longer than log-window, and by no other snapshot" -timeout 90 {
    set nodes [followers_behind 20 1 {-snapshot-rate 4mb}]
    lassign $nodes leader other follower
    call_node $leader CONFIG SET log-window 1mb
    set made [raft_field $leader snapshots_made]
    restart_midway $follower
    # Two bytes are written for each that arrives.
    set round 0
    while {[raft_field $follower snapshots_installed] == 0} {
        set received [raft_field $follower snapshot_receiving_bytes]
        fill $leader during[incr round] 100 10000
        wait_for_condition "more of it has arrived" 10000 {
            [raft_field $follower snapshots_installed] > 0 || [raft_field $follower snapshot_receiving_bytes] > $received + 400000
        }
    }
    set behind [expr {[raft_field $leader last_index] - [raft_field $follower applied_index]}]
    note "$round MB were written meanwhile; installed, $behind entries behind"
    fill $leader after 200 10000
    wait_members $nodes
    assert_equal [raft_field $follower snapshots_installed] 1
    assert_equal [raft_field $leader snapshots_made] [expr {$made + 1}]
    # Now it needs nothing more, and the log is short again.
    compact $leader $leader
    assert_sound $nodes
}

test "3: two followers at once are sent one copy" -timeout 60 {
    set nodes [followers_behind 20 2 {-snapshot-rate 8mb}]
    set leader [lindex $nodes 0]
    set behind [lrange $nodes end-1 end]
    foreach follower $behind { restart $follower -nowait }
    foreach follower $behind {
        wait_for_condition "$follower has the snapshot" 30000 {[raft_field $follower snapshots_installed] == 1}
    }
    assert_equal [raft_field $leader snapshots_made] 1
    assert_sound $nodes
}

test "4: kill -9 of the leader midway, while writes go on: the next leader sends its own, and the log behind it" -timeout 60 {
    set nodes [followers_behind 20 1 [list -snapshot-rate 1mb -election-timeout [scaled 1500]]]
    lassign $nodes leader other follower
    set load [start_load [list $leader $other] -rate 2000]
    restart_midway $follower
    compact $other $leader
    kill9 $leader
    # Its log reaches further than that of the follower: only it can lead.
    assert_equal [leader_of [list $other $follower]] $other
    # Without this one there would be no majority until the follower has all.
    restart $leader
    wait_for_condition "the next snapshot is under way" 15000 {[raft_field $other snapshots_sent_now] == 1 && [receives $follower]}
    wait_load_progress $load
    assert_equal [raft_field $follower snapshots_installed] 0 "it is still on its way"
    call_node $other CONFIG SET snapshot-rate 0
    wait_for_condition "the snapshot is installed" 20000 {[raft_field $follower snapshots_installed] == 1}
    wait_load_progress $load
    wait_members $nodes
    assert_equal [list [raft_field $other snapshots_made] [raft_field $follower snapshots_installed]] {1 1}
    assert_all_kept $load $nodes
    assert_no_file_left $nodes
}

# Since its log had so many bytes.
proc has_switched {name seen} { return [regexp {switches to a snapshot} [string range [log_of $name] $seen end]] }

test "5: kill -9 of the receiver at any moment of receiving and installing" -timeout 90 {
    set nodes [followers_behind 10 1 {-snapshot-rate 16mb}]
    lassign $nodes leader other follower
    set rounds [expr {$harness::long ? 40 : 5}]
    expr {srand(7)}
    set switches 0
    for {set i 0} {$i < $rounds} {incr i} {
        set seen [string length [log_of $follower]]
        restart $follower
        # Every second one after the last byte, in the checks; of these every second one in the switch and the swap.
        if {$i % 2 == 0} {
            catch {wait_for_condition "it receives" 3000 {[receives $follower] || [raft_field $follower snapshots_installed] > 0}}
            pause [expr {int(rand() * 700)}]
        } elseif {$i % 4 == 3} {
            wait_for_condition "it switches" 20000 {[has_switched $follower $seen]}
            pause [expr {int(rand() * 10)}]
        } else {
            catch {wait_for_condition "it has it all" 5000 {[raft_field $follower snapshots_installed] > 0 || [nearly_received $follower]}}
            pause [expr {int(rand() * 60)}]
        }
        kill9 $follower
        call_node $leader SET round $i
        set switched [has_switched $follower $seen]
        incr switches $switched
        if {$switched} { fall_behind $leader $follower }
    }
    note "$rounds kills, $switches of them after the switch had begun"
    assert {$switches > 0}
    restart $follower
    assert_sound $nodes
}

test "6: a node joins a cluster whose log is compacted" -timeout 60 {
    set nodes [start_cluster 3 $::short_log]
    set leader [leader_of $nodes]
    fill $leader key 1000 5000
    compact $leader $leader
    lappend nodes [start_node -join $leader -options $::short_log]
    wait_members $nodes
    assert_equal [raft_field [lindex $nodes end] snapshots_installed] 1
    assert_equal [call_node [lindex $nodes end] GET key:7] 7[string repeat x 5000]
    assert_sound $nodes
}

# Of a snapshot, acknowledged by its only receiver, and its whole size: {sent size}.
proc acknowledged {leader} {
    regexp {,sent=(\d+),size=(\d+)} [raft_field $leader snapshot0] -> sent size
    return [list $sent $size]
}

# Starts the receiver; returns once it has half of a snapshot.
proc wait_half {leader follower} {
    restart_midway $follower
    wait_for_condition "half of it is there" 15000 {[set size [lindex [acknowledged $leader] 1]] > 0 && 2 * [lindex [acknowledged $leader] 0] > $size}
}

# Connections to the port given, each handed on to `to` and back: a break of theirs that the nodes at both ends outlive. Returns
# the channel that accepts them.
proc hand_on {port to} {
    set ::handed($port) {}
    return [socket -server [list apply {{port to near host from} {
        if {[catch {socket 127.0.0.1 $to} far]} { return [chan close $near] }
        lappend ::handed($port) $near $far
        foreach channel [list $near $far] { chan configure $channel -translation binary -blocking 0 -buffersize 65536 }
        foreach {in out} [list $near $far $far $near] { chan copy $in $out -command [list end_both $near $far] }
    }} $port $to] -myaddr 127.0.0.1 $port]
}

proc end_both {near far args} {
    foreach channel [list $near $far] { catch {chan close $channel} }
}

# Breaks all that are there now; new ones are handed on.
proc break_connections {port} {
    set broken [lsort -unique [lmap channel $::handed($port) { if {$channel ni [chan names]} continue; set channel }]]
    foreach channel $broken { catch {chan close $channel} }
    return [llength $broken]
}

# Of a snapshot that was interrupted when so much of it was acknowledged: no other one was made, and it went on from there. Beyond
# its size a window of 1 MiB was sent for each second without an answer, at most.
proc assert_went_on {leader acknowledged size sent milliseconds} {
    note "$acknowledged of $size bytes were acknowledged before; sent $sent in all, $milliseconds ms from then to the end"
    assert_equal [raft_field $leader snapshots_made] 1
    assert {$sent <= $size + $::window * (1 + $milliseconds / 1000)}
    assert {$sent < $size + $acknowledged} "it began anew"
}

# Bytes that may be under way to a receiver.
set window [expr {1 << 20}]

test "7: SIGSTOP of the receiver midway, shorter than the sender waits for it: the same snapshot goes on where it was" -timeout 60 {
    set nodes [followers_behind 20 1 {-snapshot-rate 4mb}]
    lassign $nodes leader other follower
    set sent_before [raft_field $leader snapshot_bytes_sent]
    wait_half $leader $follower
    process::signal STOP $node::pid($follower)
    set stopped [clock milliseconds]
    lassign [acknowledged $leader] acknowledged size
    # The interval is the subject: the others go on meanwhile, and what is under way is sent again for want of an answer.
    fill $leader meanwhile 2000 500
    wait_for_condition "a window is sent again" 10000 {
        [raft_field $leader snapshot_bytes_sent] - $sent_before > [lindex [acknowledged $leader] 0] + $::window
    }
    process::signal CONT $node::pid($follower)
    call_node $leader CONFIG SET snapshot-rate 0
    wait_for_condition "the snapshot is installed" 20000 {[raft_field $follower snapshots_installed] == 1}
    set sent [expr {[raft_field $leader snapshot_bytes_sent] - $sent_before}]
    assert_went_on $leader $acknowledged $size $sent [expr {[clock milliseconds] - $stopped}]
    assert_sound $nodes
}

test "7a: a break of the connections alone midway: the same snapshot goes on where it was" -timeout 60 {
    set options [concat $::short_log {-snapshot-rate 4mb}]
    set nodes [start_cluster 2 $options]
    set leader [leader_of $nodes]
    set raft_port [free_port]
    set port [free_port]
    set server [hand_on $port $raft_port]
    set follower [start_node -join $leader -raftport $raft_port -options [concat $options [list -raft-advertise 127.0.0.1:$port]]]
    lappend nodes $follower
    wait_members $nodes
    kill9 $follower
    fill $leader big 2000 10000
    compact $leader $leader
    set sent_before [raft_field $leader snapshot_bytes_sent]
    wait_half $leader $follower
    set log_length [string length [log_of $leader]]
    # From now on a whole window is under way, which is lost.
    call_node $leader CONFIG SET snapshot-rate 0
    assert {[break_connections $port] > 0}
    set broken [clock milliseconds]
    lassign [acknowledged $leader] acknowledged size
    wait_log $leader "connected to $node::id($follower) " 10000 $log_length
    wait_for_condition "the snapshot is installed" 20000 {[raft_field $follower snapshots_installed] == 1}
    set sent [expr {[raft_field $leader snapshot_bytes_sent] - $sent_before}]
    assert_went_on $leader $acknowledged $size $sent [expr {[clock milliseconds] - $broken}]
    assert_sound $nodes
    chan close $server
}

test "7b: SIGSTOP of the receiver midway, longer than the sender waits for it: it gets another snapshot" -long -timeout 90 {
    set nodes [followers_behind 20 1 {-snapshot-rate 4mb}]
    lassign $nodes leader other follower
    wait_half $leader $follower
    process::signal STOP $node::pid($follower)
    wait_for_condition "the sender gives it up" 30000 {[raft_field $leader snapshots_sent_now] == 0}
    process::signal CONT $node::pid($follower)
    call_node $leader CONFIG SET snapshot-rate 0
    wait_for_condition "the snapshot is installed" 20000 {[raft_field $follower snapshots_installed] == 1}
    assert_equal [raft_field $leader snapshots_made] 2
    assert_sound $nodes
}

test "8: a snapshot whose bytes were changed on disk is refused, named, and the next one is taken" -timeout 60 {
    set nodes [followers_behind 10 1 {-snapshot-rate 4mb}]
    lassign $nodes leader other follower
    restart $follower
    wait_for_condition "some of it is on disk" 15000 {[raft_field $follower snapshot_receiving_bytes] > 2000000}
    set part [lindex [lsort [lsearch -all -inline -not -regexp [glob -directory $node::dir($follower) keys-*] {keys-0*1\.db}]] end]
    note "changed: [file tail $part]"
    set file [open $part r+b]
    chan seek $file 1000000
    puts -nonewline $file [string repeat Z 5000]
    close $file
    call_node $leader CONFIG SET snapshot-rate 0
    wait_log $follower {snapshot at entry \d+: refused: } 15000
    note [regexp -inline -line {snapshot at entry.*refused:.*$} [log_of $follower]]
    wait_for_condition "the next one is installed" 20000 {[raft_field $follower snapshots_installed] == 1}
    assert_sound $nodes
}

test "9: snapshot-rate is kept, and clients of the leader hardly notice" -timeout 60 {
    set nodes [followers_behind 20 1 {-snapshot-rate 4mb}]
    lassign $nodes leader other follower
    set connection [connect $leader]
    set without [percentile_of $connection 600]
    restart_midway $follower
    set sent [raft_field $leader snapshot_bytes_sent]
    set started [clock milliseconds]
    set during [percentile_of $connection 600]
    wait_for_condition "three seconds have passed" 5000 {[clock milliseconds] - $started > 3000}
    assert_equal [raft_field $leader snapshots_sent_now] 1 "it is still being sent"
    set rate [expr {([raft_field $leader snapshot_bytes_sent] - $sent) * 1000 / ([clock milliseconds] - $started)}]
    note "sent $rate bytes a second of [expr {4 << 20}]; p99 of SET and GET: $without us without, $during us with it"
    assert {$rate < (4 << 20) * 5 / 4 && $rate > (4 << 20) / 3}
    # Tens of milliseconds belong to the machine, not to the snapshot.
    assert {$during < 10 * $without + 30000}
    call_node $leader CONFIG SET snapshot-rate 0
    assert_sound $nodes
}

# Whether more than so many snapshots were made, and none is under way.
proc sent_whole {leader made} {
    set fields [info_of $leader raft]
    return [expr {[dict get $fields snapshots_made] > $made && [dict get $fields snapshots_sent_now] == 0}]
}

test "9a: clients of the leader hardly notice that a snapshot is copied, and sent at the default snapshot-rate" -timeout 60 {
    set nodes [followers_behind 20]
    lassign $nodes leader other follower
    set connection [connect $leader]
    set without [percentile_of $connection 600]
    set times {}
    set took 0
    # Few pairs would make the slowest of them the figure.
    for {set round 1} {$round <= 3 || ($round <= 10 && [llength $times] < 600)} {incr round} {
        if {$round > 1} { fall_behind $leader $follower }
        set made [raft_field $leader snapshots_made]
        restart $follower -nowait
        set started [clock milliseconds]
        while {![sent_whole $leader $made]} {
            for {set i 0} {$i < 10} {incr i} { lappend times [time_of_pair $connection [llength $times]] }
        }
        incr took [expr {[clock milliseconds] - $started}]
    }
    set during [percentile_99 $times]
    set worst [lindex [lsort -integer $times] end]
    note "[llength $times] pairs in $took ms; p99 of SET and GET: $without us without, $during us with it, at most $worst us"
    assert {$during < 10 * $without + 30000}
    assert_sound $nodes
}

test "10: kill -9 of the sender leaves no copy behind once it is back" -timeout 60 {
    set nodes [followers_behind 10 1 {-snapshot-rate 2mb}]
    lassign $nodes leader other follower
    restart_midway $follower
    assert {[left_files $leader] ne ""} "the copy is a file of its own"
    kill9 $leader
    kill9 $follower
    restart $leader
    restart $follower
    foreach node $nodes { catch {call_node $node CONFIG SET snapshot-rate 0} }
    assert_sound $nodes
}

proc free_bytes {mount} { return [expr {1024 * [lindex [exec df --output=avail -k $mount] end]}] }

test "11: a receiver whose disk is full refuses, serves on, and takes the snapshot once there is room" -timeout 90 {
    set mount $harness::directory/mount
    file mkdir $mount
    if {[catch {exec mount -t tmpfs -o size=96m tmpfs $mount}]} { skip "needs the right to mount a tmpfs" }
    try {
        set nodes [start_cluster 2 $::short_log]
        set leader [leader_of $nodes]
        set follower [start_node -join $leader -dir $mount/data -options [concat $::short_log {-ballast-bytes 0}]]
        lappend nodes $follower
        wait_members $nodes
        call_node $leader SET old value
        wait_caught_up $nodes
        call_node $follower SNAPSHOT
        kill9 $follower
        fill $leader big 2000 10000
        compact $leader $leader
        exec fallocate -l [expr {[free_bytes $mount] - (8 << 20)}] $mount/filling
        restart $follower
        wait_log $follower {snapshot at entry \d+: refused: .*(disk is full|No space left|bytes of room)}
        assert_equal [node_ask $leader SET after full] OK "the others go on"
        assert {[runs $follower]}
        set connection [connect $follower]
        assert_equal [ask $connection READONLY] OK
        assert_equal [list [ask $connection GET old] [ask $connection EXISTS big:0]] {value 0} "it serves what it had"
        assert_equal [raft_field $follower snapshots_installed] 0
        file delete $mount/filling
        wait_for_condition "the snapshot is installed" 30000 {[raft_field $follower snapshots_installed] == 1}
        assert_sound $nodes
        foreach node $nodes { stop $node }
    } finally {
        process::end_all
        exec umount $mount
    }
}
