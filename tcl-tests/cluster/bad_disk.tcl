# A disk that fails, is full or stands still under a member of three: the others go on, and whatever a client was told is true
# (D15, D17).

set election_timeout [scaled 400]
set options [list -election-timeout $election_timeout]

# The disk of a member fails under load; it ends, the others go on without it, and it comes back when its disk is sound.
proc fail_disk {nodes member load} {
    bad_disk $member {sync fails raft.db-wal}
    wait_disk_end $member "$node::dir($member)/raft.db: cannot write the log: disk I/O error (1034)"
    leader_of [others $nodes $member]
    wait_load_progress $load
    bad_disk $member
    restart $member
    wait_members $nodes
    wait_load_progress $load
}

test "D15: a member whose disk fails ends with 70, follower or leader; the others go on, and nothing acknowledged is lost" -timeout 90 {
    bad_disk::prepare
    set nodes [start_cluster 3 $::options]
    set load [start_load $nodes]
    wait_load_progress $load
    fail_disk $nodes [lindex [followers_of $nodes] 0] $load
    fail_disk $nodes [leader_of $nodes] $load
    assert_all_kept $load $nodes
}

test "D15: a member whose disk fails while it starts ends with 70, and is a follower again on a sound disk" -timeout 60 {
    bad_disk::prepare
    set nodes [start_cluster 3 $::options]
    set load [start_load $nodes]
    wait_load_progress $load
    set member [leader_of $nodes]
    kill9 $member
    leader_of [others $nodes $member]
    wait_load_progress $load
    bad_disk $member {sync fails raft.db-wal}
    restart $member -nowait
    wait_disk_end $member "$node::dir($member)/raft.db: cannot sync its WAL: disk I/O error (1034)"
    bad_disk $member
    restart $member
    assert_all_kept $load $nodes
}

test "D15: a leader whose disk is full hands over and writes go on; with room it catches up and leads again, as it is" -timeout 60 {
    bad_disk::prepare
    set nodes [start_cluster 3 $::options]
    set leader [leader_of $nodes]
    set left [others $nodes $leader]
    set load [start_load $nodes]
    wait_load_progress $load
    set term [raft_field $leader term]
    bad_disk $leader {write full raft.db-wal} {write full raft.db}
    set took [wait_for_condition "one of {$left} leads" [expr {6 * $::election_timeout}] {[leader_now $left] ne ""}]
    note "a new leader $took ms after the disk of the old one was full"
    wait_log $leader {raft\.db: the disk is full; writes wait until there is room}
    set successor [leader_now $left]
    assert {[raft_field $successor term] > $term && [raft_field $leader role] ne "leader"}
    wait_load_progress $load
    # It serves what it has, and calls no election.
    set reader [connect $leader]
    assert_equal [ask $reader READONLY] OK
    assert {[ask $reader GET $load:count] > 0}
    assert_equal [list [leader_now $left] [dict get [info_of $leader persistence] disk_low]] [list $successor 1]
    bad_disk $leader
    wait_log $leader {raft\.db: the disk has room again}
    wait_members $nodes
    wait_for_condition "it leads again" 10000 {[node_ask $successor TRANSFER $node::id($leader)] eq "OK"}
    assert_equal [leader_of $nodes] $leader
    wait_load_progress $load
    assert_all_kept $load $nodes
}

test "D17: a leader whose disk stands still hands over; its clients are told the truth, and it follows when its disk goes on" -timeout 90 {
    bad_disk::prepare
    set nodes [start_cluster 3 $::options]
    set leader [leader_of $nodes]
    set left [others $nodes $leader]
    set load [start_load $nodes]
    wait_load_progress $load
    bad_disk $leader {sync stalls raft.db-wal}
    # disk-stall-timeout is two election timeouts, an election one or two, and what two more are for is the machine.
    set took [wait_for_condition "one of {$left} leads" [expr {6 * $::election_timeout}] {[leader_now $left] ne ""}]
    note "a new leader $took ms after the disk of the old one stopped"
    assert {$took >= $::election_timeout} "it was in no haste: $took ms"
    set successor [leader_now $left]
    set term [raft_field $successor term]
    assert {[raft_field $leader role] ne "leader"} "$leader, in its old term"
    # Nobody needs that disk, and in the time of some elections its node calls none.
    wait_load_progress $load
    set least [node_ask $successor GET $load:count]
    set reader [connect $leader]
    resp::send $reader GET $load:count
    pause [expr {3 * $::election_timeout}]
    assert_equal [list [leader_now $left] [raft_field $successor term]] [list $successor $term]
    bad_disk $leader
    wait_for_condition "$leader follows $successor" 10000 {[raft_field $leader role] eq "follower"
        && [dict get [info_of $leader raft] leader] eq $node::id($successor)}
    set read [resp::text [resp::reply $reader]]
    assert {[string match -* $read] || $read >= $least} "a read at the node whose disk stood still saw $read after $least"
    wait_load_progress $load
    assert_all_kept $load $nodes
}

# The index up to which the leader knows that the member has its log.
proc match_of {leader member} {
    foreach {field value} [info_of $leader raft] {
        if {[string match "peer*" $field] && [string match "id=$node::id($member),*" $value]} {
            regexp {match=(\d+)} $value -> match
            return $match
        }
    }
    error "$leader does not tell of $member"
}

test "a follower whose keys cannot be flushed is counted no more past flush-lag-bytes; the others go on, and it catches up" -timeout 90 {
    bad_disk::prepare
    set nodes [start_cluster 3 [concat $::options {-flush-lag-bytes 1mb}]]
    set leader [leader_of $nodes]
    set member [lindex [others $nodes $leader] 0]
    set term [raft_field $leader term]
    set value [string repeat v 100000]
    # A member that joined has begun keys of its own anew.
    bad_disk $member "sync stalls [file tail [lindex [glob -directory $node::dir($member) keys-*.db] 0]]-wal"
    set written 0
    wait_for_condition "$member is past flush-lag-bytes" 20000 {
        [node_ask $leader SET key:[incr written] $value] eq "OK" && [raft_field $member flush_behind] == 1
    }
    # What was under way is acknowledged; nothing that comes now is.
    pause $::election_timeout
    set match [match_of $leader $member]
    for {set i 0} {$i < 20} {incr i} { assert_equal [node_ask $leader SET key:[incr written] $value] OK }
    pause [expr {3 * $::election_timeout}]
    assert_equal [match_of $leader $member] $match
    # It is a follower as ever: nobody is elected in the leader's place.
    assert_equal [list [leader_now $nodes] [raft_field $member term]] [list $leader $term]
    bad_disk $member
    wait_caught_up $nodes
    wait_for_condition "all is flushed" 10000 {[raft_field $member flush_behind] == 0}
    assert_equal [node_ask $leader DBSIZE] $written
    assert_same_digest $nodes
}
